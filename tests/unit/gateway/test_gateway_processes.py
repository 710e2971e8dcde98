"""A gateway with two processes counts, limits and reports as one does. Its predictors are real servers on loopback."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.prediction.batcher import MAX_WAITING_IMAGES
from services.gateway.prediction.model_address import INPUT
from services.stack.stack import free_ports
from shared.models.registry import ModelRegistry
from shared.network.description import PRESETS
from shared.network.weights import initial_weights
from tests.polling import wait_until
from tests.unit.gateway.gateway_process import environ_of
from tests.unit.gateway.test_joint_prediction import HeldPredictor
from tests.unit.models.descriptions import describe

TIMEOUT_S = 60
TITLE = "m-pytorch"
PATH = f"/v2/models/{TITLE}/infer"


class Connection(HTTPConnection):
    """A connection to one of the gateway's processes."""

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        self.request(method, path, None if body is None else json.dumps(body))
        answer = self.getresponse()
        return answer.status, answer.read()

    def ask_bytes(self, path: str, body: bytes) -> int:
        """Return the status of the answer to a body."""
        self.request("POST", path, body)
        answer = self.getresponse()
        answer.read()
        return answer.status

    def predict(self, images: int = 1) -> int:
        """Return the status of a prediction."""
        return self.ask("POST", PATH, infer_body(images))[0]

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all processes: name and values of the labels -> value."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics")[1].decode())
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in families
            for sample in family.samples
        }

    def statistics(self) -> dict[str, object]:
        """Return the model's entry in Triton's statistics."""
        (entry,) = json.loads(self.ask("GET", f"/v2/models/{TITLE}/stats")[1])["model_stats"]
        return dict(entry)


def infer_body(images: int) -> object:
    tensor = {"name": INPUT, "shape": [images, 2, 2, 1], "datatype": "UINT8", "data": [0] * (4 * images)}
    return {"inputs": [tensor]}


class TwoProcesses:
    """A gateway with two processes, and its PyTorch predictor."""

    def __init__(self, state: Path, settings: dict[str, str]) -> None:
        network = PRESETS["article"].network((2, 2, 1), 2)
        ModelRegistry(state / "models").publish("m", "pytorch", 1, describe(network), initial_weights(network, 1), "w")
        self.predictor = HeldPredictor()
        self.port, pytorch_port = free_ports(2)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        start = asyncio.start_server(self.predictor.serve, "127.0.0.1", pytorch_port)
        self.server = asyncio.run_coroutine_threadsafe(start, self.loop).result()
        environ = environ_of(
            state,
            self.port,
            {
                "TANDEM_GATEWAY_PROCESSES": "2",
                "TANDEM_BACKENDS": "pytorch",
                "TANDEM_PREDICTOR_URL": f"http://127.0.0.1:{pytorch_port}",
                **settings,
            },
        )
        self.parent = subprocess.Popen([sys.executable, "-m", "services.gateway"], env=environ)

    def connect(self) -> Connection:
        return Connection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    @contextlib.contextmanager
    def connect_to_both(self) -> Iterator[list[tuple[int, Connection]]]:
        """Yield a connection to each process, and the process' id."""
        found: dict[int, Connection] = {}
        with contextlib.ExitStack() as stack:

            def has_both() -> bool:
                connection = stack.enter_context(contextlib.closing(self.connect()))
                assert connection.ask("GET", "/v2/health/live")[0] == 200
                found.setdefault(self.process_of(connection), connection)
                return len(found) == 2

            wait_until(has_both, message="no second process answers")
            yield list(found.items())

    def process_of(self, connection: Connection) -> int:
        """Return the id of the process that has the other end of a connection."""
        local, remote = f":{self.port:04X}", f":{connection.sock.getsockname()[1]:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        (inode,) = [row[9] for row in rows if row[1].endswith(local) and row[2].endswith(remote)]
        for pid in self.children():
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(file) == f"socket:[{inode}]":
                        return pid
        raise LookupError("no process has the connection")

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def hold_answers(self) -> None:
        self.loop.call_soon_threadsafe(self.predictor.is_permitted.clear)

    def permit_answers(self) -> None:
        self.loop.call_soon_threadsafe(self.predictor.is_permitted.set)

    def stop(self) -> None:
        self.permit_answers()
        self.parent.send_signal(signal.SIGTERM)
        status = self.parent.wait(TIMEOUT_S)
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        assert status == 0


@contextlib.contextmanager
def running(state: Path, settings: dict[str, str] | None = None) -> Iterator[TwoProcesses]:
    gateway = TwoProcesses(state, settings or {})
    try:
        with gateway.connect_to_both():
            yield gateway
    finally:
        gateway.stop()


def test_metrics_and_statistics_count_each_prediction_also_those_of_a_process_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        for count in (5, 10):
            with gateway.connect_to_both() as both:
                for images, (_, connection) in enumerate(both, 1):
                    assert [connection.predict(images) for _ in range(5)] == [200] * 5
                    assert connection.predict(65) == 422
                check_counts(both, predictions=2 * count, images=3 * count, failures=2 * count // 5)
                os.kill(both[0][0], signal.SIGKILL)
        with gateway.connect_to_both() as both:
            check_counts(both, predictions=20, images=30, failures=4)
            before = both[0][1].metrics()
        gateway.parent.send_signal(signal.SIGHUP)
        old = {pid for pid, _ in both}
        wait_until(lambda: not old & set(gateway.children()), message="the processes were not replaced")
        with gateway.connect_to_both() as both:
            check_counts(both, predictions=20, images=30, failures=4)
            after = both[0][1].metrics()
    assert set(before) <= set(after)
    counters = [name for name in before if name.split()[0].endswith(("_total", "_count", "_bucket", "_sum"))]
    assert [name for name in counters if after[name] < before[name]] == []
    assert len([name for name in counters if name.startswith("python_gc")]) == 9


def check_counts(both: list[tuple[int, Connection]], *, predictions: int, images: int, failures: int) -> None:
    """Check that both processes report the same counts."""
    for _, connection in both:
        metrics, statistics = connection.metrics(), connection.statistics()
        route = "POST /v2/models/<name>/infer"
        assert metrics[f"tandem_request_duration_seconds_count {route} 2xx"] == predictions
        assert metrics[f"tandem_request_duration_seconds_bucket +Inf {route} 2xx"] == predictions
        assert metrics[f"tandem_request_duration_seconds_count {route} 4xx"] == failures
        assert metrics["tandem_hop_pictures_sum pytorch"] == images
        assert metrics["tandem_hop_pictures_count pytorch"] == predictions
        assert metrics["process_open_fds"] > 0
        assert (statistics["execution_count"], statistics["inference_count"]) == (predictions, images)
        parts = statistics["inference_stats"]
        assert isinstance(parts, dict)
        assert parts["success"]["count"] == parts["queue"]["count"] == predictions
        assert parts["success"]["ns"] > 0


def test_at_most_512_images_wait_in_both_processes_together(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, contextlib.ExitStack() as stack:
        both = stack.enter_context(gateway.connect_to_both())
        gateway.hold_answers()
        pending: dict[int, list[Connection]] = {pid: [] for pid, _ in both}

        def send(pid: int, images: int) -> None:
            """Send a prediction to a process, and do not wait for its answer."""
            while True:
                connection = stack.enter_context(contextlib.closing(gateway.connect()))
                assert connection.ask("GET", "/v2/health/live")[0] == 200
                if gateway.process_of(connection) == pid:
                    break
            connection.request("POST", PATH, json.dumps(infer_body(images)))
            pending[pid].append(connection)

        def count_waiting() -> set[float]:
            return {connection.metrics()["tandem_prediction_queue_pictures pytorch"] for _, connection in both}

        first, second = pending
        for pid in pending:
            send(pid, 1)  # its call is in flight, so it does not wait
        wait_until(lambda: gateway.predictor.calls == 2, message="the calls did not begin")
        for images in (60, 60, 60, 60, 60):
            send(first, images)
        for images in (60, 60, 60, 32):
            send(second, images)
        wait_until(lambda: count_waiting() == {MAX_WAITING_IMAGES}, message="the images do not wait")
        for _, connection in both:
            status, body = connection.ask("POST", PATH, infer_body(1))
            assert status == 503
            assert b"512 images waiting" in body
            assert connection.metrics()["tandem_prediction_queue_age_seconds pytorch"] > 0
        assert count_waiting() == {MAX_WAITING_IMAGES}

        os.kill(second, signal.SIGKILL)
        both = [both[0]]
        wait_until(lambda: count_waiting() == {300}, message="the images of a dead process still count")
        gateway.permit_answers()
        assert {connection.getresponse().status for connection in pending[first]} == {200}
        wait_until(lambda: count_waiting() == {0}, message="images still wait")


def test_a_client_has_its_rate_in_both_processes_together(tmp_path: Path) -> None:
    """Each process alone would let 40 requests in at once."""
    with (
        running(tmp_path, {"TANDEM_PREDICTION_RATE_LIMIT": "20"}) as gateway,
        gateway.connect_to_both() as ((_, first), (_, second)),
    ):
        statuses = []
        for number in range(1000):
            statuses.append((first, second)[number % 2].predict())
            if statuses[-2:] == [429, 429]:
                break
    assert statuses[-2:] == [429, 429], "neither process refuses the client"


def test_bodies_in_both_processes_count_together(tmp_path: Path) -> None:
    """A client may have 72 MB of bodies on their way."""
    part = bytes(40 * 2**20)
    with running(tmp_path) as gateway, gateway.connect_to_both() as ((_, first), (_, second)):
        for connection in (first, second):
            connection.putrequest("POST", "/v1/predictions?model=m")
            connection.putheader("Content-Length", str(len(part) + 1))
            connection.endheaders()
        first.send(part)
        with contextlib.suppress(ConnectionError):  # the gateway answers before it has read everything
            second.send(part)
        answer = second.getresponse()
        assert answer.status == 503
        assert b"too many of your large bodies" in answer.read()
        first.close()
        with contextlib.closing(gateway.connect()) as third:
            wait_until(
                lambda: third.ask_bytes("/v1/predictions?model=m", part) == 422, message="the body is still counted"
            )


def test_a_port_in_use_is_named_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path / "first") as gateway:
        for processes in ("1", "2"):
            environ = environ_of(tmp_path / "second", gateway.port, {"TANDEM_GATEWAY_PROCESSES": processes})
            command = [sys.executable, "-m", "services.gateway"]
            ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            assert ended.returncode == 1
            message = f"Tandem's gateway cannot listen on 127.0.0.1, port {gateway.port}: Address already in use"
            assert ended.stderr.splitlines() == [message]


@pytest.mark.parametrize("count", ["0", "65", "two"])
def test_an_impossible_number_of_processes_is_refused(tmp_path: Path, count: str) -> None:
    environ = environ_of(tmp_path, 1, {"TANDEM_GATEWAY_PROCESSES": count})
    command = [sys.executable, "-m", "services.gateway"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert ended.returncode == 1
    assert f"TANDEM_GATEWAY_PROCESSES='{count}' is not valid: set it to a whole number from 1 to 64" in ended.stderr
