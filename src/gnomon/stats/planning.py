"""How many units a test takes: the time at which a betting e-process first reaches its threshold.

log E of n units is about a random walk with drift g and standard deviation s per unit, less what the mixture costs:

    g = max over l of E log(1 + l X),   s = sd of log(1 + l* X),   b = ln(threshold) + kappa
    P(stop <= n) = Phi( (n g - b) / (s sqrt n) ) + exp(2 b g / s^2) Phi( (-n g - b) / (s sqrt n) )

which is the first passage of a Brownian motion with drift over b. X is D + margin for promotion and -(D + margin) for
rejection. kappa is -log of the weight that the mixture gives to the stake l*, so that a plan that is wrong costs what
it costs: 0.75 when the truth is the plan, 1.85 without a plan.

Source    first passage: Cox & Miller, The Theory of Stochastic Processes, 1965, section 5.7 (the inverse Gaussian law);
          growth rate: Kelly 1956; that it predicts the q50, q80 and q90 of the gates within 10 %: tests/stats and
          bench/simulate
Assumes   units independent; tests that end after a dozen events are predicted up to a fifth too early
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gnomon.stats import betting
from gnomon.stats.betting import KAPPAS, Claim, kelly, planned_outcomes
from gnomon.stats.quantiles import SCAN_SHARE, SCAN_SIDE, lower_rank, scan_claim, upper_rank, uses_scan

Outcomes = Sequence[tuple[float, float]]
"""Distribution as (value, probability)."""

KAPPA: Final = 0.75
"""What the mixture costs, in nats, when the truth is what the plan expected."""

_NEVER: Final = 1e12  # units; later than this is never
_TIES: Final = 1e-12  # a growth under this is none


def stop_probability(
    n: float | NDArray[np.float64], claim: Claim | Outcomes, alpha: float, kappa: float = KAPPA
) -> NDArray[np.float64]:
    """P(promotion has been shown at some look up to n units), if D is distributed as the claim expects.

    Given outcomes in place of a claim, they are the distribution of X = D + margin itself, and stakes go up to 0.98 of
    what the smallest X allows. 0 where the evidence does not grow.
    """
    if isinstance(claim, Claim):
        outcomes = [(x + claim.margin, p) for x, p in planned_outcomes(claim)]
        limit = KAPPAS[-1] / (-claim.margin - claim.bottom)
    else:
        outcomes = list(claim)
        limit = KAPPAS[-1] / max(1e-300, -min(x for x, _ in outcomes))
    return _passage(n, *_walk(outcomes, limit)[:2], -math.log(alpha) + kappa)


def planned_units(
    claim: Claim,
    alpha: float,
    powers: Sequence[float] = (0.5, 0.8, 0.9),
    true_difference: float | None = None,
    threshold: float | None = None,
) -> tuple[int | None, ...]:
    """Units after which promotion is shown with each of these probabilities; None: never.

    The truth is what the claim expects or, with `true_difference`, the same with that mean of D; the stakes are the
    claim's in either case. `threshold` is the e-value that is needed where it is not 1/alpha.
    """
    needed = 1 / alpha if threshold is None else threshold
    true = planned_outcomes(claim) if true_difference is None else moved(claim, true_difference)
    walk = None if true is None else _promotion(claim, true, needed)
    return tuple(None if walk is None else _units(walk, power) for power in powers)


def rejection_units(
    claim: Claim,
    alpha: float,
    powers: Sequence[float] = (0.5, 0.8, 0.9),
    *,
    true_difference: float,
    tests: int = 1,
) -> tuple[int | None, ...]:
    """Units after which a candidate with this mean of D is rejected with each of these probabilities; None: never."""
    true = moved(claim, true_difference)
    walk = None if true is None else _rejection(claim, true, tests / alpha)
    return tuple(None if walk is None else _units(walk, power) for power in powers)


def smallest_detectable(claim: Claim, alpha: float, units: int, power: float = 0.8, tests: int = 1) -> float | None:
    """The smallest harm that `units` units reject with this probability, as a positive drop of the mean of D.

    Always above the margin; None where even the largest possible drop is not found. The threshold is tests/alpha.
    """

    def found(drop: float) -> bool:
        true = moved(claim, -drop)
        walk = None if true is None else _rejection(claim, true, tests / alpha)
        return walk is not None and float(_passage(units, *walk)) >= power

    low, high = claim.margin, -claim.bottom
    if not found(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def ratio_units(
    bound: float,
    true_ratio: float,
    sigma: float,
    quantile: float,
    alpha: float,
    power: float = 0.8,
    *,
    planned_n: float = 10_000,
    correlation: float = 0.0,
) -> int | None:
    """Pairs after which "q_B <= bound x q_A" is shown with this probability; None: never.

    For latencies of which the log has a normal upper tail with standard deviation `sigma` in both arms, and is
    correlated so. By the method of the gate: two confidence sequences whose widths, from their ranks, must fit between
    the true ratio and the bound with room for the noise of both quantiles; under a bound of 1.2 the scan, whose bets
    must pass at either end of the confidence sequence of production's quantile.
    """
    if not true_ratio < bound:
        return None
    if not (sigma > 0 and true_ratio > 0 and -1 < correlation < 1):
        raise ValueError(f"needs sigma and ratio above 0, a correlation inside (-1, 1), got {sigma}, {true_ratio}")
    room = math.log(bound / true_ratio) / sigma  # in standard deviations of the log
    reached = _scan_reached if uses_scan(bound) else _ratio_reached
    low, high = 1, 2
    while not reached(high, room, quantile, alpha, power, planned_n, correlation):
        low, high = high, high * 2
        if high > _NEVER:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle, room, quantile, alpha, power, planned_n, correlation):
            high = middle
        else:
            low = middle
    return high


def _ratio_reached(
    n: int, room: float, quantile: float, alpha: float, power: float, planned_n: float, correlation: float
) -> bool:
    up, down = int(upper_rank(n, quantile, alpha / 2, planned_n)), int(lower_rank(n, quantile, alpha / 2, planned_n))
    if up < 0 or down < 0:
        return False
    z = special.ndtri(quantile)
    width = (special.ndtri(1 - max(up, 0.5) / n) - z) + (z - special.ndtri(1 - down / n))
    return bool(room >= width + special.ndtri(power) * _noise(n, quantile, correlation))


def _noise(n: int, quantile: float, correlation: float) -> float:
    """Standard deviation of log(q_B/q_A), in units of sigma."""
    u, z = 1 - quantile, float(special.ndtri(quantile))
    joint = _both(-z, -z, correlation)
    variance = 2 * (u * (1 - u) - (joint - u * u)) / n
    return math.sqrt(max(variance, 0.0)) / (math.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def _both(x: float, y: float, correlation: float) -> float:
    """P(X <= x and Y <= y) of two standard normals."""
    if correlation == 0:
        return float(special.ndtr(x) * special.ndtr(y))
    from scipy import stats  # a second to load

    found = stats.multivariate_normal.cdf([x, y], cov=[[1, correlation], [correlation, 1]])
    return float(found)


def _scan_reached(
    n: int, room: float, quantile: float, alpha: float, power: float, planned_n: float, correlation: float
) -> bool:
    side = SCAN_SIDE * alpha
    up, down = int(upper_rank(n, quantile, side, planned_n)), int(lower_rank(n, quantile, side, planned_n))
    if up < 0 or down < 0:
        return False
    for exceeding in (max(up, 0.5) / n, down / n):
        z = float(special.ndtri(1 - exceeding))
        both = _both(-z, -(z + room), correlation)
        win, loss = exceeding - both, float(special.ndtr(-(z + room))) - both
        drift, deviation, height = _promotion(
            scan_claim(quantile), [(1, win), (0, 1 - win - loss), (-1, loss)], 1 / (SCAN_SHARE * alpha)
        )
        # What was enough before does not count: the sequence has moved on, and with it the edge that is bet at.
        if special.ndtr((n * drift - height) / (deviation * math.sqrt(n))) < power:
            return False
    return True


Walk = tuple[float, float, float]
"""Drift and standard deviation per unit, and the height to reach."""


def _promotion(claim: Claim, true: Outcomes, threshold: float) -> Walk:
    span = -claim.margin - claim.bottom
    center = betting.planned_kappa(claim)
    drift, deviation, stake = _walk([(x + claim.margin, p) for x, p in true], KAPPAS[-1] / span)
    return drift, deviation, math.log(threshold) + _cost(stake * span, center)


def _rejection(claim: Claim, true: Outcomes, threshold: float) -> Walk:
    span = claim.top + claim.margin
    center = betting.harm_kappa(claim)
    drift, deviation, stake = _walk([(-x - claim.margin, p) for x, p in true], KAPPAS[-1] / span)
    return drift, deviation, math.log(threshold) + _cost(stake * span, center)


def _cost(kappa: float, center: float | None) -> float:
    """What the mixture costs when `kappa` is the best stake: KAPPA at the centre of a plan, more away from it."""
    weights = np.exp(betting.log_weights(center))
    peak = float(np.exp(betting.log_weights(float(KAPPAS[len(KAPPAS) // 2]))).max())
    here = float(np.interp(math.log(max(kappa, KAPPAS[0])), np.log(KAPPAS), weights))
    return KAPPA + math.log(peak / here)


def _walk(outcomes: Outcomes, limit: float) -> Walk:
    """Drift and standard deviation of log(1 + l X) at the best stake l, and the stake; no drift if there is none."""
    stake = min(kelly(outcomes), limit)
    if stake <= 0:
        return 0.0, 1.0, 0.0
    gains = [(math.log1p(stake * x), p) for x, p in outcomes if p > 0]
    drift = sum(p * gain for gain, p in gains)
    variance = sum(p * (gain - drift) ** 2 for gain, p in gains)
    return drift, math.sqrt(variance), stake


def _passage(n: float | NDArray[np.float64], drift: float, deviation: float, height: float) -> NDArray[np.float64]:
    """P(a Brownian motion with this drift and deviation reaches the height up to time n)."""
    time = np.maximum(np.asarray(n, dtype=np.float64), 1e-9)
    if drift <= _TIES:
        return np.zeros(time.shape)
    if deviation < 1e-9 * drift:
        return np.where(time * drift >= height, 1.0, 0.0)
    spread = deviation * np.sqrt(time)
    back = 2 * height * drift / deviation**2 + special.log_ndtr((-time * drift - height) / spread)
    return np.asarray(np.minimum(1.0, special.ndtr((time * drift - height) / spread) + np.exp(np.minimum(back, 0.0))))


def _units(walk: Walk, power: float) -> int | None:
    if not float(_passage(_NEVER, *walk)) >= power:
        return None
    low, high = 0.0, 1.0
    while float(_passage(high, *walk)) < power:
        low, high = high, high * 2
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if float(_passage(middle, *walk)) >= power else (middle, high)
    return math.ceil(high)


def moved(claim: Claim, mean: float) -> Outcomes | None:
    """What the claim expects of D, with another mean; None where no D in [bottom, top] has that mean.

    A rate has just that rate. A difference keeps its disagreement, of which at least a quarter stays on the other side.
    Expected outcomes are tilted exponentially, which changes them least.
    """
    if not claim.bottom <= mean <= claim.top:
        return None
    if not claim.outcomes:
        width = claim.top - claim.bottom
        least = mean / claim.bottom if mean < 0 else (mean / claim.top if mean > 0 else 0.0)
        apart = least if claim.top == 0 else min(1.0, max(claim.disagreement, least + claim.disagreement / 2))
        bad = max(0.0, (claim.top * apart - mean) / width)
        good = max(0.0, (mean - claim.bottom * apart) / width)
        return (claim.top, good), (0.0, max(0.0, 1 - good - bad)), (claim.bottom, bad)
    return _tilted(claim, mean)


def _tilted(claim: Claim, mean: float) -> Outcomes:
    known = dict[float, float]()
    for x, p in (*planned_outcomes(claim), (claim.bottom, 0.0), (claim.top, 0.0)):
        known[x] = known.get(x, 0.0) + p
    values = np.array(sorted(known))
    chances = np.array([max(known[x], 1e-12) for x in values])  # what was not expected is not impossible

    def at(tilt: float) -> NDArray[np.float64]:
        logs = np.log(chances) + tilt * values
        grown = np.exp(logs - logs.max())
        return np.asarray(grown / grown.sum())

    low, high = -2_000.0, 2_000.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if float(at(middle) @ values) < mean else (low, middle)
    return list(zip(values.tolist(), at(high).tolist(), strict=True))


def promotion_probability(units: float, claim: Claim, true: Outcomes, threshold: float) -> float:
    """P(promotion has been shown by so many units), if D is distributed like `true` and the stakes are the claim's."""
    return float(_passage(units, *_promotion(claim, true, threshold)))


def promotion_units(claim: Claim, true: Outcomes, threshold: float, powers: Sequence[float]) -> tuple[int | None, ...]:
    """Units after which promotion is shown with each of these probabilities under `true`; None: never."""
    walk = _promotion(claim, true, threshold)
    return tuple(_units(walk, power) for power in powers)


def rejection_probability(units: float, claim: Claim, true: Outcomes, threshold: float) -> float:
    """P(a candidate whose D is distributed like `true` has been rejected by so many units)."""
    return float(_passage(units, *_rejection(claim, true, threshold)))
