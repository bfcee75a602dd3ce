"""Counting where rows are not units of their own: the instances of a batch, the exchanges of a cluster.

What belongs together is one unit in each cell it falls into: the mean of D, rounded down for promotion and up for
rejection. It is settled together, and it stands where it began: by when clusters end, the short ones would come first.
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


def left_out(table: Expr, segment: str) -> dict[str, int]:
    """By the segment's value: exchanges that came after their cluster was closed."""
    late = table.filter(table["first"] & ~table.counted)
    cells = late.select(value=_value(late, segment)).group_by("value")
    return {row["value"]: row["all"] for row in fetched(cells.agg(all=ibis._.count()))}


def tallies(
    plan: Plan, table: Expr, index: int, segment: str, terms: Terms, *, started_us: int, end_us: int
) -> dict[str, Tally]:
    """By the segment's value: the counts of gate `index` up to each cell's own frontier."""
    sides = _SIDES if terms.reference_low is not None else _SIDES[:2]
    rows = _of_cells(table, index, segment, sides)
    units = _together(rows, sides, step=terms.step, grid=GRID * plan.judged[index].steps)
    units = _with_frontier(plan, units, started_us=started_us, end_us=end_us)
    units = units.filter(units.belongs > 0)
    units = units.mutate(ready=units.first_us < units.frontier_us, closed=units.first_us < units.closed_us)
    keys = ["value", "frontier_us", "rate", *sides, "ready", "closed"]
    groups = units.group_by(keys).agg(units=ibis._.count(), **{name: ibis._[name].sum() for name in SUMS})
    found: dict[str, Tally] = {}
    for row in fetched(groups):
        found.setdefault(row["value"], Tally(row["frontier_us"])).add(row)
    return found


def _of_cells(table: Expr, index: int, segment: str, sides: tuple[str, ...]) -> Expr:
    """What is counted, with the gate's view of what belongs to it; of the rest only when it came and its unit."""
    mine = f"g{index}_"
    belongs = table[f"{mine}counts"]
    flags = [name for name in ("waits", "unsure", *SUMS) if f"{mine}{name}" in table.columns]
    columns = {name: ibis.cases((belongs, table[f"{mine}{name}"]), else_=NO_UNIT) for name in sides}
    columns |= {name: belongs & table[f"{mine}{name}"] for name in flags}
    columns |= {"belongs": belongs, "first": belongs & table["first"], "value": _value(table, segment)}
    return table.filter(table.counted).select("time_us", "ready_us", "rate", "lost", "unit", **columns)


def _value(table: Expr, segment: str) -> Expr:
    return ibis.literal("") if segment == OVERALL else table[segment_column(segment)]


def _count(column: str) -> Expr:
    return ibis._[column].cast("int64").sum()


def _with_frontier(plan: Plan, units: Expr, *, started_us: int, end_us: int) -> Expr:
    """Adds the cell's frontier, where the first of its units stands that is not settled, and its last closed cycle.

    What of a cluster is no part of this gate holds the frontier too, while the cluster is open: more of it may come.
    """
    unsettled = units.filter((units.ready_us > end_us) | (units.waits > 0))
    first = unsettled.group_by(cell="value").agg(stop_us=ibis._.first_us.min())
    units = units.left_join(first, units.value == first.cell).drop("cell")
    units = units.mutate(frontier_us=units.stop_us.fill_null(end_us)).drop("stop_us")
    cycle_us = plan.duration.cycle_us
    if cycle_us is None:
        return units.mutate(closed_us=units.frontier_us)
    elapsed = ibis.greatest(units.frontier_us - started_us, 0)
    return units.mutate(closed_us=elapsed // cycle_us * cycle_us + started_us)


def _together(rows: Expr, sides: tuple[str, ...], *, step: int, grid: int) -> Expr:
    """One row for each unit. What of it is no unit on a side is left out of that side's mean.

    It stands at its first exchange in the cell, whatever the gate makes of that one: a place in the order that hung on
    outcomes would choose among them. The exchanges of a cluster were drawn at one rate; where they were not, the log is
    no evidence (integrity), and the lowest is taken.
    """
    sums = {f"total_{side}": ibis._[side].sum().fill_null(0) for side in sides}
    counts = {f"n_{side}": ibis._[side].count() for side in sides}
    if "unsure" in rows.columns:
        counts["unsure"] = _count("unsure")
    both = ibis._.lost & ibis._["first"]
    flags = {name: _count(name) for name in ("waits", "belongs", *SUMS) if name not in {"exchanges", "lost"}}
    units = rows.group_by(["value", "unit"]).agg(
        first_us=ibis._.time_us.min(),
        ready_us=ibis._.ready_us.max(),
        rate=ibis._.rate.min(),
        exchanges=_count("first"),
        lost=both.cast("int64").sum(),
        **sums,
        **counts,
        **flags,
    )
    if "unsure" in units.columns:
        units = units.mutate(n_low=_with_unsure(units), n_high=_without_unsure(units))
    return units.mutate(
        **{side: _mean(units[f"total_{side}"] * step, units[f"n_{side}"], grid, up=side in _UP) for side in sides}
    )


def _with_unsure(units: Expr) -> Expr:
    """Over how many the low mean goes: none of the unsure is in `n_low`, and each lowers a mean over 0."""
    return units.n_low + ibis.cases((units.total_low > 0, units.unsure), else_=0)


def _without_unsure(units: Expr) -> Expr:
    """Over how many the high mean goes: each of the unsure is in `n_high`, and lowers a mean over 0."""
    return units.n_high - ibis.cases((units.total_high > 0, units.unsure), else_=0)


def _mean(total: Expr, n: Expr, grid: int, *, up: bool) -> Expr:
    """A mean in whole steps of the grid. The divisions have nonnegative numerators: engines disagree about others."""
    some = ibis.greatest(n, 1)
    mean = grid - (n * grid - total) // some if up else (total + n * grid) // some - grid
    return ibis.cases((n > 0, mean), else_=NO_UNIT)
