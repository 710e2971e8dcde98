"""Whatever bytes come, the server answers with a proper response or closes the connection, and goes on serving."""

from collections import Counter

import requests

from tests.hostile_requests import check_answer, hostile_requests
from tests.unit.web.test_server import port, url  # noqa: F401 - fixtures

COUNT = 400
SEED = 16


def test_no_request_gets_a_bare_error(port: int, url: str) -> None:  # noqa: F811
    paths = ("/flask/echo", "/loop/echo", "/nowhere", "*", "http://x/flask/echo", "")
    statuses = Counter(check_answer(port, pieces) for pieces in hostile_requests(paths, COUNT, SEED))
    assert {200, 400, 404, 405} <= set(statuses), statuses
    assert requests.post(f"{url}/loop/echo", b"abc", timeout=10).json()["size"] == 3
