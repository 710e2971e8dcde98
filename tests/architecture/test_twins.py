"""The two backends are twins: the same functions, and each difference explained at the same place on both sides."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TENSORFLOW, PYTORCH = Path("services/tensorflow"), Path("services/pytorch")
# Modules with the same functions in the same order, and `# Twin:` comments at the same places.
TWIN_MODULES = ["backend.py", "events.py", "tracing.py"]
# Modules with the same public names. A name that only one side needs is marked with the reason.
SAME_NAMES_MODULES = ["layers.py", "optimizers.py"]
MARKS = {TENSORFLOW: "# Only in TensorFlow:", PYTORCH: "# Only in PyTorch:"}
MODULE_LEVEL = "(module level)"


class Function(NamedTuple):
    """A public function of a module, or one defined inside such a function."""

    name: str
    parameters: tuple[str, ...]
    first_line: int
    last_line: int


def module_functions(source: str) -> list[Function]:
    """Return the public functions of a module, in their order. Functions inside them are not listed."""
    return [
        Function(
            node.name,
            tuple(argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)),
            node.lineno,
            node.end_lineno or node.lineno,
        )
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def twin_comments(source: str) -> list[int]:
    """Return the line numbers of the comments that begin with `# Twin:`."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.start[0] for token in tokens if token.type == tokenize.COMMENT and token.string.startswith("# Twin:")]


def twin_places(source: str) -> list[str]:
    """Return what each `# Twin:` comment belongs to, in the order of the comments.

    A comment inside a function belongs to the function. In a `match` statement it belongs to the `case`, so that the
    comments of two layers cannot be exchanged. A comment outside all functions belongs to the statement after it.
    """
    functions, cases = module_functions(source), list(match_cases(source))
    places = []
    for line in twin_comments(source):
        function = [function.name for function in functions if function.first_line <= line <= function.last_line]
        case = [f"case {pattern}" for pattern, first, last in cases if first <= line <= last]
        places.append(" ".join([*function, *case]) or f"before {next_statement(source, line)}")
    return places


def next_statement(source: str, line: int) -> str:
    """Return the name of the function or class that follows a line of the module, or else `(module level)`."""
    following = [node for node in ast.parse(source).body if node.lineno > line]
    return getattr(following[0], "name", MODULE_LEVEL) if following else MODULE_LEVEL


def match_cases(source: str) -> Iterator[tuple[str, int, int]]:
    """Yield the pattern of each `case`, and its first and last line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.match_case):
            yield ast.unparse(node.pattern), node.pattern.lineno, node.body[-1].end_lineno or 0


def public_names(source: str) -> dict[str, int]:
    """Return the public functions and classes of a module and the line on which each begins."""
    return {
        node.name: node.lineno
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }


def test_both_backends_have_the_same_modules_for_the_same_purposes() -> None:
    for module in (*TWIN_MODULES, *SAME_NAMES_MODULES, "trainer.py", "predictor.py"):
        assert (TENSORFLOW / module).is_file(), module
        assert (PYTORCH / module).is_file(), module


@pytest.mark.parametrize("module", TWIN_MODULES)
def test_twins_have_the_same_functions_with_the_same_parameters_in_the_same_order(module: str) -> None:
    one, other = (
        [(function.name, function.parameters) for function in module_functions((folder / module).read_text())]
        for folder in (TENSORFLOW, PYTORCH)
    )
    assert one == other != []


@pytest.mark.parametrize("module", TWIN_MODULES)
def test_each_difference_of_the_twins_is_explained_at_the_same_place_on_both_sides(module: str) -> None:
    one, other = (twin_places((folder / module).read_text()) for folder in (TENSORFLOW, PYTORCH))
    assert one == other != []


@pytest.mark.parametrize("module", SAME_NAMES_MODULES)
def test_names_that_are_not_marked_as_one_sided_are_the_same_on_both_sides(module: str) -> None:
    shared_names = {}
    for folder, mark in MARKS.items():
        source = (folder / module).read_text()
        lines = source.splitlines()
        is_marked = {name: lines[line - 2].startswith(mark) for name, line in public_names(source).items()}
        shared_names[folder] = {name for name, marked in is_marked.items() if not marked}
        other = public_names((TENSORFLOW if folder == PYTORCH else PYTORCH).joinpath(module).read_text())
        assert not [name for name, marked in is_marked.items() if marked and name in other]
    assert shared_names[TENSORFLOW] == shared_names[PYTORCH] != set()


@pytest.mark.parametrize("folder", [TENSORFLOW, PYTORCH], ids=str)
def test_a_backend_fits_on_half_a_screen(folder: Path) -> None:
    lines = (folder / "backend.py").read_text().splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines)) <= 79


ORIGINAL = """
import torch


def train(model):
    # Twin: one
    match model:
        case Dense():
            # Twin: two
            return 1
        case Flatten():
            return 2


# Twin: three
@decorator
def forward(model):
    return model
"""


def test_a_twin_comment_is_located_by_what_it_belongs_to() -> None:
    assert twin_places(ORIGINAL) == ["train", "train case Dense()", "before forward"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    # Twin: one\n", ""),
        ("            # Twin: two\n", ""),
        ("            return 2\n", "            # Twin: two again\n            return 2\n"),
        ("# Twin: three\n@decorator\ndef forward(model):\n", "@decorator\ndef forward(model):\n    # Twin: three\n"),
        ("import torch\n", "# Twin: four\nimport torch\n"),
    ],
    ids=["removed", "removed from a case", "added to another case", "moved into the function", "added to the module"],
)
def test_a_twin_comment_that_was_moved_or_removed_is_noticed(before: str, after: str) -> None:
    assert before in ORIGINAL
    assert twin_places(ORIGINAL.replace(before, after)) != twin_places(ORIGINAL)
