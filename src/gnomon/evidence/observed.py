"""D of the gates that need no truth: settled as soon as the exchange is in the log."""

from collections.abc import Callable

import ibis

from gnomon.evidence.terms import (
    ALWAYS,
    NEVER,
    Expr,
    Facts,
    Terms,
    down,
    label_of,
    output_of,
    up,
    whole,
)
from gnomon.log.tables import custom_column, output_columns, twin_column
from gnomon.records.evidence import GRID
from gnomon.records.plan import Gate, Plan


def agreement(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """-1 for each pair that does not agree. A failure agrees with nothing, not even with another failure.

    Against the twin: the candidate agrees with production, minus production agrees with itself. A unit is an exchange
    whose twin was drawn, lost ones and those whose twin could not be called too. Whether production would have agreed
    with a twin that failed or was not called is unknown: a shadow that overloads production must not lower the bar. An
    answer that a cache repeated says nothing about production's own noise.
    """
    a_failed, b_failed = row.failed
    output = output_of(plan, gate)
    agrees = ~a_failed & ~b_failed & row.agree(output)
    if not gate.against_twin:
        return _observed(row, a_good=ALWAYS, b_good=agrees, paired=False)
    column = twin_column(output.name)
    itself = ~a_failed & row.flag(f"twin_agrees.{output.name}", lambda row: row[column].fill_null(NEVER))
    unknown = ~a_failed & row.flag("twin_unknown", lambda row: (row.twin_outcome != "ok").fill_null(ALWAYS))
    drawn = row.flag("twin_drawn", lambda row: row.twin_drawn.fill_null(NEVER) & ~row.twin_repeat.fill_null(NEVER))
    return Terms(
        counts=drawn,
        low=ibis.cases((row.lost, -1), else_=whole(agrees) - whole(itself | unknown)),
        high=ibis.cases((row.lost, 1), else_=whole(agrees) - whole(itself & ~unknown)),
        known=~row.lost & ~unknown,
        production=itself,
        candidate=agrees,
    )


def share(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """How often the candidate says the named value, against production: more is bad, or less is bad.

    A failed arm says nothing. Where the candidate alone fails it is read as what is worse: as if it had said the value
    where more is bad, as if it had not where less is bad. Where both fail they do the same.
    """
    a_failed, b_failed = row.failed
    flagged_a, flagged_b = row.said(output_of(plan, gate), label_of(gate))
    if gate.form == "not_above":
        difference = whole(flagged_a) - whole(flagged_b | (b_failed & ~a_failed))
    else:
        difference = whole(flagged_b) - whole(flagged_a)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -1), else_=difference),
        high=ibis.cases((row.lost, 1), else_=difference),
        known=~row.lost,
        production=flagged_a,
        candidate=flagged_b,
    )


def error_rate(_plan: Plan, gate: Gate, row: Facts) -> Terms:
    """Production failed minus candidate failed; for a limit, -1 for each failure of the candidate.

    Against a multiple R = num/den of production's rate: R times production failed minus candidate failed, over R.
    """
    a_failed, b_failed = row.failed
    if gate.ratio is None:
        return _observed(row, a_good=~a_failed, b_good=~b_failed, paired=gate.form != "at_most")
    num, den = gate.ratio
    difference = num * whole(a_failed) - den * whole(b_failed)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -den), else_=difference),
        high=ibis.cases((row.lost, num), else_=difference),
        known=~row.lost,
        production=~a_failed,
        candidate=~b_failed,
        step=GRID * gate.steps // num,
        least=gate.bottom(num),
        most=num,
    )


def latency(_plan: Plan, gate: Gate, row: Facts) -> Terms:
    """-1 for each answer of the candidate over the limit. A failed call is infinitely slow.

    A late call ran at another time than production's. One that was answered is left out; of one that failed it is
    unknown what it would have done in time (it may be late because the candidate hangs), and so imputed. A lost one is
    lost, whatever made it late. Against a ratio the evidence is in the tails (`tails.py`), and D, which is 0, only
    counts the pairs.
    """
    a_failed, b_failed = row.failed
    unknown = ~row.lost & row.late & b_failed
    counts, known = ~row.late | row.lost | b_failed, ~row.lost & ~unknown
    low = high = ibis.literal(0, "int64")
    a_good = b_good = NEVER
    if gate.ratio is None:
        limit_us = gate.limit_us
        a_good = ~a_failed & row.flag(
            f"a_within.{limit_us}", lambda row: (row.production_latency_us <= limit_us).fill_null(NEVER)
        )
        b_good = ~b_failed & row.flag(
            f"b_within.{limit_us}", lambda row: (row.candidate_latency_us <= limit_us).fill_null(NEVER)
        )
        low = ibis.cases((row.lost, -1), else_=whole(b_good) - 1)
        high = ibis.cases((row.lost | unknown, 0), else_=whole(b_good) - 1)
    return Terms(
        counts=counts,
        low=low,
        high=high,
        known=known,
        production=a_good,
        candidate=b_good,
        imputed=unknown,
    )


def refusal_rate(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """Production refused minus candidate refused; for a limit, -1 for each refusal. No answer is a refusal."""
    a_failed, b_failed = row.failed
    said_a, said_b = row.said(output_of(plan, gate), label_of(gate))
    return _observed(row, a_good=~a_failed & ~said_a, b_good=~b_failed & ~said_b, paired=gate.form != "at_most")


def cost(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """What production cost minus what the candidate cost, over the width of the scale; what is outside is clipped.

    For a limit: minus what the candidate cost, over the scale's upper end. A failed call cost the most there can be.
    """
    low, high = gate.scale or (0.0, 1.0)
    columns = output_columns(output_of(plan, gate).name)

    def difference(row: Expr) -> Expr:
        # null where the arm failed
        cost_a, cost_b = (
            ibis.cases((row[column].isnull(), high), else_=row[column].clip(low, high)) for column in columns[:2]
        )
        limited = gate.form == "at_most"
        return -ibis.greatest(cost_b, 0.0) / high if limited else (cost_a - cost_b) / (high - low)

    a_failed, b_failed = row.failed
    return _real(gate, row, difference, difference, known=~row.lost & ~a_failed & ~b_failed)


def custom(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """What the user's function said of the pair. Null, NaN and infinite are unknown; what is outside is clipped.

    The function decides what is better, so of a pair it gave no number for nothing is known, whichever arm failed.
    """
    column = custom_column(next(place for place, each in enumerate(plan.customs) if each.id == gate.id))

    def readable(row: Expr) -> Expr:
        # A finite number minus itself is 0, and NaN and the infinite give NaN. Not a comparison, nor `isnan`: an engine
        # may answer both from a file's statistics, which leave NaN out
        return ((row[column] - row[column]) == 0.0).fill_null(NEVER)

    def ends(row: Expr) -> tuple[Expr, Expr]:
        value = (readable(row), row[column].clip(-1.0, 1.0))
        return ibis.cases(value, else_=-1.0), ibis.cases(value, else_=1.0)

    known = ~row.lost & row.flag(f"readable.{column}", readable)
    return _real(gate, row, lambda row: ends(row)[0], lambda row: ends(row)[1], known=known)


def _real(gate: Gate, row: Facts, low: Callable[[Expr], Expr], high: Callable[[Expr], Expr], *, known: Expr) -> Terms:
    """Terms of a D that is a real number."""
    scale = GRID * gate.steps
    downward = row.number(f"{gate.id}.low", lambda row: down(low(row), scale))
    upward = row.number(f"{gate.id}.high", lambda row: up(high(row), scale))
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -scale), else_=downward),
        high=ibis.cases((row.lost, gate.top * scale), else_=upward),
        known=known,
        production=NEVER,
        candidate=NEVER,
        step=1,
        least=-scale,
        most=scale,
    )


def _observed(row: Facts, *, a_good: Expr, b_good: Expr, paired: bool = True) -> Terms:
    """Terms of what is good or is not."""
    difference = whole(b_good) - (whole(a_good) if paired else 1)
    return Terms(
        counts=ALWAYS,
        low=ibis.cases((row.lost, -1), else_=difference),
        high=ibis.cases((row.lost, 1 if paired else 0), else_=difference),
        known=~row.lost,
        production=a_good,
        candidate=b_good,
    )
