"""The parent of a server's processes: it owns the listening sockets, and starts the processes that serve them.

While a process starts, connections wait in the sockets' backlog, so a process can die or be replaced without a refused
connection. A process says every second that it is alive. One that has not for HANG_TIMEOUT_S is killed and replaced.

The parent reads no request. It imports no web framework, and its children are forks that do so themselves. Several
processes share figures in memory that the parent makes before it forks: `process_slots.py`.

    SIGHUP             start new processes; when they serve, the old ones finish their requests and end
    SIGTERM, SIGINT    end all processes, then the parent
"""

import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shared.process import end_with_parent
from shared.web.process_slots import ProcessSlots

BACKLOG = 1024  # connections that wait to be accepted
POLL_S = 0.05  # how often the parent looks whether a new process serves
ALIVE_S = 1.0  # how often a process that serves says so
HANG_TIMEOUT_S = 15.0  # garbage collection and a busy machine stop a process for less than a second
START_TIMEOUT_S = 60.0  # a process that does not serve by then is killed
DRAIN_TIMEOUT_S = 30.0  # a replaced process that has not ended by then is killed
STOP_TIMEOUT_S = 7.0  # the same after SIGTERM: supervisor waits 8 s, and Docker 10 s
FIRST_PAUSE_S = 0.1  # before a process that died while it started is started again; doubled at each failure in a row
LONGEST_PAUSE_S = 5.0
PIPE_BYTES = 64 * 2**10  # as many as a pipe holds
FORCED_EXIT = 128  # plus the number of the signal: what shells report of a killed process
HANDLED_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}

Serve = Callable[[Callable[[], None]], None]

log = structlog.get_logger()


def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for all addresses of a host that this machine has.

    The name of a container's service stands for all its replicas, so it may have addresses of others.

    Raises:
        OSError: the port is in use, the host is unknown, or none of its addresses is this machine's.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
    listeners, error = [], OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, address in addresses:
        try:
            listeners.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
        except OSError as failure:
            if failure.errno != errno.EADDRNOTAVAIL:
                raise
            error = failure
    if not listeners:
        raise error
    return listeners


@dataclass(eq=False)
class _Child:
    """A process that serves, or is about to.

    Attributes:
        slot: its number among the running processes.
        pipe: the read end of a pipe; the process writes to it when it serves, and then every ALIVE_S seconds.
        is_serving: whether it serves.
        is_replaced: whether a newer process takes its place.
        is_told_to_end: whether it was told to finish its requests and end.
        is_late: whether the time to kill it has come once, and it has not said that it is alive since.
        killed_at_s: when it is killed, unless it says that it is alive, or ends before; seconds of `time.monotonic`.
    """

    pid: int
    slot: int
    pipe: int
    killed_at_s: float | None
    is_serving: bool = False
    is_replaced: bool = False
    is_told_to_end: bool = False
    is_late: bool = False


class ServerProcesses:
    """Starts processes that serve the same sockets, and replaces each one that dies.

    Args:
        serve: called in each process with a function that it calls when it serves, and then every ALIVE_S seconds.
            When `serve` returns, the process ends. It must handle SIGTERM (end soon) and SIGHUP (accept no more
            connections, finish the open ones, end).
        slots: how many processes serve at the same time, and a slot for each; by default one process.
        hang_timeout_s: for how long a process that serves may not say that it is alive.
    """

    def __init__(self, serve: Serve, slots: ProcessSlots | None = None, hang_timeout_s: float = HANG_TIMEOUT_S) -> None:
        self._serve, self._hang_timeout_s = serve, hang_timeout_s
        self._slots = slots or ProcessSlots(1)
        self._count = self._slots.processes
        self._is_replacement_due = False
        self._children: list[_Child] = []
        self._parent = os.getpid()
        self._original_mask: set[int] = set()
        self._has_served = False
        self._failed_starts = 0  # in a row
        self._start_at_s = 0.0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            The exit status: 0, or that of a process that ended before any process had ever served.
        """
        # Blocked signals wait for `sigtimedwait`. So this class needs no handlers, and loses no signal.
        self._original_mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS))
        try:
            while True:
                self._start_missing()
                received = self._wait_for_signal()
                self._note_alive()
                status = self._reap()
                if status is not None:
                    return status
                if received in (signal.SIGTERM, signal.SIGINT):
                    return 0
                # While a replacement starts, a further one would only start more processes.
                if received == signal.SIGHUP and all(child.is_serving for child in self._current()):
                    self._is_replacement_due = True
                self._replace_if_due()
                self._drain_replaced()
                self._kill_late()
        finally:
            self._stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._original_mask)

    def _current(self) -> list[_Child]:
        """Return the processes that no newer process replaces."""
        return [child for child in self._children if not child.is_replaced]

    def _replace_if_due(self) -> None:
        """Have new processes take the place of all, once enough of those that were replaced before have ended."""
        if self._is_replacement_due and len(self._children) + self._count <= self._slots.count:
            log.info("replacing the server's processes")
            self._is_replacement_due = False
            for child in self._children:
                child.is_replaced = True

    def _start_missing(self) -> None:
        while len(self._current()) < self._count and time.monotonic() >= self._start_at_s:
            self._children.append(self._start())

    def _start(self) -> _Child:
        slot = self._slots.find_free()
        pipe, announce = os.pipe()
        os.set_blocking(announce, False)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(pipe)
            self._slots.enter(slot)
            self._run_child(announce)
        self._slots.occupy(slot, pid)
        os.close(announce)
        os.set_blocking(pipe, False)
        return _Child(pid, slot, pipe, time.monotonic() + START_TIMEOUT_S)

    def _run_child(self, announce: int) -> None:
        """Serve, and end the process."""
        status = 1
        try:
            end_with_parent(signal.SIGKILL)
            if os.getppid() == self._parent:  # else it ended before the line above
                signal.pthread_sigmask(signal.SIG_SETMASK, self._original_mask)
                self._serve(lambda: _announce(announce))
                status = 0
        except SystemExit as end:  # its text, if it has one, says what prevents the server from starting
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            status = end.code if isinstance(end.code, int) else 1
        except KeyboardInterrupt:
            status = FORCED_EXIT + signal.SIGINT
        except BaseException:
            log.exception("the server's process failed")
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)  # a thread that does not end must not keep the process

    def _wait_for_signal(self) -> int | None:
        """Return the next signal, or None when there is something else to do."""
        now_s = time.monotonic()
        times_s = [child.killed_at_s for child in self._children if child.killed_at_s is not None]
        if not all(child.is_serving for child in self._children):
            times_s.append(now_s + POLL_S)
        if len(self._current()) < self._count:
            times_s.append(self._start_at_s)
        if not times_s:
            return signal.sigwaitinfo(HANDLED_SIGNALS).si_signo
        received = signal.sigtimedwait(HANDLED_SIGNALS, max(0.0, min(times_s) - now_s))
        return received.si_signo if received else None

    def _note_alive(self) -> None:
        """Find the processes that have said that they serve."""
        for child in self._children:
            try:
                is_alive = bool(os.read(child.pipe, PIPE_BYTES))  # else the process has ended
            except BlockingIOError:
                continue
            if is_alive and not child.is_told_to_end:
                if not child.is_serving:  # the others say nothing about whether a new process can start
                    self._has_served, self._failed_starts = True, 0
                child.is_serving, child.is_late = True, False
                child.killed_at_s = time.monotonic() + self._hang_timeout_s

    def _reap(self) -> int | None:
        """Forget the processes that have ended.

        Returns:
            The exit status of a process that ended without serving, if none has ever served; else None.
        """
        for child in list(self._children):
            pid, wait_status, used = os.wait4(child.pid, os.WNOHANG)
            if not pid:
                continue
            self._children.remove(child)
            self._slots.release(child.slot, used.ru_utime + used.ru_stime)
            os.close(child.pipe)
            if child.is_replaced:
                continue
            status = os.waitstatus_to_exitcode(wait_status)
            if not self._has_served:
                return status if status >= 0 else FORCED_EXIT - status
            log.warning("a process of the server ended; another one takes its place", pid=child.pid, status=status)
            if not child.is_serving:
                pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failed_starts)
                self._start_at_s = time.monotonic() + pause_s
                self._failed_starts += 1
        return None

    def _drain_replaced(self) -> None:
        """Once enough new processes serve, tell the replaced ones to finish."""
        if sum(child.is_serving for child in self._current()) < self._count:
            return
        for child in self._children:
            if child.is_replaced and not child.is_told_to_end:
                # A process that does not serve yet has no handler for SIGHUP, so the signal ends it.
                os.kill(child.pid, signal.SIGHUP)
                child.is_told_to_end, child.killed_at_s = True, time.monotonic() + DRAIN_TIMEOUT_S

    def _kill_late(self) -> None:
        """Kill each process whose time has come, after a second look: all may have been stopped, the parent as well."""
        now_s = time.monotonic()
        for child in self._children:
            if child.killed_at_s is None or child.killed_at_s > now_s:
                continue
            if child.is_late:
                log.error("a process of the server hangs, or did not start or end in time: killed", pid=child.pid)
                os.kill(child.pid, signal.SIGKILL)
            child.killed_at_s = None if child.is_late else now_s + 2 * ALIVE_S
            child.is_late = True

    def _stop(self) -> None:
        """End all processes. Those that take longer than STOP_TIMEOUT_S are killed."""
        for child in self._children:
            os.kill(child.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while self._children:
            for child in list(self._children):
                if os.waitpid(child.pid, os.WNOHANG)[0]:
                    self._children.remove(child)
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                for child in self._children:
                    os.kill(child.pid, signal.SIGKILL)
            if self._children:
                signal.sigtimedwait({signal.SIGCHLD}, max(POLL_S, remaining_s))


def _announce(pipe: int) -> None:
    """Tell the parent that this process serves. If the parent is stopped, the pipe becomes full; that says enough."""
    with contextlib.suppress(BlockingIOError):
        os.write(pipe, b"1")
