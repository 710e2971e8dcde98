"""Requests that no usual client sends, made from a seed, and the check that the server's answer is a proper one."""

import contextlib
import random
import re
import socket
from collections.abc import Iterator, Sequence

METHODS = ("GET", "POST", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "get", "M" * 1000, "P\0ST")
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "http/1.1", "")
PATH_ENDS = (
    "",
    "/",
    "//",
    "/..%2f..%2fetc",
    "/%00",
    "/%ff",
    "/%zz",
    "?",
    "?a=1&a=2",
    "?%00=%ff",
    "?" + "a&" * 9000,
    "#x",
)
PATH_ENDS = (
    *PATH_ENDS,
    ":pytorch",
    "/" + "x" * 5000,
    "/" + "9" * 5000,
    "/\xc3\xa9",
    "/%ed%a0%80",
    "*",
    "/versions/1_0",
)
HEADERS = (
    b"Cookie: a=" + b"x" * 9000,
    b"Content_Type: application/json",
    b"Content_Length: 5",
    b"X-Request-Id: \xff\xfe",
    b"Idempotency-Key: \xff",
    b"Idempotency-Key: \xc3\xa9",
    b"Inference-Header-Content-Length: 99999999999999999999",
    b"Inference-Header-Content-Length: \xd9\xa1",
    b"Expect: 100-continue",
    b"Expect: the unexpected",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Upgrade: h2c\r\nConnection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Connection: close",
    b"Connection: keep-alive, close, x",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: br",
    b"Range: bytes=0-99999999999999999999",
    b'If-None-Match: "x", W/"y", *',
    b"If-Modified-Since: yesterday",
    b"Accept: " + b"a/b;q=9," * 500,
    b"Host: a\r\nHost: b",
    b"Origin: null",
    b"Authorization: Bearer " + b"x" * 5000,
    b"Authorization: Basic \xff\xff",
    b" folded: yes",
    b"No-Colon",
    b": nameless",
    b"Nul: a\0b",
    b"\xc3\xa9: x",
    *[b"X-%d: y" % number for number in (1, 2, 3)],
)
MANY_HEADERS = b"\r\n".join(b"X-%d: y" % number for number in range(500))
MEDIA_TYPES = (
    b"application/json",
    b"application/json; charset=utf-16",
    b"application/json; charset=nothing",
    b"image/png",
    b"multipart/form-data",
    b"multipart/form-data; boundary=x",
    b"multipart/form-data; boundary=" + b"x" * 1000,
    b'multipart/form-data; boundary="\xff"',
    b"application/x-www-form-urlencoded",
    b"\xff/\xff; a",
    b";;;",
)
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b'"{}"',
    b"[" * 5000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"epochs": 1e999999, "seed": -1, "network": {"layers": [1]}}',
    b'{"epochs": ' + b"9" * 10_000 + b"}",
    b'{"model": "\\ud800", "dataset": "\\u0000"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b"--x\r\n\r\n\r\n--x--",
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="\xff\0/../a"\r\n\r\nabc\r\n--x--\r\n',
    b"--x\r\nContent-Disposition: form-data; name=image; filename*=nothing''%ff\r\n\r\nabc\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="image"\r\n' + b"A: b\r\n" * 500 + b"\r\nabc\r\n--x--\r\n",
    b"--x\r\n" * 300,
    b"a=1&" * 2000,
    bytes(range(256)),
)
OTHER_PROTOCOLS = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(50),
    b"*1\r\n$4\r\nPING\r\n",
    b"\0" * 100,
    b"\r\n" * 50 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
)
ANSWER_TIMEOUT_S = 2  # an incomplete request gets no answer; the server's own deadline is longer


def hostile_requests(paths: Sequence[str], count: int, seed: int) -> Iterator[list[bytes]]:
    """Yield requests, each as the pieces in which it is sent.

    Args:
        paths: of routes of the server.
        count: how many requests, besides those of other protocols.
        seed: decides all of them.
    """
    yield from ([text] for text in OTHER_PROTOCOLS)
    generator = random.Random(seed)
    for _ in range(count):
        request = _request(generator, paths)
        if generator.random() < 0.1:  # pipelined
            request += _request(generator, paths)
        cuts = sorted(generator.randrange(len(request) + 1) for _ in range(generator.choice((0, 0, 1, 3))))
        yield [request[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(request)], strict=True)]


def _request(generator: random.Random, paths: Sequence[str]) -> bytes:
    method = generator.choice(METHODS if generator.random() < 0.5 else ("GET", "POST", "POST"))
    target = generator.choice(paths) + (generator.choice(PATH_ENDS) if generator.random() < 0.5 else "")
    line = f"{method} {target} {generator.choice(VERSIONS)}".encode("latin-1")
    headers = generator.sample(HEADERS, generator.randrange(4))
    if generator.random() < 0.9:
        headers.append(b"Host: 127.0.0.1")
    if generator.random() < 0.03:
        headers.append(MANY_HEADERS)
    body = generator.choice(BODIES)
    if generator.random() < 0.8:
        headers.append(b"Content-Type: " + generator.choice(MEDIA_TYPES))
    encoding = generator.random()
    if encoding < 0.6:
        headers.append(b"Content-Length: %d" % len(body))
    elif encoding < 0.65:
        headers.append(b"Content-Length: " + generator.choice((b"-1", b"+1", b"1, 2", b"9" * 100, b"0x1")))
    elif encoding < 0.9:
        headers.append(b"Transfer-Encoding: chunked")
        body = _chunked(generator, body)
    generator.shuffle(headers)
    return b"\r\n".join((line, *headers, b"", body))


def _chunked(generator: random.Random, body: bytes) -> bytes:
    size = generator.choice((1, 7, 4096))
    chunks = [body[start : start + size] for start in range(0, min(len(body), 500 * size), size)]
    end = generator.choice(
        (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"zz\r\n", b"-1\r\n", b"f" * 40 + b"\r\n")
    )
    extension = generator.choice((b"", b"", b";a=b", b";" + b"x" * 5000))
    return b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks) + end


def check_answer(port: int, pieces: list[bytes]) -> int | None:
    """Send a request, and require that its answer, if there is one, is proper: an error is a problem document.

    Returns:
        The status of the first answer, or None if there is none.
    """
    answer = _exchange(port, pieces)
    while answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not answer:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/\d\.\d (\d{3}) ", head)
    assert found, (pieces, answer[:500])
    status = int(found[1])
    assert status < 500 or status == 503, (pieces, answer[:1000])
    if status >= 400:
        assert b"content-type: application/problem+json" in head.lower(), (pieces, answer[:1000])
        assert not body or body.startswith(b"{"), (pieces, answer[:1000])
    return status


def _exchange(port: int, pieces: list[bytes]) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S) as connection:
        with contextlib.suppress(OSError):  # the server may close the connection before it has read everything
            for piece in pieces:
                connection.sendall(piece)
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                answer += part
                if _is_complete(answer):
                    break
    return answer


def _is_complete(answer: bytes) -> bool:
    head, end, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(end and length and len(body) >= int(length[1]))
