"""Pilot: what an earlier trial's log says about the traffic, in the cells and gates of another plan.

The plan's gates are gathered from the pilot's pinned tables like at a look, as far as both plans declare the same
outputs and segments; what the pilot cannot say is a note. Nothing of it is evidence of the new trial.
"""

import math
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import ibis
from msgspec import structs
from scipy import special

from gnomon.errors import NotFound
from gnomon.evidence import counts, gather
from gnomon.log import read, tables
from gnomon.plan.traffic import Pilot, Seen, key
from gnomon.plan.units import DURATIONS, ONE, PPM
from gnomon.records.evidence import Cell, Histogram
from gnomon.records.plan import OVERALL, Duration, Gate, Plan, Unit
from gnomon.records.trial import Trial

if TYPE_CHECKING:
    from gnomon.log.read import Snapshot

Expr = Any

_COUNTED = ("paired", "expired")
_DIFFERING = frozenset({"accuracy", "field", "loss"})
"""Gates that need truth where the arms differ, and nowhere else."""


def pilot(plan: Plan, trial: Trial, theirs: Plan, log_url: str, *, now_us: int) -> Pilot:
    """What the log of `trial`, whose sealed plan is `theirs`, says in the terms of `plan`.

    Raises NotFound when nothing was shadowed in it.
    """
    snapshot = read.snapshot(log_url)
    with closing(_Log(theirs, snapshot, trial.first_epoch)) as log:
        days = log.days()
        if days is None:
            raise NotFound(f"--pilot {trial.id} has no traffic in its log; name a trial that ran, or give --rate")
        common, notes = _common(plan, theirs)
        seen: dict[str, Seen] = {}
        places = [(gate, test) for gate in common.judged for test in gate.tests]
        for (gate, test), cell, (_, sampled) in zip(places, *_cells(common, trial, snapshot, now_us), strict=True):
            flagged = log.flagged(gate) if gate.kind == "share" and test.segment == OVERALL else None
            seen[key(test)] = _seen(gate, cell, sampled, flagged, log)
        drawn = log.drawn()
        total = sum(drawn.values()) or log.weight()
        return Pilot(
            trial=trial.id,
            days=days,
            per_day=total / days,
            shares={name: share for each in common.segments for name, share in log.shares(each.name).items()},
            strata=_strata(plan, theirs, drawn),
            tests=seen,
            notes=tuple(notes),
        )


def _cells(plan: Plan, trial: Trial, snapshot: "Snapshot", now_us: int) -> tuple[list[Cell], list[tuple[int, int]]]:
    """The cell of each test, and lost and sampled exchanges of it.

    That two arms differ is known without truth. Where only that waits for truth, what has not come is taken as overdue:
    a log that is read up to its first disagreement would say that the arms hardly ever differ.
    """
    look = partial(gather, plan, snapshot, first_epoch=trial.first_epoch, started_us=trial.registered_us)
    now = later = look(as_of_us=now_us)
    if plan.truth is not None:
        later = look(as_of_us=now_us + plan.truth.expected_within_us + 1)
    gates = [gate for gate in plan.judged for _ in gate.tests]
    cells = [
        after if gate.kind in _DIFFERING else before
        for gate, before, after in zip(gates, now.cells, later.cells, strict=True)
    ]
    return cells, [now.sampled.get(test.cell, (0, 0)) for gate in plan.judged for test in gate.tests]


def _common(plan: Plan, theirs: Plan) -> tuple[Plan, list[str]]:
    """The plan as far as the pilot's log can be read by it, and what it cannot say."""
    notes: list[str] = []
    outputs = tuple(output for output in plan.outputs if output in theirs.outputs)
    segments = tuple(each for each in plan.segments if _alike(each, theirs.segments))
    notes += [
        f"The pilot does not have the segment {each.name} as it is declared here."
        for each in plan.segments
        if each not in segments
    ]
    units = (plan.unit.instances, plan.unit.cluster) == (theirs.unit.instances, theirs.unit.cluster)
    if not units:
        notes.append("What counts as a unit is not the same in the pilot; there each request was one.")
    names = {output.name for output in outputs}
    held = {OVERALL, *(each.name for each in segments)}
    gates, targets = (
        tuple(
            structs.replace(gate, tests=tuple(test for test in gate.tests if test.segment in held))
            for gate in every
            if not (lack := _lacking(gate, plan, theirs, names)) or _tell(notes, gate, lack)
        )
        for every in (plan.gates, plan.targets)
    )
    common = structs.replace(
        plan,
        outputs=outputs,
        segments=segments,
        gates=gates,
        targets=targets,
        fork=theirs.fork,
        unit=plan.unit if units else Unit(instances=theirs.unit.instances),
        duration=Duration(),
    )
    return common, notes


def _tell(notes: list[str], gate: Gate, lack: str) -> bool:
    """Note what is lacking; never true."""
    notes.append(f"The pilot says nothing about {gate.id}: {lack}.")
    return False


def _lacking(gate: Gate, plan: Plan, theirs: Plan, outputs: set[str]) -> str:
    """What the pilot's log does not have for a gate; empty: nothing."""
    needed = set(gate.outputs) | ({gate.output} if gate.output else set())
    missing = sorted(needed - outputs)
    if missing:
        return f"its log has no output {missing[0]} like this one"
    if gate.against_twin and not theirs.fork.twin:
        return "it had no twin"
    if gate.custom is not None and [each.custom for each in plan.customs] != [each.custom for each in theirs.customs]:
        return "its custom gates are others"
    if gate.needs_truth and theirs.truth is None:
        return "it had no truth"
    return ""


def _alike(segment: Any, others: tuple[Any, ...]) -> bool:  # noqa: ANN401  records.plan.Segment
    return any(
        (each.name, each.of, each.values, each.edges) == (segment.name, segment.of, segment.values, segment.edges)
        for each in others
    )


def _strata(plan: Plan, theirs: Plan, drawn: dict[str, int]) -> dict[str, float]:
    """The strata's shares of all coins, where both plans have the same strata."""
    mine, other = plan.fork.strata, theirs.fork.strata
    total = sum(drawn.values())
    if (
        mine is None
        or other is None
        or not total
        or mine.by != other.by
        or set(dict(mine.rates)) != set(dict(other.rates))
    ):
        return {}
    return {name: drawn.get(name, 0) / total for name in plan.fork.rates}


def _seen(gate: Gate, cell: Cell, sampled: int, flagged: int | None, log: "_Log") -> Seen:
    histogram = _observed(cell)
    units = sum(count for _, count in histogram)
    ratio = gate.kind == "latency" and gate.ratio is not None
    return Seen(
        units=units,
        sampled=max(units, sampled - cell.waiting),
        histogram=histogram,
        grid=cell.grid,
        flagged=units if gate.kind in {"recall", "precision"} else flagged,
        sigma=log.sigma((gate.quantile_ppm or PPM) / PPM) if ratio else None,
    )


def _observed(cell: Cell) -> Histogram:
    """D without the lost ones, which stand at its lower end: they say nothing about how often arms differ."""
    lost = cell.lost
    found = []
    for value, count in cell.low:
        gone = min(lost, count) if value < 0 else 0
        lost -= gone
        if count > gone:
            found.append((value, count - gone))
    return tuple(found)


class _Log:
    """The pilot's tables, as far as the traffic is concerned."""

    def __init__(self, plan: Plan, snapshot: "Snapshot", epoch: int) -> None:
        self._plan = plan
        self._connection = ibis.duckdb.connect()
        self._epoch = epoch
        self._ledger = self._table(snapshot, "ledger", tables.LEDGER)
        rows = self._table(snapshot, "comparisons", tables.comparisons(plan))
        rows = rows.filter((rows.epoch == epoch) & rows.state.isin(_COUNTED))
        self._rows = rows.filter(rows.instance == 0) if plan.unit.instances is not None else rows

    def _table(self, snapshot: "Snapshot", name: str, schema: Any) -> Expr:  # noqa: ANN401  a pyarrow schema
        files = snapshot.files(name)
        if files:
            return self._connection.read_parquet(files, table_name=name)
        return self._connection.create_table(name, schema=ibis.Schema.from_pyarrow(schema))

    def close(self) -> None:
        self._connection.disconnect()

    def days(self) -> float | None:
        """From the first request to the last; None: none, or one alone."""
        (row,) = _fetched(self._rows.agg(first=self._rows.time_us.min(), last=self._rows.time_us.max()))
        if row["first"] is None or row["last"] <= row["first"]:
            return None
        return float(row["last"] - row["first"]) / DURATIONS["d"]

    def drawn(self) -> dict[str, int]:
        """Coins that were tossed, by stratum."""
        found: dict[str, int] = {}
        for (_, stratum, state), count in counts.latest(self._ledger, epoch=self._epoch).items():
            if state == "drawn":
                found[stratum] = found.get(stratum, 0) + count
        return found

    def weight(self) -> float:
        """Requests that the rows stand for."""
        (row,) = _fetched(self._rows.agg(all=(ONE / self._rows.probability).sum()))
        return float(row["all"] or 0)

    def shares(self, segment: str) -> dict[str, float]:
        """By cell: the share of the requests, by the rows' weights."""
        rows = self._rows.select(value=self._rows[tables.segment_column(segment)], weight=ONE / self._rows.probability)
        found = {row["value"]: row["all"] for row in _fetched(rows.group_by("value").agg(all=rows.weight.sum()))}
        total = sum(found.values())
        return {f"{segment}={value}": each / total for value, each in self._every(segment, found)}

    def _every(self, segment: str, found: dict[str, float]) -> Iterator[tuple[str, float]]:
        from gnomon.plan import cells

        declared = next(each for each in self._plan.segments if each.name == segment)
        for _, value in cells.cells_of(declared):
            yield value, found.get(value, 0.0)

    def flagged(self, gate: Gate) -> int:
        """Pairs in which an arm said the named value."""
        name = next(each.name for each in self._plan.outputs if gate.output in {None, each.name})
        production, candidate, _ = tables.output_columns(name)
        said = (self._rows[production] == gate.label) | (self._rows[candidate] == gate.label)
        (row,) = _fetched(self._rows.agg(all=said.fill_null(ibis.literal(value=False)).cast("int64").sum()))
        return int(row["all"] or 0)

    def sigma(self, quantile: float) -> float | None:
        """Standard deviation of the logarithm of production's latency, from its median to a quantile."""
        latency = self._rows.production_latency_us
        (row,) = _fetched(self._rows.agg(middle=latency.quantile(0.5), high=latency.quantile(quantile)))
        if not row["middle"] or not row["high"] or row["high"] <= row["middle"]:
            return None
        return math.log(row["high"] / row["middle"]) / float(special.ndtri(quantile))


def _fetched(table: Expr) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
