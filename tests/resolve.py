"""`make resolve`: every locked requirement but those built from source has a wheel for both platforms of the images.

    .venv/test/bin/python tests/resolve.py

uv reads what the package index says of each file; nothing is downloaded or
installed. Versions are locked, so that dependencies need no solving.
"""

import subprocess
import sys
from pathlib import Path

PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
PYTHON = "3.11"  # the images'
BUILT = {"mlcommons-loadgen"}  # from its source where it has no wheel: services/loadtest/Dockerfile


def main() -> int:
    failed = False
    for requirements in sorted(Path("services").glob("*/requirements.txt")):
        for architecture, platform in PLATFORMS.items():
            command = [
                *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-deps"),
                *("--only-binary", ":all:", "--python-version", PYTHON, "--python-platform", platform),
                "-",
            ]
            lines = requirements.read_text().splitlines(keepends=True)
            asked = "".join(line for line in lines if line.split("==")[0] not in BUILT)
            answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
            print(f"{'resolved' if answer.returncode == 0 else 'FAILED  '}  {architecture}  {requirements}", flush=True)
            if answer.returncode:
                print(answer.stderr)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
