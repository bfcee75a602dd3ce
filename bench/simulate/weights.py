"""Strata with rates of their own: each copy weighted by the inverse of the rate it was drawn with (B10, weight)."""

from itertools import product

import numpy as np
from table import ALPHA, Flags, Row, at_most, false_rate
from trials import THREE, Counts, Draw, Z, chances, e_values, first, quantile

from gnomon.stats import GRID, Claim, e_promote, e_reject

STRATA = (0.9, 0.08, 0.02)
RATES = (0.05, 0.5, 1.0)
PSI = (0.06, 0.15, 0.30)
DELTA = 0.02
CLAIM = Claim(margin=DELTA, disagreement=sum(share * psi for share, psi in zip(STRATA, PSI, strict=True)))
STEP, TRIALS = 286, 700
OPTIMUM = 17_150
"""Arrivals with which the post-stratified fixed-sample test promotes an equal candidate with 80 %."""
LOOKS = 8 * OPTIMUM // STEP
MOVING = ((0.05, 0.5, 1.0), (0.2, 1.0, 0.5), (0.1, 0.05, 0.25))
"""Rates in the first STAGE looks, in the next, and from then on; none is under the lowest that was sealed."""
STAGE = 60


def arrivals(rng: np.random.Generator, means: tuple[float, ...], stages: tuple[tuple[float, ...], ...]) -> Draw:
    """Counts of the copies of 286 arrivals: [trial, stage, stratum, value]."""

    def draw(trials: int, look: int) -> Counts:
        stage = min((look - 1) // STAGE, len(stages) - 1)
        cells = np.array(
            [
                share * rate * chance
                for share, rate, psi, mean in zip(STRATA, stages[stage], PSI, means, strict=True)
                for chance in chances(psi, mean)
            ]
        )
        new = np.zeros((trials, len(stages), len(STRATA), 3), dtype=np.int64)
        new[:, stage] = rng.multinomial(STEP, [*cells, 1 - cells.sum()], size=trials)[:, :-1].reshape(trials, 3, 3)
        return new

    return draw


def b10(rng: np.random.Generator, means: tuple[float, ...] | None, moving: bool = False) -> list[Row]:
    """Worse by the margin over all arrivals, in different ways; or equal. Naive: the weighted test at every look."""
    stages = MOVING if moving else (RATES,)
    lowest = min(map(min, stages))
    columns = list(product(range(len(stages)), range(len(STRATA)), (-GRID, 0, GRID)))
    values = tuple(value for _, _, value in columns)
    weights = tuple(lowest / stages[stage][stratum] for stage, stratum, _ in columns)

    def gate(counts: Counts, _: int) -> Flags:
        return e_values(counts.reshape(len(counts), -1), CLAIM, values, weights) >= 1 / ALPHA

    def post_stratified(counts: Counts, _: int) -> Flags:
        strata = counts.sum(axis=1)
        n = np.maximum(strata.sum(axis=2), 1)
        b, c = strata[..., 2], strata[..., 0]
        spread = (b + c + 1) / n - ((b - c) / n) ** 2
        estimate = ((b - c) / n) @ np.array(STRATA)
        error = np.sqrt((spread / n) @ np.square(STRATA))
        return np.asarray((estimate + DELTA) / error >= Z)

    equal = means is None
    draw = arrivals(rng, means or (0.0, 0.0, 0.0), stages)
    if equal:
        (ends,) = first(draw, TRIALS, LOOKS, gate)
        used = quantile(ends, 0.8) * STEP / OPTIMUM
        return [at_most("B10", f"rates 5, 50, 100 %: arrivals for 80 % / fixed optimum ({OPTIMUM:,})", used, 2.0)]
    wrong, naive = first(draw, TRIALS, LOOKS, gate, post_stratified)
    name = "rates that change twice" if moving else "rates 5, 50, 100 %"
    shown = ", ".join(f"{mean:+.4g}" for mean in means)
    return [false_rate("B10", f"{name}: at the margin by ({shown})", np.isfinite(wrong), np.isfinite(naive))]


def oversampled(rng: np.random.Generator, name: str, tilt: float) -> list[Row]:
    """A fifth of the traffic copied always, the rest at 5 %; at the margin over all of it. Naive: without weights."""
    claim, share, low = Claim(margin=0.02, disagreement=0.10), 0.2, 0.05
    evidence = e_promote if tilt > -claim.margin else e_reject
    rest = (-claim.margin - share * tilt) / (1 - share)
    always, seldom = np.array(chances(0.10, tilt)) * share, np.array(chances(0.10, rest)) * (1 - share) * low
    drawn = [*always, *seldom]
    wrong, naive = first(
        lambda trials, _: rng.multinomial(400, [*drawn, 1 - sum(drawn)], size=trials)[:, :6],
        1_000,
        500,
        lambda counts, _: e_values(counts, claim, THREE * 2, (low,) * 3 + (1.0,) * 3, evidence) >= 1 / ALPHA,
        lambda counts, _: e_values(counts[:, :3] + counts[:, 3:], claim, THREE, None, evidence) >= 1 / ALPHA,
    )
    return [
        false_rate(
            "weight", f"at the margin, {name} in the stratum copied always", np.isfinite(wrong), np.isfinite(naive)
        )
    ]
