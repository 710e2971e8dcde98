"""The example of a reverse proxy in docs/nginx.conf, run by nginx as a normal user, before a real gateway."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from services.cli.client import Client
from services.stack.stack import free_ports
from tests.polling import wait_until
from tests.unit.gateway.gateway_process import running_gateway

NAME = "tandem.example"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    not (NGINX and shutil.which("openssl")), reason="nginx or openssl is missing: apt-get install nginx openssl"
)


@dataclass(frozen=True)
class Proxied:
    """A gateway behind nginx.

    Attributes:
        http: URL of nginx without TLS.
        https: URL of nginx with TLS.
        token: of an administrator.
        certificate: which clients trust.
    """

    http: str
    https: str
    token: str
    certificate: Path

    def request(self, method: str, path: str, **arguments: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **arguments.pop("headers", {})}  # type: ignore[dict-item]
        return requests.request(
            method, self.https + path, headers=headers, verify=str(self.certificate), timeout=30, **arguments
        )


def configuration_of(folder: Path, gateway: str, http: int, https: int, certificate: Path, key: Path) -> str:
    """Return the example as a normal user can run it: with other ports, files and folders."""
    example = Path("docs/nginx.conf").read_text()
    replaced = [
        (r"listen \[::\]:\d+.*;\n", ""),
        (r"listen 80\b", f"listen 127.0.0.1:{http}"),
        (r"listen 443 ssl", f"listen 127.0.0.1:{https} ssl"),
        (r"https://tandem\.example\$request_uri", f"https://localhost:{https}$request_uri"),
        (r"ssl_certificate /\S+;", f"ssl_certificate {certificate};"),
        (r"ssl_certificate_key /\S+;", f"ssl_certificate_key {key};"),
        (r"server_name tandem\.example;", f"server_name {NAME} localhost;"),
        (r"http://127\.0\.0\.1:8080", gateway),
    ]
    for pattern, text in replaced:
        example, count = re.subn(pattern, lambda _, text=text: text, example)
        assert count, pattern
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http_part = f"access_log off;\n{folders}{example}"
    return f"pid {folder}/pid;\nerror_log {folder}/log;\ndaemon off;\nevents {{}}\nhttp {{\n{http_part}\n}}\n"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = folder / "certificate", folder / "key"
    names = f"subjectAltName=DNS:localhost,DNS:{NAME}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={NAME}", "-addext", names]
    subprocess.run([*command, *files], check=True, capture_output=True)
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        token = Client(gateway).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})["token"]
        http, https = free_ports(2)
        file = folder / "nginx.conf"
        file.write_text(configuration_of(folder, gateway, http, https, certificate, key))
        assert NGINX
        process = subprocess.Popen([NGINX, "-c", file, "-e", folder / "log"])
        try:
            found = Proxied(f"http://localhost:{http}", f"https://localhost:{https}", token, certificate)
            wait_until(lambda: found.request("GET", "/v2/health/live").ok, message=(folder / "log").read_text)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_http_is_redirected_to_https(proxied: Proxied) -> None:
    answer = requests.post(f"{proxied.http}/v1/trainings?a=b", timeout=10, allow_redirects=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{proxied.https}/v1/trainings?a=b"


def test_clients_need_a_token_through_the_proxy(proxied: Proxied) -> None:
    assert proxied.request("GET", "/v1/networks").ok
    refused = requests.get(f"{proxied.https}/v1/networks", verify=str(proxied.certificate), timeout=10)
    assert refused.status_code == 401
    assert refused.headers["Strict-Transport-Security"]
    assert refused.headers["X-Frame-Options"] == "DENY"
    assert "/" not in refused.headers["Server"]


def test_a_page_of_the_proxys_own_origin_is_served_and_others_are_not(proxied: Proxied) -> None:
    own = {"Host": NAME, "Origin": f"https://{NAME}"}
    assert proxied.request("GET", "/v1/networks", headers=own).status_code == 200
    foreign = {"Host": NAME, "Origin": "https://page.example"}
    assert proxied.request("GET", "/v1/networks", headers=foreign).status_code == 403


@pytest.mark.parametrize("name", ["other.example", "127.0.0.1"])
def test_requests_for_another_name_get_no_response(proxied: Proxied, name: str) -> None:
    """Without a token, Tandem answers requests for loopback names, and nginx would pass them on."""
    with pytest.raises(requests.ConnectionError):
        proxied.request("GET", "/v1/networks", headers={"Host": name})


def test_a_body_of_64_mib_passes_the_proxy_and_tandem_refuses_a_larger_one(proxied: Proxied) -> None:
    refused = proxied.request("POST", "/v1/predictions?model=none", data=bytes(64 * 2**20 + 1))
    assert refused.status_code == 413
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert proxied.request("POST", "/v1/predictions?model=none", data=bytes(60 * 2**20)).status_code in (404, 422, 503)


def test_without_tokens_the_proxys_requests_are_refused(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        headers = {"Host": NAME, "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        assert requests.get(f"{gateway}/v1/networks", headers=headers, timeout=10).status_code == 421
