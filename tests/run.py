"""`make test`: every suite in the environment it belongs to, one after the other.

    python3 tests/run.py tensorflow pytorch

Standard library alone. Runs all suites even when one fails, and ends with one
line per suite.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from services.stack.environments import ROOT, install

BACKEND_EXTRAS = Path("tests/backend/requirements.txt")


def suite(title: str, environment: str, folders: list[str], **environ: str) -> bool:
    print(f"\n== {title}", flush=True)
    begun = time.monotonic()
    command = [str(ROOT / environment / "bin/python"), "-m", "pytest", "-q", *folders]
    answer = subprocess.run(command, env={**os.environ, **environ}, check=False)
    print(f"== {title}: {'passed' if answer.returncode == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s")
    return answer.returncode == 0


def main(backends: list[str]) -> int:
    passed = {"unit and architecture": suite("unit and architecture", "test", ["tests/unit", "tests/architecture"])}
    for backend in backends:
        install(backend, BACKEND_EXTRAS, [])
        title = f"backend: {backend}"
        quiet = {"TANDEM_TEST_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        passed[title] = suite(title, backend, ["tests/backend"], **quiet)
    # Each backend in its own environment, asked from the tests' own; it skips, and says so, where one is missing.
    passed["parity"] = suite("parity", "test", ["tests/parity"], TANDEM_BACKENDS=",".join(backends))
    passed["stack"] = suite("stack", "test", ["tests/stack"])
    passed["compose"] = suite("compose", "test", ["tests/compose"])
    print()
    for title, good in passed.items():
        print(f"{'passed' if good else 'FAILED'}  {title}")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
