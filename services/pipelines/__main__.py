"""The pipelines' process: `python -m services.pipelines` performs searches and releases, one after the other.

One at a time, because two searches would share the trainers, and a training beside a load test would spoil its figures.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from rq.timeouts import JobTimeoutException

from services.pipelines.gateway_client import GatewayClient
from services.pipelines.release.release import release
from services.pipelines.search.search import perform_search
from shared.errors import TandemError
from shared.jobs.connection import connect
from shared.jobs.credentials import issue_credential
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.job_queue import PIPELINES
from shared.jobs.kinds import RELEASE, SEARCH, Kind
from shared.jobs.reaper import Reaper
from shared.jobs.run_state import Run
from shared.jobs.signing import signing_key
from shared.jobs.worker import JobHandler, consume
from shared.logs import configure_logs
from shared.settings import Settings

Perform = Callable[[GatewayClient, Run, Any], None]
HANDLERS: tuple[tuple[Kind[Any, Any, Any], Perform], ...] = ((SEARCH, perform_search), (RELEASE, release))

SPARE_S = 60


def main() -> int:
    """Perform searches and releases until a signal ends the process; return the exit status."""
    settings = Settings.from_env()
    configure_logs(settings.logs)
    structlog.get_logger().info("pipelines ready", gateway=settings.url_of_gateway)
    redis = connect(settings, patient=True)
    handlers = {
        kind.name: JobHandler(kind.job, partial(_perform, settings, function), kind.run, is_measured=False)
        for kind, function in HANDLERS
    }
    reaper = Reaper(PIPELINES, settings, EndedJobs(settings.state_dir / "ended", settings.keep_days))
    reaper.start()
    return consume(PIPELINES, settings, redis, handlers, reaper)


def _perform(settings: Settings, function: Perform, run: Run, job: Any) -> None:
    """Perform a job with a client of the gateway.

    The credential lasts a little longer than the job may take, so that a job that takes too long can end its trainings.

    Raises:
        TandemError: the job cannot be performed, or takes too long.
    """
    expires_s = time.time() + settings.pipeline_timeout_s + SPARE_S
    credential = issue_credential("pipelines", signing_key(settings.key_file), expires_s)
    try:
        function(GatewayClient(settings.url_of_gateway, credential), run, job)
    except JobTimeoutException:
        raise TandemError(f"it took longer than {settings.pipeline_timeout_s} s (TANDEM_PIPELINE_TIMEOUT_S)") from None


if __name__ == "__main__":
    sys.exit(main())
