"""Quantile evidence against numerical integration, exact enumeration, the paper's theorem and simulated latencies."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import binom, multinomial

from gnomon.stats.quantiles import (
    e_quantile_above,
    e_quantile_below,
    latency_edge,
    lower_rank,
    next_edge,
    ratio_e,
    ratio_e_reject,
    scan_e,
    scan_e_reject,
    upper_rank,
    uses_scan,
)


def mixture(m: int, n: int, quantile: float, planned_n: float, low: float, high: float) -> float:
    """The definition: the mean of likelihood ratios over a truncated beta, by adaptive quadrature (QUADPACK)."""
    u, r = 1 - quantile, planned_n / 9

    def prior(t: float) -> float:
        return math.exp((u * r - 1) * math.log(t) + (quantile * r - 1) * math.log1p(-t))

    def ratio(t: float) -> float:
        return math.exp(m * math.log(t / u) + (n - m) * (math.log1p(-t) - math.log1p(-u)))

    def over(function) -> float:
        cuts = np.unique([low, *np.clip(np.arange(1, 40) / 100, low, high), high])
        return sum(integrate.quad(function, *piece)[0] for piece in itertools.pairwise(cuts))

    return over(lambda t: prior(t) * ratio(t)) / over(prior)


@pytest.mark.parametrize(
    ("m", "n", "quantile", "planned"), [(9, 300, 0.95, 900), (30, 300, 0.95, 900), (3, 50, 0.9, 500)]
)
def test_the_evidence_is_the_mean_of_likelihood_ratios(m: int, n: int, quantile: float, planned: float) -> None:
    above = mixture(m, n, quantile, planned, 1 - quantile, 1.0)
    below = mixture(m, n, quantile, planned, 0.0, 1 - quantile)
    assert float(e_quantile_above(m, n, quantile, planned)) == pytest.approx(above, rel=1e-6)
    assert float(e_quantile_below(m, n, quantile, planned)) == pytest.approx(below, rel=1e-6)


def test_the_upper_end_of_a_p99_is_finite_from_when_the_note_says() -> None:
    """Section 2: at alpha/2 from n = 610 (tuned to 2,000) and 1,040 (tuned to 10,000), rounded to ten."""
    numbers = np.arange(1, 2_000)
    first = [int(numbers[upper_rank(numbers, 0.99, 0.025, planned) >= 0][0]) for planned in (2_000, 10_000)]
    assert first == [607, 1_039]


@given(st.integers(1, 400), st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([0.05, 0.005]), st.integers(50, 5_000))
@settings(deadline=None)
def test_a_rank_is_the_last_number_with_enough_evidence(n: int, quantile: float, alpha: float, planned: int) -> None:
    number = np.arange(n + 1)
    below = np.flatnonzero(e_quantile_below(number, n, quantile, planned) >= 1 / alpha)
    above = np.flatnonzero(e_quantile_above(number, n, quantile, planned) >= 1 / alpha)
    assert int(upper_rank(n, quantile, alpha, planned)) == (below.max() if len(below) else -1)
    assert int(lower_rank(n, quantile, alpha, planned)) == (above.min() if len(above) else -1)


@given(st.integers(0, 3_000), st.floats(0.01, 0.99), st.floats(10, 1e5))
@settings(deadline=None)
def test_more_exceedances_raise_one_side_and_lower_the_other_and_nothing_is_nan(
    n: int, q: float, planned: float
) -> None:
    m = np.arange(n + 1)
    above, below = e_quantile_above(m, n, q, planned), e_quantile_below(m, n, q, planned)
    assert np.all(np.isfinite(above))
    assert np.all(np.isfinite(below))
    assert np.all(np.diff(np.maximum(above, 1e-9)) >= -1e-6 * above[1:])
    assert np.all(np.diff(np.maximum(below, 1e-9)) <= 1e-6 * below[:-1])


@given(st.integers(1, 60), st.floats(0.3, 0.98), st.floats(9, 1e4), st.integers(0, 50))
@settings(deadline=None)
def test_the_mean_of_the_evidence_is_at_most_one_where_the_null_holds(n: int, q: float, planned: float, part) -> None:
    """Exact, for any rate of exceedance on the null's side; at the boundary the mean is 1."""
    m, u = np.arange(n + 1), 1 - q
    for rate in (u, u * part / 50):
        assert float(binom.pmf(m, n, rate) @ e_quantile_above(m, n, q, planned)) <= 1 + 1e-7
    for rate in (u, u + q * part / 50):
        assert float(binom.pmf(m, n, rate) @ e_quantile_below(m, n, q, planned)) <= 1 + 1e-7
    assert float(binom.pmf(m, n, u) @ e_quantile_above(m, n, q, planned)) == pytest.approx(1, abs=1e-6)


@given(st.integers(2, 5), st.data())
@settings(max_examples=30, deadline=None)
def test_the_ratio_evidence_has_a_mean_of_at_most_one_for_any_dependence_of_the_arms(n: int, data) -> None:
    """Exact enumeration of n pairs on a lattice of 3 x 3 latencies in which q_B is above r q_A (and then, below)."""
    chance = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=9, max_size=9))).reshape(3, 3)
    chance /= chance.sum()
    quantile, planned = data.draw(st.sampled_from([0.5, 0.7, 0.9])), 40
    latency, x = np.array([1, 2, 3]), np.array([1, 2, 3])  # r = 1
    q_a = latency[np.searchsorted(chance.sum(axis=1).cumsum(), quantile - 1e-12)]
    q_b = latency[np.searchsorted(chance.sum(axis=0).cumsum(), quantile - 1e-12)]
    bars = itertools.combinations(range(n + 8), 8)  # stars and bars: all ways to put n pairs into 9 cells
    tables = np.array([np.diff([-1, *bar, n + 8]) - 1 for bar in bars], dtype=np.int64)
    weight = multinomial.pmf(tables, n, chance.ravel())
    cube = tables.reshape(-1, 3, 3)
    a = np.stack([cube[:, latency >= edge].sum(axis=(1, 2)) for edge in x], axis=-1)
    b = np.stack([cube[:, :, latency > edge].sum(axis=(1, 2)) for edge in x], axis=-1)
    number = np.full(len(tables), n)
    function = ratio_e if q_b > q_a else ratio_e_reject
    assert float(weight @ function(a, b, number, quantile, planned)) <= 1 + 1e-9


def counts_at(x: np.ndarray, ratio: float, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four arrays, by comparing every latency with every edge."""
    over = np.append(x[1:], np.inf)
    first, second = (a[:, None] >= x), (b[:, None] > ratio * x)
    both = (a[:, None] >= over) & second
    cross = first & (b[:, None] > ratio * over)
    return tuple(each.sum(axis=0) for each in (first, second, both, cross))


def edges(low: int, high: int) -> np.ndarray:
    found = [0, latency_edge(low)]
    while found[-1] <= high:
        found.append(next_edge(found[-1]))
    return np.array(found)


def latencies(rng: np.random.Generator, n: int, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """In microseconds: lognormal with a standard deviation of .566, correlated .5, as in the note."""
    z = rng.standard_normal((3, n))
    return np.floor(1e4 * np.exp(0.4 * z[0] + 0.4 * z[1])), np.floor(ratio * 1e4 * np.exp(0.4 * z[0] + 0.4 * z[2]))


@pytest.mark.parametrize(("true", "bound", "promotes"), [(1.0, 1.4, True), (1.8, 1.2, False)])
def test_a_clear_ratio_is_shown_by_both_methods_and_its_opposite_by_neither(true, bound, promotes) -> None:
    a, b = latencies(np.random.default_rng(1), 20_000, true)
    x = edges(10_000, 400_000)
    first, second, both, cross = counts_at(x, bound, a, b)
    up = ratio_e(first, second, 20_000, 0.99, 10_000), scan_e(x, first, second, both, 20_000, 0.99, 0.05, 10_000)
    down = (
        ratio_e_reject(first, second, 20_000, 0.99, 10_000),
        scan_e_reject(x, first, second, cross, 20_000, 0.99, 0.05, 10_000),
    )
    shown, other = (up, down) if promotes else (down, up)
    assert min(map(float, shown)) >= 20
    assert max(map(float, other)) <= 1


def test_replicates_are_read_one_by_one() -> None:
    rng, x = np.random.default_rng(2), edges(20_000, 200_000)
    many = [counts_at(x, 1.1, *latencies(rng, 8_000, 1.0)) for _ in range(3)]
    a, b, both, cross = (np.stack(each) for each in zip(*many, strict=True))
    n = np.full(3, 8_000)
    for function, joint in ((scan_e, both), (scan_e_reject, cross)):
        together = function(x, a, b, joint, n, 0.99, 0.05, 10_000)
        alone = [float(function(x, a[i], b[i], joint[i], 8_000, 0.99, 0.05, 10_000)) for i in range(3)]
        assert together.tolist() == alone
    assert ratio_e(a, b, n, 0.99, 10_000).tolist() == [float(ratio_e(*m[:2], 8_000, 0.99, 10_000)) for m in many]


def test_where_production_may_be_infinite_there_is_no_pass() -> None:
    """Two per cent of production's requests never end, and none of the candidate's."""
    a, b = latencies(np.random.default_rng(3), 20_000, 1.0)
    a[:400] = np.inf
    x = edges(10_000, 400_000)
    first, second, both, _ = counts_at(x, 1.1, a, b)
    assert float(scan_e(x, first, second, both, 20_000, 0.99, 0.05, 10_000)) == 1.0
    assert float(ratio_e(first, second, 20_000, 0.99, 10_000)) <= 1  # though q_B is shown to be finite
    b[:400] = np.inf
    first, second, both, cross = counts_at(x, 1.1, a, b)
    assert float(ratio_e(first, second, 20_000, 0.99, 10_000)) <= 1
    assert float(scan_e(x, first, second, both, 20_000, 0.99, 0.05, 10_000)) == 1.0
    assert float(scan_e_reject(x, first, second, cross, 20_000, 0.99, 0.05, 10_000)) == 1.0


def test_no_data_is_no_evidence() -> None:
    nothing = [0, 0]
    assert float(e_quantile_above(0, 0, 0.99, 1_000)) == float(e_quantile_below(0, 0, 0.99, 1_000)) == 1.0
    assert (
        float(ratio_e(nothing, nothing, 0, 0.99, 1_000)) == float(ratio_e_reject(nothing, nothing, 0, 0.99, 1_000)) == 1
    )
    assert float(scan_e([0, 5], nothing, nothing, nothing, 0, 0.99, 0.05, 1_000)) == 1.0
    assert float(scan_e_reject([0, 5], nothing, nothing, nothing, 0, 0.99, 0.05, 1_000)) == 1.0
    assert int(upper_rank(0, 0.99, 0.05, 1_000)) == int(lower_rank(0, 0.99, 0.05, 1_000)) == -1


def test_counts_that_no_data_could_give_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and the number"):
        e_quantile_above(5, 4, 0.9, 100)
    with pytest.raises(ValueError, match="quantile in"):
        e_quantile_above(1, 4, 1.0, 100)
    with pytest.raises(ValueError, match="must ascend"):
        ratio_e([3, 4], [4, 3], 10, 0.9, 100)
    with pytest.raises(ValueError, match="same edges"):
        ratio_e([3, 2], [4], 10, 0.9, 100)
    with pytest.raises(ValueError, match="edges must ascend"):
        scan_e([5, 5], [4, 3], [4, 3], [2, 2], 10, 0.9, 0.05, 100)
    with pytest.raises(ValueError, match="jointly than alone"):
        scan_e([5, 6], [4, 3], [4, 3], [5, 2], 10, 0.9, 0.05, 100)
    with pytest.raises(ValueError, match="one edge and one joint"):
        scan_e([5], [4, 3], [4, 3], [2, 2], 10, 0.9, 0.05, 100)


def test_the_sealed_bound_alone_picks_the_method() -> None:
    assert [uses_scan(bound) for bound in (1.0, 1.1, 1.19, 1.2, 1.25, 2.0)] == [True, True, True, False, False, False]


@given(st.integers(0, 2**60))
@settings(deadline=None)
def test_a_bucket_holds_its_latencies_and_is_narrow(us: int) -> None:
    edge = latency_edge(us)
    assert edge <= us < next_edge(edge)
    assert latency_edge(edge) == edge
    assert latency_edge(next_edge(edge)) == next_edge(edge)
    assert next_edge(edge) - edge <= max(1, edge / 256)


def run(bound: float, true: float, looks: int, trials: int, seed: int) -> tuple[np.ndarray, ...]:
    """Whether either method promoted or rejected at some look, every 1,000 pairs; and what the point estimate said."""
    rng, x = np.random.default_rng(seed), edges(20_000, 150_000)
    hit = np.zeros((3, trials), dtype=bool)
    for trial in range(trials):
        totals = [np.zeros(len(x), dtype=np.int64)] * 4
        n = 0
        for _ in range(looks):
            a, b = latencies(rng, 1_000, true)
            totals = [t + c for t, c in zip(totals, counts_at(x, bound, a, b), strict=True)]
            n += 1_000
            first, second, both, cross = totals
            if true > bound:
                hit[0, trial] |= ratio_e(first, second, n, 0.99, 10_000) >= 20
                hit[1, trial] |= scan_e(x, first, second, both, n, 0.99, 0.05, 10_000) >= 20
            else:
                hit[0, trial] |= ratio_e_reject(first, second, n, 0.99, 10_000) >= 20
                hit[1, trial] |= scan_e_reject(x, first, second, cross, n, 0.99, 0.05, 10_000) >= 20
            q_a, q_b = (x[np.argmax(each <= 0.01 * n)] for each in (first, second))
            hit[2, trial] |= (q_b <= q_a) == (true > bound)
    return tuple(hit)


@pytest.mark.parametrize("true", [1.1001, 1.0999])
def test_a_candidate_at_the_bound_is_seldom_shown_either_way_however_often_one_looks(true: float) -> None:
    """B8 in small: 50 trials of 8 looks; the full one is bench/simulate.py."""
    by_ratio, by_scan, naive = run(1.1, true, 8, 50, seed=4)
    assert by_ratio.mean() <= 0.05
    assert by_scan.mean() <= 0.05
    assert naive.mean() > 0.5
