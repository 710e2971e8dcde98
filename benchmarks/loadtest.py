"""Measure whether load tests can be trusted: they should claim a planted slowdown, and nothing about equal backends.

    .venv/test/bin/python -m benchmarks.loadtest [seeds [planted equals hey search]]

Four experiments run in a copy of the project:

- planted: PyTorch against `slow`, a copy of PyTorch's backend that computes 5 ms longer for each prediction.
- equals: PyTorch against itself.
- hey: the p50 of `hey` and of load tests at the same rate, in turns, and the generator's own time. `hey` sends at fixed
  intervals, a load test at random times.
- search: six searches for the largest rate, compared in pairs.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, median_grouped
from typing import Any

from rich.console import Console

from benchmarks.stack import copy_project, running_copy
from services.cli.client import Client

DELAY_S = 0.005
# The end of the backend's function that computes predictions. The delay is inserted before it.
RETURN_CODE = "            return logits.softmax(1)"
# The delay computes and does not sleep: a processor that has slept takes a while to be fast again.
DELAY_CODE = f"""\
            from time import perf_counter
            until = perf_counter() + {DELAY_S}
            while perf_counter() < until:
                pass
"""
TRAINING = {"network": "article", "epochs": 1, "name": "measured"}
EQUALS = {"backends": ["pytorch", "pytorch"], "target_qps": [100], "duration_s": 8}
# At so low a rate, Poisson arrivals seldom overlap. The one connection of hey never has two requests under way.
HEY_QPS = 20
HEY_ROUNDS = 5
HEY_S = 15  # of each tool in each round
HEY_STEP_S = 0.0001  # hey rounds each time to this


@dataclass(frozen=True)
class HeyRound:
    """The figures of one round, in milliseconds.

    Attributes:
        hey_ms: the p50 of hey.
        load_test_ms: the p50 of a load test.
        generator_ms: the median of the load generator's own time, which the load test's latencies contain.
        split_ms: where the load test's time was spent, means.
    """

    hey_ms: float
    load_test_ms: float
    generator_ms: float
    split_ms: dict[str, float]

    @property
    def ratio(self) -> float:
        """The load test's p50 relative to hey's."""
        return self.load_test_ms / self.hey_ms


def copy_with_slow_backend(place: Path) -> None:
    """Copy the project to an empty folder, and add the backend `slow` to the copy."""
    copy_project(place, ("gateway", "loadtest", "stack", "pytorch"))
    slow = place / "services/slow"
    shutil.copytree(place / "services/pytorch", slow)
    for file in slow.glob("*.py"):
        text = file.read_text().replace("services.pytorch", "services.slow")
        text = text.replace('"pytorch"', '"slow"')
        file.write_text(text.replace(RETURN_CODE, DELAY_CODE + RETURN_CODE))
    assert DELAY_CODE in (slow / "backend.py").read_text(), "the delay was not added to the backend"
    (place / ".venv/slow").symlink_to(Path(".venv/pytorch").absolute())


def run_load_test(client: Client, **request: Any) -> Any:
    """Submit a load test of the trained model, wait for its end and return its JSON."""
    work = client.post("/v1/loadtests", {"model": "measured", **request})
    return client.follow(f"/v1/loadtests/{work['id']}")


def collect_claims(client: Client, seeds: int, **request: Any) -> list[dict[str, Any]]:
    """Return the claim and the difference of one load test per seed."""
    claims = []
    for seed in range(seeds):
        (pair,) = run_load_test(client, seed=seed, **request)["comparisons"]
        claims.append({"claim": pair["claim"], **(pair["difference"] or {})})
        print(json.dumps(claims[-1]), flush=True)
    return claims


def run_hey(client: Client) -> float:
    """Return the p50 in milliseconds of `hey` with one connection at HEY_QPS.

    hey's own p50 is rounded to a tenth of a millisecond. This one is interpolated from all times, which are rounded.
    """
    url = f"{client.url}/v1/predictions?model=measured&backends=pytorch"
    command = ["hey", "-o", "csv", "-c", "1", "-q", str(HEY_QPS), "-n", str(HEY_QPS * HEY_S), "-m", "POST"]
    command += ["-T", "image/png", "-D", "samples/seven.png", url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(io.StringIO(answer.stdout)))
    assert rows, answer.stderr
    assert all(row["status-code"] == "200" for row in rows), answer.stdout
    return median_grouped([float(row["response-time"]) for row in rows], interval=HEY_STEP_S) * 1000


def compare_with_hey(client: Client) -> list[HeyRound]:
    """Return HEY_ROUNDS rounds, in which a load test and `hey` take turns."""
    rounds = []
    for seed in range(HEY_ROUNDS):
        found = run_load_test(client, backends=["pytorch"], target_qps=[HEY_QPS], duration_s=HEY_S, seed=seed)
        (result,) = found["results"]["pytorch"]
        hey_ms = run_hey(client)
        rounds.append(HeyRound(hey_ms, result["p50_ms"], result["generator_p50_ms"], result["time_split_ms"]))
        print(rounds[-1], flush=True)
    return rounds


def repeat_searches(client: Client) -> list[tuple[float, float]]:
    """Return the largest rate per second and the search's duration in seconds, of six searches."""
    searches = []
    for seed in range(6):
        start_s = time.perf_counter()
        load_test = run_load_test(client, backends=["pytorch"], target_qps="search", duration_s=60, seed=seed)
        searches.append((load_test["largest_qps"]["pytorch"]["value"], time.perf_counter() - start_s))
        print(searches[-1], flush=True)
    return searches


EXPERIMENTS: dict[str, Callable[[Client, int], Any]] = {
    "planted": lambda client, seeds: collect_claims(client, seeds, scenario="single_stream", duration_s=16),
    "equals": lambda client, seeds: collect_claims(client, seeds, **EQUALS),
    "hey": lambda client, _: compare_with_hey(client),
    "search": lambda client, _: repeat_searches(client),
}


def summarize(results: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield one name and one figure for each question that the experiments answer."""
    if claims := results.get("equals"):
        yield "equals: a difference was claimed", f"{sum(is_difference(claim) for claim in claims)} of {len(claims)}"
    if claims := results.get("planted"):
        slowdowns = sum(is_difference(claim) and claim["value"] > 0 for claim in claims)
        yield "planted: a slowdown was claimed", f"{slowdowns} of {len(claims)}"
        yield "planted: largest error of the 5 ms, in ms", max(abs(claim["value"] - DELAY_S * 1000) for claim in claims)
    rounds: list[HeyRound]
    if rounds := results.get("hey"):
        ratios = [one.ratio for one in rounds]
        yield "hey: median p50 in ms of hey", median(one.hey_ms for one in rounds)
        yield "hey: median p50 in ms of load tests", median(one.load_test_ms for one in rounds)
        yield "hey: median, least and largest ratio", (median(ratios), min(ratios), max(ratios))
        yield "hey: median of the generator's own time in ms", median(one.generator_ms for one in rounds)
        for part in rounds[0].split_ms:
            yield f"hey: mean of {part} in ms, median round", median(one.split_ms[part] for one in rounds)
    if searches := results.get("search"):
        rates = [rate for rate, _ in searches]
        ratios = [max(pair) / min(pair) for pair in zip(rates[::2], rates[1::2], strict=True)]
        yield "search: ratios of three pairs, and their median", (ratios, median(ratios))
        yield "search: longest duration in seconds", max(seconds for _, seconds in searches)


def is_difference(claim: dict[str, Any]) -> bool:
    """Return whether the interval of a claimed difference excludes zero. Without a difference there is no interval."""
    return bool(claim.get("low", 0) > 0 or claim.get("high", 0) < 0)


def main(seeds: int, experiments: list[str]) -> int:
    """Run the experiments, print a summary, and write every figure to .tandem/bench/loadtest.json."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copy_with_slow_backend(place)
        with running_copy(place, place / "state", {"TANDEM_BACKENDS": "pytorch,slow"}) as client:
            client.follow(f"/v1/trainings/{client.post('/v1/trainings', TRAINING)['id']}")
            for experiment in experiments:
                results[experiment] = EXPERIMENTS[experiment](client, seeds)
    Console().print(dict(summarize(results)))
    figures = Path(".tandem/bench")
    figures.mkdir(parents=True, exist_ok=True)
    (figures / "loadtest.json").write_text(json.dumps(results, indent=1, default=asdict))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:] or list(EXPERIMENTS)))
