"""Bounded means against unit-by-unit products, numerical integration and simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

import gnomon.stats as gs

KAPPAS = [0.002 * (0.98 / 0.002) ** (i / 63) for i in range(64)]


@pytest.mark.parametrize("weights", [None, [1.0, 0.25, 0.5]])
@pytest.mark.parametrize("side", ["greater", "less"])
def test_the_evidence_is_the_product_over_units(side: str, weights) -> None:
    """Ratings from 1 to 5, against a mean of 3.2."""
    values, counts, null = [2.0, 3.5, 5.0], [40, 60, 30], 3.2
    expected = 0.0
    for kappa in KAPPAS:
        wealth = 1.0
        for x, count, weight in zip(values, counts, weights or [1.0] * 3, strict=True):
            gain = (x - null) / (null - 1) if side == "greater" else (null - x) / (5 - null)
            wealth *= (1 + kappa * weight * gain) ** count
        expected += wealth / 64
    found = gs.mean_e(np.array([counts]), values, null, (1, 5), side=side, weights=weights)
    assert found == pytest.approx([expected], rel=1e-9)


def test_an_expected_distribution_makes_the_evidence_sharper() -> None:
    counts, values = np.array([[100, 800, 160]]), [0.0, 0.5, 1.0]
    plain = gs.mean_e(counts, values, 0.48, (0, 1))
    planned = gs.mean_e(counts, values, 0.48, (0, 1), expected=[(0.0, 0.1), (0.5, 0.75), (1.0, 0.15)])
    assert planned[0] > 1.5 * plain[0] > 20


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 2_000)), min_size=1, max_size=5, unique_by=lambda v: v[0]),
    st.floats(-50, 50),
    st.floats(0.1, 80),
    st.sampled_from([0.2, 0.05, 0.001]),
)
@settings(deadline=None)
def test_the_interval_moves_with_the_scale_and_excludes_what_the_evidence_excludes(parts, low, width, alpha) -> None:
    values, counts = [v / 10 for v, _ in parts], np.array([[c for _, c in parts]])
    unit = gs.mean_interval(counts, values, (0, 1), alpha)
    moved = gs.mean_interval(counts, [min(low + width * v, low + width) for v in values], (low, low + width), alpha)
    assert moved.lower[0] == pytest.approx(low + width * unit.lower[0], abs=1e-6 * width)
    assert moved.upper[0] == pytest.approx(low + width * unit.upper[0], abs=1e-6 * width)
    assert 0 <= unit.lower[0] <= unit.upper[0] <= 1
    for side, end, inward in (("greater", unit.lower[0], 1e-6), ("less", unit.upper[0], -1e-6)):
        if 0.001 < end < 0.999:
            assert gs.mean_e(counts, values, end - inward, (0, 1), side=side)[0] >= 2 / alpha
            assert gs.mean_e(counts, values, end + inward, (0, 1), side=side)[0] <= 2 / alpha


def test_the_interval_covers_at_all_looks_together() -> None:
    rng, trials = np.random.default_rng(12), 300
    counts, missed = np.zeros((trials, 3), dtype=np.int64), np.zeros(trials, dtype=bool)
    for _ in range(60):
        counts += rng.multinomial(50, [0.2, 0.3, 0.5], size=trials)
        found = gs.mean_interval(counts, [0.0, 0.5, 1.0], (0, 1))
        missed |= (found.lower > 0.65) | (found.upper < 0.65)
    assert missed.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert np.all(found.upper - found.lower < 0.06)


def test_no_data_is_all_that_is_possible() -> None:
    found = gs.mean_interval(np.zeros((1, 2), dtype=np.int64), [1.0, 5.0], (1, 5))
    assert (found.lower[0], found.upper[0]) == (1, 5)
    assert gs.mean_e(np.zeros((1, 2), dtype=np.int64), [1.0, 5.0], 3, (1, 5))[0] == 1
    assert gs.relative_e(0, 0, 0, 0, (3, 2), rate=0.01, joint=0.005) == 1
    nothing = gs.asymptotic_interval(0.0, 1.0, 0)
    assert (nothing.lower, nothing.upper) == (-math.inf, math.inf)


def test_relative_evidence_is_that_of_the_claim_for_arrays_of_counts() -> None:
    claim = gs.relative_claim(5, 4, 0.02, 0.01)
    counts, values = gs.tabulate(
        [[(200, 20), (40, 30), (-160, 9), (0, 941)], [(200, 9), (40, 30), (-160, 40), (0, 921)]]
    )
    for side, function in (("greater", gs.e_promote), ("less", gs.e_reject)):
        found = gs.relative_e([30, 30], [20, 9], [9, 40], 1_000, (5, 4), rate=0.02, joint=0.01, side=side)
        assert found.tolist() == pytest.approx(function(counts, values, [claim]).tolist())


@pytest.mark.parametrize(("n", "alpha", "planned"), [(50, 0.05, 1_000), (1_000, 0.05, 1_000), (30_000, 0.01, 500)])
def test_the_asymptotic_boundary_is_where_robbins_mixture_reaches_one_over_alpha(n, alpha, planned) -> None:
    """The mean of exp(l S - l^2 n/2) over l ~ N(0, rho2) is 1/alpha at S = n radius, by adaptive quadrature."""
    found = gs.asymptotic_interval(0.0, 1.0, n, alpha, planned)
    rho = math.sqrt((-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / planned)
    total, peak = n * found.upper, found.upper * n * rho**2 / (n * rho**2 + 1)
    spread = rho / math.sqrt(n * rho**2 + 1)

    def integrand(lam: float) -> float:
        return math.exp(lam * total - lam**2 * n / 2 - lam**2 / (2 * rho**2)) / (rho * math.sqrt(2 * math.pi))

    area = integrate.quad(integrand, peak - 12 * spread, peak + 12 * spread)[0]
    assert area == pytest.approx(1 / alpha, rel=1e-6)
    assert found.lower == -found.upper


def test_the_asymptotic_interval_is_relatively_narrowest_about_the_planned_number() -> None:
    n = np.array([100, 300, 1_000, 3_000, 10_000])
    best = [gs.asymptotic_interval(0.0, 1.0, 1_000, 0.05, planned).upper for planned in n]
    assert int(np.argmin(best)) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: gs.mean_e(np.array([[1]]), [0.5], 0.0, (0, 1)),
        lambda: gs.mean_e(np.array([[1]]), [float("nan")], 0.5, (0, 1)),
        lambda: gs.mean_e(np.array([[1]]), [float("inf")], 0.5, (0, 1)),
        lambda: gs.mean_interval(np.array([[1]]), [2.0], (0, 1)),
        lambda: gs.mean_interval(np.array([[1]]), [0.5], (1, 1)),
        lambda: gs.relative_e(5, 5, 5, 10, (3, 2), rate=0.01, joint=0.005),
        lambda: gs.asymptotic_interval(0, 1, 10, planned_n=0),
    ],
)
def test_what_cannot_be_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"must|more"):
        call()
