"""The tree at the module's top is the tree in its code."""

import inspect
import re

from shared import errors


def test_the_drawn_tree_names_every_error_and_its_status() -> None:
    drawn = dict(re.findall(r"(\w+Error)\s+(\d{3})", errors.__doc__ or ""))
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    assert {name: str(kind.status) for name, kind in classes.items()} == drawn


def test_every_error_is_a_tandem_error_with_a_title_of_its_own() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(kind, errors.TandemError) for kind in classes)
    assert len({kind.title for kind in classes}) == len(classes)
