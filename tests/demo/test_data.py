"""The demo's data: what a file says is what comes out, and the split keeps what it promises."""

import io
import itertools
import tarfile

import data
import pytest
from hypothesis import given
from hypothesis import strategies as st


def sentences(tweets=20, reviews=8, length=3):
    """Tweets, and Amazon reviews of `length` sentences."""
    lines = "".join(f"{n}\t{n - 5}\ttweet {n}\r\n" for n in range(1, tweets + 1))
    documents = "".join(f"{d}_{n}\t0.5\tsentence {n}\r\n" for d in range(1, reviews + 1) for n in range(1, length + 1))
    return data.parse("tweets", lines) + data.parse("amazon_reviews", documents)


def archive(path, files):
    """A source distribution with these ratings files in a tar file of its own, as the real one has them."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as corpus:
        for name, text in files.items():
            member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            member.size = len(text)
            corpus.addfile(member, io.BytesIO(text))
    with tarfile.open(path, "w:gz") as package:
        member = tarfile.TarInfo("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        member.size = len(inner.getvalue())
        package.addfile(member, io.BytesIO(inner.getvalue()))
    return path


def test_a_line_is_an_id_a_rating_and_a_text():
    (sentence,) = data.parse("nyt_editorials", "17_3\t-0.25\tThis is  it. \r\n")

    assert sentence.id == "nyt_editorials:17_3"
    assert sentence.document == "nyt_editorials:17"
    assert sentence.rating == -0.25
    assert sentence.text == "This is  it."
    assert sentence.truth == "not positive"


def test_a_tweet_is_its_own_document():
    (sentence,) = data.parse("tweets", "17\t2.0\t:)\n")

    assert sentence.document == sentence.id == "tweets:17"


@pytest.mark.parametrize(("rating", "truth"), [("0.05", "positive"), ("0", "not positive"), ("-0.05", "not positive")])
def test_people_call_it_positive_when_their_mean_is_above_zero(rating, truth):
    assert data.parse("tweets", f"1\t{rating}\tx")[0].truth == truth


@pytest.mark.parametrize("wrong", ["1\t0.5", "1\tgood\ttext", "no tabs at all", "1\t0.5\ta\tb"])
def test_a_line_of_another_shape_is_refused_with_its_number(wrong):
    with pytest.raises(data.BadData, match="line 2"):
        data.parse("tweets", f"1\t0.5\tfine\n{wrong}\n")


def test_the_sentences_come_out_of_the_archive_within_the_archive(tmp_path):
    files = {name: f"1\t1.0\t{source}\n".encode("utf-8-sig") for source, name in data.SOURCES.items()}

    found = data.read(archive(tmp_path / "package.tar.gz", files))

    assert [sentence.source for sentence in found] == list(data.SOURCES)
    assert [sentence.text for sentence in found] == list(data.SOURCES)


def test_a_package_without_the_data_says_what_is_missing(tmp_path):
    with pytest.raises(data.BadData, match=r"package.tar.gz holds no tweets_GroundTruth.txt"):
        data.read(archive(tmp_path / "package.tar.gz", {}))


@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_no_document_is_on_both_sides_and_none_is_lost(seed, share):
    everything = sentences()

    train, stream = data.split(everything, seed=seed, share=share)

    assert not {s.document for s in train} & {s.document for s in stream}
    assert sorted(s.id for s in train + stream) == sorted(s.id for s in everything)


@given(seed=st.integers(0, 2**32))
def test_the_sentences_of_a_streamed_document_follow_one_another_in_their_order(seed):
    _, stream = data.split(sentences(), seed=seed)

    order = [s.document for s in stream]
    changes = 1 + sum(a != b for a, b in itertools.pairwise(order))
    assert changes == len(set(order))
    for document in set(order):
        numbers = [int(s.id.rpartition("_")[2]) for s in stream if s.document == document and "_" in s.id]
        assert numbers == sorted(numbers)


def test_half_of_the_documents_of_every_source_are_for_training():
    train, _ = data.split(sentences(tweets=20, reviews=8), seed=3)

    documents = {s.document for s in train}
    assert sum(d.startswith("tweets") for d in documents) == 10
    assert sum(d.startswith("amazon") for d in documents) == 4


def test_the_seed_decides_split_and_order():
    everything = sentences()

    assert data.split(everything, seed=1) == data.split(everything, seed=1)
    assert data.split(everything, seed=1) != data.split(everything, seed=2)


def test_a_limited_stream_keeps_whole_documents_and_their_order():
    _, stream = data.split(sentences(), seed=5)

    kept = data.limit(stream, 3)

    assert kept == [s for s in stream if s.document in {k.document for k in kept}]
    assert len({s.document for s in kept if s.source == "tweets"}) == 3
    assert len({s.document for s in kept if s.source == "amazon_reviews"}) == 3
    assert sum(s.source == "amazon_reviews" for s in kept) == 9
