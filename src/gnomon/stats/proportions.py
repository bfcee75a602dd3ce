"""One or two proportions of independent samples.

Source    Wilson, JASA 22:209-212, 1927; Clopper & Pearson, Biometrika 26:404-413, 1934
          score test of a difference: Farrington & Manning, Stat. Med. 9:1447-1454, 1990
          ratio of rates: Przyborowski & Wilenski, Biometrika 31:313-323, 1940
Assumes   units independent, in and between samples; one look
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from gnomon.stats.results import Floats, Interval, Test, check_level, numbers, plain, safe_divide


def wilson_interval(x: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """Wilson's score interval: (x + z^2/2 -+ z sqrt(x (n - x)/n + z^2/4)) / (n + z^2). [0, 1] without data."""
    check_level(alpha)
    hits, total = _parts(x, n)
    z2 = float(special.ndtri(alpha / 2)) ** 2
    half = np.sqrt(z2 * (safe_divide(hits * (total - hits), total, 0.0) + z2 / 4))
    lower = np.where(hits == 0, 0.0, (hits + z2 / 2 - half) / (total + z2))
    upper = np.where(hits == total, 1.0, (hits + z2 / 2 + half) / (total + z2))
    return Interval(plain(np.maximum(lower, 0.0)), plain(np.minimum(upper, 1.0)))


def clopper_pearson(x: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """The exact interval: the alpha/2 quantile of Beta(x, n - x + 1), the 1 - alpha/2 of Beta(x + 1, n - x)."""
    check_level(alpha)
    hits, total = _parts(x, n)
    misses = total - hits
    lower = np.where(hits == 0, 0.0, special.betaincinv(np.maximum(hits, 1), misses + 1, alpha / 2))
    upper = np.where(misses == 0, 1.0, special.betaincinv(hits + 1, np.maximum(misses, 1), 1 - alpha / 2))
    return Interval(plain(lower), plain(upper))


def farrington_manning(x1: ArrayLike, n1: ArrayLike, x2: ArrayLike, n2: ArrayLike, margin: ArrayLike = 0.0) -> Test:
    """The score test of p1 - p2 <= -margin: z = (p1 - p2 + margin) / sqrt(r1 (1 - r1)/n1 + r2 (1 - r2)/n2), P(Z > z).

    r1 and r2 are the maximum-likelihood estimates where r1 - r2 = -margin, the root of a cubic. Test 1 is the
    candidate. Without data in either sample z is 0.
    """
    (first, many), (second, more) = _parts(x1, n1), _parts(x2, n2)
    first, many, second, more = np.broadcast_arrays(first, many, second, more)
    gap = -np.asarray(margin, dtype=np.float64)
    if np.any(np.abs(gap) >= 1):
        raise ValueError(f"a margin must be above -1 and below 1, got {margin!r}")
    share1, share2 = safe_divide(first, many, 0.0), safe_divide(second, more, 0.0)
    rate1 = _restricted(share1, share2, safe_divide(more, many, 1.0), gap)
    rate2 = np.clip(rate1 - gap, 0.0, 1.0)
    variance = safe_divide(rate1 * (1 - rate1), many, 0.0) + safe_divide(rate2 * (1 - rate2), more, 0.0)
    distance = share1 - share2 - gap
    certain = np.where(np.abs(distance) < 1e-12, 0.0, np.copysign(1e9, distance))
    z = np.where(variance > 1e-15, safe_divide(distance, np.sqrt(variance), 0.0), certain)
    z = np.where((many == 0) | (more == 0), 0.0, z)
    return Test(plain(z), plain(np.where((many == 0) | (more == 0), 1.0, special.ndtr(-z))))


def conditional_binomial(
    x_b: ArrayLike,
    n_b: ArrayLike,
    x_a: ArrayLike,
    n_a: ArrayLike,
    ratio: float = 1.0,
    *,
    alternative: Literal["less", "greater"] = "less",
) -> Test:
    """The exact test of two Poisson rates: p-value against rate_B >= ratio rate_A ("less"), or <= ("greater").

    Given the number of events x_A + x_B, those of B are Bin(x_A + x_B, ratio n_B / (ratio n_B + n_A)) at the boundary.
    The statistic is the observed ratio of the rates, 0 where it has none.
    """
    if not ratio > 0:
        raise ValueError(f"the ratio must be above 0, got {ratio}")
    events_b, size_b, events_a, size_a = numbers(x_b, n_b, x_a, n_a)
    share = safe_divide(ratio * size_b, ratio * size_b + size_a, 0.5)
    total = events_a + events_b
    if alternative == "less":
        p = special.betaincc(events_b + 1, np.maximum(total - events_b, 1e-300), share)  # P(Bin <= x_B)
        p = np.where(events_a == 0, 1.0, p)
    else:
        p = special.betainc(np.maximum(events_b, 1e-300), total - events_b + 1, share)  # P(Bin >= x_B)
        p = np.where(events_b == 0, 1.0, p)
    p = np.where((size_a == 0) | (size_b == 0), 1.0, p)
    return Test(plain(safe_divide(events_b * size_a, size_b * events_a, 0.0)), plain(np.clip(p, 0.0, 1.0)))


def _parts(x: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    hits, total = numbers(x, n)
    if np.any(hits > total):
        raise ValueError("more hits than units")
    return hits, total


def _restricted(share1: Floats, share2: Floats, theta: Floats, gap: Floats) -> Floats:
    """The estimate of p1 where p1 - p2 = gap: Farrington & Manning's closed form; theta = n2/n1."""
    a = 1 + theta
    b = -(1 + theta + share1 + theta * share2 + gap * (theta + 2))
    c = gap**2 + gap * (2 * share1 + theta + 1) + share1 + theta * share2
    d = -share1 * gap * (1 + gap)
    v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
    u = np.copysign(np.sqrt(np.maximum(b**2 / (9 * a**2) - c / (3 * a), 0.0)), v)
    angle = (np.pi + np.arccos(np.clip(safe_divide(v, u**3, 0.0), -1.0, 1.0))) / 3
    return np.asarray(np.clip(2 * u * np.cos(angle) - b / (3 * a), np.maximum(gap, 0.0), np.minimum(1.0, 1 + gap)))
