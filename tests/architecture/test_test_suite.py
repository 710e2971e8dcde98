"""Tests measure nothing: no assertion depends on a clock or on an amount of memory, and only one file polls."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_files import assert_none, list_files, parse

POLLING = Path("tests/polling.py")
CLOCKS = {"perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "thread_time"}
MEMORY = {"getrusage", "ru_maxrss", "tracemalloc", "memory_info", "get_traced_memory"}
MEASUREMENTS = CLOCKS | MEMORY
MEASURED_WORDS = ("elapsed", "duration", "seconds", "latency", "memory", "rss")
COUNT_ENDINGS = ("_count", "_total")  # Prometheus counts observations under the name of what it observes


def names_in(node: ast.AST) -> set[str]:
    """Return the names, attributes and short strings in an expression: `a.b["c"]` has a, b and c."""
    names = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            names.add(each.id)
        elif isinstance(each, ast.Attribute):
            names.add(each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            names.add(each.value)
    return names


def list_assignments(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield (variable, value) for every assignment to a plain name, also in a tuple."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(name, ast.Name):
                        yield name.id, node.value


def find_measured_names(scope: ast.AST) -> set[str]:
    """Return the variables of a function that hold a measurement or something computed from one."""
    measured = set(MEASUREMENTS)
    assignments = list(list_assignments(scope))
    for _ in assignments:  # each pass finds at least one more variable, or none is left
        measured |= {name for name, value in assignments if names_in(value) & measured}
    return measured


def compares_a_measured_amount(node: ast.Assert) -> bool:
    """Tell whether an assertion says that a time or an amount of memory is above or below a number other than 0."""
    for compare in ast.walk(node.test):
        if isinstance(compare, ast.Compare):
            parts = [compare.left, *compare.comparators]
            is_ordered = any(isinstance(each, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for each in compare.ops)
            numbers = [part.value for part in parts if isinstance(part, ast.Constant)]
            names = {name for part in parts for name in names_in(part) if not name.endswith(COUNT_ENDINGS)}
            if is_ordered and any(numbers) and any(word in name for word in MEASURED_WORDS for name in names):
                return True
    return False


def list_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def list_measuring_assertions(path: Path) -> Iterator[str]:
    for function in list_functions(path):
        measured = find_measured_names(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) and (names_in(node.test) & measured or compares_a_measured_amount(node)):
                yield f"{path}:{node.lineno}: {ast.unparse(node.test)}"


def list_polling_loops(path: Path) -> Iterator[str]:
    for function in list_functions(path):
        measured = find_measured_names(function)
        for node in ast.walk(function):
            if isinstance(node, ast.While) and names_in(node.test) & measured:
                yield f"{path}:{node.lineno}: while {ast.unparse(node.test)}"


def list_test_files() -> list[Path]:
    return [path for path in list_files("tests/*.py") if path not in (POLLING, Path(__file__).relative_to(Path.cwd()))]


def test_no_assertion_depends_on_a_time_or_an_amount_of_memory() -> None:
    """Such a test fails on a busy machine. Measurements belong in benchmarks/, as ratios."""
    offenders = [line for path in list_test_files() for line in list_measuring_assertions(path)]
    assert_none(offenders, "A test asserts no time and no amount of memory")


def test_only_one_helper_polls() -> None:
    offenders = [line for path in list_test_files() for line in list_polling_loops(path)]
    assert_none(offenders, f"Tests wait with {POLLING}")


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        (["begin = time.monotonic()", "took = time.monotonic() - begin", "assert took < limit"], True),
        (["assert time.perf_counter() < deadline"], True),
        (["assert answer['duration_s'] < 5"], True),
        (["assert usage.ru_maxrss - before < limit"], True),
        (["assert result.peak_memory_bytes > 1e7"], True),
        (["assert entry['seconds'] > 0"], False),
        (["assert samples['request_duration_seconds_count'] >= 1"], False),
        (["begin = time.monotonic()", "work()", "assert answer == 7"], False),
    ],
)
def test_the_search_finds_measuring_assertions_and_no_others(tmp_path: Path, lines: list[str], is_found: bool) -> None:
    file = tmp_path / "test_example.py"
    file.write_text("\n    ".join(["def test_example():", *lines]))
    assert bool(list(list_measuring_assertions(file))) == is_found


def test_the_search_finds_polling_loops(tmp_path: Path) -> None:
    file = tmp_path / "test_example.py"
    file.write_text("def test_example():\n    end = time.monotonic() + 9\n    while time.monotonic() < end: pass\n")
    assert list(list_polling_loops(file))
