"""`make test`: the result of a suite, from real pytest runs on small folders of tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import run

PASSING = "def test_passes(): pass\n"
FAILING = "def test_fails(): assert False\n"
SKIPPED = "import pytest\n\n@pytest.mark.skip(reason='no engine here')\ndef test_skipped(): assert False\n"
FILE_SKIPPED = "import pytest\n\npytest.skip('no GPU here', allow_module_level=True)\n"
XFAILED = "import pytest\n\n@pytest.mark.xfail\ndef test_not_yet(): assert False\n"
BROKEN_FIXTURE = (
    "import pytest\n\n@pytest.fixture\ndef broken(): raise OSError\n\ndef test_with_a_broken_fixture(broken): pass\n"
)


def result_of(folder: Path, *files: str) -> run.Result:
    for index, text in enumerate(files):
        (folder / f"test_{index}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    # Loading hypothesis and schemathesis would take longer than these tests.
    return run.run_suite(run.Suite("small", folder, variables={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}))


@pytest.mark.parametrize(
    ("files", "status", "detail"),
    [
        ([PASSING], "passed", "1 passed, 0 skipped"),
        ([PASSING, SKIPPED, FILE_SKIPPED], "passed", "1 passed, 2 skipped"),
        ([XFAILED], "passed", "1 passed"),
        ([SKIPPED], "skipped", "all 1: no engine here"),
        ([FILE_SKIPPED], "skipped", "no GPU here"),
        ([SKIPPED, FILE_SKIPPED], "skipped", "no engine here"),
        ([PASSING, FAILING], "FAILED", "1 of 2 failed"),
        ([SKIPPED, FAILING], "FAILED", "1 of 2 failed"),
        ([PASSING, BROKEN_FIXTURE], "FAILED", "1 of 2 failed"),
        (["this is not Python"], "FAILED", "exit status is 2"),
        ([""], "FAILED", "no test to run"),
        ([], "FAILED", "no test to run"),
    ],
    ids=[
        "passes",
        "partly skipped",
        "expected failure",
        "test skipped",
        "file skipped",
        "test and file skipped",
        "fails",
        "skipped and fails",
        "fixture fails",
        "syntax error",
        "no test in the file",
        "no file",
    ],
)
def test_the_result_of_a_suite(tmp_path: Path, files: list[str], status: str, detail: str) -> None:
    result = result_of(tmp_path, *files)
    assert result.status == status
    assert detail in result.detail


def test_an_environment_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    result = run.run_suite(run.Suite("small", tmp_path, environment="missing"))
    assert result.status == "FAILED"
    assert "could not be started" in result.detail


def test_every_folder_of_tests_is_a_suite() -> None:
    # A third backend, which tests/stack adds to a copy of the project, and a client with an environment of its own.
    helpers = {"clients", "toy"}
    folders = {path.name for path in Path("tests").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders - helpers == set(run.SUITES)


def test_the_backend_suite_has_one_run_for_each_backend() -> None:
    suites = list(run.list_suites("backend", ["tensorflow", "pytorch"]))
    assert [suite.environment for suite in suites] == ["tensorflow", "pytorch"]
    assert [suite.variables["TANDEM_TEST_BACKEND"] for suite in suites] == ["tensorflow", "pytorch"]


def test_without_a_selection_every_suite_runs() -> None:
    titles = [suite.title for suite in run.list_suites(None, ["pytorch"])]
    assert titles == [
        *("unit", "architecture", "backend: pytorch", "parity", "stack", "browser", "faults", "kubernetes", "compose")
    ]


def test_an_unknown_suite_is_refused_with_the_list_of_suites() -> None:
    command = [sys.executable, "tests/run.py", "--suite", "units", "pytorch"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "unit, architecture, backend, parity, stack, browser, faults, kubernetes, compose" in answer.stderr


@pytest.mark.parametrize(("statuses", "exit_status"), [(["passed", "skipped"], 0), (["passed", "FAILED"], 1)])
def test_the_summary_has_a_line_for_each_suite_and_only_failures_fail(
    capsys: pytest.CaptureFixture[str], statuses: list[str], exit_status: int
) -> None:
    results = [(f"suite {status}", run.Result(status, "why")) for status in statuses]
    assert run.print_summary(results) == exit_status
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[status, f"suite {status}  (why)"] for status in statuses]
