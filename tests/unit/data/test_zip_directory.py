"""A zip file that is damaged, unusual or made to do harm is refused, and the message names the entry."""

import contextlib
import io
import stat
import unicodedata
import zipfile
from pathlib import Path

import pytest

from shared.data.upload_draft import write_draft
from shared.data.zip_directory import MAX_ENTRIES
from shared.data.zip_entries import list_entries
from shared.errors import InvalidDatasetError
from tests.unit.data.zip_files import (
    encode_png,
    lie_about_size,
    overlap_entries,
    pack,
    pack_raw,
    pictures_of,
    special_entry,
)

PETS = pictures_of("cat", "dog")
PNG = encode_png(7)


def encrypt(content: bytes) -> bytes:
    """Return a zip file whose entries say that they are encrypted."""
    changed = bytearray(content)
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(start)
        while at >= 0:
            changed[at + offset] |= 1
            at = content.find(start, at + 1)
    return bytes(changed)


REFUSED: dict[str, tuple[bytes, str]] = {
    "parent": (pack({**PETS, "../evil.png": PNG}), "'../evil.png' may lead out of its folder"),
    "inner parent": (pack({**PETS, "cat/../../evil.png": PNG}), "may lead out of its folder"),
    "absolute": (pack({**PETS, "/etc/passwd": PNG}), "'/etc/passwd' is not a relative path"),
    "drive": (pack({**PETS, "C:/evil.png": PNG}), "is not a relative path"),
    "backslash": (pack_raw([b"cat\\1.png"], PNG), "is not a relative path"),
    "control character": (pack({**PETS, "cat/a\nb.png": PNG}), "has a control character"),
    "nul": (pack_raw([b"cat/1.png\0.exe"], PNG), "has a control character"),
    "symbolic link": (
        pack({**PETS, special_entry("cat/link", stat.S_IFLNK | 0o777): b"/etc/passwd"}),
        "'cat/link' is a symbolic link",
    ),
    "pipe": (pack({**PETS, special_entry("cat/pipe", stat.S_IFIFO | 0o666): b""}), "is neither a file nor a folder"),
    "twice": (pack_raw([b"cat/1.png", b"cat/1.png"], PNG), "is in the zip file twice"),
    "two forms of Unicode": (
        pack({f"cat/{unicodedata.normalize(form, 'é')}.png": PNG for form in ("NFC", "NFD")}),
        "written in two forms of Unicode",
    ),
    "file and folder": (pack({**PETS, "cat": PNG}), "is both a file and a folder"),
    "deep": (pack({**PETS, "a/" * 20 + "1.png": PNG}), "lies in more than 16 folders"),
    "long name": (pack({**PETS, f"cat/{'x' * 300}.png": PNG}), "has a name of more than 255 bytes"),
    "long path": (pack({**PETS, "x" * 1100: PNG}), "has more than 1,024 bytes"),
    "encrypted": (encrypt(pack(PETS)), "is encrypted"),
    "other method": (pack(PETS, zipfile.ZIP_LZMA), "packed by an unusual method"),
    "bomb": (pack({**PETS, "cat/bomb.bmp": bytes(32 * 2**20)}), "which no picture does"),
    "overlapping": (overlap_entries(pack(PETS)), "shares its data with another part"),
    "larger than stated": (lie_about_size(pack(PETS), "cat/1.png", 20), "damaged in the zip file"),
    "smaller than stated": (lie_about_size(pack(PETS), "cat/1.png", 5000), "fewer bytes than the zip file says"),
    "100,000 entries": (pack_raw([b"cat/%d" % index for index in range(100_000)], b""), "may have 50,000"),
    "more than stated": (
        pack_raw([b"cat/%d" % index for index in range(60_000)], b"", count=3),
        "has 50,001 entries, and may have 50,000",
    ),
    "fewer than stated": (pack_raw([b"cat/1.png"], PNG, count=2), "is damaged"),
    "truncated": (pack(PETS)[:-30], "is incomplete"),
    "cut in the end": (pack(PETS)[:-5], "is incomplete"),
    "truncated early": (pack(PETS)[:100], "is incomplete"),
    "trailing data": (pack(PETS) + b"x", "is followed by other data"),
    "leading data": (b"#!/bin/sh\n" + pack(PETS), "is not a zip file"),
    "a second zip file": (pack(PETS) + pack(PETS), "begins with other data"),
    "empty zip file": (pack({}), "is empty"),
    "no zip file": (b"\x1f\x8b" + bytes(100), "is not a zip file, but a gzip file"),
    "nothing": (b"", "the body is empty"),
    "zip in zip": (pack({"pets.zip": pack(PETS)}), "holds the archive pets/pets.zip: unpack it"),
    "zip in a class": (pack({**PETS, "cat/more.zip": pack(PETS)}), "cat/more.zip is a zip file in the zip file"),
    "broken picture": (pack({**PETS, "dog/9.png": PNG[:60]}), "pets/dog/9.png: the picture is broken"),
    "no picture": (pack({**PETS, "dog/notes.txt": b"hello"}), "pets/dog/notes.txt: not a PNG"),
    "one class": (pack(pictures_of("cat")), "needs two or more classes"),
}


def store(content: bytes, folder: Path) -> Path:
    """Write a zip file, make a draft from it, and return the draft's folder."""
    zip_file = folder / "upload.zip"
    zip_file.write_bytes(content)
    write_draft(zip_file, "pets", folder / "draft", "2026-01-01T00:00:00+00:00")
    return folder / "draft"


@pytest.mark.parametrize("what", REFUSED)
def test_a_zip_file_is_refused_and_the_entry_is_named(what: str, tmp_path: Path) -> None:
    content, message = REFUSED[what]
    with pytest.raises(InvalidDatasetError) as error:
        store(content, tmp_path)
    assert message in str(error.value)
    assert str(tmp_path) not in str(error.value)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {
        "upload.zip",
        "train-images.npy",
        "train-labels.npy",
    }


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_zip_file_with_a_changed_byte_is_refused_or_read_completely(at: int, tmp_path: Path) -> None:
    content = bytearray(pack(PETS))
    content[-1 - at] ^= 0xFF
    with contextlib.suppress(InvalidDatasetError):
        store(bytes(content), tmp_path)


def test_the_largest_number_of_entries_is_read() -> None:
    names = [b"%s/%d.png" % (name, index) for name in (b"cat", b"dog") for index in range(MAX_ENTRIES // 2)]
    _, entries = list_entries(io.BytesIO(pack_raw(names, b"")), "pets")
    assert len(entries) == MAX_ENTRIES


def test_three_encodings_of_a_class_name_are_one_class(tmp_path: Path) -> None:
    """NFC in UTF-8, NFD in UTF-8 without the flag as macOS writes it, and code page 437."""
    names = ["Tür", unicodedata.normalize("NFD", "Tür"), "Tür"]
    raw = [names[0].encode(), names[1].encode(), names[2].encode("cp437")]
    paths = [b"%s/%d.png" % (name, index) for index, name in enumerate(raw)]
    assert _classes_of(pack_raw([*paths, b"Tor/1.png", b"Tor/2.png"], PNG), tmp_path) == ("Tor", "Tür")


def test_an_extra_field_with_the_name_in_utf8_counts(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("cat/x.png")
    name = b"Katze/x.png"
    content = b"\1" + zipfile.crc32(b"cat/x.png").to_bytes(4, "little") + name
    info.extra = b"\x75\x70" + len(content).to_bytes(2, "little") + content
    assert "Katze" in _classes_of(pack({**PETS, info: PNG}), tmp_path)


def _classes_of(content: bytes, folder: Path) -> tuple[str, ...]:
    zip_file = folder / "upload.zip"
    zip_file.write_bytes(content)
    return write_draft(zip_file, "pets", folder / "draft", "2026-01-01T00:00:00+00:00").classes


def test_what_macos_adds_is_skipped_and_one_outer_folder_is_entered(tmp_path: Path) -> None:
    files = {f"My pets/{name}": data for name, data in PETS.items()}
    left_over = {"__MACOSX/My pets/._cat": b"x", "My pets/.DS_Store": b"y", "My pets/cat/._1.png": b"z"}
    zip_file = tmp_path / "upload.zip"
    zip_file.write_bytes(pack({**files, **left_over}))
    record = write_draft(zip_file, "pets", tmp_path / "draft", "2026-01-01T00:00:00+00:00")
    assert record.classes == ("cat", "dog")
    assert "the pictures are read from the folder pets/My pets" in record.notes


def test_a_zip_file_with_stored_entries_folders_and_zip64_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("cat")
        for name, data in PETS.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    assert _classes_of(buffer.getvalue(), tmp_path) == ("cat", "dog")
