"""Train the demo's two candidates in place, on other rows than the ones that are streamed.

    python demo/train.py ARCHIVE OUT_DIRECTORY --seed N

Production is `vaderSentiment` as it is on the package index; there is nothing to train.

skewed  tf-idf + logistic regression on the words. It has seen the same share of every source, but most of it is not
        tweets, and what makes a tweet (emoticons, capitals, exclamation marks) is not among its words. On average it
        is better than production and on tweets it is clearly worse. Nobody edits its answers to make it so.
fair    the same with production's own scores as four further features, so that it starts from what production knows.

Writes `skewed.joblib` and `fair.joblib`, and prints their accuracy on held-out rows as JSON, for curious people: the
verdict does not read it.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
from data import POSITIVE, Sentence, label, read, split
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from vader import WordsAndScores, score

REGULARISATION = {"skewed": 1.0, "fair": 0.6}
"""C of the logistic regression. The fair one leans more on the four scores with a smaller C."""


def words() -> TfidfVectorizer:
    """Words and pairs of words that occur at least twice."""
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)


def build(name: str) -> Pipeline:
    """An untrained candidate: text in, probability of `positive` out."""
    features = words() if name == "skewed" else WordsAndScores(words())
    return make_pipeline(features, LogisticRegression(C=REGULARISATION[name], max_iter=1000))


def accuracy(predicted: list[str], sentences: list[Sentence]) -> dict[str, float]:
    """Share of right labels, by source and over all."""
    right: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for answer, sentence in zip(predicted, sentences, strict=True):
        for cell in ("overall", sentence.source):
            seen[cell] += 1
            right[cell] += answer == sentence.truth
    return {cell: round(right[cell] / seen[cell], 3) for cell in seen}


def main(argv: list[str]) -> None:
    arguments = argparse.ArgumentParser(description="Train the demo's candidates.")
    arguments.add_argument("archive", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--seed", type=int, required=True)
    given = arguments.parse_args(argv)

    train, held_out = split(read(given.archive), seed=given.seed)
    texts = [sentence.text for sentence in train]
    truths = np.array([sentence.truth == POSITIVE for sentence in train])
    held_out_texts = [sentence.text for sentence in held_out]
    found = {"vader": accuracy([label(score(text)) for text in held_out_texts], held_out)}
    given.out.mkdir(parents=True, exist_ok=True)
    for name in REGULARISATION:
        model = build(name).fit(texts, truths)
        joblib.dump(model, given.out / f"{name}.joblib")
        chance = model.predict_proba(held_out_texts)[:, 1]
        found[name] = accuracy([label(2 * p - 1) for p in chance], held_out)
    sys.stdout.write(json.dumps({"rows": len(train), "held_out": found}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
