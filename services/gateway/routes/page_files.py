"""The files of the web page, read once when the gateway starts, with what a response needs besides the content.

Comments, spaces and long names are for readers of the repository. A browser gets minified files, all styles as one
file, and all texts as one file. Functions of modules keep their names, so that an error in a browser's console names
them.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import minify

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
VENDOR = "vendor"  # the folder with the files of others, which are served unchanged
STYLES = "styles"  # the folder whose files are served as one, `styles.css`
TEXTS = "texts"  # the folder whose files are served as one, `texts.json`
MINIFIED = (".js", ".css")
COMPRESSION_LEVEL = 9  # it is paid once, when the gateway starts


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
        content: what a browser gets.
        compressed: the same, compressed with gzip.
        media_type: the value of `Content-Type`.
        tag: a checksum of the content, for `ETag`.
    """

    content: bytes
    compressed: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "PageFile":
        """Return a file whose suffix is one of `MEDIA_TYPES`."""
        compressed = gzip.compress(content, COMPRESSION_LEVEL, mtime=0)
        return cls(content, compressed, MEDIA_TYPES[suffix], hashlib.sha256(content).hexdigest()[:32])


def read_page_files(folder: Path) -> dict[str, PageFile]:
    """Return every file of the page by its path below the folder, such as `views/train.js`.

    Files with another suffix, such as documentation, are left out. A missing folder has no files.
    """
    contents = {f"{STYLES}.css": b"", f"{TEXTS}.json": _join_texts(folder / TEXTS)}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.suffix not in MEDIA_TYPES or not path.is_file() or place.parts[0] == TEXTS:
            continue
        if place.parts[0] == STYLES:
            contents[f"{STYLES}.css"] += _read(path)
        else:
            contents[place.as_posix()] = _read(path)
    return {name: PageFile.of(content, Path(name).suffix) for name, content in contents.items()}


def _join_texts(folder: Path) -> bytes:
    """Return the texts of all views as one JSON object: key -> [English, Chinese]."""
    texts: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.json")):
        texts |= json.loads(path.read_text())
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()


def _read(path: Path) -> bytes:
    """Return a file's content. The project's own modules and styles are minified."""
    if path.parent.name == VENDOR or path.suffix not in MINIFIED:
        return path.read_bytes()
    media_type = MEDIA_TYPES[path.suffix].partition(";")[0]
    return str(minify.string(media_type, path.read_text(encoding="utf-8"))).encode()
