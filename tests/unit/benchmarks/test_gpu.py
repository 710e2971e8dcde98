"""The check of a GPU: what is kept of a measurement that fails, what the table says, and when the script stops.

There is no GPU here. A stand-in for a backend's Python copies results that were made up, and runs the real table.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_table
from benchmarks.gpu import EPOCHS, RESUMED, ResultFile
from shared.network.description import PRESETS

SCRIPT = "benchmarks/gpu.sh"
SERVING = {"serving_ms": {network: {"1": 0.5, "64": 0.6} for network in PRESETS}}
STAND_IN = """\
#!/bin/sh
# usage: as Python. The folder of this file contains the results, and `no-pytest` if pytest is missing.
here=$(dirname "$0")
case "$*" in
  "-c import hypothesis, pytest, xdist") test ! -e "$here/no-pytest" ;;
  "-m benchmarks.gpu_table "*) exec "$REAL_PYTHON" "$@" ;;
  "-m benchmarks.gpu check "*) ;;
  "-m benchmarks.gpu "*) cp "$here"/*-"$5".json "$6" ;;
  "-m pytest "*) cp "$here"/*-suite.xml "$OUT" ;;
esac
"""


def epochs(recorded_s: float, eager_s: float, accuracy: float) -> dict[str, Any]:
    """Return figures of an epoch. The eager step's accuracy is 0.9."""
    return {
        "recorded": {"median_s": recorded_s, "accuracy": accuracy},
        "eager": {"median_s": eager_s, "accuracy": 0.9},
    }


def suite(failures: int) -> str:
    return f'<testsuites><testsuite tests="9" failures="{failures}" errors="0" skipped="1"/></testsuites>'


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with the results of one backend in which all is as it should be."""
    folder = tmp_path / "results"
    folder.mkdir()
    good = {
        **SERVING,
        "resumed_equals_undisturbed": dict.fromkeys(RESUMED, True),
        "epochs": {network: epochs(0.1, 1.0, 0.9) for network in EPOCHS},
    }
    (folder / "pytorch-cuda.json").write_text(json.dumps(good))
    (folder / "pytorch-cpu.json").write_text(json.dumps(SERVING))
    (folder / "pytorch-suite.xml").write_text(suite(0))
    return folder


def change(results: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    file = results / "pytorch-cuda.json"
    found = json.loads(file.read_text())
    edit(found)
    file.write_text(json.dumps(found))


def run_script(out: Path, python: Path | str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTORCH_PYTHON": str(python), "TENSORFLOW_PYTHON": "/does/not/exist", "OUT": str(out)}
    environ |= {"REAL_PYTHON": sys.executable, **variables}
    return subprocess.run(["bash", SCRIPT], env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def python(results: Path) -> Path:
    """Return the stand-in for the Python of a backend that sees a GPU."""
    file = results / "python"
    file.write_text(STAND_IN)
    file.chmod(0o755)
    return file


def test_a_figure_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    file = ResultFile(tmp_path / "toy-cuda.json", versions={})
    file.measure("epochs", "article", lambda: 1.5)
    file.measure("epochs", "lenet5", lambda: 1 / 0)
    file.measure("epochs", "cnn", lambda: 2.5)
    found = json.loads((tmp_path / "toy-cuda.json").read_text())
    assert found["epochs"] == {"article": 1.5, "cnn": 2.5}
    assert found["errors"] == {"epochs lenet5": "ZeroDivisionError: division by zero"}


def test_a_measurement_that_is_stopped_leaves_the_figures_before(tmp_path: Path) -> None:
    file = ResultFile(tmp_path / "toy-cuda.json", versions={})
    file.measure("epochs", "article", lambda: 1.5)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        file.measure("epochs", "lenet5", stop)
    assert json.loads((tmp_path / "toy-cuda.json").read_text())["epochs"] == {"article": 1.5}


def test_results_without_a_fault_are_good(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_table.main(str(results), "pytorch") == 0
    assert "not measured" not in capsys.readouterr().out
    assert json.loads((results / "gpu.json").read_text())["backends"]["pytorch"]["suite"]["passed"] == 8


@pytest.mark.parametrize("report", [suite(1), "<testsuites><testsu", '<testsuites><testsuite tests="0"/></testsuites>'])
def test_a_suite_that_failed_or_did_not_end_is_not_good(results: Path, report: str) -> None:
    (results / "pytorch-suite.xml").write_text(report)
    assert gpu_table.main(str(results), "pytorch") == 1


def test_a_backend_that_was_checked_and_has_no_results_is_not_good(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_table.main(str(results), "pytorch", "tensorflow") == 1
    assert "tensorflow : suite on cuda: no report" in capsys.readouterr().out


def test_a_figure_that_is_missing_is_named_with_its_reason(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(results, lambda found: found["epochs"].pop("cnn"))
    assert gpu_table.main(str(results), "pytorch") == 1
    assert "not measured: epochs cnn on cuda: the measurement ended before it" in capsys.readouterr().out
    change(results, lambda found: found.update(errors={"epochs cnn": "RuntimeError: out of memory"}))
    assert gpu_table.main(str(results), "pytorch") == 1
    assert "not measured: epochs cnn on cuda: RuntimeError: out of memory" in capsys.readouterr().out


def test_a_resumed_training_that_differs_is_not_good(results: Path) -> None:
    change(results, lambda found: found["resumed_equals_undisturbed"].update(adam=False))
    assert gpu_table.main(str(results), "pytorch") == 1


def test_the_table_says_which_goals_are_missed_and_the_status_does_not_depend_on_it(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = {"article": epochs(0.2, 1.0, 0.9), "lenet5": epochs(0.1, 1.0, 0.8)}
    change(results, lambda found: found["epochs"].update(missed))
    assert gpu_table.main(str(results), "pytorch") == 0
    lines = {words[0]: line for line in capsys.readouterr().out.splitlines() if len(words := line.split()) > 5}
    assert "no: seconds, times " in lines["article"]
    assert "no: accuracy " in lines["lenet5"]
    assert " yes " in lines["cnn"]


def test_without_a_gpu_the_script_says_so_and_measures_nothing(tmp_path: Path) -> None:
    ended = run_script(tmp_path, sys.executable)  # this Python has no framework
    assert ended.returncode == 2
    assert "== pytorch: skipped: a package is missing: No module named" in ended.stdout
    assert "No framework here sees a GPU" in ended.stdout


def test_without_pytest_the_script_stops_first_and_says_what_to_install(tmp_path: Path, python: Path) -> None:
    (python.parent / "no-pytest").touch()
    ended = run_script(tmp_path, python)
    assert ended.returncode == 2
    assert f"{python} -m pip install -r tests/backend/requirements.txt\n" in ended.stdout
    assert "predictions" not in ended.stdout


def test_the_script_ends_with_the_status_of_the_table(tmp_path: Path, python: Path) -> None:
    ended = run_script(tmp_path, python)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "pytorch" in json.loads((tmp_path / "gpu.json").read_text())["backends"]
    (python.parent / "pytorch-suite.xml").write_text(suite(1))
    assert run_script(tmp_path, python).returncode == 1


def test_the_script_deletes_its_own_results_only(tmp_path: Path, python: Path) -> None:
    for name in ("mine.json", "junit.xml", "tensorflow-cpu.json"):
        (tmp_path / name).touch()
    run_script(tmp_path, python)
    assert (tmp_path / "mine.json").exists()
    assert (tmp_path / "junit.xml").exists()
    assert not (tmp_path / "tensorflow-cpu.json").exists()


def test_the_script_ends_within_its_limit_and_names_what_is_missing(tmp_path: Path, python: Path) -> None:
    for file in python.parent.glob("pytorch-*"):
        file.unlink()
    python.write_text(STAND_IN.replace('cp "$here"/*-"$5".json "$6"', "exec sleep 600"))
    ended = run_script(tmp_path, python, LIMIT_S="1")
    assert ended.returncode == 1
    assert "not measured: epochs cnn on cuda" in ended.stdout
