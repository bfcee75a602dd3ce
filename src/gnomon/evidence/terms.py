"""One gate's view of one exchange, and what the kinds of gates share."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import ibis

from gnomon.log.tables import output_columns
from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, Output, Plan

TRUTH_TEXT: Final = "truth_{}_value"
TRUTH_NUMBER: Final = "truth_{}_number"

NEVER: Final = ibis.literal(value=False)
ALWAYS: Final = ibis.literal(value=True)
NO_UNIT: Final = ibis.null("int64")
"""In place of a D: the exchange is no unit on this side."""

Expr = Any  # ibis expressions carry no static types


@dataclass(frozen=True, slots=True)
class Terms:
    """One gate's view of one exchange, as expressions. Integers: D in multiples of `step`."""

    counts: Expr
    """Whether the exchange belongs to this gate at all."""
    low: Expr
    """D with the unknown taken as worst for the candidate; null: no unit, for promotion."""
    high: Expr
    """The same as best for the candidate, for rejection."""
    known: Expr
    """Both arms were observed, in the gate's own terms; then `production` and `candidate` say which one was good."""
    production: Expr
    candidate: Expr
    waits: Expr = NEVER
    """Not settled: truth is needed, has not come and may still come."""
    imputed: Expr = NEVER
    """Truth is needed and overdue."""
    came: Expr = NEVER
    """Truth is needed and there."""
    reference_low: Expr | None = None
    """Precision: production's own D, the unknown taken as best for production."""
    reference_high: Expr | None = None
    step: int = GRID
    """What one of `low` and `high` is in the histograms' steps."""
    least: int = -1
    most: int = 1
    """The bounds of `low` and `high`."""


def top(gate: Gate) -> int:
    """The largest D there can be: 0 where the candidate alone is measured and D is -1 for each bad outcome."""
    if gate.kind in {"agreement", "latency"}:
        return int(gate.against_twin)
    return 0 if gate.kind == "precision" or gate.form == "at_most" else 1


def bottom(gate: Gate) -> Fraction:
    """The smallest D there can be: -1, or less far where an error rate is held against a multiple of production's."""
    if gate.kind == "error_rate" and gate.ratio is not None:
        num, den = gate.ratio
        return Fraction(-den, num)
    return Fraction(-1)


def lost(row: Expr) -> Expr:
    """Sampled, and no pair."""
    return row.state != "paired"


def failed(row: Expr) -> tuple[Expr, Expr]:
    """Whether production failed, and whether the candidate did."""
    return row.production_outcome != "ok", row.candidate_outcome.fill_null("absent") != "ok"


def output_of(plan: Plan, gate: Gate) -> Output:
    """The output a gate looks at; the only one if it names none."""
    return next(output for output in plan.outputs if gate.output in {None, output.name})


def values(output: Output, row: Expr) -> tuple[Expr, Expr, Expr]:
    """What production said, what the candidate said, and whether they agree (false where an arm failed)."""
    production, candidate, agree = (row[column] for column in output_columns(output.name))
    return production, candidate, agree.fill_null(NEVER)


def is_value(output: Output, value: Expr, text: str) -> Expr:
    """Whether a value is the one of this canonical JSON text; an arm that failed said nothing."""
    wanted = float(text) if output.compare == "number" else text
    return (value == wanted).fill_null(NEVER)


def whole(condition: Expr) -> Expr:
    """1 where it holds, else 0."""
    return condition.cast("int64")


_HAIR: Final = 1e-9
"""Of a step: decimal fractions are not exact in binary, and 0.1 is to be four steps of 1/40, not three."""


def down(difference: Expr, scale: int) -> Expr:
    """A real D in [-1, 1] in whole steps of 1/scale, rounded down. What is cut is not negative: so on any engine."""
    return ((difference + 1.0) * float(scale) + _HAIR).floor().cast("int64") - scale


def up(difference: Expr, scale: int) -> Expr:
    """The same, rounded up."""
    return scale - ((1.0 - difference) * float(scale) + _HAIR).floor().cast("int64")
