"""What is drawn in a picture is found, cut out, and laid white on black as MNIST's makers did."""

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shared.data import images

GREY = (28, 28, 1)
# A seven on a sheet of 100 x 100: to the eye no other digit, and not symmetric in any way.
SEVEN = [(30, 25), (70, 25), (45, 78)]


def sheet(width: int = 400, height: int = 300, paper: int = 230) -> Image.Image:
    return Image.new("L", (width, height), paper)


def draw(
    on: Image.Image, ink: object = 30, at: tuple[int, int] = (150, 80), size: int = 150, pen: int = 12
) -> Image.Image:
    place = [(at[0] + x * size / 100, at[1] + y * size / 100) for x, y in SEVEN]
    ImageDraw.Draw(on).line(place, fill=ink, width=pen, joint="curve")
    return on


def encoded(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def prepare(
    picture: Image.Image, format: str = "PNG", shape: tuple[int, int, int] = GREY, **options: object
) -> images.PreparedPicture:
    return images.prepare_picture(encoded(picture, format, **options), shape, "mine", preparation="ink")


def lit(picture: Image.Image, seed: int = 0) -> Image.Image:
    """Under a lamp at one corner, with noise."""
    pixels = np.asarray(picture, np.float32)
    y, x = np.mgrid[0 : 1 : pixels.shape[0] * 1j, 0 : 1 : pixels.shape[1] * 1j]
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 5, pixels.shape)
    return Image.fromarray(np.clip(pixels * (1 - 0.35 * x - 0.3 * y * y) + noise, 0, 255).astype(np.uint8))


def likeness(picture: images.PreparedPicture) -> float:
    """The correlation with the plain seven, drawn large, cut out by hand and reduced by Pillow."""
    plain = draw(Image.new("L", (400, 400), 0), 255, (0, 0), 400, 32)
    plain = plain.crop(plain.getbbox())
    plain.thumbnail((20, 20), Image.Resampling.BOX)
    grid, best = picture.pixels[..., 0].astype(float), -1.0
    for top in range(28 - plain.height + 1):
        for left in range(28 - plain.width + 1):
            placed = np.zeros((28, 28))
            placed[top : top + plain.height, left : left + plain.width] = np.asarray(plain)
            best = max(best, float(np.corrcoef(grid.ravel(), placed.ravel())[0, 1]))
    return best


def check(picture: images.PreparedPicture, *warnings: str, at_least: float = 0.9) -> NDArray[np.uint8]:
    """It is the seven: white on black, 20 pixels high, its mass in the middle."""
    assert picture.warnings == warnings
    pixels = picture.pixels[..., 0]
    assert likeness(picture) > at_least
    assert pixels.max() == 255
    rows = np.flatnonzero(pixels.max(1) > 60)
    assert 18 <= rows[-1] - rows[0] + 1 <= 20
    centre = (pixels * np.mgrid[:28, :28]).sum((1, 2)) / pixels.sum()
    assert np.abs(centre - 14).max() <= 0.5 + 1e-6
    return pixels


def test_dark_on_light() -> None:
    check(prepare(draw(sheet())))


def test_light_on_dark() -> None:
    check(prepare(draw(sheet(paper=40), 220)))


def test_uneven_light_and_noise() -> None:
    check(prepare(lit(draw(sheet())), "JPEG"))
    check(prepare(lit(draw(sheet(paper=60), 250)), "JPEG"))


@pytest.mark.parametrize("at", [(-20, -20), (10, 140), (280, 150), (270, -10)])
def test_off_centre(at: tuple[int, int]) -> None:
    check(prepare(lit(draw(sheet(), at=at)), "JPEG"))


@pytest.mark.parametrize("size", [28, 60, 200, 1500])
def test_any_size(size: int) -> None:
    picture = draw(sheet(size, size), at=(0, 0), size=size, pen=max(3, size // 12))
    check(prepare(picture.convert("RGB")), at_least=0.85)


def test_a_camera_turned_on_its_side() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    check(prepare(draw(sheet()).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif))


def test_transparent_paper_under_dark_and_under_light_ink() -> None:
    for ink in ((0, 0, 0, 255), (255, 255, 255, 255)):
        canvas = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
        paper = "white" if ink[0] == 0 else "black"
        check(prepare(draw(canvas, ink)), f"transparent: placed on {paper}")


def test_sixteen_bits_cmyk_and_colour() -> None:
    deep = np.asarray(draw(sheet()), np.uint16) * 257
    check(prepare(Image.fromarray(deep)))
    check(prepare(draw(sheet()).convert("RGB").convert("CMYK"), "JPEG"))
    check(prepare(draw(Image.new("RGB", (400, 300), (250, 245, 230)), (20, 40, 160))))


def test_a_pen_a_pixel_wide_in_a_large_photograph() -> None:
    check(prepare(draw(sheet(1200, 1200), at=(200, 200), size=900, pen=1)), at_least=0.8)
    check(prepare(draw(sheet(1200, 1200), at=(200, 200), size=900, pen=3), "JPEG"), at_least=0.8)


def test_thick_strokes_are_not_hollowed() -> None:
    pixels = check(prepare(draw(sheet(), pen=34, at=(100, 10), size=280)), at_least=0.8)
    assert (pixels > 250).sum() > 60


def test_a_broken_stroke_stays_together() -> None:
    broken = draw(sheet())
    ImageDraw.Draw(broken).rectangle((0, 150, 400, 154), fill=230)
    check(prepare(broken))


def test_of_two_shapes_the_largest_is_used() -> None:
    two = draw(draw(sheet(), at=(20, 40), size=200, pen=16), at=(260, 100), size=120)
    check(prepare(two), "two shapes found, the largest used")


def test_dirt_is_no_shape() -> None:
    dirty = draw(sheet())
    for x in range(20, 400, 90):
        ImageDraw.Draw(dirty).ellipse((x, 260, x + 3, 263), fill=0)
    check(prepare(dirty))


def test_the_table_beside_the_sheet_is_no_shape() -> None:
    check(prepare(_on_a_table((60, 0, 400, 300))))
    check(prepare(_on_a_table((0, 0, 350, 270))))
    check(prepare(_on_a_table((50, 30, 360, 280))))


def _on_a_table(where: tuple[int, int, int, int]) -> Image.Image:
    table = sheet(paper=70)
    table.paste(230, where)
    return lit(draw(table, ink=25, at=(150, 90), size=130))


@pytest.mark.parametrize("picture", [sheet(), lit(sheet()), lit(sheet(paper=50)), sheet(1, 1), sheet(400, 1)])
def test_blank_paper_is_only_scaled_and_says_so(picture: Image.Image) -> None:
    prepared = prepare(picture)
    assert prepared.warnings[0] == "no ink found"
    assert prepared.pixels.shape == GREY


def test_a_picture_in_the_datasets_own_format_is_untouched() -> None:
    own = draw(sheet(28, 28), at=(0, 0), size=28, pen=2)
    prepared = prepare(own)
    assert np.array_equal(prepared.pixels[..., 0], np.asarray(own))
    assert prepared.warnings == ()


def test_other_grids_scale_the_box() -> None:
    pixels = prepare(draw(sheet()), shape=(56, 70, 3)).pixels
    assert pixels.shape == (56, 70, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    rows = np.flatnonzero(pixels[..., 0].max(1) > 60)
    assert 37 <= rows[-1] - rows[0] + 1 <= 40


def test_a_jpeg_of_48_megapixels_is_decoded_small() -> None:
    large = draw(sheet(8000, 6000), at=(3000, 2000), size=2500, pen=200)
    check(prepare(large, "JPEG", quality=60))


def test_noise_of_any_kind_gives_a_picture() -> None:
    for seed in range(40):
        random = np.random.Generator(np.random.PCG64(seed))
        size = random.integers(1, 90, 2)
        pixels = (random.random(tuple(size)) ** random.uniform(0.1, 9) * 255).astype(np.uint8)
        assert prepare(Image.fromarray(pixels)).pixels.shape == GREY


def test_opencv_is_imported_only_for_ink() -> None:
    program = "import sys; from shared.data import images, image_folder, datasets; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_photographs_of_the_benchmark_are_the_same_each_time() -> None:
    from benchmarks.photographs import photograph

    digit = cv2.resize(np.asarray(draw(sheet(28, 28, 0), 255, (0, 0), 28, 2)), (28, 28))
    assert np.array_equal(photograph(digit, 3), photograph(digit, 3))
    assert 200 <= max(photograph(digit, 3).shape) <= 1200


def test_a_thin_stroke_straight_down_is_widened_too() -> None:
    one = sheet(600, 900)
    ImageDraw.Draw(one).line((300, 100, 310, 800), fill=20, width=3)
    pixels = prepare(one).pixels[..., 0]
    assert 2 <= np.count_nonzero(pixels[10:20].max(0) > 100) <= 4
