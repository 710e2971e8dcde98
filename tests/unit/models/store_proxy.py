"""A proxy before a real object store, for answers of stores that the tests have not got."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal
from urllib.parse import urlsplit

CONFLICT = b"""<?xml version="1.0"?><Error><Code>ConditionalRequestConflict</Code><Message>retry</Message></Error>"""


@dataclass
class StoreProxy:
    """The proxy, which passes requests on unless `condition` says otherwise.

    Attributes:
        url: its address.
        condition: what becomes of writes with a condition. "ignored": they succeed, and write nothing. "conflict": they
            are answered with 409, as Amazon S3 does while another request writes the object, and are written later.
        requests: the method and path, with its query, of each request.
        late: writes that were answered with 409.
    """

    url: str
    server: str
    condition: Literal["obeyed", "ignored", "conflict"] = "obeyed"
    requests: list[tuple[str, str]] = field(default_factory=list)
    late: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on, and return the answer. The headers stay as they are: the client has signed them."""
        connection = http.client.HTTPConnection(urlsplit(self.server).netloc, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.status, dict(response.headers.items()), response.read()
        connection.close()
        return answer

    def write_late(self) -> None:
        """Have the store perform the writes that were answered with 409."""
        for request in self.late:
            assert self.send(*request)[0] == 200
        self.condition = "obeyed"

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the answer to a request."""
        self.requests.append((method, path))
        if self.condition == "obeyed" or "if-none-match" not in map(str.lower, headers):
            return self.send(method, path, body, headers)
        if self.condition == "ignored":
            return 200, {"ETag": '"0"'}, b""
        self.late.append((method, path, body, headers))
        return 409, {}, CONFLICT


@contextmanager
def store_proxy(server: str) -> Iterator[StoreProxy]:
    """Yield a proxy of the object store at a URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, content = proxy.answer(self.command, self.path, body, dict(self.headers.items()))
            self.send_response_only(status)
            length = headers.pop("Content-Length", str(len(content)))
            for name in headers.keys() - {"Transfer-Encoding", "Connection"}:
                self.send_header(name, headers[name])
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.pass_on)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = StoreProxy(f"http://127.0.0.1:{listener.server_address[1]}", server)
    thread = Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
