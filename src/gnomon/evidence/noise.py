"""The noise floor: how often production agrees with its own twin, beside how often the candidate agrees with it."""

from functools import partial
from typing import Any

import ibis

from gnomon.log.tables import output_columns, segment_column, twin_column
from gnomon.records.evidence import NoiseFloor
from gnomon.records.plan import OVERALL, Output, Plan

Expr = Any  # ibis expressions carry no static types


def floor(plan: Plan, pairs: Expr) -> tuple[NoiseFloor, ...]:
    """By output, overall and for each value of each segment that a twin fell into. Empty without a twin."""
    if not plan.fork.twin:
        return ()
    drawn = pairs.filter(pairs.twin_outcome.notnull())
    return tuple(each for output in plan.outputs for each in _of(plan, output, drawn))


def _of(plan: Plan, output: Output, drawn: Expr) -> list[NoiseFloor]:
    no = ibis.literal(value=False)
    fresh = ~drawn.twin_repeat.fill_null(no)
    table = drawn.mutate(
        repeat=(~fresh).cast("int64"),
        own=(fresh & drawn[twin_column(output.name)].fill_null(no)).cast("int64"),
        other=(fresh & drawn[output_columns(output.name)[2]].fill_null(no)).cast("int64"),
    )
    found = [_floor(output, OVERALL, row) for row in _counted(table.mutate(value=ibis.literal("")))]
    for segment in plan.segments:
        rows = _counted(table.mutate(value=table[segment_column(segment.name)]))
        place = {value: index for index, value in enumerate(segment.labels)}
        rows.sort(key=partial(_place, place))
        found += [_floor(output, f"{segment.name}={row['value']}", row) for row in rows]
    return found


def _place(places: dict[str, int], row: dict[str, Any]) -> int:
    """Declared values in their order, then `other` and the like as they are sorted already."""
    return places.get(row["value"], len(places))


def _counted(table: Expr) -> list[dict[str, Any]]:
    counted = table.group_by("value").agg(
        drawn=ibis._.count(), repeats=ibis._.repeat.sum(), own=ibis._.own.sum(), other=ibis._.other.sum()
    )
    rows: list[dict[str, Any]] = counted.order_by("value").to_pyarrow().to_pylist()
    return rows


def _floor(output: Output, cell: str, row: dict[str, Any]) -> NoiseFloor:
    return NoiseFloor(
        output=output.name,
        cell=cell,
        drawn=row["drawn"],
        repeats=int(row["repeats"]),
        agree=int(row["own"]),
        candidate_agree=int(row["other"]),
    )
