"""From judged exchanges to the counts of each cell: order, settling, cycles, units.

Within a cell exchanges are read in the order of request time, up to the first that is not settled; of equal times
none. What can promote is further cut at the last closed cycle. Where strata have different rates, everything is counted
by rate.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis

from gnomon.log.tables import segment_column
from gnomon.records.evidence import GRID, AtRate, Histogram
from gnomon.records.plan import OVERALL, Plan

Expr = Any

_GATE = ("low", "high", "waits", "imputed", "known", "production", "candidate")
_SUMS = ("exchanges", "lost", "imputed", "known", "production", "candidate")


@dataclass(slots=True)
class Drawn:
    """What was sampled at one rate: the counts of one cell under one gate, while they are put together."""

    low: Counter[int] = field(default_factory=Counter)
    high: Counter[int] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    """Over the units that are ready: see _SUMS."""


@dataclass(slots=True)
class Tally:
    """The counts of one cell under one gate, while they are put together."""

    frontier_us: int
    waiting: int = 0
    drawn: dict[int, Drawn] = field(default_factory=dict)
    """By probability over 2**32."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Take over one group of units that look alike."""
        if not row["ready"]:
            self.waiting += row["exchanges"]
            return
        drawn = self.at(row["rate"])
        drawn.high[row["high"]] += row["units"]
        if row["closed"]:
            drawn.low[row["low"]] += row["units"]
        for name in _SUMS:
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
            )
            for rate, drawn in sorted(self.drawn.items())
        )


def histogram(counts: Mapping[int, int]) -> Histogram:
    """Ascending by value, without zero counts."""
    return tuple((value, count) for value, count in sorted(counts.items()) if count)


def sampled(table: Expr, segment: str) -> dict[str, tuple[int, int]]:
    """By the segment's value: lost exchanges and all exchanges."""
    cells = table.select("lost", value=_value(table, segment)).group_by("value")
    rows = cells.agg(lost=_count("lost"), all=ibis._.count()).to_pyarrow().to_pylist()
    return {row["value"]: (row["lost"], row["all"]) for row in rows}


def tallies(plan: Plan, table: Expr, index: int, segment: str, *, started_us: int, end_us: int) -> dict[str, Tally]:
    """By the segment's value: the counts of gate `index` up to each cell's own frontier."""
    kept = table.filter(table[f"g{index}_counts"] & table.counted)
    columns = {name: kept[f"g{index}_{name}"] for name in _GATE}
    names = ["time_us", "ready_us", "rate", "lost", *(["unit"] if plan.unit.cluster else [])]
    rows = kept.select(*names, value=_value(kept, segment), **columns)
    rows = _with_frontier(plan, rows, started_us=started_us, end_us=end_us)
    units = _alone(rows) if plan.unit.cluster is None else _together(rows)
    keys = ["value", "frontier_us", "rate", "low", "high", "ready", "closed"]
    groups = units.mutate(ready=units.ready_us <= units.frontier_us, closed=units.ready_us <= units.closed_us)
    groups = groups.group_by(keys).agg(units=ibis._.count(), **{name: ibis._[name].sum() for name in _SUMS})
    found: dict[str, Tally] = {}
    for row in groups.to_pyarrow().to_pylist():
        found.setdefault(row["value"], Tally(row["frontier_us"])).add(row)
    return found


def _value(table: Expr, segment: str) -> Expr:
    return ibis.literal("") if segment == OVERALL else table[segment_column(segment)]


def _count(column: str) -> Expr:
    return ibis._[column].cast("int64").sum()


def _with_frontier(plan: Plan, rows: Expr, *, started_us: int, end_us: int) -> Expr:
    """Adds the cell's frontier and the end of its last closed cycle."""
    first = rows.filter(rows.waits).group_by(cell="value").agg(stop_us=ibis._.time_us.min())
    rows = rows.left_join(first, rows.value == first.cell).drop("cell")
    rows = rows.mutate(frontier_us=rows.stop_us.fill_null(end_us)).drop("stop_us")
    cycle_us = plan.duration.cycle_us
    if cycle_us is None:
        return rows.mutate(closed_us=rows.frontier_us)
    elapsed = ibis.greatest(rows.frontier_us - started_us, 0)
    return rows.mutate(closed_us=elapsed // cycle_us * cycle_us + started_us)


def _alone(rows: Expr) -> Expr:
    """Each exchange is a unit."""
    return rows.select(
        "value",
        "frontier_us",
        "closed_us",
        "ready_us",
        "rate",
        low=rows.low.cast("int64") * GRID,
        high=rows.high.cast("int64") * GRID,
        exchanges=ibis.literal(1, "int64"),
        **{name: rows[name].cast("int64") for name in _SUMS if name != "exchanges"},
    )


def _together(rows: Expr) -> Expr:
    """The exchanges of a cluster in this cell are one unit: their mean, rounded down for `low` and up for `high`.

    They were drawn at one rate; where they were not, the log is no evidence (integrity), and the lowest is taken.
    """
    keys = ["value", "frontier_us", "closed_us", "ready_us", "unit"]
    clusters = rows.group_by(keys).agg(
        total_low=ibis._.low.cast("int64").sum(),
        total_high=ibis._.high.cast("int64").sum(),
        exchanges=ibis._.count(),
        rate=ibis._.rate.min(),
        **{name: _count(name) for name in _SUMS if name != "exchanges"},
    )
    # Both divisions have nonnegative numerators: engines disagree about the rest of a negative one.
    n = clusters.exchanges
    return clusters.mutate(
        low=GRID * (clusters.total_low + n) // n - GRID, high=GRID - GRID * (n - clusters.total_high) // n
    )
