"""Check that every locked requirement has a wheel for every platform and Python version that Tandem claims to support.

    .venv/test/bin/python tests/resolve.py

`make resolve` calls this. uv reads what the package index says about each file and downloads nothing. The versions are
locked, so the dependencies need no solving.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from services.stack.check import NEWEST, OLDEST

PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
PYTHON_VERSIONS = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
# Requirements that are built from source because they have no wheel. services/stack/check.py asks for the compiler.
BUILT_FROM_SOURCE = {("mlcommons-loadgen", "arm64"), ("psutil", "arm64")}


@dataclass(frozen=True)
class Target:
    """One check: a requirements file on one platform with one Python version."""

    requirements: Path
    architecture: str
    python_version: str


def list_targets(requirements: list[Path]) -> Iterator[Target]:
    """Yield every combination of file, platform and Python version."""
    for file in requirements:
        for architecture in PLATFORMS:
            for python_version in PYTHON_VERSIONS:
                yield Target(file, architecture, python_version)


def find_problem(target: Target) -> str:
    """Ask the package index about one target. Returns uv's error message, or "" if everything has a wheel."""
    command = [
        *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-deps"),
        # This interpreter is as good as any, because `--python-version` decides; uv would look for one to download.
        *("--python", sys.executable, "--no-python-downloads"),
        *("--only-binary", ":all:", "--python-version", target.python_version),
        *("--python-platform", PLATFORMS[target.architecture], "-"),
    ]
    lines = target.requirements.read_text().splitlines(keepends=True)
    locked = [line for line in lines if (line.split("==")[0], target.architecture) not in BUILT_FROM_SOURCE]
    answer = subprocess.run(command, input="".join(locked), capture_output=True, text=True, check=False)
    return answer.stderr or "uv failed without a message" if answer.returncode else ""


def main() -> int:
    """Check the requirements of all services and of the tests, print one line each and return the exit status."""
    files = [*sorted(Path("services").glob("*/requirements.txt")), *sorted(Path("tests").rglob("requirements.txt"))]
    targets = list(list_targets(files))
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for target, problem in zip(targets, pool.map(find_problem, targets), strict=True):
            status = "FAILED  " if problem else "resolved"
            print(f"{status}  {target.architecture}  Python {target.python_version}  {target.requirements}", flush=True)
            if problem:
                print(problem, flush=True)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
