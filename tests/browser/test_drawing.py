"""What the browser makes of a drawing by itself is what the server makes of it."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page

from shared.data.images import prepare_picture
from tests.browser.module_server import serve_modules

SIDE = 448
PEN = 38
LOAD = """async () => {
    Object.assign(window, await import("/network/drawing.js"));
    window.imageOf = async (uri) => {
        const file = Uint8Array.from(atob(uri), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([file]), { colorSpaceConversion: "none" });
        const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
        const context = canvas.getContext("2d");
        context.drawImage(bitmap, 0, 0);
        return context.getImageData(0, 0, bitmap.width, bitmap.height);
    };
}"""
PREPARE = """async ({uri, shape, prepare}) => {
    const pixels = preparePicture(await imageOf(uri), shape, prepare);
    return pixels && Array.from(pixels);
}"""
SEVEN = [(130, 110), (320, 110), (200, 370)]


@pytest.fixture(scope="module")
def module_page(browser: Browser) -> Iterator[Page]:
    """Yield an empty page that has imported the module."""
    with serve_modules() as server:
        page = browser.new_page()
        page.goto(server.url)
        page.evaluate(LOAD)
        yield page
        page.close()


def draw(points: list[tuple[int, int]], ink: int = 0, paper: int = 255) -> bytes:
    """Return a PNG file with a line of round pen strokes, smoothed as a canvas does."""
    large = Image.new("L", (4 * SIDE, 4 * SIDE), paper)
    pen = ImageDraw.Draw(large)
    scaled = [(4 * x, 4 * y) for x, y in points]
    pen.line(scaled, ink, 4 * PEN)
    for x, y in scaled:
        pen.ellipse((x - 2 * PEN, y - 2 * PEN, x + 2 * PEN, y + 2 * PEN), ink)
    return save(large.resize((SIDE, SIDE), Image.Resampling.BOX))


def save(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def prepare(page: Page, file: bytes, shape: tuple[int, int, int], preparation: str) -> np.ndarray | None:
    """Return what the browser makes of a picture, uint8 [H, W, C], or None if it takes it for blank."""
    question = {"uri": base64.b64encode(file).decode(), "shape": shape, "prepare": preparation}
    found = page.evaluate(PREPARE, question)
    return None if found is None else np.array(found, np.uint8).reshape(shape)


@pytest.mark.parametrize(
    "points",
    [
        SEVEN,
        [(x + 90, y - 60) for x, y in SEVEN],
        [(x // 2, y // 2) for x, y in SEVEN],
        [(224, 40), (224, 400)],
        [(40, 40), (220, 400), (410, 40)],
    ],
    ids=["a seven", "at the edge", "small", "a line", "large"],
)
@pytest.mark.parametrize("colours", [(0, 255), (255, 0)], ids=["dark on light", "light on dark"])
def test_a_drawing_is_cut_out_and_centred_as_on_the_server(module_page, points, colours):
    file = draw(points, *colours)
    expected = prepare_picture(file, (28, 28, 1), "a", "ink").pixels.astype(float)
    found = prepare(module_page, file, (28, 28, 1), "ink").astype(float)
    # The server scales in two steps, and the browser in one: the edges of strokes differ a little.
    assert np.abs(found - expected).mean() < 3
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_model_that_only_scales_gets_the_whole_picture(module_page):
    file = draw(SEVEN, 255, 0)
    expected = prepare_picture(file, (8, 8, 1), "a", "resize").pixels.astype(float)
    found = prepare(module_page, file, (8, 8, 1), "resize").astype(float)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97


def test_colours_stay_in_their_channels(module_page):
    colours = Image.new("RGB", (90, 90), (250, 20, 40))
    colours.paste((10, 200, 90), (0, 0, 90, 45))
    found = prepare(module_page, save(colours), (2, 3, 3), "resize")
    assert found[0].tolist() == [[10, 200, 90]] * 3
    assert found[1].tolist() == [[250, 20, 40]] * 3


@pytest.mark.parametrize("preparation", ["ink", "resize"])
def test_a_blank_picture_is_none(module_page, preparation):
    assert prepare(module_page, save(Image.new("L", (50, 50), 200)), (28, 28, 1), preparation) is None


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 7, 3)])
def test_pixels_survive_a_png_file_and_a_canvas(module_page, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    uri = "data:image/png;base64," + base64.b64encode(save(Image.fromarray(pixels.squeeze()))).decode()
    read = """async ({uri, shape}) => {
        const pixels = await readPng(uri, shape);
        const canvas = document.createElement("canvas");
        showPixels(canvas, pixels, shape);
        const shown = canvas.getContext("2d").getImageData(0, 0, shape[1], shape[0]).data;
        return [Array.from(pixels), Array.from(shown)];
    }"""
    found, shown = module_page.evaluate(read, {"uri": uri, "shape": shape})
    assert found == pixels.ravel().tolist()
    rgba = np.array(shown, np.uint8).reshape(*shape[:2], 4)
    assert np.array_equal(rgba[..., :3], np.broadcast_to(pixels, (*shape[:2], 3)))
    assert (rgba[..., 3] == 255).all()
