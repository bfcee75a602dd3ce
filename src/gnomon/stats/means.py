"""The mean of a bounded quantity: evidence and confidence sequences that hold at every look.

Thin doors to `betting`, in the units of what was measured: X in [low, high], counted by distinct value. Order does
not matter, and counts of several workers may be added.

Source    Waudby-Smith & Ramdas, JRSS B 86(1), 2024; asymptotic: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Ann.
          Stat. 2024, theorem 2.2, and Robbins 1970 for its boundary
Assumes   units independent within a cycle and X inside its bounds; the asymptotic one: many units, and finite variance
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from gnomon.stats.betting import (
    Claim,
    Counts,
    e_promote,
    e_reject,
    lower_bounds,
    relative_claim,
    upper_bounds,
)
from gnomon.stats.results import Floats, Interval, check_level, numbers, plain, safe_divide

Side = Literal["greater", "less"]


def mean_e(
    counts: Counts,
    values: Sequence[float],
    null: float,
    bounds: tuple[float, float],
    *,
    side: Side = "greater",
    expected: Sequence[tuple[float, float]] = (),
    weights: Sequence[float] | None = None,
) -> Floats:
    """Evidence against "the mean is at most `null`" (side "greater") or "at least" ("less"); one per row of counts.

    counts[test, j] units had values[j]; a histogram of one test is one row, and `weights` (q over the probability that
    a unit was drawn with, q the lowest) make it that of a stratified sample. E = sum over stakes k of w_k times

        product over j of ( 1 + k weight_j (x_j - null)/(null - low) )^counts_j                    ("less": mirrored)

    `expected` is the planned distribution as (value, probability), what is missing to 1 being at the null: it centres
    the stakes; without, they are log-uniform. 1 without data.
    """
    low, high = bounds
    if not low < null < high:
        raise ValueError(f"the null must lie inside the bounds, got {null} and {bounds}")
    width = high - low
    claim = Claim(
        margin=0.0,
        disagreement=0.0,
        top=(high - null) / width,
        bottom=(low - null) / width,
        grid=1,
        outcomes=tuple(((x - null) / width, p) for x, p in expected),
    )
    moved = [(x - null) / width for x in _inside(values, bounds)]
    return (e_promote if side == "greater" else e_reject)(counts, moved, [claim], weights)


def mean_interval(
    counts: Counts,
    values: Sequence[float],
    bounds: tuple[float, float],
    alpha: float = 0.05,
    *,
    weights: Sequence[float] | None = None,
) -> Interval:
    """A confidence sequence for the mean, one for each row of counts: covers at all looks together with 1 - alpha.

    Two one-sided ones at alpha/2: the means that the log-uniform mixtures of `mean_e` do not exclude. The bounds
    without data.
    """
    check_level(alpha)
    low, high = bounds
    if not low < high:
        raise ValueError(f"the lower bound must be below the upper one, got {bounds}")
    claim = Claim(margin=0.0, disagreement=0.0, grid=1)
    moved = [2 * (x - low) / (high - low) - 1 for x in _inside(values, bounds)]
    lower = lower_bounds(counts, moved, [claim], alpha / 2, weights)
    upper = upper_bounds(counts, moved, [claim], alpha / 2, weights)
    return Interval(*(np.asarray(low + (end + 1) / 2 * (high - low)) for end in (lower, upper)))


def relative_e(
    both: ArrayLike,
    production_only: ArrayLike,
    candidate_only: ArrayLike,
    n: ArrayLike,
    ratio: tuple[int, int],
    *,
    rate: float,
    joint: float,
    side: Side = "greater",
) -> Floats:
    """Evidence that the candidate errs at most num/den times as often as production ("less": more often), per element.

    From n pairs by who erred; ratio = (num, den), rate and joint as in `relative_claim`. With R = num/den,
    E = sum over stakes l of w_l (1 + l (R - 1))^both (1 + l R)^production_only (1 - l)^candidate_only.
    """
    joined, first, second, total = numbers(both, production_only, candidate_only, n)
    rest = total - joined - first - second
    if np.any(rest < 0):
        raise ValueError("more errors than pairs")
    num, den = ratio
    claim = relative_claim(num, den, rate, joint)
    step = claim.grid // num
    rows = np.stack([each.ravel() for each in (second, rest, joined, first)], axis=-1).astype(np.int64)
    values = (-step * den, 0, step * (num - den), step * num)
    found = (e_promote if side == "greater" else e_reject)(rows, values, [claim])
    return plain(found.reshape(total.shape))


def asymptotic_interval(
    mean: ArrayLike, variance: ArrayLike, n: ArrayLike, alpha: float = 0.05, planned_n: float = 1_000
) -> Interval:
    """An asymptotic confidence sequence for a mean, for DISPLAY only: it over-rejects where outcomes are rare.

    mean -+ sd sqrt( 2 (n rho2 + 1)/(n^2 rho2) log( sqrt(n rho2 + 1)/alpha ) ), rho2 = (-2 log alpha +
    log(1 - 2 log alpha))/planned_n, narrowest about planned_n. `variance` is that of one unit. Infinite without data.
    """
    check_level(alpha)
    if not planned_n > 0:
        raise ValueError(f"the planned number must be above 0, got {planned_n}")
    center = np.asarray(mean, dtype=np.float64)
    spread, total = numbers(variance, n)
    rho2 = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned_n
    scaled = total * rho2 + 1
    inner = safe_divide(2 * scaled * np.log(np.sqrt(scaled) / alpha), total**2 * rho2, np.inf)
    radius = np.where(total > 0, np.sqrt(np.where(np.isfinite(inner), inner, 0.0) * spread), np.inf)
    return Interval(plain(center - radius), plain(center + radius))


def _inside(values: Sequence[float], bounds: tuple[float, float]) -> Sequence[float]:
    low, high = bounds
    if not all(low <= x <= high for x in values):  # NaN is not inside either
        raise ValueError(f"values must lie in {bounds}, got {[x for x in values if not low <= x <= high]}")
    return values
