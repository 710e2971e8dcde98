"""One virtual environment per service under `.venv/`, made side by side.

    python3 -m services.stack.environments gateway tensorflow pytorch ...

Standard library alone: it runs before there is any environment. A finished
environment carries a stamp of its requirements, and is made anew only when
they change.
"""

import hashlib
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(".venv")
REQUIREMENTS = {"test": "tests/requirements.txt"}
STAMP = "requirements.sha256"


def requirements_of(name: str) -> Path:
    return Path(REQUIREMENTS.get(name, f"services/{name}/requirements.txt"))


def stamp_of(name: str) -> str:
    return hashlib.sha256(requirements_of(name).read_bytes() + sys.version.encode()).hexdigest()


def is_made(name: str) -> bool:
    stamp = ROOT / name / STAMP
    return stamp.is_file() and stamp.read_text() == stamp_of(name)


def pip_arguments(name: str) -> list[str]:
    """What a service's own `wheel_index.py` adds for pip, where it has one."""
    script = Path(f"services/{name}/wheel_index.py")
    if not script.is_file():
        return []
    return subprocess.run([sys.executable, script], check=True, text=True, stdout=subprocess.PIPE).stdout.split()


def make(name: str, extra: list[str]) -> None:
    """Make one environment.

    Raises:
        subprocess.CalledProcessError: pip failed; its output has been printed.
    """
    begun = time.monotonic()
    # A copy of the interpreter, still open for writing in another thread's fork, could not be run: "text file busy".
    venv.create(ROOT / name, with_pip=True, clear=True, symlinks=True)
    install(name, requirements_of(name), extra)
    (ROOT / name / STAMP).write_text(stamp_of(name))
    print(f"  {name}: ready in {time.monotonic() - begun:.0f} s", flush=True)


def install(name: str, requirements: Path, extra: list[str]) -> None:
    """Install a requirements file into an environment that exists."""
    pip = [str(ROOT / name / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    answer = subprocess.run(
        [*pip, "--quiet", "-r", str(requirements), *extra], check=False, text=True, capture_output=True
    )
    if answer.returncode:
        print(f"  {name}: pip failed\n{answer.stdout}{answer.stderr}", flush=True)
        answer.check_returncode()


def main(names: list[str]) -> int:
    missing = [name for name in names if not is_made(name)]
    if not missing:
        return 0
    print(f"Setting up {', '.join(missing)} under .venv/ (about two minutes the first time)", flush=True)
    extra = {name: pip_arguments(name) for name in missing}
    with ThreadPoolExecutor(max_workers=3) as pool:
        tasks = [pool.submit(make, name, extra[name]) for name in missing]
    try:
        for task in tasks:
            task.result()
    except subprocess.CalledProcessError:
        print("Setting up failed; what pip said stands above. Run the same command to try again.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
