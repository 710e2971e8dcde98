"""How the command writes the trials of a search."""

from collections.abc import Mapping
from typing import Any


def describe_trial(trial: Any) -> str:
    """Return a trial's number, status, newest validation loss and settings in one line."""
    newest = trial["value"] if trial["value"] is not None else (trial["steps"] or [None])[-1]
    found = "" if newest is None else f", validation loss {newest:.4f}"
    return f"trial {trial['number']} {trial['status']}{found}: {describe_settings(trial['parameters'])}"


def describe_settings(parameters: Mapping[str, object]) -> str:
    """Return settings with the last part of each path, which is unique among a trial's."""
    return ", ".join(_describe_setting(path, value) for path, value in parameters.items())


def _describe_setting(path: str, value: object) -> str:
    name = path.rpartition(".")[2]
    if isinstance(value, float):
        return f"{name} {value:.3g}"
    if isinstance(value, dict):  # such as an optimiser
        parts = [str(each) if key == "name" else _describe_setting(key, each) for key, each in value.items()]
        return f"{name} {' '.join(parts)}"
    return f"{name} {value}"
