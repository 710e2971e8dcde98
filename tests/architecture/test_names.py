"""A name says one thing: types have different names, and no module is a box for leftovers."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.architecture.source_files import assert_none, list_files, list_product_modules, parse

VAGUE_MODULE_NAMES = {"utils", "util", "helpers", "common", "manager", "misc"}
TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


def list_public_types(path: Path) -> set[str]:
    """Return the public classes and type aliases that a module defines on its top level.

    A type alias is an assignment to a name in capitalized words: `Shape = tuple[int, ...]`.
    """
    names = set()
    for node in parse(path).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if TYPE_NAME.fullmatch(name)}


def test_no_two_public_types_share_a_name() -> None:
    """A framework's implementation of a layer or optimizer carries the name of its description in shared/network.

    So a name may occur once in shared/network and once in each framework's folder, and nowhere else then.
    """
    frameworks = {path.parent for path in Path("services").glob("*/backend.py")}
    adaptations = {Path("shared/network"), *frameworks}
    places = defaultdict(list)
    for path in list_product_modules():
        for name in list_public_types(path):
            places[name].append(path)
    offenders = []
    for name, paths in sorted(places.items()):
        folders = [path.parent for path in paths]
        is_adaptation = set(folders) <= adaptations and len(set(folders)) == len(folders)
        if len(paths) > 1 and not is_adaptation:
            offenders.append(f"{name}: {', '.join(map(str, paths))}")
    assert_none(offenders, "No two public types share a name")


def test_no_module_has_a_vague_name() -> None:
    offenders = [str(path) for path in list_files("*.py") if path.stem in VAGUE_MODULE_NAMES]
    assert_none(offenders, "A module is named after what it is for")
