"""Jobs are listed, and watched with server-sent events: each state in order, one reader however many watch."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile

import pytest
import requests
from redis import Redis
from redis.client import Monitor

from services.cli.client import Client
from tests.polling import wait_until

pytestmark = pytest.mark.stack

TIMEOUT_S = 60
WATCHERS = 10
KINDS = ("trainings", "evaluations", "certificates", "loadtests", "transplants", "exports", "deletions")
ENDLESS = {"dataset": "digits", "epochs": 1000, "batch_size": 1}
END_OF_TEST = "tandem:end-of-test"


@dataclass
class ServerEvent:
    """An event of a stream."""

    name: str
    identity: str
    body: dict


@contextmanager
def watching(url: str, **options: object) -> Iterator[Iterator[ServerEvent]]:
    """Open a stream and yield its events."""
    with requests.get(f"{url}/events", stream=True, timeout=TIMEOUT_S, **options) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield read_events(answer)


def read_events(answer: requests.Response) -> Iterator[ServerEvent]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines(decode_unicode=True):
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield ServerEvent(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def test_the_events_of_a_training_are_in_order_and_end_with_it(client: Client) -> None:
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 5, "name": "watched"})
    path = f"/v1/trainings/{training['id']}"
    with watching(client.url + path) as events:
        states = list(events)
    assert {state.name for state in states} == {"state"}
    assert states[0].body["id"] == training["id"]
    assert states[-1].body == client.get(path)
    assert states[-1].body["status"] == "succeeded"
    for backend in training["runs"]:
        epochs = [state.body["runs"][backend]["epoch"] for state in states]
        assert epochs == sorted(epochs)
    assert len({state.identity for state in states}) == len(states)


def test_ten_watchers_are_served_by_one_reader_and_one_listener(client: Client, redis: Redis) -> None:
    """Redis itself reports the commands. Ten readers would read the record ten times per state."""
    training = client.post("/v1/trainings", {**ENDLESS, "name": "watched-by-ten"})
    path = f"/v1/trainings/{training['id']}"
    with ExitStack() as streams:
        streams.callback(client.post, f"{path}/cancel", {})  # also if the test fails: it would train for minutes
        watchers = [streams.enter_context(watching(client.url + path)) for _ in range(WATCHERS)]
        assert all(next(events).body["id"] == training["id"] for events in watchers)
        wait_until(lambda: count_listeners(redis) == 1, message="not exactly one connection waits for changes")
        with redis.monitor() as monitor:
            next(event for event in watchers[0] if count_epochs(event) >= 2)
            client.post(f"{path}/cancel", {})
            ends = [list(events)[-1] for events in watchers]
            redis.exists(END_OF_TEST)
            reads = count_reads(monitor, f"HGETALL tandem:training:{training['id']}")
    assert [end.body["status"] for end in ends] == ["cancelled"] * WATCHERS
    assert len({end.identity for end in ends}) == 1
    assert 0 < reads < WATCHERS * (2 + count_epochs(ends[0]))
    wait_until(lambda: count_listeners(redis) == 0, message="a connection still waits for changes")


def count_listeners(redis: Redis) -> int:
    """Return how many connections of gateways wait for changes."""
    return sum(client["cmd"] == "xread" for client in redis.client_list())


def count_epochs(event: ServerEvent) -> int:
    """Return how many epochs all runs of a training have finished together."""
    return sum(run["epoch"] for run in event.body["runs"].values())


def count_reads(monitor: Monitor, read: str) -> int:
    """Return how often Redis has executed a command until the end of the test."""
    commands = (entry["command"] for entry in monitor.listen())
    return sum(command == read for command in takewhile(lambda command: END_OF_TEST not in command, commands))


def test_a_stream_of_a_job_that_has_ended_has_one_event(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/trainings/{digits_model['id']}"
    with watching(url) as events:
        (event,) = events
    assert event.body == client.get(f"/v1/trainings/{digits_model['id']}")
    again = requests.get(f"{url}/events", headers={"Last-Event-ID": event.identity}, timeout=TIMEOUT_S)
    assert (again.status_code, again.content) == (204, b"")
    head = requests.head(f"{url}/events", timeout=TIMEOUT_S)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, "text/event-stream", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_of_an_unknown_job_is_refused(client: Client, kind: str) -> None:
    answer = requests.get(f"{client.url}/v1/{kind}/{'0' * 32}/events", timeout=TIMEOUT_S)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_every_kind_of_job_is_listed_searched_and_watched(client: Client, digits_model: dict) -> None:
    """Each kind gets two jobs; most are ended before they begin, which is fast."""
    version = digits_model["version"]
    model = {"model": digits_model["name"], "version": version}
    load = {**model, "target_qps": [1], "duration_s": 1}
    path = f"/v1/models/{digits_model['name']}/pytorch/{version}"
    requests_of_kinds = {
        "evaluations": ("/v1/evaluations", model),
        "certificates": ("/v1/certificates", {"dataset": "digits", "steps": 1}),
        "loadtests": ("/v1/loadtests", load),
        "transplants": (f"{path}/transplant", {"to": "tensorflow"}),
        "exports": (f"{path}/exports", {"format": "onnx"}),
        "trainings": ("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "listed"}),
    }
    for kind, (address, body) in requests_of_kinds.items():
        first, second = (client.post(address, body)["id"] for _ in range(2))
        check_list(client, kind, [second, first])
    copies = [
        client.follow(f"/v1/transplants/{job['id']}") for job in client.get("/v1/transplants?limit=2")["transplants"]
    ]
    for copy in copies:
        model = copy["model"]
        answer = requests.delete(
            f"{client.url}/v1/models/{model['name']}/{model['backend']}/{model['version']}", timeout=30
        )
        assert answer.status_code == 202, answer.text
    deletions = [job["id"] for job in client.get("/v1/deletions?limit=2")["deletions"]]
    check_list(client, "deletions", deletions)


def check_list(client: Client, kind: str, newest: list[str]) -> None:
    """Check the list of a kind whose two newest jobs are given, and watch the newest one until it ends."""
    path = f"/v1/{kind}"
    assert [job["id"] for job in client.get(f"{path}?limit=2")[kind]] == newest
    page = client.get(f"{path}?limit=1")
    assert ([job["id"] for job in page[kind]], page["next"]) == (newest[:1], newest[0])
    assert [job["id"] for job in client.get(f"{path}?limit=1&before={page['next']}")[kind]] == newest[1:]
    assert [job["id"] for job in client.get(f"{path}?search={newest[1][:12].upper()}")[kind]] == newest[1:]
    with watching(f"{client.url}{path}/{newest[0]}") as events:
        last = list(events)[-1]
    assert last.body == client.get(f"{path}/{newest[0]}")
    assert last.body["status"] == "succeeded", last.body
    found = client.get(f"{path}?search=succeeded+{newest[0]}")
    assert (found[kind], found["next"]) == ([last.body], None)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (f"before={'0' * 32}", "there is no training '0"),
        ("before=x", "before"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        (f"search={'x' * 101}", "search"),
        ("history=some", "history"),
        ("unknown=1", "unknown"),
    ],
)
def test_a_list_that_cannot_be_returned_is_refused_with_the_reason(client: Client, query: str, detail: str) -> None:
    answer = requests.get(f"{client.url}/v1/trainings?{query}", timeout=TIMEOUT_S)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert detail in answer.json()["detail"]


def test_the_status_names_what_runs_and_what_waits(client: Client) -> None:
    ids = [client.post("/v1/trainings", {**ENDLESS, "name": f"waiting-{number}"})["id"] for number in range(4)]
    running, *waiting = ({"kind": "training", "id": identity} for identity in ids)
    try:
        client.post(f"/v1/trainings/{ids[2]}/cancel", {})

        def is_shown() -> bool:
            queues = client.get("/v1/status")["backends"].values()
            return all(
                [trainer["running"] for trainer in queue["trainers"]] == [running]
                and queue["waiting"] == [waiting[0], waiting[2]]
                for queue in queues
            )

        wait_until(is_shown, message="the status does not show the jobs")
    finally:
        for identity in ids:
            requests.post(f"{client.url}/v1/trainings/{identity}/cancel", timeout=TIMEOUT_S)
