"""The stack asks loopback addresses directly, also where a proxy is configured."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from services.cli.client import Client, ClientError
from services.stack.errors import StackError
from services.stack.proxies import exclude_loopback_from_proxy
from services.stack.redis_server import LOOPBACK
from services.stack.stack import Stack, free_ports, isolate_environ


class Gateway(BaseHTTPRequestHandler):
    """Answers every request as a gateway of which all parts are up."""

    def do_GET(self) -> None:
        body = json.dumps({"details": {"redis": "up"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A proxy that refuses every connection, configured for every HTTP client in this process."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # it is bound and does not listen
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, url)
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        yield url


def test_the_health_check_does_not_use_a_proxy(port: int, dead_proxy: str, tmp_path: Path) -> None:
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_GATEWAY_PORT": str(port)}
    assert Stack(environ).read_health() == {"redis": "up"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_command_line_does_not_use_a_proxy_for_loopback_addresses(port: int, dead_proxy: str, host: str) -> None:
    assert Client(f"http://{host}:{port}/").get("/v2/health/ready") == {"details": {"redis": "up"}}


def test_the_command_line_uses_the_proxy_for_other_addresses(dead_proxy: str) -> None:
    with pytest.raises(ClientError, match="ProxyError"):
        Client("http://tandem.invalid").get("/")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ",".join(LOOPBACK)),
        ({"no_proxy": "example.org"}, ",".join(["example.org", *LOOPBACK])),
        ({"NO_PROXY": "localhost"}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_the_services_exclude_loopback_addresses_from_the_proxy(environ: dict[str, str], expected: str) -> None:
    assert exclude_loopback_from_proxy(environ) == {"no_proxy": expected, "NO_PROXY": expected}
    assert Stack(environ).environ["no_proxy"] == expected


def test_an_isolated_stack_shares_no_port_and_no_state_with_another(tmp_path: Path) -> None:
    environ = {"TANDEM_GATEWAY_PORT": "8080", "TANDEM_MODEL_DIR": "/models", "TANDEM_THREADS": "1"}
    isolated = isolate_environ(environ, tmp_path)
    assert isolated["TANDEM_THREADS"] == "1"
    settings = Stack(isolated).settings
    assert {settings.state_dir, settings.model_dir.parent, settings.key_file.parent} == {tmp_path}
    ports = [settings.gateway_port, *map(settings.port_of, settings.backends)]
    assert len(set(ports)) == len(ports)
    assert settings.gateway_port != 8080


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100"),
        ("localhost", "http://localhost:8100"),
        ("0.0.0.0", "http://127.0.0.1:8100"),
        ("::", "http://127.0.0.1:8100"),
        ("::1", "http://[::1]:8100"),
        ("192.0.2.7", "http://192.0.2.7:8100"),
    ],
)
def test_a_stack_asks_its_gateway_where_it_listens(host: str, expected: str) -> None:
    stack = Stack({"TANDEM_BIND_HOST": host, "TANDEM_GATEWAY_PORT": "8100"})
    assert stack.url == stack.environ["TANDEM_GATEWAY_URL"] == expected


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    environ = {**isolate_environ({}, tmp_path), "TANDEM_BIND_HOST": "192.0.2.7", "TANDEM_ANONYMOUS": "1"}
    with pytest.raises(StackError, match=r"192\.0\.2\.7 is no address of this machine"):
        Stack(environ).start()


@pytest.mark.parametrize("content", [None, '{"tokens": []}'])
def test_a_stack_that_others_could_reach_needs_a_token(tmp_path: Path, content: str | None) -> None:
    environ = {**isolate_environ({}, tmp_path), "TANDEM_BIND_HOST": "0.0.0.0", "TANDEM_PUBLIC_HOST": ""}
    if content is not None:
        Path(environ["TANDEM_TOKEN_FILE"]).write_text(content)
    with pytest.raises(StackError, match="there are no access tokens"):
        Stack(environ).start()
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else ["tokens.json"])


def test_free_ports_are_consecutive_and_can_be_bound() -> None:
    ports = free_ports(3)
    assert ports == list(range(ports[0], ports[0] + 3))
    for number in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", number))
