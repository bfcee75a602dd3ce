"""Quantiles of latency: confidence sequences from exceedance counts, and the ratio of two arms' quantiles.

The quantile q of X at level p has P(X > q) <= u <= P(X >= q), u = 1 - p. So "q < x" implies P(X >= x) <= u, and
"q > y" implies P(X > y) >= u: a statement about a quantile is one about the rate theta of an exceedance, of which m
were seen in n. Against it bets a mixture of likelihood ratios over a Beta(u r, (1 - u) r), r = planned_n / 9, that is
truncated to the rates on the other side of u:

    e = [ B_S(u r + m, (1 - u) r + n - m) / B_S(u r, (1 - u) r) ] / ( u^m (1 - u)^(n - m) )

    B_S(a, b) = integral over S of t^(a-1) (1-t)^(b-1) dt ;  S = (u, 1) against theta <= u,  S = (0, u) against >= u

It has mean at most 1 whatever n it is looked at. A latency that never ended (a failure, a timeout) is infinite, and
counts as an exceedance of everything.

Source    Howard & Ramdas, Sequential estimation of quantiles with applications to A/B testing and best-arm
          identification, Bernoulli 28(3):1704-1728, 2022, theorem 1 (beta-binomial)
Assumes   exchanges independent within a cycle; for the ratio, that both arms saw the same load at the same time
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from gnomon.stats.betting import CAP, Claim, e_promote, e_reject

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SCAN_UNDER: Final = 1.2
"""The bound on the ratio under which the scan is sharper than two confidence sequences."""

SCAN_SHARE: Final = 0.8
"""The share of alpha for the bets of a scan; the rest is for the confidence sequence of production's quantile."""

SCAN_SIDE: Final = 0.1
"""The share of alpha for either side of that sequence."""

_TUNED: Final = 9.0  # planned_n / r: the mixture is narrowest around there
_BITS: Final = 9
_LEAST: Final = 1e-290  # of the posterior mass: less is too little to be accurate
_TRINOMIAL: Final = (-1, 0, 1)


def e_quantile_above(at_least: ArrayLike, n: ArrayLike, quantile: float, planned_n: float) -> Floats:
    """Evidence against "the quantile is below x" from the number of X >= x among n. Rises in the number.

    1 without data. Arrays of counts of any shape; ValueError for a number above n. `planned_n` is where the evidence is
    sharpest.
    """
    return _evidence(at_least, n, quantile, planned_n, above=True)


def e_quantile_below(over: ArrayLike, n: ArrayLike, quantile: float, planned_n: float) -> Floats:
    """Evidence against "the quantile is above y" from the number of X > y among n. Falls in the number.

    1 without data. Arrays of counts of any shape; ValueError for a number above n. `planned_n` is where the evidence is
    sharpest.
    """
    return _evidence(over, n, quantile, planned_n, above=False)


def upper_rank(n: ArrayLike, quantile: float, alpha: float, planned_n: float) -> Counts:
    """How many X may lie above the upper end of the quantile's one-sided confidence sequence at n; -1: not finite yet.

    The upper end is the order statistic X_(n - rank) in ascending order: the smallest y that e_quantile_below excludes
    with at least 1/alpha.
    """
    numbers = np.asarray(n, dtype=np.int64)
    low, high = np.full(numbers.shape, -1), numbers.copy()  # e is at least 1/alpha at low, or low is -1; not above high
    while np.any(low < high):
        middle = (low + high + 1) // 2
        enough = e_quantile_below(np.maximum(middle, 0), numbers, quantile, planned_n) >= 1 / alpha
        low, high = np.where(enough, middle, low), np.where(enough, high, middle - 1)
        low = np.minimum(low, high)
    return np.asarray(low)


def lower_rank(n: ArrayLike, quantile: float, alpha: float, planned_n: float) -> Counts:
    """How many X must be at least as large as the quantile's lower end at n; -1: there is no lower end yet.

    The lower end is the order statistic X_(n - rank + 1) in ascending order: the largest x that e_quantile_above
    excludes everything below of, with at least 1/alpha.
    """
    numbers = np.asarray(n, dtype=np.int64)
    low, high = np.zeros(numbers.shape, dtype=np.int64), numbers + 1  # n + 1 stands for never
    while np.any(low < high):
        middle = (low + high) // 2
        enough = e_quantile_above(np.minimum(middle, numbers), numbers, quantile, planned_n) >= 1 / alpha
        enough |= middle > numbers
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
        low = np.minimum(low, high)
    return np.asarray(np.where(low > numbers, -1, low))


def uses_scan(ratio_bound: float) -> bool:
    """Which method a gate on the ratio uses. It looks at the sealed bound alone, never at data.

    Measured (stop, 80 % of trials; P99, lognormal): bound 1.10 and equal arms 24,200 pairs by two confidence
    sequences, 20,200 by the scan; bound 1.25 5,000 against 7,000.
    """
    return ratio_bound < SCAN_UNDER


def latency_edge(us: int) -> int:
    """The lower edge of the bucket that a latency in microseconds falls into: its first 9 significant bits.

    Buckets are at most 1/256 of their lower edge wide, and one microsecond wide under 512.
    """
    shift = max(0, int(us).bit_length() - _BITS)
    return (int(us) >> shift) << shift


def next_edge(edge: int) -> int:
    """The lower edge of the next bucket."""
    return int(edge) + (1 << max(0, int(edge).bit_length() - _BITS))


def ratio_e(a: ArrayLike, b: ArrayLike, n: ArrayLike, quantile: float, planned_n: float) -> Floats:
    """Evidence against "q_B > r q_A" from a[j] = #(A >= x_j) and b[j] = #(B > r x_j).

        e = 1/2 max over j of min( e_quantile_above(a[j]), e_quantile_below(b[j]) )

    An e-process, however many edges: suppose q_B > r q_A. An edge above q_A has a[j] <= #(A > q_A), so its first factor
    is at most M_A, the evidence that P(A > q_A) > u, which is false. An edge at or below q_A has b[j] >= #(B > r q_A),
    so its second factor is at most M_B, the evidence that P(B > r q_A) < u, which is false as well. So the maximum of
    the minima is at most M_A + M_B, and half of it at most the mean of two e-processes.

    Edges are the last axis, the ones before are replicates; `n` has the shape of the replicates. Needs no assumption on
    how A and B depend on each other.

    The last edge must lie above every finite latency of A: where there is any evidence that q_A is above it, it is
    taken as infinite, which is no pass.
    """
    first, second, number = _edges(a, b, n)
    above = e_quantile_above(first, number, quantile, planned_n)
    best = np.minimum(above, e_quantile_below(second, number, quantile, planned_n)).max(axis=-1, initial=0.0)
    return np.asarray(np.where((number[..., 0] == 0) | (above[..., -1] > 1), 1.0, best / 2))


def ratio_e_reject(a: ArrayLike, b: ArrayLike, n: ArrayLike, quantile: float, planned_n: float) -> Floats:
    """Evidence against "q_B <= r q_A" from the same counts: 1/2 max of min( e_below(a[j]), e_above(b[j]) ).

    The same argument: an edge at or below q_A has a[j] >= #(A >= q_A), an edge above it b[j] <= #(B > r q_A).
    """
    first, second, number = _edges(a, b, n)
    least = np.minimum(
        e_quantile_below(first, number, quantile, planned_n), e_quantile_above(second, number, quantile, planned_n)
    )
    return np.asarray(np.where(number[..., 0] == 0, 1.0, least.max(axis=-1, initial=0.0) / 2))


def scan_e(
    x: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    both: ArrayLike,
    n: ArrayLike,
    quantile: float,
    alpha: float,
    planned_n: float,
) -> Floats:
    """Evidence against "q_B > r q_A" at level alpha, sharper than ratio_e for a tight r. Compare it with 1/alpha.

    x: ascending edges; a[j] = #(A >= x_j), b[j] = #(B > r x_j), both[j] = #(A >= x_{j+1} and B > r x_j), the edge after
    the last being infinity.

    Under the null D = 1[A > q_A] - 1[B > r q_A] has a mean of at most 0. q_A is not known, so all of a confidence
    sequence for it, wrong with a probability of at most alpha/5, is scanned, and the smallest evidence counts, times
    0.8: P(ever >= 1/alpha) <= alpha/5 + 4 alpha/5. For q_A in [x_j, x_{j+1}) the bet is on 1[A >= x_{j+1}] -
    1[B > r x_j], which is never above D. Under the first edge (unless it is 0) and above the last nothing is known
    about the bucket, and where the sequence reaches there, there is no evidence: so let the last edge lie above every
    finite latency of A; a quantile of A that may be infinite is no pass. Not an e-process at other levels than alpha.
    """
    first, second, number = _edges(a, b, n)
    edges, jointly = _scannable(x, both, first, second)
    next_a = np.concatenate([first[..., 1:], jointly[..., -1:]], axis=-1)  # beyond the last edge: no win is counted
    wins, losses = next_a - jointly, second - jointly
    scanned, known = _production(edges, first, number, quantile, SCAN_SIDE * alpha, planned_n)
    evidence = _trinomial(e_promote, wins, losses, number, scanned, quantile)
    return np.asarray(np.where(known & (number[..., 0] > 0), SCAN_SHARE * evidence, 1.0))


def scan_e_reject(  # noqa: PLR0913  the arguments of scan_e and one more
    x: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    cross: ArrayLike,
    n: ArrayLike,
    quantile: float,
    alpha: float,
    planned_n: float,
    *,
    tests: int = 1,
) -> Floats:
    """Evidence against "q_B <= r q_A" at level alpha/tests. Compare it with tests/alpha.

    As scan_e the other way round: cross[j] = #(A >= x_j and B > r x_{j+1}), and for q_A in [x_j, x_{j+1}) the bet is
    against 1[A >= x_j] - 1[B > r x_{j+1}], which is never below 1[A >= q_A] - 1[B > r q_A], whose mean is at least 0.
    """
    first, second, number = _edges(a, b, n)
    edges, jointly = _scannable(x, cross, first, second)
    next_b = np.concatenate([second[..., 1:], jointly[..., -1:]], axis=-1)  # beyond the last edge: no loss is counted
    wins, losses = first - jointly, next_b - jointly
    scanned, known = _production(edges, first, number, quantile, SCAN_SIDE * alpha / tests, planned_n)
    evidence = _trinomial(e_reject, wins, losses, number, scanned, quantile)
    return np.asarray(np.where(known & (number[..., 0] > 0), SCAN_SHARE * evidence, 1.0))


def _evidence(number: ArrayLike, n: ArrayLike, quantile: float, planned_n: float, *, above: bool) -> Floats:
    m, total = np.broadcast_arrays(np.asarray(number, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not (0 < quantile < 1 and planned_n > 0):
        raise ValueError(f"needs a quantile in (0, 1) and a planned number above 0, got {quantile} and {planned_n}")
    if np.any(m < 0) or np.any(m > total):
        raise ValueError("exceedances must be between 0 and the number of observations")
    u, r = 1 - quantile, planned_n / _TUNED
    prior_a, prior_b = u * r, quantile * r
    a, b = prior_a + m, prior_b + total - m
    share = special.betaincc if above else special.betainc
    mass = share(a, b, u)
    log_e = (
        special.betaln(a, b)
        - special.betaln(prior_a, prior_b)
        + np.log(np.maximum(mass, _LEAST))
        - np.log(share(prior_a, prior_b, u))
        - m * np.log(u)
        - (total - m) * np.log1p(-u)
    )
    # A mass that underflows has m/n far on the null's side, where every likelihood ratio of the mixture is below 1.
    log_e = np.where(mass < _LEAST, -np.inf, log_e)
    e = np.minimum(np.exp(np.minimum(log_e, 700.0)), CAP)
    return np.asarray(np.where(total == 0, 1.0, e))


def _edges(a: ArrayLike, b: ArrayLike, n: ArrayLike) -> tuple[Counts, Counts, Counts]:
    """Both counts, and n with an axis for the edges. ValueError for what no data could give."""
    first, second = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    number = np.asarray(n, dtype=np.int64)[..., None]
    if first.shape != second.shape or first.ndim == 0:
        raise ValueError(f"needs counts of both arms at the same edges, got shapes {first.shape} and {second.shape}")
    if np.any(np.diff(first, axis=-1) > 0) or np.any(np.diff(second, axis=-1) > 0):
        raise ValueError("exceedances cannot rise from one edge to the next: the edges must ascend")
    return first, second, np.broadcast_to(number, (*first.shape[:-1], 1))


def _scannable(x: ArrayLike, joint: ArrayLike, first: Counts, second: Counts) -> tuple[Counts, Counts]:
    edges, jointly = np.asarray(x, dtype=np.int64), np.asarray(joint, dtype=np.int64)
    if edges.shape != first.shape[-1:] or jointly.shape != first.shape or len(edges) == 0:
        raise ValueError(f"needs one edge and one joint count for each count, got {edges.shape} and {jointly.shape}")
    if edges[0] < 0 or np.any(np.diff(edges) <= 0):
        raise ValueError("edges must ascend from 0 or above")
    if np.any(jointly > np.minimum(first, second)):
        raise ValueError("more exceed jointly than alone")
    return edges, jointly


def _production(
    edges: Counts, first: Counts, number: Counts, quantile: float, side: float, planned_n: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The buckets in which production's quantile may be, and whether it is known to be in none but those with edges."""
    # "q_A >= x_j" implies P(A >= x_j) >= u; "q_A < x_{j+1}" implies P(A >= x_{j+1}) <= u.
    high_gone = e_quantile_below(first, number, quantile, planned_n) >= 1 / side
    low_gone = e_quantile_above(first, number, quantile, planned_n) >= 1 / side
    never = np.zeros_like(low_gone[..., :1])
    scanned = ~high_gone & ~np.concatenate([low_gone[..., 1:], never], axis=-1)
    under = low_gone[..., 0] if edges[0] > 0 else np.ones_like(low_gone[..., 0])
    return scanned, under & high_gone[..., -1] & scanned.any(axis=-1)


def _trinomial(
    bet: object, wins: Counts, losses: Counts, number: Counts, scanned: NDArray[np.bool_], quantile: float
) -> Floats:
    """The smallest evidence over the scanned buckets, one for each replicate."""
    every = np.broadcast_to(number, wins.shape)
    counts = np.stack([losses[scanned], (every - wins - losses)[scanned], wins[scanned]], axis=-1)
    assert callable(bet)
    evidence = np.full(wins.shape, np.inf)
    if len(counts):
        evidence[scanned] = bet(counts, _TRINOMIAL, [scan_claim(quantile)])
    return np.asarray(evidence.min(axis=-1))


def scan_claim(quantile: float) -> Claim:
    """What the scan's stakes are tuned to: B exceeds r x half as often as A exceeds x, no margin."""
    u = 1 - quantile
    return Claim(margin=0.0, disagreement=u, difference=0.3 * u, grid=1)
