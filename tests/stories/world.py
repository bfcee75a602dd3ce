"""A world in which what the models do is known: traffic, two models, late truth, written as the product would.

A trial is sealed in a state database at a time of the past; its exchanges stand in the log's own tables, so that looks,
reports and verification are those of a user.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gnomon import pipeline
from gnomon.decide import decide
from gnomon.evidence import gather
from gnomon.log import read, tables
from gnomon.log.append import append
from gnomon.plan import load, seal
from gnomon.records.trial import Trial
from gnomon.records.verdict import Verdict
from gnomon.settings import Settings
from gnomon.state import State, open_state

DAY = 86_400_000_000
BEGAN = 1_780_000_000_000_000
"""When the trials of these stories were sealed, microseconds since the epoch."""

Draws = Mapping[str, np.ndarray]


@dataclass
class World:
    """One sealed trial and its log."""

    settings: Settings
    state: State
    trial: Trial
    rows: int = 0
    batches: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def plan(self):
        return pipeline.plan_of(self.trial)

    @property
    def url(self) -> str:
        return self.settings.log_url(self.trial.id)

    def day(self, number: int, columns: Mapping[str, Any], truths: Mapping[str, Any] | None = None) -> None:
        """Exchanges evenly over day `number` (from 0), and truths: key, output, value, and days after which they came.

        Columns that are not given are those of a sound pair.
        """
        n = len(next(iter(columns.values())))
        times = BEGAN + number * DAY + np.arange(n, dtype=np.int64) * (DAY // n)
        ids = [f"{self.rows + place:032x}" for place in range(n)]
        defaults = {
            "id": ids, "time_us": times, "epoch": 1, "stratum": "all", "probability": 1 << 32, "state": "paired",
            "late": False, "cluster": None, "truth_key": None, "production_outcome": "ok", "candidate_outcome": "ok",
            "production_latency_us": 20_000, "candidate_latency_us": 20_000, "start_lag_us": 100,
        }  # fmt: skip
        made = {**defaults, **columns}
        schema = tables.comparisons(self.plan)
        arrays = [_column(made.get(each.name), n, each.type) for each in schema]
        self.batches += 1
        append(
            self.url, "comparisons", pa.Table.from_arrays(arrays, schema=schema), application="w", number=self.batches
        )
        self.rows += n
        states = made["state"] if not isinstance(made["state"], str) else [made["state"]] * n
        for state in states:
            self.counts[str(state)] = self.counts.get(str(state), 0) + 1
        if truths is not None:
            self._truths(truths, number)
        self._flush(BEGAN + (number + 1) * DAY)

    def _truths(self, truths: Mapping[str, Any], day: int) -> None:
        n = len(truths["key"])
        delay = np.broadcast_to(np.asarray(truths.get("after", 0.0), dtype=float), (n,))
        made = {
            "key": truths["key"], "output": truths.get("output", "label"), "value": truths["value"], "number": None,
            "imported_us": (BEGAN + (day + 1 + delay) * DAY).astype(np.int64), "source": "truth.csv",
        }  # fmt: skip
        arrays = [_column(made[each.name], n, each.type) for each in tables.TRUTHS]
        table = pa.Table.from_arrays(arrays, schema=tables.TRUTHS)
        append(self.url, "truths", table, application="t", number=self.batches)

    def _flush(self, watermark_us: int) -> None:
        counts = {"received": self.rows, "open": 0, **self.counts}
        rows = [
            {
                "time_us": watermark_us, "instance": "runner-1", "epoch": 1, "stratum": "all", "state": state,
                "count": count, "watermark_us": watermark_us,
            }
            for state, count in counts.items()
        ]  # fmt: skip
        append(self.url, "ledger", pa.Table.from_pylist(rows, tables.LEDGER), application="l", number=self.batches)

    def look(self, after_days: float) -> Verdict:
        """A look that is not recorded, so many days after the start."""
        evidence = gather(
            self.plan,
            read.snapshot(self.url),
            first_epoch=1,
            as_of_us=int(BEGAN + after_days * DAY),
            started_us=BEGAN,
        )
        return decide(
            self.plan, evidence, trial=self.trial.id, plan_digest=self.trial.digest, started_us=BEGAN, program="test"
        )

    def decide(self) -> Verdict:
        """A look that is recorded, now."""
        return pipeline.record_look(self.settings, self.state, self.trial)

    def report(self, verdict: Verdict):
        return pipeline.build_report(self.settings, self.state, self.trial, verdict)

    def verify(self, verdict: Verdict) -> None:
        pipeline.verify(self.settings, self.state, self.trial, verdict)


def a_world(folder: Path, document: Mapping[str, Any]) -> World:
    """Seal the plan. The caller closes `state`."""
    settings = Settings(data=folder / "data")
    settings.prepare()
    state = open_state(settings.state_url)
    made = dict(document)
    load.from_document(made)  # what a user could serve
    trial = state.register(
        made, seal.seal(made), plan_path=str(folder / "plan.yaml"), program="test", now_us=BEGAN, actor="ada"
    )
    settings.trial_dir(trial.id).mkdir(parents=True, exist_ok=True)
    return World(settings, state, trial)


def labels(flags: np.ndarray, yes: str = "bad", no: str = "good") -> np.ndarray:
    """Answers as the log holds them: canonical JSON text."""
    return np.where(flags, f'"{yes}"', f'"{no}"')


def answers(production: np.ndarray, candidate: np.ndarray, name: str = "label") -> dict[str, np.ndarray]:
    """The columns of an output that is compared exactly."""
    columns = tables.output_columns(name)
    return {columns[0]: production, columns[1]: candidate, columns[2]: production == candidate}


def keys(world: World, n: int) -> list[str]:
    """The ids that the next `n` exchanges will have: what truth names."""
    return [f"{world.rows + place:032x}" for place in range(n)]


def right(rng: np.random.Generator, chance: np.ndarray, truth: np.ndarray, other: Callable[[np.ndarray], np.ndarray]):
    """Answers that are right with this chance, each on its own."""
    return np.where(rng.random(len(chance)) < chance, truth, other(truth))


def _column(value: Any, n: int, kind: pa.DataType) -> pa.Array:
    if isinstance(value, np.ndarray):
        found = value.tolist() if value.dtype == object or value.dtype.kind == "U" else value
        return pa.array(found, kind)
    if isinstance(value, list):
        return pa.array(value, kind)
    return pa.array([value] * n, kind)


DOCUMENT: dict[str, Any] = {
    "gnomon": 1,
    "trial": "story",
    "question": "Is it as good everywhere?",
    "production": {"version": "1.4", "url": "http://127.0.0.1:9001"},
    "candidate": {"version": "2.0", "url": "http://127.0.0.1:9002", "timeout": "2s"},
    "routes": ["POST /predict"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "unit": {"independent": True},
    "alpha": "5%",
}
"""What every story's plan begins with."""
