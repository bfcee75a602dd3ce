"""Alarms: harm that is shown, and not beyond a margin. Sentences in the reasons, on which no verdict rests.

Each test that allows a margin is held against "as good as production" as well. An alarm needs an e-value of as many
times 1/alpha as there are such tests: of a candidate that is as good as production everywhere, there is ever an alarm
with a probability of at most alpha, however often one looks.
"""

from collections.abc import Sequence

from msgspec import structs

from gnomon.decide import claims, kinds, precision, ratio, wording
from gnomon.decide.rows import Levels, Numbers, Row
from gnomon.decide.words import short
from gnomon.records.plan import Plan
from gnomon.stats import betting


def alarms(plan: Plan, rows: Sequence[Row], found: Sequence[Numbers], alpha: float) -> dict[int, str]:
    """By the test's place: its sentence, where it has one."""
    tails = [index for index, row in enumerate(rows) if row.is_latency_ratio and found[index].blocked is None]
    flags = [index for index, row in enumerate(rows) if row.is_precision and row.test.margin_ppm]
    plain = [index for index, row in enumerate(rows) if _allows_harm(row)]
    tests = len(tails) + len(flags) + len(plain)
    if not tests:
        return {}
    shown = _e_values(rows, plain) | _of_precision(rows, flags, alpha, tests)
    sentences = {
        index: wording.alarm(plan, rows[index], _harm(rows[index], found[index]), f"e {short(e)}")
        for index, e in shown.items()
        if e >= tests / alpha
    }
    for index in tails:
        slower = ratio.slower(rows[index], alpha / tests)
        if slower is not None and slower > 1:
            harm = f"the candidate is slower than production, at least {slower:.3g} times"
            sentences[index] = wording.alarm(plan, rows[index], harm, "")
    return dict(sorted(sentences.items()))


def _allows_harm(row: Row) -> bool:
    """Whether a candidate that passes may be worse than production: D is a difference, with a margin."""
    return row.gate.top != 0 and row.test.margin_ppm != 0 and not (row.is_precision or row.is_latency_ratio)


def _e_values(rows: Sequence[Row], chosen: Sequence[int]) -> dict[int, float]:
    """Against mean D >= 0."""
    each = [_without_margin(rows[index]) for index in chosen]
    counts, values, weights = betting.tabulate_weighted(
        [[(part.factor, part.high) for part in row.parts] for row in each]
    )
    e_values = betting.e_reject(counts, values, [claims.claim(row.gate, row.test) for row in each], weights)
    return dict(zip(chosen, map(float, e_values), strict=True))


def _of_precision(rows: Sequence[Row], chosen: Sequence[int], alpha: float, tests: int) -> dict[int, float]:
    levels = Levels(alpha, promote_tests=1, reject_tests=tests)
    found = precision.numbers([_without_margin(rows[index]) for index in chosen], levels)
    return {index: now.e_reject for index, now in zip(chosen, found, strict=True)}


def _without_margin(row: Row) -> Row:
    return Row(row.gate, structs.replace(row.test, margin_ppm=0), row.cell, row.parts)


def _harm(row: Row, now: Numbers) -> str:
    size = None if now.estimate is None else kinds.sized(row.gate, now.estimate)
    if row.gate.form in kinds.SIDES:
        return f"{kinds.SIDES[row.gate.form]} production's{f' by {size[1:]}' if size else ''}"
    return f"the candidate is worse than production{f' ({size})' if size else ''}"
