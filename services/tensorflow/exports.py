"""The formats of exports that only TensorFlow has.

Its twin is services/pytorch/exports.py. Each function takes a published
model and returns the contents of a file. The file takes `image`, uint8
[N, H, W, C], and returns `probabilities`, float32 [N, classes].
"""

import io
import tempfile
import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from services.tensorflow import backend
from shared.exports.exporters import FRAMEWORKS, Exporter, Exporters
from shared.models.registry import VerifiedModel

RUNTIMES = Path(__file__).parent / "runtimes"


def write_savedmodel(model: VerifiedModel) -> bytes:
    """Return a zip file with a SavedModel in it, in the folder of its name."""
    manifest = model.manifest
    name = f"{manifest.name}-{manifest.version}-{manifest.backend}"
    with tempfile.TemporaryDirectory() as folder:
        _save(model, folder)
        # The time of each entry is 1980: the oldest that a zip file has.
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    place = Path(name, path.relative_to(folder))
                    entry = zipfile.ZipInfo(str(place))
                    entry.external_attr = 0o644 << 16
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    file.writestr(entry, path.read_bytes())
    return packed.getvalue()


def write_litert(model: VerifiedModel) -> bytes:
    """Return a LiteRT file in float32."""
    return _convert(model, [])


def write_litert_int8(model: VerifiedModel) -> bytes:
    """Return a LiteRT file whose larger kernels have 8 bits per weight.

    The activations stay floats, so no example pictures are needed.
    """
    return _convert(model, [tf.lite.Optimize.DEFAULT])


def _convert(
    model: VerifiedModel, optimizations: list[tf.lite.Optimize]
) -> bytes:
    # From other things than a SavedModel of Keras' archive, the converter
    # writes files without their weights, and says nothing.
    with tempfile.TemporaryDirectory() as folder:
        _save(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = optimizations
        return converter.convert()


def _save(model: VerifiedModel, folder: str) -> None:
    """Write a SavedModel into a folder."""
    network = model.manifest.network
    built = backend.define_network(network, model.weights)

    # Twin: a SavedModel is a graph with named inputs and outputs.
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = built(image, training=False)
        return {"probabilities": tf.nn.softmax(logits)}

    shape = (None, *network.input_shape)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serve", serve, [tf.TensorSpec(shape, tf.uint8, name="image")]
    )
    archive.write_out(folder, verbose=False)


EXPORTERS: Exporters = {
    "savedmodel": Exporter(
        write_savedmodel,
        RUNTIMES / "savedmodel.py",
        forbidden=("keras", "torch"),
    ),
    "litert": Exporter(write_litert, RUNTIMES / "litert.py", FRAMEWORKS),
    "litert-int8": Exporter(
        write_litert_int8, RUNTIMES / "litert.py", FRAMEWORKS
    ),
}
