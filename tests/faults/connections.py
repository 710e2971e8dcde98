"""Attacks with connections and bodies: slow headers, slow bodies, announced bytes, deep JSON, odd headers and ids."""

import contextlib
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults.answers import ask
from tests.faults.attack import ATTACKER, measure_attack, send
from tests.faults.experiment import Experiment, Fault
from tests.faults.traffic import small_training
from tests.faults.waiting import FaultFailureError, wait

ANNOUNCED_BYTES = 64 * 2**20
LARGE_BODY_BYTES = 100_000
UNFINISHED_CONNECTIONS = 100
HEADER_DEADLINE_S = 60  # after this time a connection without complete headers must be closed
SLOW_ATTACK_S = 15  # the gateway waits ten seconds for the headers, and for each 16 kB of a body
NESTING = 5000
PICTURE_HEADER = b"POST /v1/predictions?model=probe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Yield a connection from the attacker's address."""
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(ATTACKER, 0)) as connection:
        yield connection


def announce_large_bodies(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Announce 64 MiB and send nothing, again and again."""
    while not stop.is_set():
        with contextlib.suppress(OSError), connected(port) as connection:
            connection.sendall(PICTURE_HEADER + f"Content-Length: {ANNOUNCED_BYTES}\r\n\r\n".encode())
            _wait_for_end(connection, stop, answers)


def send_headers_slowly(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Send one byte of a request's headers every 100 ms over each of 25 connections."""
    connections: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            for _ in range(UNFINISHED_CONNECTIONS // 4):
                connections.append(stack.enter_context(connected(port)))
                connections[-1].sendall(PICTURE_HEADER)
        while not stop.wait(0.1):
            for connection in list(connections):
                try:
                    connection.sendall(b"X")
                except OSError:
                    answers["closed"] += 1
                    connections.remove(connection)


def send_body_slowly(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Announce a body of 100 kB and send one byte of it every 100 ms."""
    while not stop.is_set():
        try:
            with connected(port) as connection:
                connection.sendall(PICTURE_HEADER + f"Content-Length: {LARGE_BODY_BYTES}\r\n\r\n".encode())
                while not stop.wait(0.1):
                    if select.select([connection], [], [], 0)[0]:
                        data = connection.recv(4096)
                        answers[data.split()[1].decode() if data else "closed"] += 1
                        break
                    connection.sendall(b"x")
        except OSError:
            answers["closed"] += 1


def post_deep_json(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Post JSON that is nested 5,000 deep, to a route of each kind."""
    deep = (b"[" * NESTING + b"]" * NESTING, b'{"a":' * NESTING + b"1" + b"}" * NESTING)
    fields = (b"network", b"model", b"inputs", b"instances", b"parameters", b"unknown")
    bodies = [*deep, *(b'{"' + field + b'":' + each + b"}" for field in fields for each in deep)]
    paths = ("/v1/trainings", "/v1/evaluations", "/v2/models/probe/infer", "/v1/models/probe:predict")
    while not stop.is_set():
        for path in paths:
            for body in bodies:
                answers[send(port, "POST", path, body, {"Content-Type": "application/json"})] += 1


def attack_with_announcements(experiment: Experiment) -> None:
    """Measure another client, and post a body of 100 kB as a third client: it must be read."""
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def post_large() -> None:
        headers = {"Content-Type": "image/png"}
        while not stop.wait(0.2):
            answer = ask(
                experiment.target.url,
                "POST",
                "/v1/predictions?model=probe",
                data=bytes(LARGE_BODY_BYTES),
                headers=headers,
            )
            statuses[answer.status] += 1

    poster = threading.Thread(target=post_large, daemon=True)
    poster.start()
    try:
        measure_attack(experiment, announce_large_bodies)
    finally:
        stop.set()
        poster.join()
    refused = sum(count for status, count in statuses.items() if status not in (400, 422))  # zeros are no picture
    experiment.require(not refused, f"{refused} of {statuses.total()} bodies of another client were not read")


def attack_with_slow_headers(experiment: Experiment) -> None:
    """Measure another client during `send_headers_slowly`. The gateway must close the connections."""
    found = measure_attack(experiment, send_headers_slowly, SLOW_ATTACK_S)
    experiment.require(found.answers["closed"], "no connection with slow headers was closed")


def attack_with_slow_bodies(experiment: Experiment) -> None:
    """Measure another client during `send_body_slowly`. The gateway must refuse the bodies."""
    found = measure_attack(experiment, send_body_slowly, SLOW_ATTACK_S)
    experiment.require(found.answers["408"], "no slow body was refused")


def attack_with_deep_json(experiment: Experiment) -> None:
    """Measure another client during `post_deep_json`, and post the same as one request each."""
    found = measure_attack(experiment, post_deep_json)
    statuses = {answer for answer in found.answers if not answer.startswith(("400", "413", "422", "429"))}
    experiment.require(not statuses, f"deep JSON was answered with {', '.join(sorted(statuses))}")


def leave_headers_unfinished(experiment: Experiment) -> None:
    """Open 100 connections that never finish their headers. The gateway must close them."""
    port = experiment.target.settings.gateway_port
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(port)) for _ in range(UNFINISHED_CONNECTIONS)]
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.sendall(PICTURE_HEADER)
            connection.setblocking(False)
        try:
            wait(
                lambda: all(map(_is_closed, connections)),
                message=lambda: f"{sum(not _is_closed(each) for each in connections)} connections are still open",
                timeout_s=HEADER_DEADLINE_S,
                every_s=1,
            )
        except FaultFailureError as error:
            experiment.failures.append(str(error))


def use_odd_ids(experiment: Experiment) -> None:
    """Read jobs with ids that are none: with a colon, commas, NUL, and 64 x 128 letters."""
    ids = ["x:pytorch", f"{'0' * 32}:pytorch", "a,b,c", "%00", "..%2f..%2fetc", "-", "x" * 64, "%F0%9F%92%A3" * 16]
    for identity in [*ids, "x" * 64 * 128]:
        for kind in ("trainings", "evaluations", "certificates", "transplants", "exports", "loadtests", "deletions"):
            answer = experiment.ask("GET", f"/v1/{kind}/{identity}")
            experiment.require(answer.status in (400, 404, 414, 422, 431), f"an id that is none: {answer}")
    training = experiment.submit("trainings", {"dataset": "digits", "epochs": 1, "name": f"{experiment.name}-x"})
    experiment.wait_final(training)
    for path in (f"{training}:pytorch", f"{training}:comparisons", f"{training}:pytorch:history"):
        answer = experiment.ask("GET", path)
        experiment.require(answer.status in (404, 422), f"an id that is another key: {answer}")


def use_odd_headers(experiment: Experiment) -> None:
    """Send a header whose name has an underscore: it must not override the real one."""
    port = experiment.target.settings.gateway_port
    body = b'{"dataset":"digits","network":"mlp","epochs":1,"name":"odd-header"}'
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
            b"Content_Type: application/json\r\nConnection: close\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        status = connection.recv(100).split()[1].decode()
    experiment.require(status.startswith("4"), f"Content_Type replaced Content-Type: {status}")


def look_for_paths(experiment: Experiment) -> None:
    """Provoke errors, also with folders of pictures that cannot be used, and look for absolute paths in them."""
    settings = experiment.target.settings
    for name, file in (("broken", "train/a/one.png"), ("flat", "one.png"), ("described", "dataset.json")):
        path = settings.data_dir / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no picture")
    answers = [
        experiment.ask("GET", "/v1/models/none"),
        experiment.ask("GET", "/v1/datasets"),
        experiment.ask("GET", "/v1/status"),
        *(experiment.ask("GET", f"/v1/datasets/{name}/samples.png") for name in ("mnist", "none", "broken", "flat")),
        *(
            experiment.ask("POST", "/v1/trainings", json={"dataset": name, "network": "mlp"})
            for name in ("mnist", "none", "broken", "flat", "described")
        ),
    ]
    for answer in answers:
        if answer.status == 202:  # the folder is read when the training runs
            experiment.wait_final(answer.headers["Location"])
            answers.append(experiment.ask("GET", answer.headers["Location"]))
    secrets = [str(settings.state_dir).encode(), str(settings.cache_dir).encode(), str(Path.cwd()).encode()]
    leaks = [answer for answer in answers if any(secret in answer.body for secret in secrets)]
    for leak in leaks[:3]:
        at = min(leak.body.index(secret) for secret in secrets if secret in leak.body)
        text = leak.body[max(0, at - 60) : at + 80].decode(errors="replace")
        experiment.failures.append(f"an absolute path in {leak.method} {leak.path}: {text}")


def read_security_headers(experiment: Experiment) -> None:
    """Look for the headers that tell a browser what a page may do."""
    for path in ("/docs", "/v1/status", "/none"):
        headers = experiment.ask("GET", path).headers
        for name, value in {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "",
            "Referrer-Policy": "",
        }.items():
            experiment.require(value in headers.get(name, "missing") and name in headers, f"{path} has no {name}")


def ask_for_unknown_models(experiment: Experiment) -> None:
    """Ask for 2,000 models that do not exist, and delete one that was asked. Nothing of them may be kept."""
    for number in range(2000):
        ask(experiment.target.url, "POST", f"/v2/models/none-{number}/infer", json={"inputs": []})
    name = f"{experiment.name}-gone"
    path = experiment.submit("trainings", {**small_training(name), "backends": ["pytorch"]})
    version = experiment.wait_final(path)["version"]
    tensor = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [9] * 64}
    asked = experiment.ask("POST", f"/v2/models/{name}-pytorch/infer", json={"inputs": [tensor]})
    experiment.require(asked.is_ok, f"a new model does not answer: {asked}")
    answer = ask(experiment.target.url, "DELETE", f"/v1/models/{name}/pytorch/{version}")
    deletion = experiment.ledger.record_submission("deletions", answer)
    experiment.ledger.deleted.add((name, "pytorch", version))
    if deletion:
        experiment.wait_final(deletion.path)
    for path in ("/metrics", "/v2/models/stats"):
        body = experiment.ask("GET", path).body
        experiment.require(b"none-1" not in body, f"{path} keeps models that do not exist")
        experiment.require(name.encode() not in body, f"{path} keeps a model that was deleted")


def _wait_for_end(connection: socket.socket, stop: threading.Event, answers: "Counter[str]") -> None:
    """Wait until the server closes a connection, or the attack ends."""
    connection.settimeout(0.2)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            data = connection.recv(4096)
            answers[data.split()[1].decode() if data else "closed"] += 1
            return


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b"" or _is_closed(connection)
    except BlockingIOError:
        return False
    except OSError:
        return True


FAULTS = [
    Fault("slow-headers", "fault 27", "slow headers", attack_with_slow_headers, has_trainings=False),
    Fault("slow-bodies", "fault 27", "slow bodies", attack_with_slow_bodies, has_trainings=False),
    Fault(
        "announced-bodies", "attack", "64 MiB announced, nothing sent", attack_with_announcements, has_trainings=False
    ),
    Fault("deep-json", "attack", "JSON nested 5,000 deep", attack_with_deep_json, has_trainings=False, is_short=True),
    Fault("odd-ids", "attack", "ids with colons, commas, 64 x 128 letters", use_odd_ids, is_short=True),
    Fault("unfinished-headers", "attack", "100 connections without headers", leave_headers_unfinished),
    Fault("paths-in-errors", "attack", "absolute paths in errors", look_for_paths, is_short=True),
    Fault("underscore-header", "attack", "Content_Type overrides Content-Type", use_odd_headers),
    Fault("security-headers", "attack", "no security headers", read_security_headers, is_short=True),
    Fault("unknown-models", "attack", "statistics of unknown models", ask_for_unknown_models),
]
