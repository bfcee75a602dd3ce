"""The looks that were kept: what each test's e-values were, look by look."""

from collections.abc import Sequence
from typing import Final

from gnomon.records import Record
from gnomon.records.verdict import Result, TestResult, Verdict, VerdictName

AT_MOST: Final = 200
"""Looks that a report holds; of more, the first, the last, and evenly between them."""

_LARGEST: Final = 1e300


class Look(Record, frozen=True, kw_only=True):
    """One look that was kept."""

    number: int
    """Its number in the state database."""
    as_of_us: int
    verdict: VerdictName


class Track(Record, frozen=True, kw_only=True):
    """One test through all looks; None where a look did not have it."""

    gate: str
    segment: str
    value: str
    soft: bool
    result: Result
    """At the last look that has the test."""
    promote_at: float
    reject_at: float
    units: tuple[int | None, ...]
    e_promote: tuple[float | None, ...]
    e_reject: tuple[float | None, ...]


class History(Record, frozen=True, kw_only=True):
    """Looks, oldest first, and each test's track through them."""

    looks: tuple[Look, ...] = ()
    tracks: tuple[Track, ...] = ()
    left_out: int = 0
    """Looks that were kept and are not here."""


def thinned(numbers: Sequence[int], at_most: int = AT_MOST) -> list[int]:
    """The first, the last and evenly between them."""
    if len(numbers) <= at_most:
        return list(numbers)
    last = len(numbers) - 1
    return [numbers[round(place * last / (at_most - 1))] for place in range(at_most)]


def history(looks: Sequence[tuple[int, Verdict]], left_out: int = 0) -> History:
    """The tracks of these looks, in the order of the last one's tests."""
    if not looks:
        return History(left_out=left_out)
    by_look = [{_key(test): test for test in _tests(verdict)} for _, verdict in looks]
    return History(
        looks=tuple(
            Look(number=number, as_of_us=verdict.as_of_us, verdict=verdict.verdict) for number, verdict in looks
        ),
        tracks=tuple(_track(test, [tests.get(_key(test)) for tests in by_look]) for test in _tests(looks[-1][1])),
        left_out=left_out,
    )


def _tests(verdict: Verdict) -> tuple[TestResult, ...]:
    return (*verdict.tests, *verdict.targets)


def _key(test: TestResult) -> tuple[str, str, str, bool]:
    return test.gate, test.segment, test.value, test.soft


def _track(last: TestResult, found: Sequence[TestResult | None]) -> Track:
    return Track(
        gate=last.gate,
        segment=last.segment,
        value=last.value,
        soft=last.soft,
        result=last.result,
        promote_at=last.promote_at,
        reject_at=last.reject_at,
        units=tuple(None if test is None else test.units for test in found),
        e_promote=tuple(None if test is None else min(test.e_promote, _LARGEST) for test in found),
        e_reject=tuple(None if test is None else min(test.e_reject, _LARGEST) for test in found),
    )
