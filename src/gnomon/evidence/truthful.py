"""D of the gates that look at truth. Until truth comes an exchange waits; when it is overdue, D is worst and best.

Worst and best of what is left: a failed arm cannot be right, two numbers cannot be further apart than they are.
"""

from functools import reduce
from operator import and_, or_

import ibis

from gnomon.evidence.terms import (
    ALWAYS,
    NEVER,
    NO_UNIT,
    TRUTH_NUMBER,
    TRUTH_TEXT,
    Expr,
    Terms,
    down,
    failed,
    is_value,
    lost,
    output_of,
    top,
    up,
    values,
    whole,
)
from gnomon.log.tables import output_columns
from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, Output, Plan

_PPM = 1_000_000


def available(plan: Plan, row: Expr) -> Expr:
    """Whether truth can come for the exchange: production said one of the declared values, of each such output."""
    if plan.truth is None or not plan.truth.available:
        return ALWAYS
    outputs = {output.name: output for output in plan.outputs}
    said = [
        reduce(or_, (is_value(outputs[each.output], row[output_columns(each.output)[0]], text) for text in each.values))
        for each in plan.truth.available
    ]
    return reduce(and_, said, ~failed(row)[0])


def accuracy(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """Correct candidate minus correct production. A failed arm is wrong; equal answers need no truth."""
    return _of_output(plan, output_of(plan, gate), row, as_of_us)


def field(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """The mean of accuracy over the outputs that make up one document."""
    named = {output.name: output for output in plan.outputs}
    each = [_of_output(plan, named[name], row, as_of_us) for name in gate.outputs]
    count = len(each)

    def over(terms: list[Expr]) -> Expr:
        return reduce(lambda left, right: left + right, terms)

    return Terms(
        counts=ALWAYS,
        low=over([terms.low for terms in each]),
        high=over([terms.high for terms in each]),
        waits=reduce(or_, (terms.waits for terms in each)),
        imputed=reduce(or_, (terms.imputed for terms in each)),
        known=reduce(and_, (terms.known for terms in each)),
        production=reduce(and_, (terms.production for terms in each)),
        candidate=reduce(and_, (terms.candidate for terms in each)),
        came=reduce(or_, (terms.came for terms in each)),
        step=GRID * gate.steps // count,
        least=-count,
        most=count,
    )


def recall(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """Of the exchanges whose truth is the named value: the candidate said it, minus production said it.

    An exchange whose truth never comes may or may not be one of them: it is a unit only where that hurts the claim.
    """
    output = output_of(plan, gate)
    (flagged_a, flagged_b), answered, positive = _flagged(gate, output, row)
    difference = whole(flagged_b) - whole(flagged_a)
    needed, overdue = ~lost(row) & ~answered, _overdue(plan, row, as_of_us)
    return Terms(
        counts=~answered | positive,
        low=ibis.cases((lost(row), -1), (answered, difference), (difference < 0, difference), else_=NO_UNIT),
        high=ibis.cases((lost(row), 1), (answered, difference), (difference >= 0, difference), else_=NO_UNIT),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & positive,
        production=flagged_a,
        candidate=flagged_b,
        came=~lost(row) & positive,
    )


def precision(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """-1 for what was flagged wrongly, of what the candidate flagged; and the same of production, as reference."""
    output = output_of(plan, gate)
    (flagged_a, flagged_b), answered, positive = _flagged(gate, output, row)
    any_flagged = flagged_a | flagged_b
    needed, overdue = ~lost(row) & any_flagged & ~answered, _overdue(plan, row, as_of_us)
    right = ibis.cases((positive, 0), else_=-1)
    return Terms(
        counts=lost(row) | any_flagged,
        low=ibis.cases((lost(row), -1), (~flagged_b, NO_UNIT), (answered, right), else_=-1),
        high=ibis.cases((lost(row), 0), (~flagged_b, NO_UNIT), (answered, right), else_=0),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & answered,
        production=flagged_a & positive,
        candidate=flagged_b & positive,
        came=~lost(row) & answered,
        reference_low=ibis.cases((~flagged_a, NO_UNIT), (answered, right), else_=0),
        reference_high=ibis.cases((~flagged_a, NO_UNIT), (answered, right), else_=-1),
    )


def loss(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """What production's answer cost minus what the candidate's cost, over the largest cost."""
    output = output_of(plan, gate)
    scale = GRID * gate.steps
    production, candidate, tie, answered = _pair(output, row)
    a_failed, b_failed = failed(row)
    least_a, most_a = _costs(gate, row, output, production, a_failed, answered)
    least_b, most_b = _costs(gate, row, output, candidate, b_failed, answered)
    needed, overdue = ~lost(row) & ~tie & ~answered, _overdue(plan, row, as_of_us)
    # Both divisions have nonnegative numerators: engines disagree about the rest of a negative one.
    low = (least_a - most_b + _PPM) * scale // _PPM - scale
    high = scale - (least_b - most_a + _PPM) * scale // _PPM
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((lost(row), -scale), (tie, 0), else_=low),
        high=ibis.cases((lost(row), scale), (tie, 0), else_=high),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & (answered | (a_failed & b_failed)),
        production=~a_failed & _right(output, row, production),
        candidate=~b_failed & _right(output, row, candidate),
        came=~lost(row) & ~tie & answered,
        step=1,
        least=-scale,
        most=scale,
    )


def numeric(plan: Plan, gate: Gate, row: Expr, as_of_us: int) -> Terms:
    """Production's error minus the candidate's, over the width of the scale; for a limit, minus the candidate's error.

    Values and truths are clipped to the scale. A failed arm is as wrong as it can be.
    """
    output = output_of(plan, gate)
    lowest, highest = gate.scale or (0.0, 1.0)
    width, scale, limited = highest - lowest, GRID * gate.steps, gate.form == "at_most"
    a_failed, b_failed = failed(row)
    a, b = (value.clip(lowest, highest) for value in values(output, row)[:2])
    truth = row[TRUTH_NUMBER.format(output.name)]
    answered = truth.notnull()
    truth = truth.clip(lowest, highest)
    a_error, b_error = (
        ibis.cases((arm_failed, 1.0), else_=(value - truth).abs() / width)
        for arm_failed, value in ((a_failed, a), (b_failed, b))
    )
    a_most, b_most = (ibis.greatest(value - lowest, highest - value) / width for value in (a, b))
    if limited:
        tie, difference = b_failed, ibis.cases((b_failed, -1.0), else_=-b_error)
        worst, best = -b_most, ibis.literal(0.0)
        even = -1.0
    else:
        tie = (a_failed & b_failed) | (~a_failed & ~b_failed & (a == b).fill_null(NEVER))
        difference = a_error - b_error
        apart = (a - b).abs() / width
        worst = ibis.cases((a_failed, 1.0 - b_most), (b_failed, -1.0), else_=-apart)
        best = ibis.cases((a_failed, 1.0), (b_failed, a_most - 1.0), else_=apart)
        even = 0.0
    needed, overdue = ~lost(row) & ~tie & ~answered, _overdue(plan, row, as_of_us)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases(
            (lost(row), -scale),
            else_=down(ibis.cases((tie, even), (answered, difference), else_=worst), scale),
        ),
        high=ibis.cases(
            (lost(row), top(gate) * scale),
            else_=up(ibis.cases((tie, even), (answered, difference), else_=best), scale),
        ),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & answered,
        production=~a_failed & _right(output, row, values(output, row)[0]),
        candidate=~b_failed & _right(output, row, values(output, row)[1]),
        came=~lost(row) & ~tie & answered,
        step=1,
        least=-scale,
        most=scale,
    )


def _of_output(plan: Plan, output: Output, row: Expr, as_of_us: int) -> Terms:
    production, candidate, tie, answered = _pair(output, row)
    a_failed, b_failed = failed(row)
    a_right = ~a_failed & _right(output, row, production)
    b_right = ~b_failed & _right(output, row, candidate)
    needed, overdue = ~lost(row) & ~tie & ~answered, _overdue(plan, row, as_of_us)
    difference = whole(b_right) - whole(a_right)
    return Terms(
        counts=ALWAYS,
        # A failed production cannot be right, so the worst left is a tie; a failed candidate cannot be right either.
        low=ibis.cases((lost(row), -1), (tie, 0), (answered, difference), (b_failed, -1), (a_failed, 0), else_=-1),
        high=ibis.cases((lost(row), 1), (tie, 0), (answered, difference), (b_failed, 0), else_=1),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~lost(row) & (answered | (a_failed & b_failed)),
        production=a_right,
        candidate=b_right,
        came=~lost(row) & ~tie & answered,
    )


def _pair(output: Output, row: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """Both values, whether they need no truth because they are alike, and whether truth is there."""
    production, candidate, agree = values(output, row)
    a_failed, b_failed = failed(row)
    tie = (a_failed & b_failed) | (~a_failed & ~b_failed & agree)
    return production, candidate, tie, row[TRUTH_TEXT.format(output.name)].notnull()


def _overdue(plan: Plan, row: Expr, as_of_us: int) -> Expr:
    expected_us = plan.truth.expected_within_us if plan.truth else 0
    return row.time_us + expected_us < as_of_us


def _right(output: Output, row: Expr, value: Expr) -> Expr:
    if output.compare == "number":
        distance = (value - row[TRUTH_NUMBER.format(output.name)]).abs()
        return (distance <= output.tolerance).fill_null(NEVER)
    return (value == row[TRUTH_TEXT.format(output.name)]).fill_null(NEVER)


def _flagged(gate: Gate, output: Output, row: Expr) -> tuple[tuple[Expr, Expr], Expr, Expr]:
    """Which arm said the named value (a failed one says nothing); whether truth is there; whether it is that value."""
    if gate.label is None:
        raise ValueError(f"gate {gate.id} names no value")
    production, candidate, _ = values(output, row)
    a_failed, b_failed = failed(row)
    flagged = (
        ~a_failed & is_value(output, production, gate.label),
        ~b_failed & is_value(output, candidate, gate.label),
    )
    number = output.compare == "number"
    truth = row[(TRUTH_NUMBER if number else TRUTH_TEXT).format(output.name)]
    return flagged, row[TRUTH_TEXT.format(output.name)].notnull(), is_value(output, truth, gate.label)


def _costs(gate: Gate, row: Expr, output: Output, answer: Expr, has_failed: Expr, answered: Expr) -> tuple[Expr, Expr]:
    """What the answer cost, in millionths of the largest cost: the least and the most that truth can make of it."""
    truth = row[TRUTH_TEXT.format(output.name)]
    otherwise = gate.cost_otherwise_ppm
    exact, least, most = [], [], []
    for said in dict.fromkeys(each[1] for each in gate.costs):
        named = {truth_text: ppm for truth_text, answer_text, ppm in gate.costs if answer_text == said}
        says = (answer == said).fill_null(NEVER)
        exact += [(says & (truth == text).fill_null(NEVER), ppm) for text, ppm in named.items()]
        possible = [*named.values(), named.get(said, 0), otherwise]
        least.append((says, min(possible)))
        most.append((says, max(possible)))
    known = ibis.cases((has_failed, otherwise), *exact, (_right(output, row, answer), 0), else_=otherwise)
    return (
        ibis.cases((answered, known), (has_failed, otherwise), *least, else_=min(0, otherwise)),
        ibis.cases((answered, known), (has_failed, otherwise), *most, else_=max(0, otherwise)),
    )
