"""The counts of each cell, while they are put together: order, settling, cycles.

Within a cell exchanges are read in the order of request time, up to the first that is not settled; of equal times
none. What can promote is further cut at the last closed cycle. Where strata have different rates, everything is counted
by rate.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gnomon.records.evidence import AtRate, Histogram, Tail
from gnomon.records.plan import Plan

SUMS: Final = ("exchanges", "lost", "imputed", "known", "production", "candidate", "truths")


@dataclass(slots=True)
class Drawn:
    """What was sampled at one rate: the counts of one cell under one gate."""

    low: Counter[int] = field(default_factory=Counter)
    high: Counter[int] = field(default_factory=Counter)
    reference_low: Counter[int] = field(default_factory=Counter)
    reference_high: Counter[int] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    """Over the units that are ready: see SUMS."""


@dataclass(slots=True)
class Tally:
    """The counts of one cell under one gate."""

    frontier_us: int
    waiting: int = 0
    drawn: dict[int, Drawn] = field(default_factory=dict)
    """By probability over 2**32."""
    tail: Tail | None = None
    closed_tail: Tail | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Take over one group of units that look alike. A D that is None is no unit."""
        if not row["ready"]:
            self.waiting += row["exchanges"]
            return
        drawn = self.at(row["rate"])
        if row["high"] is not None:
            drawn.high[row["high"]] += row["units"]
        if row["closed"] and row["low"] is not None:
            drawn.low[row["low"]] += row["units"]
        if row.get("reference_high") is not None:
            drawn.reference_high[row["reference_high"]] += row["units"]
        if row["closed"] and row.get("reference_low") is not None:
            drawn.reference_low[row["reference_low"]] += row["units"]
        for name in SUMS:
            drawn.sums[name] += row[name]

    def at(self, rate: int) -> Drawn:
        """The counts at one rate."""
        return self.drawn.setdefault(rate, Drawn())

    def whole(self) -> Drawn:
        """The counts over all rates."""
        every = Drawn()
        for drawn in self.drawn.values():
            every.low.update(drawn.low)
            every.high.update(drawn.high)
            every.reference_low.update(drawn.reference_low)
            every.reference_high.update(drawn.reference_high)
            every.sums.update(drawn.sums)
        return every

    def by_rate(self) -> tuple[AtRate, ...]:
        """The counts at each rate, ascending."""
        return tuple(
            AtRate(
                probability=rate,
                low=histogram(drawn.low),
                high=histogram(drawn.high),
                known=drawn.sums["known"],
                production_good=drawn.sums["production"],
                candidate_good=drawn.sums["candidate"],
                reference_low=histogram(drawn.reference_low),
                reference_high=histogram(drawn.reference_high),
            )
            for rate, drawn in sorted(self.drawn.items())
        )


def histogram(counts: Mapping[int, int]) -> Histogram:
    """Ascending by value, without zero counts."""
    return tuple((value, count) for value, count in sorted(counts.items()) if count)


def closed_us(plan: Plan, frontier_us: int, started_us: int) -> int:
    """The end of the last closed cycle before a frontier; without cycles the frontier itself."""
    cycle_us = plan.duration.cycle_us
    if cycle_us is None:
        return frontier_us
    return max(frontier_us - started_us, 0) // cycle_us * cycle_us + started_us
