"""A drawing is found in a picture, cut out, and placed white on black, as in MNIST."""

import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from shared.data import datasets, images
from shared.settings import Settings

GREY = (28, 28, 1)
# The corners of a seven, as (x, y) on a sheet of 100 x 100. A seven has no symmetry.
SEVEN = [(30, 25), (70, 25), (45, 78)]


def sheet(width: int = 400, height: int = 300, paper: int = 230) -> Image.Image:
    """Return a blank sheet of paper."""
    return Image.new("L", (width, height), paper)


def draw_seven(
    on: Image.Image, ink: object = 30, at: tuple[int, int] = (150, 80), size: int = 150, pen: int = 12
) -> Image.Image:
    """Draw a seven on a picture, and return the picture.

    Args:
        on: the picture.
        ink: colour of the pen.
        at: upper left corner of the seven's sheet, as (x, y).
        size: side of the seven's sheet, in pixels.
        pen: width of the pen, in pixels.
    """
    place = [(at[0] + x * size / 100, at[1] + y * size / 100) for x, y in SEVEN]
    ImageDraw.Draw(on).line(place, fill=ink, width=pen, joint="curve")
    return on


def encode_picture(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def prepare_ink(
    picture: Image.Image, format: str = "PNG", shape: tuple[int, int, int] = GREY, **options: object
) -> images.PreparedPicture:
    return images.prepare_picture(encode_picture(picture, format, **options), shape, "mine", preparation="ink")


def light_unevenly(picture: Image.Image, seed: int = 0) -> Image.Image:
    """Return the picture as lit by a lamp at its upper left corner, with noise."""
    pixels = np.asarray(picture, np.float32)
    y, x = np.mgrid[0 : 1 : pixels.shape[0] * 1j, 0 : 1 : pixels.shape[1] * 1j]
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 5, pixels.shape)
    return Image.fromarray(np.clip(pixels * (1 - 0.35 * x - 0.3 * y * y) + noise, 0, 255).astype(np.uint8))


def correlate_with_seven(picture: images.PreparedPicture) -> float:
    """Return the highest correlation with a plain seven at any place.

    The plain seven is drawn large, cropped to its bounding box, and reduced by Pillow.
    """
    plain = draw_seven(Image.new("L", (400, 400), 0), 255, (0, 0), 400, 32)
    plain = plain.crop(plain.getbbox())
    plain.thumbnail((20, 20), Image.Resampling.BOX)
    grid, best = picture.pixels[..., 0].astype(float), -1.0
    for top in range(28 - plain.height + 1):
        for left in range(28 - plain.width + 1):
            placed = np.zeros((28, 28))
            placed[top : top + plain.height, left : left + plain.width] = np.asarray(plain)
            best = max(best, float(np.corrcoef(grid.ravel(), placed.ravel())[0, 1]))
    return best


def check_seven(picture: images.PreparedPicture, *warnings: str, at_least: float = 0.9) -> NDArray[np.uint8]:
    """Check that a picture shows the seven: white on black, 20 pixels high, its centre of mass in the middle.

    Args:
        picture: what was prepared.
        warnings: the expected warnings.
        at_least: the lowest correlation with a plain seven.

    Returns:
        The pixels, uint8 [28, 28].
    """
    assert picture.warnings == warnings
    pixels = picture.pixels[..., 0]
    assert correlate_with_seven(picture) > at_least
    assert pixels.max() == 255
    rows = np.flatnonzero(pixels.max(1) > 60)
    assert 18 <= rows[-1] - rows[0] + 1 <= 20
    centre = (pixels * np.mgrid[:28, :28]).sum((1, 2)) / pixels.sum()
    assert np.abs(centre - 14).max() <= 0.5 + 1e-6
    return pixels


def test_dark_ink_on_light_paper() -> None:
    check_seven(prepare_ink(draw_seven(sheet())))


def test_light_ink_on_dark_paper() -> None:
    check_seven(prepare_ink(draw_seven(sheet(paper=40), 220)))


def test_uneven_light_and_noise() -> None:
    check_seven(prepare_ink(light_unevenly(draw_seven(sheet())), "JPEG"))
    check_seven(prepare_ink(light_unevenly(draw_seven(sheet(paper=60), 250)), "JPEG"))


@pytest.mark.parametrize("at", [(-20, -20), (10, 140), (280, 150), (270, -10)])
def test_a_drawing_anywhere_in_the_picture(at: tuple[int, int]) -> None:
    check_seven(prepare_ink(light_unevenly(draw_seven(sheet(), at=at)), "JPEG"))


@pytest.mark.parametrize("size", [28, 60, 200, 1500])
def test_a_picture_of_any_size(size: int) -> None:
    picture = draw_seven(sheet(size, size), at=(0, 0), size=size, pen=max(3, size // 12))
    check_seven(prepare_ink(picture.convert("RGB")), at_least=0.85)


def test_a_photograph_turned_by_its_exif_data() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Programs turn it clockwise.
    check_seven(prepare_ink(draw_seven(sheet()).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif))


def test_dark_and_light_ink_on_transparent_paper() -> None:
    for ink in ((0, 0, 0, 255), (255, 255, 255, 255)):
        canvas = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
        paper = "white" if ink[0] == 0 else "black"
        check_seven(prepare_ink(draw_seven(canvas, ink)), f"transparent: placed on {paper}")


def test_sixteen_bits_cmyk_and_colour() -> None:
    deep = np.asarray(draw_seven(sheet()), np.uint16) * 257
    check_seven(prepare_ink(Image.fromarray(deep)))
    check_seven(prepare_ink(draw_seven(sheet()).convert("RGB").convert("CMYK"), "JPEG"))
    check_seven(prepare_ink(draw_seven(Image.new("RGB", (400, 300), (250, 245, 230)), (20, 40, 160))))


def test_strokes_of_one_pixel_in_a_large_photograph() -> None:
    check_seven(prepare_ink(draw_seven(sheet(1200, 1200), at=(200, 200), size=900, pen=1)), at_least=0.8)
    check_seven(prepare_ink(draw_seven(sheet(1200, 1200), at=(200, 200), size=900, pen=3), "JPEG"), at_least=0.8)


def test_thick_strokes_are_not_hollowed() -> None:
    pixels = check_seven(prepare_ink(draw_seven(sheet(), pen=34, at=(100, 10), size=280)), at_least=0.8)
    assert (pixels > 250).sum() > 60


def test_an_interrupted_stroke_stays_one_shape() -> None:
    broken = draw_seven(sheet())
    ImageDraw.Draw(broken).rectangle((0, 150, 400, 154), fill=230)
    check_seven(prepare_ink(broken))


def test_of_two_shapes_the_largest_is_used() -> None:
    two = draw_seven(draw_seven(sheet(), at=(20, 40), size=200, pen=16), at=(260, 100), size=120)
    check_seven(prepare_ink(two), "two shapes found, the largest used")


def test_dirt_is_left_out() -> None:
    dirty = draw_seven(sheet())
    for x in range(20, 400, 90):
        ImageDraw.Draw(dirty).ellipse((x, 260, x + 3, 263), fill=0)
    check_seven(prepare_ink(dirty))


def test_a_table_beside_the_sheet_is_left_out() -> None:
    check_seven(prepare_ink(sheet_on_a_table((60, 0, 400, 300))))
    check_seven(prepare_ink(sheet_on_a_table((0, 0, 350, 270))))
    check_seven(prepare_ink(sheet_on_a_table((50, 30, 360, 280))))


def sheet_on_a_table(where: tuple[int, int, int, int]) -> Image.Image:
    """Return a seven on a sheet on a dark table. `where` is the sheet as (left, top, right, bottom)."""
    table = sheet(paper=70)
    table.paste(230, where)
    return light_unevenly(draw_seven(table, ink=25, at=(150, 90), size=130))


@pytest.mark.parametrize(
    "picture", [sheet(), light_unevenly(sheet()), light_unevenly(sheet(paper=50)), sheet(1, 1), sheet(400, 1)]
)
def test_blank_paper_is_scaled_with_a_warning(picture: Image.Image) -> None:
    prepared = prepare_ink(picture)
    assert prepared.warnings[0] == "no ink found"
    assert prepared.pixels.shape == GREY


def test_a_drawing_of_the_datasets_size_polarity_and_place_is_unchanged() -> None:
    own = prepare_ink(draw_seven(sheet())).pixels[..., 0]
    for picture in (Image.fromarray(own), Image.fromarray(own * np.uint16(257))):
        prepared = prepare_ink(picture)
        assert np.array_equal(prepared.pixels[..., 0], own)
        assert prepared.warnings == ()


def test_all_pictures_of_mnist_are_unchanged(tmp_path: Path) -> None:
    folder = os.environ.get("TANDEM_DATA_DIR")
    if folder is None or not Path(folder, "mnist").is_dir():
        pytest.skip("MNIST is not on this machine: set TANDEM_DATA_DIR to a folder that holds mnist/*.gz")
    settings = Settings.from_env({"TANDEM_CACHE_DIR": str(tmp_path), "TANDEM_DATA_DIR": folder})
    mnist = datasets.find("mnist", settings)
    datasets.ensure_cached(mnist, settings)
    for split in ("train", "test"):
        pictures = datasets.read(mnist, split, settings).images[..., 0]
        for picture in pictures:
            prepared = prepare_ink(Image.fromarray(picture))
            assert prepared.pixels.tobytes() == picture.tobytes()
            assert prepared.warnings == ()


@pytest.mark.parametrize("paper", [40, 60, 128, 200, 255])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_polarity_is_decided_by_the_content_at_the_datasets_size(paper: int, mode: str) -> None:
    picture = draw_seven(sheet(28, 28, paper), 255 if paper < 100 else 0, at=(0, 0), size=28, pen=3)
    check_seven(prepare_ink(picture.convert(mode)), at_least=0.85)


@pytest.mark.parametrize("size", [28, 56, 280, 1200])
@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize("paper", [0, 255])
def test_a_picture_cropped_to_its_ink(size: int, margin: int, paper: int) -> None:
    large = draw_seven(sheet(400, 400, 0), 255, at=(0, 0), size=400, pen=40)
    cropped = ImageOps.expand(large.crop(large.getbbox()).reduce(10), margin)
    scale = size / max(cropped.size)
    cropped = cropped.resize((round(cropped.width * scale), round(cropped.height * scale)))
    check_seven(prepare_ink(ImageOps.invert(cropped) if paper else cropped), at_least=0.85)


@pytest.mark.parametrize("tile", [0, 255])
@pytest.mark.parametrize("margin", [0, 128, 255])
def test_a_tile_on_a_blank_margin(tile: int, margin: int) -> None:
    picture = ImageOps.expand(draw_seven(sheet(140, 140, tile), 255 - tile, (0, 0), 140, 14), 40, margin)
    check_seven(prepare_ink(picture), at_least=0.85)


@pytest.mark.parametrize("brightness", [0, 1, 5, 20, 128, 240, 255])
@pytest.mark.parametrize("size", [(28, 28), (3, 50), (90, 70), (600, 400)])
def test_blank_paper_of_any_brightness(brightness: int, size: tuple[int, int]) -> None:
    for noise in (0, 1, 4):
        random = np.random.Generator(np.random.PCG64([brightness, *size]))
        pixels = np.clip(np.rint(brightness + random.normal(0, noise, size)), 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels)
        for variant in (
            picture,
            picture.convert("RGB"),
            picture.convert("P"),
            Image.fromarray(pixels * np.uint16(257)),
            Image.fromarray(pixels * np.uint16(255)),
        ):
            assert prepare_ink(variant).warnings[0] == "no ink found"
        assert prepare_ink(picture, "JPEG").warnings[0] == "no ink found"


@pytest.mark.parametrize("alpha", [0, 100, 255])
@pytest.mark.parametrize("brightness", [0, 255])
def test_a_blank_transparent_sheet(alpha: int, brightness: int) -> None:
    warnings = prepare_ink(Image.new("LA", (50, 60), (brightness, alpha))).warnings
    assert warnings[0] == "no ink found"
    assert any("transparent" in warning for warning in warnings) == (alpha < 255)


def test_implausible_shapes_carry_a_warning() -> None:
    table = sheet(300, 300)
    for place in range(30, 271, 60):
        ImageDraw.Draw(table).line((30, place, 270, place), 20, 4)
        ImageDraw.Draw(table).line((place, 30, place, 270), 20, 4)
    assert prepare_ink(table).warnings == ("the shape found looks like a table",)
    blob = sheet(300, 300)
    ImageDraw.Draw(blob).ellipse((20, 20, 280, 280), 20)
    assert prepare_ink(blob).warnings == ("the shape found is filled and has no strokes",)
    fragment = draw_seven(sheet(300, 300), at=(-100, 60))
    assert prepare_ink(fragment).warnings == ("the shape found is cut off by the edge of the picture",)


# Angular drawings, as (x, y) on a sheet of 100 x 100. Each has ink in all four corners of its bounding box.
ANGULAR = {
    "z": [(20, 20), (80, 20), (20, 80), (80, 80)],
    "two": [(25, 20), (75, 20), (75, 50), (25, 50), (25, 80), (75, 80)],
    "five": [(75, 20), (25, 20), (25, 50), (75, 50), (75, 80), (25, 80)],
    "six": [(75, 20), (25, 20), (25, 80), (75, 80), (75, 50), (25, 50)],
    "x": [(20, 20), (80, 80), (50, 50), (80, 20), (20, 80)],
}


@pytest.mark.parametrize("name", ANGULAR)
@pytest.mark.parametrize("pen", [5, 12])
@pytest.mark.parametrize(("paper", "ink"), [(230, 30), (20, 240)])
def test_an_angular_drawing_is_no_frame(name: str, pen: int, paper: int, ink: int) -> None:
    place = [(3 * x, 3 * y) for x, y in ANGULAR[name]]
    picture = sheet(300, 300, paper)
    ImageDraw.Draw(picture).line(place, ink, 3 * pen)
    for x, y in place:  # square ends
        ImageDraw.Draw(picture).rectangle([x - 1.5 * pen, y - 1.5 * pen, x + 1.5 * pen, y + 1.5 * pen], ink)
    prepared = prepare_ink(picture)
    assert prepared.warnings == ()
    drawn = ImageOps.invert(picture) if paper > ink else picture
    plain = drawn.crop(ImageOps.invert(picture.point(lambda level: 255 * (level == paper))).getbbox())
    plain = plain.resize((20, 20) if name in "zx" else (round(20 * plain.width / plain.height), 20))
    pixels = Image.fromarray(prepared.pixels[..., 0])
    found = pixels.crop(pixels.getbbox()).resize(plain.size)
    assert np.corrcoef(np.ravel(found), np.ravel(plain))[0, 1] > 0.8


def test_a_frame_carries_a_warning() -> None:
    for turn in (-3, 0, 3):
        frame = sheet(300, 300)
        ImageDraw.Draw(frame).rectangle((50, 60, 250, 240), outline=30, width=6)
        assert prepare_ink(frame.rotate(turn, fillcolor=230)).warnings == ("the shape found looks like a frame",)


def test_the_box_scales_with_the_grid() -> None:
    pixels = prepare_ink(draw_seven(sheet()), shape=(56, 70, 3)).pixels
    assert pixels.shape == (56, 70, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    rows = np.flatnonzero(pixels[..., 0].max(1) > 60)
    assert 37 <= rows[-1] - rows[0] + 1 <= 40


def test_a_jpeg_of_48_megapixels_is_decoded_small() -> None:
    large = draw_seven(sheet(8000, 6000), at=(3000, 2000), size=2500, pen=200)
    check_seven(prepare_ink(large, "JPEG", quality=60))


def test_random_pixels_give_a_picture() -> None:
    for seed in range(40):
        random = np.random.Generator(np.random.PCG64(seed))
        size = random.integers(1, 90, 2)
        pixels = (random.random(tuple(size)) ** random.uniform(0.1, 9) * 255).astype(np.uint8)
        assert prepare_ink(Image.fromarray(pixels)).pixels.shape == GREY


def test_opencv_is_imported_only_for_ink() -> None:
    program = "import sys; from shared.data import images, image_folder, datasets; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_seed_gives_the_same_photograph_every_time() -> None:
    from benchmarks.photographs import photograph

    digit = cv2.resize(np.asarray(draw_seven(sheet(28, 28, 0), 255, (0, 0), 28, 2)), (28, 28))
    assert np.array_equal(photograph(digit, 3), photograph(digit, 3))
    assert 200 <= max(photograph(digit, 3).shape) <= 1200


def test_a_thin_vertical_stroke_is_widened() -> None:
    one = sheet(600, 900)
    ImageDraw.Draw(one).line((300, 100, 310, 800), fill=20, width=3)
    pixels = prepare_ink(one).pixels[..., 0]
    assert 2 <= np.count_nonzero(pixels[10:20].max(0) > 100) <= 4
