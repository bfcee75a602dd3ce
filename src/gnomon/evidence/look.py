"""One look: pinned tables in, the evidence of every test out."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from msgspec import structs

from gnomon.evidence import cells, digests, groups, integrity, rows, tails, units
from gnomon.evidence.engine import Connect, Engine, duckdb
from gnomon.evidence.identities import exchanged
from gnomon.evidence.terms import Facts, Terms
from gnomon.log import tables
from gnomon.records.evidence import GRID, Cell, Evidence
from gnomon.records.facts import Reading
from gnomon.records.plan import OVERALL, Gate, Plan, Test
from gnomon.records.process import PROBE_EPOCH

if TYPE_CHECKING:
    from gnomon.log.read import Snapshot

Expr = Any
Digest = Literal["files", "rows"]
_REPEATS = 10
"""One repeated answer of a twin in so many is worth a sentence."""


def gather(
    plan: Plan,
    log: "Snapshot",
    *,
    first_epoch: int,
    as_of_us: int,
    started_us: int,
    identities: tuple[Reading, ...] = (),
    digest: Digest = "files",
    connect: Connect = duckdb,
) -> Evidence:
    """The evidence of `plan` in the pinned tables of `log`, as of one moment.

    Rows count when their epoch is `first_epoch` and their request time is before the watermark and before the deadline
    (`started_us` + duration.deadline). `identities`: what the models said they are, oldest first. The
    same arguments give the same record, whatever the order of rows and files, but for the digest of the files
    themselves. With `digest="rows"` it is the record that earlier programs gave: a verdict of theirs is verified by it.
    `connect` opens a new connection each time: any Ibis backend that reads Parquet gives the same.
    """
    with (
        closing(Engine(log, connect)) as engine,
        closing(engine.beside()) as beside,
        ThreadPoolExecutor(1) as thread,
    ):
        of_files = thread.submit(digests.of_files, log) if digest == "files" else None
        look = _Look(plan, engine, beside, first_epoch, as_of_us, started_us, earlier=of_files is None)
        return look.evidence(log, identities, of_files)


def catches_all(plan: Plan, segment: str, value: str) -> bool:
    """Whether the cell holds what no declared value names: `other`, `missing` or `below`. It may rightly stay empty."""
    return segment != OVERALL and all(value not in s.labels for s in plan.segments if s.name == segment)


@dataclass(slots=True)
class _Look:
    """The parts of one look."""

    plan: Plan
    engine: Engine
    beside: Engine
    """For what is asked while the other one counts."""
    epoch: int
    as_of_us: int
    started_us: int
    earlier: bool
    """As a program before this one counted."""
    watermark_us: int = 0
    end_us: int = 0

    def evidence(self, log: "Snapshot", identities: tuple[Reading, ...], of_files: Future[str] | None) -> Evidence:
        plan = self.plan
        ledger_table = self.beside.table("ledger", tables.LEDGER)
        deadline_us = plan.duration.deadline_us
        deadline_us = None if deadline_us is None else self.started_us + deadline_us
        flushed = integrity.flushed(ledger_table)
        self.watermark_us = flushed.watermark_us
        self.end_us = self.watermark_us if deadline_us is None else min(self.watermark_us, deadline_us)
        comparisons = self.engine.table("comparisons", tables.comparisons(plan))
        mine = comparisons.filter(comparisons.epoch == self.epoch)
        read = mine.filter(mine.time_us < self.end_us)
        truths = self.engine.table("truths", tables.TRUTHS)
        truths_read, repeated, contradicting = integrity.repeated_truths(truths)
        counting = self._counting(read, rows.one_truth(plan, truths) if repeated else truths)
        ledger = integrity.read_ledger(
            ledger_table, flushed, epoch=self.epoch, deadline_us=None if self.earlier else deadline_us
        )
        summary = integrity.summary(
            plan,
            self.beside.table("comparisons", tables.comparisons(plan)),
            watermark_us=self.watermark_us,
            end_us=self.end_us,
        )
        own = [row for row in summary if row["epoch"] == self.epoch]
        counted = counting()
        shares, found = self._cells(read, counted, ledger)
        doubled = integrity.doubled(plan, read) if counted.doubtful else 0
        anomalies = [
            *ledger.anomalies,
            *integrity.row_anomalies(own, ledger, rates=plan.fork.rates),
            *integrity.mixed_clusters(plan, mine),
            *([f"{doubled} rows of `comparisons` repeat an exchange that is already there"] if doubled else []),
        ]
        changes, unread = exchanged(plan, identities, as_of_us=self.as_of_us)
        said, wrong = _contradicting(plan, contradicting)
        twins = _sums(own, "twin", "repeats")
        rows_read = _sums(own, "read")[0] if plan.unit.instances is None else integrity.count(read)
        return Evidence(
            trial=plan.trial,
            as_of_us=self.as_of_us,
            watermark_us=self.watermark_us,
            versions=dict(log.versions),
            rows={"comparisons": rows_read, "ledger": flushed.rows, "truths": truths_read},
            digest=integrity.row_digest(read) if of_files is None else of_files.result(),
            cells=found,
            lost_share_ppm={name: lost * 1_000_000 // of if of else 0 for name, (lost, of) in shares.items()},
            sampled=shares,
            unplaced=(ledger.unattributed, ledger.unattributed + _rows_sampled(own)),
            ledger=ledger.sums,
            anomalies=(*anomalies, *wrong, *changes),
            notes=(*said, *_repeating(*twins), *unread),
            probes=sum(row["all"] for row in summary if (row["epoch"], row["state"]) == (PROBE_EPOCH, "paired")),
            lagging=_sums(own, "lagging", "timed"),
            twins=twins,
            closed_cycles=self._closed_cycles(found),
        )

    def _cells(
        self, read: Expr, counted: groups.Counted, ledger: integrity.Ledger
    ) -> tuple[dict[str, tuple[int, int]], tuple[Cell, ...]]:
        """Lost and sampled by cell name, and each test's cell, in the plan's order."""
        plan = self.plan
        for index, gate in enumerate(plan.judged):
            if gate.kind == "latency" and gate.ratio is not None:
                self._add_tails(read, index, gate, counted)
        shares: dict[str, tuple[int, int]] = {}
        found = []
        for index, gate in enumerate(plan.judged):
            for test in gate.tests:
                lost, rows_seen = counted.sampled[test.segment].get(test.value, (0, 0))
                everywhere = ledger.unattributed if test.segment == OVERALL else 0
                shares[test.cell] = (lost + everywhere, rows_seen + everywhere)
                # A lost exchange without a row may have been of any cell; where no request ever fell, of none.
                empty = not rows_seen and catches_all(plan, test.segment, test.value)
                tally = counted.tallies[index, test.segment].get(test.value, cells.Tally(self.end_us))
                unknown = 0 if empty else ledger.unattributed
                cell = _cell(gate, test, tally, rows_seen, plan.fork.rates, unknown=unknown)
                cell = structs.replace(cell, left_out=counted.left_out.get(test.segment, {}).get(test.value, 0))
                found.append(structs.replace(cell, truths=0) if self.earlier else cell)
        return shares, tuple(found)

    def _counting(self, read: Expr, one: Expr) -> Callable[[], groups.Counted]:
        """Begins to count, with one truth for each key and output; what is returned waits for the counts."""
        plan, times = self.plan, {"started_us": self.started_us, "end_us": self.end_us}
        table = read if plan.unit.alone else rows.with_unit(plan, read.filter(read.state.isin(rows.COUNTED)))
        table = rows.with_truth(plan, table, one, rows.truthful_outputs(plan))
        facts = Facts(table, as_of_us=self.as_of_us)
        if plan.unit.alone:
            return groups.counting(plan, self.engine, table, facts, **times)
        terms = rows.all_terms(plan, facts)
        kept = self.engine.keeping(rows.judged(plan, table, facts, terms))
        return lambda: self._by_unit(kept(), terms)

    def _by_unit(self, kept: Expr, terms: Sequence[Terms]) -> groups.Counted:
        plan, times = self.plan, {"started_us": self.started_us, "end_us": self.end_us}
        segments = dict.fromkeys(test.segment for gate in plan.judged for test in gate.tests)
        return groups.Counted(
            {segment: units.sampled(kept, segment) for segment in segments},
            {
                (index, segment): units.tallies(plan, kept, index, segment, terms[index], **times)
                for index, gate in enumerate(plan.judged)
                for segment in dict.fromkeys(test.segment for test in gate.tests)
            },
            left_out={segment: units.left_out(kept, segment) for segment in segments} if plan.unit.cluster else {},
        )

    def _add_tails(self, read: Expr, index: int, gate: Gate, counted: groups.Counted) -> None:
        table = read.filter(read.state.isin(rows.COUNTED))
        if not self.plan.unit.alone:
            table = rows.with_unit(self.plan, table)
        found = tails.tails(self.plan, self.engine, table, gate, started_us=self.started_us, end_us=self.end_us)
        for (segment, value), (every, closed) in found.items():
            tally = counted.tallies[index, segment].setdefault(value, cells.Tally(self.end_us))
            tally.tail, tally.closed_tail = every, closed

    def _closed_cycles(self, found: Sequence[Cell]) -> int:
        """Whole cycles before the frontier of every cell that saw a request."""
        cycle_us = self.plan.duration.cycle_us
        frontiers = [cell.frontier_us for cell in found if cell.seen]
        return max(0, min(frontiers) - self.started_us) // cycle_us if cycle_us and frontiers else 0


def _sums(counted: Sequence[Mapping[str, Any]], *names: str) -> Any:  # noqa: ANN401  as many integers as names
    return tuple(sum(int(row[name]) for row in counted) for name in names)


def _rows_sampled(counted: Sequence[Mapping[str, Any]]) -> int:
    """Exchanges that are evidence: pairs, and lost ones that left a row."""
    return int(_sums([row for row in counted if row["state"] in rows.COUNTED], "read")[0])


def _contradicting(plan: Plan, keys: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(notes, anomalies) by the plan's policy."""
    if not keys:
        return (), ()
    sentence = f"{keys} {'exchange has' if keys == 1 else 'exchanges have'} contradicting truths"
    policy = plan.truth.policy if plan.truth is not None else "first"
    if policy == "error":
        return (), (f"{sentence}, which the plan does not allow",)
    return (f"{sentence}; the {policy} one imported counts",), ()


def _repeating(twins: int, repeats: int) -> tuple[str, ...]:
    """A note where many second answers look like a cache's."""
    if repeats * _REPEATS <= twins:
        return ()
    said = f"{repeats} of {twins} second answers of production look like a cache's: they count for nothing"
    return (f"{said}, and the noise floor is that of the others",)


def _cell(
    gate: Gate, test: Test, tally: cells.Tally, rows_seen: int, rates: Mapping[str, int], *, unknown: int
) -> Cell:
    """The counts of a test, with the lost exchanges whose cell is unknown at their worst and at their best.

    Their stratum is taken as the one with the lowest rate, where a unit weighs most.
    """
    grid = GRID * gate.steps
    if unknown:
        drawn = tally.at(min(rates.values()))
        if gate.kind == "latency" and gate.ratio is not None:
            drawn.low[0] += unknown
            drawn.high[0] += unknown
        else:
            drawn.low[gate.bottom(grid)] += unknown
            drawn.high[gate.top * grid] += unknown
        if gate.kind == "precision":
            drawn.reference_low[0] += unknown
            drawn.reference_high[-grid] += unknown
    whole = tally.whole()
    every, closed = tally.tail, tally.closed_tail
    if every is not None and closed is not None and unknown:
        every, closed = (
            structs.replace(tail, pairs=tail.pairs + unknown, lost=tail.lost + unknown) for tail in (every, closed)
        )
    return Cell(
        gate=test.gate,
        segment=test.segment,
        value=test.value,
        low=cells.histogram(whole.low),
        high=cells.histogram(whole.high),
        exchanges=whole.sums["exchanges"] + unknown,
        lost=whole.sums["lost"] + unknown,
        imputed=whole.sums["imputed"],
        waiting=tally.waiting,
        seen=rows_seen + unknown,
        frontier_us=tally.frontier_us,
        known=whole.sums["known"],
        production_good=whole.sums["production"],
        candidate_good=whole.sums["candidate"],
        by_rate=tally.by_rate() if len(set(rates.values())) > 1 else (),
        grid=grid,
        reference_low=cells.histogram(whole.reference_low),
        reference_high=cells.histogram(whole.reference_high),
        tail=every,
        closed_tail=closed,
        truths=whole.sums["truths"],
    )
