"""The top values of a segment: the most frequent ones, ties by value, and none where nothing was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.plan.top import filled, resolve, unresolved

DECLARED = {"trial": "t", "segments": {"country": {"from": "body:/c", "top": 2, "learn": 100}, "amount": {"bins": [0]}}}


def test_the_most_frequent_values_become_names():
    counts = {"country": {"FR": 5, "DE": 9, "AT": 5, "IT": 0, "missing": 50}}
    assert unresolved(DECLARED) == ("country",)
    found = resolve(DECLARED, counts)
    assert found["segments"]["country"] == {"from": "body:/c", "top": 2, "learn": 100, "values": ["DE", "AT"]}
    assert unresolved(found) == ()
    assert "values" not in DECLARED["segments"]["country"]


def test_a_segment_that_nobody_has_is_no_segment():
    with pytest.raises(ValueError, match="country"):
        resolve(DECLARED, {"country": {"DE": 0}})


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 5), min_size=1))
def test_whatever_the_order_of_counting_the_names_are_the_same(counts):
    try:
        found = resolve(DECLARED, {"country": counts})
    except ValueError:
        return
    assert resolve(DECLARED, {"country": dict(reversed(counts.items()))}) == found
    values = found["segments"]["country"]["values"]
    assert 1 <= len(values) <= 2
    assert min(counts[value] for value in values) > 0


def test_an_earlier_trial_of_the_same_plan_gives_its_names():
    before = resolve(DECLARED, {"country": {"DE": 1}})
    assert filled(DECLARED, before) == before
    assert filled(DECLARED, {"segments": {}}) == DECLARED
