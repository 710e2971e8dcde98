"""The predictors of one backend: which there are, which answer, and which of them has the least to do.

One background task looks the names of the predictors' hosts up. Each predictor has another one, which asks it for its
health each second. So a name server or a predictor that hangs delays no other check, and no request waits for a task. A
predictor that fails is dropped: it gets no calls until it answers its health check. If none answers, calls go to any of
them, so a single predictor is always asked. ADR 45 gives the reasons.
"""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import numpy as np
import structlog
from numpy.typing import NDArray

from services.gateway.prediction.failed_attempts import FailedAttempts
from services.gateway.prediction.replica import Replica, ReplicaReport
from shared.serving.addresses import PredictorAddress, find_addresses, may_have_several
from shared.serving.client import Computation, ConnectionFailedError, PredictorError, PredictorRefusedError
from shared.serving.health import ProcessUse

RESOLVE_EVERY_S = 3.0
PAUSE_S = 0.2  # between two look-ups at least, also if calls fail all the time
CHECK_EVERY_S = 1.0
HEALTH_TIMEOUT_S = 1.0
HANGS_AFTER_S = 2.0  # without an answer to a health check: a busy machine needs some time

log = structlog.get_logger()


class Replicas:
    """The predictors of one backend. Everything runs on one event loop, so nothing is locked.

    Args:
        urls: of the predictors. The name of a host may have several addresses.
        socket_path: the predictor's Unix socket. It is used while there is one predictor.
    """

    def __init__(self, urls: tuple[str, ...], socket_path: Path | None = None) -> None:
        self._urls, self._socket_path = urls, socket_path
        self._found = {url: [PredictorAddress(url)] for url in urls}  # by URL, as last looked up
        self._all: dict[PredictorAddress, Replica] = {}
        self._usable: tuple[Replica, ...] = ()
        self._last_turn = 0
        self._has_failed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._replace([self._make(address) for address in self._find_current()])

    def start(self) -> None:
        """Begin to check predictors, and to look names up that may have several addresses."""
        if any(map(may_have_several, self._urls)):
            self._start_task(self._watch_names())
        for replica in self._all.values():
            self._start_task(self._watch(replica))

    def _start_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Check and look up nothing any longer, and close the connections that no request uses."""
        for task in self._tasks:
            task.cancel()
        for replica in self._all.values():
            replica.client.close()

    def choose(self, excluded: Collection[Replica]) -> Replica | None:
        """Return the predictor with the fewest images to compute, or None if all are excluded.

        Of several such, it is the one that was not chosen for the longest time.
        """
        if len(self._usable) == 1:  # the usual case, and part of each prediction
            (only,) = self._usable
            return None if only in excluded else only
        best: Replica | None = None
        for replica in self._usable:
            if replica not in excluded and (
                best is None or replica.load < best.load or (replica.load == best.load and replica.turn < best.turn)
            ):
                best = replica
        if best is not None:
            self._last_turn += 1
            best.turn = self._last_turn
        return best

    async def predict(
        self, replica: Replica, name: str, version: int, images: NDArray[np.uint8], timeout_s: float
    ) -> Computation:
        """Have a predictor predict images; if it fails, another one. This is safe: nothing is changed.

        Args:
            replica: as `choose` returned it.
            name: of the model.
            version: of the model.
            images: uint8 [N, H, W, C].
            timeout_s: for all attempts together.

        Raises:
            TimeoutError: the time limit passed.
            ConnectionFailedError: no predictor answers, or two connections failed while a predictor had the request.
            PredictorError: a predictor refuses the images, or its reply cannot be used.
        """
        failed: FailedAttempts | None = None
        begun_s, left_s = perf_counter(), timeout_s
        while True:
            asked, client = replica, replica.client
            asked.load += len(images)
            try:
                computed = await client.predict(name, version, images, left_s)
            except (ConnectionFailedError, PredictorRefusedError) as error:
                # If the client is another one, the calls were aborted, and the predictor may answer again.
                if isinstance(error, ConnectionFailedError) and client is asked.client:
                    self.drop(asked, error)
                failed = failed or FailedAttempts()
                other = self.choose(failed.excluded) if failed.may_go_on_after(error, asked) else None
                if other is None:
                    raise
                replica, left_s = other, begun_s + timeout_s - perf_counter()
            except TimeoutError as error:
                if not failed:  # else the predictor had less time than the limit
                    self.drop(asked, error)
                raise
            else:
                if not asked.is_up:
                    self.take_back(asked)
                return computed
            finally:
                asked.load -= len(images)

    def has_other_than(self, excluded: Collection[Replica]) -> bool:
        """Return whether `choose` would return a predictor."""
        return any(replica not in excluded for replica in self._usable)

    def drop(self, replica: Replica, error: Exception) -> None:
        """Send no more calls to a predictor that has failed, and look names up at once."""
        self._has_failed.set()
        self._mark_down(replica, error)

    def _mark_down(self, replica: Replica, error: Exception) -> None:
        if replica.is_up:
            replica.is_up = False
            self._sort()
            reason = str(error) or "no answer in time"
            log.warning("a predictor does not answer", address=str(replica.address), reason=reason)

    def take_back(self, replica: Replica) -> None:
        """Send calls to a predictor that answers again."""
        if not replica.is_up and self._all.get(replica.address) is replica:
            replica.is_up = True
            self._sort()
            log.info("a predictor answers", address=str(replica.address))

    async def ask_health(self) -> list[ReplicaReport]:
        """Return what each predictor reports of itself, by address."""
        replicas = list(self._all.values())
        reports = await asyncio.gather(*map(self._ask, replicas))
        return [
            ReplicaReport(str(replica.address), report if isinstance(report, ProcessUse) else None)
            for replica, report in zip(replicas, reports, strict=True)
        ]

    async def _ask(
        self, replica: Replica, timeout_s: float = HEALTH_TIMEOUT_S
    ) -> ProcessUse | TimeoutError | PredictorError:
        """Return what a predictor reports of itself, or why it does not. Mark it as up or down."""
        try:
            report = await replica.client.ask_health(timeout_s)
        except (TimeoutError, PredictorError) as error:
            self._mark_down(replica, error)
            return error
        self.take_back(replica)
        return report

    def count(self) -> tuple[int, int]:
        """Return how many predictors were up, and how many were down, when they were last asked. For any thread."""
        replicas = list(self._all.values())
        up = sum(replica.is_up for replica in replicas)
        return up, len(replicas) - up

    async def is_any_up(self) -> bool:
        """Return whether a predictor answers. The first answer is enough."""
        for report in asyncio.as_completed(list(map(self._ask, self._all.values()))):
            if isinstance(await report, ProcessUse):
                return True
        return False

    def _make(self, address: PredictorAddress) -> Replica:
        return Replica(address, self._socket_path if address.ip is None and len(self._urls) == 1 else None)

    def _find_current(self) -> list[PredictorAddress]:
        return list(dict.fromkeys(address for url in self._urls for address in self._found[url]))

    def _replace(self, replicas: Collection[Replica]) -> None:
        """Use these predictors from now on. Calls to others that are in flight go on."""
        left = [replica for replica in self._all.values() if replica not in replicas]
        self._all = {replica.address: replica for replica in replicas}
        for replica in left:
            replica.is_up = False
            replica.client.close()
        self._sort()

    def _sort(self) -> None:
        """Use the predictors that are up. If none is, use all."""
        self._usable = tuple(replica for replica in self._all.values() if replica.is_up) or tuple(self._all.values())

    async def _watch_names(self) -> None:
        """Look names up until the task is cancelled, and at once after a call has failed."""
        while True:
            self._has_failed.clear()
            try:
                await self._resolve()
            except Exception:  # a fault of ours must not end the search for predictors
                log.exception("predictors could not be looked for")
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_failed.wait(), RESOLVE_EVERY_S - PAUSE_S)

    async def _resolve(self) -> None:
        """Look the hosts up. What cannot be looked up stays as it was. New predictors are used if they answer."""
        for url in self._urls:
            try:
                self._found[url] = await find_addresses(url)
            except OSError as error:
                log.warning("the host of predictors could not be looked up", url=url, reason=str(error))
        addresses = self._find_current()
        if list(self._all) == addresses:
            return
        replicas = [self._all.get(address) or self._make(address) for address in addresses]
        added = [replica for replica in replicas if replica.address not in self._all]
        await asyncio.gather(*map(self._ask, added))
        self._replace(replicas)
        for replica in added:
            self._start_task(self._watch(replica))
        log.info("predictors found", addresses=list(map(str, addresses)))

    async def _watch(self, replica: Replica) -> None:
        """Ask a predictor for its health each second, as long as it is one of the backend's.

        If it does not answer and another predictor is up, its calls in flight are sent there.
        """
        while self._all.get(replica.address) is replica:
            try:
                report = await self._ask(replica, HANGS_AFTER_S)
            except Exception:  # a fault of ours must not end the checks
                log.exception("a predictor could not be checked", address=str(replica.address))
            else:
                # A predictor that answers with an error, such as 503, computes its calls.
                has_failed = isinstance(report, TimeoutError | ConnectionFailedError)
                if has_failed and any(other.is_up for other in self._all.values()):
                    replica.abort_calls()
            await asyncio.sleep(CHECK_EVERY_S)
