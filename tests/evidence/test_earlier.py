"""What an earlier program counted, this one counts again: verdicts of then are verified by it."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gnomon.records.evidence import Evidence
from gnomon.records.plan import OTHERWISE, OVERALL, Duration, Plan, Selector, Unit
from tests.evidence.trial_log import (
    ALWAYS,
    SECOND,
    TrialLog,
    a_gate,
    a_plan,
    a_truth,
    any_exchange,
)

RECORDED = Path(__file__).parent / "earlier.json"
"""Made by this file's `evidence_of` with the program at commit de1d70a, the last one whose digest is over rows.

Changed since: the cells of the odd ones, which have clusters (that program read them in the order in which they closed,
short ones first), and one latency cell of seeds 0 and 5, which holds one exchange more, whose call was late and failed:
it was left out then, and a candidate that hangs could pass."""

WHERE = ((OVERALL, ""), ("source", "tweets"), ("source", "news"), ("source", "other"), ("source", "missing"))
SESSIONS = Selector(where="header", name="x-session")
OLD = ("gate", "segment", "value", "low", "high", "exchanges", "lost", "imputed", "waiting", "seen", "frontier_us")
OLD += ("known", "production_good", "candidate_good")


def a_trial(seed: int) -> tuple[Plan, list[dict[str, Any]], list[dict[str, Any]], int]:
    """A plan, its rows, truths and watermark. Strata, clusters, cycles, a deadline, late calls, overdue truth."""
    rng = random.Random(seed)
    rates = {"at": ALWAYS, OTHERWISE: ALWAYS // 20} if seed % 3 == 2 else None
    rows = []
    for number in range(1, 61):
        rows.append(
            any_exchange(rng, number)
            | {"segment_source": rng.choice(["tweets", "news", "other"]), "late": rng.random() < 0.1}
            | {"cluster": rng.choice([None, "s1", "s2"]) if seed % 2 else None}
        )
        if rates:
            stratum = rng.choice(list(rates))
            rows[-1] |= {"stratum": stratum, "probability": rates[stratum]}
        if rows[-1]["candidate_latency_us"] is not None:
            rows[-1]["candidate_latency_us"] = rng.randrange(1_000, 9_000)
    told = [a_truth(row["id"], rng.choice(['"a"', '"b"', '"c"'])) for row in rows if rng.random() < 0.8]
    plan = a_plan(
        a_gate(where=WHERE),
        a_gate("error_rate", where=WHERE),
        a_gate("error_rate", "at_most"),
        a_gate("agreement", "at_least", where=WHERE),
        a_gate("latency", "at_most", where=WHERE[:2], limit_us=5_000),
        unit=Unit(cluster=SESSIONS, closes_after_us=4 * SECOND) if seed % 2 else None,
        duration=Duration(cycle_us=7 * SECOND if seed < 4 else None, deadline_us=rng.choice([None, 50 * SECOND])),
        expected_within_us=20 * SECOND,
        rates=rates,
    )
    return plan, rows, told, rng.randrange(40, 70)


def evidence_of(seed: int, folder: Path, **how: Any) -> Evidence:
    plan, rows, told, watermark = a_trial(seed)
    log = TrialLog(folder, plan)
    log.append("comparisons", rows)
    log.append("truths", told)
    states = [row["state"] for row in rows]
    log.flush(watermark=watermark, paired=states.count("paired"), expired=states.count("expired"))
    log.flush(watermark=watermark, time=80, instance="gateway-0", seen=90, unaccounted=3, shed__memory=1)
    return log.gather(as_of=60, **how)


def shown(evidence: Evidence) -> dict[str, Any]:
    """What that program had: the digest, and each cell's counts."""
    cells = [msgspec.to_builtins(cell) for cell in evidence.cells]
    counts = [[cell[name] for name in OLD] for cell in cells]
    rates = [
        [[part[name] for name in ("probability", "low", "high", "known")] for part in cell["by_rate"]] for cell in cells
    ]
    rest = msgspec.to_builtins(evidence)
    others = {name: rest[name] for name in ("digest", "rows", "sampled", "ledger", "anomalies", "notes")}
    found: dict[str, Any] = json.loads(json.dumps(others | {"cells": counts, "rates": rates}))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_log_gives_what_it_gave_to_an_earlier_program(tmp_path: Path, seed: int) -> None:
    recorded = json.loads(RECORDED.read_text())[seed]
    assert shown(evidence_of(seed, tmp_path, digest="rows")) == recorded
