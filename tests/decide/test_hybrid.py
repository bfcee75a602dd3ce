"""The hybrid gate: the e-value at half of alpha, and one test of fixed size at the deadline at the other half."""

from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.records.evidence import Cell, Evidence, Histogram
from gnomon.records.plan import Duration, Gate, Plan
from tests.decide.parts import (
    DAY,
    RATES,
    TWEETS,
    WHOLE,
    a_cell,
    a_weighted_cell,
    gate_of,
    only,
    some_evidence,
    verdict_on,
)
from tests.evidence.trial_log import START, a_plan

SETTLED: Histogram = ((-40, 55), (0, 1_440), (40, 55))
"""1,550 units of an equal candidate: e is 27.2, and p of Nam's and Tango's score test at a margin of 2 pp is 0.0021."""


def hybrid(kind: Any = "accuracy", form: Any = "no_worse_than", **fields: Any) -> Gate:
    return gate_of(kind, form, n_max=1_500, **fields)


def a_trial(gate: Gate, **fields: Any) -> Plan:
    return a_plan(gate, duration=Duration(deadline_us=10 * DAY), expected_within_us=2 * DAY, **fields)


def at(*cells: Cell, days: float = 13, **changes: Any) -> Evidence:
    return some_evidence(*cells, as_of_us=START + int(days * DAY), **changes)


def test_at_the_deadline_the_fixed_test_passes_what_the_e_value_does_not() -> None:
    verdict = verdict_on(a_trial(hybrid()), at(a_cell(SETTLED)))
    test = only(verdict)
    assert verdict.verdict == "promote"
    assert test.e_promote < test.promote_at == 40
    assert test.hybrid_p == pytest.approx(0.0020766, abs=1e-6)
    assert "; p 0.0021 in the one test at the deadline (e 27.2, " in test.reason


@pytest.mark.parametrize("days", [9.5, 10.5, 12.0])
def test_it_is_not_made_before_the_deadline_and_the_time_for_truth_are_over(days: float) -> None:
    test = only(verdict_on(a_trial(hybrid()), at(a_cell(SETTLED), days=days)))
    assert (test.hybrid_p, test.result) == (None, "inconclusive")


def test_without_truth_it_is_made_as_soon_as_the_deadline_is_over() -> None:
    plan = a_trial(hybrid("share", "not_above", label='"x"'))
    assert only(verdict_on(plan, at(a_cell(SETTLED), days=10.1))).hybrid_p is not None


def test_it_is_not_made_on_a_sample_that_is_not_whole() -> None:
    """The log is settled up to 9 of 10 days."""
    cell = a_cell(SETTLED, frontier_us=START + 9 * DAY)
    assert only(verdict_on(a_trial(hybrid()), at(cell))).hybrid_p is None


def test_it_is_not_made_below_the_sealed_size() -> None:
    fewer: Histogram = ((-40, 50), (0, 1_399), (40, 50))
    assert only(verdict_on(a_trial(hybrid()), at(a_cell(fewer)))).hybrid_p is None
    enough: Histogram = ((-40, 50), (0, 1_400), (40, 50))
    assert only(verdict_on(a_trial(hybrid()), at(a_cell(enough)))).hybrid_p is not None


def test_it_is_not_made_where_somebody_stopped_the_shadow_for_a_while() -> None:
    """Who looks at the results and then ends the sample has chosen it."""
    evidence = at(a_cell(SETTLED), ledger={"seen": 9_000, "shed:paused": 40})
    assert only(verdict_on(a_trial(hybrid()), evidence)).hybrid_p is None


@pytest.mark.parametrize(
    ("gate", "cell", "fields"),
    [
        (hybrid(), a_weighted_cell(((0, 900),), ((0, 900),)), {"rates": RATES}),
        (hybrid(), a_cell(((-20, 50), (0, 1_500))), {}),
    ],
    ids=["weights", "clusters"],
)
def test_it_is_not_made_where_a_unit_is_more_than_a_win_a_tie_or_a_loss(
    gate: Gate, cell: Cell, fields: dict[str, Any]
) -> None:
    assert only(verdict_on(a_trial(gate, **fields), at(cell))).hybrid_p is None


def test_a_rate_against_a_limit_is_tested_exactly() -> None:
    """The binomial probability of so few bad answers or fewer, if the rate were the limit: summed term by term."""
    gate = hybrid("error_rate", "at_most", output=None, margin_ppm=5_000)
    p = {bad: only(verdict_on(a_trial(gate), at(a_cell(((-40, bad), (0, 1_500 - bad)))))).hybrid_p for bad in (2, 3)}
    for most, found in p.items():
        terms = (comb(1_500, bad) * 0.005**bad * 0.995 ** (1_500 - bad) for bad in range(most + 1))
        assert found == pytest.approx(sum(terms), rel=1e-6)
    assert 0.020 < p[2] < 0.025 < p[3] < 0.059  # type: ignore[operator]


def test_the_e_value_has_half_of_alpha_and_so_has_the_test() -> None:
    """An e of 27 passes alone. p between alpha/2 and alpha does not."""
    histogram = SETTLED
    plain = only(verdict_on(a_trial(gate_of("accuracy")), at(a_cell(histogram), days=5)))
    assert plain.result == "pass"
    assert 20 < plain.e_promote < 40
    half = only(verdict_on(a_trial(hybrid()), at(a_cell(histogram), days=5)))
    assert (half.e_promote, half.result) == (plain.e_promote, "inconclusive")
    assert half.lower is not None
    assert half.lower < -0.02 < plain.lower  # type: ignore[operator]

    worse: Histogram = ((-40, 64), (0, 1_384), (40, 52))
    late = only(verdict_on(a_trial(hybrid()), at(a_cell(worse))))
    assert late.hybrid_p is not None
    assert 0.025 < late.hybrid_p < 0.05
    assert late.result == "inconclusive"
    assert "and the one test at the deadline gives p 0.0" in late.reason


def test_the_other_side_keeps_all_of_alpha() -> None:
    test = only(verdict_on(a_trial(hybrid()), at(a_cell(SETTLED), days=5)))
    assert (test.promote_at, test.reject_at) == (40, 20)


def test_a_plan_without_a_deadline_makes_no_such_test() -> None:
    plan = structs.replace(a_trial(hybrid()), duration=Duration())
    assert only(verdict_on(plan, at(a_cell(SETTLED)))).hybrid_p is None


def test_each_test_of_a_gate_has_its_own_size() -> None:
    gate = hybrid(where=(WHOLE, TWEETS))
    small: Histogram = ((-40, 5), (0, 290), (40, 5))
    cells = [a_cell(SETTLED), a_cell(small, at=TWEETS)]
    first, second = verdict_on(a_trial(gate), at(*cells)).tests
    assert first.hybrid_p is not None
    assert second.hybrid_p is None


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 1_500), st.integers(0, 2))
@settings(deadline=None)
def test_a_truth_that_comes_late_only_lowers_p(wins: int, losses: int, ties: int, turns_into: int) -> None:
    """Each look after the deadline understates the one test on the whole truth: an imputed loss becomes what it was."""
    ties += 1_500
    looks = [(losses + 1, ties, wins), (losses + (turns_into == 0), ties + (turns_into == 1), wins + (turns_into == 2))]
    before, after = (
        only(verdict_on(a_trial(hybrid()), at(a_cell(((-40, lost), (0, even), (40, won)))))).hybrid_p
        for lost, even, won in looks
    )
    assert before is not None
    assert after is not None
    assert after <= before + 1e-12
