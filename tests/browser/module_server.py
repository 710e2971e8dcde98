"""Serve the page's modules and a test's own data on loopback, with the gateway's Content-Security-Policy.

Tests of single modules need no stack: they open an empty page of this server, and import the module there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

MODULES = Path("services/dashboard")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:"
TYPES = {".js": "text/javascript", ".css": "text/css"}


class ModuleServer:
    """An HTTP server of the folder `services/dashboard`.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:40000`. The address `/` is an empty page.
        data: path -> bytes, which a test adds, such as `{"/pictures": ...}`.
    """

    def __init__(self, port: int, data: dict[str, bytes]) -> None:
        self.url, self.data = f"http://127.0.0.1:{port}", data


@contextmanager
def serve_modules() -> Iterator[ModuleServer]:
    """Yield a running server."""
    data: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = MODULES / self.path.lstrip("/")
            body = b"<!doctype html><title>Test</title>" if self.path == "/" else data.get(self.path)
            if body is None and file.suffix in TYPES and file.is_file():
                body = file.read_bytes()
            self.send_response(404 if body is None else 200)
            kind = "text/html" if self.path == "/" else TYPES.get(file.suffix, "application/octet-stream")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            """Keep the tests' output free of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield ModuleServer(server.server_port, data)
        server.shutdown()
