"""The sentence of a test: what was found, in which numbers, or what is still missing, for people."""

from gnomon.decide import kinds
from gnomon.decide.claims import PPM
from gnomon.decide.rows import Numbers, Row
from gnomon.decide.words import count, short, span
from gnomon.evidence import catches_all
from gnomon.records.evidence import Evidence
from gnomon.records.plan import OVERALL, Plan
from gnomon.records.verdict import Result


def subject(plan: Plan, row: Row) -> str:
    """What the test looks at: `accuracy of label on source=tweets`."""
    where = OVERALL if row.test.segment == OVERALL else f"on {row.test.cell}"
    on = kinds.available(plan) if row.gate.needs_truth else ""
    return f"{kinds.noun(row.gate)} {where}{f', {on}' if on else ''}"


def reason(
    plan: Plan, evidence: Evidence, row: Row, now: Numbers, result: Result, *, promote_at: float, started_us: int
) -> str:
    """One sentence with the numbers that decide, or with what is still missing."""
    head = subject(plan, row)
    if row.cell.seen == 0:
        return f"{head}: {_nothing(plan, row, evidence.unplaced[0])}"
    tail = _tail(plan, row)
    numbers = kinds.counted(row, now)
    if result == "fail":
        return f"{head}: {kinds.harm(row.gate, row.test)}: {numbers}; e {short(now.e_reject)}{tail}"
    if result == "pass":
        return f"{head}: {kinds.fine(row.gate, row.test)}: {numbers}; {_shown(now, promote_at)}{tail}"
    return f"{head}: {_missing(plan, row, now, promote_at, started_us)}; {numbers}{tail}"


def alarm(plan: Plan, row: Row, harm: str, evidence: str) -> str:
    """Harm that is shown, and not beyond the margin."""
    return f"Alarm: {subject(plan, row)}: {harm}, which is inside the margin{f'; {evidence}' if evidence else ''}"


def _shown(now: Numbers, promote_at: float) -> str:
    sequential = f"e {short(now.e_promote)}, sequential p {min(1.0, 1 / now.e_promote):.2g}"
    if now.e_promote >= promote_at or now.hybrid_p is None:
        return sequential
    return f"p {now.hybrid_p:.2g} in the one test at the deadline ({sequential})"


def _nothing(plan: Plan, row: Row, unplaced: int) -> str:
    if not catches_all(plan, row.test.segment, row.test.value):
        return "no data"
    lost = f", and {count(unplaced, 'lost exchange')} without a row may have been here" if unplaced else ""
    return f"no request fell here{lost}"


def _missing(plan: Plan, row: Row, now: Numbers, promote_at: float, started_us: int) -> str:
    """What keeps the test from passing, the first thing first."""
    cell, test = row.cell, row.test
    if now.blocked is not None:
        return now.blocked
    if plan.duration.cycle_us and not cell.low and cell.high:
        return "no cycle of traffic is closed yet"
    if cell.units < max(1, test.min_units):
        return f"{cell.units:,} of {count(max(1, test.min_units), 'unit')}"
    few = kinds.too_few(row, plan.alpha_ppm / PPM)
    if few is not None:
        return few
    if now.e_promote < promote_at:
        fixed = "" if now.hybrid_p is None else f", and the one test at the deadline gives p {now.hybrid_p:.2g}"
        return f"not shown yet, e is {short(now.e_promote)} and must reach {short(promote_at)}{fixed}"
    ran_us = max(0, cell.frontier_us - started_us)
    return f"{span(ran_us)} of at least {span(plan.duration.at_least_us)} are settled"


def _tail(plan: Plan, row: Row) -> str:
    """What was not a plain pair, if anything."""
    cell, is_latency = row.cell, row.gate.kind == "latency"
    unknown = "late and failed, and" if is_latency else "without truth in time and"
    late = cell.seen - cell.exchanges - cell.waiting if is_latency and plan.unit.alone else 0
    parts = [
        f"{number:,} {what}"
        for number, what in (
            (cell.lost, "lost and counted as worst"),
            (cell.imputed, f"{unknown} counted as worst"),
            (late, "called late and left out"),
            (cell.waiting, "waiting"),
            (cell.left_out, "after their cluster was closed and not counted"),
        )
        if number > 0
    ]
    return f" ({'; '.join(parts)})" if parts else ""
