"""The jobs that a search or a release submits and follows, through the public API."""

import time
from collections.abc import Iterator
from typing import Any

import structlog

from services.pipelines.gateway_client import GatewayClient, RefusedError
from shared.jobs.reaper import DIED, LOST
from shared.jobs.run_state import Run

POLL_S = 0.25
ENDED = ("succeeded", "failed", "cancelled")
MAX_SUBMISSIONS = 4  # of the same job, if its workers died each time

log = structlog.get_logger()


class SubmittedJobs:
    """Submits the jobs of one search or release, and follows one at a time.

    Each job has an Idempotency-Key, so work that is started again finds the jobs that it submitted before.

    Args:
        client: of the gateway.
        run: the run of the search or the release. It ends the work if that was cancelled or taken over.
        prefix: of the Idempotency-Keys.
    """

    def __init__(self, client: GatewayClient, run: Run, prefix: str) -> None:
        self._client, self._run, self._prefix = client, run, prefix
        self._followed: str | None = None

    def follow(self, path: str, body: object, key: str, jobs_path: str | None = None) -> Iterator[Any]:
        """Submit a job, and yield its state whenever it has changed, until it has ended.

        A job whose workers died each time is submitted again, because the fault may not be the job's. Its states then
        have another id.

        Args:
            path: where the job is submitted, such as `/v1/trainings`.
            body: the request.
            key: what distinguishes the job from others of the same work.
            jobs_path: where jobs of this kind are read, if not at `path`.

        Raises:
            RefusedError: the gateway refuses the request.
            SupersededError: the work was cancelled, or another process has taken it over.
            UnavailableError: the gateway does not answer for a long time.
        """
        for attempt in range(MAX_SUBMISSIONS):
            full_key = f"{self._prefix}-{key}" + (f"-again-{attempt}" if attempt else "")
            self._run.check_is_ours()
            submitted = self._client.post(path, body, full_key)
            self._followed = f"{jobs_path or path}/{submitted['id']}"
            for state in self._states(self._followed):
                if _has_died(state) and attempt + 1 < MAX_SUBMISSIONS:
                    log.warning("a job is submitted again, because its workers died", key=full_key)
                    self.cancel(self._followed)
                    break
                yield state
            else:
                self._followed = None
                return

    def finish(self, path: str, body: object, key: str, jobs_path: str | None = None) -> Any:
        """Submit a job, and return its state when it has ended; arguments and errors as for `follow`."""
        *_, last = self.follow(path, body, key, jobs_path)
        return last

    def cancel(self, path: str) -> None:
        """Cancel a job, if it has not ended."""
        try:
            self._client.post(f"{path}/cancel")
        except RefusedError as error:
            log.info("nothing was cancelled", path=path, reason=str(error))

    def cancel_followed(self) -> None:
        """Cancel the job that is being followed, if there is one."""
        if self._followed:
            self.cancel(self._followed)

    def _states(self, path: str) -> Iterator[Any]:
        newest: Any = None
        while newest is None or newest["status"] not in ENDED:
            self._run.check_is_ours()
            state = self._client.get(path)
            if state == newest:
                time.sleep(POLL_S)
            else:
                newest = state
                yield state


def describe_errors(state: Any) -> str:
    """Return why a job has failed, as far as its state says so."""
    reasons = [f"{name}: {error}" if name else error for name, error in _errors_of(state).items()]
    return "; ".join(reasons) or "it was cancelled"


def _errors_of(state: Any) -> dict[str, str]:
    """Return the errors of a job by backend, or its only error under an empty name."""
    if "error" in state:
        return {"": state["error"]} if state["error"] else {}
    runs = state["runs"] if "runs" in state else state["results"]
    return {backend: run["error"] for backend, run in runs.items() if run["error"]}


def _has_died(state: Any) -> bool:
    return any(error in (DIED, LOST) for error in _errors_of(state).values())
