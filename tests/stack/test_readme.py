"""The commands of the README and of docs/api.md, as their reader would paste them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.cli.client import FINAL
from services.stack.stack import Stack
from tests.polling import wait_until

pytestmark = pytest.mark.stack


def test_the_readmes_requests_do_what_it_says(stack: Stack) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    blocks = re.findall(r"```sh\n(curl.*?)```", Path("README.md").read_text(), re.DOTALL)
    welcome, train, predict, evaluate, serve, load, certify = (
        block.replace("http://127.0.0.1:8080", stack.url) for block in blocks
    )

    def answer(command: str) -> dict:
        ran = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True)
        return json.loads(ran.stdout)

    training = answer(train)
    path = f"{stack.url}/v1/trainings/{training['id']}"
    wait_until(lambda: answer(f"curl -s {path}")["status"] in FINAL, message="the training did not end", every_s=0.2)
    training = answer(f"curl -s {path}")
    assert training["status"] == "succeeded"
    assert training["runs"]["pytorch"]["history"][-1]["test_accuracy"] > 0.9

    assert {result["class"] for result in answer(welcome)["images"][0]["results"].values()} == {"7"}
    prediction = answer(predict)
    assert [result["class"] for result in prediction["images"][0]["results"].values()] == ["7", "7"]

    evaluation = answer(evaluate)
    assert set(evaluation["results"]) == {"tensorflow", "pytorch"}
    assert np.shape(answer(serve)["predictions"]) == (1, 10)
    (triton,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    script = triton.replace("127.0.0.1:8080", stack.url.removeprefix("http://"))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    load_test = answer(load)
    assert load_test["request"]["target_qps"] == [20, 50]
    answer(f"curl -s -X POST {stack.url}/v1/loadtests/{load_test['id']}/cancel")
    assert answer(certify)["request"]["network"] == "mlp"


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_api_by_example_works_from_top_to_bottom(stack: Stack, language: str) -> None:
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    blocks = re.findall(rf"```{language}\n(.*?)```", Path("docs/api.md").read_text(), re.DOTALL)
    script = "\n".join(blocks).replace("http://127.0.0.1:8080", stack.url)
    command = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}[language]
    ran = subprocess.run([*command, script], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "choose one of article, mlp" in ran.stdout, "the last example is a refusal"
    assert ran.stdout.count('"status":"succeeded"' if language == "sh" else "tensorflow") >= 2


def test_make_help_lists_every_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    listed = subprocess.run(["make", "--no-print-directory", "help"], capture_output=True, text=True, check=True).stdout
    assert targets == {line.split()[1] for line in listed.splitlines()}
