"""A model becomes one HTML file: complete, small, and safe whatever the texts of the model are."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from shared.exports.html_page import CORE_MODULES, PAGE_MODULES, write_html
from shared.models.manifest import Manifest, encode_manifest
from shared.network.description import PRESETS
from shared.network.weights import initial_weights, to_bytes
from tests.unit.models.descriptions import describe

HOSTILE_CLASSES = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\u202egnp.exe",
    "$model ${page} $$",
    "'\"&amp;\\\u2028\u0000",
    "数字五",
    *"6789",
)
MOST_BYTES_BESIDE_THE_WEIGHTS = 40_000


def write(classes: tuple[str, ...] = tuple("0123456789")) -> str:
    """Return the page of an article network."""
    network = PRESETS["article"].network((28, 28, 1), 10)
    description = describe(network).model_copy(update={"classes": classes})
    manifest = Manifest.parse(encode_manifest(description, "digits-page", "pytorch", 3, "writer", {}))
    return write_html(manifest, initial_weights(network, seed=0)).decode()


class Elements(HTMLParser):
    """Collects the elements of a page, their attributes, and the texts of styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("style", "script") and data.strip():
            self.texts.append((self.tags[-1], data))


def test_the_policy_allows_the_own_scripts_and_style_and_nothing_else() -> None:
    page = Elements(write())
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    (_, style), (_, model), (_, core), (_, script) = page.texts
    sums = [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in (core, script)]
    assert re.search("script-src ([^;]*)", policy)[1] == " ".join(f"'{each}'" for each in sums)  # type: ignore[index]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert re.search("style-src ([^;]*)", policy)[1] == f"'sha256-{digest}'"  # type: ignore[index]
    assert model.startswith('{"name"')


def test_the_page_refers_to_no_other_file() -> None:
    page = Elements(write())
    assert not {name for name, _ in page.attributes} & {"src", "href", "action", "style", "onload", "onclick"}
    assert not {"link", "iframe", "object", "embed", "base", "form", "img"} & set(page.tags)
    assert not any(
        re.search(r"https?:|@import|url\(|\bfetch\(|XMLHttpRequest|\beval\(", text) for _, text in page.texts
    )


def test_no_text_of_a_model_changes_the_page() -> None:
    plain, hostile = Elements(write()), Elements(write(HOSTILE_CLASSES))
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    assert [text for text in hostile.texts if '"classes"' not in text[1]] == [
        text for text in plain.texts if '"classes"' not in text[1]
    ]
    model = next(text for _, text in hostile.texts if '"classes"' in text)
    assert model.isascii()
    assert "<" not in model
    assert json.loads(model)["classes"] == list(HOSTILE_CLASSES)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert write() == write()


def test_the_page_is_small() -> None:
    network = PRESETS["article"].network((28, 28, 1), 10)
    weights = to_bytes(initial_weights(network, seed=0))
    assert len(write().encode()) - len(base64.b64encode(weights)) < MOST_BYTES_BESIDE_THE_WEIGHTS


@pytest.mark.parametrize("path", [*CORE_MODULES, *PAGE_MODULES], ids=lambda path: path.name)
def test_a_module_can_be_joined(path) -> None:
    source = path.read_text()
    assert source.startswith("//")
    assert len(source.splitlines()) <= 320
    assert not re.search(r"\bimport\(|export default|export \{|export const|innerHTML", source)


def test_exported_names_are_unique() -> None:
    names = [
        name
        for path in (*CORE_MODULES, *PAGE_MODULES)
        for name in re.findall(r"^export \w+ (\w+)", path.read_text(), re.M)
    ]
    assert len(names) == len(set(names))
