"""Who may import what, where import-linter's contracts in pyproject.toml cannot say it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_files import assert_none, list_imported_packages, list_product_modules, parse

PICKLING_PACKAGES = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
# The stack passes the environment on to the processes it starts; an exported file's runtime gets a part of it. The
# wheel index runs before any package is installed. The variables of the object store are those of Amazon's tools.
READERS_OF_THE_ENVIRONMENT = {
    "shared/settings.py",
    "shared/object_store.py",
    "shared/store_credentials.py",
    "shared/exports/answers.py",
    "services/stack/__main__.py",
    "services/pytorch/wheel_index.py",
}
DOWNLOADERS = {"shared/data/cache.py", "services/pytorch/wheel_index.py"}


@pytest.mark.parametrize(
    ("framework", "service"),
    [("tensorflow", "tensorflow"), ("keras", "tensorflow"), ("torch", "pytorch"), ("torchvision", "pytorch")],
)
def test_a_framework_is_imported_only_in_its_own_folder(framework: str, service: str) -> None:
    importers = {path for path in list_product_modules() if framework in list_imported_packages(path)}
    assert importers, f"nothing imports {framework}: the test looks for the wrong name"
    assert all(path.is_relative_to(f"services/{service}") for path in importers), importers


def test_only_the_settings_read_the_environment() -> None:
    pattern = re.compile(r"\bos\.(environ|getenv)\b|from os import .*\b(environ|getenv)\b")
    readers = [str(path) for path in list_product_modules() if pattern.search(path.read_text())]
    assert_none(sorted({*readers} - READERS_OF_THE_ENVIRONMENT), "Only shared/settings.py reads the environment")


def test_only_downloads_may_use_a_proxy() -> None:
    """`requests.get` and `urlopen` use the proxy that the environment names. Connections of Tandem's own do not."""
    pattern = re.compile(r"\brequests\.(get|post|put|delete|head|request)\(|\burlopen\(")
    callers = {str(path) for path in list_product_modules() if pattern.search(path.read_text())}
    assert_none(sorted(callers - DOWNLOADERS), "Only downloads use http_proxy")
    compose = Path("docker-compose.yml").read_text()
    assert "urlopen(" not in compose, "a health check in a container uses http_proxy"
    assert compose.count("ProxyHandler({})") == compose.count("from urllib")


def test_nothing_is_ever_unpickled() -> None:
    offenders = [
        str(path)
        for path in list_product_modules()
        if PICKLING_PACKAGES & list_imported_packages(path) or "torch.load(" in path.read_text()
    ]
    assert_none(offenders, "A pickle can run any code when it is read, so that none is read")


def modules_without_io() -> list[Path]:
    """Return the files of the modules that the I/O-free contract names."""
    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if "do no I/O" in contract["name"]]
    paths = [Path(name.replace(".", "/")) for name in contract["source_modules"]]
    return [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")])]


def test_modules_without_io_open_no_file() -> None:
    """The contract forbids the imports; `open` and `print` need none."""
    offenders = [
        f"{path}:{node.lineno}: {node.func.id}()"
        for path in modules_without_io()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"open", "print", "input", "__import__"}
    ]
    assert_none(offenders, "These modules compute; they read and write nothing")
