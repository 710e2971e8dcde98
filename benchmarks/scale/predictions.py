"""Times predictions: one after the other, and as many as a few connections get."""

import threading
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale.timing import Caller, Times, summarize

PICTURE = Path("samples/seven-8x8.png")
HEADERS = {"Content-Type": "image/png"}
REQUESTS = 2000
WARM_UP = 200
CONNECTIONS = 8
LOAD_S = 3.0


class PredictionTimes(NamedTuple):
    """How fast predictions of one model are.

    Attributes:
        alone: of requests one after the other.
        rate: requests per second of all connections together.
    """

    alone: Times
    rate: float


def time_predictions(url: str, model: str) -> PredictionTimes:
    """Post a picture to a model's newest version, first with one connection, then with several."""
    address, picture = f"/v1/predictions?model={model}", PICTURE.read_bytes()

    def predict(caller: Caller) -> tuple[float, int]:
        elapsed_ms, status, body = caller.call(address, "POST", picture, HEADERS)
        if status != 200:
            raise SystemExit(f"{address} answered {status}: {body[:300]!r}")
        return elapsed_ms, len(body)

    caller = Caller(url)
    for _ in range(WARM_UP):
        predict(caller)
    times = [predict(caller) for _ in range(REQUESTS)]
    answered = [0] * CONNECTIONS
    ends = time.monotonic() + LOAD_S

    def load(number: int) -> None:
        mine = Caller(url)
        while time.monotonic() < ends:
            predict(mine)
            answered[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return PredictionTimes(
        summarize([elapsed_ms for elapsed_ms, _ in times], size=times[-1][1]), sum(answered) / LOAD_S
    )
