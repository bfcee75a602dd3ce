"""A data folder as a trial leaves it: a sealed plan, a log, and as many looks as are asked for."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from gnomon import clock, pipeline
from gnomon.log import tables
from gnomon.plan import load, seal
from gnomon.records.plan import Plan
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.state import open_state

PLAN = """\
gnomon: 1
trial: fraud
question: Is fraud 2.0 as good as 1.4 everywhere?
production: {version: "1.4", url: "http://127.0.0.1:9001"}
candidate: {version: "2.0", url: "http://127.0.0.1:9002"}
protocol: json
routes: [POST /predict]
suitability: {context: stateless, side_effects: none}
fork: {mode: sync, shadow_rate: 100%, expires_after: 30s, budget: {in_flight: 64}}
segments:
  country: {from: body:/country, values: [DE, FR]}
output:
  label: body:/label
truth: {expected_within: 1d}
unit: {independent: true}
gates:
  - accuracy: {of: label, no_worse_than: production, margin: 4pp}
  - error_rate: {no_worse_than: production, margin: 2pp, where: overall}
samples: {overall: 50, every_segment: 20}
duration: {at_least: 1s, deadline: 7d}
integrity: {lost: 1%}
alpha: 5%
"""
PAIRS = 120


def a_place(folder: Path, *, looks: int = 2, rows: int = PAIRS) -> tuple[Settings, Trial]:
    """The folder's settings and its one trial."""
    settings = Settings(data=folder / "data")
    plan_file = folder / "plan.yaml"
    plan_file.write_text(PLAN)
    loaded = load.read(plan_file)
    settings.root.mkdir(exist_ok=True)
    with open_state(settings.state_url) as state:
        trial = state.register(
            loaded.document,
            seal.seal(loaded.document),
            plan_path=str(plan_file),
            program="0.1.0",
            now_us=clock.now_us() - 10_000_000,
            actor="tester",
        )
        log = Path(settings.log_url(trial.id))
        log.mkdir(parents=True)
        if rows:
            _write(log, loaded.plan, trial.registered_us, rows)
        for _ in range(looks):
            pipeline.record_look(settings, state, trial)
    return settings, trial


def _write(log: Path, plan: Plan, started_us: int, count: int) -> None:
    """Pairs of which every sixth disagrees, a pair of another epoch, one expired; truths say "ok" to all."""
    found = [_row(number, started_us) for number in range(count)]
    found.append(_row(count, started_us) | {"epoch": 2})
    schema = tables.comparisons(plan)
    write_deltalake(log / "comparisons", pa.Table.from_pylist(found, schema=schema), mode="append")
    truths = [
        {
            "key": row["id"],
            "output": "label",
            "value": '"ok"',
            "number": None,
            "imported_us": row["time_us"],
            "source": "t",
        }
        for row in found
    ]
    write_deltalake(log / "truths", pa.Table.from_pylist(truths, schema=tables.TRUTHS), mode="append")
    counts = {"received": count, "paired": count}
    end_us = started_us + (count + 1) * 10_000
    line = {"time_us": end_us, "instance": "runner-1", "epoch": 1, "stratum": "all", "watermark_us": end_us}
    rows = [line | {"state": state, "count": number} for state, number in counts.items()]
    write_deltalake(log / "ledger", pa.Table.from_pylist(rows, schema=tables.LEDGER), mode="append")


def _row(number: int, started_us: int) -> dict[str, Any]:
    same = number % 6 > 0
    return {
        "id": f"{number:032x}",
        "time_us": started_us + number * 10_000,
        "epoch": 1,
        "stratum": "all",
        "probability": 1 << 32,
        "state": "paired",
        "late": False,
        "cluster": None,
        "truth_key": None,
        "production_outcome": "ok",
        "candidate_outcome": "ok",
        "production_latency_us": 1_000 + number,
        "candidate_latency_us": 2_000 + number,
        "start_lag_us": 0,
        "segment_country": ("DE", "FR")[number % 2],
        "output_label_production": '"ok"' if same or number % 12 else '"no"',
        "output_label_candidate": '"ok"' if same or not number % 12 else '"no"',
        "output_label_agree": same,
    }
