"""Evidence and plans written by hand: what a test decides on stands in the test."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import structs

from gnomon.decide import decide
from gnomon.records.evidence import AtRate, Cell, Evidence, Histogram, Tail
from gnomon.records.plan import OTHERWISE, OVERALL, Gate, GateForm, GateKind, Plan
from gnomon.records.verdict import TestResult, Verdict
from gnomon.stats.quantiles import latency_edge
from tests.evidence.trial_log import SECOND, START, a_gate

DAY = 86_400 * SECOND
TWEETS = ("source", "tweets")
NEWS = ("source", "news")
OTHER = ("source", "other")
WHOLE = (OVERALL, "")
EQUAL: Histogram = ((-40, 100), (0, 3_800), (40, 100))
HARMED: Histogram = ((-40, 40), (0, 280), (40, 4))
FEW: Histogram = ((-40, 1), (0, 18), (40, 1))
RATES = {"at": 1 << 32, OTHERWISE: (1 << 32) // 20}


def a_cell(histogram: Histogram, *, at: tuple[str, str] = WHOLE, gate: str = "accuracy", **changes: Any) -> Cell:
    units = sum(count for _, count in histogram)
    fields: dict[str, Any] = {
        "gate": gate,
        "segment": at[0],
        "value": at[1],
        "low": histogram,
        "high": histogram,
        "exchanges": units,
        "lost": 0,
        "imputed": 0,
        "waiting": 0,
        "seen": units,
        "frontier_us": START + 10 * DAY,
    }
    return Cell(**fields | changes)


def a_weighted_cell(seldom: Histogram, often: Histogram, **changes: Any) -> Cell:
    """Counts at 5 %, the plan's lowest rate, and at 100 %."""
    whole = Counter(dict(seldom)) + Counter(dict(often))
    by_rate = (
        AtRate(probability=RATES[OTHERWISE], low=seldom, high=seldom),
        AtRate(probability=RATES["at"], low=often, high=often),
    )
    return a_cell(tuple(sorted(whole.items())), **{"by_rate": by_rate} | changes)


def some_evidence(*cells: Cell, as_of_us: int = START + 10 * DAY, **changes: Any) -> Evidence:
    fields: dict[str, Any] = {
        "trial": "t",
        "as_of_us": as_of_us,
        "watermark_us": START + 10 * DAY,
        "versions": {"comparisons": 3, "ledger": 4, "truths": 1, "exchanges": 3},
        "rows": {"comparisons": sum(cell.seen for cell in cells), "ledger": 1, "truths": 0},
        "digest": "0" * 64,
        "cells": cells,
        "lost_share_ppm": {},
        "ledger": {"seen": 1},
    }
    return Evidence(**fields | changes)


def verdict_on(plan: Plan, evidence: Evidence, **changes: Any) -> Verdict:
    return decide(plan, evidence, trial="t.1", plan_digest="d" * 64, started_us=START, program="1.0", **changes)


def accuracy(*where: tuple[str, str], **changes: Any) -> Gate:
    return a_gate(where=where or (WHOLE,), **{"margin_ppm": 20_000} | changes)


def gate_of(
    kind: GateKind,
    form: GateForm = "no_worse_than",
    *,
    where: Sequence[tuple[str, str]] = (WHOLE,),
    margin_ppm: int = 20_000,
    n_max: int | None = None,
    min_units: int = 0,
    disagreement_ppm: int = 100_000,
    **fields: Any,
) -> Gate:
    """A gate of any kind on the output `label`; its id is its kind if `id` does not say."""
    plain = a_gate(
        kind, form, where=where, margin_ppm=margin_ppm, min_units=min_units, disagreement_ppm=disagreement_ppm
    )
    name = fields.pop("id", kind)
    tests = tuple(structs.replace(test, gate=name, n_max=n_max) for test in plain.tests)
    return structs.replace(plain, **{"id": name, "tests": tests, "output": "label"} | fields)


def only(verdict: Verdict) -> TestResult:
    """The one test of a plan that has no more."""
    (test,) = verdict.tests
    return test


NO_TAIL = Tail(pairs=0, lost=0, edges=(), production=(), candidate=(), both=(), cross=())


def a_tail(production: Any, candidate: Any, ratio: tuple[int, int], *, quantile: float = 0.99, lost: int = 0) -> Tail:
    """The tail of latencies in microseconds (infinite: failed), as evidence counts it."""
    a, b = np.asarray(production, dtype=float), np.asarray(candidate, dtype=float)
    num, den = ratio
    slow = np.sort(a[np.isfinite(a)])[-max(1, int(4 * (1 - quantile) * len(a))) :]
    x = np.array(sorted({latency_edge(int(us)) for us in slow}), dtype=np.int64)
    over = [np.array([*x[1:], np.inf])[: len(x)], x]  # the next edge, and the edge
    pairs, quantiles = len(a), (_rank(a, quantile), _rank(b, quantile))
    if len(x):
        tail = (a >= x[0]) | (den * b > num * x[0])
        a, b = a[tail], b[tail]
    return Tail(
        pairs=pairs + lost,
        lost=lost,
        edges=tuple(int(edge) for edge in x),
        production=tuple(int((a >= edge).sum()) for edge in x),
        candidate=tuple(int((den * b > num * edge).sum()) for edge in x),
        both=tuple(int(((a >= after) & (den * b > num * edge)).sum()) for after, edge in zip(*over, strict=True)),
        cross=tuple(int(((a >= edge) & (den * b > num * after)).sum()) for after, edge in zip(*over, strict=True)),
        production_us=quantiles[0],
        candidate_us=quantiles[1],
    )


def _rank(latencies: Any, quantile: float) -> int | None:
    """The nearest rank; None: infinite, or there is none."""
    if not len(latencies):
        return None
    found = np.sort(latencies)[max(0, int(np.ceil(quantile * len(latencies))) - 1)]
    return int(found) if np.isfinite(found) else None
