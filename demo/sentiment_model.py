"""An MLServer runtime for the demo's three models: a sentence in, a label and a score out.

Open Inference Protocol V2: the request's input `text` is BYTES of shape [n]; the answer's outputs are `label` (BYTES,
"positive" or "not positive") and `score` (FP64, in [-1, 1]; above 0 is positive), of the same shape. Which model it is
stands in `model-settings.json`: without `parameters.extra.saved` it is VADER, with it the candidate in that file.
"""

from collections.abc import Callable, Sequence

import joblib
import numpy as np
from data import label
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse


def vader() -> Callable[[Sequence[str]], list[float]]:
    """Production."""
    from vader import score

    return lambda texts: [score(text) for text in texts]


def saved(path: str) -> Callable[[Sequence[str]], list[float]]:
    """A candidate that `train.py` saved. Only ever a file that this machine has just made: it is a pickle."""
    model = joblib.load(path)
    return lambda texts: [float(2 * chance - 1) for chance in model.predict_proba(texts)[:, 1]]


class SentimentModel(MLModel):
    """One of the demo's models."""

    async def load(self) -> bool:
        """Load it once, at the start."""
        # Not `parameters.uri`: MLServer fills that in with the model's folder where it is left out.
        path = (self.settings.parameters.extra or {}).get("saved")
        self._scores = saved(path) if path else vader()
        self._scores(["ready"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        texts = [text for given in payload.inputs if given.name == "text" for text in StringCodec.decode_input(given)]
        if not texts:
            raise InferenceError("the request has no input named text")
        # Rounded, because that is what a service would send; the label is of the number that is sent.
        scores = [round(score, 6) for score in self._scores(texts)]
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[
                StringCodec.encode_output("label", [label(score) for score in scores], use_bytes=False),
                NumpyCodec.encode_output("score", np.array(scores)),
            ],
        )
