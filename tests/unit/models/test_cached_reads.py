"""Cached reads of the model volume: a change is seen, and an unchanged file is not read again."""

import os
from pathlib import Path

import pytest

from shared.models.cached_reads import (
    NotCachedError,
    call_cached_only,
    checksum,
    checksum_file,
    identify_file,
    list_folders,
    list_versions,
)


def test_only_folders_with_a_number_are_versions(tmp_path: Path) -> None:
    for name in ("10", "2", ".tmp-1", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "3").touch()
    assert list_versions(tmp_path) == [2, 10]
    assert list_folders(tmp_path) == [".tmp-1", "10", "2", "x"]
    assert list_folders(tmp_path / "missing") == []


def test_a_folder_that_changed_recently_is_listed_again_even_if_its_time_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    time = tmp_path.stat().st_mtime_ns
    assert list_versions(tmp_path) == [1]
    (tmp_path / "2").mkdir()
    os.utime(tmp_path, ns=(time, time))
    assert list_versions(tmp_path) == [1, 2]


def test_a_replaced_file_has_another_identity_and_checksum(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    before = identify_file(path)
    assert checksum_file(path) == checksum(b"first")
    other = tmp_path / "other"
    other.write_bytes(b"other")
    other.rename(path)
    assert identify_file(path) != before
    assert checksum_file(path) == checksum(b"other")


def test_a_rename_keeps_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    before = identify_file(path)
    assert identify_file(path.rename(tmp_path / "renamed")) == before


def test_a_cached_only_call_reads_nothing_that_was_not_read_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    with pytest.raises(NotCachedError):
        call_cached_only(lambda: checksum_file(path))
    with pytest.raises(NotCachedError):
        call_cached_only(lambda: list_folders(tmp_path))
    expected = checksum_file(path)
    assert call_cached_only(lambda: checksum_file(path)) == expected
    path.write_bytes(b"more data")
    with pytest.raises(NotCachedError):
        call_cached_only(lambda: checksum_file(path))
    assert list_folders(tmp_path) == []
