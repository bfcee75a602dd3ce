"""Precision against production's: two rates of which neither is known, each over what its own arm flagged.

A flag counts D = -1 if it was wrong and 0 if it was right, so that precision is 1 + mean D. The claim "precision_B >
precision_A - delta" compares the candidate's flags with a number p_A that is not known. All of a confidence sequence
for it is scanned, and the smallest evidence counts:

    E  =  4/5  min over p in CS of  E_p ,    E_p against  mean D_B <= p - delta - 1 ,    CS wrong at most alpha/5

With the weights of the stakes fixed whatever p is, E_p falls in p: the smallest is at the upper end. If the claim is
false, then either p_A leaves the sequence (alpha/5), or E <= 4/5 E_(p_A), which reaches 1/alpha with a probability of
at most 4/5 alpha. So P(E ever >= 1/alpha) <= alpha. It is no e-value at other levels than alpha. Rejection is the
mirror image, at the lower end. Where the upper end is under the margin no precision can be too low, and E is the cap.

Source    Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS B 86(1), 2024; the union
          bound over a nuisance parameter: Berger & Boos, P values maximized over a confidence set for the nuisance
          parameter, JASA 89(427), 1994
Assumes   units are independent within a cycle; how the arms' flags depend on each other is not used
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gnomon.stats import betting
from gnomon.stats.betting import KAPPAS, Claim, Counts, Floats

SCAN: Final = 0.8
"""Share of alpha for the bets; the rest is for the confidence sequence of production's precision."""

_EDGE: Final = 1e-9  # how close to its bounds a mean may be bet against


@dataclass(frozen=True, slots=True)
class Flags:
    """One arm's flags in every test: counts of shape (tests, columns), and D and the weight of each column."""

    counts: Counts
    values: tuple[int, ...]
    """In steps of 1/grid of the claim."""
    weights: tuple[float, ...]

    @property
    def units(self) -> Counts:
        """Flags in each test."""
        return np.asarray(self.counts.sum(axis=1))


def flags(groups: Sequence[Sequence[tuple[float, Sequence[tuple[int, int]]]]]) -> Flags:
    """For each test rows of (weight, histogram)."""
    return Flags(*betting.tabulate_weighted(groups))


def precision_e(
    candidate: Flags,
    production: Flags,
    margins: Sequence[float],
    claims: Sequence[tuple[Claim, Claim]],
    alpha: float,
) -> Floats:
    """Evidence at level alpha that the candidate's precision is above production's minus the margin.

    Compare it with 1/alpha.
    `claims`: for each test the claims about the candidate's and production's flags that the stakes are tuned to. 1
    where the candidate flagged nothing; where production flagged nothing its precision may be 1.
    """
    upper = betting.upper_bounds(
        production.counts, production.values, [claim for _, claim in claims], (1 - SCAN) * alpha, production.weights
    )
    means = upper - np.asarray(margins, dtype=np.float64)
    return _evidence(candidate, [claim for claim, _ in claims], means, above=True)


def precision_e_reject(
    candidate: Flags,
    production: Flags,
    margins: Sequence[float],
    claims: Sequence[tuple[Claim, Claim]],
    alpha: float,
) -> Floats:
    """Evidence at level alpha that the candidate's precision is below production's minus the margin."""
    lower = betting.lower_bounds(
        production.counts, production.values, [claim for _, claim in claims], (1 - SCAN) * alpha, production.weights
    )
    means = lower - np.asarray(margins, dtype=np.float64)
    return _evidence(candidate, [claim for claim, _ in claims], means, above=False)


def precision_interval(
    candidate: Flags, production: Flags, claims: Sequence[tuple[Claim, Claim]], alpha: float
) -> tuple[Floats, Floats]:
    """Both ends of anytime-valid intervals for the candidate's precision minus production's, one-sided at alpha each.

    The lower end is above -margin exactly when precision_e has reached 1/alpha.
    """
    mine, theirs = [claim for claim, _ in claims], [claim for _, claim in claims]
    bets, nuisance = SCAN * alpha, (1 - SCAN) * alpha
    b, a = candidate, production
    lower = betting.lower_bounds(b.counts, b.values, mine, bets, b.weights) - betting.upper_bounds(
        a.counts, a.values, theirs, nuisance, a.weights
    )
    upper = betting.upper_bounds(b.counts, b.values, mine, bets, b.weights) - betting.lower_bounds(
        a.counts, a.values, theirs, nuisance, a.weights
    )
    return np.asarray(np.maximum(lower, -1.0)), np.asarray(np.minimum(upper, 1.0))


def _evidence(arm: Flags, claims: Sequence[Claim], means: Floats, *, above: bool) -> Floats:
    """4/5 of the mixture against mean D <= means (or >= means), its weights being those of the claims."""
    if not len(means):
        return np.zeros(0)
    # mean D <= 0, or mean D >= -1 or less, is always true: nothing speaks against it.
    void = (means >= 0) if above else (means <= -1)
    # And no mean is below -1: where production's precision is surely under the margin, nobody can be worse by more.
    sure = (means < -1) & above
    mean = np.clip(means, -1 + _EDGE, -_EDGE)[:, None]
    center: Callable[[Claim], float | None] = betting.planned_kappa if above else betting.harm_kappa
    wealth = np.stack([betting.log_weights(center(claim)) for claim in claims])
    grid = np.array([[claim.grid] for claim in claims])
    for column, (value, weight) in enumerate(zip(arm.values, arm.weights, strict=True)):
        distance = weight * (value / grid - mean)
        gain = KAPPAS * (distance / (1 + mean) if above else distance / mean)
        wealth += arm.counts[:, column, None] * np.log1p(np.maximum(gain, -0.99))
    largest = wealth.max(axis=-1, keepdims=True)
    log_e = largest[:, 0] + np.log(np.exp(wealth - largest).sum(axis=-1))
    e = np.minimum(SCAN * np.exp(np.minimum(log_e, 700.0)), betting.CAP)
    return np.asarray(np.where(void | (arm.units == 0), 1.0, np.where(sure, betting.CAP, e)))
