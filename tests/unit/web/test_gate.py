"""The gate of servers that only other services call: no web page gets through it."""

import pytest
from aiohttp.test_utils import make_mocked_request
from werkzeug.exceptions import Forbidden

from shared.web.gate import ServiceGate

GATE = ServiceGate("pytorch-predictor")


@pytest.mark.parametrize("host", ["127.0.0.1:8101", "localhost", "[::1]:8101", "pytorch-predictor:8101", "LOCALHOST:1"])
def test_other_services_are_let_in(host: str) -> None:
    GATE.admit(make_mocked_request("POST", "/predict/a/1", headers={"Host": host}), "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "page.example"},
        {"Host": "page.example:8101"},
        {"Host": "127.0.0.1:8101", "Origin": "https://page.example"},
        {"Host": "127.0.0.1:8101", "Origin": "null"},
        {"Host": "127.0.0.1:8101", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_web_pages_are_not_let_in(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        GATE.admit(make_mocked_request("POST", "/predict/a/1", headers=headers), "")
