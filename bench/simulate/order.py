"""What is read, and when: late truth, weekends, truth that is days behind (B12, B14)."""

import numpy as np
from numpy.typing import NDArray
from table import ALPHA, Flags, Row, at_least, false_rate
from trials import Counts, chances, e_values

from gnomon.stats import Claim

PSI, DELTA = 0.10, 0.02
CLAIM = Claim(margin=DELTA, disagreement=PSI)


def b12(rng: np.random.Generator) -> list[Row]:
    """At the margin; truth comes after 50 pairs where the candidate won and after 1,500 where it lost, on average."""
    trials, pairs, step = 600, 6_000, 50
    looks = np.arange(step, pairs + 1, step)
    d = rng.choice([-1, 0, 1], p=chances(PSI, -DELTA), size=(trials, pairs))
    delay = rng.exponential(np.where(d > 0, 50.0, 1_500.0))
    known = np.arange(1, pairs + 1) + np.where(d == 0, 0.0, delay)  # equal answers need no truth
    prefix, worst, arrived, ties = (np.zeros((trials, len(looks), 3), dtype=np.int64) for _ in range(4))
    for trial in range(trials):
        # The first pair that is not settled by a time is the first whose truth comes later.
        settled = np.searchsorted(np.maximum.accumulate(known[trial]), looks, side="right")
        seen = np.stack([(d[trial] == value).cumsum() for value in (-1, 0, 1)], axis=1)
        prefix[trial] = np.where(settled[:, None] > 0, seen[np.maximum(settled - 1, 0)], 0)
        came = {
            value: np.searchsorted(np.sort(known[trial][d[trial] == value]), looks, side="right") for value in (-1, 1)
        }
        all_so_far = seen[looks - 1]
        equal, better = all_so_far[:, 1], came[1]
        worst[trial] = np.stack([looks - equal - better, equal, better], axis=1)
        arrived[trial] = np.stack([came[-1], equal, better], axis=1)
        ties[trial] = np.stack([came[-1], looks - came[-1] - better, better], axis=1)
    ever = {
        name: promoted(counts).any(axis=1)
        for name, counts in {"prefix": prefix, "worst": worst, "arrived": arrived, "ties": ties}.items()
    }
    return [
        false_rate(
            "B12",
            "lost cases settle late: up to the first that is open; naive: as it comes",
            ever["prefix"],
            ever["arrived"],
        ),
        false_rate(
            "B12", "lost cases settle late: open taken as worst; naive: open taken as ties", ever["worst"], ever["ties"]
        ),
    ]


def promoted(counts: Counts) -> Flags:
    """Whether each row [..., 3] passes now."""
    return (e_values(counts.reshape(-1, 3), CLAIM) >= 1 / ALPHA).reshape(counts.shape[:-1])


HOURS, DAYS, TRIALS = 24, 28, 600
WEEK = 7 * HOURS


def hourly(rng: np.random.Generator, weekday: float, weekend: float) -> NDArray[np.int64]:
    """Counts after each hour of 28 days with 800 pairs each: [trial, hour, value]."""
    parts = []
    for hour in range(DAYS * HOURS):
        mean = weekend if hour // HOURS % 7 >= 5 else weekday
        parts.append(rng.multinomial(33 + (hour % 3 == 0), chances(PSI, mean), size=TRIALS))
    return np.stack(parts, axis=1).cumsum(axis=1)


def b14(rng: np.random.Generator, late: int) -> list[Row]:
    """Good on weekdays, bad at weekends, worse than the margin on average; truth comes `late` days after each pair.

    The gate is asked every hour and reads whole weeks of which all is settled. Naive: it reads all that is settled,
    at the first hour that allows it; with late truth at the end of every week of the calendar.
    """
    counts = hourly(rng, 0.005, -0.09)
    now = np.arange(1, DAYS * HOURS + late * HOURS + 1)
    settled = np.clip(now - late * HOURS, 0, DAYS * HOURS)
    closed = settled // WEEK * WEEK
    wrong = read(counts, np.unique(closed))
    naive = read(counts, settled[now % WEEK == 0] if late else settled)
    name = "bad weekends" + (f", truth {late} days late" if late else "")
    return [false_rate("B14", f"{name}: whole settled weeks", wrong, naive)]


def b14_equal(rng: np.random.Generator) -> list[Row]:
    counts = hourly(rng, 0.0, 0.0)
    share = float(read(counts, np.arange(WEEK, DAYS * HOURS + 1, WEEK)).mean())
    return [at_least("B14", "the same every day, and equal: promoted by day 28", share, 0.95)]


def read(counts: NDArray[np.int64], hours: NDArray[np.int64]) -> Flags:
    """Whether each trial passes when what it has after one of these hours is read; nothing is read after 0 hours."""
    hours = hours[hours > 0]
    return promoted(counts[:, hours - 1]).any(axis=1)
