"""The secrets of the containers: created once, one folder per service, and kept."""

import stat
from pathlib import Path

import pytest

from shared.jobs import container_secrets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a volume for each service, as in the container."""
    monkeypatch.setenv("TANDEM_KEY_FILE", str(tmp_path / "keys/job.key"))
    monkeypatch.setenv("TANDEM_BACKENDS", "pytorch")
    for name in ("redis", "gateway", "loadtest", "pipelines", "pytorch-trainer"):
        (tmp_path / name).mkdir()
    return tmp_path


def read_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_bytes().hex() for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_created_once_and_kept(folder: Path) -> None:
    assert container_secrets.main(folder) == 0
    first = read_files(folder)
    assert set(first) == {
        *("keys/job.key", "redis/users.acl", "gateway/redis-password", "loadtest/redis-password"),
        *("pipelines/redis-password", "pytorch-trainer/redis-password"),
    }
    for name in set(first) - {"redis/users.acl"}:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert container_secrets.main(folder) == 0
    assert read_files(folder) == first


def test_a_new_backend_gets_a_password_and_the_others_keep_theirs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert container_secrets.main(folder) == 0
    before = read_files(folder)
    monkeypatch.setenv("TANDEM_BACKENDS", "pytorch,jax")
    assert container_secrets.main(folder) == 0
    after = read_files(folder)
    assert set(after) - set(before) == {"jax-trainer/redis-password"}
    assert [name for name in before if before[name] != after[name]] == ["redis/users.acl"]
    assert "user jax-trainer " in (folder / "redis/users.acl").read_text()


def test_the_containers_have_no_operator(folder: Path) -> None:
    assert container_secrets.main(folder) == 0
    assert "operator" not in (folder / "redis/users.acl").read_text()


def test_a_missing_volume_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gateway").rmdir()
    (folder / "gateway").write_text("a file, where the folder cannot be made")
    assert container_secrets.main(folder) == 1
    assert f"Each backend needs a volume at {folder}/<backend>-trainer" in capsys.readouterr().out
