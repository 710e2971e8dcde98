"""The tree of errors in the module's docstring matches the classes."""

import inspect
import re

from shared import errors


def test_the_docstring_lists_every_error_with_its_status() -> None:
    listed = dict(re.findall(r"(\w+Error)\s+(\d{3})", errors.__doc__ or ""))
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    assert {name: str(kind.status) for name, kind in classes.items()} == listed


def test_every_error_is_a_tandem_error_with_a_unique_title() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(kind, errors.TandemError) for kind in classes)
    assert len({kind.title for kind in classes}) == len(classes)
