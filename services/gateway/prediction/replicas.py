"""The predictors of one backend: which there are, which answer, and which of them has the least to do.

A background task looks the names of the predictors' hosts up, and asks each predictor for its health if there are
several. No request waits for the task. A predictor that fails is dropped: it gets no calls until it answers its health
check. If none answers, calls go to any of them, so a single predictor is always asked. ADR 45 gives the reasons.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import ValidationError

from shared.serving.addresses import PredictorAddress, find_addresses, may_have_several
from shared.serving.client import Computation, ConnectionFailedError, PredictorClient
from shared.serving.health import ProcessUse

RESOLVE_EVERY_S = 3.0
CHECK_EVERY_S = 1.0
PAUSE_S = 0.2  # between two checks at least, also if calls fail all the time
HEALTH_TIMEOUT_S = 1.0
HANGS_AFTER_S = 2.0  # without an answer to a health check: a busy machine needs some time

log = structlog.get_logger()


class Replica:
    """One predictor of a backend.

    Attributes:
        address: where it is.
        client: its connections.
        is_up: whether it answered when it was last asked. A predictor that nobody has asked yet counts as up.
        load: the images of the calls that it has not answered yet, from all batchers of this process.
        turn: when it was last chosen; a larger number is later.
    """

    __slots__ = ("_socket_path", "address", "client", "is_up", "load", "turn")

    def __init__(self, address: PredictorAddress, socket_path: Path | None = None) -> None:
        self.address, self._socket_path = address, socket_path
        self.client = self._connect()
        self.is_up = True
        self.load = self.turn = 0

    def abort_calls(self) -> None:
        """Have every call in flight fail, so that it can be sent to another predictor."""
        self.client.abort()
        self.client = self._connect()

    def _connect(self) -> PredictorClient:
        return PredictorClient(self.address.url, self._socket_path, self.address.ip)

    async def ask_health(self, timeout_s: float = HEALTH_TIMEOUT_S) -> ProcessUse | None:
        """Return what the predictor reports of itself, or None if it does not answer within `timeout_s`."""
        try:
            reply = await self.client.request("GET", "/health", timeout_s=timeout_s)
            return ProcessUse.model_validate_json(reply.body) if reply.status == 200 else None
        except (TimeoutError, ConnectionFailedError, ValidationError):
            return None


@dataclass(frozen=True)
class ReplicaReport:
    """What is known of a predictor.

    Attributes:
        address: its IP address or the name of its host, and its port.
        process: what it reports of itself; None if it does not answer.
    """

    address: str
    process: ProcessUse | None


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
        self._task: asyncio.Task[None] | None = None
        self._replace([self._make(address) for address in self._find_current()])

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look for predictors, unless there can only be one."""
        if len(self._urls) > 1 or any(map(may_have_several, self._urls)):
            self._task = loop.create_task(self._watch())

    def close(self) -> None:
        """Look for predictors no longer, and close the connections that no request uses."""
        if self._task:
            self._task.cancel()
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
        """Have a predictor predict images; if its connection fails, another one. This is safe: nothing is changed.

        Args:
            replica: as `choose` returned it.
            name: of the model.
            version: of the model.
            images: uint8 [N, H, W, C].
            timeout_s: for all attempts together.

        Raises:
            TimeoutError: the time limit passed.
            ConnectionFailedError: no predictor answers.
            PredictorError: a predictor refuses the images, or its reply cannot be used.
        """
        failed: tuple[Replica, ...] = ()
        begun_s, left_s = perf_counter(), timeout_s
        while True:
            asked, client = replica, replica.client
            asked.load += len(images)
            try:
                computed = await client.predict(name, version, images, left_s)
            except ConnectionFailedError:
                failed += (asked,)
                if client is asked.client:  # else its calls were aborted, and it may answer again
                    self.drop(asked)
                left_s = begun_s + timeout_s - perf_counter()
                other = self.choose([one for one in failed if not one.is_up or one is asked])
                if other is None:
                    raise
                replica = other
            except TimeoutError:
                if not failed:  # else the predictor had less time than the limit
                    self.drop(asked)
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

    def drop(self, replica: Replica) -> None:
        """Send no more calls to a predictor that has failed, and look at once for others."""
        self._has_failed.set()
        self._mark_down(replica)

    def _mark_down(self, replica: Replica) -> None:
        if replica.is_up:
            replica.is_up = False
            self._sort()
            if len(self._all) > 1:
                log.warning("a predictor does not answer and gets no more calls", address=str(replica.address))

    def take_back(self, replica: Replica) -> None:
        """Send calls to a predictor that answers again."""
        if not replica.is_up and self._all.get(replica.address) is replica:
            replica.is_up = True
            self._sort()
            if len(self._all) > 1:
                log.info("a predictor answers and gets calls", address=str(replica.address))

    async def ask_health(self) -> list[ReplicaReport]:
        """Return what each predictor reports of itself, by address. Those that answer are taken back."""
        replicas = list(self._all.values())
        reports = await asyncio.gather(*(replica.ask_health() for replica in replicas))
        for replica, report in zip(replicas, reports, strict=True):
            if report is not None:
                self.take_back(replica)
        return [ReplicaReport(str(replica.address), report) for replica, report in zip(replicas, reports, strict=True)]

    def count(self) -> tuple[int, int]:
        """Return how many predictors were up, and how many were down, when they were last asked. For any thread."""
        replicas = list(self._all.values())
        up = sum(replica.is_up for replica in replicas)
        return up, len(replicas) - up

    async def is_any_up(self) -> bool:
        """Return whether a predictor answers. The first answer is enough."""
        for report in asyncio.as_completed([replica.ask_health() for replica in self._all.values()]):
            if await report is not None:
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

    async def _watch(self) -> None:
        """Look names up and check predictors until the task is cancelled."""
        loop = asyncio.get_running_loop()
        next_resolution_s = 0.0
        while True:
            try:
                if loop.time() >= next_resolution_s or self._has_failed.is_set():
                    self._has_failed.clear()
                    await self._resolve()
                    next_resolution_s = loop.time() + RESOLVE_EVERY_S
                if len(self._all) > 1:
                    await asyncio.gather(*map(self._check, self._all.values()))
            except Exception:  # a fault of ours must not end the search for predictors
                log.exception("predictors could not be looked for")
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_failed.wait(), CHECK_EVERY_S - PAUSE_S)

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
        reports = await asyncio.gather(*(replica.ask_health() for replica in added))
        for replica, report in zip(added, reports, strict=True):
            replica.is_up = report is not None
        self._replace(replicas)
        log.info("predictors found", addresses=list(map(str, addresses)))

    async def _check(self, replica: Replica) -> None:
        """Drop a predictor that does not answer, and take back one that does.

        If another predictor is up, the calls in flight to one that hangs are sent there.
        """
        if await replica.ask_health(HANGS_AFTER_S) is not None:
            self.take_back(replica)
            return
        self._mark_down(replica)
        if any(other.is_up for other in self._all.values()):
            replica.abort_calls()
