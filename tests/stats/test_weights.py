"""Weighted estimates against enumeration of every sample, and against a simulated stratified sample."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnomon.stats as gs

populations = st.lists(st.tuples(st.floats(-1, 1), st.floats(0.1, 1)), min_size=1, max_size=7)


@given(populations)
@settings(deadline=None)
def test_total_and_variance_are_without_bias_over_every_sample(population) -> None:
    """Exact, over all 2^N outcomes of the coins (Sarndal, Swensson & Wretman 1992, result 2.8.1)."""
    y, chance = (np.array(each) for each in zip(*population, strict=True))
    coins = np.array(list(itertools.product([0, 1], repeat=len(y))))
    weight = np.where(coins == 1, chance, 1 - chance).prod(axis=1)
    found = gs.horvitz_thompson(coins, y, chance)
    assert float(weight @ found.value) == pytest.approx(y.sum(), abs=1e-9)
    true = float(weight @ (found.value - y.sum()) ** 2)
    assert float(weight @ found.variance) == pytest.approx(true, abs=1e-7)


def test_the_worked_numbers() -> None:
    """By hand: 10 units at 1 and 4 at -1 drawn always, 6 at 1 drawn with 1/2: 10 - 4 + 12 = 18; 6 (1/2)/(1/4) = 12."""
    total = gs.horvitz_thompson([10, 4, 6], [1, -1, 1], [1, 1, 0.5])
    assert (total.value, total.variance) == (18, 12)
    mean = gs.horvitz_thompson_mean([10, 4, 6], [1, -1, 1], [1, 1, 0.5], 30)
    assert mean.value == pytest.approx(0.6)
    assert mean.variance == pytest.approx((10 + 4 + 24 - 30 * 0.36) / (30 * 29))
    ratio = gs.hajek([10, 4, 6], [1, -1, 1], [1, 1, 0.5])
    assert ratio.value == pytest.approx(18 / 26)
    away = [(1 - 18 / 26) ** 2, (-1 - 18 / 26) ** 2, 4 * (1 - 18 / 26) ** 2]
    assert ratio.variance == pytest.approx((10 * away[0] + 4 * away[1] + 6 * away[2]) / 26**2)


@pytest.mark.parametrize("estimate", ["mean", "hajek"])
def test_the_variance_is_that_of_many_samples(estimate: str) -> None:
    """Strata of .9, .08 and .02 drawn at 5 %, 50 % and always (B10), values -1, 0, 1 in each."""
    rng, arrivals = np.random.default_rng(6), 20_000
    chance = np.repeat([0.05, 0.5, 1.0], 3)
    share = np.repeat([0.9, 0.08, 0.02], 3) * np.array([0.04, 0.94, 0.02, 0.1, 0.85, 0.05, 0.2, 0.7, 0.1])
    y = np.tile([-1.0, 0.0, 1.0], 3)
    drawn = rng.multinomial(arrivals, [*(share * chance), 1 - share @ chance], size=20_000)[:, :9]
    by_total = estimate == "mean"
    found = gs.horvitz_thompson_mean(drawn, y, chance, arrivals) if by_total else gs.hajek(drawn, y, chance)
    assert found.value.mean() == pytest.approx(share @ y, abs=4e-4)
    assert found.variance.mean() == pytest.approx(found.value.var(), rel=0.05)


def test_equal_probabilities_are_the_plain_mean() -> None:
    found = gs.hajek([30, 50, 20], [-1, 0, 1], [0.2, 0.2, 0.2])
    assert found.value == pytest.approx(-0.1)
    assert found.variance == pytest.approx((0.5 - 0.01) / 100)


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(-1, 1), st.floats(0.01, 1)), min_size=2, max_size=6))
@settings(deadline=None)
def test_groups_may_come_in_any_order_and_be_split(groups) -> None:
    split = [(c // 2, y, p) for c, y, p in groups] + [(c - c // 2, y, p) for c, y, p in reversed(groups)]
    for function in (gs.horvitz_thompson, gs.hajek):
        one = function(*(np.array(each) for each in zip(*groups, strict=True)))
        two = function(*(np.array(each) for each in zip(*split, strict=True)))
        assert (one.value, one.variance) == pytest.approx((two.value, two.variance), rel=1e-9, abs=1e-9)
        assert math.isfinite(one.value)
        assert one.variance >= 0


def test_no_data_is_zero_without_variance_and_what_cannot_be_is_refused() -> None:
    assert gs.hajek([0, 0], [1, -1], [0.5, 1]) == gs.Estimate(np.float64(0), np.float64(0))
    assert gs.horvitz_thompson_mean([0, 0], [1, -1], [0.5, 1], 0) == gs.Estimate(np.float64(0), np.float64(0))
    for bad in (([1], [1], [0]), ([1], [1], [1.1]), ([-1], [1], [1]), ([1, 2], [1], [1])):
        with pytest.raises(ValueError, match=r"must|needs"):
            gs.hajek(*bad)
    with pytest.raises(ValueError, match="more units"):
        gs.horvitz_thompson_mean([5], [1], [1], 4)
