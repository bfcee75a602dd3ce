"""Schedule: when a trial can be decided, and how far its truth and its cycles are. Pure."""

from collections.abc import Iterable
from typing import Any

from gnomon.records.plan import Plan
from gnomon.records.trial import EpochRow
from gnomon.records.verdict import Verdict
from gnomon.report import words


def next_decision(plan: Plan, *, started_us: int, now_us: int) -> tuple[int | None, str]:
    """(the next time at which a promotion can be decided, why then); None: none is to come.

    With a cycle promotion is decided on closed ones, and one is closed when its truth is there: at the latest
    `expected_within` after its end. A rejection needs no date.
    """
    duration = plan.duration
    late_us = plan.truth.expected_within_us if plan.truth and any(gate.needs_truth for gate in plan.gates) else 0
    last_us = None if duration.deadline_us is None else started_us + duration.deadline_us + late_us
    least_us = started_us + duration.at_least_us
    if last_us is not None and now_us > last_us:
        return None, "the deadline is over"
    if duration.cycle_us is None:
        if now_us < least_us:
            return least_us, "duration.at_least is over then"
        return now_us, "any look may decide"
    cycles = max(
        1, -(-duration.at_least_us // duration.cycle_us), (now_us - late_us - started_us) // duration.cycle_us + 1
    )
    end_us = started_us + cycles * duration.cycle_us
    why = f"cycle {cycles} is over then" + (", and its truth was expected by then" if late_us else "")
    if last_us is not None and end_us + late_us > last_us:
        return last_us, "the deadline is over then"
    return end_us + late_us, why


def ended(epochs: Iterable[EpochRow], first_epoch: int) -> int | None:
    """When the trial's evidence ended: at its first promotion, whatever was served later; None: it goes on."""
    return min((each.since_us for each in epochs if each.number > first_epoch), default=None)


def progress(
    plan: Plan, last: Verdict | None, *, started_us: int, now_us: int, ended_us: int | None = None
) -> dict[str, Any]:
    """How far truth and cycles are by the last recorded look, and when the next decision can come.

    None is to come when the evidence ended, which `ended_us` says.
    """
    decision_us, why = next_decision(plan, started_us=started_us, now_us=now_us)
    if ended_us is not None:
        decision_us, why = None, words.evidence_ended(ended_us)
    cycle_us = plan.duration.cycle_us
    elapsed_us = max(0, now_us - started_us)
    needing = {gate.id for gate in plan.judged if gate.needs_truth}
    cells = [test.cell for test in (*last.tests, *last.targets) if test.gate in needing] if last else []
    frontier_us = min((cell.frontier_us for cell in cells), default=None)
    return {
        "as_of_us": last.as_of_us if last else None,
        "truth": None
        if not needing
        else {
            "waiting": max((cell.waiting for cell in cells), default=0) if last else None,
            "imputed": max((cell.imputed for cell in cells), default=0) if last else None,
            "settled_to_us": frontier_us,
            "lag_s": None
            if last is None or frontier_us is None
            else max(0.0, (last.watermark_us - max(frontier_us, started_us)) / 1e6),
        },
        "cycles": None
        if cycle_us is None
        else {
            "length_s": cycle_us / 1e6,
            "over": elapsed_us // cycle_us,
            "closed": last.closed_cycles if last else None,
        },
        "deadline_us": None if plan.duration.deadline_us is None else started_us + plan.duration.deadline_us,
        "next_decision_us": decision_us,
        "next_decision": why,
        "evidence_ended_us": ended_us,
    }
