"""Run the test suites, each with pytest in the virtual environment it belongs to. `make test` calls this.

    python3 tests/run.py tensorflow pytorch                 all suites
    python3 tests/run.py --suite unit tensorflow pytorch    one suite

All suites run even when one fails. The last lines give one result per suite:

- `passed`: at least one test passed and none failed;
- `skipped`: every test was skipped; the reasons follow;
- `FAILED`: a test failed, or there was no test to run.

The exit status is 1 if a suite failed. A skipped suite is not a failure. This file uses the standard library only,
because it runs in no virtual environment.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from services.stack.environments import ROOT, install

PROCESSES = {"unit": 2, "backend": 2, "stack": 2}
"""How many processes run the files of a suite, if more than one. Each process of `stack` starts a stack of its own."""

SUITES = ("unit", "architecture", "backend", "parity", "stack", "browser", "faults", "kubernetes", "compose")
BACKEND_TEST_REQUIREMENTS = Path("tests/backend/requirements.txt")
NO_TESTS_RAN = 5  # pytest's exit status when it collected nothing, or skipped whole files


@dataclass(frozen=True)
class Suite:
    """One run of pytest.

    Attributes:
        title: What the result line calls the suite.
        folder: The folder with its tests.
        environment: The name of the virtual environment under `.venv/`.
        variables: Environment variables for the tests.
        requirements: A requirements file to install into the environment first.
        processes: How many processes run the files. The tests of a file run in one process, in their order.
    """

    title: str
    folder: Path
    environment: str = "test"
    variables: dict[str, str] = field(default_factory=dict)
    requirements: Path | None = None
    processes: int = 1


@dataclass(frozen=True)
class Result:
    """What became of a suite: `status` is "passed", "skipped" or "FAILED"; `detail` explains it."""

    status: str
    detail: str


def list_suites(selected: str | None, backends: list[str]) -> Iterator[Suite]:
    """Yield the runs of one suite, or of all if none is selected. The suite `backend` has one run per backend."""
    for name in SUITES if selected is None else (selected,):
        processes = PROCESSES.get(name, 1)
        if name == "backend":
            for backend in backends:
                variables = {"TANDEM_TEST_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
                folder, title = Path("tests/backend"), f"backend: {backend}"
                yield Suite(title, folder, backend, variables, BACKEND_TEST_REQUIREMENTS, processes)
        else:
            variables = {"TANDEM_BACKENDS": ",".join(backends)} if name == "parity" else {}
            yield Suite(name, Path("tests", name), variables=variables, processes=processes)


def run_suite(suite: Suite) -> Result:
    """Run pytest on a suite's folder; its output goes to the terminal."""
    print(f"\n== {suite.title}", flush=True)
    if suite.requirements:
        try:
            install(suite.environment, suite.requirements, [])
        except (subprocess.CalledProcessError, OSError) as error:
            return Result("FAILED", f"its requirements could not be installed: {error}")
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        python = ROOT / suite.environment / "bin/python"
        command = [str(python), "-m", "pytest", "-q", f"--junitxml={report}", str(suite.folder)]
        if suite.processes > 1:
            command += ["-n", str(suite.processes), "--dist", "loadfile"]
        try:
            exit_status = subprocess.run(command, env={**os.environ, **suite.variables}, check=False).returncode
        except OSError as error:
            return Result("FAILED", f"pytest could not be started: {error}")
        result = read_result(exit_status, report)
    print(f"== {suite.title}: {result.status} in {time.monotonic() - started_at:.0f} s", flush=True)
    return result


def read_result(exit_status: int, report: Path) -> Result:
    """Combine pytest's exit status with its JUnit report, which tells passed tests from skipped ones.

    Exit status 0 also means "all skipped", and 5 also means "all files skipped": only the report can tell.
    """
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except (OSError, ET.ParseError):
        return Result("FAILED", f"pytest wrote no report; its exit status is {exit_status}")
    if exit_status not in (0, NO_TESTS_RAN):
        failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
        return Result("FAILED", f"{failed} of {len(cases)} failed; pytest's exit status is {exit_status}")
    if not cases:
        return Result("FAILED", "there was no test to run")
    reasons = [skip_reason(case) for case in cases]
    skipped = [reason for reason in reasons if reason is not None]
    if len(skipped) == len(cases):
        return Result("skipped", f"all {len(cases)}: {'; '.join(sorted(set(skipped)))}")
    return Result("passed", f"{len(cases) - len(skipped)} passed, {len(skipped)} skipped")


def skip_reason(case: ET.Element) -> str | None:
    """Return why a test was skipped, or None if it was not. An expected failure is not a skip: the test did run."""
    skip = case.find("skipped")
    if skip is None or skip.get("type") == "pytest.xfail":
        return None
    message = skip.get("message", "")
    # For a file that was skipped as a whole the reason is in the text.
    return (skip.text or message) if message == "collection skipped" else message


def main(arguments: list[str]) -> int:
    """Run what the command line asks for, print the summary and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the test suites.")
    parser.add_argument("--suite", help=f"one of: {', '.join(SUITES)}")
    parser.add_argument("backends", nargs="+", help="the backends' names")
    parsed = parser.parse_args(arguments)
    if parsed.suite is not None and parsed.suite not in SUITES:
        print(f"There is no suite '{parsed.suite}'. Choose one of: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    results = [(suite.title, run_suite(suite)) for suite in list_suites(parsed.suite, parsed.backends)]
    return print_summary(results)


def print_summary(results: list[tuple[str, Result]]) -> int:
    """Print one line per suite and return the exit status."""
    print()
    for title, result in results:
        print(f"{result.status:7}  {title}  ({result.detail})")
    return int(any(result.status == "FAILED" for _, result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
