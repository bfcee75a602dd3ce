"""D of the gates that look at truth. Until truth comes an exchange waits; when it is overdue, D is worst and best.

Worst and best of what is left: a failed arm cannot be right, two numbers cannot be further apart than they are.
"""

from functools import partial, reduce
from operator import and_, or_

import ibis

from gnomon.evidence.terms import (
    ALWAYS,
    NEVER,
    NO_UNIT,
    TRUTH_NUMBER,
    TRUTH_TEXT,
    Expr,
    Facts,
    Terms,
    down,
    is_right,
    label_of,
    output_of,
    up,
    whole,
)
from gnomon.log.tables import output_columns
from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, Output, Plan

_PPM = 1_000_000


def available(plan: Plan, row: Facts) -> Expr:
    """Whether truth can come for the exchange: production said one of the declared values, of each such output."""
    if plan.truth is None or not plan.truth.available:
        return ALWAYS
    outputs = {output.name: output for output in plan.outputs}
    each = [
        reduce(or_, (row.said(outputs[one.output], text)[0] for text in one.values)) for one in plan.truth.available
    ]
    return reduce(and_, each)


def accuracy(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """Correct candidate minus correct production. A failed arm is wrong; the same answer twice needs no truth.

    Answers that agree within a tolerance may be right and wrong: there truth decides, as where they differ.
    """
    return _of_output(plan, output_of(plan, gate), row)


def field(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """The mean of accuracy over the outputs that make up one document."""
    named = {output.name: output for output in plan.outputs}
    each = [_of_output(plan, named[name], row) for name in gate.outputs]
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


def recall(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """Of the exchanges whose truth is the named value: the candidate said it, minus production said it.

    An exchange whose truth never comes may or may not be one of them: it is a unit only where that hurts the claim. So
    it is in the mean of several: with D = 0 it draws the others' mean towards 0.
    """
    output = output_of(plan, gate)
    flagged_a, flagged_b = row.said(output, label_of(gate))
    answered, positive = row.answered(output), row.true(output, label_of(gate))
    difference = whole(flagged_b) - whole(flagged_a)
    needed, overdue = ~row.lost & ~answered, row.overdue(plan)
    return Terms(
        counts=~answered | positive,
        low=ibis.cases((row.lost, -1), (answered, difference), (difference < 0, difference), else_=NO_UNIT),
        high=ibis.cases((row.lost, 1), (answered, difference), (difference >= 0, difference), else_=NO_UNIT),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~row.lost & positive,
        production=flagged_a,
        candidate=flagged_b,
        came=~row.lost & positive,
        unsure=needed & (difference == 0),
    )


def precision(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """-1 for what was flagged wrongly, of what the candidate flagged; and the same of production, as reference."""
    output = output_of(plan, gate)
    flagged_a, flagged_b = row.said(output, label_of(gate))
    answered, positive = row.answered(output), row.true(output, label_of(gate))
    any_flagged = flagged_a | flagged_b
    needed, overdue = ~row.lost & any_flagged & ~answered, row.overdue(plan)
    right = ibis.cases((positive, 0), else_=-1)
    return Terms(
        counts=row.lost | any_flagged,
        low=ibis.cases((row.lost, -1), (~flagged_b, NO_UNIT), (answered, right), else_=-1),
        high=ibis.cases((row.lost, 0), (~flagged_b, NO_UNIT), (answered, right), else_=0),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~row.lost & answered,
        production=flagged_a & positive,
        candidate=flagged_b & positive,
        came=~row.lost & answered,
        reference_low=ibis.cases((~flagged_a, NO_UNIT), (answered, right), else_=0),
        reference_high=ibis.cases((~flagged_a, NO_UNIT), (answered, right), else_=-1),
    )


def loss(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """What production's answer cost minus what the candidate's cost, over the largest cost.

    A failed arm costs the largest.
    """
    output, scale = output_of(plan, gate), GRID * gate.steps

    def ends(row: Expr) -> tuple[Expr, Expr]:
        costs_a, costs_b = (_costs(gate, output, row, column) for column in output_columns(output.name)[:2])
        # Both divisions have nonnegative numerators: engines disagree about the rest of a negative one.
        low = (costs_a[0] - costs_b[1] + _PPM) * scale // _PPM - scale
        return low, scale - (costs_b[0] - costs_a[1] + _PPM) * scale // _PPM

    tie, answered = _tie(output, row), row.answered(output)
    a_failed, b_failed = row.failed
    a_right, b_right = row.right(output)
    needed, overdue = ~row.lost & ~tie & ~answered, row.overdue(plan)
    low = row.number(f"{gate.id}.low", lambda row: ends(row)[0])
    high = row.number(f"{gate.id}.high", lambda row: ends(row)[1])
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -scale), (tie, 0), else_=low),
        high=ibis.cases((row.lost, scale), (tie, 0), else_=high),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~row.lost & (answered | (a_failed & b_failed)),
        production=a_right,
        candidate=b_right,
        came=~row.lost & ~tie & answered,
        step=1,
        least=-scale,
        most=scale,
    )


def numeric(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """Production's error minus the candidate's, over the width of the scale; for a limit, minus the candidate's error.

    Values and truths are clipped to the scale. A failed arm is as wrong as it can be.
    """
    output, scale, limited = output_of(plan, gate), GRID * gate.steps, gate.form == "at_most"
    ends = partial(_errors, gate, output)
    a_failed, b_failed = row.failed
    if limited:
        tie = b_failed
    else:
        same = row.flag(f"same_clipped.{gate.id}", partial(_same, gate, output))
        tie = (a_failed & b_failed) | (~a_failed & ~b_failed & same)
    answered = row.answered(output)
    a_right, b_right = row.right(output)
    needed, overdue = ~row.lost & ~tie & ~answered, row.overdue(plan)
    low = row.number(f"{gate.id}.low", lambda row: down(ends(row)[0], scale))
    high = row.number(f"{gate.id}.high", lambda row: up(ends(row)[1], scale))
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -scale), else_=low),
        high=ibis.cases((row.lost, gate.top * scale), else_=high),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~row.lost & answered,
        production=a_right,
        candidate=b_right,
        came=~row.lost & ~tie & answered,
        step=1,
        least=-scale,
        most=scale,
    )


def _of_output(plan: Plan, output: Output, row: Facts) -> Terms:
    tie, answered = _tie(output, row), row.answered(output)
    a_failed, b_failed = row.failed
    a_right, b_right = row.right(output)
    needed, overdue = ~row.lost & ~tie & ~answered, row.overdue(plan)
    difference = whole(b_right) - whole(a_right)
    return Terms(
        counts=ALWAYS,
        # A failed production cannot be right, so the worst left is a tie; a failed candidate cannot be right either.
        low=ibis.cases((row.lost, -1), (tie, 0), (answered, difference), (b_failed, -1), (a_failed, 0), else_=-1),
        high=ibis.cases((row.lost, 1), (tie, 0), (answered, difference), (b_failed, 0), else_=1),
        waits=needed & ~overdue,
        imputed=needed & overdue,
        known=~row.lost & (answered | (a_failed & b_failed)),
        production=a_right,
        candidate=b_right,
        came=~row.lost & ~tie & answered,
    )


def _tie(output: Output, row: Facts) -> Expr:
    """Both answers are the same value, or neither is there: whatever truth says, D is 0."""
    a_failed, b_failed = row.failed
    return (a_failed & b_failed) | row.same(output)


def _costs(gate: Gate, output: Output, row: Expr, column: str) -> tuple[Expr, Expr]:
    """What an answer cost, in millionths of the largest cost: the least and the most that truth can make of it."""
    answer, truth = row[column], row[TRUTH_TEXT.format(output.name)]
    has_failed, answered = answer.isnull(), truth.notnull()
    otherwise = gate.cost_otherwise_ppm
    exact, least, most = [], [], []
    for said in dict.fromkeys(each[1] for each in gate.costs):
        named = {truth_text: ppm for truth_text, answer_text, ppm in gate.costs if answer_text == said}
        says = (answer == said).fill_null(NEVER)
        exact += [(says & (truth == text).fill_null(NEVER), ppm) for text, ppm in named.items()]
        possible = [*named.values(), named.get(said, 0), otherwise]
        least.append((says, min(possible)))
        most.append((says, max(possible)))
    # a call that failed is no answer: whatever the others cost, it must not be a way to be cheap
    known = ibis.cases((has_failed, _PPM), *exact, (is_right(output, row, answer), 0), else_=otherwise)
    return (
        ibis.cases((answered, known), (has_failed, _PPM), *least, else_=min(0, otherwise)),
        ibis.cases((answered, known), (has_failed, _PPM), *most, else_=max(0, otherwise)),
    )


def _clipped(gate: Gate, output: Output, row: Expr) -> tuple[Expr, Expr]:
    lowest, highest = gate.scale or (0.0, 1.0)
    a, b = (row[column].clip(lowest, highest) for column in output_columns(output.name)[:2])
    return a, b


def _same(gate: Gate, output: Output, row: Expr) -> Expr:
    """Both numbers are the same on the scale."""
    a, b = _clipped(gate, output, row)
    return (a == b).fill_null(NEVER)


def _errors(gate: Gate, output: Output, row: Expr) -> tuple[Expr, Expr]:
    """The least and the most D of two numbers, as reals, that truth can make of them. Null is an arm that failed."""
    lowest, highest = gate.scale or (0.0, 1.0)
    width = highest - lowest
    a, b = _clipped(gate, output, row)
    a_failed, b_failed = a.isnull(), b.isnull()
    truth = row[TRUTH_NUMBER.format(output.name)]
    answered, truth = truth.notnull(), truth.clip(lowest, highest)
    a_error = ibis.cases((a_failed, 1.0), else_=(a - truth).abs() / width)
    b_error = ibis.cases((b_failed, 1.0), else_=(b - truth).abs() / width)
    a_most, b_most = (ibis.greatest(value - lowest, highest - value) / width for value in (a, b))
    if gate.form == "at_most":
        known = [(b_failed, -1.0), (answered, -b_error)]
        return ibis.cases(*known, else_=-b_most), ibis.cases(*known, else_=0.0)
    known = [(a_failed & b_failed, 0.0), ((a == b).fill_null(NEVER), 0.0), (answered, a_error - b_error)]
    apart = (a - b).abs() / width
    return (
        ibis.cases(*known, (a_failed, 1.0 - b_most), (b_failed, -1.0), else_=-apart),
        ibis.cases(*known, (a_failed, 1.0), (b_failed, a_most - 1.0), else_=apart),
    )
