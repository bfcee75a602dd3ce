"""The row of one exchange."""

from gnomon.compare import compare
from gnomon.log import tables
from gnomon.plan import load
from tests.protocols.builders import a_request, an_answer

PLAN = load.from_document(
    {
        "gnomon": 1,
        "trial": "t",
        "question": "Is it as good?",
        "production": {"version": "1.0", "url": "http://127.0.0.1:1"},
        "candidate": {"version": "2.0", "url": "http://127.0.0.1:2", "timeout": "2s"},
        "protocol": "json",
        "routes": ["POST /predict"],
        "suitability": {"context": "stateless", "side_effects": "none"},
        "fork": {"mode": "sync", "shadow_rate": "100%"},
        "segments": {"country": {"from": "body:/country", "values": ["DE", "FR"]}},
        "output": {"label": "body:/label", "score": {"from": "body:/score", "compare": "number", "tolerance": 0.1}},
        "truth": {"key": "body:/tx", "expected_within": "1d"},
        "unit": {"cluster": "body:/user", "closes_after": "1h"},
        "gates": [{"accuracy": {"of": "label", "no_worse_than": "production", "margin": "4pp"}}],
        "samples": {"overall": 100, "every_segment": 10},
        "expect": {"disagreement": "10%"},
        "alpha": "5%",
    }
)
REQUEST = a_request({"country": "DE", "tx": 17, "user": "u1"}, id=b"\x01" * 16)


def a_row(production, candidate, request=REQUEST, *, late=False):
    return compare(PLAN, request, production, candidate, late=late)


def test_a_pair():
    ours = an_answer({"label": "a", "score": 0.5}, latency_us=900, started_us=1_000_100)
    theirs = an_answer({"label": "b", "score": 0.55}, latency_us=700, started_us=1_000_350)
    assert a_row(ours, theirs) == {
        "id": "01" * 16,
        "time_us": 1_000_000,
        "epoch": 1,
        "stratum": "all",
        "probability": 1 << 32,
        "state": "paired",
        "late": False,
        "cluster": "u1",
        "truth_key": "17",
        "production_outcome": "ok",
        "candidate_outcome": "ok",
        "production_latency_us": 900,
        "candidate_latency_us": 700,
        "start_lag_us": 250,
        "segment_country": "DE",
        "output_label_production": '"a"',
        "output_label_candidate": '"b"',
        "output_label_agree": False,
        "output_score_production": 0.5,
        "output_score_candidate": 0.55,
        "output_score_agree": True,
    }


def test_the_columns_are_the_tables():
    assert list(a_row(an_answer({}), None)) == tables.comparisons(PLAN).names


def test_an_arm_that_failed_stays_with_its_outcome_and_has_no_values():
    ours = an_answer({"label": "a", "score": 0.5})
    for theirs, outcome, latency in (
        (an_answer(b"", outcome="timeout", status=0), "timeout", None),
        (an_answer({"label": "a", "score": 1}, outcome="5xx", status=500, latency_us=5), "5xx", 5),
        (an_answer(b"<html>", latency_us=5), "unreadable", 5),
        (an_answer({"label": "a"}, latency_us=5), "wrong_shape", 5),
        (an_answer({"label": "a", "score": "high"}, latency_us=5), "wrong_shape", 5),
        (an_answer(b'{"label": "a", "score": NaN}', latency_us=5), "wrong_shape", 5),
    ):
        row = a_row(ours, theirs)
        assert (row["candidate_outcome"], row["candidate_latency_us"]) == (outcome, latency)
        assert row["output_label_production"] == '"a"'
        assert row["output_label_candidate"] is row["output_label_agree"] is row["output_score_agree"] is None
        turned = a_row(theirs, ours)
        assert turned["production_outcome"] == outcome
        assert turned["output_label_production"] is None


def test_an_expired_exchange_has_no_candidate():
    row = a_row(an_answer({"label": "a", "score": 0.5}), None, late=True)
    assert row["state"] == "expired"
    assert row["late"] is True
    assert row["candidate_outcome"] is row["candidate_latency_us"] is row["start_lag_us"] is None


def test_a_request_without_key_and_cluster_has_none():
    row = a_row(an_answer({}), None, a_request({"country": "XX", "tx": None}))
    assert row["truth_key"] is row["cluster"] is None
    assert row["segment_country"] == "other"
    assert a_row(an_answer({}), None, a_request(b"junk"))["segment_country"] == "missing"
