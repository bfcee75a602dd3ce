"""The planner against the simulated stopping times of the gates' own functions, and against closed formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import invgauss

from gnomon.stats.betting import Claim, e_promote, e_reject, relative_claim
from gnomon.stats.planning import (
    moved,
    planned_units,
    ratio_units,
    rejection_units,
    smallest_detectable,
    stop_probability,
)

POWERS = (0.5, 0.8, 0.9)


def stops(function, claim: Claim, values, chances, step: int, looks: int, threshold: float, seed: int) -> np.ndarray:
    """The 50, 80 and 90 % quantiles of the first look at which 1,200 trials reach the threshold."""
    rng, trials = np.random.default_rng(seed), 1_200
    counts, stop = np.zeros((trials, len(values)), dtype=np.int64), np.full(trials, np.inf)
    running = np.arange(trials)
    for look in range(1, looks + 1):
        counts[running] += rng.multinomial(step, chances, size=len(running))
        hit = function(counts[running], values, [claim]) >= threshold
        stop[running[hit]] = look * step
        running = running[~hit]
        if len(running) < trials // 20:
            break
    return np.quantile(stop, POWERS)


@pytest.mark.parametrize(
    ("psi", "delta", "difference", "fixed"),
    [
        (0.10, 0.02, 0.0, 1578),
        (0.05, 0.01, 0.0, 3162),
        (0.30, 0.05, 0.0, 748),
        (0.02, 0.01, 0.0, 1397),
        (0.10, 0.02, 0.01, 709),
        (0.008, 0.005, 0.0, 2357),
    ],
)
def test_the_stopping_times_of_b2_are_within_ten_per_cent(psi, delta, difference, fixed) -> None:
    """statistics.md B2 and B19, looks every n80/150."""
    claim = Claim(margin=delta, disagreement=psi, difference=difference)
    chances = [(psi - difference) / 2, 1 - psi, (psi + difference) / 2]
    found = stops(e_promote, claim, (-40, 0, 40), chances, max(1, fixed // 150), 600, 20, seed=fixed)
    assert planned_units(claim, 0.05) == pytest.approx(found, rel=0.10)


def test_the_predictions_are_those_of_the_note() -> None:
    """Section 2, four of them; its third is a plan of (.02, .01) with another stake for the truth."""
    assert planned_units(Claim(margin=0.02, disagreement=0.10), 0.05) == pytest.approx((1516, 2694, 3619), rel=0.01)
    assert planned_units(Claim(margin=0.01, disagreement=0.05), 0.05) == pytest.approx((3038, 5398, 7250), rel=0.01)
    assert planned_units(Claim(margin=0.05, disagreement=0.30), 0.05) == pytest.approx((719, 1281, 1723), rel=0.01)


def test_a_wrong_plan_costs_what_it_costs() -> None:
    """B3: the plan says psi = .10, and the truth is that nothing or three times as much disagrees."""
    claim = Claim(margin=0.02, disagreement=0.10)
    for difference in (0.02, -0.01):
        chances = [(0.1 - difference) / 2, 0.9, (0.1 + difference) / 2]
        found = stops(e_promote, claim, (-40, 0, 40), chances, 20, 1_500, 20, seed=7)
        assert planned_units(claim, 0.05, true_difference=difference) == pytest.approx(found, rel=0.12)


@pytest.mark.parametrize(
    ("rate", "margin", "truth"), [(0.01, 0.02, 0.01), (0.005, 0.01, 0.005), (0.01, 0.02, 0.005), (0.05, 0.08, 0.05)]
)
def test_a_limit_on_a_rate_takes_as_long_as_predicted(rate: float, margin: float, truth: float) -> None:
    claim = Claim(margin=margin, disagreement=rate, top=0)
    found = stops(e_promote, claim, (-40, 0), [truth, 1 - truth], 10, 2_000, 20, seed=8)
    assert planned_units(claim, 0.05, true_difference=-truth) == pytest.approx(
        found, rel=0.10 if truth == rate else 0.15
    )


def test_a_relative_error_rate_takes_as_long_as_predicted() -> None:
    claim = relative_claim(3, 2, 0.01, 0.006)
    found = stops(e_promote, claim, (-80, 0, 40, 120), [0.004, 0.986, 0.006, 0.004], 40, 600, 20, seed=9)
    assert planned_units(claim, 0.05) == pytest.approx(found, rel=0.10)


def test_scores_with_expected_outcomes_take_as_long_as_predicted() -> None:
    outcomes = ((-1.0, 0.01), (-0.5, 0.1), (-0.25, 0.15), (0.25, 0.16), (0.5, 0.09), (1.0, 0.01))
    claim = Claim(margin=0.05, disagreement=0.52, outcomes=outcomes)
    chances = [0.01, 0.1, 0.15, 0.48, 0.16, 0.09, 0.01]
    found = stops(e_promote, claim, (-40, -20, -10, 0, 10, 20, 40), chances, 4, 1_000, 20, seed=10)
    assert planned_units(claim, 0.05) == pytest.approx(found, rel=0.10)


@pytest.mark.parametrize("difference", [-0.11, -0.08, -0.06])
def test_a_harm_is_rejected_as_fast_as_predicted(difference: float) -> None:
    """A margin of 4 pp, 8 % planned; a quarter of that stays in the candidate's favour. 20 tests at 5 %."""
    claim = Claim(margin=0.04, disagreement=0.08)
    chances = [0.02 - difference, 0.96 + difference, 0.02]
    found = stops(e_reject, claim, (-40, 0, 40), chances, 10, 2_000, 400, seed=11)
    units = rejection_units(claim, 0.05, true_difference=difference, tests=20)
    assert units == pytest.approx(found, rel=0.12)


@pytest.mark.parametrize(
    "claim",
    [
        Claim(margin=0.04, disagreement=0.08),
        Claim(margin=0.0, disagreement=0.08),
        Claim(margin=0.02, disagreement=0.01, top=0),
        relative_claim(3, 2, 0.01, 0.006),
        Claim(margin=0.05, disagreement=0.5, outcomes=((-0.5, 0.2), (0.5, 0.2), (1.0, 0.05))),
    ],
)
def test_the_smallest_detectable_harm_is_detected_in_just_those_units(claim: Claim) -> None:
    drop = smallest_detectable(claim, 0.05, 4_000, power=0.8, tests=4)
    assert drop is not None
    assert drop > claim.margin
    (units,) = rejection_units(claim, 0.05, (0.8,), true_difference=-drop, tests=4)
    assert units == pytest.approx(4_000, rel=0.01)


def test_more_units_find_smaller_harm_and_too_few_find_none() -> None:
    claim = Claim(margin=0.04, disagreement=0.08)
    drops = [smallest_detectable(claim, 0.05, units) for units in (100, 1_000, 10_000, 100_000)]
    assert drops == sorted(drops, reverse=True)
    assert drops[-1] < 0.05
    assert smallest_detectable(claim, 0.05, 2) is None


def test_a_candidate_at_the_margin_or_beyond_is_never_promoted_and_inside_it_never_rejected() -> None:
    claim = Claim(margin=0.02, disagreement=0.10)
    for truth in (-0.02, -0.05, -1.0):
        assert planned_units(claim, 0.05, true_difference=truth) == (None, None, None)
    for truth in (-0.02, 0.0, 0.5):
        assert rejection_units(claim, 0.05, true_difference=truth) == (None, None, None)
    assert planned_units(claim, 0.05, true_difference=-1.5) == (None, None, None)  # no such mean
    assert stop_probability(10**9, [(1, 0.05), (0, 0.9), (-1, 0.05)], 0.05) == 0


@given(st.floats(0.01, 0.5), st.floats(0.001, 0.2), st.integers(10, 10**6))
@settings(deadline=None)
def test_the_probability_is_the_inverse_gaussian_law_and_rises(psi: float, delta: float, n: int) -> None:
    """scipy's invgauss is another implementation of the first-passage law."""
    claim = Claim(margin=delta, disagreement=psi)
    stake = min(0.98 / (1 - delta), kelly_by_search([(1 + delta, psi / 2), (delta, 1 - psi), (delta - 1, psi / 2)]))
    logs = np.log1p(stake * np.array([1 + delta, delta, delta - 1]))
    chances = np.array([psi / 2, 1 - psi, psi / 2])
    g, s = float(logs @ chances), math.sqrt(float(chances @ (logs - logs @ chances) ** 2))
    b = math.log(20) + 0.75
    mean, shape = b / g, (b / s) ** 2
    expected = invgauss.cdf(n, mean / shape, scale=shape)
    assert float(stop_probability(n, claim, 0.05)) == pytest.approx(expected, abs=2e-3)
    assert float(stop_probability(2 * n, claim, 0.05)) >= float(stop_probability(n, claim, 0.05)) - 1e-12


def kelly_by_search(outcomes) -> float:
    from scipy.optimize import minimize_scalar

    limit = -1 / min(x for x, _ in outcomes)
    found = minimize_scalar(
        lambda x: -sum(p * math.log1p(x * v) for v, p in outcomes), bounds=(0, limit * 0.999999), method="bounded"
    )
    return float(found.x)


def test_a_threshold_replaces_alpha() -> None:
    claim = Claim(margin=0.02, disagreement=0.10)
    assert planned_units(claim, 0.05, threshold=400) == planned_units(claim, 0.0025)


@pytest.mark.parametrize(
    ("bound", "true", "power", "measured", "tolerance"),
    [
        (1.25, 1.0, 0.5, 4_000, 0.10),
        (1.25, 1.0, 0.8, 5_000, 0.10),
        (1.25, 1.1, 0.5, 10_500, 0.10),
        (1.25, 1.1, 0.8, 15_000, 0.10),
        (1.10, 1.0, 0.5, 14_000, 0.20),
        (1.10, 1.0, 0.8, 20_200, 0.10),
    ],
)
def test_a_ratio_takes_about_as_long_as_was_measured(bound, true, power, measured, tolerance) -> None:
    """statistics.md 1.3 and B8: lognormal, sigma .566, correlation .5; the scan's median is optimistic."""
    units = ratio_units(bound, true, 0.566, 0.99, 0.05, power, correlation=0.5)
    assert units == pytest.approx(measured, rel=tolerance)


def test_a_ratio_at_the_bound_is_never_shown() -> None:
    assert ratio_units(1.1, 1.1, 0.5, 0.99, 0.05) is None
    assert ratio_units(1.1, 1.3, 0.5, 0.99, 0.05) is None
    with pytest.raises(ValueError, match="sigma"):
        ratio_units(1.1, 1.0, 0.0, 0.99, 0.05)


@pytest.mark.parametrize(("truth", "tests"), [(0.05, 1), (0.035, 10)])
def test_a_rate_over_its_limit_is_rejected_as_fast_as_predicted(truth: float, tests: int) -> None:
    claim = Claim(margin=0.02, disagreement=0.01, top=0)
    found = stops(e_reject, claim, (-40, 0), [truth, 1 - truth], 5, 2_000, 20 * tests, seed=12)
    assert rejection_units(claim, 0.05, true_difference=-truth, tests=tests) == pytest.approx(found, rel=0.12)


@pytest.mark.parametrize("tests", [1, 20])
def test_a_ratio_of_error_rates_over_its_bound_is_rejected_as_fast_as_predicted(tests: int) -> None:
    """2.7 times production's errors where 1.5 times is the bound; the truth is the plan, tilted to that mean."""
    claim = relative_claim(3, 2, 0.01, 0.006)
    true = dict(moved(claim, -0.004))
    values = (-80, 0, 40, 120)
    chances = [sum(p for x, p in true.items() if round(x * 120) == value) for value in values]
    found = stops(e_reject, claim, values, chances, 20, 2_000, 20 * tests, seed=13)
    assert rejection_units(claim, 0.05, true_difference=-0.004, tests=tests) == pytest.approx(found, rel=0.12)
