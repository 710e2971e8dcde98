"""The gateway serves the page: what a browser, another client, and a stranger without a token get."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from services.gateway.routes.dashboard import FOLDER, VIEWS
from services.gateway.routes.page_files import read_page_files
from tests.unit.gateway.gateway_process import running_gateway

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as url:
        yield url


def test_a_browser_gets_the_page_and_another_client_the_addresses(url: str) -> None:
    page = requests.get(url, headers=BROWSER, timeout=10)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.content == (FOLDER / "index.html").read_bytes()
    addresses = requests.get(url, timeout=10)
    assert addresses.json()["page"] == "/train"
    assert page.headers["Vary"].startswith(addresses.headers["Vary"])


def test_every_view_is_the_same_document(url: str) -> None:
    expected = (FOLDER / "index.html").read_bytes()
    for view in VIEWS:
        assert requests.get(f"{url}/{view}?id=1", timeout=10).content == expected


def test_a_file_is_compressed_and_is_not_sent_again(url: str) -> None:
    place = f"{url}/page/app.js"
    plain = requests.get(place, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert b"startRouter()" in plain.content
    assert "Content-Encoding" not in plain.headers
    packed = requests.get(place, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10)
    assert gzip.decompress(packed.raw.read(decode_content=False)) == plain.content
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for response in (plain, packed):
        again = {
            "If-None-Match": response.headers["ETag"],
            "Accept-Encoding": response.request.headers["Accept-Encoding"],
        }
        unchanged = requests.get(place, headers=again, timeout=10)
        assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/missing.js", "/page/vendor.sh", "/page/vendor/SHA256SUMS", "/page/..%2f..%2fgateway%2fapp.py"],
)
def test_other_files_are_not_served(url: str, path: str) -> None:
    response = requests.get(url + path, timeout=10)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_the_page_needs_no_token_but_what_it_shows_does(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as url:
        created = requests.post(f"{url}/v1/tokens", json={"name": "admin", "scopes": ["admin"]}, timeout=10)
        assert created.status_code == 201
        for path in ("/", "/draw", "/page/app.js"):
            assert requests.get(url + path, headers=BROWSER, timeout=10).status_code == 200
        assert requests.get(f"{url}/v1/datasets", timeout=10).status_code == 401
        assert requests.get(f"{url}/page/missing.js", timeout=10).status_code == 401
        assert json.loads(requests.get(url, timeout=10).content)["name"] == "Tandem"


def test_declarations_keep_their_order_when_they_are_minified(tmp_path: Path) -> None:
    (tmp_path / "order.js").write_text(
        "export function read() { const first = find(); const [state, set] = use(first); return [state, set]; }"
    )
    expected = "export function read(){const e=find(),[t,n]=use(e);return[t,n]}"
    assert read_page_files(tmp_path)["order.js"].content.decode() == expected


def test_files_are_minified_and_texts_in_templates_stay(tmp_path: Path) -> None:
    source = """// A module.
/**
 * Return links.
 */
export function link(addresses) { // each begins with http://
  const pattern = /\\/\\*/g;
  // A comment of its own.
  return html`
    <p title="a // b">/* text */ ${addresses.map((address) => html`<a class="x" href=${address}>one  two</a>`)}</p>`;
}
"""
    expected = """export function link(e){const t=/\\/\\*/g;return html`
    <p title="a // b">/* text */ ${e.map(e=>html`<a class="x" href=${e}>one  two</a>`)}</p>`}"""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "styles/views").mkdir(parents=True)
    for name in ("link.js", "vendor/link.js"):
        (tmp_path / name).write_text(source)
    for name in ("base", "views/train"):
        (tmp_path / f"styles/{name}.css").write_text(f"/* {name} */\n.a {{\n  color: red;\n}}\n")
    (tmp_path / "texts").mkdir()
    for view, texts in (
        ("draw", '{\n  "draw.clear": ["Clear", "清除"]\n}'),
        ("train", '{"train.start": ["Train", "训练"]}'),
    ):
        (tmp_path / f"texts/{view}.json").write_text(texts)
    files = read_page_files(tmp_path)
    assert files["link.js"].content.decode() == expected
    assert files["vendor/link.js"].content.decode() == source
    assert files["styles.css"].content.decode() == ".a{color:red}" * 2
    expected = '{"draw.clear":["Clear","清除"],"train.start":["Train","训练"]}'
    assert files["texts.json"].content.decode() == expected
    assert files.keys() == {"link.js", "vendor/link.js", "styles.css", "texts.json"}
