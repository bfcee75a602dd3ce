"""The same expressions on a second engine, Spark, give the same counts: cell by cell, for every kind of gate."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import msgspec
import pytest
from msgspec import structs

from gnomon.records.plan import (
    OTHERWISE,
    OVERALL,
    Available,
    Custom,
    Duration,
    Gate,
    Output,
    Plan,
    Selector,
    Unit,
)
from gnomon.records.process import PROBE_EPOCH
from tests.evidence.trial_log import ALWAYS, SECOND, START, TrialLog, a_gate, a_plan, an_exchange

pytestmark = pytest.mark.timeout(600)

FRAUD, FINE = '"fraud"', '"fine"'
COSTS = ((FRAUD, FINE, 1_000_000), (FINE, FRAUD, 130_000))
WHERE = ((OVERALL, ""), ("source", "tweets"), ("source", "news"))


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """One small local session."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.default.parallelism", "1")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")  # to compile takes longer than these few rows
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def connected(spark: Any) -> Any:
    """An engine on the session, which outlives the look."""
    connection = ibis.pyspark.connect(spark)
    connection.disconnect = lambda: None
    return connection


def gate_of(kind: Any, form: Any = "no_worse_than", **fields: Any) -> Gate:
    named = a_gate(kind, form, where=WHERE)
    gate = structs.replace(named, **{"id": f"{kind}-{form}", "output": "label"} | fields)
    return structs.replace(gate, tests=tuple(structs.replace(test, gate=gate.id) for test in gate.tests))


def every_kind() -> list[Gate]:
    return [
        gate_of("accuracy"),
        gate_of("agreement", "at_least"),
        gate_of("agreement", against_twin=True, id="noise"),
        gate_of("share", "not_above", label=FRAUD),
        gate_of("share", "not_below", label=FRAUD),
        gate_of("error_rate", output=None),
        gate_of("error_rate", "at_most", output=None),
        gate_of("error_rate", output=None, ratio=(3, 2), steps=3, id="ratio"),
        gate_of("latency", "at_most", output=None, limit_us=2_500, quantile_ppm=900_000),
        gate_of("latency", "at_most", output=None, ratio=(6, 5), quantile_ppm=900_000, id="tail"),
        gate_of("recall", label=FRAUD),
        gate_of("precision", label=FRAUD),
        gate_of("loss", costs=COSTS),
        gate_of("numeric", output="score", scale=(0.0, 10.0)),
        gate_of("field", output=None, outputs=("label", "score"), steps=2),
        gate_of("refusal_rate", label='"?"'),
        gate_of("cost", output="score", scale=(0.0, 8.0)),
        gate_of("custom", output=None, custom=Custom(function="mine:score", digest="0" * 64)),
    ]


def a_plan_of(gates: list[Gate], **changes: Any) -> Plan:
    outputs = (
        Output(name="label", of=Selector(where="body", name="/label"), compare="exact"),
        Output(name="score", of=Selector(where="body", name="/score"), compare="number", tolerance=0.5),
    )
    plan = a_plan(*gates, expected_within_us=20 * SECOND, key=Selector(where="body", name="/id"), **changes)
    return structs.replace(plan, outputs=outputs, fork=structs.replace(plan.fork, twin=1 << 31))


def exchanges(rng: random.Random, plan: Plan, count: int) -> list[dict[str, Any]]:
    rates = plan.fork.rates
    found = []
    for number in range(1, count + 1):
        stratum = rng.choice(list(rates))
        failed = [rng.random() < 0.1, rng.random() < 0.1]
        state = rng.choices(["paired", "expired", "guarded:context"], [12, 1, 1])[0]
        labels = [None if fails else rng.choice([FRAUD, FINE, '"?"']) for fails in failed]
        scores = [None if fails else rng.choice([0.0, 1.1, 2.5, 9.9, 12.0]) for fails in failed]
        row = an_exchange(
            number,
            state=state,
            stratum=stratum,
            probability=rates[stratum],
            late=rng.random() < 0.1,
            cluster=rng.choice([None, "s", "t"]),
            truth_key=rng.choice([None, f'"k{number}"']),
            segment_source=rng.choice(["tweets", "news", "other"]),
            time_us=START + number * SECOND // rng.choice([1, 2]),
            start_lag_us=rng.choice([0, 5_000_000, None]),
            epoch=rng.choices([1, PROBE_EPOCH, 2], [20, 1, 1])[0],
        )
        for place, arm in enumerate(("production", "candidate")):
            if row[f"{arm}_outcome"] == "ok" and failed[place]:
                row[f"{arm}_outcome"] = "5xx"
            called = row[f"{arm}_outcome"] is not None
            row[f"{arm}_latency_us"] = rng.randrange(400, 4_000) if called and not failed[place] else None
            row[f"output_label_{arm}"] = labels[place] if called else None
            row[f"output_score_{arm}"] = scores[place] if called else None
        for name in ("label", "score"):
            a, b = (row[f"output_{name}_{arm}"] for arm in ("production", "candidate"))
            row[f"output_{name}_agree"] = None if a is None or b is None else a == b
        drawn = rng.random() < 0.6
        row["twin_drawn"] = drawn
        row["twin_outcome"] = rng.choice(["ok", "ok", "5xx", None]) if drawn else None
        row["twin_repeat"] = rng.random() < 0.2 if row["twin_outcome"] else None
        for name in ("label", "score"):
            row[f"output_{name}_twin_agree"] = rng.random() < 0.8 if row["twin_outcome"] == "ok" else None
        row["custom_0"] = rng.choice([0.25, -0.013, 3.0, float("nan"), float("inf"), None])
        found.append(row)
    return found


def truths(rng: random.Random, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some by the exchange, some by the key, some by both, some twice and some never."""
    found = []
    for row in rows:
        for key in (row["id"], row["truth_key"]):
            for name, value in (("label", rng.choice([FRAUD, FINE])), ("score", rng.choice([0.0, 2.5, 11.0]))):
                if key is None or rng.random() < 0.3:
                    continue
                number = value if name == "score" else None
                one = {"key": key, "output": name, "value": str(value), "number": number, "source": "f.csv"}
                found.append(one | {"imported_us": START + rng.randrange(3)})
                if rng.random() < 0.1:
                    found.append(one | {"value": '"other"', "number": None, "imported_us": START + 5})
    return found


TWENTIETH = ALWAYS // 20


@pytest.mark.parametrize(
    ("seed", "cycle", "changes"),
    [
        (1, 9 * SECOND, {}),
        (2, None, {"rates": {"at": ALWAYS, OTHERWISE: TWENTIETH}}),
        (3, 9 * SECOND, {"unit": Unit(cluster=Selector(where="header", name="x-s"), closes_after_us=4 * SECOND)}),
    ],
    ids=["cycles", "strata", "clusters"],
)
def test_two_engines_count_the_same(
    tmp_path: Path, spark: Any, seed: int, cycle: int | None, changes: dict[str, Any]
) -> None:
    rng = random.Random(seed)
    gates = every_kind()
    if (
        "rates" in changes
    ):  # kinds that weigh in it: two bits, a real number, production's own, one that truth restricts
        gates = [gate for gate in gates if gate.kind in {"accuracy", "share", "cost", "precision"}]
    if "unit" in changes:  # each gate and segment is a query of its own there: the kinds that differ in it
        gates = [gate for gate in gates if gate.kind in {"accuracy", "precision", "custom"}]
        gates = [structs.replace(gate, tests=gate.tests[:2]) for gate in gates]
    plan = a_plan_of(gates, duration=Duration(cycle_us=cycle, deadline_us=200 * SECOND), **changes)
    if seed == 2:
        available = (Available(output="label", values=(FINE, '"?"')),)
        plan = structs.replace(plan, truth=structs.replace(plan.truth, policy="last", available=available))
    rows = exchanges(rng, plan, 90)
    log = TrialLog(tmp_path, plan)
    for part in range(3):
        log.append("comparisons", rows[part::3])
    log.append("truths", truths(rng, rows))
    log.flush(watermark=80, instance="gateway-0", seen=200, unaccounted=2, shed__memory=1)
    log.flush(watermark=85, time=86, paired=60, expired=4, received=70, open=2)

    here = log.gather(as_of=60)
    there = log.gather(as_of=60, connect=lambda: connected(spark))

    assert all(cell.units > 3 for cell in here.cells if cell.segment == OVERALL)
    for one, other in zip(here.cells, there.cells, strict=True):
        assert one == other, (one.gate, one.segment, one.value)
    assert msgspec.to_builtins(here) == msgspec.to_builtins(there)


def test_a_table_that_is_not_there_yet_is_empty_on_both(tmp_path: Path, spark: Any) -> None:
    plan = a_plan_of(every_kind()[:6])
    log = TrialLog(tmp_path, plan)
    log.append("comparisons", [an_exchange(1)])
    log.flush(watermark=2, paired=1)
    here, there = log.gather(), log.gather(connect=lambda: connected(spark))
    assert here == there
    assert next(cell for cell in here.cells if cell.gate == "error_rate-no_worse_than").low == ((0, 1),)


def test_no_number_in_a_file_of_nothing_larger_is_unknown_on_both(tmp_path: Path, spark: Any) -> None:
    """Statistics of a file leave NaN out; neither engine may conclude from them that it holds numbers only."""
    plan = a_plan_of([gate_of("custom", output=None, custom=Custom(function="mine:score", digest="0" * 64))])
    log = TrialLog(tmp_path, plan)
    numbers = [0.5, float("nan"), -0.5, float("nan")]
    log.append("comparisons", [an_exchange(number, custom_0=each) for number, each in enumerate(numbers, 1)])
    log.flush(watermark=5, paired=4)
    here, there = log.gather(), log.gather(connect=lambda: connected(spark))
    assert here == there
    assert (here.cells[0].low[0], here.cells[0].high[-1]) == ((-40, 2), (40, 2))
