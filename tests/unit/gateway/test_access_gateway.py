"""A running gateway: refusals at start, limits, CORS, headers of responses, and a token file that is damaged."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask_openapi3 import APIBlueprint

from services.cli.client import Client
from services.gateway.access.route_scopes import declared_requirements, install_scopes, public_paths
from services.gateway.scopes import PUBLIC, READ
from services.stack.stack import free_ports
from tests.polling import wait_until
from tests.unit.gateway.gateway_process import environ_of, running_gateway

PAGE = "https://page.example"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "tandem",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {"TANDEM_CORS_ORIGINS": PAGE, "TANDEM_RATE_LIMIT": "50"}
    with running_gateway(tmp_path_factory.mktemp("gateway"), settings) as url:
        yield url


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TANDEM_BIND_HOST": "0.0.0.0"}, "there are no access tokens: start it on 127.0.0.1"),
        ({"TANDEM_PUBLIC_HOST": "192.0.2.1"}, "the gateway can be reached at 192.0.2.1"),
        ({"TANDEM_CORS_ORIGINS": "example.org"}, "TANDEM_CORS_ORIGINS='example.org' is not valid"),
    ],
)
def test_the_gateway_does_not_start_if_it_would_be_open_to_others(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    check_it_does_not_start(tmp_path, settings, message)


def test_the_gateway_does_not_start_with_a_damaged_token_file(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{")
    check_it_does_not_start(tmp_path, {}, "tokens.json cannot be used (it is not what Tandem writes)")


def check_it_does_not_start(state: Path, settings: dict[str, str], message: str) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "services.gateway"]
    ended = subprocess.run(command, env=environ_of(state, port, settings), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("Tandem's gateway cannot start: ")
    assert message in line


def test_a_token_file_that_is_damaged_later_lets_nobody_in(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as url:
        token = Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})["token"]
        client = Client(url, token)
        client.get("/v1/networks")
        file = tmp_path / "tokens.json"
        good = file.read_bytes()
        file.write_bytes(b"")
        headers = {"Authorization": f"Bearer {token}"}

        def status() -> int:
            return requests.get(f"{url}/v1/networks", headers=headers, timeout=10).status_code

        wait_until(lambda: status() == 503, message="the damage is not noticed")
        answer = requests.get(f"{url}/v1/networks", timeout=10)
        assert (answer.status_code, str(tmp_path) in answer.text) == (503, False)
        assert requests.get(f"{url}/v2/health/live", timeout=10).status_code == 200
        file.write_bytes(good)
        wait_until(lambda: status() == 200, message="the restored file is not read")
        file.unlink()  # how an operator who lost every token begins anew
        wait_until(lambda: requests.get(f"{url}/v1/networks", timeout=10).ok, message="the gateway stays closed")


def test_without_its_token_file_a_gateway_that_others_reach_answers_nobody(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as url:
        Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})
    with running_gateway(tmp_path, {"TANDEM_PUBLIC_HOST": "192.0.2.1"}) as url:
        (tmp_path / "tokens.json").unlink()
        wait_until(
            lambda: requests.get(f"{url}/v1/networks", timeout=10).status_code == 503,
            message="the missing file is not noticed",
        )
        assert requests.post(f"{url}/v1/predictions", timeout=10).status_code == 503
        assert requests.get(f"{url}/v2/health/live", timeout=10).status_code == 200


def test_in_anonymous_mode_nobody_can_lock_the_others_out(tmp_path: Path) -> None:
    with running_gateway(tmp_path, {"TANDEM_PUBLIC_HOST": "192.0.2.1", "TANDEM_ANONYMOUS": "1"}) as url:
        assert Client(url).get("/v1/networks")
        answer = requests.post(f"{url}/v1/tokens", json={"name": "mine", "scopes": ["admin"]}, timeout=10)
        assert answer.status_code == 409


def test_a_client_that_sends_too_much_is_refused_for_a_while(url: str) -> None:
    """Redis does not run here, so the limit does not need it."""
    with requests.Session() as session:
        answers = [session.get(f"{url}/v1/networks", timeout=10) for _ in range(300)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert refused[0].headers["Retry-After"] == "1"
        assert refused[0].json()["title"] == "Too Many Requests"
        wait_until(lambda: session.get(f"{url}/v1/networks", timeout=10).ok, message="the client stays refused")


def test_an_address_that_guesses_tokens_is_slowed_down_and_a_valid_token_is_not(tmp_path: Path) -> None:
    with running_gateway(tmp_path, {"TANDEM_RATE_LIMIT": "10"}) as url:
        token = Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})["token"]
        with requests.Session() as session:
            statuses = [session.get(f"{url}/v1/networks", timeout=10).status_code for _ in range(200)]
        assert set(statuses) == {401, 429}
        assert Client(url, token).get("/v1/networks")


def test_a_page_of_a_named_origin_may_call_the_api(url: str) -> None:
    for path in ("/v1/predictions", "/v1/trainings", "/v1/none"):
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        preflight = requests.options(url + path, headers=asked, timeout=10)
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
        answer = requests.post(url + path, json={"no_such_field": 1}, headers={"Origin": PAGE}, timeout=10)
        assert 400 <= answer.status_code < 500
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://other.example", "http://page.example", "null"])
def test_pages_of_other_origins_get_no_preflight(url: str, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{url}/v1/trainings", headers=headers, timeout=10)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_preflight_needs_no_token(tmp_path: Path) -> None:
    with running_gateway(tmp_path, {"TANDEM_CORS_ORIGINS": PAGE}) as url:
        Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        assert requests.options(f"{url}/v1/trainings", headers=asked, timeout=10).status_code == 204
        refused = requests.post(f"{url}/v1/trainings", json={}, headers={"Origin": PAGE}, timeout=10)
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


def test_a_link_on_another_site_opens_a_page_but_an_image_does_not_load(url: str) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert requests.get(f"{url}/docs", headers=link, timeout=10).status_code == 200
    for changed in ({"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Dest": "iframe"}):
        assert requests.get(f"{url}/docs", headers={**link, **changed}, timeout=10).status_code == 403
    assert requests.post(f"{url}/v1/trainings", headers=link, timeout=10).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/networks", 200),
        ("GET", "/v1/none", 404),
        ("GET", "/v1/predictions", 405),
        ("POST", "/v1/predictions", 422),
        ("POST", "/v1/trainings", 422),
    ],
)
def test_every_response_protects_its_reader(url: str, method: str, path: str, status: int) -> None:
    json = {"no_such_field": 1} if method == "POST" else None
    answer = requests.request(method, url + path, json=json, timeout=10)
    assert answer.status_code == status
    assert HEADERS.items() <= answer.headers.items()
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; base-uri 'none'")


def test_a_response_to_what_is_not_http_protects_its_reader_too(url: str) -> None:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 400") or answer.startswith("HTTP/1.0 400")
    for name, value in HEADERS.items():
        assert f"\r\n{name}: {value}\r\n" in answer


def test_http_without_a_host_is_refused_without_tokens(url: str) -> None:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert connection.recv(65536).split(b" ")[1] == b"421"


def test_the_page_of_the_api_runs_no_script_but_its_files(url: str) -> None:
    page = requests.get(f"{url}/docs", timeout=10)
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in page.text
    for path in ("/docs/start.js", "/swagger/js/swagger-ui-bundle.js", "/swagger/css/swagger-ui.css"):
        assert path in page.text
        assert requests.get(url + path, timeout=10).status_code == 200
    assert requests.get(f"{url}/docs/start.js", timeout=10).headers["Content-Type"].startswith("text/javascript")


def test_a_route_without_a_scope_is_an_error_at_start() -> None:
    api = APIBlueprint("forgetful", __name__)
    api.get("/v1/forgotten")(lambda: "")
    with pytest.raises(ValueError, match="GET /v1/forgotten declares no scope"):
        declared_requirements([api])
    app = Flask("test", static_folder=None)
    app.add_url_rule("/v1/forgotten/<int:id>", methods=["DELETE"], view_func=lambda: "")
    with pytest.raises(ValueError, match="DELETE /v1/forgotten/<int:id> declares no scope"):
        install_scopes(app, {("/v1/forgotten/{id}", "GET"): READ})
    with pytest.raises(ValueError, match="the path of a public route may have no placeholder"):
        public_paths({("/v1/forgotten/{id}", "GET"): PUBLIC})


def test_the_body_of_a_request_without_a_token_is_not_read_on_a_public_path_either(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as url:
        Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})
        assert requests.get(f"{url}/v2/health/live", timeout=10).status_code == 200
        for method in ("GET", "POST"):
            answer = requests.request(method, f"{url}/v2/health/live", data=bytes(2**20), timeout=10)
            assert answer.status_code == 401
