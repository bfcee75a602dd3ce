"""One gate's view of one exchange, and what the kinds of gates share."""

from collections.abc import Callable
from dataclasses import dataclass
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
    unsure: Expr | None = None
    """Recall: D is 0 if the exchange is one of those asked about, which is not known and never will be. Of several
    exchanges that make one unit these are in the mean where that hurts the claim."""
    step: int = GRID
    """What one of `low` and `high` is in the histograms' steps."""
    least: int = -1
    most: int = 1
    """The bounds of `low` and `high`."""


def output_of(plan: Plan, gate: Gate) -> Output:
    """The output a gate looks at; the only one if it names none."""
    return next(output for output in plan.outputs if gate.output in {None, output.name})


def label_of(gate: Gate) -> str:
    """The named value of a gate, canonical JSON text."""
    if gate.label is None:
        raise ValueError(f"gate {gate.id} names no value")
    return gate.label


class Facts:
    """What gates ask of a row of `comparisons` with its truth: yes or no, and where that is not enough, numbers.

    Each is asked once, whatever number of gates wants it, and kept under its name: so a look can compute them for all
    rows, count the rows that look alike, and put the gates' D on the counts (`groups.py`). An answer is never null.
    """

    def __init__(self, row: Expr, *, as_of_us: int) -> None:
        self.row = row
        self.as_of_us = as_of_us
        self.flags: dict[str, Expr] = {}
        self.numbers: dict[str, Expr] = {}

    def flag(self, name: str, build: Callable[[Expr], Expr]) -> Expr:
        """The answer to a question, which is computed from the row."""
        if name not in self.flags:
            self.flags[name] = build(self.row)
        return self.flags[name]

    def number(self, name: str, build: Callable[[Expr], Expr]) -> Expr:
        """The same of an integer; it is never null."""
        if name not in self.numbers:
            self.numbers[name] = build(self.row)
        return self.numbers[name]

    # of the exchange -----------------------------------------------------------------------------------------------

    @property
    def lost(self) -> Expr:
        """Sampled, and no pair."""
        return self.flag("lost", lambda row: row.state != "paired")

    @property
    def late(self) -> Expr:
        """The candidate's call ran at another time than production's."""
        return self.flag("late", lambda row: row.late)

    @property
    def failed(self) -> tuple[Expr, Expr]:
        """Whether production failed, and whether the candidate did."""
        return (
            self.flag("a_failed", lambda row: row.production_outcome != "ok"),
            self.flag("b_failed", lambda row: ~(row.candidate_outcome == "ok").fill_null(NEVER)),
        )

    def overdue(self, plan: Plan) -> Expr:
        """Truth should have come by now."""
        expected_us = plan.truth.expected_within_us if plan.truth else 0
        return self.flag("overdue", lambda row: row.time_us + expected_us < self.as_of_us)

    # of an output --------------------------------------------------------------------------------------------------

    def agree(self, output: Output) -> Expr:
        """Both arms answered, and alike."""
        column = output_columns(output.name)[2]
        return self.flag(f"agree.{output.name}", lambda row: row[column].fill_null(NEVER))

    def same(self, output: Output) -> Expr:
        """Both arms answered, and gave the very same value: truth cannot tell them apart, whatever a tolerance says."""
        a, b, _ = output_columns(output.name)
        a_failed, b_failed = self.failed
        equal = self.flag(f"same.{output.name}", lambda row: (row[a] == row[b]).fill_null(NEVER))
        return ~a_failed & ~b_failed & equal

    def said(self, output: Output, text: str) -> tuple[Expr, Expr]:
        """Whether each arm's answer is the value of this canonical JSON text; an arm that failed said nothing."""
        a, b, _ = output_columns(output.name)
        a_failed, b_failed = self.failed
        return (
            ~a_failed & self.flag(f"a_is.{output.name}.{text}", lambda row: _is_value(output, row[a], text)),
            ~b_failed & self.flag(f"b_is.{output.name}.{text}", lambda row: _is_value(output, row[b], text)),
        )

    def answered(self, output: Output) -> Expr:
        """Truth is there."""
        return self.flag(f"answered.{output.name}", lambda row: row[TRUTH_TEXT.format(output.name)].notnull())

    def true(self, output: Output, text: str) -> Expr:
        """Truth is there, and is this value."""
        column = (TRUTH_NUMBER if output.compare == "number" else TRUTH_TEXT).format(output.name)
        return self.flag(f"t_is.{output.name}.{text}", lambda row: _is_value(output, row[column], text))

    def right(self, output: Output) -> tuple[Expr, Expr]:
        """Whether each arm said what truth says."""
        a, b, _ = output_columns(output.name)
        a_failed, b_failed = self.failed
        return (
            ~a_failed & self.flag(f"a_right.{output.name}", lambda row: is_right(output, row, row[a])),
            ~b_failed & self.flag(f"b_right.{output.name}", lambda row: is_right(output, row, row[b])),
        )


def is_right(output: Output, row: Expr, value: Expr) -> Expr:
    """Whether a value is what truth says."""
    if output.compare == "number":
        distance = (value - row[TRUTH_NUMBER.format(output.name)]).abs()
        return (distance <= output.tolerance).fill_null(NEVER)
    return (value == row[TRUTH_TEXT.format(output.name)]).fill_null(NEVER)


def _is_value(output: Output, value: Expr, text: str) -> Expr:
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
