"""Print one table of what `benchmarks/gpu.sh` measured, and write `gpu.json`.

    python -m benchmarks.gpu_table <folder> <backend> ...

The backends are those whose framework sees a GPU. The exit status is 1 if a suite failed, a resumed training differs or
a figure is missing. Whether the goals are met does not change it: they were set for one kind of GPU.
"""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from benchmarks.gpu import EPOCHS, RESUMED
from shared.network.description import PRESETS

# Seconds per epoch, and how many times faster than the eager step in the same run: the goals on an H100 or H200.
GOALS = {"article": (0.12, 8), "lenet5": (0.45, 5), "cnn": (0.5, 5)}
# What each file of results contains: device -> kind of figure -> names.
EXPECTED = {
    "cuda": {"serving_ms": PRESETS, "resumed_equals_undisturbed": RESUMED, "epochs": EPOCHS},
    "cpu": {"serving_ms": PRESETS},
}


def read_suite(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped; nothing if pytest was stopped before its report."""
    try:
        suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314 - pytest wrote it
    except (OSError, ET.ParseError):
        return {}
    counts = {
        key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    }
    failed = counts["failures"] + counts["errors"]
    return {"passed": counts["tests"] - failed - counts["skipped"], "failed": failed, "skipped": counts["skipped"]}


def name_gpu() -> str:
    """Return the GPU's name and the driver's version as nvidia-smi states them."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def list_missing(results: dict[str, Any]) -> list[str]:
    """Return one line for each figure that was not measured, with the reason."""
    return [
        f"  not measured: {kind} {name} on {device}: "
        + results[device].get("errors", {}).get(f"{kind} {name}", "the measurement ended before it")
        for device, kinds in EXPECTED.items()
        for kind, names in kinds.items()
        for name in names
        if name not in results[device].get(kind, {})
    ]


def list_missed_goals(network: str, ways: dict[str, Any]) -> list[str]:
    """Return the goals that an epoch misses. Without an eager step there is nothing to compare with."""
    goal_s, goal_times = GOALS[network]
    recorded, eager = ways["recorded"], ways.get("eager")
    missed = ["seconds"] if recorded["median_s"] > goal_s else []
    if eager and eager["median_s"] / recorded["median_s"] < goal_times:
        missed.append("times")
    if eager and eager["accuracy"] != recorded["accuracy"]:  # the recorded step computes the same bits
        missed.append("accuracy")
    return missed


def describe_epochs(found: dict[str, Any]) -> list[str]:
    """Return the lines of the table about epochs."""
    lines = [
        f"  {'epoch':10} {'eager, s':>10} {'recorded, s':>12} {'goal, s':>8} {'times':>7} {'goal':>5}  "
        f"{'met':24} accuracies"
    ]
    for network, ways in found.items():
        recorded, eager = ways["recorded"]["median_s"], ways.get("eager", {}).get("median_s")
        times = f"{eager / recorded:.1f}" if eager else "-"
        accuracies = ", ".join(f"{way} {figures['accuracy']:.4f}" for way, figures in ways.items())
        goal_s, goal_times = GOALS[network]
        missed = list_missed_goals(network, ways)
        met = f"no: {', '.join(missed)}" if missed else "yes"
        cells = f"{f'{eager:.3f}' if eager else '-':>10} {recorded:12.3f} {goal_s:8.2f} {times:>7} {goal_times:5}"
        lines.append(f"  {network:10} {cells}  {met:24} {accuracies}")
    return lines


def describe_predictions(on_cuda: dict[str, Any], on_cpu: dict[str, Any]) -> list[str]:
    """Return the lines of the table about predictions."""
    lines = [f"  {'prediction':10} {'pictures':>10} {'cpu, ms':>12} {'cuda, ms':>8}   faster"]
    for network, by_pictures in on_cuda.items():
        for pictures, cuda_ms in by_pictures.items():
            cpu_ms = on_cpu.get(network, {}).get(pictures)
            faster = "-" if cpu_ms is None else "cuda" if cuda_ms < cpu_ms else "cpu"
            cpu = "-" if cpu_ms is None else f"{cpu_ms:.3f}"
            lines.append(f"  {network:10} {pictures:>10} {cpu:>12} {cuda_ms:8.3f}   {faster}")
    return lines


def describe_backend(name: str, folder: Path) -> tuple[dict[str, Any], list[str], bool]:
    """Return a backend's results, the lines of its part of the table, and whether all is as it should be."""
    files = {device: folder / f"{name}-{device}.json" for device in EXPECTED}
    results = {device: json.loads(file.read_text()) if file.exists() else {} for device, file in files.items()}
    suite, gpu = read_suite(folder / f"{name}-suite.xml"), results["cuda"]
    resumed, missing = gpu.get("resumed_equals_undisturbed", {}), list_missing(results)
    lines = [
        f"{name} {gpu.get('versions', '')}: suite on cuda: {suite or 'no report'}",
        f"  resumed equals undisturbed: {resumed or 'not measured'}; data: {gpu.get('data', 'none')}",
        *describe_epochs(gpu.get("epochs", {})),
        *describe_predictions(gpu.get("serving_ms", {}), results["cpu"].get("serving_ms", {})),
        *missing,
    ]
    is_good = suite.get("passed", 0) > 0 and not suite["failed"] and all(resumed.values()) and not missing
    return {"suite": suite, **results}, lines, is_good


def main(folder: str, *backends: str) -> int:
    """Print the table, and write `gpu.json` to the folder. Return 1 if something is wrong."""
    found: dict[str, Any] = {"gpu": name_gpu(), "cores": os.cpu_count(), "backends": {}}
    print(f"\nGPU: {found['gpu']}; the goals are those of an H100 or H200")
    are_good = []
    for name in backends:
        found["backends"][name], lines, is_good = describe_backend(name, Path(folder))
        print(*lines, sep="\n")
        are_good.append(is_good)
    file = Path(folder) / "gpu.json"
    file.write_text(json.dumps(found, indent=1))
    print(f"Written: {file}")
    return 0 if all(are_good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
