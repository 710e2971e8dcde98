"""Whether a load test can be believed: it claims nothing of equals, and finds a slowness that was planted.

    .venv/test/bin/python -m benchmarks.loadtest [seeds [planted equals hey search]]

In a copy of the project a backend `slow` is added: PyTorch's, which computes 5 ms longer for each prediction. An A/A
test holds PyTorch against itself; the other holds `slow` against PyTorch. Then `hey` at the same rate,
interleaved with load tests, and three pairs of searches.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.stack import copy_project
from services.cli.client import Client, ClientError
from services.stack.stack import isolate_environ

DELAY_S = 0.005
# Computing, not sleeping: a processor that has slept takes a while to be fast again, which is slowness, too.
PLANTED = f"""\
        from time import perf_counter
        until = perf_counter() + {DELAY_S}
        while perf_counter() < until:
            pass
"""
TRAINING = {"network": "article", "epochs": 1, "name": "measured"}
HEY_QPS = 20  # so few that Poisson arrivals seldom meet: hey's one connection never has two under way


def copy_with_slow(place: Path) -> None:
    """A copy of the project, with a slow twin of PyTorch's backend."""
    copy_project(place, ("gateway", "loadtest", "stack", "pytorch"))
    slow = place / "services/slow"
    shutil.copytree(place / "services/pytorch", slow)
    for file in slow.glob("*.py"):
        text = (
            file.read_text().replace("services.pytorch", "services.slow").replace('NAME = "pytorch"', 'NAME = "slow"')
        )
        text = text.replace("        return probabilities(", f"{PLANTED}        return probabilities(")
        file.write_text(text)
    assert "until" in (slow / "backend.py").read_text(), "the slowness was not planted"
    (place / ".venv/slow").symlink_to(Path(".venv/pytorch").absolute())


@contextmanager
def running(place: Path) -> Iterator[Client]:
    """The copy's stack in the foreground, and a client of it."""
    environ = {"TANDEM_CACHE_DIR": str(Path(".tandem/data").absolute()), **os.environ}
    environ = isolate_environ({**environ, "TANDEM_BACKENDS": "pytorch,slow"}, place / "state")
    with (place / "log").open("wb") as log:
        python = place / ".venv/stack/bin/python"
        up = subprocess.Popen([python, "-m", "services.stack", "up"], cwd=place, env=environ, stdout=log, stderr=log)
    client = Client(f"http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']}")
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if all(state == "up" for state in client.get("/v2/health/ready")["details"].values()):
                    break
            except ClientError:
                pass
            assert up.poll() is None, (place / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (place / "log").read_text()[-3000:]
            time.sleep(0.5)
        yield client
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)


def test(client: Client, **request: Any) -> Any:
    work = client.post("/v1/loadtests", {"model": "measured", **request})
    return client.follow(f"/v1/loadtests/{work['id']}")


def claims(client: Client, seeds: int, **request: Any) -> list[dict[str, Any]]:
    found = []
    for seed in range(seeds):
        (pair,) = test(client, seed=seed, **request)["comparisons"]
        found.append({"claim": pair["claim"], **(pair["difference"] or {})})
        print(json.dumps(found[-1]), flush=True)
    return found


def hey_p50_ms(client: Client, seconds: int) -> float:
    """The p50 that `hey` reports of one connection at HEY_QPS."""
    url = f"{client.url}/v1/predictions?model=measured&backends=pytorch"
    command = ["hey", "-c", "1", "-q", str(HEY_QPS), "-n", str(HEY_QPS * seconds), "-m", "POST", "-T", "image/png"]
    answer = subprocess.run([*command, "-D", "samples/seven.png", url], capture_output=True, text=True, check=True)
    found = re.search(r"50% in ([\d.]+) secs", answer.stdout)
    assert found, answer.stdout
    return float(found[1]) * 1000


def hey(client: Client) -> list[tuple[float, float]]:
    """hey's p50 and ours, five times, interleaved."""
    pairs = []
    for seed in range(5):
        ours = test(client, backends=["pytorch"], target_qps=[HEY_QPS], duration_s=10, seed=seed)
        pairs.append((hey_p50_ms(client, 10), ours["results"]["pytorch"][0]["p50_ms"]))
        print(pairs[-1], flush=True)
    return pairs


def search(client: Client) -> list[tuple[float, float]]:
    """The largest rate, six times, and the seconds it took."""
    found = []
    for seed in range(6):
        begun = time.perf_counter()
        largest = test(client, backends=["pytorch"], target_qps="search", duration_s=60, seed=seed)["largest_qps"]
        found.append((largest["pytorch"]["value"], time.perf_counter() - begun))
        print(found[-1], flush=True)
    return found


EQUALS = {"backends": ["pytorch", "pytorch"], "target_qps": [100], "duration_s": 8}
PARTS: dict[str, Callable[[Client, int], Any]] = {
    "planted": lambda client, seeds: claims(client, seeds, scenario="single_stream", duration_s=16),
    "equals": lambda client, seeds: claims(client, seeds, **EQUALS),
    "hey": lambda client, _: hey(client),
    "search": lambda client, _: search(client),
}


def summary(results: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if found := results.get("equals"):
        yield "equals: a difference was claimed", f"{sum(is_claimed(pair) for pair in found)} of {len(found)}"
    if found := results.get("planted"):
        yield "planted: found", f"{sum(is_claimed(pair) and pair['value'] > 0 for pair in found)} of {len(found)}"
        yield "planted: farthest from 5 ms, in ms", max(abs(pair["value"] - DELAY_S * 1000) for pair in found)
    if found := results.get("hey"):
        yield "p50 in ms, of hey and ours, median", [median(values) for values in zip(*found, strict=True)]
    if found := results.get("search"):
        rates = [rate for rate, _ in found]
        ratios = [max(pair) / min(pair) for pair in zip(rates[::2], rates[1::2], strict=True)]
        yield "search: ratios of three pairs, median", (ratios, median(ratios))
        yield "search: seconds, at most", max(seconds for _, seconds in found)


def is_claimed(pair: dict[str, Any]) -> bool:
    return bool(pair.get("low", 0) > 0 or pair.get("high", 0) < 0)


def main(seeds: int, parts: list[str]) -> int:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy_with_slow(Path(folder))
        with running(Path(folder)) as client:
            client.follow(f"/v1/trainings/{client.post('/v1/trainings', TRAINING)['id']}")
            for part in parts:
                results[part] = PARTS[part](client, seeds)
    Console().print(dict(summary(results)))
    place = Path(".tandem/bench")
    place.mkdir(parents=True, exist_ok=True)
    (place / "loadtest.json").write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:] or list(PARTS)))
