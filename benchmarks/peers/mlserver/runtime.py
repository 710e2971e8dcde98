"""The article's network behind MLServer, as a custom runtime."""

import article
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Article(MLModel):
    async def load(self) -> bool:
        self.network = article.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        pixels = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("probabilities", article.probabilities(self.network, pixels))
        return InferenceResponse(model_name=self.name, outputs=[output])
