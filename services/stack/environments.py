"""Makes one virtual environment per service, `.venv/<service>`, up to three at the same time.

    python3 -m services.stack.environments gateway tensorflow pytorch ...

It runs on the machine's own Python with the standard library only, because no environment exists yet. A finished
environment contains a file with a checksum of its requirements. It is made again only when that checksum changes.
"""

import hashlib
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(".venv")
REQUIREMENTS = {
    "test": "tests/requirements.txt",
    "clients": "tests/clients/requirements.txt",
    "kubernetes": "tests/kubernetes/requirements.txt",
}
"""The requirements files of environments that do not belong to a service."""
STAMP = "requirements.sha256"


def requirements_of(name: str) -> Path:
    """Return the requirements file of an environment."""
    return Path(REQUIREMENTS.get(name, f"services/{name}/requirements.txt"))


def stamp_of(name: str) -> str:
    """Return a checksum of an environment's requirements and of this Python's version.

    Raises:
        FileNotFoundError: there is no such service.
    """
    return hashlib.sha256(requirements_of(name).read_bytes() + sys.version.encode()).hexdigest()


def is_made(name: str) -> bool:
    """Return whether an environment is complete and has the current requirements."""
    stamp = ROOT / name / STAMP
    return stamp.is_file() and stamp.read_text() == stamp_of(name)


def pip_arguments(name: str) -> list[str]:
    """Return the arguments for pip that a service's `wheel_index.py` prints; none if it has no such script."""
    script = Path(f"services/{name}/wheel_index.py")
    if not script.is_file():
        return []
    return subprocess.run([sys.executable, script], check=True, text=True, stdout=subprocess.PIPE).stdout.split()


def make(name: str, extra: list[str]) -> None:
    """Make one environment, and replace an older one.

    Args:
        extra: further arguments for pip.

    Raises:
        subprocess.CalledProcessError: pip failed. Its output has been printed.
    """
    begun = time.monotonic()
    # Symbolic links, because a copied interpreter may still be open for writing in a process that another thread
    # forked, and then cannot be executed ("text file busy").
    venv.create(ROOT / name, with_pip=True, clear=True, symlinks=True)
    install(name, requirements_of(name), extra)
    (ROOT / name / STAMP).write_text(stamp_of(name))
    print(f"  {name}: ready in {time.monotonic() - begun:.0f} s", flush=True)


def install(name: str, requirements: Path, extra: list[str]) -> None:
    """Install a requirements file into an existing environment.

    Raises:
        subprocess.CalledProcessError: pip failed. Its output has been printed.
    """
    pip = [str(ROOT / name / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    result = subprocess.run(
        [*pip, "--quiet", "-r", str(requirements), *extra], check=False, text=True, capture_output=True
    )
    if result.returncode:
        print(f"  {name}: pip failed\n{result.stdout}{result.stderr}", flush=True)
        result.check_returncode()


def main(names: list[str]) -> int:
    """Make the environments that are missing or out of date.

    Returns:
        The exit status: 0 if all are ready, else 1.
    """
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
        print("The setup failed. The output of pip is above. Run the same command to try again.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
