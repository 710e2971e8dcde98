"""Files of a dataset are recognised by their content, and verified before they are stored in the cache."""

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shared.data.cache import ensure_cached, is_ready
from shared.data.catalog import MNIST, Dataset, IdxFile, SplitName
from shared.data.splits import Split, fingerprint, read
from shared.errors import MissingDatasetError
from shared.settings import Settings


def settings_for(cache: Path, data: Path | None = None) -> Settings:
    return Settings.from_env({"TANDEM_CACHE_DIR": str(cache), "TANDEM_DATA_DIR": str(data or cache / "nothing")})


def small_dataset(folder: Path) -> tuple[Dataset, Split]:
    """Write a dataset of five and three pictures of 2 x 3 as gzipped IDX files, and return its training split."""
    generator = np.random.default_rng(0)
    splits = [
        Split(generator.integers(0, 256, (count, 2, 3, 1), np.uint8), generator.integers(0, 3, count))
        for count in (5, 3)
    ]
    contents = [encode_idx(array) for split in splits for array in (split.images[..., 0], split.labels)]
    files = []
    (folder / "small").mkdir()
    for name, data in zip("abcd", contents, strict=True):
        (folder / "small" / f"{name}.gz").write_bytes(gzip.compress(data))
        files.append(IdxFile(name, len(data), "", hashlib.md5(data).hexdigest()))
    sizes: dict[SplitName, int] = {"train": 5, "test": 3}
    return Dataset("small", (2, 3, 1), ("x", "y", "z"), sizes, "Small/raw", tuple(files)), splits[0]


def encode_idx(array: np.ndarray) -> bytes:
    """Return an array of small numbers as an IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def test_a_dataset_is_unpacked_from_the_users_folder_and_can_be_read(tmp_path: Path) -> None:
    dataset, split = small_dataset(tmp_path)
    settings = settings_for(tmp_path / "cache", tmp_path)
    assert not is_ready(dataset, settings)
    ensure_cached(dataset, settings)
    assert is_ready(dataset, settings)
    assert fingerprint(read(dataset, "train", settings)) == fingerprint(split)


def test_a_file_with_another_checksum_is_refused_and_not_stored(tmp_path: Path) -> None:
    dataset, _ = small_dataset(tmp_path)
    (tmp_path / "small" / "a.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(MissingDatasetError, match="MD5 differs"):
        ensure_cached(dataset, settings_for(tmp_path / "cache", tmp_path))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    dataset, _ = small_dataset(tmp_path)
    packed = tmp_path / "small" / "a.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(MissingDatasetError, match="cannot be unpacked"):
        ensure_cached(dataset, settings_for(tmp_path / "cache", tmp_path))


def test_files_are_recognised_by_their_content_whatever_their_names_and_packings_are(tmp_path: Path) -> None:
    dataset, split = small_dataset(tmp_path)
    a, b, c, d = (gzip.decompress((tmp_path / "small" / f"{name}.gz").read_bytes()) for name in "abcd")
    shutil.rmtree(tmp_path / "small")
    deep = tmp_path / "Downloads" / "MNIST" / "raw"
    deep.mkdir(parents=True)
    (tmp_path / "TRAIN.IMAGES").write_bytes(a)
    (deep / "labels (1).gz").write_bytes(gzip.compress(b, mtime=1))
    (deep / "broken.gz").write_bytes(gzip.compress(b)[:-9])
    (deep / "test.xz").write_bytes(lzma.compress(c))
    with zipfile.ZipFile(tmp_path / "Downloads" / "archive.zip", "w") as archive:
        archive.writestr("inner/labels.bz2", bz2.compress(d))
    settings = settings_for(tmp_path / "cache", tmp_path)
    ensure_cached(dataset, settings)
    assert fingerprint(read(dataset, "train", settings)) == fingerprint(split)


def test_arrays_of_numpy_and_a_tar_archive_are_recognised(tmp_path: Path) -> None:
    dataset, split = small_dataset(tmp_path)
    c, d = (gzip.decompress((tmp_path / "small" / f"{name}.gz").read_bytes()) for name in "cd")
    shutil.rmtree(tmp_path / "small")
    np.savez_compressed(tmp_path / "small.npz", x_train=split.images, y_train=split.labels.astype(np.int32))
    with tarfile.open(tmp_path / "test.tgz", "w:gz") as archive:
        for name, data in (("c", c), ("d", d)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    settings = settings_for(tmp_path / "cache", tmp_path)
    ensure_cached(dataset, settings)
    assert fingerprint(read(dataset, "train", settings)) == fingerprint(split)


@pytest.fixture(scope="module")
def mnist() -> dict[str, bytes]:
    """Return the unpacked files of MNIST by their published names, or skip the test if they are not here."""
    folder = Settings.from_env().data_dir / "mnist"
    if not folder.is_dir():
        pytest.skip("MNIST is missing: set TANDEM_DATA_DIR to a folder that contains mnist/*.gz")
    return {file.name: gzip.decompress((folder / f"{file.name}.gz").read_bytes()) for file in MNIST.files}


def test_unpacked_files_of_mnist_with_other_names_are_recognised(tmp_path: Path, mnist: dict[str, bytes]) -> None:
    folder = tmp_path / "Downloads" / "MNIST"
    folder.mkdir(parents=True)
    for name, data in mnist.items():
        (folder / name.replace("-idx", ".idx").upper()).write_bytes(data)
    settings = settings_for(tmp_path / "cache", tmp_path)
    ensure_cached(MNIST, settings)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache/MNIST/raw").iterdir()} == mnist


def test_mnist_as_keras_publishes_it_is_recognised(tmp_path: Path, mnist: dict[str, bytes]) -> None:
    contents = [np.frombuffer(data, np.uint8, offset=16 if len(data) > 10**6 else 8) for data in mnist.values()]
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), contents, strict=True))
    for name in ("x_train", "x_test"):
        arrays[name] = arrays[name].reshape(-1, 28, 28)
    np.savez(tmp_path / "mnist.npz", **arrays)
    settings = settings_for(tmp_path / "cache", tmp_path)
    ensure_cached(MNIST, settings)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache/MNIST/raw").iterdir()} == mnist


def test_an_array_of_pickled_objects_is_not_read(tmp_path: Path) -> None:
    dataset, _ = small_dataset(tmp_path)
    (tmp_path / "small/a.gz").unlink()
    np.savez(tmp_path / "a.npz", np.array([{}], object))
    with pytest.raises(MissingDatasetError, match="a was not found"):
        ensure_cached(dataset, settings_for(tmp_path / "cache", tmp_path))


def test_the_error_for_a_missing_dataset_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDatasetError, match=r"'mnist' .*with a network.*train-images-idx3-ubyte\.gz.*TANDEM_DATA_DIR"
    ):
        ensure_cached(MNIST, settings_for(tmp_path))
