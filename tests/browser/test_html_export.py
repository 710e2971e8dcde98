"""A model exported as HTML: the file works from the disk, without a network, and answers what the backends answer."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shared.exports.html_page import write_html
from shared.models.manifest import Manifest, ModelDescription, encode_manifest
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER
from shared.network.weights import from_bytes
from shared.settings import Settings
from tests.browser import probabilities
from tests.browser.conftest import assert_accessible

PICTURES = 1000
CHOSEN = 20  # of them, as files
WAIT_MS = 30_000
SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]  # corners, as shares of the canvas
HOSTILE_CLASSES = ("</script><img src=x onerror=alert(1)>", "\u202eevil", "a" * 80, "<!--<script>", *"456789")
ANSWER_ALL = """(pictures) => {
    const model = tandem.openModel(document.getElementById("model").textContent);
    return pictures.map((text) => Array.from(model.predict(tandem.decodeBase64(text))));
}"""
OpenFile = Callable[..., Page]


def write_page(folder: Path, **changes: object) -> Path:
    """Write the model `welcome` as HTML, after changes of its description."""
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes()).model_copy(
        update=changes
    )
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), description.network)
    manifest = Manifest.parse(encode_manifest(description, "welcome", "pytorch", 1, "writer", {}))
    file = folder / "welcome-1-pytorch.html"
    file.write_bytes(write_html(manifest, weights))
    return file


@pytest.fixture
def open_file(browser: Browser) -> Iterator[OpenFile]:
    """Yield a function that opens a file from the disk, without a network. The test fails if the page logs anything."""
    contexts: list[BrowserContext] = []
    reports: list[str] = []

    def open_page(file: Path, **options: object) -> Page:
        context = browser.new_context(**{"offline": True, "viewport": {"width": 1000, "height": 800}, **options})
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        context.on("console", lambda message: reports.append(message.text))
        context.on("weberror", lambda error: reports.append(str(error.error)))
        page = context.new_page()
        page.goto(file.as_uri())
        context.on("request", lambda request: request.url.startswith("blob:") or reports.append(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not reports


def read_class(page: Page) -> str:
    """Return the class that the page shows, once a screen reader has been told the same."""
    page.wait_for_function("() => document.getElementById('spoken').textContent.length > 0")
    return page.locator("#class").inner_text()


def places_of_seven(page: Page) -> list[tuple[float, float]]:
    box = page.locator("#pad").bounding_box()
    assert box
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]


def as_file(pixels: np.ndarray) -> dict[str, object]:
    """Return a picture as a file that can be chosen."""
    target = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(target, "PNG")
    return {"name": "picture.png", "mimeType": "image/png", "buffer": target.getvalue()}


def test_1000_test_pictures_have_the_class_that_the_backends_give_them(open_file, mnist_test, tmp_path):
    backends = Settings.from_env().backends
    images, labels = mnist_test.images[:PICTURES], mnist_test.labels[:PICTURES]
    np.save(tmp_path / "pictures.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    (tmp_path / "welcome.json").write_text(description.network.model_dump_json())
    (tmp_path / "welcome.safetensors").write_bytes((STARTER_FOLDER / WEIGHTS).read_bytes())
    processes = [probabilities.start(backend, "serve", tmp_path) for backend in backends]
    page = open_file(write_page(tmp_path))
    found = np.array(page.evaluate(ANSWER_ALL, [base64.b64encode(image).decode() for image in images]))
    for process in processes:
        probabilities.finish(process)
    for backend in backends:
        expected = np.load(tmp_path / f"welcome-{backend}.npy")
        same = (found.argmax(1) == expected.argmax(1)).sum()
        assert (backend, same) == (backend, PICTURES)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=backend)
    for image, probability in zip(images[:CHOSEN], found, strict=False):
        page.locator("input[type=file]").first.set_input_files(as_file(image))
        page.locator("#answer").wait_for()
        label = str(probability.argmax())
        assert page.locator("#class").inner_text() == label
        # The picture is the dataset's own, so the model sees it unchanged.
        assert (
            page.locator("tbody tr", has_text=label).first.locator("td").inner_text()
            == f"{100 * probability.max():.2f} %"
        )
        page.locator("#clear").click()
        page.locator("#answer").wait_for(state="hidden")


def test_a_drawn_seven_is_a_seven(open_file, tmp_path):
    page = open_file(write_page(tmp_path))
    first, *others = places_of_seven(page)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    assert read_class(page) == "7"
    assert_accessible(page)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#answer")).to_be_hidden()
    assert_accessible(page)


def test_a_finger_draws_on_a_chinese_phone(open_file, tmp_path):
    phone = {"viewport": {"width": 360, "height": 800}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}
    page = open_file(write_page(tmp_path), **phone)
    touches = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    first, *others = places_of_seven(page)
    touch("touchStart", first)
    for (x0, y0), (x1, y1) in zip([first, *others], others, strict=False):
        for step in range(1, 9):
            touch("touchMove", (x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8))
    touch("touchEnd")
    assert read_class(page) == "7"
    assert page.get_by_role("button", name="清除").is_visible()
    assert page.evaluate("() => document.documentElement.lang") == "zh-Hans"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth && scrollY === 0")
    assert_accessible(page)
    page.get_by_role("button", name="English").click()
    assert page.get_by_role("button", name="Clear").is_visible()


def test_the_keyboard_draws(open_file, tmp_path):
    page = open_file(write_page(tmp_path))
    page.locator("#pad").focus()
    page.keyboard.press("Space")
    for key, steps in (("ArrowRight", 10), ("ArrowDown", 14)):
        for _ in range(steps):
            page.keyboard.press(key)
    assert read_class(page) == "7"
    page.keyboard.press("Delete")
    page.locator("#empty").wait_for()


def test_texts_of_a_model_stay_texts_and_pictures_come_first(open_file, tmp_path):
    page = open_file(
        write_page(tmp_path, prepare="resize", classes=HOSTILE_CLASSES), viewport={"width": 360, "height": 800}
    )
    assert page.locator("#classes li").all_inner_texts() == list(HOSTILE_CLASSES)
    chooser, pad = page.locator("#pictures").bounding_box(), page.locator("#pad").bounding_box()
    assert chooser["y"] < pad["y"]
    pixels = np.zeros((40, 40), np.uint8)
    pixels[5:35, 17:22] = 255
    page.locator("input[type=file]").first.set_input_files(as_file(pixels))
    page.locator("#answer").wait_for()
    assert page.locator("tbody th").all_inner_texts() == list(HOSTILE_CLASSES)
    assert page.locator("img").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)


def test_a_file_that_is_no_picture_is_explained(open_file, tmp_path):
    page = open_file(write_page(tmp_path))
    file = {"name": "text.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("alert").get_by_text("cannot read the file").wait_for()
