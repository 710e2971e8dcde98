"""The HTTP server over real sockets: routes of the event loop and of Flask get the same ids, limits and errors."""

import asyncio
import contextlib
import gzip
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from aiohttp import web
from flask import Flask, request
from prometheus_client.parser import text_string_to_metric_families
from requests.adapters import HTTPAdapter

from services.stack.stack import free_ports
from shared.errors import InvalidRequestError, UnavailableError
from shared.logs import REQUEST_ID, request_id
from shared.settings import Settings
from shared.web.body_reader import SMALL_BYTES, BodyLimits, BodyReader
from shared.web.connections import ConnectionLimits
from shared.web.problems import install_problems
from shared.web.request_metrics import metrics_response
from shared.web.routes import BufferedRequest, Route
from shared.web.server import HttpServer, serve
from tests.polling import wait_until

MAX_BODY_BYTES = 2**20
MAX_TOTAL_BODY_BYTES = 2 * MAX_BODY_BYTES
MAX_CALLER_BODY_BYTES = MAX_TOTAL_BODY_BYTES * 3 // 4
BODY_LIMITS = BodyLimits(MAX_BODY_BYTES, MAX_CALLER_BODY_BYTES, MAX_TOTAL_BODY_BYTES, window_s=2, window_bytes=1000)
CONNECTION_LIMITS = ConnectionLimits(max_total=40, max_per_address=30, headers_s=2, idle_s=60, stalled_s=2)
LARGE_BYTES = 16 * 2**20  # more than the system's buffers hold
BOTH_KINDS = ["/loop/echo", "/flask/echo"]


def load() -> HttpServer:
    """Return a server whose routes, of either kind, describe the request that they got, or fail as told."""
    app, go = Flask("test", static_folder=None), asyncio.Event()
    install_problems(app)
    app.add_url_rule("/metrics", view_func=metrics_response)

    @app.route("/flask/<what>", methods=["GET", "POST"])
    def flask(what: str) -> Any:
        fail_as_told(what)
        return {
            "what": what,
            "query": request.query_string.decode(),
            "size": len(request.get_data()),
            "id": request_id(),
            "headers": dict(request.headers),
        }

    async def loop(request: BufferedRequest) -> web.Response:
        what = request.path_values["what"]
        fail_as_told(what)
        if what == "go":
            go.set()
        if what == "wait":
            await go.wait()
        if what == "large":
            return web.Response(body=bytes(LARGE_BYTES))
        answer = {"what": what, "query": request.query, "size": len(request.body), "id": request_id()}
        return web.json_response(answer)

    routes = [Route("/loop/<what>", re.compile("/loop/(?P<what>[^/]+)"), loop)]
    return HttpServer(app, routes, 2, bodies=BodyReader(BODY_LIMITS), connections=CONNECTION_LIMITS)


def fail_as_told(what: str) -> None:
    """Raise the error that a path names."""
    errors = {
        "down": UnavailableError("nobody is there"),
        "wrong": InvalidRequestError("it is wrong"),
        "bug": KeyError("a secret"),
        "deep": RecursionError(),
    }
    if what in errors:
        raise errors[what]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "tests.unit.web.test_server", str(port)])

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/flask/echo", timeout=5).ok
        return False

    wait_until(answers, message="the server does not answer")
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def exchange(port: int, text: bytes) -> bytes:
    """Send bytes as they are, and return everything that the server answers within two seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        answer = b""
        connection.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while part := connection.recv(65536):
                answer += part
        return answer


def check_problem(answer: requests.Response, status: int) -> dict:
    """Require a problem document with an id, and return it."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers[REQUEST_ID]
    document = answer.json()
    assert document["status"] == status
    assert set(document) == {"type", "title", "status", "detail", "error"}
    return document


def check_raw_problem(answer: bytes, status: int) -> None:
    """Require the same of an answer as it came over the socket."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.splitlines()[0].split()[1] == str(status).encode()
    assert b"Content-Type: application/problem+json" in head
    assert REQUEST_ID.encode() in head
    assert f'"status": {status}'.encode() in body


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_both_kinds_of_route_get_the_same_request(url: str, path: str) -> None:
    answer = requests.post(f"{url}{path}?a=%20b&a=c", b"abc", headers={REQUEST_ID: "mine"}, timeout=10)
    assert answer.status_code == 200
    assert answer.headers[REQUEST_ID] == "mine"
    found = answer.json()
    assert (found["what"], found["query"], found["size"], found["id"]) == ("echo", "a=%20b&a=c", 3, "mine")


@pytest.mark.parametrize("kind", ["loop", "flask"])
@pytest.mark.parametrize(
    ("what", "status", "detail"),
    [
        ("down", 503, "nobody is there"),
        ("wrong", 422, "it is wrong"),
        ("bug", 500, "KeyError: the log of the server says more"),
        ("deep", 400, "the JSON is nested too deeply"),
    ],
)
def test_errors_of_both_kinds_of_route_are_the_same_problem_documents(
    url: str, kind: str, what: str, status: int, detail: str
) -> None:
    answer = requests.post(f"{url}/{kind}/{what}", timeout=10)
    assert check_problem(answer, status)["detail"] == detail
    assert "secret" not in answer.text
    assert (answer.headers.get("Retry-After") == "2") == (status == 503)


def test_other_methods_than_post_are_refused_on_the_event_loop_as_in_flask(url: str) -> None:
    for path in BOTH_KINDS:
        answer = requests.delete(f"{url}{path}", timeout=10)
        check_problem(answer, 405)
        assert {"OPTIONS", "POST"} <= set(answer.headers["Allow"].split(", "))
        options = requests.options(f"{url}{path}", timeout=10)
        assert options.status_code == 200
        assert {"OPTIONS", "POST"} <= set(options.headers["Allow"].split(", "))
    check_problem(requests.get(f"{url}/nowhere", timeout=10), 404)
    assert requests.head(f"{url}/flask/echo", timeout=10).status_code == 200


@pytest.mark.parametrize("path", BOTH_KINDS)
@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, MAX_BODY_BYTES])
def test_a_body_up_to_the_limit_arrives_with_a_length_and_in_chunks(url: str, path: str, size: int) -> None:
    body = bytes(size)
    assert requests.post(f"{url}{path}", body, timeout=30).json()["size"] == size
    chunks = (body[start : start + 10_000] for start in range(0, size, 10_000))
    assert requests.post(f"{url}{path}", chunks, timeout=30).json()["size"] == size


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_body_above_the_limit_is_refused_with_a_length_and_in_chunks(port: int, path: str) -> None:
    announced = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    check_raw_problem(exchange(port, announced), 413)
    chunk = b"%x\r\n%s\r\n" % (MAX_BODY_BYTES + 1, bytes(MAX_BODY_BYTES + 1))
    chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk
    check_raw_problem(exchange(port, chunked), 413)


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_malformed_chunks_are_refused(port: int, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    check_raw_problem(exchange(port, head + b"zz\r\nabc\r\n0\r\n\r\n"), 400)


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_malformed_chunk_that_arrives_later_is_refused_at_once(port: int, path: str) -> None:
    """The server does not wait for the body's deadline, which would be a 408."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab".encode())
        time.sleep(0.2)  # the server has begun to read the body
        connection.sendall(b"c\r\nzz\r\n")
        check_raw_problem(connection.recv(65536), 400)


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_many_tiny_chunks_are_refused_and_a_few_are_taken(port: int, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    few = b"1\r\nx\r\n" * 2000
    answer = exchange(port, head + few + b"0\r\n\r\n")
    assert b'"size":2000' in answer.replace(b" ", b"")
    check_raw_problem(exchange(port, head + few * 10), 400)
    usual = b"10\r\n" + bytes(16) + b"\r\n"
    answer = exchange(port, head + usual * 5000 + b"0\r\n\r\n")
    assert b'"size":80000' in answer.replace(b" ", b"")


PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "GZIP , identity": gzip.compress}


@pytest.mark.parametrize("path", BOTH_KINDS)
@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [0, 1000, MAX_BODY_BYTES])
def test_a_compressed_body_is_unpacked_up_to_the_limit(url: str, path: str, encoding: str, size: int) -> None:
    packed = PACKERS[encoding](random.Random(0).randbytes(size // 2) + bytes(size - size // 2))
    headers = {"Content-Encoding": encoding}
    assert requests.post(f"{url}{path}", packed, headers=headers, timeout=30).json()["size"] == size
    chunks = (packed[start : start + 5000] for start in range(0, len(packed), 5000))
    assert requests.post(f"{url}{path}", chunks, headers=headers, timeout=30).json()["size"] == size


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_compressed_body_that_unpacks_to_too_much_is_refused_and_no_longer_counted(url: str, path: str) -> None:
    headers = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(bytes(64 * MAX_BODY_BYTES))
    for _ in range(5):  # more than the limit of all bodies together
        check_problem(requests.post(f"{url}{path}", bomb, headers=headers, timeout=30), 413)
    packed = gzip.compress(bytes(MAX_BODY_BYTES))
    assert requests.post(f"{url}{path}", packed, headers=headers, timeout=30).ok


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_damaged_or_unknown_compression_is_refused_and_the_connection_stays_usable(url: str, path: str) -> None:
    packed = gzip.compress(b"abc")
    with requests.Session() as session:
        for body, encoding, status in (
            (b"abc", "gzip", 400),
            (packed[:-1], "gzip", 400),
            (packed + b"x", "gzip", 400),
            (packed, "deflate", 400),
            (packed, "br", 415),
            (packed, "gzip, zstd", 415),
        ):
            answer = session.post(f"{url}{path}", body, headers={"Content-Encoding": encoding}, timeout=10)
            check_problem(answer, status)
            assert answer.headers.get("Accept-Encoding") == ("gzip, deflate, identity" if status == 415 else None)
            assert session.post(f"{url}{path}", b"abc", timeout=10).json()["size"] == 3
        plain = session.post(f"{url}{path}", b"abc", headers={"Content-Encoding": "identity"}, timeout=10)
        assert plain.json()["size"] == 3


def test_a_client_that_expects_a_go_ahead_gets_it(port: int) -> None:
    text = b"POST /loop/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'"size": 3' in connection.recv(65536)


@pytest.mark.parametrize(
    "text",
    [
        b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 10**6 + b"\r\n\r\n",
        b"no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
    ],
    ids=["long path", "long header", "no request", "no header", "length below 0", "two lengths", "TLS"],
)
def test_what_is_not_a_valid_request_gets_a_problem_document_as_well(port: int, text: bytes) -> None:
    try:
        answer = exchange(port, text)
    except ConnectionError:
        return  # the server closed the connection while more was being sent
    check_raw_problem(answer, 400)


def test_a_large_cookie_is_accepted(url: str) -> None:
    cookie = "x" * 9000
    answer = requests.get(f"{url}/flask/echo", headers={"Cookie": f"a={cookie}"}, timeout=10)
    assert answer.json()["headers"]["Cookie"] == f"a={cookie}"


@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_target_with_scheme_and_host_is_answered_like_its_path(port: int, path: str) -> None:
    head = f"POST http://x{path}?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    answer = exchange(port, head)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"a=1"' in answer


def test_repeated_headers_are_joined_for_flask(port: int) -> None:
    head = b"GET /flask/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = exchange(port, head + b"X-Part: one\r\nx-part: two\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
    assert b'"X-Part":"one, two"' in answer.replace(b'": "', b'":"')
    assert b'"Cookie":"a=1; b=2"' in answer.replace(b'": "', b'":"')


def test_a_header_name_with_an_underscore_replaces_no_other_header(port: int) -> None:
    head = b"POST /flask/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += b"Content-Type: text/plain\r\nContent-Length: 2\r\n"
    answer = exchange(port, head + b"Content_Type: a/b\r\nContent_Length: 1\r\nX_Request_Id: no\r\n\r\nab")
    assert b'"Content-Type":"text/plain"' in answer.replace(b'": "', b'":"')
    assert b'"size":2' in answer.replace(b'": ', b'":')
    assert b"a/b" not in answer
    assert b": no\r\n" not in answer


@pytest.mark.parametrize("asked", ["a", "0123-4567_89.AB", "x" * 128, "one,two", ",".join(["y" * 128] * 64)])
@pytest.mark.parametrize("path", BOTH_KINDS)
def test_a_valid_request_id_is_kept(url: str, path: str, asked: str) -> None:
    answer = requests.post(f"{url}{path}", headers={REQUEST_ID: asked}, timeout=10)
    assert answer.json()["id"] == answer.headers[REQUEST_ID] == asked


@pytest.mark.parametrize("asked", [None, "", "x" * 129, "two words", "a,", 'quo"te', b"\xc3\xa9", ",".join("a" * 65)])
@pytest.mark.parametrize("path", BOTH_KINDS)
def test_any_other_request_id_is_replaced_by_a_new_one(url: str, path: str, asked: str | bytes | None) -> None:
    headers = {} if asked is None else {REQUEST_ID: asked}
    answers = [requests.post(f"{url}{path}", headers=headers, timeout=10) for _ in range(2)]
    ids = [answer.headers[REQUEST_ID] for answer in answers]
    assert [answer.json()["id"] for answer in answers] == ids
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert ids[0] != ids[1]


def test_requests_are_counted_by_route_and_not_by_what_clients_make_up(port: int, url: str) -> None:
    for path in ("/flask/1", "/loop/2", "/made/up"):
        requests.post(f"{url}{path}", timeout=10)
    requests.request("BREW", f"{url}/flask/3", timeout=10)
    requests.request("BREW", f"{url}/loop/3", timeout=10)
    before = count_requests(url)
    exchange(port, b"no HTTP\r\n\r\n")
    after = count_requests(url)
    assert after["other", "other", "4xx"] == before["other", "other", "4xx"] + 1
    assert {("/flask/<what>", "POST", "2xx"), ("/loop/<what>", "POST", "2xx")} <= set(after)
    requests.post(f"{url}/loop/4", bytes(MAX_BODY_BYTES + 1), timeout=10)
    assert ("/loop/<what>", "POST", "4xx") in count_requests(url), "a body that is too large is counted by its route"
    assert not {label for label in after if "BREW" in label or "/made/up" in label}


def count_requests(url: str) -> dict[tuple[str, str, str], float]:
    """Return how many requests the server has counted, by route, method and class of status."""
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=10).text)
    (family,) = (found for found in families if found.name == "tandem_request_duration_seconds")
    return {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_count")
    }


def test_bodies_that_are_announced_and_do_not_come_refuse_nobody(port: int, url: str) -> None:
    head = f"POST /flask/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n".encode()
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(4)]
        for connection in slow:
            connection.sendall(head + b"abc")
        assert requests.post(f"{url}/loop/echo", bytes(MAX_BODY_BYTES), timeout=10).status_code == 200
        for connection in slow:
            check_raw_problem(connection.recv(65536), 408)


def test_a_body_may_take_long_while_its_bytes_keep_arriving(port: int) -> None:
    pieces = 8
    length = pieces * BODY_LIMITS.window_bytes
    head = f"POST /loop/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head)
        for _ in range(pieces):
            time.sleep(BODY_LIMITS.window_s / 4)  # twice as long in all as a window
            connection.sendall(bytes(BODY_LIMITS.window_bytes))
        assert f'"size": {length}'.encode() in connection.recv(65536)


def test_the_bodies_of_a_client_and_of_all_clients_have_limits(url: str) -> None:
    """A body counts until its request is answered. What counts is the bytes that have arrived."""
    half = bytes(MAX_BODY_BYTES // 2 + SMALL_BYTES)
    with ThreadPoolExecutor(3) as threads:
        try:
            held = [threads.submit(post_from, "127.0.0.1", f"{url}/loop/wait", bytes(MAX_BODY_BYTES))]
            refused = wait_until(
                lambda: [answer for answer in [post_from("127.0.0.1", f"{url}/loop/echo", half)] if not answer.ok],
                message="bodies beyond the limit of one client are not refused",
            )
            assert "your large bodies" in check_problem(refused[0], 503)["detail"]
            assert post_from("127.0.0.2", f"{url}/loop/echo", half).ok
            held.append(threads.submit(post_from, "127.0.0.2", f"{url}/loop/wait", half))
            refused = wait_until(
                lambda: [answer for answer in [post_from("127.0.0.3", f"{url}/loop/echo", half)] if not answer.ok],
                message="bodies beyond the limit of all clients are not refused",
            )
            assert "the server holds" in check_problem(refused[0], 503)["detail"]
            assert post_from("127.0.0.1", f"{url}/loop/echo", bytes(SMALL_BYTES)).ok, "a small body is always taken"
        finally:
            requests.post(f"{url}/loop/go", timeout=10)
        assert all(waiting.result().ok for waiting in held)
    wait_until(
        lambda: requests.post(f"{url}/flask/echo", bytes(MAX_BODY_BYTES), timeout=10).ok,
        message="the bytes of bodies that have ended are still counted",
    )


class SourceAddress(HTTPAdapter):
    """Connects from one of the loopback interface's addresses."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


def post_from(address: str, url: str, body: bytes) -> requests.Response:
    """Post a body from an address."""
    with requests.Session() as session:
        session.mount("http://", SourceAddress(address))
        return session.post(url, body, timeout=60)


def test_headers_of_many_bytes_that_are_never_complete_end_in_a_431(port: int) -> None:
    """Each header is within its own limit. 126 of them would hold 7 MB for each connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(126):
                connection.sendall(f"X-{number}: ".encode() + b"a" * 30_000 + b"\r\n")
        check_raw_problem(connection.recv(65536), 431)


def test_headers_that_are_never_complete_end_in_a_408(port: int) -> None:
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(5)]
        for connection in slow:
            connection.sendall(b"POST /loop/echo HTTP/1.1\r\nHost: x\r\n")
        for connection in slow:
            check_raw_problem(read_to_end(connection), 408)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        assert read_to_end(connection) == b"", "a connection without a request is closed without an answer"


def test_headers_that_are_never_complete_end_in_a_408_after_a_first_request_too(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /flask/echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /flask/echo HTTP/1.1\r\n")
        check_raw_problem(read_to_end(connection), 408)


def test_a_client_that_hardly_reads_its_response_is_disconnected(port: int) -> None:
    with socket.socket() as connection:
        # Otherwise the system may enlarge this buffer to 32 MiB, and the server could hand the whole response over.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"POST /loop/large HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        state = select.poll()
        state.register(connection, 0)  # an end of the connection is always reported

        def is_reset() -> bool:
            if any(events & select.POLLERR for _, events in state.poll(0)):
                return True
            connection.recv(1000)
            return False

        wait_until(is_reset, message="the connection stays open")


def test_a_client_that_reads_its_response_slowly_gets_all_of_it(port: int) -> None:
    received = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST /loop/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        while data := connection.recv(2**20):
            received += len(data)
            time.sleep(0.2)  # some megabytes per second, and several windows in all
    assert received > LARGE_BYTES


def test_an_idle_connection_makes_room_for_a_new_one(port: int) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(CONNECTION_LIMITS.max_per_address + 3):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.sendall(b"POST /loop/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_connections_in_use_are_limited_for_an_address_and_in_all(port: int) -> None:
    limits = CONNECTION_LIMITS
    with contextlib.ExitStack() as opened:

        def begin(address: str) -> socket.socket:
            new = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))
            opened.enter_context(new)
            with contextlib.suppress(ConnectionError):
                new.sendall(b"GET /flask/echo HTTP/1.1\r\n")
            return new

        taken = [begin("127.0.0.1") for _ in range(limits.max_per_address)]
        check_raw_problem(begin("127.0.0.1").recv(65536), 503)
        taken += [begin("127.0.0.2") for _ in range(limits.max_total - limits.max_per_address)]
        check_raw_problem(begin("127.0.0.3").recv(65536), 503)
        taken[-1].sendall(b"Host: x\r\n\r\n")
        assert taken[-1].recv(65536).startswith(b"HTTP/1.1 200")


def read_to_end(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def test_a_client_that_closes_in_the_middle_of_its_body_costs_nothing(port: int, url: str) -> None:
    head = f"POST /loop/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n".encode()
    for _ in range(2 * MAX_TOTAL_BODY_BYTES // MAX_BODY_BYTES):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head + bytes(MAX_BODY_BYTES - 1))
    wait_until(
        lambda: requests.post(f"{url}/loop/echo", bytes(MAX_BODY_BYTES), timeout=10).status_code == 200,
        message="the bytes of closed connections are still counted",
    )


if __name__ == "__main__":
    serve(load, Settings.from_env({}), int(sys.argv[1]))
