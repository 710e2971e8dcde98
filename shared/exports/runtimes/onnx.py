"""Runs an ONNX file in onnxruntime. It is run by its path, and imports nothing of Tandem."""

from collections.abc import Callable
from typing import Any

import onnxruntime


def load(file: str, threads: int) -> tuple[str, Callable[[Any], Any]]:
    """Return the runtime's name and version, and a function from images uint8 [N, H, W, C] to probabilities."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda images: session.run(None, {"image": images})[0]
