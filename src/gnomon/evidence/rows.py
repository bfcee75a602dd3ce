"""The rows that a look may read: one epoch, up to the watermark and the deadline, with truth, cluster and D on each.

Everything stays an Ibis expression; nothing is executed here.
"""

from typing import Any, Final

import ibis

from gnomon.evidence import differences
from gnomon.log.tables import segment_column
from gnomon.records.plan import Plan

Expr = Any

COUNTED: Final = ("paired", "expired")
"""States of rows that are evidence: a pair, or a lost one. A guarded exchange was never meant for the candidate."""


def first_truths(truths: Expr) -> Expr:
    """One truth for each key and output: the first that was imported (ties by source, then value)."""
    order = ibis.window(group_by=["key", "output"], order_by=["imported_us", "source", "value"])
    return truths.mutate(place=ibis.row_number().over(order)).filter(lambda t: t.place == 0).drop("place")


def with_truth(plan: Plan, comparisons: Expr, truths: Expr) -> Expr:
    """Adds `truth_<output>_value` and `truth_<output>_number`, null where there is none.

    Truth names the plan's key or the exchange's id; where both came, the key's counts.
    """
    first = first_truths(truths)
    names = ["truth_key", "id"] if plan.truth is not None and plan.truth.key is not None else ["id"]
    table = comparisons
    for output in plan.outputs:
        usable = first.filter(first.output == output.name)
        if output.compare == "number":
            usable = usable.filter(usable.number.notnull())
        for name in names:
            side = usable.select(
                **{f"key_{name}": usable.key, f"text_{name}": usable.value, f"number_{name}": usable.number}
            )
            table = table.left_join(side, table[name] == side[f"key_{name}"])
        found = [f"{part}_{name}" for part in ("key", "text", "number") for name in names]
        value, number = (ibis.coalesce(*(table[f"{part}_{name}"] for name in names)) for part in ("text", "number"))
        text_name, number_name = (
            differences.TRUTH_TEXT.format(output.name),
            differences.TRUTH_NUMBER.format(output.name),
        )
        table = table.mutate(**{text_name: value, number_name: number}).drop(*found)
    return table


def with_unit(plan: Plan, table: Expr) -> Expr:
    """Adds `counted` and `ready_us`, and `unit` where a plan has clusters.

    A unit may be read once everything before `ready_us` is settled.

    An exchange is a unit of its own, or one part of its cluster. A cluster ends at the first pause longer than
    `closes_after`; what comes after the pause would depend on it and is not counted.
    """
    if plan.unit.cluster is None:
        return table.mutate(counted=True, ready_us=table.time_us + 1)
    table = table.mutate(unit=ibis.coalesce(table.cluster, "id:" + table.id))
    in_order = ibis.window(group_by="unit", order_by=["time_us", "id"])
    so_far = ibis.cumulative_window(group_by="unit", order_by=["time_us", "id"])
    pause = table.time_us - table.time_us.lag().over(in_order)
    table = table.mutate(breaks=(pause > plan.unit.closes_after_us).fill_null(differences.NEVER).cast("int64"))
    table = table.mutate(counted=table.breaks.sum().over(so_far) == 0).drop("breaks")
    last = ibis.cases((table.counted, table.time_us), else_=0).max().over(ibis.window(group_by="unit"))
    return table.mutate(ready_us=last + max(1, plan.unit.closes_after_us))


def _rate(plan: Plan, table: Expr) -> Expr:
    """The probability by which an exchange is weighted, over 2**32; one rate for all is weight 1, whatever it is."""
    lowest = min(plan.fork.rates.values())
    if len(set(plan.fork.rates.values())) == 1:
        return ibis.literal(lowest, "int64")
    return ibis.greatest(table.probability, lowest)  # a lower one is an anomaly, and its weight would be over 1


def judged(plan: Plan, table: Expr, *, as_of_us: int) -> Expr:
    """One narrow row for each exchange: its time and unit, segment values, the terms of gate i in columns `g<i>_*`."""
    names = ["time_us", "counted", "ready_us", *(["unit"] if plan.unit.cluster else [])]
    columns = {name: table[name] for name in names}
    columns["rate"] = _rate(plan, table)
    columns["lost"] = differences.lost(table)
    for segment in plan.segments:
        columns[segment_column(segment.name)] = table[segment_column(segment.name)]
    for index, gate in enumerate(plan.gates):
        terms = differences.terms(plan, gate, table, as_of_us=as_of_us)
        columns |= {
            f"g{index}_counts": terms.counts,
            f"g{index}_low": terms.low.cast("int8"),
            f"g{index}_high": terms.high.cast("int8"),
            f"g{index}_waits": terms.waits,
            f"g{index}_imputed": terms.imputed,
            f"g{index}_known": terms.known,
            f"g{index}_production": terms.known & terms.production,
            f"g{index}_candidate": terms.known & terms.candidate,
        }
    return table.select(**columns)
