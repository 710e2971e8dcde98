"""The tree of errors in the docstring matches the classes, and what clients read names no path."""

import inspect
import re
from pathlib import Path

import pytest

from shared import errors
from shared.errors import describe_error


def test_the_docstring_lists_every_error_with_its_status() -> None:
    listed = dict(re.findall(r"(\w+Error)\s+(\d{3})", errors.__doc__ or ""))
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    assert {name: str(kind.status) for name, kind in classes.items()} == listed


def test_every_error_is_a_tandem_error_with_a_unique_title() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(kind, errors.TandemError) for kind in classes)
    assert len({kind.title for kind in classes}) == len(classes)


def test_the_description_of_an_error_names_no_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "none").read_bytes()
    assert describe_error(missing.value) == "No such file or directory"
    assert describe_error(OSError("the disk is gone")) == "the disk is gone"
    assert describe_error(KeyError("name")) == "'name'"
