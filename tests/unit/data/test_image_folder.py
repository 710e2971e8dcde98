"""One's own pictures: any mix of sizes and formats, and a refusal that names what to change."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.data import datasets, image_folder, images
from shared.errors import InvalidDatasetError, InvalidRequestError
from shared.settings import Settings

FORMATS = ("png", "jpg", "bmp", "webp", "gif", "tiff")


def draw(folder: Path, count: int, shade: int = 128) -> None:
    """Pictures of one shade, each of another size and of the next format."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture = Image.new("L" if index % 2 else "RGB", (20 + index, 50 - index), "#" + f"{shade:02x}" * 3)
        picture.save(folder / f"{index:02}.{FORMATS[index % len(FORMATS)]}")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    draw(tmp_path / "pets/train/cats", 12, 40)
    draw(tmp_path / "pets/train/dogs", 8, 200)
    return tmp_path / "pets"


def test_any_mix_of_sizes_and_formats_becomes_one_array(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    assert folder.shape == (28, 28, 1)
    assert folder.classes == ("cats", "dogs")
    images, labels = image_folder.read_pictures(folder.train + folder.test, folder.shape)
    assert images.shape == (20, 28, 28, 1)
    assert np.bincount(labels).tolist() == [12, 8]
    assert np.abs(images[labels == 0].astype(int) - 40).max() <= 3
    assert np.abs(images[labels == 1].astype(int) - 200).max() <= 3


def test_without_a_test_folder_a_fifth_of_each_class_is_drawn_the_same_every_time(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    assert [sum(p.label == label for p in folder.test) for label in (0, 1)] == [2, 2]
    assert not {p.path for p in folder.train} & {p.path for p in folder.test}
    assert image_folder.describe_folder(pets) == folder


def test_a_test_folder_is_used_as_it_is(pets: Path) -> None:
    draw(pets / "test/dogs", 3)
    folder = image_folder.describe_folder(pets)
    assert (len(folder.train), len(folder.test)) == (20, 3)
    assert {p.label for p in folder.test} == {1}


def test_the_first_pictures_show_every_class(pets: Path) -> None:
    assert [p.label for p in image_folder.describe_folder(pets).train[:4]] == [0, 1, 0, 1]


def test_the_description_sets_size_and_colour(pets: Path) -> None:
    (pets / "dataset.json").write_text('{"size": [12, 16], "channels": 3, "prepare": "resize"}')
    folder = image_folder.describe_folder(pets)
    assert image_folder.read_pictures(folder.test, folder.shape)[0].shape == (4, 12, 16, 3)


def test_ink_is_cut_out_for_training_as_it_is_for_prediction(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    assert folder.preparation == "resize"
    (pets / "dataset.json").write_text('{"prepare": "ink"}')
    folder = image_folder.describe_folder(pets)
    assert folder.preparation == "ink"
    sheet = Image.new("L", (300, 200), 220)
    sheet.paste(20, (40, 50, 60, 150))
    sheet.save(folder.train[0].path, "PNG")
    pixels, _ = image_folder.read_pictures(folder.train[:1], folder.shape, folder.preparation)
    posted = images.prepare_picture(Path(folder.train[0].path).read_bytes(), folder.shape, "posted", preparation="ink")
    assert np.array_equal(pixels[0], posted.pixels)
    assert pixels[0, 14, 14, 0] == 255
    assert pixels[0, 2, 2, 0] == 0


def test_what_file_managers_leave_behind_is_no_picture(pets: Path) -> None:
    for litter in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (pets / "train/cats" / litter).write_bytes(b"x")
    (pets / "train/.hidden").mkdir()
    assert len(image_folder.describe_folder(pets).train) == 16


def test_a_dataset_of_ones_own_is_found_by_its_folders_name(pets: Path) -> None:
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(pets.parent)})
    (pets.parent / "No Name").mkdir()
    (pets.parent / "empty").mkdir()
    assert datasets.names(settings) == [*datasets.DATASETS, "pets"]
    found = datasets.find("pets", settings)
    assert found.sizes == {"train": 16, "test": 4}
    assert len(datasets.read(found, "train", settings)) == 16
    assert len(datasets.read(found, "train", settings, 3)) == 3
    with pytest.raises(InvalidRequestError, match="digits, pets"):
        datasets.find("../pets", settings)


def test_a_broken_picture_is_found_once_it_is_there_and_forgotten_when_it_is_gone(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    image_folder.verify_pictures(folder.train, folder.shape)
    broken = pets / "train/cats/99.png"
    broken.write_bytes(b"nonsense")
    folder = image_folder.describe_folder(pets)
    with pytest.raises(InvalidDatasetError, match=r"pets/train/cats/99\.png: not a PNG, JPEG.*or remove it"):
        image_folder.verify_pictures(folder.train + folder.test, folder.shape)
    broken.unlink()
    folder = image_folder.describe_folder(pets)
    image_folder.verify_pictures(folder.train, folder.shape)


def leave_one_each(pets: Path) -> None:
    for name in ("cats", "dogs"):
        for path in sorted((pets / "train" / name).iterdir())[1:]:
            path.unlink()


def describe_as(text: str) -> Callable[[Path], object]:
    return lambda pets: (pets / "dataset.json").write_text(text)


# (what is wrong, how it comes to be, words of the refusal)
SPOILT: list[tuple[str, Callable[[Path], object], str]] = [
    ("no class", lambda pets: shutil.rmtree(pets / "train"), "two or more classes; it has none"),
    ("one class", lambda pets: shutil.rmtree(pets / "train/dogs"), "only 'cats'"),
    ("an empty class", lambda pets: (pets / "train/birds").mkdir(), "pets/train/birds holds no pictures"),
    ("a strange test class", lambda pets: draw(pets / "test/birds", 1), "pets/test has the class 'birds'"),
    ("nothing to test with", leave_one_each, "no picture left to test with"),
    ("a folder among pictures", lambda pets: (pets / "train/cats/more").mkdir(), "train/cats/more is not a file"),
    (
        "a class of bytes",
        lambda pets: os.mkdir(bytes(pets / "train") + b"/\xff"),
        "cannot be a class name: rename the folder",
    ),
    ("no json", describe_as("{"), "pets/dataset.json: the file"),
    ("an unknown field", describe_as('{"colour": true}'), "colour"),
    ("no size", describe_as('{"size": 0}'), "size"),
    ("two channels", describe_as('{"channels": 2}'), "channels"),
    ("another way to prepare", describe_as('{"prepare": "magic"}'), "prepare"),
]


@pytest.mark.parametrize(("spoil", "words"), [case[1:] for case in SPOILT], ids=[case[0] for case in SPOILT])
def test_a_folder_that_cannot_be_used_says_what_to_change(
    pets: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(pets)
    with pytest.raises(InvalidDatasetError, match=words):
        image_folder.describe_folder(pets)


def test_a_folder_that_would_fill_the_memory_is_refused(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MAX_DATASET_BYTES", 20 * 28 * 28 - 1)
    with pytest.raises(InvalidDatasetError, match="set a smaller `size`"):
        image_folder.describe_folder(pets)
