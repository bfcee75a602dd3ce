"""A switchback experiment: the shadow is off in one random slice of time of each block, and latencies are compared.

Randomised are slices, not requests, so the slices' blocks are what an interval is made of: requests of one moment are
slow together. Blocks are pooled into groups; groups are drawn again with replacement (the bootstrap of clusters:
Field & Welsh 2007, J. R. Statist. Soc. B 69:369-390; switchbacks: Bojinov, Simchi-Levi & Zhao 2023, Management Science
69:3759-3777), and the 2.5 % and 97.5 % quantiles of what comes out are the interval.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 1000
_SEED: Final = 20_231_121
LEAST_GROUPS: Final = 16
"""Groups with both kinds of slices below which no interval is given."""
LEAST_BEYOND: Final = 20
"""Requests of either kind that must lie beyond a quantile."""

Counts = NDArray[np.int64]


class Difference(NamedTuple):
    """A quantile with the shadow on, minus the same with it off."""

    estimate: float
    lower: float
    upper: float
    """The interval covers the truth with a probability of about 95 %."""


def enough(counts: Counts, quantile: float) -> bool:
    """Whether there is enough to speak of a quantile. `counts`: [stratum, group, on/off, bucket]."""
    groups = (counts.sum(axis=(0, 3)) > 0).all(axis=1).sum()
    least = counts.sum(axis=(0, 1, 3)).min()
    return bool(groups >= LEAST_GROUPS and least * min(quantile, 1 - quantile) >= LEAST_BEYOND)


def differences(
    counts: Counts, edges: NDArray[np.float64], quantiles: Sequence[float]
) -> tuple[Difference | None, ...]:
    """The difference of each quantile, on minus off, compared within stratum and weighted by the strata's requests.

    counts: int64 [stratum, group, 2, bucket], on before off; edges: float [bucket + 1], in the unit of the result.
    quantiles: each in (0, 1). None when `enough` says no. A stratum in which one kind has no requests takes no part.
    """
    if not any(enough(counts, quantile) for quantile in quantiles):
        return (None,) * len(quantiles)
    kept = counts[:, (counts.sum(axis=(0, 3)) > 0).all(axis=1)]
    groups = kept.shape[1]
    random = np.random.default_rng(_SEED)
    times = random.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS)
    whole, drawn = kept.sum(axis=1)[:, None], np.einsum("dg,sgkb->sdkb", times, kept)
    found: list[Difference | None] = []
    for quantile in quantiles:
        if not enough(counts, quantile):
            found.append(None)
            continue
        lower, upper = np.quantile(_weighted(drawn, edges, quantile), [0.025, 0.975])
        found.append(Difference(float(_weighted(whole, edges, quantile)[0]), float(lower), float(upper)))
    return tuple(found)


def _weighted(counts: Counts, edges: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """Counts [stratum, draw, 2, bucket] to the difference of each draw."""
    totals = counts.sum(axis=3)
    both = (totals > 0).all(axis=2)
    weights = np.where(both, totals.sum(axis=2), 0)
    values = quantile_of(counts, edges, quantile)
    apart = np.where(both, values[:, :, 0] - values[:, :, 1], 0.0)
    result: NDArray[np.float64] = (weights * apart).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
    return result


def quantile_of(counts: Counts, edges: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """The quantile of each histogram [..., bucket], even within its bucket; 0 where there is nothing."""
    cumulative = counts.cumsum(axis=-1)
    wanted = quantile * cumulative[..., -1:]
    at = (cumulative < wanted).sum(axis=-1)
    inside = np.take_along_axis(counts, at[..., None], axis=-1)[..., 0]
    before = np.take_along_axis(cumulative, at[..., None], axis=-1)[..., 0] - inside
    share = (wanted[..., 0] - before) / np.maximum(inside, 1)
    result: NDArray[np.float64] = edges[at] + share * (edges[at + 1] - edges[at])
    return result
