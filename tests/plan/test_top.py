"""The most frequent values of a segment: names, found once, ties by value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.plan import load, seal, top
from gnomon.plan.cells import RESERVED
from tests.plan.builders import LEFT_OUT, edited
from tests.plan.every_kind import KINDS

OPEN = edited(("segments", "country", "values"), LEFT_OUT, of=KINDS)


def test_the_larger_count_comes_first_and_ties_go_by_value() -> None:
    counts = {"country": {"FR": 3, "DE": 5, "BR": 3, "IT": 0}}
    assert top.resolve(OPEN, counts)["segments"]["country"]["values"] == ["DE", "BR"]
    assert top.unresolved(OPEN) == ("country",)
    assert top.unresolved(top.resolve(OPEN, counts)) == ()


def test_what_is_sealed_has_the_names_beside_the_top() -> None:
    made = top.resolve(OPEN, {"country": {"DE": 2, "FR": 1}})
    assert made == KINDS
    assert seal.seal(made) == seal.seal(KINDS)
    assert load.from_document(made).segments[0].top == 2


def test_a_document_that_has_names_is_not_touched() -> None:
    assert top.resolve(KINDS, {"country": {"IT": 9}}) == KINDS


@pytest.mark.parametrize("value", ["other", "missing", "overall", "", "   ", "x" * 1001, "a\x00b"])
def test_what_cannot_be_a_name_is_none(value: str) -> None:
    counts = {"country": {value: 9, "DE": 1}}
    assert top.resolve(OPEN, counts)["segments"]["country"]["values"] == ["DE"]


@given(st.dictionaries(st.text(max_size=6), st.integers(-1, 9), max_size=8))
def test_whatever_was_counted_makes_a_plan_that_loads(counts: dict[str, int]) -> None:
    try:
        made = top.resolve(OPEN, {"country": counts})
    except ValueError:
        names = {value for value in counts if value.strip() and value.isprintable()} - RESERVED
        assert not any(counts[value] > 0 for value in names)
        return
    values = load.from_document(made).segments[0].values
    assert 1 <= len(values) <= 2
    assert all(counts[value] > 0 for value in values)


def test_a_plan_given_again_takes_the_names_it_was_sealed_with() -> None:
    assert top.filled(OPEN, KINDS) == KINDS
    assert top.filled(KINDS, OPEN) == KINDS
