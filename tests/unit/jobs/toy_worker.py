"""A worker without a framework: it performs deletions by writing a line, and waits while the file `hold` exists.

With the argument `stopped-while-forking` it gets SIGTERM after it has claimed a job, and before the work horse exists.
"""

import os
import signal
import sys
import time

from shared.jobs.connection import connect
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.kinds import DELETION
from shared.jobs.payloads import DeletionJob
from shared.jobs.reaper import Reaper
from shared.jobs.rq_worker import TandemWorker
from shared.jobs.run_state import SUCCEEDED, Run
from shared.jobs.worker import JobHandler, consume
from shared.settings import Settings

QUEUE = "toy"


def main() -> int:
    """Perform the jobs of the queue `toy` until a signal stops the process."""
    settings = Settings.from_env()

    def write_line(run: Run, job: DeletionJob) -> None:
        with (settings.state_dir / "performed").open("a") as file:
            file.write(f"{job.id}\n")
        while (settings.state_dir / "hold").exists():
            run.report(threads=1)
            time.sleep(0.01)
        run.finish(SUCCEEDED)

    if "stopped-while-forking" in sys.argv:
        fork = TandemWorker.fork_work_horse

        def stop_and_fork(worker: TandemWorker, *arguments: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            fork(worker, *arguments)  # type: ignore[no-untyped-call]

        TandemWorker.fork_work_horse = stop_and_fork  # type: ignore[method-assign]
    reaper = Reaper(QUEUE, settings, EndedJobs(settings.state_dir / "ended", settings.keep_days))
    reaper.start()
    handlers = {DELETION.name: JobHandler(DeletionJob, write_line, DELETION.run)}
    return consume(QUEUE, settings, connect(settings, patient=True), handlers, reaper)


if __name__ == "__main__":
    sys.exit(main())
