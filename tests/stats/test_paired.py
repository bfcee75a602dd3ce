"""Paired fixed-sample methods against printed examples, scipy, statsmodels and exact enumeration."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial, norm
from statsmodels.stats.contingency_tables import mcnemar

import gnomon.stats as gs

cells = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 3_000)).map(lambda t: (t[0], t[1], sum(t)))


def test_the_airway_example_of_fagerland_lydersen_and_laake() -> None:
    """Table (1, 1; 7, 12). BMC MRM 13:91 (2013): exact p .0703, mid-p .0391. Stat. Med. 33:2850 (2014): score
    interval -.517 to -.026, square-and-add -.507 to -.026."""
    assert gs.mcnemar_exact(1, 7).p == pytest.approx(0.0703, abs=5e-5)
    assert gs.mcnemar_midp(1, 7).p == pytest.approx(0.0391, abs=5e-5)
    tango, newcombe = gs.tango_interval(1, 7, 21), gs.newcombe_interval(1, 1, 7, 21)
    assert (tango.lower, tango.upper) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert (newcombe.lower, newcombe.upper) == pytest.approx((-0.507, -0.026), abs=5e-4)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_the_exact_test_is_that_of_scipy_and_statsmodels(b: int, c: int) -> None:
    found = gs.mcnemar_exact(b, c)
    assert found.p == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue, rel=1e-9)
    if b + c:
        assert found.p == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_the_mid_p_leaves_half_of_what_was_seen(b: int, c: int) -> None:
    found = float(gs.mcnemar_midp(b, c).p)
    at, total = min(b, c), b + c
    if total == 0:
        assert found == 1
    elif b == c:
        assert found == pytest.approx(1 - binom.pmf(b, total, 0.5) / 2)
    else:
        assert found == pytest.approx(binomtest(b, total).pvalue - binom.pmf(at, total, 0.5), abs=1e-12)
    assert found == pytest.approx(gs.mcnemar_midp(c, b).p)


@given(cells, st.floats(-0.9, 0.9))
@settings(deadline=None)
def test_the_score_is_that_of_the_restricted_likelihood(case, d: float) -> None:
    """The variance at the maximum of the trinomial likelihood under Delta = d, found by numerical search."""
    b, c, n = case
    if min(b, c, n - b - c) < 1:
        return

    def loss(worse: float) -> float:
        better, ties = worse + d, 1 - 2 * worse - d
        if min(worse, better, ties) <= 0:
            return math.inf
        return -(b * math.log(better) + c * math.log(worse) + (n - b - c) * math.log(ties))

    low, high = max(0.0, -d), (1 - d) / 2
    worse = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    z = (b - c - n * d) / math.sqrt(n * (2 * worse + d - d * d))
    assert gs.tango_test(b, c, n, -d).statistic == pytest.approx(z, rel=1e-4, abs=1e-5)


def test_a_margin_of_zero_is_mcnemars_z() -> None:
    assert gs.tango_test(25, 10, 400, 0).statistic == pytest.approx(15 / math.sqrt(35))
    assert gs.tango_test(25, 10, 400, 0).p == pytest.approx(norm.sf(15 / math.sqrt(35)))
    chi2 = mcnemar([[0, 25], [10, 0]], exact=False, correction=False).statistic
    assert gs.tango_test(25, 10, 400, 0).statistic ** 2 == pytest.approx(chi2)


def test_the_exact_size_at_the_boundary_is_that_of_the_note() -> None:
    """statistics.md 1.1: n = 400, psi .10, delta .05: .0486, by enumeration of all tables."""
    n, psi, delta = 400, 0.10, 0.05
    b, c = (grid.ravel() for grid in np.meshgrid(np.arange(151), np.arange(151), indexing="ij"))
    table = np.stack([b, c, n - b - c], axis=-1)
    weight = multinomial.pmf(table, n, [(psi - delta) / 2, (psi + delta) / 2, 1 - psi])
    rejects = gs.tango_test(b, c, n, delta).p <= 0.05
    assert float(weight[rejects].sum()) == pytest.approx(0.0486, abs=5e-5)


@given(cells, st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_the_score_interval_is_where_the_score_is_z(case, alpha: float) -> None:
    b, c, n = case
    found = gs.tango_interval(b, c, n, alpha)
    assert -1 <= found.lower <= found.upper <= 1
    if n == 0:
        assert (found.lower, found.upper) == (-1, 1)
        return
    assert found.lower - 1e-12 <= (b - c) / n <= found.upper + 1e-12
    z = norm.isf(alpha / 2)
    if found.lower > -1 + 1e-9:
        assert gs.tango_test(b, c, n, -found.lower).statistic == pytest.approx(z, abs=1e-5)
    if found.upper < 1 - 1e-9:
        assert gs.tango_test(b, c, n, -found.upper).statistic == pytest.approx(-z, abs=1e-5)
    mirrored = gs.tango_interval(c, b, n, alpha)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower), abs=1e-9)


def test_without_disagreement_the_interval_is_z2_over_n_plus_z2() -> None:
    z2 = norm.isf(0.025) ** 2
    found = gs.tango_interval(0, 0, [50, 1_000])
    assert found.upper == pytest.approx([z2 / (50 + z2), z2 / (1_000 + z2)])
    assert found.lower == pytest.approx(-found.upper)


@given(cells, st.integers(0, 3_000))
@settings(deadline=None)
def test_the_square_and_add_interval_holds_the_estimate_and_mirrors(case, both: int) -> None:
    b, c, n = case
    n += both
    found, mirrored = gs.newcombe_interval(both, b, c, n), gs.newcombe_interval(both, c, b, n)
    assert -1 <= found.lower <= found.upper <= 1
    if n:
        assert found.lower - 1e-12 <= (b - c) / n <= found.upper + 1e-12
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower), abs=1e-9)


def test_the_sample_sizes_are_those_of_the_note() -> None:
    """statistics.md, B2: margin and disagreement to n80, one-sided .05."""
    asked = [(0.10, 0.02, 0), (0.05, 0.01, 0), (0.30, 0.05, 0), (0.02, 0.01, 0), (0.10, 0.02, 0.01), (0.008, 0.005, 0)]
    found = [gs.nam_sample_size(psi, difference, delta, 0.05, 0.8) for psi, delta, difference in asked]
    assert found == [1578, 3162, 748, 1397, 709, 2357]


def test_the_sample_size_gives_the_power_by_enumeration() -> None:
    """n = 1578 at psi .10, delta .02: exact power .8038 (statistics.md section 2)."""
    n, psi = 1578, 0.10
    b, c = (grid.ravel() for grid in np.meshgrid(np.arange(40, 121), np.arange(40, 121), indexing="ij"))
    weight = multinomial.pmf(np.stack([b, c, n - b - c], axis=-1), n, [psi / 2, psi / 2, 1 - psi])
    assert float(weight[gs.tango_test(b, c, n, 0.02).p <= 0.05].sum()) == pytest.approx(0.8038, abs=5e-4)


def test_connors_sample_size_gives_its_power() -> None:
    """By hand, z = 1.959964 and 0.841621: (1.959964 sqrt .2 + .841621 sqrt .19)^2 / .01 = 154.4."""
    n = gs.connor_sample_size(0.2, 0.1, 0.05, 0.8)
    assert n == 155
    n = gs.connor_sample_size(0.2, 0.02, 0.05, 0.8)
    drawn = np.random.default_rng(5).multinomial(n, [0.11, 0.09, 0.8], size=40_000)
    rejects = gs.tango_test(drawn[:, 0], drawn[:, 1], n, 0).p <= 0.025
    assert float(rejects.mean()) == pytest.approx(0.8, abs=0.01)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)
def test_with_a_flat_prior_the_two_sided_evidence_is_a_binomial_coefficient(b: int, c: int) -> None:
    """Ville 1939, Robbins 1970: 2^n / ((n + 1) C(n, b))."""
    n = b + c
    expected = 2.0**n / ((n + 1) * math.comb(n, b))
    assert gs.discordant_e(b, c, two_sided=True) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 40), st.floats(0.1, 20), st.integers(0, 20))
@settings(deadline=None)
def test_the_mean_of_the_discordant_evidence_is_at_most_one(n: int, prior: float, share: int) -> None:
    b = np.arange(n + 1)
    assert float(binom.pmf(b, n, 0.5) @ gs.discordant_e(b, n - b, two_sided=True, prior=prior)) == pytest.approx(1)
    assert float(binom.pmf(b, n, share / 40) @ gs.discordant_e(b, n - b, prior=prior)) <= 1 + 1e-9


@given(st.integers(0, 5_000), st.integers(0, 5_000))
@settings(deadline=None)
def test_one_more_win_never_lowers_the_discordant_evidence(b: int, c: int) -> None:
    less, more = float(gs.discordant_e(b, c)), float(gs.discordant_e(b + 1, c))
    assert math.isfinite(more)
    assert more >= less * (1 - 1e-7)
    assert gs.discordant_e(0, 0) == gs.discordant_e(0, 0, two_sided=True) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: gs.mcnemar_exact(-1, 3),
        lambda: gs.tango_interval(5, 6, 10),
        lambda: gs.tango_test(1, 1, 10, 1.0),
        lambda: gs.tango_interval(1, 1, 10, 0),
        lambda: gs.newcombe_interval(5, 3, 3, 10),
        lambda: gs.nam_sample_size(0.1, -0.02, 0.02, 0.05, 0.8),
        lambda: gs.nam_sample_size(0.1, 0.2, 0.02, 0.05, 0.8),
        lambda: gs.connor_sample_size(0.1, 0.0, 0.05, 0.8),
        lambda: gs.discordant_e(1, 1, prior=0),
        lambda: gs.mcnemar_exact(float("nan"), 3),
    ],
)
def test_what_cannot_be_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"must|more|needs"):
        call()
