"""The load tester's process: `python -m services.loadtest` carries out the load tests in its queue, one by one."""

import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog

from services.loadtest.generator import CONNECTIONS
from services.loadtest.predictors import Predictors, find_answering
from services.loadtest.results import ALLOWED_LATE_MS, ALLOWED_LATE_SHARE
from services.loadtest.sides import Sides
from services.loadtest.strategies import measure_rates, search_largest_rates
from shared.jobs.connection import connect
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.job_queue import LOADTEST
from shared.jobs.kinds import LOAD_TEST
from shared.jobs.loadtests import LoadConditions, LoadTestJob
from shared.jobs.reaper import Reaper
from shared.jobs.run_state import SUCCEEDED, Run
from shared.jobs.worker import JobHandler, consume
from shared.logs import configure_logs
from shared.process import usage
from shared.settings import Settings


def main() -> int:
    """Carry out load tests until a signal ends the process; return the exit status."""
    settings = Settings.from_env()
    configure_logs(settings.logs)
    structlog.get_logger().info("load tester ready", gateway=settings.url_of_gateway)
    redis = connect(settings, patient=True)
    handlers = {LOADTEST: JobHandler(LOAD_TEST.job, partial(carry_out, settings), LOAD_TEST.run)}
    reaper = Reaper(LOADTEST, settings, EndedJobs(settings.state_dir / "ended", settings.keep_days))
    reaper.start()
    return consume(LOADTEST, settings, redis, handlers, reaper)


def carry_out(settings: Settings, run: Run, job: LoadTestJob) -> None:
    """Carry out one load test and report its findings and conditions.

    Raises:
        UnavailableError: a side does not answer.
        SupersededError: the load test was cancelled.
        TandemError: the load generator failed.
    """
    sides = Sides(settings, run, job)
    sequential_qps = min(sides.warm_up(side) for side in sides.names)
    predictors = {side: sides.fetch_predictors(side) for side in sides.names}
    if job.request.target_qps == "search":
        findings = search_largest_rates(sides, job.request)
    else:
        findings = measure_rates(sides, job.request, sequential_qps)
    conditions = _describe_conditions(settings, predictors, job)
    run.finish(SUCCEEDED, **findings.model_dump(mode="json"), conditions=conditions.model_dump(mode="json"))


def _describe_conditions(settings: Settings, predictors: dict[str, Predictors], job: LoadTestJob) -> LoadConditions:
    this_machine = usage()["machine"]
    processes = {side: list(find_answering(found).values()) for side, found in predictors.items()}
    return LoadConditions(
        backends=list(settings.backends),
        cpu=_cpu_name(),
        cores=os.cpu_count(),
        predictors={side: len(found) for side, found in processes.items()},
        threads={side: found[0].threads if found else None for side, found in processes.items()},
        devices={side: found[0].device if found else None for side, found in processes.items()},
        versions={side: found[0].versions if found else {} for side, found in processes.items()},
        python=platform.python_version(),
        commit=settings.commit,
        models=job.models,
        generator=f"MLPerf LoadGen {version('mlcommons-loadgen')}",
        connections=CONNECTIONS,
        allowed_late_ms=ALLOWED_LATE_MS,
        allowed_late_share=ALLOWED_LATE_SHARE,
        shared_machine=all(
            found and all(process.machine == this_machine for process in found) for found in processes.values()
        ),
    )


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
