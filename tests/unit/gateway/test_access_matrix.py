"""Every route of the OpenAPI document, with every kind of client: each gets exactly the status that the document says.

The requests of clients that may pass have bodies that are refused later, so that no work begins.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from services.cli.client import Client
from tests.unit.gateway.gateway_process import running_gateway

UNDESCRIBED = ["/docs", "/docs/start.js", "/openapi.json", "/swagger/js/swagger-ui-bundle.js"]  # any token
VALUES = {"id": "0" * 32, "name": "absent", "backend": "pytorch", "version": "1", "alias": "stable", "label": "stable"}
VALUES |= {"split": "test", "index": "0", "format": "onnx"}
REFUSALS = (401, 403, 421, 429)
BODY = {"no_such_field": 1}
FOREIGN = "https://example.org"


@dataclass(frozen=True)
class Operation:
    """A route as the OpenAPI document describes it.

    Attributes:
        accepted: the scopes of which a client needs one; empty if any token is enough; None if none is needed.
    """

    method: str
    path: str
    accepted: frozenset[str] | None


def read_operations(url: str, token: str | None = None) -> list[Operation]:
    """Return every operation of a running gateway, with the placeholders of its path filled in."""
    document = Client(url, token).get("/openapi.json")
    found = [Operation("GET", path, frozenset()) for path in UNDESCRIBED]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            security = operation["security"]
            scopes = frozenset(scope for alternative in security for scope in alternative["bearer"])
            values = {**VALUES, "id": "0" * 12} if path.startswith("/v1/tokens") else VALUES
            found.append(Operation(method.upper(), path.format(**values), scopes if security else None))
    return found


def send(url: str, operation: Operation, headers: dict[str, str]) -> requests.Response:
    body = BODY if operation.method in ("POST", "PUT") else None
    return requests.request(operation.method, url + operation.path, json=body, headers=headers, timeout=30)


def list_surprises(url: str, operations: list[Operation], headers: dict[str, str], expected: dict) -> list[str]:
    """Return the operations whose status is not the expected one. None stands for any status but a refusal."""
    surprises = []
    for operation in operations:
        status = send(url, operation, headers).status_code
        wanted = expected[operation]
        is_right = status == wanted if wanted else status not in (*REFUSALS, 500)
        if not is_right:
            surprises.append(f"{operation.method} {operation.path}: {status} instead of {wanted or 'no refusal'}")
    return surprises


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("open")) as url:
        yield url


@dataclass(frozen=True)
class Guarded:
    """A gateway that requires tokens.

    Attributes:
        tokens: kind of client -> what it sends after `Bearer`.
    """

    url: str
    tokens: dict[str, str]
    operations: list[Operation]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with running_gateway(tmp_path_factory.mktemp("guarded"), {"TANDEM_RATE_LIMIT": "0"}) as url:
        admin = Client(url).post("/v1/tokens", {"name": "admin", "scopes": ["admin"]})["token"]
        client = Client(url, admin)

        def create(scope: str) -> dict:
            return client.post("/v1/tokens", {"name": scope, "scopes": [scope]})

        revoked = create("admin")
        client.delete(f"/v1/tokens/{revoked['id']}")
        tokens = {
            "malformed": "tandem_abc",
            "bad": f"{admin[: len('tandem_') + 13]}{secrets.token_hex(32)}",
            "unknown": f"tandem_{'0' * 12}_{secrets.token_hex(32)}",
            "revoked": revoked["token"],
            **{scope: create(scope)["token"] for scope in ("read", "predict", "train")},
            "admin": admin,
        }
        yield Guarded(url, tokens, read_operations(url, admin))


def test_the_document_has_every_kind_of_route(guarded: Guarded) -> None:
    kinds = {operation.accepted for operation in guarded.operations}
    scopes = [frozenset({scope}) for scope in ("read", "predict", "train", "admin")]
    assert kinds == {None, frozenset(), *scopes, frozenset({"read", "predict"})}
    assert len(guarded.operations) > 50


@pytest.mark.parametrize("kind", [None, "malformed", "bad", "unknown", "revoked"])
def test_without_a_valid_token_there_is_only_health(guarded: Guarded, kind: str | None) -> None:
    headers = {"Authorization": f"Bearer {guarded.tokens[kind]}"} if kind else {}
    expected = {operation: None if operation.accepted is None else 401 for operation in guarded.operations}
    assert list_surprises(guarded.url, guarded.operations, headers, expected) == []


@pytest.mark.parametrize("scope", ["read", "predict", "train", "admin"])
def test_a_token_opens_the_routes_of_its_scope_and_no_others(guarded: Guarded, scope: str) -> None:
    headers = {"Authorization": f"Bearer {guarded.tokens[scope]}"}
    expected = {
        operation: None if not operation.accepted or scope == "admin" or scope in operation.accepted else 403
        for operation in guarded.operations
    }
    assert list_surprises(guarded.url, guarded.operations, headers, expected) == []


@pytest.mark.parametrize("origin", [FOREIGN, "null"])
def test_no_token_helps_a_page_of_another_origin(guarded: Guarded, origin: str) -> None:
    headers = {"Authorization": f"Bearer {guarded.tokens['admin']}", "Origin": origin}
    assert list_surprises(guarded.url, guarded.operations, headers, dict.fromkeys(guarded.operations, 403)) == []


def test_with_tokens_any_host_is_answered(guarded: Guarded) -> None:
    headers = {"Authorization": f"Bearer {guarded.tokens['admin']}", "Host": "example.org"}
    assert list_surprises(guarded.url, guarded.operations, headers, dict.fromkeys(guarded.operations)) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"Host": "localhost"}, None),
        ({"Host": "example.org"}, 421),
        ({"Host": "127.0.0.1.example.org:8080"}, 421),
        ({"Origin": FOREIGN}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, None),
        ({"Host": "localhost:9", "Origin": "http://localhost:9"}, None),
        ({"Host": "example.org", "Origin": "http://example.org"}, 421),
        ({"Authorization": "Bearer tandem_anything"}, None),
    ],
    ids=str,
)
def test_without_tokens_only_this_machine_and_its_own_pages_are_served(
    open_gateway: str, headers: dict[str, str], status: int | None
) -> None:
    operations = read_operations(open_gateway)
    assert list_surprises(open_gateway, operations, headers, dict.fromkeys(operations, status)) == []


def test_a_route_says_nothing_about_itself_to_a_client_without_a_token(guarded: Guarded) -> None:
    """A path that exists, one that does not, and a method that is not allowed get the same response."""
    known = requests.get(f"{guarded.url}/v1/models", timeout=10)
    for method, path in [
        ("GET", "/v1/secret"),
        ("PATCH", "/v1/models"),
        ("GET", "/v1/predictions"),
        ("OPTIONS", "/v1"),
    ]:
        answer = requests.request(method, guarded.url + path, timeout=10)
        assert (answer.status_code, answer.json()) == (401, known.json()), (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_health_has_details_only_for_clients_with_a_token(guarded: Guarded, open_gateway: str) -> None:
    ready = f"{guarded.url}/v2/health/ready"
    assert requests.get(ready, timeout=10).json() == {"ready": False}
    headers = {"Authorization": f"bearer {guarded.tokens['predict']}"}
    assert "details" in requests.get(ready, headers=headers, timeout=10).json()
    assert "details" in requests.get(f"{open_gateway}/v2/health/ready", timeout=10).json()


def test_no_response_names_a_folder_of_the_server(guarded: Guarded) -> None:
    headers = {"Authorization": f"Bearer {guarded.tokens['admin']}"}
    for operation in guarded.operations:
        if operation.path not in UNDESCRIBED:
            assert str(Path.cwd()) not in send(guarded.url, operation, headers).text, operation
