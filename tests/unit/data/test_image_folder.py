"""A user's folder of pictures may mix sizes and formats. Errors name the dataset and say what to change."""

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

SUFFIXES = ("png", "jpg", "bmp", "webp", "gif", "tiff")


def write_pictures(folder: Path, count: int, shade: int = 128) -> None:
    """Write pictures of one grey level. Sizes, modes and formats differ from file to file."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture = Image.new("L" if index % 2 else "RGB", (20 + index, 50 - index), "#" + f"{shade:02x}" * 3)
        picture.save(folder / f"{index:02}.{SUFFIXES[index % len(SUFFIXES)]}")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return the folder of a dataset with two classes: 12 dark pictures of cats and 8 light ones of dogs."""
    write_pictures(tmp_path / "pets/train/cats", 12, 40)
    write_pictures(tmp_path / "pets/train/dogs", 8, 200)
    return tmp_path / "pets"


def test_pictures_of_any_size_and_format_become_one_array(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    assert folder.shape == (28, 28, 1)
    assert folder.classes == ("cats", "dogs")
    images, labels = image_folder.read_pictures(folder.train + folder.test, folder.shape)
    assert images.shape == (20, 28, 28, 1)
    assert np.bincount(labels).tolist() == [12, 8]
    assert np.abs(images[labels == 0].astype(int) - 40).max() <= 3
    assert np.abs(images[labels == 1].astype(int) - 200).max() <= 3


def test_without_a_test_folder_the_same_fifth_of_each_class_is_drawn_every_time(pets: Path) -> None:
    folder = image_folder.describe_folder(pets)
    assert [sum(p.label == label for p in folder.test) for label in (0, 1)] == [2, 2]
    assert not {p.path for p in folder.train} & {p.path for p in folder.test}
    assert image_folder.describe_folder(pets) == folder


def test_a_test_folder_is_the_test_split(pets: Path) -> None:
    write_pictures(pets / "test/dogs", 3)
    folder = image_folder.describe_folder(pets)
    assert (len(folder.train), len(folder.test)) == (20, 3)
    assert {p.label for p in folder.test} == {1}


def test_the_first_pictures_show_every_class(pets: Path) -> None:
    assert [p.label for p in image_folder.describe_folder(pets).train[:4]] == [0, 1, 0, 1]


def test_dataset_json_sets_size_and_channels(pets: Path) -> None:
    (pets / "dataset.json").write_text('{"size": [12, 16], "channels": 3, "prepare": "resize"}')
    folder = image_folder.describe_folder(pets)
    assert image_folder.read_pictures(folder.test, folder.shape)[0].shape == (4, 12, 16, 3)


def test_ink_is_cut_out_in_the_same_way_for_training_and_prediction(pets: Path) -> None:
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


def test_files_of_file_managers_are_ignored(pets: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (pets / "train/cats" / name).write_bytes(b"x")
    (pets / "train/.hidden").mkdir()
    assert len(image_folder.describe_folder(pets).train) == 16


def test_a_users_dataset_is_found_by_the_name_of_its_folder(pets: Path) -> None:
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


def test_a_broken_picture_is_reported_until_it_is_removed(pets: Path) -> None:
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(pets.parent)})
    datasets.verify(datasets.find("pets", settings))
    broken = pets / "train/cats/99.png"
    broken.write_bytes(b"nonsense")
    for _ in range(2):
        with pytest.raises(InvalidDatasetError, match=r"pets/train/cats/99\.png: not a PNG, JPEG.*or remove it"):
            datasets.verify(datasets.find("pets", settings))
    broken.unlink()
    assert datasets.verify(datasets.find("pets", settings)) == 0


def leave_one_picture_per_class(pets: Path) -> None:
    for name in ("cats", "dogs"):
        for path in sorted((pets / "train" / name).iterdir())[1:]:
            path.unlink()


def write_description(text: str) -> Callable[[Path], object]:
    return lambda pets: (pets / "dataset.json").write_text(text)


# (what is wrong, how to cause it, words of the error)
DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("no class", lambda pets: shutil.rmtree(pets / "train"), "two or more classes; it has none"),
    ("one class", lambda pets: shutil.rmtree(pets / "train/dogs"), "only 'cats'"),
    ("an empty class", lambda pets: (pets / "train/birds").mkdir(), "pets/train/birds holds no pictures"),
    (
        "a test class that is not in train",
        lambda pets: write_pictures(pets / "test/birds", 1),
        "pets/test has the class 'birds'",
    ),
    ("nothing to test with", leave_one_picture_per_class, "no picture left to test with"),
    ("a folder among pictures", lambda pets: (pets / "train/cats/more").mkdir(), "train/cats/more is not a file"),
    (
        "a class name that is not UTF-8",
        lambda pets: os.mkdir(bytes(pets / "train") + b"/\xff"),
        "cannot be a class name: rename the folder",
    ),
    ("no JSON", write_description("{"), "pets/dataset.json: the file"),
    ("an unknown field", write_description('{"colour": true}'), "colour"),
    ("a size of 0", write_description('{"size": 0}'), "size"),
    ("two channels", write_description('{"channels": 2}'), "channels"),
    ("an unknown preparation", write_description('{"prepare": "magic"}'), "prepare"),
]


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_the_error_for_an_unusable_folder_says_what_to_change(
    pets: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(pets)
    with pytest.raises(InvalidDatasetError, match=words):
        image_folder.describe_folder(pets)


def test_a_dataset_that_takes_too_much_memory_is_refused(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MAX_DATASET_BYTES", 20 * 28 * 28 - 1)
    with pytest.raises(InvalidDatasetError, match="set a smaller `size`"):
        image_folder.describe_folder(pets)
