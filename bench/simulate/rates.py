"""Error rates: a margin in points, and a margin as a ratio (B7)."""

import math

import numpy as np
from accuracy import LOOKS_IN_N80, draws_every
from table import ALPHA, Row, at_most, false_rate
from trials import Counts, Rule, Z, first, promotes, quantile, score

import gnomon.stats as gs
from gnomon.stats import Claim, relative_claim

Z80 = 0.8416212335729143
TRIALS, LOOKS = 2_000, 6 * LOOKS_IN_N80


def cells(rate: float, candidate: float, joint: float) -> list[float]:
    """P(the candidate alone fails), P(both fail or none), P(production alone fails)."""
    return [candidate - joint, 1 - candidate - rate + 2 * joint, rate - joint]


def b7(rng: np.random.Generator, rate: float, joint: float, delta: float) -> list[Row]:
    """The candidate's rate is production's plus the margin (false promotion), or production's (speed)."""
    psi = 2 * (rate - joint)
    n80 = gs.nam_sample_size(psi, 0.0, delta, ALPHA, 0.8)
    claim = Claim(margin=delta, disagreement=psi)
    name = f"error rate {rate:g}, both fail {joint:g}, margin {delta:g}"
    return rows(
        rng,
        name,
        n80,
        promotes(claim),
        lambda counts, _: score(counts, delta) >= Z,
        cells(rate, rate + delta, joint),
        cells(rate, rate, joint),
    )


def b7_ratio(rng: np.random.Generator, numerator: int, denominator: int) -> list[Row]:
    """The candidate's rate is R times production's, or the same; production fails in 1 %, both in 0.6 %."""
    rate, joint, ratio = 0.01, 0.006, numerator / denominator

    def four(candidate: float) -> list[float]:
        """P(the candidate alone), P(none), P(both), P(production alone fails): D ascends."""
        return [candidate - joint, 1 - rate - candidate + joint, joint, rate - joint]

    def spread(candidate: float, mean: float) -> float:
        return math.sqrt(ratio**2 * rate + candidate - 2 * ratio * joint - mean**2)

    # The sample that a fixed-sample test of R x production - candidate needs for 80 %.
    n80 = math.ceil(
        ((Z * spread(ratio * rate, 0) + Z80 * spread(rate, (ratio - 1) * rate)) / ((ratio - 1) * rate)) ** 2
    )
    claim = relative_claim(numerator, denominator, rate, joint)
    values = tuple(40 * step for step in (-denominator, 0, numerator - denominator, numerator))

    def wald(counts: Counts, _: int) -> np.ndarray:
        x = np.array([-1, 0, ratio - 1, ratio])
        n = counts.sum(axis=1)
        mean = counts @ x / n
        # A failure of each kind is added, so that nothing passes before there is any.
        variance = ((counts + np.array([1, 0, 0, 1])) @ x**2) / n - mean**2
        return mean / np.sqrt(variance / n) >= Z

    name = f"error rate at most {ratio:g} x production"
    return rows(rng, name, n80, promotes(claim, values), wald, four(ratio * rate), four(rate))


def rows(
    rng: np.random.Generator, name: str, n80: int, gate: Rule, naive: Rule, null: list[float], same: list[float]
) -> list[Row]:
    step = n80 / LOOKS_IN_N80
    wrong, beside = first(draws_every(rng, step, null), TRIALS, LOOKS, gate, naive)
    (ends,) = first(draws_every(rng, step, same), TRIALS, LOOKS, gate)
    return [
        false_rate("B7", f"{name}: at the margin", np.isfinite(wrong), np.isfinite(beside)),
        at_most("B7", f"{name}: 80 % quantile / n80 ({n80:,})", quantile(ends, 0.8) / LOOKS_IN_N80, 1.85),
    ]
