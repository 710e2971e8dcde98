"""The commands of README.md and docs/api.md work as printed and return what the document shows below them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.stack.stack import Stack
from tests.stack.documents import (
    ADDRESS,
    check_output,
    find_difference,
    parse_shown,
    read_examples,
    require_curl,
    run_shell,
    run_until_ended,
    wait_for_starter_model,
)

pytestmark = pytest.mark.stack

END_OF_BLOCK = "end-of-block-7d1f"
TIMEOUT_S = 60


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
        timeout=5 * TIMEOUT_S,
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
