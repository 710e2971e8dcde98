"""Server-sent events of jobs: each state in order until the job ends, one reader however many watch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests

from services.cli.client import Client

pytestmark = pytest.mark.stack

TIMEOUT_S = 60


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
