"""Every module and every public definition of the product says what it is for."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source_files import assert_none, list_product_modules, list_public_definitions, parse


def is_trivial(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a method needs no docstring: it is one statement, or a base class describes it."""
    return len(method.body) == 1 or any("override" in ast.unparse(each) for each in method.decorator_list)


def list_public_methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield a class's methods, but for private ones and those that Python calls, such as `__init__`."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
            yield method


def names_of_bases(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}


def find_described_methods() -> dict[str, set[str]]:
    """Return, for each class of the product, the names of its methods that have a docstring."""
    return {
        node.name: {method.name for method in list_public_methods(node) if ast.get_docstring(method)}
        for path in list_product_modules()
        for node in list_public_definitions(path)
        if isinstance(node, ast.ClassDef)
    }


def list_undescribed(path: Path, described: dict[str, set[str]]) -> Iterator[str]:
    """Yield the public functions, classes and methods of a module that need a docstring and have none."""
    for node in list_public_definitions(path):
        if not ast.get_docstring(node):
            yield f"{path}:{node.lineno}: {node.name}"
        if isinstance(node, ast.ClassDef):
            inherited = set().union(*(described.get(base, set()) for base in names_of_bases(node)))
            for method in list_public_methods(node):
                if not ast.get_docstring(method) and not is_trivial(method) and method.name not in inherited:
                    yield f"{path}:{method.lineno}: {node.name}.{method.name}"


def test_every_module_has_a_docstring() -> None:
    offenders = [
        str(path) for path in list_product_modules() if path.read_text().strip() and not ast.get_docstring(parse(path))
    ]
    assert_none(offenders, "A module's docstring says what the module is for")


def test_every_public_function_and_class_has_a_docstring() -> None:
    """Methods, too. One that is a single statement, or that a base class describes, needs none."""
    described = find_described_methods()
    offenders = [name for path in list_product_modules() for name in list_undescribed(path, described)]
    assert_none(offenders, "A public function, class or method has a docstring")
