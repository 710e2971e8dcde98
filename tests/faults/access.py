"""Attacks on access: foreign hosts and origins, no tokens, wrong tokens, Redis without a password, old records."""

import contextlib
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from services.stack.stack import free_ports
from tests.faults.answers import Answer, ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import sleep_s
from tests.faults.target import redis_address
from tests.faults.traffic import PICTURE, small_training
from tests.faults.waiting import FaultFailureError, wait

SCOPES = ("read", "predict", "train", "admin")
METHODS = ("get", "post", "put", "delete")
FOREIGN = "attacker.example"
EXAMPLES = {
    "name": "probe",
    "backend": "pytorch",
    "version": "1",
    "alias": "stable",
    "label": "stable",
    "format": "onnx",
}
DAY_S = 86_400
REFUSAL_EVERY_S = 0.12  # an address may send ten requests with a bad token per second


@contextlib.contextmanager
def second_gateway(experiment: Experiment, **variables: str) -> Iterator[str]:
    """Run a second gateway with other settings and its own file of tokens, and yield its URL."""
    (port,) = free_ports(1)
    target = experiment.target
    tokens = target.settings.state_dir / f"tokens-{port}.json"
    changed = {"TANDEM_GATEWAY_PORT": str(port), "TANDEM_TOKEN_FILE": str(tokens), **variables}
    with target.started_service("services.gateway", "gateway", changed) as process:
        url = f"http://127.0.0.1:{port}"
        wait(
            lambda: process.poll() is not None or ask(url, "GET", "/v2/health/live").status,
            message="the second gateway neither answers nor ends",
        )
        yield url if process.poll() is None else ""


def send_foreign_hosts_and_origins(experiment: Experiment) -> None:
    """Ask as a web page would that reaches the gateway by DNS rebinding, or from another origin."""
    url, training = experiment.target.url, small_training(f"{experiment.name}-foreign")
    host, origin = {"Host": FOREIGN}, {"Origin": f"http://{FOREIGN}"}
    picture = {"Content-Type": "image/png"}
    asked: list[Answer] = []
    for headers in (host, origin):
        asked += [
            ask(url, "POST", "/v1/trainings", json=training, headers=headers),
            ask(
                url,
                "POST",
                "/v1/predictions?model=probe",
                data=PICTURE.read_bytes(),
                headers={**headers, **picture},
            ),
            ask(url, "POST", "/v2/models/probe/infer", json={"inputs": []}, headers=headers),
            ask(url, "DELETE", "/v1/models/welcome/pytorch/1", headers=headers),
        ]
    asked += [ask(url, "GET", path, headers=host) for path in ("/v1/trainings", "/v1/models", "/v1/status")]
    for answer in asked:
        experiment.ledger.record(answer)
        who = "Host" if answer in asked[:4] or answer.method == "GET" else "Origin"
        experiment.require(answer.status in (400, 403, 421), f"a foreign {who}: {answer}")
    if any(answer.status == 202 for answer in asked):
        experiment.ledger.unknown_names.add(f"{experiment.name}-foreign")
    preflight = experiment.ask("OPTIONS", "/v1/trainings", headers={**origin, "Access-Control-Request-Method": "POST"})
    allowed = preflight.headers.get("Access-Control-Allow-Origin")
    experiment.require(not allowed, f"CORS allows {allowed}")
    experiment.failures[:] = experiment.failures[:4]


def serve_other_machines_without_tokens(experiment: Experiment) -> None:
    """Start a gateway on all addresses without tokens: it must refuse to start, or require tokens."""
    with second_gateway(experiment, TANDEM_BIND_HOST="0.0.0.0", TANDEM_PUBLIC_HOST="0.0.0.0") as url:
        if not url:
            experiment.notes.append("the gateway does not start")
            return
        for method, path, body in (
            ("GET", "/v1/models", None),
            ("DELETE", "/v1/models/none/pytorch/1", None),
            ("PUT", "/v1/models/none/aliases/stable", {"version": 1}),
            ("POST", "/v1/loadtests", {"model": "none"}),
        ):
            answer = ask(url, method, path, json=body)
            experiment.require(answer.status == 401, f"without a token: {answer}")


def use_every_token_on_every_route(experiment: Experiment) -> None:
    """Ask each route of the OpenAPI document with no, a wrong, and a token of each scope."""
    with second_gateway(experiment) as url:
        document = ask(url, "GET", "/openapi.json").json()
        tokens = {"none": "", "wrong": "tandem_000000000000_" + "0" * 64, **_create_tokens(url)}
        count, unexpected = 0, []
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    for name, token in tokens.items():
                        if name in ("none", "wrong"):
                            sleep_s(REFUSAL_EVERY_S)
                        answer = _ask_route(url, method.upper(), path, token)
                        count += 1
                        if not _is_expected(answer, name, item[method]):
                            unexpected.append(f"{name} token: {answer}")
        experiment.notes.append(f"{count} answers, {len(unexpected)} unexpected")
        for each in unexpected[:3]:
            experiment.failures.append(each)


def write_as_nobody(experiment: Experiment) -> None:
    """Try to reach Redis as another user of the machine, who knows no password."""
    kind, address = redis_address(experiment.target.settings)
    script = (
        "import socket,sys\n"
        f"s=socket.socket(socket.AF_{'UNIX' if kind == 'unix' else 'INET'})\n"
        f"s.connect({address!r})\n"
        "s.sendall(b'CONFIG GET dir\\r\\n')\n"
        "sys.exit(0 if s.recv(99).startswith(b'*') else 3)\n"
    )
    is_root = os.geteuid() == 0
    user = pwd.getpwnam("nobody").pw_uid if is_root else None
    command = ["/usr/bin/env", "python3", "-S", "-c", script] if is_root else [sys.executable, "-S", "-c", script]
    answer = subprocess.run(command, user=user, capture_output=True, check=False, cwd="/")
    who = "another user" if is_root else "the same user without a password"
    experiment.notes.append(f"tried as {who}")
    experiment.require(answer.returncode != 0, f"{who} may run CONFIG in Redis")
    if kind == "tcp":
        with socket.socket() as probe:
            experiment.require(probe.connect_ex(address) != 0, f"Redis listens on port {address[1]}")  # type: ignore[index]


def look_for_records_that_never_expire(experiment: Experiment) -> None:
    """Train and evaluate, and then look at what Redis keeps: each record must expire, and RQ's own must be gone."""
    target, days = experiment.target, experiment.target.settings.keep_days
    training = experiment.submit("trainings", small_training(f"{experiment.name}-model"))
    identity = training.rpartition("/")[2]
    experiment.wait_final(training)
    evaluation = experiment.submit("evaluations", {"model": f"{experiment.name}-model"})
    experiment.wait_final(evaluation)
    identities = [identity, evaluation.rpartition("/")[2]]

    def find_keys() -> dict[str, int]:
        with target.connect_admin() as redis:
            keys = [key.decode() for each in identities for key in redis.scan_iter(f"*{each}*", count=1000)]
            return {key: int(redis.ttl(key)) for key in keys}

    # What is removed after the end of a job may be removed a moment later.
    with contextlib.suppress(Exception):
        wait(lambda: not any(key.startswith("rq:") for key in find_keys()), message="RQ's keys", timeout_s=15)
    keys = find_keys()
    experiment.require(keys, "no record was found")
    # A record lives a little longer than its runs.
    endless = [key for key, ttl in keys.items() if not 0 < ttl <= (days + 1) * DAY_S]
    experiment.require(not endless, f"{len(endless)} of {len(keys)} keys do not expire, such as {endless[:1]}")
    rq_keys = [key for key in keys if key.startswith("rq:")]
    experiment.require(not rq_keys, f"RQ keeps {len(rq_keys)} keys of finished work, such as {rq_keys[:1]}")
    arrays = [key for key in keys if key.endswith("answers")]
    experiment.require(not arrays, f"Redis holds arrays: {arrays[:1]}")
    with target.connect_admin() as redis:
        limit = int(redis.config_get("maxmemory")["maxmemory"])
        experiment.require(limit > 0, "Redis has no maxmemory")


def _create_tokens(url: str) -> dict[str, str]:
    """Return a token of each scope. The admin's comes first: it then makes the others.

    Raises:
        FaultFailureError: the gateway makes none.
    """
    tokens: dict[str, str] = {}
    for scope in ("admin", *SCOPES[:-1]):
        headers = {"Authorization": f"Bearer {tokens['admin']}"} if tokens else {}
        answer = ask(url, "POST", "/v1/tokens", json={"name": scope, "scopes": [scope]}, headers=headers)
        body = answer.json()
        if not answer.is_ok or "token" not in body:
            raise FaultFailureError(f"no token was made: {answer}")
        tokens[scope] = body["token"]
    return tokens


def _ask_route(url: str, method: str, path: str, token: str) -> Answer:
    """Ask a route with values that pass its patterns and change nothing."""
    filled = path
    for part in path.split("{")[1:]:
        field = part.partition("}")[0]
        filled = filled.replace("{" + field + "}", EXAMPLES.get(field, "0" * 32))
    if method == "DELETE" or "/aliases/" in path:
        filled = filled.replace("/probe", "/none")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body: dict[str, object] | None = {"unknown": 1} if method in ("POST", "PUT") else None  # no route accepts it
    return ask(url, method, filled, json=body, headers=headers)


def _is_expected(answer: Answer, token: str, operation: Any) -> bool:
    """Return whether a route's answer fits its `security` in the OpenAPI document."""
    security = operation["security"]
    scopes = {scope for requirement in security for each in requirement.values() for scope in each}
    is_public = not security  # an empty list: no token is needed
    if answer.is_bare and not is_public:
        return False
    if is_public:
        return answer.status not in (401, 403)
    if token in ("none", "wrong"):
        return answer.status == 401
    if token == "admin" or token in scopes or not scopes:
        return answer.status not in (401, 403)
    return answer.status == 403


FAULTS = [
    Fault(
        "every-token",
        "fault 29",
        "every route times no, bad, read token",
        use_every_token_on_every_route,
    ),
    Fault("foreign-host", "attack", "foreign Host and Origin", send_foreign_hosts_and_origins, is_short=True),
    Fault("no-tokens", "attack", "all addresses without tokens", serve_other_machines_without_tokens, is_short=True),
    Fault("redis-as-nobody", "attack", "Redis without a password", write_as_nobody, is_short=True),
    Fault("endless-records", "attack", "records that never expire", look_for_records_that_never_expire),
]
