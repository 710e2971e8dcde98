"""The rules for the names of models, backends and datasets.

A name becomes the name of a folder and a part of a URL, so only safe characters are accepted.
"""

import re

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Use `NAME.fullmatch(text)`."""


def is_name(text: str) -> bool:
    """Return whether a text is a valid name. A path made of valid names cannot leave its parent folder."""
    return bool(NAME.fullmatch(text))


def problem_with_model_name(name: str, backends: tuple[str, ...]) -> str | None:
    """Return which rule a model's name breaks, as a message for the client, or None if the name is valid.

    Args:
        backends: the names of all backends. A model's name must not end in `-<backend>`, because the Open Inference
            Protocol routes use that ending to select one backend's model.
    """
    if not is_name(name):
        return (
            f"the name {name[:80]!r} must have 1 to 63 characters of a-z, 0-9, '_' and '-', "
            f"and begin with a letter or digit"
        )
    for backend in backends:
        if name.endswith(f"-{backend}"):
            return f"the name {name!r} must not end in '-{backend}': that ending selects one backend's model"
    return None
