"""A server that gives fixed answers, for tests of what the command does with them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from click.testing import CliRunner, Result

from services.cli.app import main


@dataclass
class Answer:
    """A response. A body that is not bytes is sent as JSON."""

    body: Any = None
    status: int = 200
    media_type: str = "application/json"

    def encode(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class FakeGateway:
    """The address of a server, and the requests that it got: method, path and body."""

    url: str
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def run(self, *arguments: str, stdin: bytes = b"", **environ: str) -> Result:
        """Run the command against the server."""
        return run_command("--url", self.url, *arguments, stdin=stdin, **environ)


def run_command(*arguments: str, stdin: bytes = b"", **environ: str) -> Result:
    """Run the command in this process, without what the environment says about a server."""
    without = dict.fromkeys(("TANDEM_URL", "TANDEM_TOKEN", "COLUMNS"))
    return CliRunner(env={**without, **environ}).invoke(main, arguments, input=stdin, prog_name="tandem")


@contextmanager
def fake_gateway(answers: Mapping[str, Answer | list[Answer]]) -> Iterator[FakeGateway]:
    """Serve fixed answers.

    Args:
        answers: by method and path, such as `GET /v1/models`. Of several, each request takes the next, and the last
            one remains. All other requests get a 404.
    """
    remaining = {key: [*answer] if isinstance(answer, list) else [answer] for key, answer in answers.items()}

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            gateway.requests.append((self.command, self.path, body))
            gateway.headers.append(dict(self.headers))
            found = remaining.get(f"{self.command} {self.path}", [Answer({"detail": "there is no such path"}, 404)])
            answer = found.pop(0) if len(found) > 1 else found[0]
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.encode())))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway = FakeGateway(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
