"""Reads the commands of a document, and compares what they print with what the document shows."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from services.cli.client import FINAL
from services.stack.stack import Stack
from tests.polling import wait_until

ADDRESS = "http://127.0.0.1:8080"  # of the gateway, as the documents write it
TRIMMED = "..."  # a document leaves something out here


@dataclass
class Example:
    """A command of a document and the output that the document shows for it.

    Attributes:
        language: `sh` or `python`.
        command: the text of the block.
        output_kind: `json`, `http` (response headers) or `text`; None if the document shows no output.
        output: the shown output.
    """

    language: str
    command: str
    output_kind: str | None = None
    output: str = ""


def read_examples(document: str) -> list[Example]:
    """Return the commands of a document, each with the first output block that follows it."""
    found: list[Example] = []
    for language, text in re.findall(
        r"^```(\w+)[^\n]*\n(.*?)^```$", Path(document).read_text(), re.DOTALL | re.MULTILINE
    ):
        if language in ("sh", "python"):
            found.append(Example(language, text))
        elif found and found[-1].output_kind is None:
            found[-1].output_kind, found[-1].output = language, text
    return found


def parse_shown(text: str) -> Any:
    """Parse JSON in which `...` stands for the rest of an object or a list."""
    text = re.sub(r"\.\.\.(?=\s*\})", f'"{TRIMMED}": null', text)
    return json.loads(re.sub(r"\.\.\.(?=\s*\])", f'"{TRIMMED}"', text))


def find_difference(shown: Any, real: Any, where: str = "response") -> str | None:
    """Return the first place where a real response does not have the shape that the document shows, or None.

    An object without `...` has exactly the shown keys; with it, at least these. Each shown element of a list
    has the shape of some real element. Values are of the same kind; null stands for any kind.
    """
    if isinstance(shown, dict) and isinstance(real, dict):
        return _find_difference_of_objects(shown, real, where)
    if isinstance(shown, list) and isinstance(real, list):
        return _find_difference_of_lists(shown, real, where)
    if None in (shown, real) or json_type(shown) == json_type(real):
        return None
    return f"{where} is {real!r}, not {shown!r}"


def _find_difference_of_objects(shown: dict[str, Any], real: dict[str, Any], where: str) -> str | None:
    keys = set(shown) - {TRIMMED}
    if missing := keys - set(real):
        return f"{where} has no {sorted(missing)}"
    if TRIMMED not in shown and (left_out := set(real) - keys):
        return f"{where} also has {sorted(left_out)}: show them, or write ..."
    return next(filter(None, (find_difference(shown[key], real[key], f"{where}.{key}") for key in keys)), None)


def _find_difference_of_lists(shown: list[Any], real: list[Any], where: str) -> str | None:
    for index, element in enumerate(shown):
        if element == TRIMMED:
            continue
        differences = [find_difference(element, candidate, f"{where}[{index}]") for candidate in real]
        if None not in differences:
            return differences[0] if differences else f"{where} is empty"
    return None


def json_type(value: Any) -> type:
    """Return the type of a JSON value; whole and other numbers are one type."""
    return float if type(value) is int else type(value)


def mask_numbers(text: str) -> str:
    """Return text in which each number is replaced, as numbers differ between machines."""
    return re.sub(r"-?\d[\d.]*(e[+-]?\d+)?", "N", text)


def check_output(example: Example, real: str) -> None:
    """Assert that a command's real output is of the form that the document shows."""
    if example.output_kind == "json":
        problem = find_difference(parse_shown(example.output), json.loads(real))
        assert problem is None, f"{example.command}\n{problem}"
    elif example.output_kind == "http":
        status, *headers = example.output.splitlines()
        assert real.startswith(status), f"{example.command}\n{real}"
        names = {line.partition(":")[0].lower() for line in real.splitlines()}
        assert {line.partition(":")[0].lower() for line in headers} <= names, f"{example.command}\n{real}"
    elif example.output_kind == "text":
        printed = mask_numbers(real).splitlines()
        for line in mask_numbers(example.output).splitlines():
            assert line == TRIMMED or line in printed, f"{example.command}\nprints no {line!r}, but:\n{real}"


def run_shell(command: str, folder: Path | None = None) -> str:
    """Run a command in bash, in a folder, and return what it prints.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    return subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=True).stdout


def run_until_ended(command: str) -> str:
    """Repeat a request for a job until the job has ended; return the last response."""

    def ended() -> str | None:
        answer = run_shell(command)
        return answer if json.loads(answer)["status"] in FINAL else None

    return wait_until(ended, message=f"the job did not end: {command}", every_s=0.2) or ""


def require_curl() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")


def wait_for_starter_model(stack: Stack) -> None:
    """Wait until all backends have loaded the starter model. A backend that takes over 2 s is left out at first."""
    url, picture = f"{stack.url}/v1/predictions?model=welcome", Path("samples/seven.png").read_bytes()
    wait_until(lambda: not requests.post(url, picture, timeout=60).json()["errors"], message="a model is not loaded")
