"""Agreement of two raters beyond chance: for display. No gate is about kappa.

Two classes of which one is rare make kappa small however often the raters agree: 94.5 % agreement may be kappa .56.

Source    Cohen, Educ. Psychol. Meas. 20:37-46, 1960; standard errors: Fleiss, Cohen & Everitt, Psychol. Bull.
          72:323-327, 1969
Assumes   items independent; a large sample for the interval
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gnomon.stats.results import Interval, NoEstimate, check_level, plain


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa."""

    value: float
    agreement: float
    """The share of items on which the raters agree."""
    error: float
    """Asymptotic standard error."""
    error_without: float
    """The same where there is no agreement beyond chance."""
    interval: Interval


def cohen_kappa(matrix: Sequence[Sequence[int]] | NDArray[np.int64], alpha: float = 0.05) -> Kappa | NoEstimate:
    """Kappa, (p_o - p_e)/(1 - p_e), of a square table of counts (rows: one rater, columns: the other).

    p_o: share on the diagonal; p_e: what the raters' own shares would put there. The variance is that of Fleiss, Cohen
    and Everitt: [ sum p_ii (1 - (p_i. + p_.i)(1 - k))^2 + (1 - k)^2 sum_{i != j} p_ij (p_.i + p_j.)^2
    - (k - p_e (1 - k))^2 ] / (n (1 - p_e)^2).
    """
    check_level(alpha)
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or np.any(counts < 0):
        raise ValueError(f"needs a square table of counts, got shape {counts.shape}")
    n = float(counts.sum())
    if n == 0:
        return NoEstimate("no items")
    share = counts / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    if expected >= 1 - 1e-12:
        return NoEstimate("both raters put every item into one class, so that chance alone would agree on all")
    kappa = (observed - expected) / (1 - expected)
    diagonal = float(np.diag(share) @ (1 - (rows + columns) * (1 - kappa)) ** 2)
    crossed = share * (columns[:, None] + rows[None, :]) ** 2
    apart = (1 - kappa) ** 2 * float(crossed.sum() - np.trace(crossed))
    variance = (diagonal + apart - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    without = expected + expected**2 - float((rows * columns) @ (rows + columns))
    error = float(np.sqrt(max(variance, 0.0)))
    away = -float(special.ndtri(alpha / 2)) * error
    interval = Interval(plain(np.array(max(-1.0, kappa - away))), plain(np.array(min(1.0, kappa + away))))
    return Kappa(kappa, observed, error, float(np.sqrt(max(without, 0.0) / (n * (1 - expected) ** 2))), interval)
