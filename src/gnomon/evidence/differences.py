"""What D is: for each kind of gate, one exchange's difference in [-1, 1], positive where the candidate is better.

Each function returns expressions over a row of `comparisons` (with its truth joined), for both readings of what is
unknown: `low`, the worst for the candidate, and `high`, the best.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis

from gnomon.log.tables import output_columns
from gnomon.records.plan import Gate, Output, Plan

TRUTH_TEXT = "truth_{}_value"
TRUTH_NUMBER = "truth_{}_number"

NEVER = ibis.literal(value=False)
ALWAYS = ibis.literal(value=True)

Expr = Any  # ibis expressions carry no static types


@dataclass(frozen=True, slots=True)
class Terms:
    """One gate's view of one exchange, as expressions."""

    counts: Expr
    """Whether the exchange belongs to this gate at all."""
    low: Expr
    high: Expr
    waits: Expr
    """Not settled: truth is needed, has not come and may still come."""
    imputed: Expr
    """Truth is needed and overdue."""
    known: Expr
    """Both arms were observed, in the gate's own terms; then `production` and `candidate` say which one was good."""
    production: Expr
    candidate: Expr


def top(gate: Gate) -> int:
    """The largest D there can be: 0 where the candidate alone is measured and D is -1 for each bad outcome."""
    if gate.kind in {"agreement", "latency"} or (gate.kind == "error_rate" and gate.form == "at_most"):
        return 0
    return 1


def terms(plan: Plan, gate: Gate, row: Expr, *, as_of_us: int) -> Terms:
    """The expressions of `gate` over `row`; truth is overdue when `as_of_us` is past its time."""
    return _KINDS[gate.kind](plan, gate, row, as_of_us)


def lost(row: Expr) -> Expr:
    """Sampled, and no pair."""
    return row.state != "paired"


def output_of(plan: Plan, gate: Gate) -> Output:
    """The output a gate looks at; the only one if it names none."""
    return next(output for output in plan.outputs if gate.output in {None, output.name})


def _failed(row: Expr) -> tuple[Expr, Expr]:
    return row.production_outcome != "ok", row.candidate_outcome.fill_null("absent") != "ok"


def _accuracy(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """Correct candidate minus correct production. A failed arm is wrong; equal answers need no truth."""
    output = output_of(plan, gate)
    production, candidate, agree = (row[column] for column in output_columns(output.name))
    a_failed, b_failed = _failed(row)
    both_failed = a_failed & b_failed
    tie = both_failed | (~a_failed & ~b_failed & agree.fill_null(NEVER))
    answered = row[TRUTH_TEXT.format(output.name)].notnull()
    a_right = ~a_failed & _right(output, row, production)
    b_right = ~b_failed & _right(output, row, candidate)
    expected_us = plan.truth.expected_within_us if plan.truth else 0
    needed = ~lost(row) & ~tie & ~answered
    overdue = row.time_us + expected_us < as_of_us
    difference = b_right.cast("int64") - a_right.cast("int64")
    return Terms(
        counts=ALWAYS,
        # A failed production cannot be right, so the worst left is a tie; a failed candidate cannot be right either.
        low=ibis.cases((lost(row), -1), (tie, 0), (answered, difference), (b_failed, -1), (a_failed, 0), else_=-1),
        high=ibis.cases((lost(row), 1), (tie, 0), (answered, difference), (b_failed, 0), else_=1),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & (answered | both_failed),
        production=a_right,
        candidate=b_right,
    )


def _right(output: Output, row: Expr, value: Expr) -> Expr:
    if output.compare == "number":
        distance = (value - row[TRUTH_NUMBER.format(output.name)]).abs()
        return (distance <= output.tolerance).fill_null(NEVER)
    return (value == row[TRUTH_TEXT.format(output.name)]).fill_null(NEVER)


def _agreement(plan: Plan, gate: Gate, row: Expr, _as_of_us: int) -> Terms:
    """-1 for each pair that does not agree. A failure agrees with nothing, not even with another failure."""
    a_failed, b_failed = _failed(row)
    agree = row[output_columns(output_of(plan, gate).name)[2]].fill_null(NEVER)
    return _observed(row, a_good=ALWAYS, b_good=~a_failed & ~b_failed & agree, paired=False)


def _error_rate(_plan: Plan, gate: Gate, row: Expr, _as_of_us: int) -> Terms:
    """Production failed minus candidate failed; for a limit, -1 for each failure of the candidate."""
    a_failed, b_failed = _failed(row)
    return _observed(row, a_good=~a_failed, b_good=~b_failed, paired=gate.form != "at_most")


def _latency(_plan: Plan, gate: Gate, row: Expr, _as_of_us: int) -> Terms:
    """-1 for each answer of the candidate over the limit. A failed call is infinitely slow.

    A late call ran at another time than production's and is left out; a lost one is not, whatever made it late.
    """

    def within(latency: Expr) -> Expr:
        return (latency <= gate.limit_us).fill_null(NEVER)

    a_failed, b_failed = _failed(row)
    a_good = ~a_failed & within(row.production_latency_us)
    b_good = ~b_failed & within(row.candidate_latency_us)
    return _observed(row, a_good=a_good, b_good=b_good, paired=False, counts=~row.late | lost(row))


def _observed(row: Expr, *, a_good: Expr, b_good: Expr, paired: bool, counts: Expr | None = None) -> Terms:
    """Terms of a gate that needs no truth: settled as soon as it is in the log."""
    difference = b_good.cast("int64") - (a_good.cast("int64") if paired else 1)
    return Terms(
        counts=ALWAYS if counts is None else counts,
        low=ibis.cases((lost(row), -1), else_=difference),
        high=ibis.cases((lost(row), 1 if paired else 0), else_=difference),
        waits=NEVER,
        imputed=NEVER,
        known=~lost(row),
        production=a_good,
        candidate=b_good,
    )


_KINDS: dict[str, Callable[[Plan, Gate, Expr, int], Terms]] = {
    "accuracy": _accuracy,
    "agreement": _agreement,
    "error_rate": _error_rate,
    "latency": _latency,
}
