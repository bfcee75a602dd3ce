"""How far each test is, and about when it could pass if it goes on as it did. An estimate: it decides nothing.

The sample: settled units come at the rate at which they came until the frontier (the request time up to which evidence
was read). The evidence: log e grows by the same amount with each unit, after the KAPPA nats that a mixture pays for not
knowing its bet beforehand (statistics.md, section 2), so that it reaches log(threshold) at

    n (log threshold + KAPPA) / (log e + KAPPA)        of n units with that e

Then come the declared duration, the end of the cycle, and what settling takes: truth that comes five days late is late
by five days at the end too.
"""

import math
from typing import Final, Literal

from gnomon.records import Record
from gnomon.records.plan import Duration
from gnomon.records.verdict import Result, TestResult, Verdict

KAPPA: Final = 0.75
"""Nats."""

_FEW: Final = 20
"""Units below which no date is guessed."""

_FARTHEST: Final = 1000
"""Times the units so far: what lies farther away is not worth a date."""

_DAY_US: Final = 86_400_000_000

Outlook = Literal[
    "passed", "expected", "after_deadline", "not_growing", "too_early", "no_estimate", "failed", "not_needed", "over"
]
"""`not_growing`: the evidence does not speak for the candidate; `over`: the verdict is final or sampling has ended."""


class Progress(Record, frozen=True, kw_only=True):
    """One test on its way to its sample and its threshold."""

    gate: str
    segment: str
    value: str
    soft: bool
    result: Result
    units: int
    """Settled units that can promote."""
    needed: int
    """Declared minimum."""
    units_per_day: float | None
    """Settled units a day of request time so far; None: none yet."""
    e_promote: float
    promote_at: float
    estimated_units: int | None
    """Units at which sample and evidence would both be reached; None: no estimate."""
    estimated_us: int | None
    """About when; None: no estimate."""
    outlook: Outlook


def progress(verdict: Verdict, duration: Duration) -> tuple[Progress, ...]:
    """Every test of the gates, then of the targets, in the verdict's order."""
    return tuple(_progress(verdict, duration, test) for test in (*verdict.tests, *verdict.targets))


def last(found: tuple[Progress, ...]) -> Progress | None:
    """The hard test that is expected last; None while one of them has no date, or all have passed."""
    open_tests = [each for each in found if not each.soft and each.outlook not in {"passed", "not_needed"}]
    if not open_tests or any(each.estimated_us is None for each in open_tests):
        return None
    return max(open_tests, key=lambda each: each.estimated_us or 0)


def _progress(verdict: Verdict, duration: Duration, test: TestResult) -> Progress:
    units = test.units or _settled(test)
    span_us = test.cell.frontier_us - verdict.started_us
    rate = units * _DAY_US / span_us if units and span_us > 0 else None
    wanted = _wanted(test, units)
    outlook = _outlook(verdict, test, units, wanted)
    when = _when(verdict, duration, test, units, wanted) if outlook == "expected" and wanted is not None else None
    if when is not None and duration.deadline_us is not None and when > verdict.started_us + duration.deadline_us:
        outlook = "after_deadline"
    return Progress(
        gate=test.gate,
        segment=test.segment,
        value=test.value,
        soft=test.soft,
        result=test.result,
        units=test.units,
        needed=test.needed,
        units_per_day=None if rate is None else float(f"{rate:.4g}"),
        e_promote=min(test.e_promote, 1e300),
        promote_at=test.promote_at,
        estimated_units=wanted if outlook in {"expected", "after_deadline"} else None,
        estimated_us=when,
        outlook=outlook,
    )


def _settled(test: TestResult) -> int:
    """Units that are settled in a cycle that is not closed yet: they tell the rate, and promote nothing."""
    return sum(count for _, count in test.cell.high)


def _wanted(test: TestResult, units: int) -> int | None:
    """Units for the sample and the evidence together; None: the evidence does not grow."""
    e = min(max(test.e_promote, 1e-300), 1e300)
    growth = math.log(e) + KAPPA
    if not units or e >= test.promote_at:
        return test.needed if units else None
    if not test.units:  # no closed cycle: no e-value yet, the sample is all there is to say
        return max(test.needed, units)
    if growth <= (math.log(test.promote_at) + KAPPA) / _FARTHEST:
        return None
    return max(test.needed, math.ceil(units * (math.log(test.promote_at) + KAPPA) / growth))


def _outlook(verdict: Verdict, test: TestResult, units: int, wanted: int | None) -> Outlook:
    if test.result == "fail":
        return "failed"
    if test.result == "pass":
        return "passed" if test.estimate is not None or test.units else "not_needed"
    if verdict.verdict in {"reject", "invalid", "inconclusive"}:
        return "over"
    if units and test.estimate is None and test.no_estimate is not None:
        return "no_estimate"
    if units < _FEW or not test.units or test.estimate is None:
        return "too_early"
    return "not_growing" if wanted is None else "expected"


def _when(verdict: Verdict, duration: Duration, test: TestResult, units: int, wanted: int) -> int | None:
    """Request time at which the units have come, moved by duration and cycle, and by what settling takes."""
    span_us = test.cell.frontier_us - verdict.started_us
    if span_us <= 0:
        return None
    after_us = max(round(span_us * max(1.0, wanted / units)), duration.at_least_us)
    if duration.cycle_us:
        after_us = -(-after_us // duration.cycle_us) * duration.cycle_us
    settling_us = max(0, verdict.as_of_us - test.cell.frontier_us)
    return max(verdict.started_us + after_us + settling_us, verdict.as_of_us)
