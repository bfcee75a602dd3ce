"""The rows that a look may read: one epoch, up to the watermark and the deadline, with truth, unit and D on each.

Everything stays an Ibis expression; nothing is executed here.
"""

from collections.abc import Sequence
from typing import Any, Final

import ibis

from gnomon.evidence.differences import terms
from gnomon.evidence.terms import NEVER, TRUTH_NUMBER, TRUTH_TEXT, Facts, Terms, output_of
from gnomon.log.tables import segment_column
from gnomon.records.plan import OVERALL, Gate, Plan

Expr = Any

COUNTED: Final = ("paired", "expired")
"""States of rows that are evidence: a pair, or a lost one. A guarded exchange was never meant for the candidate."""


def one_truth(plan: Plan, truths: Expr) -> Expr:
    """One truth for each key and output: the first that was imported, or the last (ties by source, then value)."""
    order: list[Any] = ["imported_us", "source", "value"]
    if plan.truth is not None and plan.truth.policy == "last":
        order = [ibis.desc(name) for name in order]
    window = ibis.window(group_by=["key", "output"], order_by=order)
    return truths.mutate(place=ibis.row_number().over(window)).filter(lambda t: t.place == 0).drop("place")


def with_truth(plan: Plan, comparisons: Expr, one: Expr, outputs: Sequence[str] | None = None) -> Expr:
    """Adds `truth_<output>_value` and `truth_<output>_number`, null where there is none; of all outputs if not said.

    `one` has one truth for each key and output. Truth names the plan's key or the exchange's id; where both came, the
    key's counts.
    """
    names = ["truth_key", "id"] if plan.truth is not None and plan.truth.key is not None else ["id"]
    table = comparisons
    for output in plan.outputs:
        if outputs is not None and output.name not in outputs:
            continue
        usable = one.filter(one.output == output.name)
        if output.compare == "number":
            usable = usable.filter(usable.number.notnull())
        for name in names:
            side = usable.select(
                **{f"key_{name}": usable.key, f"text_{name}": usable.value, f"number_{name}": usable.number}
            )
            table = table.left_join(side, table[name] == side[f"key_{name}"])
        found = [f"{part}_{name}" for part in ("key", "text", "number") for name in names]
        value, number = (ibis.coalesce(*(table[f"{part}_{name}"] for name in names)) for part in ("text", "number"))
        added = {TRUTH_TEXT.format(output.name): value, TRUTH_NUMBER.format(output.name): number}
        table = table.mutate(**added).drop(*found)
    return table


def truthful_outputs(plan: Plan) -> tuple[str, ...]:
    """The outputs whose truth some gate or target looks at."""
    found: dict[str, None] = {}
    for gate in plan.judged:
        if gate.needs_truth:
            found |= dict.fromkeys(gate.outputs or (output_of(plan, gate).name,))
    return tuple(found)


def first(plan: Plan, table: Expr) -> Expr:
    """Whether a row is the one by which its exchange is counted: of a batch, that of the first instance."""
    return ibis.literal(value=True) if plan.unit.instances is None else table.instance == 0


def with_unit(plan: Plan, table: Expr) -> Expr:
    """Adds `counted` and `ready_us`, and `unit` where rows are not units of their own.

    A unit may be read once `ready_us` is over: from then on nothing is added to it. Where rows are units, one may be
    read once everything before it is settled.

    An exchange is a unit of its own, with all its instances, or one part of its cluster. A cluster ends at the first
    pause longer than `closes_after`; what comes after the pause would depend on it and is not counted.
    """
    if plan.unit.cluster is None:
        table = table.mutate(counted=True, ready_us=table.time_us + 1)
        return table if plan.unit.alone else table.mutate(unit=table.id)
    table = table.mutate(unit=ibis.coalesce(table.cluster, "id:" + table.id))
    in_order = ibis.window(group_by="unit", order_by=["time_us", "id"])
    so_far = ibis.cumulative_window(group_by="unit", order_by=["time_us", "id"])
    pause = table.time_us - table.time_us.lag().over(in_order)
    table = table.mutate(breaks=(pause > plan.unit.closes_after_us).fill_null(NEVER).cast("int64"))
    table = table.mutate(counted=table.breaks.sum().over(so_far) == 0).drop("breaks")
    last = ibis.cases((table.counted, table.time_us), else_=0).max().over(ibis.window(group_by="unit"))
    return table.mutate(ready_us=last + max(1, plan.unit.closes_after_us))


def rate(plan: Plan, table: Expr) -> Expr:
    """The probability by which an exchange is weighted, over 2**32; one rate for all is weight 1, whatever it is."""
    lowest = min(plan.fork.rates.values())
    if len(set(plan.fork.rates.values())) == 1:
        return ibis.literal(lowest, "int64")
    return ibis.greatest(table.probability, lowest)  # a lower one is an anomaly, and its weight would be over 1


def tested_segments(gates: Sequence[Gate]) -> tuple[str, ...]:
    """The segments that tests of these gates look at, `overall` apart, in their order."""
    return tuple(dict.fromkeys(test.segment for gate in gates for test in gate.tests if test.segment != OVERALL))


def all_terms(plan: Plan, row: Facts) -> tuple[Terms, ...]:
    """The terms of each gate, then of each target."""
    return tuple(terms(plan, gate, row) for gate in plan.judged)


def judged(plan: Plan, table: Expr, row: Facts, each: Sequence[Terms]) -> Expr:
    """One narrow row for each row: its time and unit, segment values, the terms of gate i in columns `g<i>_*`."""
    columns = {name: table[name] for name in ("time_us", "counted", "ready_us", "unit")}
    columns |= {"rate": rate(plan, table), "lost": row.lost, "first": first(plan, table)}
    for segment in tested_segments(plan.judged):
        columns[segment_column(segment)] = table[segment_column(segment)]
    for index, found in enumerate(each):
        columns |= {
            f"g{index}_counts": found.counts,
            f"g{index}_low": found.low,
            f"g{index}_high": found.high,
            f"g{index}_waits": found.waits,
            f"g{index}_imputed": found.imputed,
            f"g{index}_known": found.known,
            f"g{index}_production": found.known & found.production,
            f"g{index}_candidate": found.known & found.candidate,
            f"g{index}_truths": found.came,
        }
        if found.unsure is not None:
            columns[f"g{index}_unsure"] = found.unsure
        if found.reference_low is not None:
            columns |= {
                f"g{index}_reference_low": found.reference_low,
                f"g{index}_reference_high": found.reference_high,
            }
    return table.select(**columns)
