"""Proportions and rates against printed examples, R 4.2.2, scipy, statsmodels and numerical likelihoods."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

import gnomon.stats as gs

shares = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("x", "n", "wilson", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_the_examples_of_newcombe(x, n, wilson, exact) -> None:
    """Newcombe, Stat. Med. 17:857-872 (1998), table I, methods 3 and 5."""
    found, by_beta = gs.wilson_interval(x, n), gs.clopper_pearson(x, n)
    assert (found.lower, found.upper) == pytest.approx(wilson, abs=5e-5)
    assert (by_beta.lower, by_beta.upper) == pytest.approx(exact, abs=5e-5)


def test_the_intervals_of_r() -> None:
    """R 4.2.2: prop.test(1, 29, correct = FALSE, conf.level = .99), binom.test(0, 20, conf.level = .9)."""
    wilson, exact = gs.wilson_interval(1, 29, 0.01), gs.clopper_pearson(0, 20, 0.1)
    assert (wilson.lower, wilson.upper) == pytest.approx((0.00406149419688382, 0.23825425313641294), rel=1e-9)
    assert (exact.lower, exact.upper) == pytest.approx((0, 0.139108340668265), rel=1e-9)


@given(shares, st.sampled_from([0.01, 0.05, 0.3]))
@settings(deadline=None)
def test_the_intervals_of_statsmodels_and_scipy(case, alpha: float) -> None:
    x, n = case
    for function, method, other in (
        (gs.wilson_interval, "wilson", "wilson"),
        (gs.clopper_pearson, "beta", "exact"),
    ):
        found = function(x, n, alpha)
        assert (found.lower, found.upper) == pytest.approx(proportion_confint(x, n, alpha, method), abs=1e-9)
        theirs = binomtest(x, n).proportion_ci(1 - alpha, other)
        assert (found.lower, found.upper) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_data_is_everything_between_zero_and_one() -> None:
    for function in (gs.wilson_interval, gs.clopper_pearson):
        found = function([0, 3], [0, 4])
        assert (found.lower[0], found.upper[0]) == (0, 1)


def test_the_score_interval_of_newcombes_first_example() -> None:
    """56/70 against 48/80: Mee's interval .0533 to .3377, with N/(N - 1) .0528 to .3382, by inverting the test.

    Newcombe, Stat. Med. 17:873-890, 1998, table II, methods 8 and 9. statsmodels 0.15.0 has .3440 for the last.
    """

    def ends(inflation: float) -> tuple[float, float]:
        def z(d: float) -> float:
            return float(gs.farrington_manning(56, 70, 48, 80, -d).statistic) / inflation

        return brentq(lambda d: z(d) - 1.959964, -0.5, 0.9), brentq(lambda d: z(d) + 1.959964, -0.5, 0.9)

    assert ends(1.0) == pytest.approx((0.0533, 0.3377), abs=5e-5)
    assert ends(math.sqrt(150 / 149)) == pytest.approx((0.0528, 0.3382), abs=5e-5)


@given(shares, shares, st.floats(-0.5, 0.5))
@settings(deadline=None)
def test_the_score_is_that_of_the_restricted_likelihood(one, two, gap: float) -> None:
    """The maximum under p1 - p2 = gap, found by numerical search."""
    (x1, n1), (x2, n2) = one, two
    if min(x1, x2, n1 - x1, n2 - x2) < 1:
        return

    def loss(p1: float) -> float:
        p2 = p1 - gap
        if not (0 < p1 < 1 and 0 < p2 < 1):
            return math.inf
        return -(x1 * math.log(p1) + (n1 - x1) * math.log1p(-p1) + x2 * math.log(p2) + (n2 - x2) * math.log1p(-p2))

    low, high = max(0.0, gap), min(1.0, 1 + gap)
    p1 = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    p2 = p1 - gap
    z = (x1 / n1 - x2 / n2 - gap) / math.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
    assert gs.farrington_manning(x1, n1, x2, n2, -gap).statistic == pytest.approx(z, rel=1e-4, abs=1e-5)


def test_it_answers_where_statsmodels_raises() -> None:
    """statistics.md section 3: 9/10 and 3/10, 2/2000 and 1/2000, 0/1000 and 0/1000."""
    found = gs.farrington_manning([9, 2, 0], [10, 2_000, 1_000], [3, 1, 0], [10, 2_000, 1_000], 0.1)
    assert np.all(np.isfinite(found.statistic))
    assert found.p[0] < 0.001
    assert found.p[2] < 1e-20


def test_a_margin_of_zero_is_the_pooled_test() -> None:
    pooled = 104 / 150
    z = (0.8 - 0.6) / math.sqrt(pooled * (1 - pooled) * (1 / 70 + 1 / 80))
    assert gs.farrington_manning(56, 70, 48, 80).statistic == pytest.approx(z)


@given(shares, shares, st.floats(-0.9, 0.9))
@settings(deadline=None)
def test_a_score_is_never_nan_and_rises_with_the_margin(one, two, margin: float) -> None:
    low, high = (gs.farrington_manning(*one, *two, m) for m in (margin, margin + 0.05))
    assert np.isfinite(low.statistic)
    assert 0 <= low.p <= 1
    assert high.statistic >= low.statistic - 1e-6


@pytest.mark.parametrize(
    ("counts", "ratio", "less", "greater"),
    [
        ((3, 1000, 10, 1200), 1.5, 0.0184207648500397, 0.996326902624071),
        ((30, 5000, 10, 4000), 2.0, 0.745442372472098, 0.381527430745136),
        ((0, 500, 4, 500), 1.0, 0.0625, 1.0),
    ],
)
def test_the_rates_test_of_r(counts, ratio, less, greater) -> None:
    """R 4.2.2: poisson.test(c(3, 10), c(1000, 1200), r = 1.5, alternative = "less"), and so on."""
    assert gs.conditional_binomial(*counts, ratio).p == pytest.approx(less, rel=1e-9)
    assert gs.conditional_binomial(*counts, ratio, alternative="greater").p == pytest.approx(greater, rel=1e-9)


@given(st.integers(0, 300), st.integers(1, 9_000), st.integers(0, 300), st.integers(1, 9_000), st.floats(0.2, 5))
@settings(deadline=None)
def test_the_rates_test_is_a_binomial_tail(x_b: int, n_b: int, x_a: int, n_a: int, ratio: float) -> None:
    share = ratio * n_b / (ratio * n_b + n_a)
    less = gs.conditional_binomial(x_b, n_b, x_a, n_a, ratio).p
    greater = gs.conditional_binomial(x_b, n_b, x_a, n_a, ratio, alternative="greater").p
    assert less == pytest.approx(binom.cdf(x_b, x_a + x_b, share), rel=1e-7, abs=1e-12)
    assert greater == pytest.approx(binom.sf(x_b - 1, x_a + x_b, share), rel=1e-7, abs=1e-12)


def test_without_events_or_without_units_nothing_is_shown() -> None:
    for counts in ((0, 100, 0, 100), (0, 0, 5, 100), (5, 100, 0, 0)):
        assert gs.conditional_binomial(*counts).p == 1
        assert gs.conditional_binomial(*counts, alternative="greater").p == 1
    assert gs.farrington_manning(0, 0, 5, 10, 0.1).p == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: gs.wilson_interval(3, 2),
        lambda: gs.wilson_interval(1, 2, 1.5),
        lambda: gs.farrington_manning(1, 2, 1, 2, 1.0),
        lambda: gs.conditional_binomial(1, 2, 1, 2, 0),
        lambda: gs.clopper_pearson(-1, 2),
    ],
)
def test_what_cannot_be_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"must|more"):
        call()
