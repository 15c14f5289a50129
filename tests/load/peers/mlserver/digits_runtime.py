"""The digits model as a runtime of MLServer."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from session import predict, session


class Digits(MLModel):
    async def load(self) -> bool:
        self.model = session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        labels, probabilities = predict(self.model, rows)
        outputs = [
            NumpyCodec.encode_output("label", labels),
            NumpyCodec.encode_output("probabilities", probabilities),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
