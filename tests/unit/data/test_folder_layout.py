"""Folders that people really have: other layouts, other names of splits, and files that other programs left."""

import codecs
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.data import dataset_states, datasets
from shared.data.dataset_states import DatasetState, list_states
from shared.data.image_folder import ImageFolder, describe_folder
from shared.data.skipped_names import kind_of_skipped
from shared.errors import InvalidDatasetError, InvalidRequestError
from shared.settings import Settings


def write_pictures(root: Path, *folders: str, count: int = 5) -> None:
    """Write some pictures into each folder."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.new("L", (8, 8), 10 * index).save(root / folder / f"{index}.png")


def count_pictures(folder: ImageFolder) -> tuple[list[int], list[int]]:
    """Return how many training and test pictures each class has."""

    def count(labels: Iterable[int]) -> list[int]:
        return np.bincount(list(labels), minlength=len(folder.classes)).tolist()

    return count(p.label for p in folder.train), count(p.label for p in folder.test)


def state_of(name: str, data: Path) -> DatasetState:
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(data), "TANDEM_CACHE_DIR": str(data / ".cache")})
    return next(state for state in list_states(settings) if state.name == name)


# (folders with five pictures each, pictures of each class in train and test)
LAYOUTS = {
    "the usual one": (["train/a", "train/b", "test/a", "test/b"], [5, 5], [5, 5]),
    "without a test split": (["train/a", "train/b"], [4, 4], [1, 1]),
    "another word for train": (["training/a", "training/b", "testing/b"], [5, 5], [0, 5]),
    "capital letters": (["Train/a", "Train/b", "TEST/a"], [5, 5], [5, 0]),
    "a capital letter in a class of the test split": (["train/a", "train/b", "test/A"], [5, 5], [5, 0]),
    "classes that differ only in capital letters": (["train/A", "train/a", "test/a"], [5, 5], [0, 5]),
    "validation instead of test": (["train/a", "train/b", "val/a", "val/b"], [5, 5], [5, 5]),
    "validation and test": (["train/a", "train/b", "valid/a", "test/b"], [5, 5], [0, 5]),
    "the class first": (["a/train", "b/train", "a/test"], [5, 5], [5, 0]),
    "the class first, without a test split": (["a/Training", "b/training"], [4, 4], [1, 1]),
    "the class first, with validation": (["a/train", "b/train", "b/val"], [5, 5], [0, 5]),
    "classes with the names of splits": (["train/train", "train/training", "train/val"], [4, 4, 4], [1, 1, 1]),
    "no splits": (["a", "b"], [4, 4], [1, 1]),
    "no splits, and a class called train": (["train", "car", "test"], [4, 4, 4], [1, 1, 1]),
    "one folder around it": (["pets/train/a", "pets/train/b"], [4, 4], [1, 1]),
    "two folders around classes": (["x/images/a", "x/images/b"], [4, 4], [1, 1]),
}


@pytest.mark.parametrize(("folders", "train", "test"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_with_a_clear_meaning_is_accepted(
    tmp_path: Path, folders: list[str], train: list[int], test: list[int]
) -> None:
    write_pictures(tmp_path / "pets", *folders)
    found = describe_folder(tmp_path / "pets")
    assert count_pictures(found) == (train, test)
    state = state_of("pets", tmp_path)
    assert state.problem is None
    assert state.dataset
    assert state.dataset.classes == found.classes


# (folders with five pictures each, words of the problem)
UNCLEAR = {
    "two training splits": (["train/a", "Training/b"], "pets/Training and pets/train are the same split"),
    "only test": (["test/a", "test/b"], "no folder 'train'.*pets/train"),
    "pictures without classes in splits": (["train", "test"], "pets/train holds files, but no class folders"),
    "some classes have train": (["a/train", "b", "c/train"], "pets/a has a folder 'train', but pets/b has none"),
    "test pictures without classes": (["test", "val"], "pets/test, but no folder 'train'"),
    "folders in a class": (["train/a/x", "train/b"], "pets/train/a/x is not a file: move it"),
    "a class that is only in test": (["train/a", "train/b", "test/c"], "pets/test has the class 'c', but pets/train"),
    "a class of test with an unclear capital letter": (
        ["train/ab", "train/AB", "test/Ab"],
        "pets/test has the class 'Ab'",
    ),
    "one class": (["a"], "only 'a'"),
    "only pictures": ([""], "needs two or more classes; it has none: add a folder for each to pets/train"),
}


@pytest.mark.parametrize(("folders", "words"), UNCLEAR.values(), ids=UNCLEAR)
def test_an_unclear_layout_is_listed_with_what_to_change(tmp_path: Path, folders: list[str], words: str) -> None:
    write_pictures(tmp_path / "pets", *folders)
    with pytest.raises(InvalidDatasetError, match=words):
        describe_folder(tmp_path / "pets")
    state = state_of("pets", tmp_path)
    assert state.dataset is None
    assert state.problem


@pytest.mark.parametrize("split", ["train", "test"])
def test_class_names_are_compared_in_one_unicode_form(tmp_path: Path, split: str) -> None:
    """macOS writes "ü" as two characters, Linux as one."""
    composed, decomposed = (unicodedata.normalize(form, "Tür") for form in ("NFC", "NFD"))
    assert composed != decomposed
    write_pictures(tmp_path, f"pets/train/{composed}", "pets/train/a", f"pets/{split}/{decomposed}", "pets/test/a")
    found = describe_folder(tmp_path / "pets")
    assert found.classes == (composed, "a") if composed < "a" else ("a", composed)
    train, test = count_pictures(found)
    assert sum(train) + sum(test) == 20
    assert train[found.classes.index(composed)] + test[found.classes.index(composed)] == 10


LEFT_OVERS = [
    *(".DS_Store", "._0.png", "Thumbs.db", "THUMBS.DB", "ehthumbs_vista.db", "Desktop.ini", "Icon\r", ".directory"),
    *("0.png.tmp", "0.png.part", "0.png.crdownload", "~$0.png", "~syncthing~0.png.tmp", ".0.png.Xa1Bc2", "0.png~"),
    *(".sync_1a2b.db", "0.png@SynoEAStream", "0.png.bak", ".nextcloudsync.log", "0.lnk"),
    *("0.png:Zone.Identifier", "Thumbs.db:encryptable", "0.xmp", "IMG_0.AAE", ".1.png.icloud", "1.png.nextcloud"),
]
LEFT_OVER_FOLDERS = [
    *("@eaDir", "@tmp", "@Recycle", "#recycle", "#snapshot", "__MACOSX", ".git", ".stfolder", ".sync", ".Trash-1000"),
    *("lost+found", "$RECYCLE.BIN", "System Volume Information", ".ipynb_checkpoints", "__pycache__", ".thumbnails"),
]
BELONGING_FOLDERS = [
    "@",
    "#",
    "#1",
    "_",
    "~",
    "a~",
    "Thumbs",
    "part",
    "tmp",
    "lost",
    "__background__",
    "$",
    "git",
    "a.b",
]


def test_what_other_programs_left_is_skipped_counted_and_said(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    clean = describe_folder(tmp_path / "pets")
    assert clean.notes == ()
    for place in ("pets", "pets/train", "pets/train/a"):
        for name in LEFT_OVERS:
            (tmp_path / place / name).write_bytes(b"x")
        for name in LEFT_OVER_FOLDERS:
            (tmp_path / place / name).mkdir()
            (tmp_path / place / name / "0.png").write_bytes(b"x")
    found = describe_folder(tmp_path / "pets")
    assert found._replace(notes=()) == clean
    (note,) = found.notes
    assert "36 hidden (such as .0.png.Xa1Bc2)" in note
    assert note.isprintable()
    assert state_of("pets", tmp_path).problem is None


@pytest.mark.parametrize("name", BELONGING_FOLDERS)
def test_unusual_class_names_are_not_skipped(name: str) -> None:
    assert kind_of_skipped(name, is_folder=True) is None


@pytest.mark.parametrize("name", ["0.png", "a~.png", "#0.png", "@me.jpg", "part.png", "$.gif", "notes.txt", "0"])
def test_usual_names_of_files_are_not_skipped(name: str) -> None:
    assert kind_of_skipped(name, is_folder=False) is None


def test_an_unknown_file_among_pictures_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    (tmp_path / "pets/train/a/notes.txt").write_text("about a")
    problem = state_of("pets", tmp_path).problem
    assert problem
    assert "pets/train/a/notes.txt: not a PNG" in problem
    assert "remove it" in problem


def test_files_outside_the_classes_are_named_in_a_note(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b", "pets/raw")
    for name in ("labels.csv", "train/0.png", "train/1.png", "train/2.png", "train/3.png"):
        (tmp_path / "pets" / name).write_text("x")
    notes = " ".join(state_of("pets", tmp_path).notes)
    assert "labels.csv" in notes
    assert "not used: raw" in notes
    assert "0.png, 1.png, 2.png and 1 more" in notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_dataset_json_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    (tmp_path / "pets/Dataset.JSON").write_bytes('{"size": 12}'.encode(encoding))
    assert describe_folder(tmp_path / "pets").shape == (12, 12, 1)


def test_big_endian_utf_16_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/a", "pets/b")
    (tmp_path / "pets/dataset.json").write_bytes(codecs.BOM_UTF16_BE + '{"size": 12}'.encode("utf-16-be"))
    assert describe_folder(tmp_path / "pets").shape == (12, 12, 1)


def test_dataset_json_lies_beside_the_splits_or_above_them(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/pets/train/a", "pets/pets/train/b")
    (tmp_path / "pets/pets/dataset.json").write_text('{"size": 12}')
    assert describe_folder(tmp_path / "pets").shape == (12, 12, 1)
    (tmp_path / "pets/dataset.json").write_text('{"size": 9}')
    assert describe_folder(tmp_path / "pets").shape == (9, 9, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "pets/dataset.json: the file"),
        (b"\xef\xbb\xbf", "pets/dataset.json: the file"),
        (b'{"size": "\xe9"}', "save it as UTF-8"),
        (b" " * 100_000, "more than 65,536 bytes"),
        (b'{"size": NaN}', "pets/dataset.json: "),
    ],
)
def test_an_unusable_dataset_json_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    (tmp_path / "pets/dataset.json").write_bytes(content)
    with pytest.raises(InvalidDatasetError, match=words):
        describe_folder(tmp_path / "pets")


@pytest.mark.parametrize(
    ("folder", "suggested"),
    [("Pets", "pets"), ("Meine Bücher", "meine-bucher"), ("MNIST", "my-mnist"), ("-x", "x"), ("\u732b", "dataset")],
)
def test_a_folder_with_an_invalid_name_is_listed_with_a_valid_one(tmp_path: Path, folder: str, suggested: str) -> None:
    write_pictures(tmp_path, f"{folder}/train/a", f"{folder}/train/b")
    problem = state_of(folder, tmp_path).problem
    assert problem
    assert f"rename the folder to '{suggested}'" in problem
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(tmp_path)})
    assert folder not in datasets.names(settings)
    with pytest.raises(InvalidDatasetError, match="rename the folder"):
        datasets.find(folder, settings)
    with pytest.raises(InvalidRequestError, match="rename the folder"):
        datasets.find(suggested, settings)


def test_a_suggested_name_is_free(tmp_path: Path) -> None:
    write_pictures(tmp_path, "Pets/train/a", "pets/train/a", "my-pets/train/a")
    problem = state_of("Pets", tmp_path).problem
    assert problem
    assert "'my-pets-3'" in problem


def test_names_that_cannot_be_printed_do_not_break_the_listing(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a\nb/train/a", os.fsdecode(b"c\xff/train/a"))
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(tmp_path)})
    for state in list_states(settings)[len(datasets.DATASETS) :]:
        assert state.name.isprintable()
        assert state.problem
        (state.name + state.problem).encode()


def test_folders_of_other_things_are_not_listed(tmp_path: Path) -> None:
    for folder in ("empty", "documents/letters", "#recycle/train/a", ".hidden/train/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "documents/letters/letter.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "deep").joinpath(*["x"] * 60).mkdir(parents=True)
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(tmp_path)})
    assert datasets.names(settings) == list(datasets.DATASETS)


def test_a_folder_named_like_a_built_in_dataset_is_mentioned(tmp_path: Path) -> None:
    write_pictures(tmp_path, "digits/train/a", "digits/train/b")
    state = state_of("digits", tmp_path)
    assert state.problem is None
    assert "rename it" in state.notes[0]


def test_a_dataset_that_is_not_completely_checked_is_not_ready_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, "waits/train/a", "waits/train/b")
    with monkeypatch.context() as patched:
        patched.setattr(dataset_states, "CHECK_S", -1.0)
        assert state_of("waits", tmp_path).problem == "0 of 10 pictures are checked so far: ask again to go on"
    assert state_of("waits", tmp_path).problem is None


def test_parts_of_class_folders_that_are_not_used_are_named_in_one_note(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pets", "a/train", "b/train", "b/test", "a/raw", "b/val")
    (tmp_path / "pets/a/notes.txt").write_text("x")
    (note,) = describe_folder(tmp_path / "pets").notes
    assert note.endswith(": a/raw, a/notes.txt, b/val")


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    (tmp_path / "pets/train/a/9.png").symlink_to("9.png")
    with pytest.raises(InvalidDatasetError, match=r"pets/train/a/9\.png is not a file"):
        describe_folder(tmp_path / "pets")


def test_an_empty_test_split_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/train/a", "pets/train/b")
    (tmp_path / "pets/test").mkdir()
    with pytest.raises(InvalidDatasetError, match="a test split without pictures: add some, or remove its folder"):
        describe_folder(tmp_path / "pets")


def test_a_missing_built_in_dataset_says_why(tmp_path: Path) -> None:
    problem = state_of("mnist", tmp_path).problem
    assert problem
    assert "start Tandem again with a network" in problem


def test_a_broken_picture_of_a_class_without_a_usual_place_is_named_from_the_dataset_on(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pets/x/a/train", "pets/x/b/train")
    (tmp_path / "pets/x/b/train/9.png").write_bytes(b"\x89PNG")
    problem = state_of("pets", tmp_path).problem
    assert problem
    assert problem.startswith("pets/x/b/train/9.png: ")
