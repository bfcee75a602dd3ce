"""One look: pinned tables in, the evidence of every test out."""

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from gnomon.evidence import cells, integrity, rows
from gnomon.evidence.differences import top
from gnomon.evidence.identities import exchanged
from gnomon.log import tables
from gnomon.records.evidence import GRID, Cell, Evidence
from gnomon.records.facts import Reading
from gnomon.records.plan import OVERALL, Plan, Test

if TYPE_CHECKING:
    from gnomon.log.read import Snapshot

Expr = Any


def gather(
    plan: Plan,
    log: "Snapshot",
    *,
    first_epoch: int,
    as_of_us: int,
    started_us: int,
    identities: tuple[Reading, ...] = (),
) -> Evidence:
    """The evidence of `plan` in the pinned tables of `log`, as of one moment.

    Rows count when their epoch is `first_epoch` and their request time is before the watermark and before the deadline
    (`started_us` + duration.deadline). `identities`: what the models said they are, oldest first. The
    same arguments give the same record, whatever the order of rows and files.
    """
    with closing(_Engine()) as engine:
        ledger = integrity.read_ledger(engine.table(log, "ledger", tables.LEDGER), epoch=first_epoch)
        comparisons = engine.table(log, "comparisons", tables.comparisons(plan))
        truths = engine.table(log, "truths", tables.TRUTHS)
        mine = comparisons.filter(comparisons.epoch == first_epoch)
        end_us = _end(plan, ledger.watermark_us, started_us)
        read = mine.filter(mine.time_us < end_us)
        digest, count, doubled = integrity.digest(read)
        anomalies = [*ledger.anomalies, *integrity.row_anomalies(mine, ledger, rates=plan.fork.rates)]
        if doubled:
            anomalies.append(f"{doubled} rows of `comparisons` repeat an exchange that is already there")
        kept = read.filter(read.state.isin(rows.COUNTED))
        table = engine.keep(
            rows.judged(plan, rows.with_unit(plan, rows.with_truth(plan, kept, truths)), as_of_us=as_of_us)
        )
        shares, found = _cells(plan, table, ledger, started_us=started_us, end_us=end_us)
        changes, unread = exchanged(plan, identities, as_of_us=as_of_us)
        contradicting = integrity.contradictions(truths)
        return Evidence(
            trial=plan.trial,
            as_of_us=as_of_us,
            watermark_us=ledger.watermark_us,
            versions=dict(log.versions),
            rows={"comparisons": count, "ledger": ledger.rows, "truths": truths.count().to_pyarrow().as_py()},
            digest=digest,
            cells=found,
            lost_share_ppm={name: lost * 1_000_000 // of if of else 0 for name, (lost, of) in shares.items()},
            sampled=shares,
            ledger=ledger.sums,
            anomalies=(*anomalies, *changes),
            notes=(*((_contradicting(contradicting),) if contradicting else ()), *unread),
        )


def catches_all(plan: Plan, segment: str, value: str) -> bool:
    """Whether the cell holds what no declared value names: `other`, `missing` or `below`. It may rightly stay empty."""
    return segment != OVERALL and all(value not in s.labels for s in plan.segments if s.name == segment)


class _Engine:
    """DuckDB behind Ibis. Tables of a look are read in place, and one narrow intermediate is kept."""

    def __init__(self) -> None:
        self._connection = ibis.duckdb.connect()

    def table(self, log: "Snapshot", name: str, schema: pa.Schema) -> Expr:
        """The pinned files of a table, or an empty one of that schema."""
        files = log.files(name)
        if files:
            return self._connection.read_parquet(files, table_name=name)
        return self._connection.create_table(name, schema=ibis.Schema.from_pyarrow(schema))

    def keep(self, table: Expr) -> Expr:
        """The same rows, computed once."""
        return self._connection.create_table("judged", table, temp=True)

    def close(self) -> None:
        self._connection.disconnect()


def _end(plan: Plan, watermark_us: int, started_us: int) -> int:
    """Request time before which rows are read."""
    deadline_us = plan.duration.deadline_us
    return watermark_us if deadline_us is None else min(watermark_us, started_us + deadline_us)


def _contradicting(keys: int) -> str:
    noun = "exchange has" if keys == 1 else "exchanges have"
    return f"{keys} {noun} contradicting truths; the first one imported counts"


def _cells(
    plan: Plan, table: Expr, ledger: integrity.Ledger, *, started_us: int, end_us: int
) -> tuple[dict[str, tuple[int, int]], tuple[Cell, ...]]:
    """Lost and sampled by cell name, and the cell of each test, in the plan's order."""
    sampled = {segment: cells.sampled(table, segment) for segment in dict.fromkeys(test.segment for test in plan.tests)}
    shares: dict[str, tuple[int, int]] = {}
    found = []
    for index, gate in enumerate(plan.gates):
        tallies = {
            segment: cells.tallies(plan, table, index, segment, started_us=started_us, end_us=end_us)
            for segment in dict.fromkeys(test.segment for test in gate.tests)
        }
        for test in gate.tests:
            lost, rows_seen = sampled[test.segment].get(test.value, (0, 0))
            everywhere = ledger.unattributed if test.segment == OVERALL else 0
            shares[test.cell] = (lost + everywhere, rows_seen + everywhere)
            # A lost exchange without a row may have been of any cell; where no request ever fell, of none.
            empty = not rows_seen and catches_all(plan, test.segment, test.value)
            tally = tallies[test.segment].get(test.value, cells.Tally(end_us))
            unknown = 0 if empty else ledger.unattributed
            found.append(_cell(test, tally, rows_seen, plan.fork.rates, unknown=unknown, best=top(gate)))
    return shares, tuple(found)


def _cell(test: Test, tally: cells.Tally, rows_seen: int, rates: Mapping[str, int], *, unknown: int, best: int) -> Cell:
    """The counts of a test, with the lost exchanges whose cell is unknown at their worst and at their best.

    Their stratum is taken as the one with the lowest rate, where a unit weighs most.
    """
    if unknown:
        drawn = tally.at(min(rates.values()))
        drawn.low[-GRID] += unknown
        drawn.high[best * GRID] += unknown
    whole = tally.whole()
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
    )
