"""The arrows that must never be, and the documents that must match the code."""

import ast
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from shared.settings import Settings


def tracked(pattern: str) -> list[Path]:
    answer = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", pattern], capture_output=True, text=True, check=True
    )
    return [path for path in map(Path, answer.stdout.splitlines()) if path.is_file()]


def product() -> list[Path]:
    return [path for path in tracked("*.py") if path.parts[0] not in ("tests", "benchmarks")]


def imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(
    ("framework", "home"),
    [("tensorflow", "tensorflow"), ("keras", "tensorflow"), ("torch", "pytorch"), ("torchvision", "pytorch")],
)
def test_a_framework_is_imported_only_at_home(framework: str, home: str) -> None:
    importers = {path for path in product() if framework in imports(path)}
    assert importers, "the test looks for the wrong name"
    assert all(path.is_relative_to(f"services/{home}") for path in importers)


def test_only_the_settings_read_the_environment() -> None:
    readers = {path for path in product() if re.search(r"\bos\.(environ|getenv)\b", path.read_text())}
    # The stack hands the environment on to the processes it starts; the index runs before any package is there.
    allowed = {"shared/settings.py", "services/stack/__main__.py", "services/pytorch/wheel_index.py"}
    assert {str(path) for path in readers} <= allowed


def test_every_setting_stands_in_the_example_and_in_the_readme() -> None:
    example, readme = Path(".env.example").read_text(), Path("README.md").read_text()
    for setting in fields(Settings):
        variable = setting.metadata["variable"]
        default = setting.metadata["default"].replace("{state_dir}", ".tandem")
        assert f"# {variable}={default}\n" in example
        assert re.search(
            rf"^\| `{variable}` \| .*\| {re.escape(setting.metadata['meaning'])} \|$", readme, re.MULTILINE
        )


def test_the_example_and_compose_name_no_setting_that_is_none() -> None:
    known = {setting.metadata["variable"] for setting in fields(Settings)}
    for document in (".env.example", "docker-compose.yml", "README.md"):
        assert set(re.findall(r"TANDEM_[A-Z_]+[A-Z]", Path(document).read_text())) <= known, document


def test_nothing_is_ever_unpickled() -> None:
    for path in product():
        assert not {"pickle", "joblib", "dill", "cloudpickle"} & imports(path), path
        assert "torch.load(" not in path.read_text(), path


def test_every_module_says_what_it_is() -> None:
    for path in product():
        if path.name != "__init__.py" or path.read_text().strip():
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in tracked("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"
