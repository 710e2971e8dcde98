"""Every format that the backend exports: its own runtime computes what the backend computes, without the framework."""

import importlib
from pathlib import Path
from random import Random

import numpy as np
import pytest

from shared.backend import Backend
from shared.errors import RejectedExportError
from shared.exports.answers import ask_runtime
from shared.exports.exporters import NEUTRAL_EXPORTERS, Exporter
from shared.exports.formats import FORMATS, list_formats
from shared.models.manifest import Manifest, encode_manifest
from shared.models.registry import VerifiedModel
from shared.network.description import PRESETS, Network
from tests.backend.random_examples import random_network, random_split, random_weights
from tests.unit.models.descriptions import describe

NETWORKS = [random_network(Random(seed)) for seed in (54, 50, 56, 21, 2)]  # with every option of every layer


@pytest.fixture(scope="module")
def exporters(backend: Backend) -> dict[str, Exporter]:
    """The exporters of the backend's trainer, by format."""
    own = importlib.import_module(f"services.{backend.NAME}.trainer").load()[2]
    return {**NEUTRAL_EXPORTERS, **own}


def publish(network: Network, backend: Backend, seed: int = 0) -> VerifiedModel:
    """Return a model with random weights."""
    manifest = Manifest.parse(encode_manifest(describe(network), "random", backend.NAME, 1, "writer", {}))
    return VerifiedModel(manifest, random_weights(network, seed))


def test_the_backend_has_an_exporter_of_each_of_its_formats(backend: Backend, exporters: dict[str, Exporter]) -> None:
    assert set(exporters) == set(list_formats(backend.NAME))


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_computes_what_its_model_computes(
    backend: Backend, exporters: dict[str, Exporter], format_name: str, tmp_path: Path
) -> None:
    if format_name not in exporters:
        pytest.skip(f"{backend.NAME} does not export {format_name}")
    # The process of a framework takes seconds to start.
    networks = NETWORKS if format_name in NEUTRAL_EXPORTERS else NETWORKS[:3]
    for place, network in enumerate(networks):
        model, images = publish(network, backend), random_split(network, 7, 1).images
        file = tmp_path / f"{place}{FORMATS[format_name].suffix}"
        file.write_bytes(exporters[format_name].write(model))
        answers = ask_runtime(exporters[format_name], file, network, images, threads=1)
        expected = backend.serve(backend.define_network(network, model.weights))(images)
        assert np.abs(answers.probabilities - expected).max() < (1e-5 if FORMATS[format_name].is_exact else 0.1)
        assert answers.runtime


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_names_no_path_of_this_machine_and_no_module_of_tandem(
    backend: Backend, exporters: dict[str, Exporter], format_name: str
) -> None:
    if format_name not in exporters:
        pytest.skip(f"{backend.NAME} does not export {format_name}")
    data = exporters[format_name].write(publish(PRESETS["cnn"].network((28, 28, 1), 10), backend))
    for text in (
        str(Path.cwd()),
        str(Path.home()),
        "/site-packages",
        f"services.{backend.NAME}",
        f"services/{backend.NAME}",
    ):
        assert text.encode() not in data


def test_a_file_that_is_cut_off_is_rejected(backend: Backend, exporters: dict[str, Exporter], tmp_path: Path) -> None:
    network = NETWORKS[0]
    file = tmp_path / "file.onnx"
    file.write_bytes(exporters["onnx"].write(publish(network, backend))[:-40])
    with pytest.raises(RejectedExportError, match="cannot run the file"):
        ask_runtime(exporters["onnx"], file, network, random_split(network, 3, 0).images, threads=1)
