"""Production's model, as it is in its package, and its scores as features for the fair candidate."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_ANALYZER = SentimentIntensityAnalyzer()


def score(text: str) -> float:
    """VADER's compound score, in [-1, 1]."""
    return float(_ANALYZER.polarity_scores(text)["compound"])


class VaderScores(TransformerMixin, BaseEstimator):
    """Text to VADER's four scores (compound, positive, neutral, negative), shape (n, 4)."""

    def fit(self, texts: Sequence[str], y: object = None) -> "VaderScores":  # noqa: ARG002 (scikit-learn's signature)
        """Nothing to learn."""
        return self

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """The scores of each text."""
        found = (_ANALYZER.polarity_scores(text) for text in texts)
        return np.array([[s["compound"], s["pos"], s["neu"], s["neg"]] for s in found])
