"""The commands of README.md and docs/api.md work as printed and return what the document shows below them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from services.cli.client import FINAL
from services.stack.stack import Stack
from tests.polling import wait_until

pytestmark = pytest.mark.stack

ADDRESS = "http://127.0.0.1:8080"  # of the gateway, as the documents write it
END_OF_BLOCK = "end-of-block-7d1f"
TIMEOUT_S = 60
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
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", Path(document).read_text(), re.DOTALL | re.MULTILINE):
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


def run_shell(command: str) -> str:
    """Run a command in bash and return what it prints.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    return subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True).stdout


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


def test_every_request_of_the_readme_returns_what_the_readme_shows(stack: Stack) -> None:
    require_curl()
    wait_for_starter_model(stack)
    answers: dict[str, Any] = {}
    identity = ""  # of the job submitted last; the README writes <id>
    for example in read_examples("README.md"):
        if example.language != "sh" or not example.command.startswith("curl"):
            continue
        command = example.command.replace(ADDRESS, stack.url)
        printed = run_until_ended(command.replace("<id>", identity)) if "<id>" in command else run_shell(command)
        assert example.output_kind == "json", f"the README shows no response of {example.command}"
        check_output(example, printed)
        answers[re.search(rf"{ADDRESS}(/[^\s']*)", example.command)[1]] = answer = json.loads(printed)  # type: ignore[index]
        identity = answer.get("id", identity)

    training = answers["/v1/trainings/<id>"]
    assert training["status"] == "succeeded"
    assert training["runs"]["pytorch"]["history"][-1]["test_accuracy"] > 0.9
    for request in ("/v1/predictions?model=welcome", "/v1/predictions?model=article-digits"):
        results = answers[request]["images"][0]["results"]
        assert {backend: result["class"] for backend, result in results.items()} == {"tensorflow": "7", "pytorch": "7"}
    assert set(answers["/v1/evaluations/<id>"]["results"]) == {"tensorflow", "pytorch"}
    assert np.shape(answers["/v1/models/article-digits-pytorch:predict"]["predictions"]) == (1, 10)
    load_test = answers["/v1/loadtests"]
    assert load_test["request"]["target_qps"] == [20, 50]
    run_shell(f"curl -s -X POST {stack.url}/v1/loadtests/{load_test['id']}/cancel")
    assert answers["/v1/certificates"]["request"]["network"] == "mlp"

    (script,) = (example for example in read_examples("README.md") if example.language == "python")
    source = script.command.replace("127.0.0.1:8080", stack.url.removeprefix("http://"))
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    check_output(script, ran.stdout)


def test_the_shell_commands_of_the_api_page_return_what_the_page_shows(stack: Stack) -> None:
    require_curl()
    found = [example for example in read_examples("docs/api.md") if example.language == "sh"]
    script = "".join(f"{example.command}\nprintf '%s\\n' {END_OF_BLOCK}\n" for example in found)
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, stack.url)],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * TIMEOUT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    *printed, rest = ran.stdout.split(f"{END_OF_BLOCK}\n")
    assert rest == ""
    for example, output in zip(found, printed, strict=True):
        check_output(example, output)
        assert example.output_kind or not output.strip(), f"the page shows no output of {example.command}"


def test_the_python_script_of_the_api_page_prints_what_the_page_shows(stack: Stack) -> None:
    (script,) = (example for example in read_examples("docs/api.md") if example.language == "python")
    source = script.command.replace(ADDRESS, stack.url)
    command = [sys.executable, "-W", "error", "-c", source]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * TIMEOUT_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    check_output(script, ran.stdout)


def test_every_operation_of_the_openapi_document_is_on_the_api_page(stack: Stack) -> None:
    require_curl()
    page = Path("docs/api.md").read_text()
    paths = json.loads(run_shell(f"curl -s {stack.url}/openapi.json"))["paths"]
    operations = {f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods}
    assert operations
    assert {operation for operation in operations if operation not in page} == set()


@pytest.mark.parametrize(
    ("shown", "is_found"),
    [
        ('{"a": [{"b": 1, ...}, ...], "c": null}', False),
        ('{"a": [{"b": 1, "z": 2}], ...}', False),
        ('{"a": [{"b": 1}, ...], ...}', True),  # z is left out, but no ... says so
        ('{"a": [{"b": "1", ...}], ...}', True),
        ('{"a": [], "d": 1, ...}', True),
        ('{"a": []}', True),
    ],
)
def test_a_response_of_another_shape_than_shown_is_found(shown: str, is_found: bool) -> None:
    real = {"a": [{"b": 1.5, "z": 0}], "c": "text"}
    assert (find_difference(parse_shown(shown), real) is not None) == is_found


def test_make_help_lists_every_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    listed = subprocess.run(["make", "--no-print-directory", "help"], capture_output=True, text=True, check=True).stdout
    assert targets == {line.split()[1] for line in listed.splitlines()}
