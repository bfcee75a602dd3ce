"""The statistical promises, simulated: `make simulate`.

Each scenario runs many seeded trials through the public functions of `gnomon.stats` and, beside them, the obvious way
that is wrong (`naive`). A false rate holds when it is at most alpha and three standard errors; the naive rate must be
above alpha, so that the scenario has teeth. Ends with 1 when a row does not hold.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnomon.stats.betting import GRID, Claim, e_promote, e_reject

ALPHA = 0.05
THREE = (-GRID, 0, GRID)
RESULTS = Path(__file__).parent / "results" / "simulate.json"

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    id: str
    scenario: str
    target: str
    measured: float
    naive: float | None
    holds: bool


def false_rate(name: str, scenario: str, wrong: Flags, naive: Flags | None) -> Row:
    """A row about trials that must not end this way."""
    limit = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / len(wrong))
    measured, beside = float(wrong.mean()), None if naive is None else float(naive.mean())
    holds = measured <= limit and (beside is None or beside > limit)
    return Row(name, scenario, f"<= {limit:.4f}", measured, beside, holds)


def chances(psi: float, delta: float) -> list[float]:
    """P(-1), P(0), P(+1) with disagreement psi and mean delta."""
    return [(psi - delta) / 2, 1 - psi, (psi + delta) / 2]


def wald(counts: Counts, margin: float, values: tuple[int, ...] = THREE) -> NDArray[np.float64]:
    """The fixed-sample test against mean D <= -margin, as z."""
    d = np.array(values) / GRID
    n = np.maximum(counts.sum(axis=-1), 1)
    mean = counts @ d / n
    variance = np.maximum(counts @ d**2 / n - mean**2, 1e-12)
    return np.asarray((mean + margin) / np.sqrt(variance / n))


def promoted(counts: Counts, claim: Claim, values: tuple[int, ...] = THREE) -> Flags:
    """Whether each row passes now."""
    flat = counts.reshape(-1, len(values))
    return (e_promote(flat, values, [claim]) >= 1 / ALPHA).reshape(counts.shape[:-1])


def b1(rng: np.random.Generator) -> list[Row]:
    """One segment exactly at the margin, a look every 25 pairs to 50,000."""
    rows = []
    for psi, delta in ((0.05, 0.01), (0.10, 0.01), (0.10, 0.02), (0.20, 0.02), (0.30, 0.05), (0.03, 0.01)):
        claim, trials = Claim(margin=delta, disagreement=psi), 2_000
        counts = np.zeros((trials, 3), dtype=np.int64)
        wrong, naive = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
        for _ in range(2_000):
            counts += rng.multinomial(25, chances(psi, -delta), size=trials)
            wrong |= promoted(counts, claim)
            naive |= wald(counts, delta) >= 1.645
        rows.append(false_rate("B1", f"at the margin, psi {psi:g}, delta {delta:g}", wrong, naive))
    return rows


def b4(rng: np.random.Generator) -> list[Row]:
    """Five segments, one at the margin and four clearly better, a look every 100 pairs to 120,000."""
    shares, psi, delta, trials = [0.4, 0.25, 0.2, 0.1, 0.05], 0.08, 0.02, 1_500
    rows = []
    for name, bad in (("the smallest", 4), ("the largest", 0)):
        means = [-delta if segment == bad else delta for segment in range(5)]
        counts = np.zeros((trials, 5, 3), dtype=np.int64)
        wrong, naive = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
        for _ in range(1_200):
            sizes = rng.multinomial(100, shares, size=trials)
            for segment, mean in enumerate(means):
                counts[:, segment] += rng.multinomial(sizes[:, segment], chances(psi, mean))
            wrong |= promoted(counts, Claim(margin=delta, disagreement=psi)).all(axis=1)
            naive |= (wald(counts, delta) >= 1.645).all(axis=1)
        rows.append(false_rate("B4", f"five segments, {name} at the margin", wrong, naive))
    return rows


def b14(rng: np.random.Generator) -> list[Row]:
    """Good on weekdays, bad at weekends, worse than the margin on average; 28 days of 800 pairs."""
    psi, delta, trials, hours = 0.10, 0.02, 600, 24
    claim = Claim(margin=delta, disagreement=psi)

    def run(weekday: float, weekend: float) -> tuple[Flags, Flags]:
        """(promoted at the end of a cycle, promoted at the first hourly look that allows it)."""
        counts = np.zeros((trials, 3), dtype=np.int64)
        at_cycles, at_once = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
        for hour in range(28 * hours):
            mean = weekend if hour // hours % 7 >= 5 else weekday
            counts += rng.multinomial(33 + (hour % 3 == 0), chances(psi, mean), size=trials)
            now = promoted(counts, claim)
            at_once |= now
            if (hour + 1) % (7 * hours) == 0:
                at_cycles |= now
        return at_cycles, at_once

    wrong, naive = run(0.005, -0.09)
    equal, _ = run(0.0, 0.0)
    share = float(equal.mean())
    return [
        false_rate("B14", "bad weekends, closed cycles against first crossing", wrong, naive),
        Row("B14", "stationary and equal: promoted by day 28", ">= 0.95", share, None, share >= 0.95),
    ]


def cluster_unit(rng: np.random.Generator) -> list[Row]:
    """Conversations of eight turns that share their fate, exactly at the margin; the naive arm counts turns."""
    turns, psi, delta, trials = 8, 0.10, 0.02, 1_000
    values = tuple(range(-GRID, GRID + 1, GRID // turns))
    claim = Claim(margin=delta, disagreement=psi)
    units = np.zeros((trials, len(values)), dtype=np.int64)
    single = np.zeros((trials, 3), dtype=np.int64)
    wrong, naive = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
    for _ in range(200):
        fate = rng.choice([-1, 0, 1], p=chances(psi, -delta), size=(trials, 25))
        same = rng.random((trials, 25, turns)) < 0.9
        alone = rng.choice([-1, 0, 1], p=chances(psi, -delta), size=(trials, 25, turns))
        d = np.where(same, fate[..., None], alone)
        for column, value in enumerate(values):
            units[:, column] += (d.sum(axis=2) * (GRID // turns) == value).sum(axis=1)
        for column, value in enumerate((-1, 0, 1)):
            single[:, column] += (d == value).sum(axis=(1, 2))
        wrong |= promoted(units, claim, values)
        naive |= promoted(single, claim)
    return [false_rate("unit", "clusters of 8 turns at the margin; naive: turns as units", wrong, naive)]


def oversampled(rng: np.random.Generator) -> list[Row]:
    """A fifth of the traffic copied always, the rest at 5 %; at the margin over all of it. Naive: without weights."""
    claim, share, low, trials = Claim(margin=0.02, disagreement=0.10), 0.2, 0.05, 1_000
    weights = [low] * 3 + [1.0] * 3
    rows = []
    for name, tilt, e_value, needed in (
        ("better", 0.03, e_promote, 1 / ALPHA),
        ("worse", -0.07, e_reject, 1 / ALPHA),
    ):
        rest = (-claim.margin - share * tilt) / (1 - share)
        always, seldom = np.array(chances(0.10, tilt)) * share, np.array(chances(0.10, rest)) * (1 - share) * low
        drawn = [*always, *seldom]
        counts = np.zeros((trials, 6), dtype=np.int64)
        wrong, naive = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
        for _ in range(500):
            counts += rng.multinomial(400, [*drawn, 1 - sum(drawn)], size=trials)[:, :6]
            wrong |= e_value(counts, THREE * 2, [claim], weights) >= needed
            naive |= e_value(counts[:, :3] + counts[:, 3:], THREE, [claim]) >= needed
        rows.append(false_rate("weight", f"at the margin, {name} in the stratum copied always", wrong, naive))
    return rows


def rejection(rng: np.random.Generator) -> list[Row]:
    """Twenty tests exactly at their margins: no rejection beyond alpha; and how soon clear harm is found."""
    claim, tests, trials = Claim(margin=0.04, disagreement=0.08), 20, 1_000
    counts = np.zeros((trials, tests, 3), dtype=np.int64)
    wrong, naive = np.zeros(trials, dtype=bool), np.zeros(trials, dtype=bool)
    for _ in range(200):
        counts += rng.multinomial(25, chances(0.12, -0.04), size=(trials, tests))
        e = e_reject(counts.reshape(-1, 3), THREE, [claim]).reshape(trials, tests)
        wrong |= (e >= tests / ALPHA).any(axis=1)
        naive |= (wald(counts, 0.04) <= -1.645).any(axis=1)
    steps = rng.multinomial(5, [0.122, 0.866, 0.012], size=(trials, 200)).cumsum(axis=1)
    found = (e_reject(steps.reshape(-1, 3), THREE, [claim]) >= tests / ALPHA).reshape(trials, 200)
    units = np.where(found.any(axis=1), (found.argmax(axis=1) + 1) * 5, 10**6)
    median = float(np.median(units))
    return [
        false_rate("reject", "20 tests at their margins", wrong, naive),
        Row("reject", "94 % against 83 %, margin 4 pp: median units", "<= 330", median, None, median <= 330),
    ]


def look_time() -> Row:
    """200 segments x 4 gates from counts, both sides."""
    rng = np.random.default_rng(0)
    claims = [Claim(margin=m / 1000, disagreement=0.1) for m in (10, 20, 30, 40) for _ in range(200)]
    counts = rng.multinomial(5_000, [0.05, 0.9, 0.05], size=800)
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        e_promote(counts, THREE, claims)
        e_reject(counts, THREE, claims)
        times.append(1000 * (time.perf_counter() - begun))
    median = float(np.median(times))
    return Row("speed", "200 segments x 4 gates, milliseconds", "< 50", median, None, median < 50)


def main() -> int:
    """Run all, print the table, write it beside."""
    scenarios: list[Callable[[np.random.Generator], list[Row]]] = [b1, b4, b14, cluster_unit, rejection, oversampled]
    rows: list[Row] = []
    print(f"{'id':7}{'scenario':58}{'target':>12}{'measured':>10}{'naive':>9}  holds")
    for seed, scenario in enumerate(scenarios):
        for row in scenario(np.random.default_rng(seed)):
            show(row)
            rows.append(row)
    rows.append(look_time())
    show(rows[-1])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.holds for row in rows) else 1


def show(row: Row) -> None:
    """One line of the table."""
    naive = "" if row.naive is None else f"{row.naive:.4f}"
    print(
        f"{row.id:7}{row.scenario:58}{row.target:>12}{row.measured:>10.4f}{naive:>9}  {'yes' if row.holds else 'NO'}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
