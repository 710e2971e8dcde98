"""Runs a zipped SavedModel in TensorFlow, without Keras.

It is run by its path, and imports nothing of Tandem.
"""

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf


def load(file: str, threads: int) -> tuple[str, Callable[[Any], Any]]:
    """Return the runtime's name and version, and a function.

    The function takes images uint8 [N, H, W, C] and returns probabilities.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # A cancelled check leaves the folder. Its name begins as a draft's, so it
    # is removed with abandoned drafts.
    place = Path(file).parent
    with tempfile.TemporaryDirectory(dir=place, prefix=".draft-") as folder:
        with zipfile.ZipFile(file) as packed:
            packed.extractall(folder)
        (saved,) = Path(folder).iterdir()
        model = tf.saved_model.load(str(saved))
    serve = model.signatures["serving_default"]

    def predict(images: Any) -> Any:
        answer = serve(image=tf.constant(images))
        return answer["probabilities"].numpy()

    return f"tensorflow {tf.__version__}", predict
