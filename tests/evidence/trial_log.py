"""A trial's log on disk, written row by row with sensible defaults, and the plans that read it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from gnomon.evidence import gather
from gnomon.log import tables
from gnomon.records.evidence import Evidence
from gnomon.records.plan import (
    OTHERWISE,
    OVERALL,
    Arm,
    Duration,
    Fork,
    Gate,
    GateForm,
    GateKind,
    Output,
    Plan,
    Segment,
    Selector,
    Strata,
    Test,
    Truth,
    Unit,
)

START = 1_000_000_000
SECOND = 1_000_000
ALWAYS = 1 << 32


def a_gate(
    kind: GateKind = "accuracy",
    form: GateForm = "no_worse_than",
    *,
    where: Sequence[tuple[str, str]] = ((OVERALL, ""),),
    margin_ppm: int = 40_000,
    min_units: int = 0,
    limit_us: int | None = None,
    disagreement_ppm: int = 100_000,
) -> Gate:
    tests = tuple(
        Test(
            gate=kind,
            segment=segment,
            value=value,
            margin_ppm=margin_ppm,
            disagreement_ppm=disagreement_ppm,
            difference_ppm=0,
            min_units=min_units,
        )
        for segment, value in where
    )
    return Gate(
        id=kind,
        kind=kind,
        form=form,
        output="label" if kind in {"accuracy", "agreement"} else None,
        quantile_ppm=1_000_000 - margin_ppm if kind == "latency" else None,
        limit_us=limit_us,
        sentence=f"{kind} as declared",
        tests=tests,
    )


def a_plan(
    *gates: Gate,
    duration: Duration | None = None,
    unit: Unit | None = None,
    key: Selector | None = None,
    compare: str = "exact",
    tolerance: float = 0.0,
    lost_ppm: int = 10_000,
    expected_within_us: int = 1_000 * SECOND,
    rates: dict[str, int] | None = None,
) -> Plan:
    """A plan of one rate, or with strata by country; then `rates` holds `otherwise` too."""
    arm = Arm(version="1.0", url="http://127.0.0.1:1")
    strata = None
    if rates is not None:
        named = tuple((name, rate) for name, rate in rates.items() if name != OTHERWISE)
        strata = Strata(by=Selector(where="header", name="x-country"), rates=named, otherwise=rates[OTHERWISE])
    return Plan(
        trial="t",
        question="Is it as good?",
        production=arm,
        candidate=Arm(version="2.0", url="http://127.0.0.1:2"),
        protocol="json",
        routes=(),
        fork=Fork(mode="sync", shadow_rate=ALWAYS, expires_after_us=1, in_flight=1, per_second=None, strata=strata),
        segments=(Segment(name="source", of=Selector(where="body", name="/source"), values=("tweets", "news")),),
        outputs=(Output(name="label", of=Selector(where="body", name="/label"), compare=compare, tolerance=tolerance),),
        truth=Truth(key=key, expected_within_us=expected_within_us),
        unit=unit or Unit(independent=True),
        gates=gates or (a_gate(),),
        duration=duration or Duration(),
        lost_ppm=lost_ppm,
        alpha_ppm=50_000,
    )


def an_exchange(number: int, **changes: Any) -> dict[str, Any]:
    """Exchange `number`, at START + number seconds: both arms answered "a", on tweets."""
    row: dict[str, Any] = {
        "id": f"{number:032x}",
        "time_us": START + number * SECOND,
        "epoch": 1,
        "stratum": "all",
        "probability": ALWAYS,
        "state": "paired",
        "late": False,
        "cluster": None,
        "truth_key": None,
        "production_outcome": "ok",
        "candidate_outcome": "ok",
        "production_latency_us": 1_000,
        "candidate_latency_us": 2_000,
        "start_lag_us": 0,
        "segment_source": "tweets",
        "output_label_production": '"a"',
        "output_label_candidate": '"a"',
        "output_label_agree": True,
    } | changes
    if row["state"] != "paired":
        row |= {"candidate_outcome": None, "candidate_latency_us": None, "output_label_candidate": None}
        row["output_label_agree"] = None
    return row


def any_exchange(rng: random.Random, number: int) -> dict[str, Any]:
    """Mostly two good answers; some that differ, fail on one side, or are lost."""
    kinds = [
        an_exchange(number),
        differs(number),
        fails(number, "candidate"),
        fails(number, "production"),
        an_exchange(number, state="expired"),
    ]
    return rng.choices(kinds, [10, 5, 1, 1, 1])[0]


def differs(number: int, **changes: Any) -> dict[str, Any]:
    """An exchange where production says "a" and the candidate "b"."""
    return an_exchange(number, **{"output_label_candidate": '"b"', "output_label_agree": False} | changes)


def fails(number: int, arm: str, **changes: Any) -> dict[str, Any]:
    failed = {f"{arm}_outcome": "5xx", f"output_label_{arm}": None, "output_label_agree": None}
    return an_exchange(number, **failed | changes)


def a_truth(key: str | int, value: str, *, imported_us: int = START, number: float | None = None) -> dict[str, Any]:
    name = f"{key:032x}" if isinstance(key, int) else key
    return {
        "key": name,
        "output": "label",
        "value": value,
        "number": number,
        "imported_us": imported_us,
        "source": "f.csv",
    }


@dataclass
class TrialLog:
    """Delta tables in a folder, readable like a pinned snapshot."""

    folder: Path
    plan: Plan
    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(tables.TABLES, -1))

    def append(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        schema = {"comparisons": tables.comparisons(self.plan), "ledger": tables.LEDGER, "truths": tables.TRUTHS}[table]
        write_deltalake(self.folder / table, pa.Table.from_pylist(list(rows), schema=schema), mode="append")
        self.versions[table] = DeltaTable(self.folder / table).version()

    def files(self, table: str) -> list[str]:
        version = self.versions[table]
        return [] if version < 0 else DeltaTable(self.folder / table, version=version).file_uris()

    def flush(
        self, *, watermark: int, time: int | None = None, instance: str = "runner-1", epoch: int = 1, **counts: int
    ) -> None:
        """Ledger rows of one instance, `time` and `watermark` in seconds after START."""
        row = {"instance": instance, "epoch": epoch, "stratum": "all", "watermark_us": START + watermark * SECOND}
        row["time_us"] = START + (watermark if time is None else time) * SECOND
        self.append("ledger", [row | {"state": state.replace("__", ":"), "count": n} for state, n in counts.items()])

    def gather(self, *, as_of: int = 0, plan: Plan | None = None, **changes: Any) -> Evidence:
        """A look `as_of` seconds after START."""
        times = {"as_of_us": START + as_of * SECOND, "started_us": START}
        return gather(plan or self.plan, self, first_epoch=1, **times, **changes)


def a_log(
    folder: Path,
    plan: Plan,
    rows: Sequence[dict[str, Any]],
    truths: Sequence[dict[str, Any]] = (),
    *,
    watermark: int | None = None,
) -> TrialLog:
    """The log of a runner that has flushed once after all rows; the watermark is after the last row if not said."""
    log = TrialLog(folder, plan)
    log.append("comparisons", rows)
    log.append("truths", truths)
    last = max((row["time_us"] for row in rows), default=START)
    states = [row["state"] for row in rows if row["epoch"] == 1 and not row.get("instance")]
    counts = {"received": len(states), "paired": states.count("paired"), "expired": states.count("expired")}
    counts |= {state: states.count(state) for state in states if state.startswith("guarded:")}
    log.flush(watermark=(last - START) // SECOND + 1 if watermark is None else watermark, **counts)
    return log
