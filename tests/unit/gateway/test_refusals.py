"""Every refusal of every route is a problem document in Tandem's own words, whatever library found the fault."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import requests
from werkzeug.exceptions import default_exceptions

from services.cli.client import Client
from services.gateway.routes.request_bodies import MAX_JSON_BYTES
from shared.web.problems import problem_of
from tests.unit.gateway.gateway_process import running_gateway

VALUES = {
    "id": "0" * 32,
    "name": "absent",
    "backend": "pytorch",
    "version": "1",
    "alias": "stable",
    "label": "stable",
    "split": "test",
    "index": "0",
    "format": "onnx",
}
# How the sentences of pydantic, its JSON parser, Werkzeug and aiohttp begin or what they contain.
FOREIGN_WORDS = (
    *("Input should", "Field required", "Extra inputs", "Value error", "should have at", "validation error"),
    *("EOF while", "expected value", "trailing c", "key must be a", "recursion limit", "Invalid JSON"),
    *("The browser", "The requested", "The method", "The server", "The data value", "Did not attempt"),
    *("Failed to decode", "Bad status line", "Got more than", "Invalid HTTP", "Invalid header", "message:"),
)


class Operation(NamedTuple):
    """A method of a path, with the path's placeholders filled in."""

    method: str
    path: str
    takes_body: bool


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("state")) as url:
        yield url


@pytest.fixture(scope="module")
def operations(url: str) -> list[Operation]:
    """Return every operation of the OpenAPI document but uploads: their body is a file, which is not read as others."""
    paths = Client(url).get("/openapi.json")["paths"]
    return [
        Operation(method.upper(), path.format(**VALUES), "requestBody" in operation)
        for path, item in paths.items()
        for method, operation in item.items()
        if (method, path) != ("put", "/v1/datasets/{name}")
    ]


def check_refusal(answer: requests.Response, *statuses: int) -> None:
    """Require a problem document of one of some statuses, without a library's words."""
    where = f"{answer.request.method} {answer.request.path_url}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, where
    assert answer.headers["Content-Type"] == "application/problem+json", where
    problem = answer.json()
    assert problem["status"] == answer.status_code, where
    assert not [words for words in FOREIGN_WORDS if words in problem["detail"]], where


def test_every_route_refuses_other_methods(url: str, operations: list[Operation]) -> None:
    for path in sorted({operation.path for operation in operations}):
        check_refusal(requests.patch(url + path, timeout=10), 405)


def test_every_route_refuses_unknown_and_damaged_compression(url: str, operations: list[Operation]) -> None:
    packed = gzip.compress(b"{}")
    for operation in operations:
        for body, encoding, status in ((packed, "br", 415), (packed[:-1], "gzip", 400), (b"{}", "deflate", 400)):
            headers = {"Content-Encoding": encoding}
            answer = requests.request(operation.method, url + operation.path, data=body, headers=headers, timeout=10)
            check_refusal(answer, status)


def test_every_route_takes_compressed_json(url: str, operations: list[Operation]) -> None:
    """A body with an unknown field is refused as if it were not compressed."""
    body = b'{"no_such_field": 1}'
    for operation in operations:
        if operation.takes_body:
            plain = requests.request(operation.method, url + operation.path, data=body, timeout=10)
            packed = requests.request(
                operation.method,
                url + operation.path,
                data=gzip.compress(body),
                headers={"Content-Encoding": "gzip"},
                timeout=10,
            )
            assert (packed.status_code, packed.text) == (plain.status_code, plain.text)


MALFORMED = [
    b"",
    b"{",
    b"[1,]",
    b'{"a": 1} x',
    b"{'a': 1}",
    b'{"a": tru}',
    b'{"a": 01}',
    b'{"a": "\n"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\x"}',
    b'{"a": "\xff"}',
    b'{"a": ' + b"1" * 5000 + b"}",
    b"[" * 5000,
    b"\xff\xfe{",
    b"name=value",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:20]))
def test_every_route_refuses_malformed_json_in_the_same_way(url: str, operations: list[Operation], body: bytes) -> None:
    for operation in operations:
        if operation.takes_body and not (operation.path == "/v2/repository/index" and not body):
            answer = requests.request(operation.method, url + operation.path, data=body, timeout=10)
            check_refusal(answer, 400, 404, 422, 503)  # 404 and 503: routes of a model look for it first


@pytest.mark.parametrize("body", [b"[]", b"3", b'"{}"', b"null", b'{"x": 1}', b'{"epochs": NaN}', b'{"seed": [[]]}'])
def test_every_route_refuses_json_of_another_kind(url: str, operations: list[Operation], body: bytes) -> None:
    for operation in operations:
        if operation.takes_body and operation.path != "/v2/repository/index":  # other members are ignored there
            answer = requests.request(operation.method, url + operation.path, data=body, timeout=10)
            check_refusal(answer, 404, 409, 422, 503)


def test_every_route_refuses_json_that_is_too_large(url: str, operations: list[Operation]) -> None:
    body = b'{"x": "' + b"x" * MAX_JSON_BYTES + b'"}'
    for operation in operations:
        if operation.takes_body:
            answer = requests.request(operation.method, url + operation.path, data=body, timeout=10)
            check_refusal(answer, 404, 413, 422, 503)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", None])
def test_json_may_have_any_unicode_encoding_and_any_media_type(url: str, encoding: str, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    body = json.dumps({"network": "vgg"}).encode(encoding)
    answer = requests.post(f"{url}/v1/trainings", data=body, headers=headers, timeout=10)
    assert "unknown network 'vgg'" in answer.json()["detail"]
    answer = requests.post(f"{url}/v2/repository/index", data=json.dumps({"ready": 1}).encode(encoding), timeout=10)
    assert answer.json()["detail"] == "ready: must be true or false"


def test_of_a_name_that_occurs_twice_the_last_value_counts_on_all_routes(url: str) -> None:
    answer = requests.post(f"{url}/v1/trainings", data=b'{"network": 1, "network": "vgg"}', timeout=10)
    assert "unknown network 'vgg'" in answer.json()["detail"]
    answer = requests.post(f"{url}/v2/repository/index", data=b'{"ready": true, "ready": 1}', timeout=10)
    assert answer.json()["detail"] == "ready: must be true or false"


def test_every_query_and_path_is_refused_in_own_words(url: str, operations: list[Operation]) -> None:
    for operation in operations:
        answer = requests.request(operation.method, f"{url}{operation.path}?count=x&wait=x&version=%00", timeout=10)
        if not answer.ok and operation.path != "/v2/health/ready":  # that answers 503 with its report
            check_refusal(answer, 400, 404, 409, 422, 503)
    for path in (
        "/nowhere",
        "/v1/models/absent/labels/other",
        "/v1/tokens/x",
        "/v1/models/a/versions/x",
        "/v1/trainings/",
    ):
        check_refusal(requests.get(url + path, timeout=10), 404, 405, 422)


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(500)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nno colon\r\n\r\n",
        b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/trainings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nExpect: wonders\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda text: repr(text[:60]),
)
def test_the_servers_own_refusals_are_in_own_words(url: str, request_text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=20) as connection:
        connection.sendall(request_text)
        answer = b""
        while b'"error"' not in answer and (part := connection.recv(65536)):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in (400, 413, 417, 421, 431), answer
    assert b"application/problem+json" in head
    detail = json.loads(body)["detail"]
    assert not [words for words in FOREIGN_WORDS if words in detail], detail


@pytest.mark.parametrize("code", sorted(default_exceptions))
def test_an_error_of_werkzeug_gets_own_words(code: int) -> None:
    document = json.loads(problem_of(default_exceptions[code](), "/").body)
    assert document["status"] == code
    assert document["detail"] != default_exceptions[code].description
    assert not [words for words in FOREIGN_WORDS if words in document["detail"]]


def test_pictures_are_refused_in_own_words(url: str) -> None:
    """The model is looked for first, so without a model only the query is checked here."""
    answer = requests.post(f"{url}/v1/predictions", files={"image": Path("samples/seven.png").read_bytes()}, timeout=10)
    check_refusal(answer, 422)
    assert answer.json()["detail"] == "model: this field is required"
