"""Describe: what a report shows beside the verdict. Latency of both arms, agreement matrices, exchanges to look at.

Reads     comparisons, ledger and truths at pinned versions; from `exchanges`, as it is now, the request bodies of what
          is listed, and the sizes of some
Promises  the same rows as the evidence (one epoch, before the watermark); no data gives zeros, empty tables and None
"""

import json
import zlib
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

import ibis
from msgspec import structs

from gnomon.evidence import counts, noise, rows
from gnomon.evidence.engine import Engine
from gnomon.evidence.losses import losses
from gnomon.evidence.terms import TRUTH_NUMBER, TRUTH_TEXT
from gnomon.log import read, tables
from gnomon.log.tables import output_columns, segment_column
from gnomon.records.evidence import Agreement, Description, Disagreement, LatencySummary
from gnomon.records.plan import OVERALL, Output, Plan

EXCERPT: Final = 600
"""Characters of a request or an answer that are shown."""

TOP: Final = 8
"""Values of an output that have a row of their own in the agreement matrix."""

OTHER: Final = "other"
FAILED: Final = "failed"
"""Rows of the matrix that are no values. Values are JSON texts, so the string "other" keeps its quotation marks."""

_PERCENTILES: Final = (50, 90, 99)
_CERTAIN: Final = 1 << 32

Expr = Any  # ibis expressions carry no static types


def describe(
    plan: Plan,
    log: read.Snapshot,
    *,
    log_url: str,
    first_epoch: int,
    limit: int = 20,
    started_us: int | None = None,
) -> Description:
    """What people look at: at most `limit` disagreements over all outputs, everything else in full.

    With `started_us` nothing after the plan's deadline is read, as the evidence has it.
    """
    with closing(Engine(log)) as engine:
        ledger = engine.table("ledger", tables.LEDGER)
        latest = counts.latest(ledger, epoch=first_epoch)
        end_us = ledger.watermark_us.max().to_pyarrow().as_py() or 0
        if started_us is not None and plan.duration.deadline_us is not None:
            end_us = min(end_us, started_us + plan.duration.deadline_us)
        comparisons = engine.table("comparisons", tables.comparisons(plan))
        read_rows = comparisons.filter(comparisons.epoch == first_epoch, comparisons.time_us < end_us)
        calls = read_rows.filter(read_rows.state.isin(rows.COUNTED))
        pairs = calls.filter(calls.state == "paired")
        one = rows.one_truth(plan, engine.table("truths", tables.TRUTHS))
        found = _disagreements(plan, rows.with_truth(plan, pairs, one), limit)
        return Description(
            latency=tuple(_latency(calls, arm) for arm in ("production", "candidate")),
            agreements=tuple(each for output in plan.outputs for each in _agreements(plan, output, pairs)),
            disagreements=_with_requests(found, log_url),
            segments={segment.name: _pairs_by_value(plan, pairs, segment.name) for segment in plan.segments},
            ledger=counts.sides(latest),
            sampling=counts.sampling(plan, latest),
            losses=losses(plan, read_rows, engine.connection, log_url=log_url),
            noise=noise.floor(plan, pairs),
        )


def _rows(table: Expr) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found


# latency -----------------------------------------------------------------------------------------------------------


def _latency(rows_read: Expr, arm: str) -> LatencySummary:
    """Quantiles over every call of an arm, late ones too: the smallest latency with at least that share at or under it.

    Failed calls stand at the end, at infinity. Exact, and the same on any engine: ranks by cumulated counts, no
    sketch and no sort of all calls.
    """
    outcome, latency = rows_read[f"{arm}_outcome"], rows_read[f"{arm}_latency_us"]
    outcomes = _rows(rows_read.filter(outcome.notnull()).group_by(outcome=outcome).agg(calls=ibis._.count()))
    failed = {row["outcome"]: row["calls"] for row in sorted(outcomes, key=lambda row: str(row["outcome"]))}
    calls = sum(failed.values())
    failed.pop("ok", None)
    answered = rows_read.filter(outcome == "ok", latency.notnull()).group_by(latency=latency).agg(n=ibis._.count())
    reached = answered.mutate(upto=answered.n.sum().over(ibis.cumulative_window(order_by="latency")))
    ranks = {f"p{percent}_us": -(-percent * calls // 100) for percent in _PERCENTILES}  # rounded up
    firsts = {name: reached.latency.min(where=reached.upto >= rank) for name, rank in ranks.items()}
    (quantiles,) = _rows(reached.agg(**firsts))
    return LatencySummary(arm=arm, calls=calls, failed=failed, **quantiles)


# agreement ---------------------------------------------------------------------------------------------------------


def _agreements(plan: Plan, output: Output, pairs: Expr) -> list[Agreement]:
    """Overall, then each value of each segment that a pair fell into, in the plan's order."""
    production, candidate, agree = output_columns(output.name)
    table = pairs.mutate(
        production=_text(pairs.production_outcome, pairs[production]),
        candidate=_text(pairs.candidate_outcome, pairs[candidate]),
        same=pairs[agree].fill_null(ibis.literal(value=False)).cast("int64"),
    )
    kept = _frequent(table)
    if output.compare == "number" and OTHER in kept:
        table = table.mutate(
            production=ibis.literal(OTHER), candidate=ibis.literal(OTHER)
        )  # a matrix of reals is noise
    else:
        table = table.mutate(**{arm: _folded(table[arm], kept) for arm in ("production", "candidate")})
    found = [_agreement(output, OVERALL, _rows(_counted(table, [])), kept)]
    for segment in plan.segments:
        by_value: dict[str, list[dict[str, Any]]] = {}
        for row in _rows(_counted(table.mutate(value=table[segment_column(segment.name)]), ["value"])):
            by_value.setdefault(row["value"], []).append(row)
        values = sorted(by_value, key=partial(_order, plan, segment.name))
        found.extend(_agreement(output, f"{segment.name}={value}", by_value[value], kept) for value in values)
    return found


def _text(outcome: Expr, value: Expr) -> Expr:
    """An answer as the matrix names it; null stands only where an arm failed."""
    answered = (outcome == "ok").fill_null(ibis.literal(value=False)) & value.notnull()
    return ibis.cases((answered, value.cast("string")), else_=FAILED)


def _frequent(table: Expr) -> list[str]:
    """The most frequent values of both arms together, the most frequent first; `other` is last if there are more."""
    both = table.select(value=table.production).union(table.select(value=table.candidate))
    counts = both.filter(both.value != FAILED).group_by("value").agg(n=ibis._.count())
    found = _rows(counts.order_by(ibis.desc("n"), "value").limit(TOP + 1))
    return [row["value"] for row in found[:TOP]] + ([OTHER] if len(found) > TOP else [])


def _folded(value: Expr, kept: Sequence[str]) -> Expr:
    return ibis.cases((value.isin([*kept, FAILED]), value), else_=OTHER)


def _counted(table: Expr, by: list[str]) -> Expr:
    return table.group_by([*by, "production", "candidate"]).agg(pairs=ibis._.count(), agree=ibis._.same.sum())


def _agreement(output: Output, cell: str, counts: Sequence[dict[str, Any]], kept: Sequence[str]) -> Agreement:
    place = {value: index for index, value in enumerate([*kept, FAILED])}
    ordered = sorted(counts, key=lambda row: (place.get(row["production"], 0), place.get(row["candidate"], 0)))
    return Agreement(
        output=output.name,
        cell=cell,
        pairs=sum(row["pairs"] for row in ordered),
        agree=sum(int(row["agree"]) for row in ordered),
        matrix=tuple((_excerpt(row["production"]), _excerpt(row["candidate"]), row["pairs"]) for row in ordered),
    )


# segments ----------------------------------------------------------------------------------------------------------


def _pairs_by_value(plan: Plan, pairs: Expr, name: str) -> dict[str, int]:
    """Pairs by value: every declared one, with 0 where none came, then what else there is."""
    rows_found = _rows(pairs.group_by(value=pairs[segment_column(name)]).agg(pairs=ibis._.count()))
    counts = {row["value"]: row["pairs"] for row in rows_found}
    declared = next(segment.labels for segment in plan.segments if segment.name == name)
    names = [*declared, *(value for value in sorted(counts) if value not in declared)]
    return {value: counts.get(value, 0) for value in names}


def _order(plan: Plan, name: str, value: str) -> tuple[int, str]:
    declared = next(segment.labels for segment in plan.segments if segment.name == name)
    return (declared.index(value) if value in declared else len(declared), value)


# disagreements -----------------------------------------------------------------------------------------------------


def _disagreements(plan: Plan, pairs: Expr, limit: int) -> list[Disagreement]:
    """The worst of each output, the same number of each, worst first."""
    each = max(1, limit // max(1, len(plan.outputs)))
    return [found for output in plan.outputs for found in _worst(plan, output, pairs, each)][:limit]


def _worst(plan: Plan, output: Output, pairs: Expr, limit: int) -> list[Disagreement]:
    """Harm shown by truth first, then help, then the undecided; within these in turns over the segments.

    The weight is 1/probability, for numbers times the distance (a failed arm is as far away as the farthest). Of equal
    ones the latest is taken.
    """
    names = output_columns(output.name)
    a, b = pairs[names[0]], pairs[names[1]]
    differ = pairs.filter(~pairs[names[2]].fill_null(ibis.literal(value=False)), a.notnull() | b.notnull())
    if output.compare == "number":
        truth: Expr = differ[TRUTH_NUMBER.format(output.name)]
        apart = (differ[names[0]] - differ[names[1]]).abs()
        apart = ibis.coalesce(apart, apart.max().over(ibis.window()), 1.0)
    else:
        truth, apart = differ[TRUTH_TEXT.format(output.name)], ibis.literal(1.0)
    columns = [segment_column(segment.name) for segment in plan.segments]
    table = differ.select(
        "id",
        "time_us",
        *columns,
        production=_shown(differ.production_outcome, differ[names[0]]),
        candidate=_shown(differ.candidate_outcome, differ[names[1]]),
        truth=truth.cast("string"),
        weight=apart * (float(_CERTAIN) / differ.probability),
        kind=_kind(_right(output, differ[names[0]], truth), _right(output, differ[names[1]], truth), truth),
    )
    turn = ibis.row_number().over(
        ibis.window(group_by=["kind", *columns], order_by=[ibis.desc("weight"), ibis.desc("id")])
    )
    ordered = table.mutate(turn=turn).order_by("kind", "turn", ibis.desc("weight"), ibis.desc("id")).limit(limit)
    return [_disagreement(plan, output, row) for row in _rows(ordered)]


def _right(output: Output, value: Expr, truth: Expr) -> Expr:
    """Whether a value is what truth says; a failed arm (null) is not."""
    same = (value - truth).abs() <= output.tolerance if output.compare == "number" else value == truth
    return same.fill_null(ibis.literal(value=False))


def _kind(production: Expr, candidate: Expr, truth: Expr) -> Expr:
    """0 harm, 1 help, 2 truth is not known, 3 both wrong (or, with a tolerance, both right)."""
    return ibis.cases((truth.isnull(), 2), (production & ~candidate, 0), (candidate & ~production, 1), else_=3)


def _shown(outcome: Expr, value: Expr) -> Expr:
    """The answer, or how the arm failed."""
    return ibis.coalesce(value.cast("string"), "failed: " + outcome.fill_null("not called"))


def _disagreement(plan: Plan, output: Output, row: dict[str, Any]) -> Disagreement:
    return Disagreement(
        id=row["id"],
        time_us=row["time_us"],
        segments={segment.name: row[segment_column(segment.name)] for segment in plan.segments},
        output=output.name,
        production=_excerpt(row["production"]),
        candidate=_excerpt(row["candidate"]),
        truth=None if row["truth"] is None else _excerpt(row["truth"]),
        weight=round(float(row["weight"]), 9),
        request="",
    )


def _with_requests(found: Sequence[Disagreement], log_url: str) -> tuple[Disagreement, ...]:
    """The same with an excerpt of each request body, as the log has it now; bodies may be gone by retention."""
    exchanges = read.exchanges(log_url, [each.id for each in found])
    requests = {row["id"]: _request(row) for row in exchanges}
    return tuple(structs.replace(each, request=requests.get(each.id, "")) for each in found)


def _request(row: dict[str, Any]) -> str:
    """The beginning of a request body as text; what is not UTF-8 shows as replacement characters."""
    body: bytes = row["request_body"] or b""
    codings = [value for name, value in json.loads(row["request_headers"]) if name == "content-encoding"]
    if codings and codings != ["identity"]:
        try:
            body = zlib.decompressobj(wbits=47).decompress(body, 4 * EXCERPT)  # gzip or zlib, by its header
        except zlib.error:
            return f"({len(body):,} bytes, content coding {codings[0]})"
    return _excerpt(body[: 4 * EXCERPT].decode("utf-8", "replace"))


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
