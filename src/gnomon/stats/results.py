"""What the functions of this package return: an interval, a test, an estimate, or why there is none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, or arrays of ends; never NaN. Without data it is everything that is possible."""

    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Test:
    """A test's statistic and p-value, or arrays of them. Without data p is 1."""

    __test__ = False  # pytest takes a class of this name for a test of its own

    statistic: Floats
    p: Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its variance, or arrays of them."""

    value: Floats
    variance: Floats


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """There is no estimate."""

    why: str


def numbers(*given: ArrayLike) -> tuple[Floats, ...]:
    """Counts as arrays of one shape. ValueError for a count below 0."""
    arrays = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in given))
    if any(not np.all(each >= 0) for each in arrays):
        raise ValueError("counts must not be negative")
    return tuple(np.array(each) for each in arrays)


def plain(value: Floats) -> Floats:
    """An array as it is; an array without axes as a number."""
    number: Floats = np.asarray(value, dtype=np.float64)[()]
    return number


def safe_divide(top: Floats, bottom: Floats, otherwise: float) -> Floats:
    """Quotients; `otherwise` where bottom is 0."""
    at, under = np.broadcast_arrays(top, bottom)
    return np.asarray(np.divide(at, under, out=np.full(at.shape, otherwise), where=under != 0))


def check_level(alpha: float) -> None:
    """ValueError unless alpha is a probability of error."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
