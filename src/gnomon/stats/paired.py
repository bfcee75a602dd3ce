"""Two arms on the same inputs: the fixed-sample methods for b (candidate alone right), c (production alone right), n.

Delta = (b - c)/n estimates P(candidate right) - P(production right). These are for one look at a sample size that was
fixed before; whoever looks more often needs the e-values of `betting`, or `discordant_e` for a margin of 0.

Source    McNemar 1947; mid-p: Fagerland, Lydersen & Laake, BMC Med. Res. Meth. 13:91, 2013
          score interval: Tango, Stat. Med. 17:891-908, 1998; test and sample size: Nam, Biometrics 53:1422-1430, 1997
          square-and-add interval: Newcombe, Stat. Med. 17:2635-2650, 1998, method 10
          superiority sample size: Connor, Biometrics 43:207-211, 1987
          mixture martingale: Ville 1939; Robbins, Ann. Math. Stat. 41:1397-1409, 1970
Assumes   pairs independent; one look, but for `discordant_e`
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from gnomon.stats.betting import CAP
from gnomon.stats.proportions import wilson_interval
from gnomon.stats.results import Floats, Interval, Test, check_level, numbers, plain, safe_divide

_HALVINGS: Final = 60


def mcnemar_exact(b: ArrayLike, c: ArrayLike) -> Test:
    """McNemar's exact test of b = c, two-sided: p = min(1, 2 P(Bin(b + c, 1/2) <= min(b, c)))."""
    first, second = numbers(b, c)
    least = np.minimum(first, second)
    p = np.minimum(1.0, 2 * special.bdtr(least, (first + second).astype(np.int64), 0.5))
    return Test(plain(least), plain(p))


def mcnemar_midp(b: ArrayLike, c: ArrayLike) -> Test:
    """The same, with only half of the probability of what was seen: p_exact - P(min), and 1 - P(b)/2 where b = c.

    Never above the nominal level in the 9,595 scenarios of its source; the one for reports. 1 where nothing disagrees.
    """
    first, second = numbers(b, c)
    least, total = np.minimum(first, second), first + second
    at = np.exp(special.gammaln(total + 1) - special.gammaln(first + 1) - special.gammaln(second + 1)) * 0.5**total
    one = special.bdtr(least, total.astype(np.int64), 0.5)
    p = np.where(first == second, 1 - at / 2, 2 * one - at)
    return Test(plain(least), plain(np.where(total == 0, 1.0, np.clip(p, 0.0, 1.0))))


def tango_test(b: ArrayLike, c: ArrayLike, n: ArrayLike, margin: ArrayLike) -> Test:
    """Nam's score test of Delta <= -margin: z = (b - c + n margin) / sqrt(n (2 q - margin (1 + margin))), p = P(Z > z).

    q is the maximum-likelihood estimate of P(production alone right) where Delta = -margin. margin 0 is McNemar's z.
    """
    first, second, total = _counts(b, c, n)
    delta = np.asarray(margin, dtype=np.float64)
    if np.any(np.abs(delta) >= 1):
        raise ValueError(f"a margin must be above -1 and below 1, got {margin!r}")
    z = _score(first, second, total, -delta)
    return Test(plain(z), plain(special.ndtr(-z)))


def tango_interval(b: ArrayLike, c: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """Tango's score interval for Delta: every d whose score is within +- z_{1 - alpha/2}. [-1, 1] without data."""
    check_level(alpha)
    first, second, total = _counts(b, c, n)
    z = -special.ndtri(alpha / 2)
    estimate = safe_divide(first - second, total, 0.0)
    lower = _solve(first, second, total, z, np.full(estimate.shape, -1.0), estimate)
    upper = _solve(first, second, total, -z, estimate, np.ones(estimate.shape))
    return Interval(plain(np.where(total == 0, -1.0, lower)), plain(np.where(total == 0, 1.0, upper)))


def newcombe_interval(both: ArrayLike, b: ArrayLike, c: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """Newcombe's method 10 for Delta: the Wilson intervals of both arms, squared and added with their correlation.

    `both`: pairs in which both arms are right. phi = (both neither - b c) / sqrt(product of the margins), its numerator
    lowered by n/2 towards 0 where positive. For display; [-1, 1] without data.
    """
    check_level(alpha)
    shared, first, second, total = numbers(both, b, c, n)
    if np.any(shared + first + second > total):
        raise ValueError("more pairs in the cells than there are")
    neither = total - shared - first - second
    right_b, right_a = shared + first, shared + second
    excess = shared * neither - first * second
    excess = np.where(excess > 0, np.maximum(excess - total / 2, 0.0), excess)
    phi = safe_divide(excess, np.sqrt(right_b * (total - right_b) * right_a * (total - right_a)), 0.0)
    at_b, at_a = wilson_interval(right_b, total, alpha), wilson_interval(right_a, total, alpha)
    share_b, share_a = safe_divide(right_b, total, 0.0), safe_divide(right_a, total, 0.0)
    estimate = share_b - share_a

    def away(own: Floats, other: Floats) -> Floats:
        return np.asarray(np.sqrt(np.maximum(own**2 - 2 * phi * own * other + other**2, 0.0)))

    lower = estimate - away(share_b - at_b.lower, at_a.upper - share_a)
    upper = estimate + away(at_b.upper - share_b, share_a - at_a.lower)
    return Interval(plain(np.where(total == 0, -1.0, lower)), plain(np.where(total == 0, 1.0, upper)))


def nam_sample_size(disagreement: float, difference: float, margin: float, alpha: float, power: float) -> int:
    """Pairs for Nam's test of Delta <= -margin: n = ((z_alpha s0 + z_beta s1) / (difference + margin))^2, rounded up.

    s1^2 = disagreement - difference^2, and s0^2 the variance where Delta = -margin, at the expected cells.
    """
    check_level(alpha)
    if not (abs(difference) <= disagreement <= 1 and -margin < difference and 0 < power < 1 and margin < 1):
        raise ValueError(
            f"needs |difference| <= disagreement <= 1, a difference above -margin and a power inside (0, 1), got "
            f"{difference}, {disagreement}, {margin} and {power}"
        )
    better, worse = np.array((disagreement + difference) / 2), np.array((disagreement - difference) / 2)
    null = math.sqrt(float(_variance(better, worse, np.array(1.0), np.array(-margin))))
    true = math.sqrt(disagreement - difference**2)
    return math.ceil(((_z(alpha) * null + _z(1 - power) * true) / (difference + margin)) ** 2)


def connor_sample_size(disagreement: float, difference: float, alpha: float, power: float) -> int:
    """Pairs for McNemar's two-sided test: n = ((z_{alpha/2} sqrt(psi) + z_beta sqrt(psi - Delta^2)) / Delta)^2."""
    check_level(alpha)
    if not (0 < abs(difference) <= disagreement <= 1 and 0 < power < 1):
        raise ValueError(f"needs 0 < |difference| <= disagreement <= 1, got {difference} and {disagreement}")
    spread = _z(alpha / 2) * math.sqrt(disagreement) + _z(1 - power) * math.sqrt(disagreement - difference**2)
    return math.ceil((spread / difference) ** 2)


def discordant_e(b: ArrayLike, c: ArrayLike, *, two_sided: bool = False, prior: float = 1.0) -> Floats:
    """The anytime McNemar test, for a margin of 0: evidence against "b is no more frequent than c", at most CAP.

        one-sided   E = 2^(b+c) B_S(prior + b, prior + c) / B_S(prior, prior),  S = (1/2, 1)
        two-sided   the same over S = (0, 1): evidence against "both are equally frequent"

    A mixture of likelihood ratios of the share of b among the disagreements; 1 where nothing disagrees. It does not
    extend to a margin above 0, where the rate of disagreement is a nuisance: that is what `e_promote` is for.
    """
    if not prior > 0:
        raise ValueError(f"the prior must be above 0, got {prior}")
    first, second = numbers(b, c)
    log_e = (first + second) * math.log(2) + special.betaln(prior + first, prior + second)
    log_e -= special.betaln(prior, prior)
    if not two_sided:
        mass = special.betaincc(prior + first, prior + second, 0.5)
        log_e = np.where(mass < 1e-290, -np.inf, log_e + np.log(np.maximum(mass, 1e-290)) + math.log(2))
    return plain(np.minimum(np.exp(np.minimum(log_e, 700.0)), CAP))


def _counts(b: ArrayLike, c: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats, Floats]:
    first, second, total = numbers(b, c, n)
    if np.any(first + second > total):
        raise ValueError("more disagreements than pairs")
    return first, second, total


def _z(tail: float) -> float:
    return -float(special.ndtri(tail))


def _variance(b: Floats, c: Floats, n: Floats, d: Floats) -> Floats:
    """Variance of D where its mean is d, at the maximum-likelihood estimate under that restriction."""
    square, linear, constant = 2 * n, -b - c + (2 * n - b + c) * d, -c * d * (1 - d)
    root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0.0))
    # (root - linear) / (2 square) cancels where linear > 0: the other form of the same root there.
    rate = np.where(
        linear > 0,
        safe_divide(-2 * constant, root + linear, 0.0),
        safe_divide(root - linear, 2 * square, 0.0),
    )
    return np.asarray(np.maximum(2 * rate + d * (1 - d), 0.0))


def _score(b: Floats, c: Floats, n: Floats, d: Floats) -> Floats:
    distance = b - c - n * d
    scale = np.sqrt(n * _variance(b, c, n, d))
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    found = np.where(scale > 0, safe_divide(distance, scale, 0.0), np.where(n > 0, certain, 0.0))
    return np.asarray(np.clip(found, -1e9, 1e9))


def _solve(b: Floats, c: Floats, n: Floats, z: float, low: Floats, high: Floats) -> Floats:
    """The d between low and high at which the score, which falls in d, is z."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = _score(b, c, n, middle) > z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray((low + high) / 2)
