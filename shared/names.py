"""Rules for the names of models and datasets. Names become folder names, so nothing else is accepted."""

import re

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_name(text: str) -> bool:
    """Return whether `text` may name a model or a dataset. Such a name cannot leave its parent folder."""
    return bool(NAME.fullmatch(text))


def problem_with_model_name(name: str, backends: tuple[str, ...]) -> str | None:
    """Return the rule that a model's name breaks, as a sentence for the client, or None.

    Args:
        backends: the names of all backends. A model's name must not end in `-<backend>`, because other
            protocols use that ending to ask for one backend's model.
    """
    if not is_name(name):
        return f"the name {name[:80]!r} must be 1 to 63 of a-z, 0-9, '_' and '-', and begin with a letter or digit"
    for backend in backends:
        if name.endswith(f"-{backend}"):
            return f"the name {name!r} must not end in '-{backend}': that names one backend's model"
    return None
