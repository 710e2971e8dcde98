"""Every backend reads the same bytes from a dataset, whichever functions its framework offers."""

import numpy as np
import pytest

from shared.data import datasets
from shared.errors import MissingDatasetError
from shared.settings import Settings


@pytest.fixture(scope="module", params=datasets.DATASETS)
def found(request, settings):
    """A dataset that is in the cache."""
    described = datasets.find(request.param, settings)
    try:
        datasets.ensure_cached(described, settings)
    except MissingDatasetError as error:
        pytest.skip(str(error))
    return described


def assert_reads_what_numpy_reads(backend, settings, found, split):
    data = backend.load_data(found, settings.cache_dir, split)
    expected = datasets.read(found, split, settings)
    assert type(data) is datasets.Split
    assert (data.images.dtype, data.images.shape) == (np.uint8, (found.sizes[split], *found.shape))
    assert (data.labels.dtype, data.labels.shape) == (np.int64, (found.sizes[split],))
    assert {type(data.images), type(data.labels)} == {np.ndarray}
    assert data.images.flags.c_contiguous
    assert data.labels.flags.c_contiguous
    assert (data.images == expected.images).all()
    assert (data.labels == expected.labels).all()
    assert datasets.fingerprint(data) == datasets.fingerprint(expected)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_equals_what_numpy_reads(backend, settings, found, split):
    assert_reads_what_numpy_reads(backend, settings, found, split)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_files_in_the_format_of_mnist_are_read_with_random_contents(backend, tmp_path, name, split):
    """The published data may be missing on this machine, so this test writes files in the same format."""
    settings = Settings.from_env({"TANDEM_STATE_DIR": str(tmp_path)})
    found = datasets.find(name, settings)
    generator = np.random.default_rng(0)
    place = settings.cache_dir / found.folder
    place.mkdir(parents=True)
    for file, dimensions in zip(found.files, [(28, 28), (), (28, 28), ()], strict=True):
        count = found.sizes["train" if file.name.startswith("train") else "test"]
        sizes = (count, *dimensions)
        header = bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
        values = generator.integers(0, 256 if dimensions else 10, sizes, np.uint8)
        (place / file.name).write_bytes(header + values.tobytes())
    assert datasets.is_ready(found, settings)
    assert_reads_what_numpy_reads(backend, settings, found, split)


def test_a_folder_of_images_is_read_as_numpy_reads_it(backend, tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
        for index in range(6):
            pixels = generator.integers(0, 256, (20 + index, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / "train" / name / f"{index}.png")
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(tmp_path)})
    found = datasets.find("pets", settings)
    for split in ("train", "test"):
        assert_reads_what_numpy_reads(backend, settings, found, split)


def test_reading_does_not_write_to_the_cache_because_it_may_be_read_only(backend, settings, found):
    def listing():
        return {path: path.stat().st_mtime_ns for path in settings.cache_dir.rglob("*")}

    before = listing()
    backend.load_data(found, settings.cache_dir, "test")
    assert listing() == before
