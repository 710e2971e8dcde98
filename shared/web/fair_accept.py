"""Several processes accept connections from the same socket, each about as many as the others.

The kernel wakes all processes for a new connection, and the fastest one would take nearly all of those that are opened
at once. A connection stays with its process, so the others would be idle from then on. Therefore a process with more
connections than another one leaves new ones to that one for some milliseconds.
"""

import asyncio
import socket
from collections.abc import Callable

import structlog
from aiohttp import web

from shared.web.process_slots import SharedConnections

LOOK_S = 0.001  # how often a process that leaves connections to others looks whether they have taken them
PATIENCE_LOOKS = 20  # after so many looks it takes them itself: the others are busy or hang
IMPATIENT_S = 0.1  # for how long it then takes all
TOLERATED_SHARE = 16  # the difference may be one connection, and one for each 16

log = structlog.get_logger()


class FairSite(web.BaseSite):
    """A listening socket whose connections go to the process that has the fewest.

    Args:
        runner: of the server.
        listener: the socket. Several processes have it.
        connections: how many connections each process has.
        count: returns how many connections this process has.
    """

    def __init__(
        self,
        runner: web.ServerRunner,
        listener: socket.socket,
        connections: SharedConnections,
        count: Callable[[], int],
    ) -> None:
        super().__init__(runner)
        self._listener, self._connections, self._count = listener, connections, count
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()  # connections that were accepted just now
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0
        self._impatient_until_s = 0.0

    @property
    def name(self) -> str:
        """The address of the socket."""
        return str(self._listener.getsockname())

    async def start(self) -> None:
        """Accept connections from now on."""
        await super().start()
        self._listener.setblocking(False)
        self._publish()
        self._loop.add_reader(self._listener, self._take_or_leave)

    async def stop(self) -> None:
        """Accept no more connections."""
        self._loop.remove_reader(self._listener)
        if self._timer:
            self._timer.cancel()
        self._connections.publish(None)
        if self._beginning:
            await asyncio.wait(self._beginning)
        await super().stop()

    def _publish(self) -> int:
        """Publish how many connections this process has, and return it."""
        connections = self._count() + len(self._beginning)
        self._connections.publish(connections)
        return connections

    def _has_too_many(self) -> bool:
        """Return whether another process should take the next connection."""
        connections, fewest = self._publish(), self._connections.fewest_elsewhere()
        return fewest is not None and connections > fewest + 1 + fewest // TOLERATED_SHARE

    def _take_or_leave(self) -> None:
        """Accept one connection, or leave it to another process for some milliseconds."""
        if self._loop.time() < self._impatient_until_s or not self._has_too_many():
            self._accept()
            return
        self._loop.remove_reader(self._listener)  # it would be called again and again
        self._looks = 0
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Go on accepting if the other processes have more connections now, or take none."""
        self._timer = None
        self._looks += 1
        if self._has_too_many():
            if self._looks < PATIENCE_LOOKS:
                self._timer = self._loop.call_later(LOOK_S, self._look)
                return
            if self._accept():
                self._impatient_until_s = self._loop.time() + IMPATIENT_S
        if self._timer is None:
            self._loop.add_reader(self._listener, self._take_or_leave)

    def _accept(self) -> bool:
        """Accept a connection, and return whether there was one."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:  # no more files may be open
            log.warning("a connection cannot be accepted", reason=str(error))
            self._loop.remove_reader(self._listener)
            self._timer = self._loop.call_later(1, self._resume)
            return False
        task = self._loop.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        self._publish()
        return True

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._take_or_leave)

    async def _begin(self, connection: socket.socket) -> None:
        """Pass an accepted connection to the server."""
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._server_of_runner(), connection)
        except OSError as error:  # the client has gone already
            log.debug("a connection ended at once", reason=str(error))
            connection.close()

    def _server_of_runner(self) -> web.Server:
        assert self._runner.server is not None  # else the site would not have started
        return self._runner.server
