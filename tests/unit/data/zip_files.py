"""Zip files for tests: ordinary ones, and ones that are made to do harm."""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image


def encode_png(shade: int, side: int = 12) -> bytes:
    """Return a PNG of one grey level with a lighter corner."""
    pixels = np.full((side, side), shade, np.uint8)
    pixels[:2, :2] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pictures_of(*classes: str, count: int = 4, first: int = 0) -> dict[str, bytes]:
    """Return `count` pictures for each class folder, by their path."""
    return {
        f"{name}/{index}.png": encode_png((first + 40 * label + index) % 256)
        for label, name in enumerate(classes)
        for index in range(count)
    }


def pack(files: Mapping[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file of some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data, method)
    return buffer.getvalue()


def special_entry(name: str, mode: int) -> zipfile.ZipInfo:
    """Return an entry with the mode of a Unix file, such as a symbolic link's."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def pack_raw(names: list[bytes], data: bytes, *, is_utf8: bool = False, count: int | None = None) -> bytes:
    """Return a zip file with these names, byte for byte, all with the same stored data.

    Args:
        names: of the entries.
        data: of each.
        is_utf8: whether the entries say that their names are UTF-8.
        count: how many entries the end of the directory states; by default as many as there are.
    """
    flags, checksum = (0x800 if is_utf8 else 0), zipfile.crc32(data)
    body, directory = bytearray(), bytearray()
    for name in names:
        sizes = (checksum, len(data), len(data), len(name), 0)
        start = len(body)
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, flags, 0, 0, 0, *sizes) + name + data
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, flags, 0, 0, 0, *sizes, 0, 0, 0, 0, start) + name
    stated = min(len(names) if count is None else count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, stated, stated, len(directory), len(body), 0)
    return bytes(body + directory + end)


def lie_about_size(content: bytes, name: str, size: int) -> bytes:
    """Return a zip file whose directory and header state another unpacked size for an entry."""
    changed = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(name)
    struct.pack_into("<L", changed, info.header_offset + 22, size)
    at = content.index(name.encode(), content.index(b"PK\x01\x02")) - 46
    struct.pack_into("<L", changed, at + 24, size)
    return bytes(changed)


def overlap_entries(content: bytes) -> bytes:
    """Return a zip file whose entries all have the data of the first one."""
    changed = bytearray(content)
    at = content.index(b"PK\x01\x02")
    first = changed[at + 42 : at + 46]
    while changed[at : at + 4] == b"PK\x01\x02":
        changed[at + 42 : at + 46] = first
        at += 46 + sum(struct.unpack_from("<3H", changed, at + 28))
    return bytes(changed)
