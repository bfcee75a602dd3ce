"""The tails of both arms' latencies: edges, counts and quantiles, against plain loops, and by hand."""

import random
import tempfile
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.evidence.tails import INFINITE, edge
from gnomon.records.evidence import Tail
from gnomon.records.plan import OVERALL, Duration, Gate, Plan
from gnomon.stats.quantiles import latency_edge
from tests.evidence.trial_log import SECOND, TrialLog, a_gate, a_log, a_plan, an_exchange, fails

WHERE = ((OVERALL, ""), ("source", "tweets"), ("source", "news"))


def a_ratio(num: int, den: int, *, quantile_ppm: int = 990_000, where: Any = ((OVERALL, ""),)) -> Gate:
    gate = a_gate("latency", "at_most", where=where)
    return structs.replace(gate, ratio=(num, den), quantile_ppm=quantile_ppm)


def timed(number: int, a: int | None, b: int | None, **changes: Any) -> dict[str, Any]:
    """Latencies of both arms; None: that arm failed."""
    row = an_exchange(number, production_latency_us=a, candidate_latency_us=b, **changes)
    for arm, latency in (("production", a), ("candidate", b)):
        row |= {name: value for name, value in fails(number, arm).items() if latency is None and arm in name}
    return row


def test_edges_are_those_of_the_statistics() -> None:
    numbers = [*range(1, 3_000), *(2**bits + plus for bits in range(9, 43) for plus in (-1, 0, 1, 77)), INFINITE, -1]
    table = ibis.memtable(pa.table({"us": pa.array(numbers, pa.int64())}))
    found = table.select(us=table.us, edge=edge(table.us)).to_pyarrow().to_pylist()
    for row in found:
        expected = row["us"] if row["us"] in {INFINITE, -1} else latency_edge(row["us"])
        assert row["edge"] == expected, row


def test_a_tail_by_hand(tmp_path: Path) -> None:
    """The candidate against twice production's: over 100 from 201 on. A failure is infinite, a late call is no pair."""
    rows = [
        timed(1, 100, 200),
        timed(2, 100, 201),
        timed(3, 300, 900),
        timed(4, 300, None),
        timed(5, None, 100),
        timed(6, None, None),
        timed(7, 400, 100),
        timed(8, 5, 5, late=True),
        an_exchange(9, state="expired"),
        timed(10, 5, None, late=True),  # it may have hung: unknown, like a lost one
    ]
    cell = a_log(tmp_path, a_plan(a_ratio(2, 1, quantile_ppm=500_000)), rows).gather().cells[0]
    assert cell.tail == Tail(
        pairs=9,
        lost=2,
        edges=(0, 100, 300, 400),
        production=(7, 7, 5, 3),
        candidate=(7, 4, 3, 3),
        both=(7, 3, 1, 1),
        cross=(4, 3, 3, 1),
        production_us=300,
        candidate_us=201,
    )
    assert cell.closed_tail == cell.tail
    assert (cell.low, cell.high, cell.units) == (((0, 9),), ((0, 9),), 9)
    assert (cell.lost, cell.imputed) == (1, 1)


def test_only_closed_cycles_promote(tmp_path: Path) -> None:
    plan = a_plan(a_ratio(6, 5), duration=Duration(cycle_us=10 * SECOND))
    cell = a_log(tmp_path, plan, [timed(n, 100, 100) for n in range(1, 26)], watermark=26).gather().cells[0]
    assert cell.tail is not None
    assert cell.closed_tail is not None
    assert (cell.tail.pairs, cell.closed_tail.pairs) == (25, 19)
    assert cell.units == 19


def test_lost_exchanges_without_a_row_are_lost_pairs(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(a_ratio(6, 5)), [timed(1, 100, 100)])
    log.flush(watermark=2, instance="gateway-0", unaccounted=3)
    cell = log.gather().cells[0]
    assert cell.tail is not None
    assert (cell.tail.pairs, cell.tail.lost, cell.units) == (4, 3, 4)


def test_no_data_is_an_empty_tail(tmp_path: Path) -> None:
    cell = TrialLog(tmp_path, a_plan(a_ratio(6, 5))).gather().cells[0]
    assert cell.tail == Tail(pairs=0, lost=0, edges=(), production=(), candidate=(), both=(), cross=())


def literal(rows: list[dict[str, Any]], edges: tuple[int, ...], num: int, den: int, quantile_ppm: int) -> Tail:
    """The same counts by plain loops."""
    endless = float("inf")
    mine = [row for row in rows if not row["late"] or row["candidate_outcome"] != "ok"]
    pairs = [
        tuple(
            row[f"{arm}_latency_us"] if row[f"{arm}_outcome"] == "ok" else endless
            for arm in ("production", "candidate")
        )
        for row in mine
        if row["state"] == "paired" and not row["late"]
    ]

    def over(b: float, x: float) -> bool:
        return b == endless if x == endless else b * den > num * x

    nexts = [*edges[1:], endless][: len(edges)]
    rank = -(-len(pairs) * quantile_ppm // 1_000_000)

    def quantile(place: int) -> int | None:
        found = sorted(pair[place] for pair in pairs)[rank - 1]
        return None if found == endless else int(found)

    return Tail(
        pairs=len(mine),
        lost=len(mine) - len(pairs),
        edges=edges,
        production=tuple(sum(a >= x for a, _ in pairs) for x in edges),
        candidate=tuple(sum(over(b, x) for _, b in pairs) for x in edges),
        both=tuple(sum(a >= y and over(b, x) for a, b in pairs) for x, y in zip(edges, nexts, strict=True)),
        cross=tuple(sum(a >= x and over(b, y) for a, b in pairs) for x, y in zip(edges, nexts, strict=True)),
        production_us=quantile(0) if pairs else None,
        candidate_us=quantile(1) if pairs else None,
    )


@given(seed=st.integers(0, 10**6), ratio=st.sampled_from([(6, 5), (1, 1), (101, 100), (3, 1)]))
@settings(max_examples=4, deadline=None)
def test_tails_are_those_of_plain_loops_in_any_files(seed: int, ratio: tuple[int, int]) -> None:
    rng = random.Random(seed)
    count = rng.choice([5, 60, 300])

    def latency(slow: float) -> int | None:
        return None if rng.random() < 0.02 else int(rng.lognormvariate(9 + slow, 1.0))

    rows = []
    for number in range(1, count + 1):
        source = rng.choice(["tweets", "news"])
        row = timed(number, latency(0), latency(0.3), late=rng.random() < 0.1, segment_source=source)
        rows.append(an_exchange(number, state="expired", segment_source=source) if rng.random() < 0.02 else row)
    plan: Plan = a_plan(a_ratio(*ratio, quantile_ppm=950_000, where=WHERE))
    with tempfile.TemporaryDirectory() as folder:
        log = TrialLog(Path(folder), plan)
        rng.shuffle(rows)
        for part in range(3):
            log.append("comparisons", rows[part::3])
        log.flush(watermark=count + 1, paired=0)
        cells = log.gather().cells
    for cell, (segment, value) in zip(cells, WHERE, strict=True):
        mine = [row for row in rows if segment == OVERALL or row["segment_source"] == value]
        assert cell.tail is not None
        assert cell.tail == literal(mine, cell.tail.edges, *ratio, 950_000)
        wanted = 4 * -(-len([row for row in mine if row["state"] == "paired" and not row["late"]]) // 20) + 32
        if cell.tail.edges:
            assert cell.tail.edges[0] == 0 or cell.tail.production[0] >= wanted
            assert cell.tail.edges[-1] == latency_edge(
                max((each for each in _observed(mine) if each is not None), default=0)
            )


def _observed(rows: list[dict[str, Any]]) -> list[int | None]:
    return [
        row["production_latency_us"]
        for row in rows
        if row["state"] == "paired" and not row["late"] and row["production_outcome"] == "ok"
    ]


@pytest.mark.parametrize(("size", "reach"), [(100, 36), (3_000, 152)])
def test_only_the_slow_end_is_kept(tmp_path: Path, size: int, reach: int) -> None:
    """Four times what is over the quantile, and 32 more: all, where there are not so many."""
    rows = [timed(number, 1_000 + 7 * number, 1_000) for number in range(1, size + 1)]
    cell = a_log(tmp_path, a_plan(a_ratio(6, 5)), rows).gather().cells[0]
    assert cell.tail is not None
    assert reach <= cell.tail.production[0] < reach + 20
    assert cell.tail.production[1] < reach
    assert cell.tail.production_us == 1_000 + 7 * (-(-99 * size // 100))
