"""The files of the project, for the tests that read its source."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def list_files(pattern: str) -> list[Path]:
    """Return the project's files that match a pattern: tracked by git, or new and not ignored."""
    command = ["git", "ls-files", "-co", "--exclude-standard", pattern]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [path for path in map(Path, sorted(answer.stdout.splitlines())) if path.is_file()]


def list_product_modules() -> list[Path]:
    """Return the Python files of `shared/` and `services/`."""
    return [path for path in list_files("*.py") if path.parts[0] in ("shared", "services")]


@cache
def parse(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(path.read_text())


def list_imported_packages(path: Path) -> set[str]:
    """Return the top-level name of everything that a Python file imports, also inside functions."""
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def list_public_definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the functions and classes on a module's top level whose names do not start with an underscore."""
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def assert_none(offenders: list[str], rule: str) -> None:
    """Fail with all offenders in one message, not with the first one."""
    assert not offenders, f"{rule}. {len(offenders)} offenders:\n" + "\n".join(f"  {name}" for name in offenders)
