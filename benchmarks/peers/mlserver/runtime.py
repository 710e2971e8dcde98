"""Serves the article's network with MLServer, as a custom runtime."""

import networks
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class ArticleRuntime(MLModel):
    """The methods that MLServer calls."""

    async def load(self) -> bool:
        """Load the network. Returns True, because the model is then ready."""
        self.network = networks.load_network("article")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer an Open Inference Protocol request with the output `probabilities`, float32 [N, 10]."""
        pixels = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("probabilities", networks.compute_probabilities(self.network, pixels))
        return InferenceResponse(model_name=self.name, outputs=[output])
