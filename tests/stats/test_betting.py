"""The betting e-process against literal computations, exact enumerations and simulated trials."""

import itertools
import json
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multinomial
from statsmodels.stats.multitest import multipletests

from gnomon.stats import betting
from gnomon.stats.betting import (
    Claim,
    e_holm,
    e_promote,
    e_reject,
    lower_bounds,
    tabulate,
    tabulate_weighted,
    upper_bounds,
)

THREE = (-40, 0, 40)
PLANNED = Claim(margin=0.02, disagreement=0.10)
RATE = Claim(margin=0.05, disagreement=0.01, top=0)

claims = st.builds(
    Claim,
    margin=st.floats(0.001, 0.5),
    disagreement=st.floats(0, 1),
    difference=st.floats(-0.2, 0.2),
    top=st.sampled_from([0, 1]),
)


def histograms(top: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    values = st.integers(-40, 40 * top)
    return st.lists(st.tuples(values, st.integers(0, 5_000)), max_size=6, unique_by=lambda pair: pair[0])


cases = claims.flatmap(lambda claim: st.tuples(st.just(claim), histograms(claim.top)))


def row(*counts: int) -> np.ndarray:
    return np.array([counts], dtype=np.int64)


def one(function, claim: Claim, histogram) -> float:
    counts, values = tabulate([histogram])
    return float(function(counts, values, [claim])[0])


def literal_weights(center: float | None) -> list[float]:
    """0.8 lognormal (sd 0.7 in log kappa) + 0.2 log-uniform on 64 log-spaced stakes, as the note has it."""
    kappas = [0.002 * (0.98 / 0.002) ** (i / 63) for i in range(64)]
    if center is None:
        return [1 / 64] * 64
    bell = [math.exp(-((math.log(k) - math.log(min(max(center, 0.002), 0.98))) ** 2) / (2 * 0.49)) for k in kappas]
    return [0.8 * b / sum(bell) + 0.2 / 64 for b in bell]


def best_stake(outcomes, limit: float) -> float:
    """By numerical search, not by the formula."""
    found = minimize_scalar(
        lambda x: -sum(p * math.log1p(x * v) for v, p in outcomes if p > 0),
        bounds=(0, limit * 0.999999),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return float(found.x)


def test_promotion_is_the_product_over_units_of_the_note() -> None:
    """Section 1.1, computed unit by unit: 6 wins, 9 losses, 385 ties at a margin of 2 pp."""
    kappa = 0.98 * best_stake([(1.02, 0.05), (0.02, 0.90), (-0.98, 0.05)], 1 / 0.98)
    expected = 0.0
    for i, weight in enumerate(literal_weights(kappa)):
        stake = 0.002 * (0.98 / 0.002) ** (i / 63) / 0.98
        wealth = 1.0
        for d in [1] * 6 + [-1] * 9 + [0] * 385:
            wealth *= 1 + stake * (d + 0.02)
        expected += weight * wealth

    assert e_promote(row(9, 385, 6), THREE, [PLANNED])[0] == pytest.approx(expected, rel=1e-6)


def test_rejection_bets_the_other_way_on_the_same_units() -> None:
    """Rule 4: lambda = kappa / (1 + delta), centred on a candidate worse by three margins."""
    claim = Claim(margin=0.04, disagreement=0.08)
    kappa = 1.04 * best_stake([(0.96, 0.14), (-0.04, 0.84), (-1.04, 0.02)], 1 / 1.04)
    expected = 0.0
    for i, weight in enumerate(literal_weights(kappa)):
        stake = 0.002 * (0.98 / 0.002) ** (i / 63) / 1.04
        wealth = (1 + stake * 0.96) ** 30 * (1 - stake * 0.04) ** 190 * (1 - stake * 1.04) ** 5
        expected += weight * wealth

    assert e_reject(row(30, 190, 5), THREE, [claim])[0] == pytest.approx(expected, rel=1e-6)


def test_a_limit_without_a_single_failure_passes_when_the_note_says() -> None:
    """Section 1.5: 6.3/p with the log-uniform mixture (a plan that expects the null), 4.4/p with a planned one."""

    def needed(claim: Claim) -> int:
        return next(n for n in range(1, 2_000) if e_promote(row(n), (0,), [claim])[0] >= 20)

    assert needed(Claim(margin=0.01, disagreement=0.5, top=0)) == pytest.approx(630, rel=0.03)
    assert 300 <= needed(Claim(margin=0.01, disagreement=0.0, top=0)) <= 440


@pytest.mark.parametrize("function", [e_promote, e_reject])
def test_no_data_is_no_evidence(function) -> None:
    assert one(function, PLANNED, []) == 1.0
    assert one(function, PLANNED, [(0, 0)]) == 1.0
    assert one(function, RATE, []) == 1.0


@given(cases)
@settings(deadline=None)
def test_nothing_is_nan_or_infinite(case) -> None:
    claim, histogram = case
    counts, values = tabulate([histogram])
    numbers = [f(counts, values, [claim])[0] for f in (e_promote, e_reject)]
    numbers += [f(counts, values, [claim], 0.05)[0] for f in (lower_bounds, upper_bounds)]
    assert all(math.isfinite(number) for number in numbers)
    assert numbers[2] <= numbers[3] + 1e-9


def test_a_huge_e_value_stays_a_json_number() -> None:
    counts = row(0, 10**12, 10**12)
    e = float(e_promote(counts, THREE, [PLANNED])[0])
    assert e == betting.CAP
    assert json.loads(json.dumps(e)) == e


@given(cases, st.data())
def test_one_more_win_never_lowers_promotion_and_one_more_loss_never_lowers_rejection(case, data) -> None:
    claim, histogram = case
    better = [*histogram, (40 * claim.top, 1)]
    worse = [*histogram, (-40, 1)]
    assert one(e_promote, claim, better) >= one(e_promote, claim, histogram) * (1 - 1e-12)
    assert one(e_reject, claim, worse) >= one(e_reject, claim, histogram) * (1 - 1e-12)


@given(st.lists(cases, min_size=1, max_size=5))
def test_a_row_has_the_same_bits_alone_and_among_others(many) -> None:
    counts, values = tabulate([histogram for _, histogram in many])
    each = [claim for claim, _ in many]
    for function in (e_promote, e_reject):
        together = function(counts, values, each)
        assert [float(e).hex() for e in together] == [one(function, claim, h).hex() for claim, h in many]


@given(cases)
def test_a_histogram_means_the_same_in_any_order_and_any_split(case) -> None:
    claim, histogram = case
    split = [(v, n // 3) for v, n in histogram] + [(v, n - n // 3) for v, n in reversed(histogram)]
    assert one(e_promote, claim, split).hex() == one(e_promote, claim, histogram).hex()


@given(claims, st.floats(0, 1))
@settings(max_examples=60)
def test_the_mean_of_the_e_value_is_at_most_one_where_the_null_holds(claim: Claim, loss: float) -> None:
    """Exact enumeration of five units at the boundary mean D = -margin, with any share of losses that allows it."""
    loss = claim.margin + (1 - claim.margin) / 2 * loss * claim.top  # P(-1); then P(+1) = P(-1) - margin
    chances = [loss, 1 - 2 * loss + claim.margin, loss - claim.margin]
    tables = [(a, b, 5 - a - b) for a in range(6) for b in range(6 - a)]
    if claim.top == 0:
        tables = [t for t in tables if t[2] == 0]
    counts = np.array(tables, dtype=np.int64)
    probability = multinomial.pmf(counts, 5, np.maximum(chances, 0))
    for function in (e_promote, e_reject):
        assert float(probability @ function(counts, THREE, [claim])) <= 1 + 1e-9


@given(cases, st.sampled_from([0.05, 0.01]))
def test_the_interval_excludes_the_margin_exactly_when_the_test_is_shown(case, alpha: float) -> None:
    claim, histogram = case
    counts, values = tabulate([histogram])
    e_up, e_down = one(e_promote, claim, histogram), one(e_reject, claim, histogram)
    if not math.isclose(e_up, 1 / alpha, rel_tol=1e-6):
        assert (lower_bounds(counts, values, [claim], alpha)[0] > -claim.margin) == (e_up > 1 / alpha)
    if not math.isclose(e_down, 1 / alpha, rel_tol=1e-6):
        assert (upper_bounds(counts, values, [claim], alpha)[0] < -claim.margin) == (e_down > 1 / alpha)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="D must be in"):
        e_promote(row(1), (40,), [RATE])
    with pytest.raises(ValueError, match="must not be negative"):
        e_promote(row(-1), (40,), [PLANNED])
    with pytest.raises(ValueError, match="margin"):
        Claim(margin=0, disagreement=0.1, top=0)


@given(st.floats(0.01, 0.3), st.floats(0.01, 0.6), st.floats(0, 1))
def test_the_planned_stake_is_the_one_that_grows_fastest(delta: float, moved: float, tilt: float) -> None:
    good = moved * (0.5 + tilt / 2)
    outcomes = [(1 + delta, good), (delta, 1 - moved), (delta - 1, moved - good)]
    if moved - good < 1e-3:
        return
    found = betting.kelly(outcomes)
    above = min(found * 1.01, (found + 1 / (1 - delta)) / 2)  # a stake of 1 / (1 - delta) can lose everything
    growth = [sum(p * math.log1p(x * v) for v, p in outcomes) for x in (found * 0.99, found, above)]
    assert growth[1] >= max(growth[0], growth[2])


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=8))
def test_holm_names_what_statsmodels_names(e_values: list[float]) -> None:
    p_values = [min(1.0, 1 / e) for e in e_values]
    with mock.patch("gc.collect"):  # multipletests collects garbage once a call: 80 ms, and more in a large process
        expected = multipletests(p_values, alpha=0.05, method="holm")[0]
    borderline = any(math.isclose(e * 0.05, k, rel_tol=1e-9) for e in e_values for k in range(1, 9))
    if not borderline:
        assert e_holm(e_values, 0.05) == tuple(np.flatnonzero(expected))


# weights -----------------------------------------------------------------------------------------------------------


def test_without_weights_the_numbers_are_those_of_the_release_before() -> None:
    """Taken from the code before there were weights: plans with one rate keep their verdicts, bit by bit."""
    counts, values = tabulate([[(-40, 90), (-13, 7), (0, 2_600), (26, 5), (40, 110)]])
    rates, bad_or_not = tabulate([[(-40, 4), (0, 296)]])
    for weights in (None, [1.0] * len(values)):
        assert float(e_promote(counts, values, [PLANNED], weights)[0]) == pytest.approx(240645.88973009135, rel=1e-13)
        assert float(e_reject(counts, values, [PLANNED], weights)[0]) == pytest.approx(0.04722571713279317, rel=1e-13)
        assert float(lower_bounds(counts, values, [PLANNED], 0.05, weights)[0]) == -0.006670791934084264
        assert float(upper_bounds(counts, values, [PLANNED], 0.05, weights)[0]) == 0.022670764052236336
    assert float(e_promote(rates, bad_or_not, [RATE])[0]) == pytest.approx(130.78175077586624, rel=1e-13)
    assert float(e_reject(rates, bad_or_not, [RATE])[0]) == pytest.approx(0.02432788018806346, rel=1e-13)


@given(cases, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_groups_of_weight_one_are_one_histogram(case, parts: int) -> None:
    claim, histogram = case
    groups = [(1.0, [(v, n // parts + (part < n % parts)) for v, n in histogram]) for part in range(parts)]
    counts, values, weights = tabulate_weighted([groups])
    whole, plain = tabulate([histogram])
    assert (counts.tolist(), values) == (whole.tolist(), plain)
    for function in (e_promote, e_reject):
        assert float(function(counts, values, [claim], weights)[0]).hex() == one(function, claim, histogram).hex()
    for bound in (lower_bounds, upper_bounds):
        assert bound(counts, values, [claim], 0.05, weights)[0] == bound(whole, plain, [claim], 0.05)[0]


GROUPS = [(1.0, [(-40, 3), (0, 37), (40, 2)]), (0.05, [(-40, 40), (0, 900), (20, 4), (40, 60)])]
"""Drawn at the lowest rate, and at twenty times that."""


def test_a_weighted_e_value_is_the_product_over_units_of_one_plus_stake_times_weight() -> None:
    kappa = 0.98 * best_stake([(1.02, 0.05), (0.02, 0.90), (-0.98, 0.05)], 1 / 0.98)
    expected = 0.0
    for i, share in enumerate(literal_weights(kappa)):
        stake = 0.002 * (0.98 / 0.002) ** (i / 63) / 0.98
        wealth = 1.0
        for weight, histogram in GROUPS:
            for value, units in histogram:
                for _ in range(units):
                    wealth *= 1 + stake * weight * (value / 40 + 0.02)
        expected += share * wealth
    counts, values, weights = tabulate_weighted([GROUPS])
    assert e_promote(counts, values, [PLANNED], weights)[0] == pytest.approx(expected, rel=1e-6)


def test_a_weighted_rejection_of_a_rate_bets_against_the_same_weighted_units() -> None:
    kappa = 0.05 * best_stake([(0.95, 0.10), (-0.05, 0.90)], 1 / 0.05)
    expected = 0.0
    for i, share in enumerate(literal_weights(kappa)):
        stake = 0.002 * (0.98 / 0.002) ** (i / 63) / 0.05
        wealth = (1 + stake * 0.95) ** 3 * (1 - stake * 0.05) ** 37
        wealth *= (1 + stake * 0.25 * 0.95) ** 40 * (1 - stake * 0.25 * 0.05) ** 400
        expected += share * wealth
    counts, values, weights = tabulate_weighted([[(1.0, [(-40, 3), (0, 37)]), (0.25, [(-40, 40), (0, 400)])]])
    assert e_reject(counts, values, [RATE], weights)[0] == pytest.approx(expected, rel=1e-6)


@given(claims, st.floats(0, 1), st.floats(0, 1), st.sampled_from([1.0, 0.5, 0.05]), st.floats(0.05, 0.95))
@settings(max_examples=60, deadline=None)
def test_the_mean_of_a_weighted_e_value_is_at_most_one_where_the_null_holds(
    claim: Claim, loss: float, other: float, lowest: float, share: float
) -> None:
    """Exact, over four arrivals of two strata: which one, whether the coin says yes, and what D is.

    Only the mean over both strata is at the boundary; they may be as different from each other as can be.
    """
    always = claim.margin * loss  # the mean of -D in the stratum that is drawn always
    seldom = (claim.margin - share * always) / (1 - share)
    if seldom > 1:
        return
    chances = []
    for part, rate, worse in ((share, 1.0, always), (1 - share, lowest, seldom)):
        wins = (1 - worse) / 2 * other * claim.top
        chances += [part * rate * each for each in (worse + wins, 1 - worse - 2 * wins, wins)]
    tables = [t for t in itertools.product(range(5), repeat=6) if sum(t) <= 4]
    counts = np.array(tables, dtype=np.int64)
    if claim.top == 0:
        counts = counts[(counts[:, 2] == 0) & (counts[:, 5] == 0)]
    unseen = 4 - counts.sum(axis=1, keepdims=True)
    every = np.maximum([*chances, 1 - sum(chances)], 0)
    probability = multinomial.pmf(np.hstack([counts, unseen]), 4, every / every.sum())
    for function in (e_promote, e_reject):
        found = function(counts, (*THREE, *THREE), [claim], [lowest] * 3 + [1.0] * 3)
        assert float(probability @ found) <= 1 + 1e-9


@given(cases, st.floats(0.01, 1), st.sampled_from([0.05, 0.01]))
@settings(max_examples=40, deadline=None)
def test_a_weighted_interval_excludes_the_margin_exactly_when_the_weighted_test_is_shown(
    case, weight: float, alpha: float
) -> None:
    claim, histogram = case
    counts, values, weights = tabulate_weighted([[(weight, histogram), (1.0, [(-40, 2), (0, 90)])]])
    e_up = e_promote(counts, values, [claim], weights)[0]
    e_down = e_reject(counts, values, [claim], weights)[0]
    if not math.isclose(e_up, 1 / alpha, rel_tol=1e-6):
        assert (lower_bounds(counts, values, [claim], alpha, weights)[0] > -claim.margin) == (e_up > 1 / alpha)
    if not math.isclose(e_down, 1 / alpha, rel_tol=1e-6):
        assert (upper_bounds(counts, values, [claim], alpha, weights)[0] < -claim.margin) == (e_down > 1 / alpha)


@pytest.mark.parametrize("weights", [[0.0], [1.5], [-0.1], [math.nan], [], [1.0, 1.0]])
def test_a_weight_that_no_probability_gives_is_refused(weights: list[float]) -> None:
    for function in (e_promote, e_reject):
        with pytest.raises(ValueError, match="one weight"):
            function(row(1), (0,), [PLANNED], weights)


# simulated trials --------------------------------------------------------------------------------------------------


def paths(rng: np.random.Generator, trials: int, units: int, step: int, chances) -> np.ndarray:
    """Cumulative (losses, ties, wins) at each look: shape (trials, looks, 3)."""
    steps = rng.multinomial(step, chances, size=(trials, units // step))
    return steps.cumsum(axis=1)


def ever(function, counts: np.ndarray, claim: Claim, threshold: float) -> np.ndarray:
    flat = counts.reshape(-1, 3)
    return (function(flat, THREE, [claim]).reshape(counts.shape[:2]) >= threshold).any(axis=1)


def naive(counts: np.ndarray, margin: float, sign: int) -> np.ndarray:
    """A Wald test at 5 % at every look."""
    n = counts.sum(axis=2)
    mean = (counts[..., 2] - counts[..., 0]) / n
    deviation = np.sqrt(np.maximum((counts[..., 2] + counts[..., 0]) / n - mean**2, 1e-9) / n)
    return (sign * (mean + margin) / deviation >= 1.645).any(axis=1)


@pytest.mark.parametrize(("psi", "delta"), list(itertools.product([0.05, 0.20], [0.02, 0.04])))
def test_a_candidate_at_the_margin_is_seldom_promoted_however_often_one_looks(psi: float, delta: float) -> None:
    """B1 in small: 400 trials, 200 looks. The fixed-sample test at every look is wrong far more often."""
    rng = np.random.default_rng(20)
    counts = paths(rng, 400, 10_000, 50, [(psi + delta) / 2, 1 - psi, (psi - delta) / 2])
    claim = Claim(margin=delta, disagreement=psi)
    assert ever(e_promote, counts, claim, 20).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert naive(counts, delta, 1).mean() > 0.2


def test_a_candidate_at_the_margin_is_seldom_rejected_however_often_one_looks() -> None:
    rng = np.random.default_rng(21)
    counts = paths(rng, 400, 10_000, 50, [0.12, 0.80, 0.08])
    assert ever(e_reject, counts, Claim(margin=0.04, disagreement=0.2), 20).mean() <= 0.05 + 3 * 0.0109
    assert naive(counts, 0.04, -1).mean() > 0.2


def test_an_equal_candidate_is_promoted_in_about_the_planned_time() -> None:
    """B2: psi .10, margin 2 pp, n80 = 1578: median at most 1.05 n80, 80 % by 1.95 n80."""
    rng = np.random.default_rng(22)
    counts = paths(rng, 400, 3_100, 10, [0.05, 0.90, 0.05])
    flat = e_promote(counts.reshape(-1, 3), THREE, [PLANNED]).reshape(400, -1) >= 20
    stop = np.where(flat.any(axis=1), (flat.argmax(axis=1) + 1) * 10, 10**6)
    assert np.quantile(stop, 0.5) <= 1.05 * 1578
    assert np.quantile(stop, 0.8) <= 1.95 * 1578


def test_clear_harm_is_found_within_some_hundred_units() -> None:
    """Production right on 94 %, the candidate on 83 %, a margin of 4 pp, threshold 20 tests / 5 %."""
    rng = np.random.default_rng(23)
    counts = paths(rng, 400, 800, 5, [0.122, 0.866, 0.012])
    hit = e_reject(counts.reshape(-1, 3), THREE, [Claim(margin=0.04, disagreement=0.08)]).reshape(400, -1) >= 400
    stop = np.where(hit.any(axis=1), (hit.argmax(axis=1) + 1) * 5, 10**6)
    assert np.quantile(stop, 0.5) <= 330
    assert np.quantile(stop, 0.95) < 800


def sampled_strata(rng: np.random.Generator, means: tuple[float, float]) -> np.ndarray:
    """Cumulative counts at 100 looks of 300 trials: D in the stratum drawn always (a fifth), then in that at 5 %."""
    chances = []
    for share, rate, mean in ((0.2, 1.0, means[0]), (0.8, 0.05, means[1])):
        chances += [share * rate * each for each in (0.1 - mean / 2, 0.8, 0.1 + mean / 2)]
    steps = rng.multinomial(400, [*chances, 1 - sum(chances)], size=(300, 100))
    return steps[..., :6].cumsum(axis=1)


@pytest.mark.parametrize(("function", "tilt"), [(e_promote, 0.06), (e_reject, -0.14)])
def test_oversampling_a_stratum_in_which_the_candidate_differs_proves_nothing(function, tilt: float) -> None:
    """The candidate is exactly at the margin over all traffic, and better (or worse) where it is seen most."""
    claim = Claim(margin=0.04, disagreement=0.2)
    counts = sampled_strata(np.random.default_rng(24), (tilt, (-0.04 - 0.2 * tilt) / 0.8)).reshape(-1, 6)
    weighted = function(counts, THREE * 2, [claim], [0.05] * 3 + [1.0] * 3).reshape(300, 100) >= 20
    naive = function(counts[:, :3] + counts[:, 3:], THREE, [claim]).reshape(300, 100) >= 20
    assert weighted.any(axis=1).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert naive.any(axis=1).mean() > 0.9


def test_an_equal_candidate_is_promoted_on_weighted_evidence_too() -> None:
    counts = sampled_strata(np.random.default_rng(25), (0.0, 0.0))[:, -1]
    passed = e_promote(counts, THREE * 2, [Claim(margin=0.04, disagreement=0.2)], [0.05] * 3 + [1.0] * 3) >= 20
    assert passed.mean() > 0.8


# other bounds, grids and expectations --------------------------------------------------------------------------------


@st.composite
def bounded(draw) -> tuple[Claim, list[int]]:
    """Any bounds and grid, a margin that fits, three expected outcomes; and the values a unit may take."""
    grid = draw(st.integers(1, 60))
    low, high = draw(st.integers(-2 * grid, -1)), draw(st.integers(1, grid))
    margin = draw(st.floats(0, 0.9)) * -low / grid
    inner = draw(st.integers(low, high))
    chances = [draw(st.floats(0, 0.33)) for _ in range(3)]
    outcomes = tuple(zip((low / grid, inner / grid, high / grid), chances, strict=True))
    claim = Claim(
        margin=margin,
        disagreement=draw(st.floats(0, 1)),
        top=high / grid,
        bottom=low / grid,
        grid=grid,
        outcomes=outcomes if draw(st.booleans()) else (),
    )
    return claim, sorted({low, inner, high})


@given(bounded(), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_with_any_bounds_the_mean_of_the_e_value_is_at_most_one_where_the_null_holds(case, share: float, side) -> None:
    """Exact, over five units of a distribution whose mean is exactly -margin."""
    claim, values = case
    d = np.array(values) / claim.grid
    under, over = (v for v in (d[d <= -claim.margin], d[d > -claim.margin]))
    if not len(under) or not len(over):
        return
    low, high = under[int(side * (len(under) - 1))], over[-1]
    weight = (-claim.margin - low) / (high - low) if high > low else 0.0
    chance = np.zeros(len(values))
    chance[list(d).index(high)] += weight
    chance[list(d).index(low)] += 1 - weight
    tables = [t for t in itertools.product(range(6), repeat=len(values)) if sum(t) == 5]
    counts = np.array(tables, dtype=np.int64)
    probability = multinomial.pmf(counts, 5, chance)
    for function in (e_promote, e_reject):
        assert float(probability @ function(counts, values, [claim])) <= 1 + 1e-9


@given(bounded(), st.lists(st.integers(0, 10**5), min_size=3, max_size=3), st.sampled_from([0.05, 0.001]))
@settings(deadline=None)
def test_with_any_bounds_the_interval_is_inside_them_and_agrees_with_the_test(case, numbers, alpha: float) -> None:
    claim, values = case
    histogram = list(zip(values, numbers, strict=False))
    counts, columns = tabulate([histogram])
    lower = lower_bounds(counts, columns, [claim], alpha)[0]
    upper = upper_bounds(counts, columns, [claim], alpha)[0]
    assert claim.bottom <= lower <= upper + 1e-9
    assert upper <= claim.top
    e_up, e_down = one(e_promote, claim, histogram), one(e_reject, claim, histogram)
    if not math.isclose(e_up, 1 / alpha, rel_tol=1e-6):
        assert (lower > -claim.margin) == (e_up > 1 / alpha)
    if not math.isclose(e_down, 1 / alpha, rel_tol=1e-6):
        assert (upper < -claim.margin) == (e_down > 1 / alpha)


@given(cases, st.floats(0.001, 0.2))
@settings(max_examples=60, deadline=None)
def test_the_end_of_an_interval_is_where_forty_halvings_of_it_end(case, alpha: float) -> None:
    """The search is faster than halving, its answer is the same: recorded intervals recompute."""
    claim, histogram = case
    counts, values = tabulate([histogram])
    for bounds, function, top, falling in (
        (lower_bounds, betting._promoting, 1.0, True),
        (upper_bounds, betting._rejecting, float(claim.top), False),
    ):
        low, high, weights = -1.0, top, function(claim)[1]
        for _ in range(40):
            middle = (low + high) / 2
            wealth = weights.copy()
            for (value,), number in zip(np.array(values)[:, None], counts[0], strict=True):
                gain = (
                    (value / 40 - middle) / (1 + middle) if falling else -(value / 40 - middle) / (claim.top - middle)
                )
                wealth += number * np.log1p(np.maximum(betting.KAPPAS * gain, -0.99))
            excluded = wealth.max() + np.log(np.exp(wealth - wealth.max()).sum()) >= -math.log(alpha)
            low, high = (middle, high) if excluded == falling else (low, middle)
        found = bounds(counts, values, [claim], alpha)[0]
        assert found == pytest.approx(low if falling else high, abs=4e-12)


def test_rows_of_one_table_may_have_different_grids() -> None:
    claims = [PLANNED, Claim(margin=0.02, disagreement=0.10, grid=1)]
    counts, values = tabulate([[(-40, 9), (0, 385), (40, 6)], [(-1, 9), (0, 385), (1, 6)]])
    for function in (e_promote, e_reject):
        first, second = function(counts, values, claims)
        assert first == second
    for bound in (lower_bounds, upper_bounds):
        first, second = bound(counts, values, claims, 0.05)
        assert first == second
    with pytest.raises(ValueError, match="D must be in"):
        e_promote(counts[::-1], values, claims)


def test_a_relative_claim_is_the_product_of_the_note() -> None:
    """Section 1.5: R = 3/2, X = R 1[A] - 1[B]; 12 joint errors, 9 of production alone, 7 of the candidate alone."""
    claim = betting.relative_claim(3, 2, rate=0.01, joint=0.006)
    assert (claim.bottom, claim.grid, claim.margin, claim.top) == (-2 / 3, 120, 0.0, 1)
    center = best_stake([(0.5, 0.006), (1.5, 0.004), (-1, 0.004)], 1)
    expected = 0.0
    for i, weight in enumerate(literal_weights(center)):
        stake = 0.002 * (0.98 / 0.002) ** (i / 63)
        expected += weight * (1 + stake * 0.5) ** 12 * (1 + stake * 1.5) ** 9 * (1 - stake) ** 7
    histogram = [(40, 12), (120, 9), (-80, 7), (0, 972)]
    assert one(e_promote, claim, histogram) == pytest.approx(expected, rel=1e-6)


def test_a_candidate_with_half_the_relative_bound_passes_and_with_twice_it_is_rejected() -> None:
    claim = betting.relative_claim(3, 2, rate=0.02, joint=0.01)
    fewer, more = [(120, 150), (40, 150), (-80, 75), (0, 14_625)], [(40, 150), (120, 150), (-80, 750), (0, 13_950)]
    assert one(e_promote, claim, fewer) > 20 > 1 > one(e_reject, claim, fewer)
    assert one(e_reject, claim, more) > 20 > 1 > one(e_promote, claim, more)


@pytest.mark.parametrize("bad", [{"num": 0}, {"den": 0}, {"joint": 0.02}, {"rate": 0.9}, {"joint": -0.1}])
def test_a_relative_claim_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="ratio above 0"):
        betting.relative_claim(**{"num": 3, "den": 2, "rate": 0.01, "joint": 0.006, **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"margin": 1.0},
        {"margin": -0.1},
        {"margin": 0.5, "bottom": -0.5},
        {"top": 1.5},
        {"grid": 0},
        {"bottom": -math.inf},
        {"outcomes": ((2.0, 0.1),)},
        {"outcomes": ((1.0, -0.1),)},
        {"outcomes": ((1.0, 0.7), (-1.0, 0.7))},
    ],
)
def test_a_claim_that_cannot_be_is_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match=r"claim needs|expected outcomes"):
        Claim(**{"margin": 0.02, "disagreement": 0.1, **bad})


@given(st.lists(st.tuples(st.integers(-40, 40), st.floats(0.001, 1)), min_size=4, max_size=8))
@settings(deadline=None)
def test_the_stake_over_many_outcomes_is_the_one_that_grows_fastest(steps) -> None:
    outcomes = [(x / 40, p) for x, p in steps]
    worst = min(x for x, _ in outcomes)
    found = betting.kelly(outcomes)
    if sum(x * p for x, p in outcomes) <= 0:
        assert found == 0
    elif worst >= 0:
        assert found == math.inf
    else:
        limit = -0.999999 / worst
        growth = [
            sum(p * math.log1p(s * x) for x, p in outcomes) for s in (found * 0.99, found, min(found * 1.01, limit))
        ]
        assert found <= limit
        assert growth[1] >= max(growth[0], growth[2]) - 1e-12


@given(st.floats(0.005, 0.2), st.floats(0.01, 0.5))
@settings(deadline=None)
def test_expected_outcomes_that_say_the_same_as_a_disagreement_tune_the_same_stakes(
    margin: float, moved: float
) -> None:
    plain = Claim(margin=margin, disagreement=moved)
    said = Claim(margin=margin, disagreement=moved, outcomes=((1.0, moved / 2), (-1.0, moved / 2)))
    histogram = [(-40, 30), (0, 900), (40, 70)]
    assert one(e_promote, said, histogram) == pytest.approx(one(e_promote, plain, histogram), rel=1e-9)
    assert one(e_reject, said, histogram) == pytest.approx(one(e_reject, plain, histogram), rel=1e-9)
