"""The jobs that a search submits and follows, through the public API."""

import time
from collections.abc import Iterator
from typing import Any

import structlog

from services.pipelines.gateway_client import ENDED, POLL_S, GatewayClient, RefusedError
from shared.jobs.reaper import DIED, LOST
from shared.jobs.run_state import Run

MAX_SUBMISSIONS = 4  # of the same job, if its workers died each time

log = structlog.get_logger()


class SubmittedJobs:
    """Submits jobs of one search, and follows one at a time.

    Each job has an Idempotency-Key, so a search that is started again finds the jobs that it submitted before.

    Args:
        client: of the gateway.
        run: the search's run. It stops the search if it was cancelled or taken over.
        prefix: of the Idempotency-Keys.
    """

    def __init__(self, client: GatewayClient, run: Run, prefix: str) -> None:
        self._client, self._run, self._prefix = client, run, prefix
        self._followed: str | None = None

    def follow(self, path: str, body: object, key: str) -> Iterator[Any]:
        """Submit a job, and yield its state whenever it has changed, until it has ended.

        A job whose workers died each time is submitted again, because the fault may not be the job's. Its states then
        have another id.

        Args:
            path: such as `/v1/trainings`.
            body: the request.
            key: what distinguishes the job from others of the search.

        Raises:
            RefusedError: the gateway refuses the request.
            SupersededError: the search was cancelled, or another process has taken it over.
            UnavailableError: the gateway does not answer for a long time.
        """
        for attempt in range(MAX_SUBMISSIONS):
            full_key = f"{self._prefix}-{key}" + (f"-again-{attempt}" if attempt else "")
            self._run.check_is_ours()
            submitted = self._client.post(path, body, full_key)
            self._followed = f"{path}/{submitted['id']}"
            for state in self._states(self._followed):
                if _has_died(state) and attempt + 1 < MAX_SUBMISSIONS:
                    log.warning("a job is submitted again, because its workers died", key=full_key)
                    self.cancel(self._followed)
                    break
                yield state
            else:
                self._followed = None
                return

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


def runs_of(state: Any) -> Any:
    """Return the runs of a training, or the results of an evaluation, by backend."""
    return state["runs"] if "runs" in state else state["results"]


def _has_died(state: Any) -> bool:
    return any(run["error"] in (DIED, LOST) for run in runs_of(state).values())
