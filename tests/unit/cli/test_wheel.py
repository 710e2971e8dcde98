"""The package that `pipx install .` installs contains only the command, and the command runs from it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def test_the_wheel_contains_only_the_command_which_runs_from_anywhere(tmp_path: Path) -> None:
    source, built, elsewhere = tmp_path / "source", tmp_path / "built", tmp_path / "elsewhere"
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in listing.stdout.splitlines():
        if name.startswith(("services/", "shared/", "docs/cli.md")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, source / name)
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-c", BUILD, str(built)], cwd=source, capture_output=True, check=True)
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
        modules = {Path(name).name for name in archive.namelist() if name.startswith("tandem_cli/")}
        archive.extractall(built)
    metadata = next(built.glob("*.dist-info"))
    assert folders == {"tandem_cli", metadata.name}
    assert modules == {path.name for path in Path("services/cli").glob("*.py")}
    assert "tandem = tandem_cli.app:main" in (metadata / "entry_points.txt").read_text()
    for arguments in (["--version"], ["train", "--help"], ["api", "--help"]):
        command = [sys.executable, "-m", "tandem_cli", *arguments]
        answer = subprocess.run(command, cwd=elsewhere, env={"PYTHONPATH": str(built)}, capture_output=True, check=True)
        assert b"tandem" in answer.stdout


def test_the_package_requires_what_the_commands_environment_has() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["dependencies"] == Path("services/cli/requirements.in").read_text().splitlines()
