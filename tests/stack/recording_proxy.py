"""Passes requests on to a server and remembers them, so that a test sees what a program asked for."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

NOT_PASSED_ON = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}


@dataclass
class RecordingProxy:
    """The proxy's address, and the requests that it has passed on: method and path without its query."""

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def recording_proxy(url: str) -> Iterator[RecordingProxy]:
    """Yield a proxy of the server at a URL."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            proxy.requests.append((self.command, urlsplit(self.path).path))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.headers.items():
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.end_headers()
            while block := response.read1(65536):
                self.wfile.write(block)
            connection.close()

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.pass_on)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = RecordingProxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
