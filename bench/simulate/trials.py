"""Trials in lockstep: all are looked at, look by look, until each has ended in each of the ways that are watched.

A rule says of each trial, from its counts so far, whether it would end now. Rules call the public functions of
`gnomon.stats`; a trial in which all rules have spoken is drawn no further.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from table import ALPHA, Flags, Floats

import gnomon.stats as gs
from gnomon.stats import GRID, Claim, e_promote

THREE = (-GRID, 0, GRID)
"""Values of D where it is -1, 0 or 1; counts have their columns in this order: (c, n - b - c, b)."""
Z = 1.6448536269514722
"""One-sided 5 % point of the normal distribution: what the naive arms compare with at every look."""
BATCH = 256
"""Rows of counts in one call: what fits the caches."""

Counts = NDArray[np.int64]
Draw = Callable[[int, int], Counts]
"""(trials, look) to the new counts of these trials: [trial, ...]."""
Rule = Callable[[Counts, int], Flags]
"""(counts so far, look) to whether each trial ends now."""


def chances(disagreement: float, difference: float) -> list[float]:
    """P(-1), P(0), P(+1)."""
    return [(disagreement - difference) / 2, 1 - disagreement, (disagreement + difference) / 2]


def draws(rng: np.random.Generator, units: int, probabilities: Sequence[float]) -> Draw:
    """So many units a look, each with one of the outcomes."""
    return lambda trials, _: rng.multinomial(units, probabilities, size=trials)


def first(draw: Draw, trials: int, looks: int, *rules: Rule) -> list[Floats]:
    """The look, from 1, at which each trial ends by each of the rules; infinite where it never does."""
    ends = np.full((len(rules), trials), math.inf)
    live = np.arange(trials)
    counts: Counts | None = None
    for look in range(1, looks + 1):
        new = draw(len(live), look)
        counts = new if counts is None else counts + new
        for rule, found in zip(rules, ends, strict=True):
            still = np.isinf(found[live])
            if still.any():
                found[live[still][rule(counts[still], look)]] = look
        going = np.isinf(ends[:, live]).any(axis=0)
        if not going.all():
            live, counts = live[going], counts[going]
            if not live.size:
                break
    return list(ends)


def promotes(claim: Claim, values: Sequence[int] = THREE, weights: Sequence[float] | None = None) -> Rule:
    """The gate: evidence of 1/alpha against "worse than the margin", now."""
    return lambda counts, _: e_values(counts, claim, values, weights) >= 1 / ALPHA


def e_values(
    counts: Counts,
    claim: Claim,
    values: Sequence[int] = THREE,
    weights: Sequence[float] | None = None,
    evidence: Callable[..., Floats] = e_promote,
) -> Floats:
    """The public e-values of rows of counts, in batches."""
    parts = [counts[at : at + BATCH] for at in range(0, len(counts), BATCH)]
    return np.concatenate([evidence(part, values, [claim], weights) for part in parts])


def fixed_sample_test(margin: float) -> Rule:
    """The naive arm: the best test for a sample size fixed in advance, done at every look."""
    return lambda counts, _: score(counts, margin) >= Z


def score(counts: Counts, margin: float) -> Floats:
    """Nam's score statistic against mean D = -margin, from columns (c, n - b - c, b)."""
    return np.asarray(gs.tango_test(counts[..., 2], counts[..., 0], counts.sum(axis=-1), margin).statistic)


def quantile(ends: Floats, share: float) -> float:
    """The smallest end that at least this share of the trials has reached; infinite if fewer end at all."""
    return float(np.quantile(ends, share, method="inverted_cdf"))
