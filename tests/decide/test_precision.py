"""Precision: the candidate's flags against production's, of which neither precision is known."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.records.evidence import AtRate, Cell, Histogram
from gnomon.records.plan import OTHERWISE, Duration, Gate
from gnomon.records.verdict import Verdict
from tests.decide.parts import DAY, RATES, a_cell, gate_of, only, some_evidence, verdict_on
from tests.evidence.trial_log import a_plan


def flags(wrong: int, right: int) -> Histogram:
    return tuple((value, count) for value, count in ((-40, wrong), (0, right)) if count)


def precise(margin_ppm: int = 50_000, **fields: Any) -> Gate:
    form = "no_worse_than" if margin_ppm else "better_than"
    return gate_of("precision", form, label='"fraud"', margin_ppm=margin_ppm, **fields)


def cell_of(candidate: Histogram, production: Histogram, **changes: Any) -> Cell:
    return a_cell(candidate, **{"reference_low": production, "reference_high": production} | changes)


def on(candidate: Histogram, production: Histogram, gate: Gate | None = None, **changes: Any) -> Verdict:
    return verdict_on(a_plan(gate or precise()), some_evidence(cell_of(candidate, production, **changes)))


def test_an_equal_precision_passes_with_both_rates() -> None:
    verdict = on(flags(100, 1_900), flags(100, 1_900))
    test = only(verdict)
    assert verdict.verdict == "promote"
    assert (test.production, test.candidate, test.estimate) == (0.95, 0.95, 0.0)
    assert test.lower is not None
    assert test.upper is not None
    assert -0.05 < test.lower < 0 < test.upper
    assert test.reason.startswith(
        "precision of fraud overall: the candidate is not worse by 5.0 pp or more: 95.0 % of what the candidate "
        "flagged "
        "is right against 95.0 %, 2,000 units; e "
    )


def test_more_wrong_flags_beyond_the_margin_reject() -> None:
    verdict = on(flags(600, 1_400), flags(100, 1_900))
    assert verdict.verdict == "reject"
    assert verdict.sentence == (
        "Reject: precision of fraud overall: the candidate is worse by more than 5.0 pp: 70.0 % of what the candidate "
        "flagged is right against 95.0 %, 2,000 units."
    )


def test_better_than_needs_a_difference_that_both_arms_show() -> None:
    assert on(flags(100, 1_900), flags(100, 1_900), precise(0)).verdict == "continue"
    assert on(flags(40, 1_960), flags(300, 1_700), precise(0)).verdict == "promote"
    assert on(flags(300, 1_700), flags(40, 1_960), precise(0)).verdict == "reject"


def test_production_that_flagged_nothing_may_be_as_precise_as_can_be() -> None:
    """Then the candidate must be above 1 - margin, whatever production's precision is."""
    good = only(on(flags(20, 1_980), ()))
    assert good.result == "pass"
    assert (good.production, good.estimate, good.no_estimate) == (None, None, "production flagged nothing")
    assert "production flagged nothing" in good.reason
    assert only(on(flags(300, 1_700), ())).result == "inconclusive"
    assert only(on(flags(1_999, 1), ())).e_reject == 1.0


@pytest.mark.parametrize("production", [(), flags(100, 1_900)])
def test_a_candidate_that_flagged_nothing_has_no_precision(production: Histogram) -> None:
    test = only(on((), production, seen=5_000))
    assert test.result == "inconclusive"
    assert (test.e_promote, test.e_reject) == (1.0, 1.0)
    assert test.no_estimate == ("the candidate flagged nothing" if production else "neither arm flagged anything")


def test_a_precision_under_the_margin_cannot_be_worse_by_it() -> None:
    """Production is right on 3 in 100 flags: nothing is 5 pp worse than that."""
    test = only(on(flags(2_000, 0), flags(1_940, 60)))
    assert test.result != "fail"
    assert test.e_reject == 1.0


def test_flags_whose_truth_is_not_known_hurt_both_claims() -> None:
    """Wrong in the candidate and right in production for a promotion, the other way round for a rejection."""
    known = cell_of(flags(100, 1_900), flags(100, 1_900))
    unknown = a_cell(
        flags(400, 1_600),
        high=flags(100, 1_900),
        reference_low=flags(100, 1_900),
        reference_high=flags(400, 1_600),
    )
    plan = a_plan(precise())
    assert only(verdict_on(plan, some_evidence(known))).result == "pass"
    test = only(verdict_on(plan, some_evidence(unknown)))
    assert test.result == "inconclusive"
    assert test.lower is not None
    assert test.upper is not None
    assert test.lower < -0.15 < 0.1 < test.upper


def test_before_the_first_closed_cycle_only_harm_is_decided() -> None:
    plan = a_plan(precise(), duration=Duration(cycle_us=7 * DAY))
    early = a_cell((), high=flags(100, 1_900), reference_low=(), reference_high=flags(100, 1_900), seen=9_000)
    test = only(verdict_on(plan, some_evidence(early)))
    assert (test.result, test.lower, test.production, test.candidate) == ("inconclusive", None, 0.95, 0.95)
    harmed = structs.replace(early, high=flags(900, 1_100))
    assert verdict_on(plan, some_evidence(harmed)).verdict == "reject"


def test_weights_count_a_flag_by_its_traffic() -> None:
    """Right on all of many copied flags, wrong on 3 in 10 where one of twenty is copied: 28 % wrong in the traffic."""
    seldom = AtRate(
        probability=RATES[OTHERWISE],
        low=flags(300, 700),
        high=flags(300, 700),
        reference_low=flags(50, 950),
        reference_high=flags(50, 950),
    )
    often = AtRate(
        probability=RATES["at"],
        low=flags(0, 2_000),
        high=flags(0, 2_000),
        reference_low=flags(0, 2_000),
        reference_high=flags(0, 2_000),
    )
    cell = cell_of(flags(300, 2_700), flags(50, 2_950), by_rate=(seldom, often))
    test = only(verdict_on(a_plan(precise(100_000), rates=RATES), some_evidence(cell)))
    assert test.candidate == pytest.approx(1 - 300 * 20 / 22_000, abs=1e-8)
    assert test.production == pytest.approx(1 - 50 * 20 / 22_000, abs=1e-8)
    assert test.result == "fail"
    unweighted = only(on(flags(300, 2_700), flags(50, 2_950), precise(100_000)))
    assert unweighted.result != "fail"  # 90 % against 98 %


def test_harm_inside_the_margin_is_an_alarm() -> None:
    verdict = on(flags(1_000, 9_000), flags(600, 9_400), precise(80_000))
    assert verdict.verdict == "promote"
    assert verdict.reasons[1].startswith(
        "Alarm: precision of fraud overall: the candidate is worse than production (-4.0 pp),"
    )


@given(
    st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)),
    st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)),
    st.integers(1, 500),
)
@settings(max_examples=40, deadline=None)
def test_one_more_wrong_flag_never_helps_and_any_counts_give_numbers(
    candidate: tuple[int, int], production: tuple[int, int], more: int
) -> None:
    now = only(on(flags(*candidate), flags(*production)))
    worse = only(on(flags(candidate[0] + more, candidate[1]), flags(*production)))
    slack = 1 + 1e-6
    assert worse.e_promote <= now.e_promote * slack or not sum(candidate)
    assert worse.e_reject >= now.e_reject / slack or not sum(candidate)
    assert now.result != "pass" or sum(candidate)
    for test in (now, worse):
        assert test.lower is None or -1 <= test.lower <= 1
        assert test.upper is None or -1 <= test.upper <= 1
