"""Several hypotheses at once, and one production that is attacked again and again.

A promotion needs every gate, each at alpha, and no correction (intersection-union: Berger, Technometrics 24, 1982).
Corrections are for the opposite claim, that some segment is worse.

Source    Holm, Scand. J. Statist. 6:65-70, 1979; Vovk & Wang, E-values, Ann. Stat. 49(3), 2021
Assumes   nothing about dependence
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gnomon.stats.results import Floats, check_level, plain


def holm(p_values: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Indices of the hypotheses that can be rejected together, P(any of them is true) <= alpha: Holm's step-down.

    The smallest needs p <= alpha/m, the next alpha/(m - 1), and so on to the first that fails.
    """
    check_level(alpha)
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("p-values must be between 0 and 1")
    order = sorted(range(len(p_values)), key=lambda index: (p_values[index], index))
    named: list[int] = []
    for rank, index in enumerate(order):
        if p_values[index] * (len(order) - rank) > alpha:
            break
        named.append(index)
    return tuple(sorted(named))


def e_mean(e_values: ArrayLike, axis: int = -1) -> Floats:
    """Evidence against "all of these hypotheses are true": the mean of their e-values, whatever their dependence."""
    array = np.asarray(e_values, dtype=np.float64)
    if not np.all(array >= 0):
        raise ValueError("e-values must not be negative")
    if array.ndim == 0 or array.shape[axis] == 0:
        return plain(np.ones(array.shape[:-1] if array.ndim else ()))
    return plain(array.mean(axis=axis))


def anytime_p(e_value: ArrayLike) -> Floats:
    """The p-value that holds at every look: min(1, 1/e)."""
    array = np.asarray(e_value, dtype=np.float64)
    return plain(1 / np.maximum(array, 1.0))


def attempt_alpha(alpha: float, attempt: int) -> float:
    """The level of the k-th candidate against one production: alpha 6/(pi^2 k^2), alpha for all to come together."""
    check_level(alpha)
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, got {attempt}")
    return alpha * 6 / (math.pi**2 * attempt**2)
