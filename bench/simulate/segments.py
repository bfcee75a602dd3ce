"""Five segments: one bad among four good, all equal, and the alarm that names what got worse (B4, B5, B6)."""

from collections.abc import Callable

import numpy as np
from table import ALPHA, Flags, Floats, Row, at_most, false_rate
from trials import Counts, Draw, Rule, Z, chances, e_values, first, quantile, score

import gnomon.stats as gs
from gnomon.stats import Claim

SHARES = (0.4, 0.25, 0.2, 0.1, 0.05)
PSI, DELTA = 0.08, 0.02
STEP, LOOKS = 100, 1_200
CLAIM = Claim(margin=DELTA, disagreement=PSI)
FIXED = 26_997
"""Records with which fixed-sample tests promote a candidate that is equal in all five with 80 %: the optimum."""


def traffic(rng: np.random.Generator, means: list[float]) -> Draw:
    """A hundred records a look, each in one segment: counts [trial, segment, value]."""

    def draw(trials: int, _: int) -> Counts:
        sizes = rng.multinomial(STEP, SHARES, size=trials)
        parts = [rng.multinomial(sizes[:, at], chances(PSI, mean)) for at, mean in enumerate(means)]
        return np.stack(parts, axis=1)

    return draw


def everywhere(passes: Callable[[Counts, int], Flags], order: tuple[int, ...] = (4, 3, 2, 1, 0)) -> Rule:
    """All segments pass now. Asked one by one, the likeliest to fail first, and only while the others passed."""

    def rule(counts: Counts, _: int) -> Flags:
        passed = np.ones(len(counts), dtype=bool)
        for segment in order:
            left = np.flatnonzero(passed)
            if left.size:
                passed[left] = passes(counts[left, segment], segment)
        return passed

    return rule


def gate(alpha: float) -> Callable[[Counts, int], Flags]:
    return lambda counts, _: e_values(counts, CLAIM) >= 1 / alpha


def b4(rng: np.random.Generator, bad: int, mean: float) -> list[Row]:
    """One segment at the margin or beyond, the others two points better; a look every 100 records to 120,000."""
    means = [mean if segment == bad else 0.02 for segment in range(5)]
    order = (bad, *(segment for segment in (4, 3, 2, 1, 0) if segment != bad))
    naive_gate = everywhere(lambda counts, _: score(counts, DELTA) >= Z, order)
    wrong, naive = first(traffic(rng, means), 1_500, LOOKS, everywhere(gate(ALPHA), order), naive_gate)
    name = f"five segments, the {SHARES[bad]:.0%} one at {mean:+g}"
    return [false_rate("B4", name, np.isfinite(wrong), np.isfinite(naive), teeth=mean == -DELTA)]


HYBRID = 36_000
"""Records after which the hybrid does its one test with a fixed sample, and ends."""


def hybrid(counts: Counts, look: int) -> Flags:
    """E-values at alpha/2; and at the sealed end, once, the score test at alpha/2, segment by segment."""
    before = gate(ALPHA / 2)

    def at_the_end(counts: Counts, segment: int) -> Flags:
        n, b, c = counts.sum(axis=1), counts[:, 2], counts[:, 0]
        return (gs.tango_test(b, c, n, DELTA).p <= ALPHA / 2) | before(counts, segment)

    return everywhere(at_the_end if look * STEP == HYBRID else before)(counts, look)


def b5(rng: np.random.Generator) -> list[Row]:
    """Equal in all five segments: each gate at the full alpha; naive: alpha divided by the number of segments."""
    rules = everywhere(gate(ALPHA)), everywhere(gate(ALPHA / 5))
    ours, divided = first(traffic(rng, [0.0] * 5), 1_500, LOOKS, *rules)
    used, naive = quantile(ours, 0.8) * STEP / FIXED, quantile(divided, 0.8) * STEP / FIXED
    return [at_most("B5", f"five equal segments: records for 80 % / fixed optimum ({FIXED:,})", used, 1.85, naive)]


def b5_hybrid(rng: np.random.Generator) -> list[Row]:
    (ends,) = first(traffic(rng, [0.0] * 5), 1_500, HYBRID // STEP, hybrid)
    name = f"five equal segments, hybrid that ends at {HYBRID:,}: records for 80 % / fixed optimum"
    return [at_most("B5", name, quantile(ends, 0.8) * STEP / FIXED, 1.85)]


def b5_hybrid_null(rng: np.random.Generator) -> list[Row]:
    """The hybrid with the smallest segment at the margin. Naive: the fixed-sample test at every look."""
    means = [0.02] * 4 + [-DELTA]
    naive_gate = everywhere(lambda counts, _: score(counts, DELTA) >= Z)
    wrong, naive = first(traffic(rng, means), 1_500, HYBRID // STEP, hybrid, naive_gate)
    return [false_rate("B5", "hybrid, the 5% one at -0.02", np.isfinite(wrong), np.isfinite(naive))]


def b6(rng: np.random.Generator, where: str, means: list[float], most: float | None) -> list[Row]:
    """The alarm "worse than production": the mean of the segments' e-values; and e-Holm, which names segments."""
    good = np.array([mean == 0 for mean in means])

    def evidence(counts: Counts) -> Floats:
        return np.asarray(gs.discordant_e(counts[..., 0], counts[..., 2]))

    def alarm(counts: Counts, _: int) -> Flags:
        return np.asarray(evidence(counts).mean(axis=1) >= 1 / ALPHA)

    def named(counts: Counts) -> Flags:
        """Which segments e-Holm names: [trial, segment]."""
        e = evidence(counts)
        names = np.zeros(e.shape, dtype=bool)
        for trial in np.flatnonzero(e.max(axis=1) >= e.shape[1] / ALPHA):
            names[trial, list(gs.e_holm(list(e[trial]), ALPHA))] = True
        return names

    def fixed(counts: Counts, _: int) -> Flags:
        """McNemar's test in every segment at every look."""
        b, c = counts[..., 2], counts[..., 0]
        return np.asarray(((c - b)[:, good] >= Z * np.sqrt(np.maximum(b + c, 1))[:, good]).any(axis=1))

    watched: list[Rule] = [alarm]
    if good.any():
        watched += [lambda counts, _: (named(counts) & good).any(axis=1), fixed]
    ends = first(traffic(rng, means), 1_500, LOOKS, *watched)
    rows = []
    if most is None:
        rows.append(false_rate("B6", f"alarm, {where}", np.isfinite(ends[0]), np.isfinite(ends[2])))
    else:
        rows.append(at_most("B6", f"alarm, {where}: median records", quantile(ends[0], 0.5) * STEP, most))
    if good.any():
        rows.append(
            false_rate(
                "B6", f"a segment that is not worse is named, {where}", np.isfinite(ends[1]), np.isfinite(ends[2])
            )
        )
    return rows
