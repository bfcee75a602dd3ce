"""What the product adds to the textbook: clusters as units, rejection over many tests, the time of a look."""

import time

import numpy as np
from table import ALPHA, Flags, Row, at_most, false_rate
from trials import THREE, Counts, Z, chances, draws, e_values, first, promotes, quantile, score

from gnomon.stats import GRID, Claim, e_promote, e_reject


def unit(rng: np.random.Generator) -> list[Row]:
    """Conversations of eight turns that share their fate, exactly at the margin; the naive arm counts turns."""
    turns, psi, delta = 8, 0.10, 0.02
    values = tuple(range(-GRID, GRID + 1, GRID // turns))
    claim = Claim(margin=delta, disagreement=psi)

    def draw(trials: int, _: int) -> Counts:
        """Of 25 conversations: how many have each mean, and behind them how many turns have each D."""
        fate = rng.choice([-1, 0, 1], p=chances(psi, -delta), size=(trials, 25))
        same = rng.random((trials, 25, turns)) < 0.9
        alone = rng.choice([-1, 0, 1], p=chances(psi, -delta), size=(trials, 25, turns))
        d = np.where(same, fate[..., None], alone)
        means = d.sum(axis=2) * (GRID // turns)
        units = [(means == value).sum(axis=1) for value in values]
        return np.stack([*units, *((d == value).sum(axis=(1, 2)) for value in (-1, 0, 1))], axis=1)

    by_unit, by_turn = promotes(claim, values), promotes(claim)
    wrong, naive = first(
        draw,
        1_000,
        200,
        lambda counts, look: by_unit(counts[:, :-3], look),
        lambda counts, look: by_turn(counts[:, -3:], look),
    )
    name = "clusters of 8 turns at the margin; naive: turns as units"
    return [false_rate("unit", name, np.isfinite(wrong), np.isfinite(naive))]


TESTS = 20


def rejected(counts: Counts, claim: Claim) -> Flags:
    """Which tests show harm beyond the margin, of TESTS: m/alpha is needed."""
    return (e_values(counts.reshape(-1, 3), claim, THREE, None, e_reject) >= TESTS / ALPHA).reshape(counts.shape[:-1])


def reject(rng: np.random.Generator) -> list[Row]:
    """Twenty tests exactly at their margins: no rejection beyond alpha. Naive: the score test in each, at each look."""
    claim = Claim(margin=0.04, disagreement=0.08)
    wrong, naive = first(
        lambda trials, _: rng.multinomial(25, chances(0.12, -0.04), size=(trials, TESTS)),
        1_000,
        200,
        lambda counts, _: rejected(counts, claim).any(axis=1),
        lambda counts, _: (score(counts, 0.04) <= -Z).any(axis=1),
    )
    return [false_rate("reject", "20 tests at their margins", np.isfinite(wrong), np.isfinite(naive))]


def reject_soon(rng: np.random.Generator) -> list[Row]:
    """A candidate that is right in 83 % where production is in 94 %, in one of twenty tests."""
    claim = Claim(margin=0.04, disagreement=0.08)
    (ends,) = first(draws(rng, 5, [0.122, 0.866, 0.012]), 1_000, 200, lambda counts, _: rejected(counts, claim))
    return [at_most("reject", "94 % against 83 %, margin 4 pp: median units", quantile(ends, 0.5) * 5, 330)]


def speed(rng: np.random.Generator) -> list[Row]:
    """200 segments x 4 gates from counts, both sides."""
    claims = [Claim(margin=m / 1000, disagreement=0.1) for m in (10, 20, 30, 40) for _ in range(200)]
    counts = rng.multinomial(5_000, [0.05, 0.9, 0.05], size=800)
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        e_promote(counts, THREE, claims)
        e_reject(counts, THREE, claims)
        times.append(1000 * (time.perf_counter() - begun))
    return [at_most("speed", "a look at 200 segments x 4 gates from counts, milliseconds", float(np.median(times)), 50)]
