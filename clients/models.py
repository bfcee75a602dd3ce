"""Two real models for MLServer (Open Inference Protocol V2): one reads text, one reads numbers."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


class Sentiment(MLModel):
    """BYTES [n] to BYTES [n] and FP64 [n]: VADER."""

    async def load(self):
        self._vader = SentimentIntensityAnalyzer()
        return True

    async def predict(self, payload):
        scores = [self._vader.polarity_scores(text)["compound"] for text in StringCodec.decode_input(payload.inputs[0])]
        labels = ["positive" if score > 0 else "not positive" for score in scores]
        outputs = [
            StringCodec.encode_output("label", labels, use_bytes=False),
            NumpyCodec.encode_output("score", np.array(scores)),
        ]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)


class Iris(MLModel):
    """FP32 [n, 4] to INT64 [n] and FP64 [n, 3]: a logistic regression on the data that come with scikit-learn."""

    async def load(self):
        data = load_iris()
        self._model = LogisticRegression(max_iter=1000).fit(data.data, data.target)
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        if rows.ndim != 2 or rows.shape[1] != 4:
            raise InferenceError(f"the input has the shape {list(rows.shape)}, expected [n, 4]")
        outputs = [
            NumpyCodec.encode_output("species", self._model.predict(rows)),
            NumpyCodec.encode_output("chances", self._model.predict_proba(rows)),
        ]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)
