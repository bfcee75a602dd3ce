"""Production's model, as it is in its package, and its scores as features for the fair candidate."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_ANALYZER = SentimentIntensityAnalyzer()


def score(text: str) -> float:
    """VADER's compound score, in [-1, 1]."""
    return float(_ANALYZER.polarity_scores(text)["compound"])


class WordsAndScores(TransformerMixin, BaseEstimator):
    """Text to the features of `words`, and VADER's four scores (compound, positive, neutral, negative) beside them.

    A `FeatureUnion` would do the same, and takes longer to set up its workers at each call than the model takes.
    """

    def __init__(self, words: TfidfVectorizer) -> None:
        self.words = words

    def fit(self, texts: Sequence[str], y: object = None) -> "WordsAndScores":  # noqa: ARG002 (scikit-learn's signature)
        """Learn the words; the scores need no learning."""
        self.words.fit(texts)
        return self

    def transform(self, texts: Sequence[str]) -> csr_matrix:
        """Shape (n, words + 4)."""
        found = (_ANALYZER.polarity_scores(text) for text in texts)
        scores = np.array([[s["compound"], s["pos"], s["neu"], s["neg"]] for s in found])
        return hstack([self.words.transform(texts), csr_matrix(scores)], format="csr")
