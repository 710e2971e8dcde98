"""The load tester's process: `python -m services.loadtest` takes load tests from their own queue."""

import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from services.loadtest import results, strategies
from services.loadtest.sides import Bench
from shared.jobs.job_queue import LOADTEST, connect
from shared.jobs.kinds import LOAD_TEST
from shared.jobs.loadtests import LoadTestJob
from shared.jobs.run_state import SUCCEEDED, Run
from shared.jobs.worker import Work, consume
from shared.logs import configure_logs
from shared.process import usage
from shared.settings import Settings


def main() -> int:
    settings = Settings.from_env()
    configure_logs(settings.logs)
    structlog.get_logger().info("load tester ready", gateway=settings.url_of_gateway)
    redis = connect(settings.redis_url, patient=True)
    return consume(LOADTEST, settings, redis, {LOADTEST: Work(LOAD_TEST.job, partial(test, settings), LOAD_TEST.run)})


def test(settings: Settings, run: Run, payload: LoadTestJob) -> None:
    """Carry out a load test, and report what it found."""
    job = payload.model_dump(mode="json")
    bench, request = Bench(settings, run, job), job["request"]
    alone_qps = min(bench.warm_up(side) for side in bench.sides)
    processes = {side: bench.process_of(side) or {} for side in bench.sides}
    searching = request["target_qps"] == "search"
    found = strategies.search(bench, request) if searching else strategies.fixed(bench, request, alone_qps)
    run.finish(SUCCEEDED, **found, conditions=_conditions(settings, processes, job))


def _conditions(settings: Settings, processes: dict[str, dict[str, Any]], job: dict[str, Any]) -> dict[str, Any]:
    """What the figures were measured with and on, and what they share it with."""
    here = usage()["machine"]
    return {
        "backends": settings.backends,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": {side: process.get("threads") for side, process in processes.items()},
        "versions": {side: process.get("versions", {}) for side, process in processes.items()},
        "python": platform.python_version(),
        "commit": settings.commit,
        "models": job["models"],
        "generator": f"MLPerf LoadGen {version('mlcommons-loadgen')}",
        **results.GENERATOR,
        "shared_machine": all(process.get("machine") == here for process in processes.values()),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
