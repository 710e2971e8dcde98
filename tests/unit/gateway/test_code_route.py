"""GET /v1/code returns every file completely, says which file is missing, and answers 304 for a current copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.unit.gateway.gateway_process import running_gateway

BACKENDS = ["tensorflow", "pytorch", "absent"]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[requests.Response]:
    settings = {"TANDEM_BACKENDS": ",".join(BACKENDS)}
    with running_gateway(tmp_path_factory.mktemp("code"), settings) as url:
        yield requests.get(f"{url}/v1/code", timeout=30)


def test_the_tokens_of_each_file_joined_are_the_file(answer: requests.Response) -> None:
    rows = [row for section in answer.json()["sections"] for row in section["rows"]]
    for backend in ("tensorflow", "pytorch"):
        lines = [line for row in rows if (line := row["lines"][backend])]
        text = "".join("".join(text for _, text in line["tokens"]) + "\n" for line in lines)
        assert text == Path(f"services/{backend}/backend.py").read_text()


def test_a_file_that_is_missing_is_reported(answer: requests.Response) -> None:
    files = answer.json()["files"]
    assert list(files) == BACKENDS
    assert files["absent"]["line_count"] is None
    assert files["absent"]["error"] == "services/absent/backend.py is not part of this installation"
    assert files["pytorch"]["error"] is None


def test_a_client_with_a_current_copy_gets_no_second_one(answer: requests.Response) -> None:
    again = requests.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")
