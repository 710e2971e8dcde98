"""Access tokens and their file: what is stored, who is recognised, and what a damaged file means."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.gateway.access.token_store import DamagedTokenFileError, TokenStore
from services.gateway.access.tokens import TokenTable, make_token
from services.gateway.scopes import ALL_SCOPES
from shared.errors import ConflictError, NotFoundError
from shared.jobs.credentials import issue_credential, service_of
from tests.polling import wait_until

NOW_S = datetime.now(UTC).timestamp()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "tokens.json"


@pytest.fixture
def store(path: Path) -> TokenStore:
    return TokenStore(path)


def test_a_token_is_recognised_by_its_text_and_by_no_other(store: TokenStore) -> None:
    reader = store.create("first", ["admin"], None)
    writer = store.create("second", ["read", "train"], None)
    table = store.table()
    assert table.find(reader.text, NOW_S) == (reader.record.id, ALL_SCOPES)
    assert table.find(writer.text, NOW_S) == (writer.record.id, {"read", "train"})
    exchanged = f"tandem_{reader.record.id}_{writer.text.rpartition('_')[2]}"
    for text in ["", "tandem_", reader.text[:-1], f"{reader.text}0", reader.text.upper(), f" {reader.text}", exchanged]:
        assert table.find(text, NOW_S) is None, text
    assert table.find(f"tandem_{'0' * 12}_{'0' * 64}", NOW_S) is None


def test_a_token_that_does_not_exist_has_no_secret_that_fits() -> None:
    """An unknown id is compared with a digest of zeros; no scopes come of it, whatever the secret is."""
    assert TokenTable().find(f"tandem_{'0' * 12}_{'0' * 64}", 0) is None


def test_a_token_expires() -> None:
    new = make_token("short", ["read"], 1)
    table = TokenTable([new.record])
    assert table.find(new.text, NOW_S) is not None
    assert table.find(new.text, NOW_S + timedelta(days=2).total_seconds()) is None


def test_the_file_holds_no_secret_and_is_readable_by_its_owner_only(store: TokenStore, path: Path) -> None:
    new = store.create("first", ["admin"], None)
    assert new.text.rpartition("_")[2] not in path.read_text()
    store.mark_used(new.record.id, NOW_S)
    store.write_times()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_another_process_sees_a_new_and_a_revoked_token(store: TokenStore, path: Path) -> None:
    other = TokenStore(path)
    assert other.table().records == ()
    admin, reader = store.create("first", ["admin"], None), store.create("second", ["read"], None)
    wait_until(lambda: other.table().find(reader.text, NOW_S), message="the new token is not seen")
    store.revoke(reader.record.id, may_be_last=True)
    wait_until(lambda: not other.table().find(reader.text, NOW_S), message="the revocation is not seen")
    assert other.table().find(admin.text, NOW_S)


def test_the_first_token_is_an_administrator_and_the_last_administrator_stays(store: TokenStore) -> None:
    with pytest.raises(ConflictError, match="the first token needs the scope admin"):
        store.create("reader", ["read"], None)
    admin = store.create("admin", ["admin"], None).record.id
    reader = store.create("reader", ["read"], None).record.id
    with pytest.raises(ConflictError, match="the last token with the scope admin"):
        store.revoke(admin, may_be_last=True)
    second = store.create("second admin", ["admin", "read"], None).record.id
    store.revoke(admin, may_be_last=True)
    store.revoke(reader, may_be_last=True)
    with pytest.raises(ConflictError, match="the only token"):
        store.revoke(second, may_be_last=False)
    store.revoke(second, may_be_last=True)
    assert store.read().records == ()
    with pytest.raises(NotFoundError):
        store.revoke(second, may_be_last=True)


def test_an_expired_administrator_does_not_count(store: TokenStore, path: Path) -> None:
    admin = store.create("admin", ["admin"], None).record.id
    expired = store.create("old admin", ["admin"], 1).record.id
    content = json.loads(path.read_text())
    content["tokens"][1]["expires_at"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(content))
    with pytest.raises(ConflictError, match="the last token with the scope admin"):
        store.revoke(admin, may_be_last=True)
    store.revoke(expired, may_be_last=True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"tokens": [{"id": "1"}]}', b'{"tokens": [], "more": 1}', b"\xff"]
)
def test_a_damaged_file_is_never_an_empty_one(store: TokenStore, path: Path, content: bytes) -> None:
    new = store.create("first", ["admin"], None)
    good = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(DamagedTokenFileError, match=r"tokens\.json cannot be used"):
        TokenStore(path).read()
    with pytest.raises(DamagedTokenFileError, match="the gateway's log says why"):
        TokenStore(path).table()
    with pytest.raises(DamagedTokenFileError):
        store.create("second", ["admin"], None)
    assert path.read_bytes() == content
    path.write_bytes(good)
    wait_until(lambda: store.table().find(new.text, NOW_S), message="the restored file is not read")


def test_a_file_without_tokens_and_no_file_mean_the_same(store: TokenStore, path: Path) -> None:
    assert store.table().records == ()
    path.parent.mkdir()
    path.write_text('{"tokens": []}')
    assert TokenStore(path).table().records == ()


def test_the_time_of_last_use_is_kept_over_a_restart(store: TokenStore, path: Path) -> None:
    admin, reader = (store.create(name, ["admin"], None).record.id for name in ("one", "two"))
    store.mark_used(admin, 100.0)
    assert store.last_used() == {admin: 100.0}
    store.write_times()
    store.mark_used(admin, 90.0)
    store.write_times()
    other = TokenStore(path)
    other.mark_used(reader, 50.0)
    other.mark_used("0" * 12, 1.0)  # it was revoked meanwhile
    other.write_times()
    assert TokenStore(path).last_used() == {admin: 100.0, reader: 50.0}
    path.with_name("tokens.json.used").write_text("damaged")
    assert TokenStore(path).last_used() == {}


def test_a_load_test_credential_counts_until_it_expires_and_only_with_the_right_key() -> None:
    text = issue_credential("loadtest", b"key", 100.5)
    assert service_of(text, b"key", 99) == "loadtest"
    assert service_of(text.replace("loadtest", "pipelines"), b"key", 99) is None
    assert not service_of(text, b"key", 100)
    assert not service_of(text, b"another key", 99)
    assert not service_of(text.replace("100", "900"), b"key", 99)
    assert not service_of("tandem-loadtest_100", b"key", 99)
