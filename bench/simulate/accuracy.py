"""One gate in one segment: false promotion, speed, wrong plans, and production against itself (B1, B2, B3, B18)."""

import math

import numpy as np
from table import ALPHA, Row, at_least, at_most, false_rate
from trials import THREE, Z, chances, draws, e_values, first, fixed_sample_test, promotes, quantile

import gnomon.stats as gs
from gnomon.stats import Claim, e_reject

LOOKS_IN_N80 = 150
"""A look each 1/150 of the sample size that a fixed-sample test would need for 80 % power."""


def b1(rng: np.random.Generator, psi: float, delta: float) -> list[Row]:
    """Exactly at the margin; a look every 25 pairs to 50,000."""
    rules = promotes(Claim(margin=delta, disagreement=psi)), fixed_sample_test(delta)
    wrong, naive = first(draws(rng, 25, chances(psi, -delta)), 2_000, 2_000, *rules)
    return [false_rate("B1", f"at the margin, psi {psi:g}, delta {delta:g}", np.isfinite(wrong), np.isfinite(naive))]


def b2(rng: np.random.Generator, psi: float, delta: float, difference: float, n80: int) -> list[Row]:
    """Equal, or a little better: how soon it is promoted, against a test with a fixed sample (80 % power at n80)."""
    step = n80 / LOOKS_IN_N80
    rule = promotes(Claim(margin=delta, disagreement=psi, difference=difference))
    (ends,) = first(draws_every(rng, step, chances(psi, difference)), 2_000, 6 * LOOKS_IN_N80, rule)
    name = f"psi {psi:g}, delta {delta:g}" + (f", difference {difference:+g}" if difference else "")
    return [
        at_most("B2", f"{name}: median / n80 ({n80:,})", quantile(ends, 0.5) / LOOKS_IN_N80, 1.05),
        at_most("B2", f"{name}: 80 % quantile / n80", quantile(ends, 0.8) / LOOKS_IN_N80, 1.95),
        at_least("B2", f"{name}: share promoted by 6 n80", float(np.isfinite(ends).mean()), 0.995),
    ]


def draws_every(rng: np.random.Generator, step: float, probabilities: list[float]):
    """Looks at multiples of a step that is no whole number of units."""
    return lambda trials, look: rng.multinomial(round(look * step) - round((look - 1) * step), probabilities, trials)


def b3(rng: np.random.Generator, planned: float, psi: float, difference: float) -> list[Row]:
    """A plan that expects another disagreement, or another difference, than there is; margin 2 pp."""
    delta, trials = 0.02, 2_000
    n80 = gs.nam_sample_size(psi, difference, delta, ALPHA, 0.8)
    claim = Claim(margin=delta, disagreement=planned)
    draw, looks = draws_every(rng, n80 / LOOKS_IN_N80, chances(psi, difference)), 6 * LOOKS_IN_N80
    (ends,) = first(draw, trials, looks, promotes(claim))
    name = f"planned psi {planned:g}; true psi {psi:g}, difference {difference:+g}"
    rows = [at_most("B3", f"{name}: 80 % quantile / n80 ({n80:,})", quantile(ends, 0.8) / LOOKS_IN_N80, 2.4)]
    null = draws_every(rng, n80 / LOOKS_IN_N80, chances(psi, -delta))
    wrong, naive = first(null, trials, looks, promotes(claim), fixed_sample_test(delta))
    return [*rows, false_rate("B3", f"{name}: at the margin", np.isfinite(wrong), np.isfinite(naive))]


def b18(rng: np.random.Generator) -> list[Row]:
    """Production against itself, disagreement 2 %: neither better, nor worse, nor alarming; as good within 1 pp."""
    return against_itself(rng, chances(0.02, 0.0), 0.02, "production against itself")


def b18_noise(rng: np.random.Generator) -> list[Row]:
    """The same through the agreement gate: disagreement with the candidate less disagreement with the twin.

    Every answer of the three (production, candidate, twin) deviates on its own, so that any two disagree in 2 %.
    """
    alone = 1 - math.sqrt(0.98)
    apart = (1 - alone) ** 2 * alone  # one of candidate and twin deviates, the two others do not
    outcome = [apart, 1 - 2 * apart, apart]
    return against_itself(rng, outcome, 2 * apart, "and against its twin")


def against_itself(rng: np.random.Generator, probabilities: list[float], psi: float, name: str) -> list[Row]:
    """Two equal arms; a look every 25 units to 20,000; margin 1 pp."""
    delta, trials, looks = 0.01, 2_000, 800
    better = promotes(Claim(margin=0.0, disagreement=psi))
    worse = Claim(margin=delta, disagreement=psi)
    improved, harmed, alarmed, apart, equal = first(
        draws(rng, 25, probabilities),
        trials,
        looks,
        better,
        lambda counts, _: e_values(counts, worse, THREE, None, e_reject) >= 1 / ALPHA,
        lambda counts, _: gs.discordant_e(counts[:, 0], counts[:, 2]) >= 1 / ALPHA,
        # The naive word for "better": McNemar's test at every look.
        lambda counts, _: (counts[:, 2] - counts[:, 0]) >= Z * np.sqrt(np.maximum(counts[:, 0] + counts[:, 2], 1)),
        promotes(worse),
    )
    naive = np.isfinite(apart)
    by = float((equal * 25 <= 6 * gs.nam_sample_size(psi, 0.0, delta, ALPHA, 0.8)).mean())
    return [
        false_rate("B18", f"{name}: promoted as better", np.isfinite(improved), naive),
        false_rate("B18", f"{name}: rejected as worse than the margin", np.isfinite(harmed), naive),
        false_rate("B18", f"{name}: alarm that it is worse", np.isfinite(alarmed), naive),
        at_least("B18", f"{name}: promoted as no worse by 6 n80", by, 0.995),
    ]
