"""A server's process is killed or replaced, and no connection is refused meanwhile."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import requests
from aiohttp import web
from flask import Flask

from services.stack.stack import free_ports
from shared.settings import Settings
from shared.web.process_slots import ProcessSlots, SharedConnections
from shared.web.routes import BufferedRequest, Route
from shared.web.server import HttpServer, serve
from shared.web.server_processes import ServerProcesses, open_listeners
from tests.polling import wait_until
from tests.unit.names import Names

TIMEOUT_S = 30
CRASH = "crash"  # a file in the server's folder: while it exists, a new process ends with CRASH_STATUS
HOLD = "hold"  # a file in the server's folder: while it exists, requests to /loop/wait get no answer
CRASH_STATUS = 7


def run_server(folder: Path, port: int, processes: int) -> int:
    """Run a server whose answers are the id of the process that gave them. The tests start it as a program."""
    slots = ProcessSlots(processes)
    connections = SharedConnections(slots) if processes > 1 else None

    async def answer(request: BufferedRequest) -> web.Response:
        if request.path_values["what"] == "wait":
            (folder / "waiting").touch()
            while (folder / HOLD).exists():
                await asyncio.sleep(0.01)
        if request.path_values["what"] == "hang":
            (folder / "hanging").touch()
            time.sleep(10 * TIMEOUT_S)  # the event loop hangs
        return web.Response(text=str(os.getpid()))

    def serve_requests(on_alive: Callable[[], None]) -> None:
        with contextlib.suppress(FileNotFoundError):
            (folder / CRASH).read_bytes()
            os._exit(CRASH_STATUS)
        settings = Settings.from_env({"TANDEM_STATE_DIR": str(folder)})
        route = Route("/loop/<what>", re.compile("/loop/(?P<what>[^/]+)"), answer)
        server = HttpServer(Flask("test", static_folder=None), [route], 1, shared_connections=connections)
        serve(lambda: server, settings, port, listeners, on_alive)

    listeners = open_listeners("127.0.0.1", port)
    return ServerProcesses(serve_requests, slots, hang_timeout_s=0.5).run()


class RunningServer:
    """The parent process of a server, and its URL."""

    def __init__(self, folder: Path, processes: int = 1) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", __name__, str(folder), str(self.port), str(processes)]
        self.parent = subprocess.Popen(command)

    def ask(self, path: str = "/loop/x") -> int:
        """Return the id of the process that answers a request on a new connection."""
        return int(requests.post(f"{self.url}{path}", timeout=TIMEOUT_S).text)

    def ask_with(self, session: requests.Session) -> int:
        """Return the same for the connection of a session."""
        return int(session.post(f"{self.url}/loop/x", timeout=TIMEOUT_S).text)

    def ask_all(self) -> set[int]:
        """Return the ids of the processes that answer on four new connections, which are open at the same time."""
        with contextlib.ExitStack() as stack:
            return {self.ask_with(stack.enter_context(requests.Session())) for _ in range(4)}

    def replace_all(self) -> None:
        """Send SIGHUP, and wait until all processes have been replaced, and all new ones answer."""
        old = set(self.children())
        self.parent.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & set(self.children()), message="the processes were not replaced")
        wait_until(lambda: len(self.ask_all() - old) == len(old), message="the new processes do not answer")

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text()
        return [int(pid) for pid in text.split()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path)
    try:
        wait_until(running.ask, message="the server did not start")
        yield running
    finally:
        running.parent.kill()
        running.parent.wait()


def test_a_request_to_a_server_whose_process_was_killed_is_answered_by_the_next_process(server: RunningServer) -> None:
    killed = set()
    for _ in range(3):
        pid = server.ask()
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        assert server.ask() not in killed


def test_a_process_that_dies_again_and_again_is_started_until_it_serves(server: RunningServer) -> None:
    (server.folder / CRASH).touch()
    os.kill(server.ask(), signal.SIGKILL)
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as waiting:
        waiting.sendall(b"POST /loop/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_until(lambda: not server.children(), message="no process has died at its start")
        (server.folder / CRASH).unlink()
        assert waiting.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_process_that_hangs_is_replaced(server: RunningServer) -> None:
    hanging = server.ask()
    with pytest.raises(requests.ConnectionError):
        server.ask("/loop/hang")
    assert server.ask() != hanging


def test_a_process_that_was_stopped_together_with_its_parent_goes_on(server: RunningServer) -> None:
    child = server.ask()
    for _ in range(5):  # the stop must sometimes come just after the parent has heard of the process
        for pid in (server.parent.pid, child):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1)
        for pid in (server.parent.pid, child):
            os.kill(pid, signal.SIGCONT)
        assert server.ask() == child


def test_sighup_replaces_the_process_which_finishes_its_requests(server: RunningServer) -> None:
    (server.folder / HOLD).touch()
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as held, requests.Session() as kept:
        old = int(kept.post(f"{server.url}/loop/x", timeout=TIMEOUT_S).text)
        held.sendall(b"POST /loop/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_until((server.folder / "waiting").exists, message="the request did not arrive")
        server.parent.send_signal(signal.SIGHUP)
        wait_until(lambda: server.ask() != old, message="the process was not replaced")
        answer = wait_until(lambda: closing_answer(kept, server), message="the kept connection was not closed in order")
        assert int(answer.text) == old
        assert int(kept.post(f"{server.url}/loop/x", timeout=TIMEOUT_S).text) != old
        (server.folder / HOLD).unlink()
        with held.makefile("rb") as reply:
            assert reply.read().endswith(str(old).encode())
    wait_until(lambda: old not in server.children(), message="the old process did not end")


def closing_answer(session: requests.Session, server: RunningServer) -> requests.Response | None:
    """Return the answer on a session's connection if the server closes the connection behind it."""
    answer = session.post(f"{server.url}/loop/x", timeout=TIMEOUT_S)
    return answer if answer.headers.get("Connection") == "close" else None


def test_a_replacement_that_does_not_start_leaves_the_old_process_serving(server: RunningServer) -> None:
    old = server.ask()
    (server.folder / CRASH).touch()
    server.parent.send_signal(signal.SIGHUP)
    seen: set[int] = set()

    def count_attempts() -> bool:
        seen.update(server.children())
        return len(seen) > 2

    wait_until(count_attempts, message="the replacement was not tried again", every_s=0.001)
    assert server.ask() == old


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_both_processes(server: RunningServer, signum: signal.Signals) -> None:
    pid = server.ask()
    server.parent.send_signal(signum)
    assert server.parent.wait(TIMEOUT_S) == 0
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(requests.ConnectionError):
        server.ask()


def test_the_process_ends_with_its_parent(server: RunningServer) -> None:
    pid = server.ask()
    server.parent.kill()
    server.parent.wait()
    wait_until(lambda: has_ended(pid), message="the process outlived its parent")


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def test_a_server_that_never_starts_ends_with_the_status_of_its_process(tmp_path: Path) -> None:
    (tmp_path / CRASH).touch()
    running = RunningServer(tmp_path)
    assert running.parent.wait(TIMEOUT_S) == CRASH_STATUS


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RunningServer]:
    """Yield a server with two processes."""
    running = RunningServer(tmp_path, processes=2)
    try:
        wait_until(lambda: len(running.ask_all()) == 2, message="the two processes did not start")
        yield running
    finally:
        running.parent.kill()
        running.parent.wait()


def test_two_processes_share_connections_that_are_opened_at_once(pair: RunningServer) -> None:
    sessions = [requests.Session() for _ in range(16)]
    try:
        counts = Counter(pair.ask_with(session) for session in sessions)
        assert min(counts.values()) >= 5
        assert len(counts) == 2
    finally:
        for session in sessions:
            session.close()


def test_while_a_process_is_killed_and_replaced_again_and_again_no_request_to_the_other_one_fails(
    pair: RunningServer,
) -> None:
    survivor = pair.ask()
    with requests.Session() as kept, ThreadPoolExecutor(1) as pool:
        while pair.ask_with(kept) != survivor:
            kept.close()
        for _ in range(10):
            (victim,) = wait_until(lambda: pair.ask_all() - {survivor}, message="there is no second process")
            answers = pool.submit(lambda: [pair.ask_with(kept) for _ in range(50)])
            os.kill(victim, signal.SIGKILL)
            assert pair.ask_all() <= {*pair.children(), survivor}  # on new connections
            assert set(answers.result()) == {survivor}
    assert pair.parent.poll() is None


def test_a_process_that_hangs_does_not_stop_the_other_one(pair: RunningServer) -> None:
    with requests.Session() as session, ThreadPoolExecutor(1) as pool:
        hanging = pair.ask_with(session)
        lost = pool.submit(session.post, f"{pair.url}/loop/hang", timeout=TIMEOUT_S)
        wait_until((pair.folder / "hanging").exists, message="the process does not hang")
        assert hanging not in pair.ask_all()
        with pytest.raises(requests.ConnectionError):
            lost.result()
    wait_until(lambda: len(pair.ask_all() - {hanging}) == 2, message="the process was not replaced")


def test_sighup_under_load_replaces_both_processes_and_loses_no_request(pair: RunningServer) -> None:
    stop = Event()

    def ask_until_stopped() -> set[int]:
        pids = set()
        with requests.Session() as session:
            while not stop.is_set():
                pids.add(pair.ask_with(session))
        return pids

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask_until_stopped) for _ in range(8)]
        generations = [set(pair.children())]
        try:
            for _ in range(2):
                pair.replace_all()
                generations.append(set(pair.children()))
        finally:
            stop.set()
        answered = set.union(*(client.result() for client in clients))
    assert set.union(*generations) >= answered
    assert all(answered & generation for generation in generations)


def test_sigterm_ends_all_processes(pair: RunningServer) -> None:
    children = pair.children()
    assert len(children) == 2
    pair.parent.send_signal(signal.SIGTERM)
    assert pair.parent.wait(TIMEOUT_S) == 0
    assert all(map(has_ended, children))


def test_a_second_server_with_two_processes_on_a_port_in_use_ends_at_once(pair: RunningServer) -> None:
    command = [sys.executable, "-m", __name__, str(pair.folder), str(pair.port), "2"]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert len(pair.ask_all()) == 2


def test_a_port_in_use_is_an_error(server: RunningServer) -> None:
    with pytest.raises(OSError, match="in use"):
        open_listeners("127.0.0.1", server.port)


def test_of_the_addresses_of_a_name_only_those_of_this_machine_are_listened_on(names: Names) -> None:
    """192.0.2.1 is reserved for documents: no machine has it."""
    names.addresses["gateway.test"] = ["192.0.2.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"]
    (port,) = free_ports(1)
    listeners = open_listeners("gateway.test", port)
    assert [listener.getsockname() for listener in listeners] == [("127.0.0.1", port), ("127.0.0.2", port)]
    for listener in listeners:
        listener.close()
    names.addresses["gateway.test"] = ["192.0.2.1"]
    with pytest.raises(OSError, match="assign requested address"):
        open_listeners("gateway.test", port)


if __name__ == "__main__":
    sys.exit(run_server(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
