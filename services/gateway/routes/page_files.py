"""The files of the web page, read once when the gateway starts, with what a response needs besides the content."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
COMPRESSION_LEVEL = 9  # it is paid once, when the gateway starts


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
        content: as it lies on the disk.
        compressed: the same, compressed with gzip.
        media_type: the value of `Content-Type`.
        tag: a checksum of the content, for `ETag`.
    """

    content: bytes
    compressed: bytes
    media_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> "PageFile":
        """Read a file whose suffix is one of `MEDIA_TYPES`."""
        content = path.read_bytes()
        compressed = gzip.compress(content, COMPRESSION_LEVEL, mtime=0)
        return cls(content, compressed, MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:32])


def read_page_files(folder: Path) -> dict[str, PageFile]:
    """Return every file of the page by its path below the folder, such as `views/train.js`.

    Files with another suffix, such as documentation, are left out. A missing folder has no files.
    """
    return {
        path.relative_to(folder).as_posix(): PageFile.read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in MEDIA_TYPES and path.is_file()
    }
