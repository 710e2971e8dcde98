"""Atomic file writes, and the heap that is exempt from garbage collection."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.process import write_atomically


def test_a_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"first", b"", b"the second, longer one"):
        write_atomically(path, data, sync=True)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_the_file_has_the_mode_that_was_asked_for_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    umask = os.umask(0o077)
    try:
        write_atomically(path, b"data", mode=mode)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("replace", [True, False])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_file(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text instead of bytes", replace=replace)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", b"data")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"data")


def test_without_replace_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"first", replace=False)
    write_atomically(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("replace", [True, False])
def test_of_several_writers_at_once_one_wins_and_no_reader_sees_a_mixture(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 300_000 for number in range(1, 9)]

    def write_and_read(data: bytes) -> bytes:
        write_atomically(path, data, replace=replace)
        return path.read_bytes()

    with ThreadPoolExecutor(len(contents)) as pool:
        seen = list(pool.map(write_and_read, contents))
    assert set(seen) <= set(contents)
    if not replace:
        assert set(seen) == {path.read_bytes()}
    assert os.listdir(tmp_path) == ["file"]
