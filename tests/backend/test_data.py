"""Reading: each framework in its own idiom, and all of them the same bytes."""

import numpy as np
import pytest

from shared import dataset
from shared.errors import MissingDatasetError


@pytest.fixture(scope="module", params=dataset.DATASETS)
def found(request, settings):
    """A dataset that lies in the cache."""
    described = dataset.find(request.param)
    try:
        dataset.prepare(described, settings)
    except MissingDatasetError as error:
        pytest.skip(str(error))
    return described


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_is_what_numpy_reads(backend, settings, found, split):
    data = backend.load_data(found.name, settings.cache_dir, split)
    expected = dataset.read(found, split, settings)
    assert type(data) is dataset.Split
    assert (data.images.dtype, data.images.shape) == (np.uint8, (found.sizes[split], *found.shape))
    assert (data.labels.dtype, data.labels.shape) == (np.int64, (found.sizes[split],))
    assert {type(data.images), type(data.labels)} == {np.ndarray}
    assert data.images.flags.c_contiguous
    assert data.labels.flags.c_contiguous
    assert (data.images == expected.images).all()
    assert (data.labels == expected.labels).all()
    assert dataset.fingerprint(data) == dataset.fingerprint(expected)


def test_reading_leaves_the_cache_as_it_was_for_it_may_be_read_only(backend, settings, found):
    def listing():
        return {path: path.stat().st_mtime_ns for path in settings.cache_dir.rglob("*")}

    before = listing()
    backend.load_data(found.name, settings.cache_dir, "test")
    assert listing() == before
