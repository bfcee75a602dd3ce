"""Precision: the statistics of tests that hold the candidate's flags against production's."""

from collections.abc import Sequence
from fractions import Fraction

from gnomon.decide import claims, weighing
from gnomon.decide.rows import Levels, Numbers, Row, digits, nine
from gnomon.stats import precision

Rate = Fraction | None


def numbers(rows: Sequence[Row], levels: Levels) -> list[Numbers]:
    """The statistics of precision tests, in their order."""
    if not rows:
        return []
    each = [claims.flagged_wrongly(row.test) for row in rows]
    margins = [row.test.margin_ppm / claims.PPM for row in rows]
    low = precision.flags([[(part.factor, part.low) for part in row.parts] for row in rows])
    high = precision.flags([[(part.factor, part.high) for part in row.parts] for row in rows])
    best = precision.flags([[(part.factor, part.reference_low) for part in row.parts] for row in rows])
    worst = precision.flags([[(part.factor, part.reference_high) for part in row.parts] for row in rows])
    promote_level = levels.alpha / levels.promote_tests
    promote = precision.precision_e(low, best, margins, each, promote_level)
    reject = precision.precision_e_reject(high, worst, margins, each, levels.alpha / levels.reject_tests)
    lower, _ = precision.precision_interval(low, best, each, levels.alpha)
    _, upper = precision.precision_interval(high, worst, each, levels.alpha)
    found = []
    for index, row in enumerate(rows):
        candidate, production = rates(row)
        found.append(
            Numbers(
                estimate=None if candidate is None or production is None else nine(candidate - production),
                lower=nine(float(lower[index])) if row.cell.low else None,
                upper=nine(float(upper[index])) if row.cell.high else None,
                e_promote=digits(float(promote[index])),
                e_reject=digits(float(reject[index])),
                production=nine(production),
                candidate=nine(candidate),
                no_estimate=_why(candidate, production),
            )
        )
    return found


def rates(row: Row) -> tuple[Rate, Rate]:
    """The precision of the candidate and of production; None: nothing was flagged.

    The unknown is taken as worst for the candidate and as best for production; before the first closed cycle the other
    way round.
    """
    low = any(part.low for part in row.parts)
    mine = [(part.weight, part.low if low else part.high) for part in row.parts]
    theirs = [(part.weight, part.reference_low if low else part.reference_high) for part in row.parts]
    candidate, production = weighing.mean_of(mine, row.cell.grid), weighing.mean_of(theirs, row.cell.grid)
    return None if candidate is None else 1 + candidate, None if production is None else 1 + production


def _why(candidate: Rate, production: Rate) -> str | None:
    if candidate is not None and production is not None:
        return None
    if candidate is None and production is None:
        return "neither arm flagged anything"
    return f"{'the candidate' if candidate is None else 'production'} flagged nothing"
