"""Runs a LiteRT file, without TensorFlow.

It is run by its path, and imports nothing of Tandem.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from ai_edge_litert.interpreter import Interpreter


def load(file: str, threads: int) -> tuple[str, Callable[[Any], Any]]:
    """Return the runtime's name and version, and a function.

    The function takes images uint8 [N, H, W, C] and returns probabilities.
    """
    interpreter = Interpreter(file, num_threads=threads)
    (taken,), (given,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def predict(images: Any) -> Any:
        interpreter.resize_tensor_input(taken["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return f"ai-edge-litert {version('ai-edge-litert')}", predict
