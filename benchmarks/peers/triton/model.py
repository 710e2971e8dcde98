"""A model of Triton's Python backend: one of the networks. Triton calls the methods of the class TritonPythonModel."""

import os
import sys

# The program that embeds Python here ignores the variable. It finds another NumPy first, which it does not support.
sys.path[:0] = os.environ["PYTHONPATH"].split(":")

import networks  # noqa: E402
import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402


class TritonPythonModel:
    """Predicts all requests that Triton's dynamic batching hands over, in one call of the network."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network whose name is the model's."""
        self.network = networks.load_network(args["model_name"])

    def execute(self, requests: list["pb_utils.InferenceRequest"]) -> list["pb_utils.InferenceResponse"]:
        """Return one response for each request, in the same order."""
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        probabilities = networks.compute_probabilities(self.network, np.concatenate(images))
        parts = np.split(probabilities, np.cumsum([len(each) for each in images[:-1]]))
        return [pb_utils.InferenceResponse([pb_utils.Tensor("probabilities", part)]) for part in parts]
