"""The bench of a load test: its sides, its pictures, and what was measured of each.

Every side gets the same arrivals and the same pictures, in balanced order:
A B, B A, A B, ... so that a machine that grows slower does so for all.
"""

import io
import time
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import requests
from PIL import Image

from services.loadtest import generator
from services.loadtest.generator import OK, Block, Plan
from services.loadtest.results import Measured
from shared.data import batches, datasets
from shared.errors import UnavailableError
from shared.jobs.run_state import Run
from shared.settings import Settings

PICTURES = 1024
WARM_UP = 200  # requests, one after the other
TIMEOUT_S = 10


class Bench:
    """
    Args:
        run: where progress is reported.
        job: the gateway's record: `request`, `sides` (name -> backend), `model`, `version`, `dataset`.

    Attributes:
        measured: side -> target_qps (None where the scenario has none) -> blocks, in the order they were run.
        steps: how many blocks there will be, about; for progress.
    """

    def __init__(self, settings: Settings, run: Run, job: dict[str, Any]) -> None:
        self._settings, self._run = settings, run
        self.sides: dict[str, str] = job["sides"]
        self.measured: dict[str, dict[float | None, list[Measured]]] = {side: {} for side in self.sides}
        self.steps = 0
        self._request = job["request"]
        self._path = f"/v1/predictions?model={job['model']}&version={job['version']}&backends="
        self._pictures = self._encode_pictures(job["dataset"])
        self._begun, self._done = time.perf_counter(), 0

    def order(self, number: int) -> Iterable[str]:
        """The sides' order in a block: each is as often first, and as often last, as any other."""
        sides = list(self.sides)
        turned = number // 2 % len(sides)
        sides = sides[turned:] + sides[:turned]
        return reversed(sides) if number % 2 else sides

    def warm_up(self, side: str) -> float:
        """Have a side's model loaded and its code warm; the requests a second that it answers one by one.

        Raises:
            UnavailableError: it answers none.
        """
        block = self._send(side, "single_stream", 1, WARM_UP, 60, 0)
        if not np.any(block.status == OK):
            raise UnavailableError(f"{side} answered no request of the warm-up: is its predictor up?")
        return len(block.done) / float(block.done.max())

    def measure(self, side: str, target_qps: float | None, queries: int, duration_s: float, seed: int) -> Block:
        """Run and keep one block; numbers of `seed` give the same arrivals to every side."""
        scenario = self._request["scenario"]
        rate = f" at {target_qps:,.0f}/s" if target_qps else ""
        progress = {"done": self._done, "of": max(self.steps, self._done + 1), "doing": f"{side}, {scenario}{rate}"}
        self._run.report(progress=progress)
        begun_s, before = time.perf_counter() - self._begun, self.process_of(side)
        block = self._send(side, scenario, target_qps or 1.0, queries, duration_s, seed)
        after = self.process_of(side)
        used = None
        if before and after and before["pid"] == after["pid"]:
            used = after["cpu_seconds"] - before["cpu_seconds"]
        memory = after["peak_memory_bytes"] if after else None
        self.measured[side].setdefault(target_qps, []).append(Measured(block, begun_s, used, memory))
        self._done += 1
        return block

    def process_of(self, side: str) -> dict[str, Any] | None:
        """What the gateway says of the process that predicts for a side; None while it is down."""
        try:
            answer = requests.get(f"{self._settings.url_of_gateway}/v1/status", timeout=TIMEOUT_S)
            return cast(dict[str, Any] | None, answer.json()["backends"][self.sides[side]]["process"])
        except (requests.RequestException, ValueError, KeyError):
            return None

    def _send(self, side: str, scenario: str, qps: float, queries: int, duration_s: float, seed: int) -> Block:
        url = f"{self._settings.url_of_gateway}{self._path}{self.sides[side]}"
        seed = int(np.random.SeedSequence([self._request["seed"], seed]).generate_state(1)[0])
        return generator.run(Plan(scenario, url, qps, queries, duration_s, seed), self._pictures)

    def _encode_pictures(self, name: str) -> list[bytes]:
        """PNG files of the test split, as a user would post them."""
        found = datasets.find(name, self._settings)
        datasets.ensure_cached(found, self._settings)
        images = datasets.read(found, "test", self._settings).images
        chosen = batches.order(self._request["seed"], 0, len(images))[:PICTURES]
        return [_png(image) for image in images[chosen]]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
