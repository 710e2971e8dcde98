"""The secrets of a Kubernetes cluster: complete, each service's own, and kept when they exist."""

import base64
import io
import json
import time
from pathlib import Path

import pytest

from services.gateway import cluster_secrets
from services.gateway.access.token_store import ReadOnlyTokensError, TokenFile, TokenStore
from services.gateway.access.tokens import TOKEN, TokenTable
from services.gateway.cluster_secrets import ClusterSecrets, main, read_secrets

BACKENDS = ("tensorflow", "pytorch")
TOKEN_SECRETS = {"first-tokens", "keda-token"}


def read_own(found: ClusterSecrets) -> dict[str, dict[str, bytes]]:
    return read_secrets(found.to_json())


def test_each_service_gets_its_own_password_and_redis_only_checksums() -> None:
    made = read_own(ClusterSecrets({}, BACKENDS))
    services = {"gateway", "loadtest", "pipelines", "tensorflow-trainer", "pytorch-trainer"}
    passwords = {made[f"{service}-redis"]["redis-password"] for service in services}
    assert len(passwords) == len(services)
    assert made.keys() == {*(f"{service}-redis" for service in services), "redis-users", "job-key", *TOKEN_SECRETS}
    users = made["redis-users"]["users.acl"]
    assert not any(password in users for password in passwords)
    assert {line.split()[1].decode() for line in users.splitlines()} == {"default", "health", *services}


def test_what_exists_is_kept_and_a_new_backend_gets_what_is_missing() -> None:
    before = read_own(ClusterSecrets({}, BACKENDS))
    again = ClusterSecrets(before, (*BACKENDS, "third"))
    after = read_own(again)
    assert not again.shown
    assert {name: files for name, files in after.items() if name in before and name != "redis-users"} == {
        name: files for name, files in before.items() if name != "redis-users"
    }
    assert after.keys() - before.keys() == {"third-trainer-redis"}
    assert b"user third-trainer " in after["redis-users"]["users.acl"]


def test_the_first_tokens_let_the_operator_and_keda_in() -> None:
    found = ClusterSecrets({}, BACKENDS)
    made = read_own(found)
    table = TokenTable(TokenFile.model_validate_json(made["first-tokens"]["tokens.json"]).tokens)
    (line,) = found.shown
    admin = TOKEN.search(line)
    assert admin
    now = time.time()
    assert "admin" in table.find(admin[0], now)[1]  # type: ignore[index]
    assert table.find(made["keda-token"]["token"].decode(), now)[1] == {"read"}  # type: ignore[index]


def test_the_program_adds_and_revokes_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], io.StringIO('{"items": []}')) == 0
    first = capsys.readouterr()
    assert main(["--add-token", "alice", "--scope", "read"], io.StringIO(first.out)) == 0
    second = capsys.readouterr()
    text = TOKEN.search(second.err)
    assert text
    assert "alice" in second.err
    assert "With volumes" in second.err
    assert main(["--revoke-token", text[1]], io.StringIO(second.out)) == 0
    third = capsys.readouterr()
    assert "With volumes" in third.err
    tokens = TokenFile.model_validate_json(read_secrets(third.out)["first-tokens"]["tokens.json"]).tokens
    assert [token.name for token in tokens] == ["admin", "keda"]
    assert main(["--revoke-token", "nobody"], io.StringIO(third.out)) == 1
    assert "admin" in capsys.readouterr().err


def test_the_last_admin_stays_and_keda_gets_another_token(capsys: pytest.CaptureFixture[str]) -> None:
    found = ClusterSecrets({}, BACKENDS)
    before = read_own(found)
    admin, keda = TokenFile.model_validate_json(before["first-tokens"]["tokens.json"]).tokens
    assert main(["--revoke-token", admin.id], io.StringIO(found.to_json())) == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert "the last token with the scope admin" in printed.err
    assert main(["--revoke-token", keda.id], io.StringIO(found.to_json())) == 0
    after = read_secrets(capsys.readouterr().out)
    table = TokenTable(TokenFile.model_validate_json(after["first-tokens"]["tokens.json"]).tokens)
    assert table.find(before["keda-token"]["token"].decode(), time.time()) is None
    assert table.find(after["keda-token"]["token"].decode(), time.time())


def test_a_token_of_keda_that_does_not_count_any_more_is_replaced() -> None:
    before = read_own(ClusterSecrets({}, BACKENDS))
    before["keda-token"] = read_own(ClusterSecrets({}, BACKENDS))["keda-token"]
    after = read_own(ClusterSecrets(before, BACKENDS))
    table = TokenTable(TokenFile.model_validate_json(after["first-tokens"]["tokens.json"]).tokens)
    assert table.find(after["keda-token"]["token"].decode(), time.time())


def test_a_backend_that_is_not_named_again_keeps_its_user() -> None:
    before = read_own(ClusterSecrets({}, (*BACKENDS, "third")))
    assert read_own(ClusterSecrets(before, BACKENDS)) == before


@pytest.mark.parametrize(
    "text", ["", " \n", "no JSON", "[]", '{"items": [{}]}', '{"items": [{"metadata": {"name": 1}, "data": 3}]}']
)
def test_another_input_is_refused_and_nothing_is_printed_for_kubectl(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], io.StringIO(text)) == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert "kubectl get secrets" in printed.err


def test_a_secret_with_other_tokens_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"tokens.json": base64.b64encode(b"{}").decode()}
    text = json.dumps({"items": [{"metadata": {"name": cluster_secrets.TOKENS}, "data": data}]})
    assert main([], io.StringIO(text)) == 1
    assert "first-tokens" in capsys.readouterr().err


def test_tokens_that_cannot_be_written_are_a_conflict() -> None:
    """A Kubernetes secret is mounted read-only. In /sys, not even root may make a file."""
    store = TokenStore(Path("/sys/tokens.json"))
    store.mark_used("3f9a0c27b1d4", time.time())
    with pytest.raises(ReadOnlyTokensError, match="may not write"):
        store.create("bob", ["admin"], None)
    store.write_times()
    assert store.last_used()
