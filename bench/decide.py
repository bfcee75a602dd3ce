"""A look on ten million pairs: its time and its memory, beside the obvious way with pandas and statsmodels.

    python bench/decide.py [--pairs 10000000] [--folder kept] [--skip-pandas]

The log is written once, through the product's own schema and writer, as a runner and its merges leave one: a few large
files, some of 16 MiB and many small ones. Four segments of five cells each, five gates of four kinds, of which one
needs truth, which comes late. Each look is a process of its own; its time is that of pinning, evidence and verdict,
its memory the process's peak, imports included. Two threads and a third for small questions, whatever the machine has.
A second kind of look holds the tail of the candidate's latencies against production's, in place of a limit.

The obvious way reads the rows into pandas, joins the truths, groups and calls a test of statsmodels for each gate in
each cell. Both say what they counted, so that it is the same.

`counts`: the verdict alone, of 200 segments and 4 gates. `bodies`: the same look on a smaller log, before and after
its `exchanges` are filled with bodies: memory and bytes read.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import meter
import numpy as np
import pyarrow as pa

from gnomon.log import read, tables
from gnomon.log.append import append
from gnomon.records.evidence import Cell, Evidence
from gnomon.records.plan import OVERALL, Arm, Duration, Fork, Gate, Output, Plan, Segment, Selector, Test, Truth, Unit

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "decide.json"
SECONDS, MIB, MILLISECONDS, TIMES = 3.0, 1024, 50.0, 20
"""What is promised."""

START_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
DAYS = 30
ALWAYS = 1 << 32
SEGMENTS = ("country", "amount", "channel", "age")
VALUES = ("a", "b", "c", "other", "missing")
LATE_US = 2 * DAY_US
"""Truth of the last two days has not come yet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the log is, or is to be left; else it is made and removed")
    parser.add_argument("--skip-pandas", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=["look", "ratio", "pandas", "counts"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kinds = {"look": look, "ratio": partial(look, ratio=True), "pandas": obvious, "counts": counts}
        print(json.dumps(kinds[given.child](given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "comparisons").exists():
            say(f"writing {given.pairs:,} pairs")
            write(folder, given.pairs)
        found = measured(folder, rounds=given.rounds, pandas=not given.skip_pandas)
        found["bodies"] = bodies(Path(temporary) / "bodies")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def measured(folder: Path, *, rounds: int, pandas: bool) -> dict[str, Any]:
    looks = []
    for number in range(rounds):
        looks.append(child("look", folder))
        say(f"look {number + 1}: {looks[-1]['seconds']:.2f} s, {looks[-1]['mib']:.0f} MiB")
    best = min(looks, key=lambda row: row["seconds"])
    found: dict[str, Any] = {"look": best, "looks": [row["seconds"] for row in looks]}
    found["look"]["mib"] = max(row["mib"] for row in looks)
    found["ratio"] = child("ratio", folder)
    say(f"with a ratio of latencies: {found['ratio']['seconds']:.2f} s, {found['ratio']['mib']:.0f} MiB")
    found["counts"] = child("counts", folder)
    say(f"counts: {found['counts']['milliseconds']:.1f} ms")
    if pandas:
        found["pandas"] = child("pandas", folder)
        say(f"pandas and statsmodels: {found['pandas']['seconds']:.1f} s, {found['pandas']['mib']:.0f} MiB")
        found["times"] = found["pandas"]["seconds"] / best["seconds"]
        assert found["pandas"]["counted"] == best["counted"], (found["pandas"]["counted"], best["counted"])
    return found


def child(what: str, folder: Path) -> Any:
    program = [sys.executable, str(Path(__file__)), "--child", what, "--folder", str(folder)]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# the plan and its log ----------------------------------------------------------------------------------------------


def a_plan(*, ratio: bool = False) -> Plan:
    """Five gates; latency overall, the others in every cell too."""
    slow: dict[str, Any] = {"ratio": (6, 5)} if ratio else {"limit_us": 60_000}
    everywhere = [(OVERALL, ""), *((name, value) for name in SEGMENTS for value in VALUES)]

    def gate(gate_id: str, kind: Any, form: Any, where: list[tuple[str, str]], margin_ppm: int, **fields: Any) -> Gate:
        tests = tuple(
            Test(
                gate=gate_id,
                segment=segment,
                value=value,
                margin_ppm=margin_ppm,
                disagreement_ppm=40_000,
                difference_ppm=0,
                min_units=300,
            )
            for segment, value in where
        )
        known: dict[str, Any] = {"output": None, "quantile_ppm": None, "limit_us": None, "sentence": gate_id}
        return Gate(id=gate_id, kind=kind, form=form, tests=tests, **known | fields)

    return Plan(
        trial="bench",
        question="How long does a look take?",
        production=Arm(version="1", url="http://127.0.0.1:1"),
        candidate=Arm(version="2", url="http://127.0.0.1:2"),
        protocol="json",
        routes=(),
        fork=Fork(mode="sync", shadow_rate=ALWAYS, expires_after_us=1, in_flight=1, per_second=None),
        segments=tuple(
            Segment(name=name, of=Selector(where="body", name=f"/{name}"), values=VALUES[:3]) for name in SEGMENTS
        ),
        outputs=(Output(name="label", of=Selector(where="body", name="/label"), compare="exact"),),
        truth=Truth(key=None, expected_within_us=LATE_US),
        unit=Unit(independent=True),
        gates=(
            gate("accuracy", "accuracy", "no_worse_than", everywhere, 10_000, output="label"),
            gate("error_rate", "error_rate", "no_worse_than", everywhere, 5_000),
            gate("latency", "latency", "at_most", [(OVERALL, "")], 10_000, quantile_ppm=990_000, **slow),
            gate("share_above", "share", "not_above", everywhere, 5_000, output="label", label='"fraud"'),
            gate("share_below", "share", "not_below", everywhere, 5_000, output="label", label='"fraud"'),
        ),
        duration=Duration(cycle_us=DAY_US),
        lost_ppm=10_000,
        alpha_ppm=50_000,
    )


def write(folder: Path, pairs: int) -> None:
    """The log, in files as upkeep leaves them: of a few million rows, of 400,000, and of single flushes."""
    plan, chance = a_plan(), np.random.default_rng(20_260_101)
    sizes: list[int] = []
    left = pairs
    for size, most in ((3_000_000, 10), (400_000, 2), (20_000, 40)):
        while left >= size and sizes.count(size) < most and (size > 20_000 or left > 0):
            sizes.append(size)
            left -= size
    sizes += [left] if left else []
    begun, truths = 0, []
    for number, size in enumerate(sizes):
        rows, told = exchanges(chance, begun, size, pairs)
        append(str(folder), "comparisons", rows.cast(tables.comparisons(plan)), application="bench", number=number)
        truths.append(told)
        begun += size
    append(str(folder), "truths", pa.concat_tables(truths), application="truths", number=0)
    paired = read.column(str(folder), "comparisons", ["state"])
    assert paired is not None
    lost = pairs - int(np.sum(paired["state"].to_numpy() == "paired"))
    counted = {"received": pairs, "paired": pairs - lost, "expired": lost, "open": 0}
    end_us = START_US + DAYS * DAY_US
    flushed = {"time_us": end_us, "instance": "runner-1", "epoch": 1, "stratum": "all", "watermark_us": end_us}
    ledger = [flushed | {"state": state, "count": count} for state, count in counted.items()]
    append(str(folder), "ledger", pa.Table.from_pylist(ledger, schema=tables.LEDGER), application="bench", number=0)


def exchanges(chance: np.random.Generator, begun: int, size: int, pairs: int) -> tuple[pa.Table, pa.Table]:
    """Rows in about the order of their times, and truths of what differs, where they have come."""
    step = DAYS * DAY_US / pairs
    times = (START_US + (begun + np.arange(size)) * step).astype(np.int64)
    order = np.argsort(times + chance.integers(0, 5_000_000, size))  # answers come in another order than requests
    times = times[order]
    ids = uuids(chance, times // 1000)
    production = chance.choice(np.array(['"fine"', '"fraud"', '"unsure"']), size, p=[0.9, 0.08, 0.02])
    other = chance.choice(np.array(['"fine"', '"fraud"', '"unsure"']), size)
    candidate = np.where(chance.random(size) < 0.06, other, production)
    a_failed, b_failed, lost = (chance.random(size) < share for share in (0.002, 0.002, 0.001))
    b_failed &= ~lost
    a_us = np.exp(chance.normal(9.9, 0.5, size)).astype(np.int64)
    b_us = (a_us * np.exp(chance.normal(0, 0.2, size))).astype(np.int64)
    no_a, no_b = a_failed, b_failed | lost
    rows = {
        "id": ids,
        "time_us": times,
        "epoch": np.ones(size, np.int32),
        "stratum": pa.array(["all"]).take(pa.array(np.zeros(size, np.int32))),
        "probability": np.full(size, ALWAYS),
        "state": np.where(lost, "expired", "paired"),
        "late": np.zeros(size, bool),
        "cluster": pa.nulls(size, pa.string()),
        "truth_key": pa.nulls(size, pa.string()),
        "production_outcome": np.where(a_failed, "5xx", "ok"),
        "candidate_outcome": pa.array(np.where(b_failed, "timeout", "ok"), mask=lost),
        "production_latency_us": pa.array(a_us, mask=no_a),
        "candidate_latency_us": pa.array(b_us, mask=no_b),
        "start_lag_us": pa.array(chance.integers(0, 3_000, size), mask=lost),
        **{
            f"segment_{name}": chance.choice(np.array(VALUES), size, p=[0.5, 0.2, 0.2, 0.08, 0.02]) for name in SEGMENTS
        },
        "output_label_production": pa.array(production, mask=no_a),
        "output_label_candidate": pa.array(candidate, mask=no_b),
        "output_label_agree": pa.array(production == candidate, mask=no_a | no_b),
    }
    differs = (production != candidate) & ~lost & (times < START_US + DAYS * DAY_US - LATE_US)
    told = np.where(chance.random(size) < 0.5, production, candidate)[differs]
    truths = {
        "key": np.asarray(ids)[differs] if not isinstance(ids, pa.Array) else ids.filter(pa.array(differs)),
        "output": ["label"] * len(told),
        "value": told,
        "number": pa.nulls(len(told), pa.float64()),
        "imported_us": np.full(len(told), START_US + DAYS * DAY_US),
        "source": ["outcomes.csv"] * len(told),
    }
    return pa.table(rows), pa.table(truths).cast(tables.TRUTHS)


def uuids(chance: np.random.Generator, milliseconds: Any) -> pa.Array:
    """UUIDv7 as 32 hex digits."""
    raw = np.empty((len(milliseconds), 16), np.uint8)
    for place in range(6):
        raw[:, place] = (milliseconds >> (8 * (5 - place))) & 0xFF
    raw[:, 6:] = chance.integers(0, 256, (len(milliseconds), 10), dtype=np.uint8)
    raw[:, 6] = 0x70 | (raw[:, 6] & 0x0F)
    raw[:, 8] = 0x80 | (raw[:, 8] & 0x3F)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(raw), 32), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[raw >> 4], digits[raw & 15]
    return pa.array(text.reshape(-1).view("S32")).cast(pa.string())


# what is measured, each in a process of its own --------------------------------------------------------------------


def look(folder: Path, *, ratio: bool = False) -> dict[str, Any]:
    """Pin, gather, decide."""
    import ibis

    from gnomon.decide import decide  # imported before the clock starts, as in a process that lives
    from gnomon.evidence import gather

    warm = ibis.duckdb.connect()  # Ibis imports its converters, pandas among them, with the first result
    warm.create_table("warm", schema={"n": "int64"}).to_pyarrow()
    warm.disconnect()
    plan, now_us = a_plan(ratio=ratio), START_US + DAYS * DAY_US
    before, spent = bytes_read(), time.process_time()
    begun = time.perf_counter()
    evidence = gather(plan, read.snapshot(str(folder)), first_epoch=1, as_of_us=now_us, started_us=START_US)
    gathered = time.perf_counter()
    verdict = decide_all(decide, plan, evidence)
    done, cpu = time.perf_counter(), time.process_time() - spent
    assert not evidence.anomalies, evidence.anomalies
    return {
        "seconds": done - begun,
        "evidence_seconds": gathered - begun,
        "cpu_seconds": cpu,
        "verdict": verdict,
        "mib": meter.memory_mib(os.getpid(), "VmHWM"),
        "read_mib": (bytes_read() - before) / 2**20,
        "rows": evidence.rows["comparisons"],
        "cells": len(evidence.cells),
        "counted": counted(evidence),
    }


def decide_all(decide: Any, plan: Plan, evidence: Evidence) -> str:
    return str(decide(plan, evidence, trial="bench.1", plan_digest="0" * 64, started_us=START_US, program="x").verdict)


def bytes_read() -> int:
    """By this process, from files and pipes, cached or not."""
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))[7:])


def counted(evidence: Evidence) -> dict[str, list[int]]:
    """By cell: where the candidate is better and where it is worse, of all that is settled, as pairs say it."""
    return {
        f"{cell.gate} {cell.segment}={cell.value}": [known(cell, lambda d: d > 0), known(cell, lambda d: d < 0)]
        for cell in evidence.cells
        if cell.gate == "error_rate"
    }


def known(cell: Cell, wanted: Callable[[int], bool]) -> int:
    """Units of `high` that are wanted, lost ones apart: they stand at the best."""
    number = sum(count for value, count in cell.high if wanted(value))
    return number - (cell.lost if wanted(1) else 0)


def obvious(folder: Path) -> dict[str, Any]:
    """What one writes in a notebook: rows into pandas, a group-by and a test for each gate and cell."""
    import pandas as pd
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.proportion import proportions_ztest

    begun = time.perf_counter()
    pinned = read.snapshot(str(folder))
    frame = pd.concat([pd.read_parquet(file) for file in pinned.files("comparisons")])
    truths = pd.concat([pd.read_parquet(file) for file in pinned.files("truths")])
    frame = frame.merge(truths[["key", "value"]], left_on="id", right_on="key", how="left")
    frame = frame[frame["state"] == "paired"]
    a_ok, b_ok = frame["production_outcome"] == "ok", frame["candidate_outcome"] == "ok"
    frame["a_failed"], frame["b_failed"] = ~a_ok, ~b_ok
    frame["a_right"] = (a_ok & (frame["output_label_production"] == frame["value"])).fillna(value=False)
    frame["b_right"] = (b_ok & (frame["output_label_candidate"] == frame["value"])).fillna(value=False)
    frame["a_fraud"] = (frame["output_label_production"] == '"fraud"').fillna(value=False)
    frame["b_fraud"] = (frame["output_label_candidate"] == '"fraud"').fillna(value=False)
    found: dict[str, list[int]] = {}
    statistics = []
    cells = [(OVERALL, "", frame)]
    for name in SEGMENTS:
        cells += [(name, value, part) for value, part in frame.groupby(f"segment_{name}")]
    for segment, value, part in cells:
        judged = part[part["value"].notna()]
        for one, a, b in ((judged, "a_right", "b_right"), (part, "a_failed", "b_failed"), (part, "a_fraud", "b_fraud")):
            square = pd.crosstab(one[a], one[b]).reindex(index=[False, True], columns=[False, True], fill_value=0)
            statistics.append(mcnemar(square, exact=False).pvalue)
            statistics.append(proportions_ztest([one[a].sum(), one[b].sum()], [len(one), len(one)])[1])
            if a == "a_failed":
                found[f"error_rate {segment}={value}"] = [int(square.loc[True, False]), int(square.loc[False, True])]
    slow = [frame[f"{arm}_latency_us"].quantile(0.99) for arm in ("production", "candidate")]
    done = time.perf_counter()
    return {
        "seconds": done - begun,
        "mib": meter.memory_mib(os.getpid(), "VmHWM"),
        "tests": len(statistics),
        "ratio": slow[1] / slow[0],
        "counted": found,
    }


def counts(_folder: Path) -> dict[str, Any]:
    """A verdict's numbers from the counts of 200 segments and 4 gates."""
    from gnomon.decide.assess import assess

    chance = np.random.default_rng(7)
    plan = a_plan()
    places = [("country", f"v{number}") for number in range(200)]
    names = tuple(value for _, value in places)
    segment = Segment(name="country", of=plan.segments[0].of, values=names)
    gates = []
    for gate in (plan.gates[0], plan.gates[1], *plan.gates[3:]):
        tests = tuple(
            Test(
                gate=gate.id,
                segment=place,
                value=value,
                margin_ppm=10_000,
                disagreement_ppm=40_000,
                difference_ppm=0,
                min_units=300,
            )
            for place, value in places
        )
        gates.append(
            Gate(
                id=gate.id,
                kind=gate.kind,
                form=gate.form,
                output=gate.output,
                quantile_ppm=None,
                limit_us=None,
                sentence=gate.sentence,
                tests=tests,
                label=gate.label,
            )
        )
    from msgspec import structs

    plan = structs.replace(plan, segments=(segment,), gates=tuple(gates))
    cells = []
    for test in plan.tests:
        worse, better = (int(each) for each in chance.integers(500, 1500, 2))
        histogram = ((-40, worse), (0, 48_000), (40, better))
        units = 48_000 + worse + better
        cells.append(
            Cell(
                gate=test.gate,
                segment=test.segment,
                value=test.value,
                low=histogram,
                high=histogram,
                exchanges=units,
                lost=0,
                imputed=0,
                waiting=0,
                seen=units,
                frontier_us=START_US + DAYS * DAY_US,
                known=units,
                production_good=units - better,
                candidate_good=units - worse,
            )
        )
    evidence = Evidence(
        trial="bench",
        as_of_us=START_US + DAYS * DAY_US,
        watermark_us=START_US + DAYS * DAY_US,
        versions={},
        rows={},
        digest="",
        cells=tuple(cells),
        lost_share_ppm={},
        ledger={},
    )
    assess(plan, evidence, started_us=START_US)  # tables that are made once
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        results = assess(plan, evidence, started_us=START_US)
        times.append(1000 * (time.perf_counter() - begun))
    return {"milliseconds": min(times), "tests": len(results), "all": times}


def bodies(folder: Path) -> dict[str, Any]:
    """A look on 200,000 pairs before and after half a gigabyte of bodies stands in `exchanges`."""
    pairs, each = 200_000, 16 << 10
    write(folder, pairs)
    before = child("look", folder)
    chance = np.random.default_rng(11)
    rows = 32_000
    body = pa.array([chance.bytes(each) for _ in range(rows)], pa.binary())
    texts = {name: pa.array([""]).take(pa.array(np.zeros(rows, np.int32))) for name in tables.EXCHANGES.names}
    columns = {}
    for field in tables.EXCHANGES:
        if field.name == "request_body":
            columns[field.name] = body
        elif pa.types.is_string(field.type):
            columns[field.name] = texts[field.name]
        elif pa.types.is_binary(field.type):
            columns[field.name] = pa.nulls(rows, pa.binary())
        else:
            columns[field.name] = pa.array(np.zeros(rows, np.int64)).cast(field.type)
    append(str(folder), "exchanges", pa.table(columns, schema=tables.EXCHANGES), application="bench", number=0)
    after = child("look", folder)
    size = sum(file.stat().st_size for file in (folder / "exchanges").rglob("*.parquet")) / 2**20
    return {
        "exchanges_mib": size,
        "mib": [before["mib"], after["mib"]],
        "read_mib": [before["read_mib"], after["read_mib"]],
    }


# what is printed ---------------------------------------------------------------------------------------------------


def table(found: dict[str, Any]) -> str:
    one, mine, beside = found["look"], found["counts"], found["bodies"]
    fast, small, quick = one["seconds"] < SECONDS, one["mib"] < MIB, mine["milliseconds"] < MILLISECONDS
    lines = [
        f"a look on {one['rows']:,} pairs, {one['cells']} tests: {one['seconds']:.2f} s (under {SECONDS:g}: {fast})"
    ]
    lines += [
        f"  {one['cpu_seconds']:.1f} s of two cores' time; peak memory {one['mib']:.0f} MiB (under {MIB}: {small})"
    ]
    lines += [f"  with a ratio of latencies in place of a limit: {found['ratio']['seconds']:.2f} s"]
    lines += [f"{mine['tests']} tests from counts: {mine['milliseconds']:.1f} ms (under {MILLISECONDS:g}: {quick})"]
    lines += [f"with {beside['exchanges_mib']:.0f} MiB of bodies beside it, before and after:"]
    lines += [f"  memory {beside['mib'][0]:.0f} and {beside['mib'][1]:.0f} MiB"]
    lines += [f"  read {beside['read_mib'][0]:.1f} and {beside['read_mib'][1]:.1f} MiB"]
    if "times" in found:
        pandas, enough = found["pandas"], found["times"] >= TIMES
        lines += [f"pandas and statsmodels: {pandas['seconds']:.1f} s and {pandas['mib']:.0f} MiB"]
        lines += [f"  {found['times']:.0f} times as long (at least {TIMES}: {enough})"]
    return "\n".join(lines)


if __name__ == "__main__":
    meter.end_in_order()
    main()
