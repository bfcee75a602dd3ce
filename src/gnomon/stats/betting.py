"""The count-based betting e-process: evidence about a mean in [-1, 1] that stays valid however often one looks.

Units carry D in [-1, 1], counted in steps of 1/GRID; a row of counts is all that is needed. With a fixed stake kappa

    against  mean D <= m :  W = prod over units of 1 + kappa (D - m) / (1 + m)
    against  mean D >= m :  W = prod over units of 1 - kappa (D - m) / (top - m)

A unit that was drawn with a probability p where the lowest is q has the weight w = q/p, and bets w (D - m) in place of
D - m: over the coin its mean is q (D - m), the same multiple for every unit, so that units which are drawn more often
do not count for more. Equal probabilities are weight 1.

W is nonnegative with mean at most 1, so is every mixture E over a fixed list of stakes, and by Ville's inequality
P(E ever reaches 1/alpha) <= alpha. At m = -delta these are the promote and reject sides of the gate. Stakes and
weights depend on the sealed plan alone: never on the data, else a bad weekend after good weekdays could be promoted.

Source    Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS B 86(1), 2024;
          Ville 1939; e-Holm: Vovk & Wang, E-values, Ann. Stat. 49(3), 2021
          weights: Horvitz & Thompson, A generalization of sampling without replacement from a finite universe,
          JASA 47(260), 1952
Assumes   units are independent within a cycle of traffic; D at most `top`; the probabilities are what they were drawn
          with, and the lowest is sealed
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

GRID: Final = 40
"""Steps in which D is counted."""

CAP: Final = 1e300
"""The largest e-value that is returned, so that it stays a finite JSON number."""

KAPPAS: Final = np.geomspace(0.002, 0.98, 64)
"""The stakes of the mixture, log-spaced; 1 would lose everything on one bad unit."""

_SPREAD: Final = 0.7  # standard deviation of log kappa around the planned stake
_PLANNED_SHARE: Final = 0.8  # of the mixture's weight; the rest is log-uniform and guards against a wrong plan
_BISECTIONS: Final = 40

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one test is about, and what its plan expects. All of it is sealed."""

    margin: float
    """delta >= 0: the nulls are mean D <= -delta and mean D >= -delta."""
    disagreement: float
    """Expected P(D != 0). Tunes the stakes; a wrong one costs time, not validity."""
    difference: float = 0.0
    """Expected mean of D; not used where `top` is 0, because there it is -disagreement."""
    top: int = 1
    """The largest D there can be: 1 for a difference, 0 for a rate of bad outcomes (D = -1 or 0)."""

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and self.top in {0, 1}):
            raise ValueError(f"a claim needs 0 <= margin < 1 and top 0 or 1, got {self.margin} and {self.top}")
        if self.top == 0 and self.margin == 0:
            raise ValueError("a rate of bad outcomes needs a margin above 0: no data shows that it is exactly 0")


def tabulate(histograms: Sequence[Sequence[tuple[int, int]]]) -> tuple[Counts, tuple[int, ...]]:
    """Rows of (value, count) as one table: counts of shape (tests, values) and the values in steps of 1/GRID."""
    values = tuple(sorted({value for histogram in histograms for value, _ in histogram}))
    column = {value: index for index, value in enumerate(values)}
    counts = np.zeros((len(histograms), len(values)), dtype=np.int64)
    for row, histogram in enumerate(histograms):
        for value, count in histogram:
            counts[row, column[value]] += count
    return counts, values


def tabulate_weighted(
    groups: Sequence[Sequence[tuple[float, Sequence[tuple[int, int]]]]],
) -> tuple[Counts, tuple[int, ...], tuple[float, ...]]:
    """Rows of (weight, rows of (value, count)) as one table: counts, and the value and the weight of each column.

    The columns ascend by value, then by weight: with weight 1 alone it is the table of `tabulate`.
    """
    pairs = sorted({(value, weight) for row in groups for weight, histogram in row for value, _ in histogram})
    column = {pair: index for index, pair in enumerate(pairs)}
    counts = np.zeros((len(groups), len(pairs)), dtype=np.int64)
    for row, parts in enumerate(groups):
        for weight, histogram in parts:
            for value, count in histogram:
                counts[row, column[value, weight]] += count
    return counts, tuple(value for value, _ in pairs), tuple(weight for _, weight in pairs)


def e_promote(
    counts: Counts, values: Sequence[int], claims: Sequence[Claim], weights: Sequence[float] | None = None
) -> Floats:
    """E-values against mean D <= -margin, one for each row of counts. 1 without data, at most CAP.

    `counts` has shape (tests, values), `values` are in steps of 1/GRID, `claims` has one for each row or one for all,
    `weights` has one in (0, 1] for each value; None: all are 1. ValueError for what cannot be counted or weighed so.
    """
    return _capped(_log_e(counts, values, claims, weights, _promoting))


def e_reject(
    counts: Counts, values: Sequence[int], claims: Sequence[Claim], weights: Sequence[float] | None = None
) -> Floats:
    """E-values against mean D >= -margin, one for each row of counts. 1 without data, at most CAP.

    Where `top` is 0 the stake may be as large as 1/margin, which makes this the likelihood-ratio test of a rate.
    """
    return _capped(_log_e(counts, values, claims, weights, _rejecting))


def lower_bounds(
    counts: Counts,
    values: Sequence[int],
    claims: Sequence[Claim],
    alpha: float,
    weights: Sequence[float] | None = None,
) -> Floats:
    """Lower ends of one-sided anytime-valid intervals for the mean of D; -1 without data.

    The largest m against which e_promote is at least 1/alpha: above -margin exactly when the test has passed.
    """
    return _bisect(counts, values, claims, weights, _promoting, alpha, falling=True)


def upper_bounds(
    counts: Counts,
    values: Sequence[int],
    claims: Sequence[Claim],
    alpha: float,
    weights: Sequence[float] | None = None,
) -> Floats:
    """Upper ends of one-sided anytime-valid intervals for the mean of D; `top` without data."""
    return _bisect(counts, values, claims, weights, _rejecting, alpha, falling=False)


def e_holm(e_values: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Indices of the hypotheses that can be rejected together: P(any of them is true) <= alpha at every look.

    Holm's step-down on 1/e, valid under any dependence. The first needs e >= m/alpha, the next (m-1)/alpha, and so on.
    """
    order = sorted(range(len(e_values)), key=lambda index: (-e_values[index], index))
    named: list[int] = []
    for rank, index in enumerate(order):
        if e_values[index] < (len(order) - rank) / alpha:
            break
        named.append(index)
    return tuple(sorted(named))


def kelly(outcomes: Sequence[tuple[float, float]]) -> float:
    """The stake l >= 0 that maximises sum p log(1 + l x) over at most three outcomes (x, p); 0 if there is none.

    The derivative's numerator is a polynomial of degree two, so the answer is a formula: an iterative search could end
    a step away on another machine, and the weights would no longer be the sealed ones. Infinite if nothing can be lost.
    """
    live = [(x, p) for x, p in outcomes if x != 0 and p > 0]
    mean = sum(x * p for x, p in live)
    if mean <= 0:
        return 0.0
    if all(x > 0 for x, _ in live):
        return math.inf
    if len(live) == 2:
        (a, pa), (b, pb) = live
        return -mean / (a * b * (pa + pb))
    (a, pa), (b, pb), (c, pc) = live
    linear = pa * a * (b + c) + pb * b * (a + c) + pc * c * (a + b)
    square = a * b * c * (pa + pb + pc)
    # The root next to zero: the other one lies beyond the stake that can lose everything.
    return 2 * mean / (math.sqrt(max(0.0, linear * linear - 4 * square * mean)) - linear)


Stakes = tuple[Floats, Floats]
"""(what each stake multiplies D + margin by, log weight of each stake), both of shape (64,)."""


@lru_cache(maxsize=4096)
def _promoting(claim: Claim) -> Stakes:
    """Stakes against mean D <= -margin, centred where the planned alternative grows fastest."""
    return KAPPAS / (1 - claim.margin), _log_weights(_planned_kappa(claim))


def _planned_kappa(claim: Claim) -> float | None:
    """The planned alternative's best kappa; None where the plan itself expects the null to be true."""
    delta = claim.margin
    if claim.top == 0:
        bad, good = claim.disagreement, 0.0
    else:
        moved = max(claim.disagreement, abs(claim.difference))
        bad, good = (moved - claim.difference) / 2, (moved + claim.difference) / 2
    stake = kelly([(1 + delta, good), (delta, 1 - good - bad), (delta - 1, bad)])
    return stake * (1 - delta) if stake > 0 else None


@lru_cache(maxsize=4096)
def _rejecting(claim: Claim) -> Stakes:
    """Stakes against mean D >= -margin, centred on a clear harm, because that is what must be found quickly."""
    return -KAPPAS / (claim.top + claim.margin), _log_weights(_harm_kappa(claim))


def _harm_kappa(claim: Claim) -> float | None:
    """The best kappa when the candidate is worse by three margins; for a rate, when it is twice the margin.

    With margin 0 harm is half of the planned disagreement. Of the planned disagreements a quarter stays in the
    candidate's favour. Measured at margin 4 pp, plan 8 %, truth 83 % against 94 %, threshold 300 to 400: median 290
    units (an oracle that knows the truth: 250); centred on two margins 340, on four 280, but mild harm takes longer.
    """
    delta = claim.margin
    if claim.top == 0:
        bad, good = min(1.0, 2 * delta), 0.0
    else:
        good = claim.disagreement / 4
        bad = min(good + max(3 * delta, claim.disagreement / 2), 1 - good)
    stake = kelly([(1 - delta, bad), (-delta, 1 - good - bad), (-1 - delta, good)])
    return stake * (claim.top + delta) if stake > 0 else None


def _log_weights(center: float | None) -> Floats:
    """0.8 lognormal around the planned kappa, sd 0.7, and 0.2 log-uniform; log-uniform alone without a centre."""
    uniform = np.full(len(KAPPAS), 1 / len(KAPPAS))
    if center is None:
        return np.asarray(np.log(uniform))
    distance = (np.log(KAPPAS) - math.log(min(max(center, KAPPAS[0]), KAPPAS[-1]))) / _SPREAD
    planned = np.exp(-distance * distance / 2)
    return np.asarray(np.log(_PLANNED_SHARE * planned / planned.sum() + (1 - _PLANNED_SHARE) * uniform))


def _each(claims: Sequence[Claim], rows: int) -> Sequence[Claim]:
    return claims if len(claims) == rows else [claims[0]] * rows


def _capped(log_e: Floats) -> Floats:
    return np.asarray(np.minimum(np.exp(np.minimum(log_e, 700.0)), CAP))  # e^700 is over the cap and still finite


def _log_e(
    counts: Counts,
    values: Sequence[int],
    claims: Sequence[Claim],
    weights: Sequence[float] | None,
    stakes: Callable[[Claim], Stakes],
) -> Floats:
    """Log of the mixture, one for each row of counts; exactly 0 for a row without data."""
    columns = _checked(counts, values, claims, weights)
    result = np.zeros(len(counts))
    groups: dict[Claim, list[int]] = {}
    for row, claim in enumerate(claims):
        groups.setdefault(claim, []).append(row)
    for claim, rows in groups.items():
        part = counts if len(claims) == 1 else counts[rows]
        scale, log_weights = stakes(claim)
        wealth = np.tile(log_weights, (len(part), 1))
        # Summed value by value, in ascending order, and not by a matrix product: BLAS adds in an order that depends
        # on the shape, and a count of zero must change no bit.
        for column, (value, weight) in enumerate(columns):
            gain = _log1p(scale * (weight * (value / GRID + claim.margin)))
            wealth += part[:, column, None] * gain
        result[slice(None) if len(claims) == 1 else rows] = _log_sum(wealth)
    result[counts.sum(axis=1) == 0] = 0.0
    return result


def _log1p(gain: Floats) -> Floats:
    """Log of 1 + gain. A stake never loses more than 0.98; what is clipped belongs to a value that another row has."""
    return np.asarray(np.log1p(np.maximum(gain, -0.99)))


def _checked(
    counts: Counts, values: Sequence[int], claims: Sequence[Claim], weights: Sequence[float] | None
) -> list[tuple[int, float]]:
    """Value and weight of each column. ValueError for a count of something that the claim says cannot be."""
    top = np.array([claim.top * GRID for claim in claims])
    outside = (np.asarray(values)[None, :] > top[:, None]) | (np.abs(values) > GRID)[None, :]
    if (counts.min(initial=0) < 0) or np.any(outside & (counts > 0)):
        raise ValueError("counts must not be negative, and D must be in [-1, top]")
    each = [1.0] * len(values) if weights is None else weights
    if len(each) != len(values) or not all(0 < weight <= 1 for weight in each):
        raise ValueError("each value needs one weight, above 0 and at most 1")
    return list(zip(values, each, strict=True))


def _log_sum(log_terms: Floats) -> Floats:
    """Log of the sum of exponentials over the last axis."""
    largest = log_terms.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(log_terms - largest[..., None]).sum(axis=-1)))


def _bisect(
    counts: Counts,
    values: Sequence[int],
    claims: Sequence[Claim],
    weights: Sequence[float] | None,
    stakes: Callable[[Claim], Stakes],
    alpha: float,
    *,
    falling: bool,
) -> Floats:
    """The m at which the mixture crosses 1/alpha, on the side that is not excluded yet.

    The mixture against mean D <= m falls in m, that against mean D >= m rises: factor by factor, see the module's top.
    """
    columns = _checked(counts, values, claims, weights)
    each = _each(claims, len(counts))
    log_weights = np.stack([stakes(claim)[1] for claim in each]) if len(each) else np.zeros((0, len(KAPPAS)))
    top = np.array([claim.top for claim in each], dtype=np.float64)
    low, high = np.full(len(counts), -1.0), np.ones(len(counts)) if falling else top
    needed = -math.log(alpha)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        wealth = log_weights.copy()
        for column, (value, weight) in enumerate(columns):
            distance = weight * (value / GRID - middle)
            gain = distance / (1 + middle) if falling else -distance / (top - middle)
            wealth += counts[:, column, None] * _log1p(KAPPAS * gain[:, None])
        excluded = _log_sum(wealth) >= needed
        low = np.where(excluded == falling, middle, low)
        high = np.where(excluded == falling, high, middle)
    return low if falling else high
