"""Counting where rows are not units of their own: the instances of a batch, the exchanges of a cluster.

What belongs together is one unit in each cell it falls into: the mean of D, rounded down for promotion and up for
rejection. It is settled together.
"""

from typing import Any

import ibis

from gnomon.evidence.cells import SUMS, Tally
from gnomon.evidence.engine import fetched
from gnomon.evidence.terms import NO_UNIT, Terms
from gnomon.log.tables import segment_column
from gnomon.records.evidence import GRID
from gnomon.records.plan import OVERALL, Plan

Expr = Any

_SIDES = ("low", "high", "reference_low", "reference_high")
_UP = frozenset({"high", "reference_low"})
"""Sides whose means are rounded up: production's is best for production where the candidate is to be promoted."""


def sampled(table: Expr, segment: str) -> dict[str, tuple[int, int]]:
    """By the segment's value: lost exchanges and all exchanges."""
    mine = table.filter(table["first"])
    cells = mine.select("lost", value=_value(mine, segment)).group_by("value")
    rows = fetched(cells.agg(lost=_count("lost"), all=ibis._.count()))
    return {row["value"]: (row["lost"], row["all"]) for row in rows}


def tallies(
    plan: Plan, table: Expr, index: int, segment: str, terms: Terms, *, started_us: int, end_us: int
) -> dict[str, Tally]:
    """By the segment's value: the counts of gate `index` up to each cell's own frontier."""
    kept = table.filter(table[f"g{index}_counts"] & table.counted)
    sides = _SIDES if terms.reference_low is not None else _SIDES[:2]
    flags = [name for name in ("waits", *SUMS) if f"g{index}_{name}" in kept.columns]
    columns = {name: kept[f"g{index}_{name}"] for name in (*sides, *flags)}
    names = ["time_us", "ready_us", "rate", "lost", "first", "unit"]
    rows = kept.select(*names, value=_value(kept, segment), **columns)
    rows = _with_frontier(plan, rows, started_us=started_us, end_us=end_us)
    units = _together(rows, sides, step=terms.step, grid=GRID * plan.judged[index].steps)
    keys = ["value", "frontier_us", "rate", *sides, "ready", "closed"]
    groups = units.mutate(ready=units.ready_us <= units.frontier_us, closed=units.ready_us <= units.closed_us)
    groups = groups.group_by(keys).agg(units=ibis._.count(), **{name: ibis._[name].sum() for name in SUMS})
    found: dict[str, Tally] = {}
    for row in fetched(groups):
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


def _together(rows: Expr, sides: tuple[str, ...], *, step: int, grid: int) -> Expr:
    """One row for each unit. What of it is no unit on a side is left out of that side's mean.

    The exchanges of a cluster were drawn at one rate; where they were not, the log is no evidence (integrity), and the
    lowest is taken.
    """
    keys = ["value", "frontier_us", "closed_us", "ready_us", "unit"]
    sums = {f"total_{side}": ibis._[side].sum().fill_null(0) for side in sides}
    counts = {f"n_{side}": ibis._[side].count() for side in sides}
    both = ibis._.lost & ibis._["first"]
    flags = {name: _count(name) for name in SUMS if name not in {"exchanges", "lost"}}
    units = rows.group_by(keys).agg(
        rate=ibis._.rate.min(), exchanges=_count("first"), lost=both.cast("int64").sum(), **sums, **counts, **flags
    )
    return units.mutate(
        **{side: _mean(units[f"total_{side}"] * step, units[f"n_{side}"], grid, up=side in _UP) for side in sides}
    )


def _mean(total: Expr, n: Expr, grid: int, *, up: bool) -> Expr:
    """A mean in whole steps of the grid. The divisions have nonnegative numerators: engines disagree about others."""
    some = ibis.greatest(n, 1)
    mean = grid - (n * grid - total) // some if up else (total + n * grid) // some - grid
    return ibis.cases((n > 0, mean), else_=NO_UNIT)
