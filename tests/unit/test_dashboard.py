"""The page's files: their size, the libraries among them, and the catalogue of texts."""

import gzip
import hashlib
import json
import re
from pathlib import Path

from services.gateway.routes.dashboard import FOLDER, VIEWS, public_page_paths
from services.gateway.routes.page_files import read_page_files
from shared.jobs.releases import Gates

MOST_BYTES = 80_000  # of all files together, compressed as one
MOST_LINES = 320


def own_modules() -> list[Path]:
    """Return the JavaScript files that are the project's own."""
    return [path for path in FOLDER.rglob("*.js") if "vendor" not in path.parts]


def test_the_whole_page_is_small() -> None:
    contents = {name: file.content for name, file in read_page_files(FOLDER).items() if not name.endswith(".txt")}
    size = len(gzip.compress(b"".join(contents.values()), 9))
    assert size <= MOST_BYTES, {name: len(content) for name, content in contents.items()}


def test_the_libraries_are_those_that_were_published() -> None:
    lines = (FOLDER / "vendor/SHA256SUMS").read_text().splitlines()
    expected = {name.removeprefix("./"): checksum for checksum, name in map(str.split, lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor").iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == expected
    assert {"htm-LICENSE.txt", "preact-LICENSE.txt", "uPlot-LICENSE.txt"} <= found.keys()


def catalogue() -> dict[str, list[str]]:
    """Return the texts of all views: key -> [English, Chinese]."""
    texts: dict[str, list[str]] = {}
    for path in (FOLDER / "texts").glob("*.json"):
        own = json.loads(path.read_text())
        assert not own.keys() & texts.keys()
        texts |= own
    return texts


def test_both_languages_have_the_same_placeholders() -> None:
    for key, (english, chinese) in catalogue().items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key


def test_every_text_that_is_used_exists_and_every_text_that_exists_is_used() -> None:
    source = "\n".join(path.read_text() for path in own_modules())
    keys = set(catalogue())
    used = set(re.findall(r'\bt\(\s*"([^"]+)"', source))
    assert used <= keys, f"no such text: {used - keys}"
    beginnings = tuple(re.findall(r"`([a-z]+\.[a-z-]*)\$\{", source))  # of keys that are put together
    assert not {key for key in keys if f'"{key}"' not in source and not key.startswith(beginnings)}


def test_modules_are_short_and_write_no_html_of_their_own() -> None:
    for path in own_modules():
        source = path.read_text()
        assert len(source.splitlines()) <= MOST_LINES, path
        assert source.startswith("//"), f"{path} does not say what it is for"
        assert "innerHTML" not in source, path


def test_the_form_of_a_release_begins_with_the_defaults_of_the_server() -> None:
    source = (FOLDER / "components/release_form.js").read_text()
    written = re.search(r"^const GATES = (\{.*?^\});", source, re.DOTALL | re.MULTILINE)
    assert written
    assert json.loads(written[1]) == Gates().model_dump()
    assert list(json.loads(written[1])) == list(Gates.model_fields)


def test_everybody_may_read_the_page_but_nothing_else() -> None:
    paths = public_page_paths()
    assert {f"/{view}" for view in VIEWS} < set(paths)
    assert all(path.startswith("/page/") or path[1:] in VIEWS for path in paths)
