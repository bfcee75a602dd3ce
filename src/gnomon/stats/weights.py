"""Estimates from units that were drawn with known probabilities, on grouped counts.

counts[..., g] units of group g were drawn, each with probability pi_g, and each carries the value y_g. The axes before
the last are separate estimates. For pictures and tables: gates bet on weighted units, see `betting`.

Source    Horvitz & Thompson, JASA 47:663-685, 1952; Hajek, in Foundations of Statistical Inference, 1971, p. 236;
          variances: Sarndal, Swensson & Wretman, Model Assisted Survey Sampling, 1992, results 2.8.1 and 5.7.1
Assumes   each unit is drawn by its own coin (Poisson sampling), with the probability that is given
"""

import numpy as np
from numpy.typing import ArrayLike

from gnomon.stats.results import Estimate, Floats, plain, safe_divide


def horvitz_thompson(counts: ArrayLike, values: ArrayLike, probabilities: ArrayLike) -> Estimate:
    """The total of y over all units, drawn or not: sum n_g y_g / pi_g, without bias.

    Its variance over the coins, with the units as they are: sum n_g (1 - pi_g) y_g^2 / pi_g^2, without bias.
    """
    number, value, chance = _groups(counts, values, probabilities)
    total = (number * value / chance).sum(axis=-1)
    return Estimate(plain(total), plain((number * (1 - chance) * value**2 / chance**2).sum(axis=-1)))


def horvitz_thompson_mean(
    counts: ArrayLike, values: ArrayLike, probabilities: ArrayLike, arrivals: ArrayLike
) -> Estimate:
    """The mean of y over the traffic that the `arrivals` (drawn or not) come from: the total over their number.

    Its variance over arrivals and coins: (sum n_g y_g^2 / pi_g^2 - N mean^2) / (N (N - 1)). 0 with variance 0 where
    there are fewer than two.
    """
    number, value, chance = _groups(counts, values, probabilities)
    every = np.asarray(arrivals, dtype=np.float64)
    if np.any(number.sum(axis=-1) > every):
        raise ValueError("more units were drawn than arrived")
    mean = safe_divide((number * value / chance).sum(axis=-1), every, 0.0)
    square = (number * value**2 / chance**2).sum(axis=-1) - every * mean**2
    return Estimate(plain(mean), plain(safe_divide(np.maximum(square, 0.0), every * np.maximum(every - 1, 0.0), 0.0)))


def hajek(counts: ArrayLike, values: ArrayLike, probabilities: ArrayLike) -> Estimate:
    """The mean of y over the traffic, for an unknown number of arrivals: sum n_g y_g/pi_g over sum n_g/pi_g.

    Its variance over arrivals and coins, linearised: sum n_g ((y_g - mean)/pi_g)^2 / (sum n_g/pi_g)^2. Nearly without
    bias; 0 with variance 0 without data.
    """
    number, value, chance = _groups(counts, values, probabilities)
    weight = (number / chance).sum(axis=-1)
    mean = safe_divide((number * value / chance).sum(axis=-1), weight, 0.0)
    square = (number * ((value - mean[..., None]) / chance) ** 2).sum(axis=-1)
    return Estimate(plain(mean), plain(safe_divide(square, weight**2, 0.0)))


def _groups(counts: ArrayLike, values: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats, Floats]:
    number = np.asarray(counts, dtype=np.float64)
    value, chance = np.asarray(values, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if number.ndim == 0 or number.shape[-1:] != value.shape or value.shape != chance.shape:
        raise ValueError(f"needs one value and one probability for each group, got {value.shape} and {chance.shape}")
    if np.any(number < 0) or np.any(chance <= 0) or np.any(chance > 1):
        raise ValueError("counts must not be negative, and probabilities in (0, 1]")
    return number, value, chance
