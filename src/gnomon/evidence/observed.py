"""D of the gates that need no truth: settled as soon as the exchange is in the log."""

import ibis

from gnomon.evidence.terms import (
    ALWAYS,
    NEVER,
    Expr,
    Terms,
    bottom,
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
from gnomon.log.tables import custom_column, twin_column
from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, Plan


def agreement(plan: Plan, gate: Gate, row: Expr) -> Terms:
    """-1 for each pair that does not agree. A failure agrees with nothing, not even with another failure.

    Against the twin: the candidate agrees with production, minus production agrees with itself. A unit is an exchange
    whose twin was drawn; an answer that a cache repeated says nothing about production's own noise.
    """
    a_failed, b_failed = failed(row)
    output = output_of(plan, gate)
    agrees = ~a_failed & ~b_failed & values(output, row)[2]
    if not gate.against_twin:
        return _observed(row, a_good=ALWAYS, b_good=agrees, paired=False)
    itself = ~a_failed & (row.twin_outcome == "ok").fill_null(NEVER) & row[twin_column(output.name)].fill_null(NEVER)
    drawn = row.twin_outcome.notnull() & ~row.twin_repeat.fill_null(NEVER)
    return _observed(row, a_good=itself, b_good=agrees, counts=drawn)


def share(plan: Plan, gate: Gate, row: Expr) -> Terms:
    """How often the candidate says the named value, against production: more is bad, or less is bad.

    A failed arm says nothing. Where the candidate alone fails it is read as what is worse: as if it had said the value
    where more is bad, as if it had not where less is bad. Where both fail they do the same.
    """
    output = output_of(plan, gate)
    a_failed, b_failed = failed(row)
    production, candidate, _ = values(output, row)
    flagged_a, flagged_b = (
        ~has_failed & is_value(output, value, _label(gate))
        for has_failed, value in ((a_failed, production), (b_failed, candidate))
    )
    if gate.form == "not_above":
        difference = whole(flagged_a) - whole(flagged_b | (b_failed & ~a_failed))
    else:
        difference = whole(flagged_b) - whole(flagged_a)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((lost(row), -1), else_=difference),
        high=ibis.cases((lost(row), 1), else_=difference),
        known=~lost(row),
        production=flagged_a,
        candidate=flagged_b,
    )


def error_rate(_plan: Plan, gate: Gate, row: Expr) -> Terms:
    """Production failed minus candidate failed; for a limit, -1 for each failure of the candidate.

    Against a multiple R = num/den of production's rate: R times production failed minus candidate failed, over R.
    """
    a_failed, b_failed = failed(row)
    if gate.ratio is None:
        return _observed(row, a_good=~a_failed, b_good=~b_failed, paired=gate.form != "at_most")
    num, den = gate.ratio
    difference = num * whole(a_failed) - den * whole(b_failed)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((lost(row), -den), else_=difference),
        high=ibis.cases((lost(row), num), else_=difference),
        known=~lost(row),
        production=~a_failed,
        candidate=~b_failed,
        step=GRID * gate.steps // num,
        least=int(bottom(gate) * num),
        most=num,
    )


def latency(_plan: Plan, gate: Gate, row: Expr) -> Terms:
    """-1 for each answer of the candidate over the limit. A failed call is infinitely slow.

    A late call ran at another time than production's and is left out; a lost one is not, whatever made it late.
    Against a ratio the evidence is in the tails (`tails.py`), and D, which is 0, only counts the pairs.
    """
    counts = ~row.late | lost(row)
    if gate.ratio is not None:
        nothing = ibis.literal(0, "int64")
        return Terms(counts=counts, low=nothing, high=nothing, known=~lost(row), production=NEVER, candidate=NEVER)

    def within(value: Expr) -> Expr:
        return (value <= gate.limit_us).fill_null(NEVER)

    a_failed, b_failed = failed(row)
    a_good = ~a_failed & within(row.production_latency_us)
    b_good = ~b_failed & within(row.candidate_latency_us)
    return _observed(row, a_good=a_good, b_good=b_good, paired=False, counts=counts)


def refusal_rate(plan: Plan, gate: Gate, row: Expr) -> Terms:
    """Production refused minus candidate refused; for a limit, -1 for each refusal. No answer is a refusal."""
    output = output_of(plan, gate)
    a_failed, b_failed = failed(row)
    production, candidate, _ = values(output, row)
    a_good = ~a_failed & ~is_value(output, production, _label(gate))
    b_good = ~b_failed & ~is_value(output, candidate, _label(gate))
    return _observed(row, a_good=a_good, b_good=b_good, paired=gate.form != "at_most")


def cost(plan: Plan, gate: Gate, row: Expr) -> Terms:
    """What production cost minus what the candidate cost, over the width of the scale; what is outside is clipped.

    For a limit: minus what the candidate cost, over the scale's upper end. A failed call cost the most there can be.
    """
    low, high = gate.scale or (0.0, 1.0)
    a_failed, b_failed = failed(row)
    production, candidate, _ = values(output_of(plan, gate), row)
    cost_a, cost_b = (
        ibis.cases((has_failed | value.isnull(), high), else_=value.clip(low, high))
        for has_failed, value in ((a_failed, production), (b_failed, candidate))
    )
    limited = gate.form == "at_most"
    difference = -ibis.greatest(cost_b, 0.0) / high if limited else (cost_a - cost_b) / (high - low)
    return _real(gate, row, difference, difference, known=~lost(row) & ~a_failed & ~b_failed)


def custom(plan: Plan, gate: Gate, row: Expr) -> Terms:
    """What the user's function said of the pair. Null, NaN and infinite are unknown; what is outside is clipped.

    Of a failed arm it is known that it cannot have been right: a tie is the most of a failed candidate, and the least
    of a failed production.
    """
    said = row[custom_column(next(place for place, each in enumerate(plan.customs) if each.id == gate.id))]
    readable = (said.notnull() & ~said.isnan() & ~said.isinf()).fill_null(NEVER)
    a_failed, b_failed = failed(row)
    value = said.clip(-1.0, 1.0)
    low = ibis.cases((readable, value), (b_failed & ~a_failed, -1.0), (a_failed, 0.0), else_=-1.0)
    high = ibis.cases((readable, value), (b_failed, 0.0), else_=1.0)
    return _real(gate, row, low, high, known=~lost(row) & readable)


def _label(gate: Gate) -> str:
    if gate.label is None:
        raise ValueError(f"gate {gate.id} names no value")
    return gate.label


def _real(gate: Gate, row: Expr, low: Expr, high: Expr, *, known: Expr) -> Terms:
    """Terms of a D that is a real number."""
    scale = GRID * gate.steps
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((lost(row), -scale), else_=down(low, scale)),
        high=ibis.cases((lost(row), top(gate) * scale), else_=up(high, scale)),
        known=known,
        production=NEVER,
        candidate=NEVER,
        step=1,
        least=-scale,
        most=scale,
    )


def _observed(row: Expr, *, a_good: Expr, b_good: Expr, paired: bool = True, counts: Expr | None = None) -> Terms:
    """Terms of what is good or is not."""
    difference = whole(b_good) - (whole(a_good) if paired else 1)
    return Terms(
        counts=ALWAYS if counts is None else counts,
        low=ibis.cases((lost(row), -1), else_=difference),
        high=ibis.cases((lost(row), 1 if paired else 0), else_=difference),
        known=~lost(row),
        production=a_good,
        candidate=b_good,
    )
