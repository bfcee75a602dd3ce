"""How far a test is and about when it could pass: an estimate that is never given where it would be a guess."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.records.plan import Duration
from gnomon.report import words
from gnomon.report.history import AT_MOST, history, thinned
from gnomon.report.progress import last, progress
from tests.report import reports

DAY = reports.DAY
GATE = reports.KINDS[0][0]
ENDLESS = Duration()
EARLY = reports.a_report(reports.EARLY).verdict


def a_verdict(*, verdict="continue", settling_us=0, **changes):
    """One test after three days: 5,000 units with an e-value of 3.1, unless changed."""
    made = EARLY
    test = reports.a_result(GATE, GATE.tests[0], **changes)
    as_of_us = test.cell.frontier_us + settling_us
    return structs.replace(made, verdict=verdict, tests=(test,), targets=(), as_of_us=as_of_us)


def only(verdict, duration=ENDLESS):
    (found,) = progress(verdict, duration)
    return found


def test_the_date_follows_from_the_rate_of_units_and_the_growth_of_the_evidence():
    found = only(a_verdict())

    # 5,000 units in 3 days; log e is 1.131, of log 20 = 2.996: 5,000 * 3.746 / 1.881 = 9,955 units, after 5.973 days
    assert (found.outlook, found.estimated_units, found.units_per_day) == ("expected", 9_955, 1667.0)
    assert found.estimated_us == pytest.approx(reports.START + 3 * DAY * 9_955 / 5_000, abs=1)


def test_the_sample_may_take_longer_than_the_evidence():
    found = only(a_verdict(needed=50_000))

    assert found.estimated_units == 50_000
    assert found.estimated_us == reports.START + 30 * DAY


def test_duration_cycles_and_what_settling_takes_come_on_top():
    later = only(a_verdict(), Duration(at_least_us=10 * DAY))
    cycles = only(a_verdict(), Duration(cycle_us=7 * DAY))
    slow_truth = only(a_verdict(settling_us=5 * DAY), Duration(cycle_us=7 * DAY))

    assert later.estimated_us == reports.START + 10 * DAY
    assert cycles.estimated_us == reports.START + 7 * DAY
    assert slow_truth.estimated_us == reports.START + 12 * DAY


def test_a_date_after_the_deadline_says_so():
    found = only(a_verdict(), Duration(deadline_us=5 * DAY))

    assert found.outlook == "after_deadline"
    assert words.outlook(found) == "about 2026-09-27, after the deadline"


def test_truth_that_comes_after_the_deadline_is_not_late():
    found = only(a_verdict(settling_us=9 * DAY), Duration(deadline_us=6 * DAY))

    assert found.outlook == "expected"
    assert found.estimated_us > reports.START + 6 * DAY


@pytest.mark.parametrize(
    ("changes", "outlook", "said"),
    [
        ({"e_promote": 0.4}, "not_growing", "no date: the evidence does not grow"),
        ({"e_promote": 0.473}, "not_growing", "no date: the evidence does not grow"),
        ({"units": 12}, "too_early", "too early for a date"),
        ({"estimate": None, "no_estimate": "the load does not match"}, "no_estimate", "no date: there is no estimate"),
        ({"needed": 10**8}, "far", "in more than ten years"),
        ({"result": "fail"}, "failed", "fails"),
        ({"result": "pass", "e_promote": 44.0}, "passed", "passes"),
        ({"verdict": "reject"}, "over", "ended without it"),
        ({"verdict": "inconclusive"}, "over", "ended without it"),
    ],
)
def test_where_a_date_would_be_a_guess_there_is_none(changes, outlook, said):
    found = only(a_verdict(**changes))

    assert (found.outlook, found.estimated_us, found.estimated_units) == (outlook, None, None)
    assert words.outlook(found) == said


def test_no_units_and_no_time_are_no_data():
    empty = progress(reports.empty().verdict, ENDLESS)

    assert {each.outlook for each in empty} == {"too_early", "not_needed"}
    assert all(each.units_per_day is None and each.estimated_us is None for each in empty)
    assert words.progress(empty[0]) == "0 of 1,000 units; no data; too early for a date"


def test_the_last_test_is_the_one_that_all_others_wait_for():
    made = a_verdict()
    slow = structs.replace(made.tests[0], value="FR", segment="country", needed=50_000)
    done = structs.replace(made.tests[0], value="DE", segment="country", result="pass")
    lost = structs.replace(slow, value="US", e_promote=0.1)
    soft = structs.replace(lost, soft=True)

    def of(*tests, targets=()):
        return last(progress(structs.replace(made, tests=tests, targets=targets), ENDLESS))

    assert of(made.tests[0], slow, done, targets=(soft,)).value == "FR"
    assert of(made.tests[0], slow, lost) is None  # one has no date: there is none for the trial
    assert of(done) is None


@settings(deadline=None)
@given(
    st.floats(0, 1e300, allow_nan=False),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 400),
    st.integers(0, 30),
)
def test_no_numbers_whatever_break_it_and_no_date_lies_before_the_look(e, units, needed, days, settling):
    verdict = a_verdict(e_promote=e, units=units, needed=needed, settling_us=settling * DAY)
    cell = structs.replace(verdict.tests[0].cell, frontier_us=reports.START + days * DAY)
    verdict = structs.replace(verdict, tests=(structs.replace(verdict.tests[0], cell=cell),))

    found = only(verdict, Duration(cycle_us=7 * DAY, deadline_us=42 * DAY))

    assert found.estimated_us is None or found.estimated_us >= verdict.as_of_us
    assert (found.estimated_us is not None) <= (found.estimated_units is not None)
    assert (found.estimated_us is not None) == (found.outlook in {"expected", "after_deadline"}) or days == 0
    assert words.progress(found)
    assert math.isfinite(found.e_promote)


def test_a_track_follows_one_test_through_all_looks():
    made = reports.every_kind()

    latency = next(track for track in made.history.tracks if track.gate == "latency")

    assert [look.number for look in made.history.looks] == list(range(41, 53))
    assert latency.e_promote[-1] == 3.1
    assert latency.e_promote[5] == pytest.approx(3.1**0.5)
    assert latency.units[-1] == 5_000


def test_a_look_without_a_test_leaves_a_gap():
    verdict = reports.promoted().verdict
    short = structs.replace(verdict, tests=verdict.tests[1:])

    found = history([(1, short), (2, verdict)])

    assert found.tracks[0].e_promote == (None, verdict.tests[0].e_promote)
    assert found.tracks[1].e_promote[0] is not None


@given(st.integers(0, 5_000))
def test_of_many_looks_the_first_the_last_and_some_between_are_kept(count):
    numbers = list(range(count))

    kept = thinned(numbers)

    assert len(kept) == len(set(kept)) == min(count, AT_MOST)
    assert kept == sorted(kept)
    assert kept[:1] + kept[-1:] == numbers[:1] + numbers[-1:]
