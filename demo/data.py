"""The demo's real data: sentences that people rated, from four sources, and the split into train and stream.

Reads     the source distribution of `vaderSentiment` 3.3.2 (MIT), with the data of Hutto & Gilbert (ICWSM 2014)
Promises  the same seed gives the same split and the same order; no document is on both sides of the split; the
          sentences of a streamed document follow one another

Standard library only: the models' processes, the traffic and the tests read it alike.
"""

import io
import random
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = {
    "tweets": "tweets_GroundTruth.txt",
    "amazon_reviews": "amazonReviewSnippets_GroundTruth.txt",
    "movie_reviews": "movieReviewSnippets_GroundTruth.txt",
    "nyt_editorials": "nytEditorialSnippets_GroundTruth.txt",
}
"""Each source and the file that holds its sentences: tab-separated id, mean rating (-4 to +4), text."""

IN_DOCUMENTS: Final = frozenset({"amazon_reviews", "nyt_editorials"})
"""Sources whose ids read ``document_sentence``. A tweet or a movie snippet stands alone."""

POSITIVE: Final = "positive"
NOT_POSITIVE: Final = "not positive"


class BadData(Exception):
    """The data is not what the package is known to hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence, where it comes from and what people thought of it."""

    id: str
    """``source:id``, unique over all sources; the plan's truth key."""
    source: str
    document: str
    """``source:document``; for a tweet or a movie snippet its own id."""
    text: str
    rating: float
    """Mean of some twenty people's ratings, from -4 (very negative) to +4 (very positive)."""

    @property
    def truth(self) -> str:
        """What people say: whether they rate it above 0."""
        return POSITIVE if self.rating > 0 else NOT_POSITIVE


def label(score: float) -> str:
    """A model's score in [-1, 1] as its label, by the same question as the truth: whether it is above 0."""
    return POSITIVE if score > 0 else NOT_POSITIVE


def parse(source: str, text: str) -> list[Sentence]:
    """The sentences of one file.

    Raises  BadData with the line, if a line is not ``id <tab> rating <tab> text``
    """
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split("\t")
        try:
            key, rating, words = parts
            found.append(_sentence(source, key, float(rating), words))
        except ValueError:
            raise BadData(
                f"{SOURCES[source]}, line {number}: expected id, rating and text, got {line[:60]!r}"
            ) from None
    return found


def _sentence(source: str, key: str, rating: float, words: str) -> Sentence:
    document = key.partition("_")[0] if source in IN_DOCUMENTS else key
    return Sentence(
        id=f"{source}:{key}", source=source, document=f"{source}:{document}", text=words.strip(), rating=rating
    )


def read(archive: Path) -> list[Sentence]:
    """All sentences out of the source distribution (a tar file within a tar file), without unpacking it to disk."""
    with tarfile.open(archive) as package:
        inner = _member(package, "hutto_ICWSM_2014.tar.gz", archive)
    with tarfile.open(fileobj=io.BytesIO(inner)) as corpus:
        return [
            sentence
            for source, name in SOURCES.items()
            for sentence in parse(source, _member(corpus, name, archive).decode("utf-8-sig"))
        ]


def _member(archive: tarfile.TarFile, name: str, where: Path) -> bytes:
    for member in archive:
        if Path(member.name).name == name and (file := archive.extractfile(member)) is not None:
            return file.read()
    raise BadData(f"{where.name} holds no {name}; delete it and run `make demo` again")


def split(sentences: Sequence[Sentence], *, seed: int, share: float = 0.5) -> tuple[list[Sentence], list[Sentence]]:
    """Train and stream: `share` of every source's documents for training, the rest as traffic, in the order it comes.

    The split is by document, because the sentences of one review are about one product and one editorial has one
    opinion: a model that was trained on half of a document would be asked about the other half, and would look better
    than it is. The stream keeps a document's sentences together and in their order, as they arrive when documents are
    processed; the order of the documents is random.
    """
    chance = random.Random(seed)
    train: list[Sentence] = []
    stream: list[list[Sentence]] = []
    for source in SOURCES:
        documents = list(_documents(s for s in sentences if s.source == source).values())
        chance.shuffle(documents)
        cut = round(len(documents) * share)
        train += [sentence for document in documents[:cut] for sentence in document]
        stream += documents[cut:]
    chance.shuffle(stream)
    return train, [sentence for document in stream for sentence in document]


def limit(stream: Sequence[Sentence], documents: int) -> list[Sentence]:
    """The stream with at most so many documents of each source: the first ones that come."""
    kept: dict[str, set[str]] = {source: set() for source in SOURCES}
    found = []
    for sentence in stream:
        of_source = kept[sentence.source]
        if sentence.document in of_source or len(of_source) < documents:
            of_source.add(sentence.document)
            found.append(sentence)
    return found


def _documents(sentences: Iterable[Sentence]) -> dict[str, list[Sentence]]:
    documents: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        documents.setdefault(sentence.document, []).append(sentence)
    return documents
