"""When the next decision can come: whole cycles, truth that takes its time, the deadline."""

import msgspec
import pytest

from gnomon.records.plan import Duration
from gnomon.records.trial import EpochRow
from gnomon.schedule import ended, next_decision, progress
from tests.log.builders import PLAN

DAY = 86_400_000_000
WEEK = 7 * DAY
START = 1_000


def plan(*, late=DAY, **duration):
    truth = msgspec.structs.replace(PLAN.truth, expected_within_us=late)
    return msgspec.structs.replace(PLAN, truth=truth, duration=Duration(**duration))


@pytest.mark.parametrize(
    ("duration", "now", "expected"),
    [
        ({}, 5, (5, "any look may decide")),
        ({"at_least_us": 2 * DAY}, DAY, (2 * DAY, "duration.at_least is over then")),
        ({"at_least_us": 2 * DAY}, 3 * DAY, (3 * DAY, "any look may decide")),
        ({"cycle_us": WEEK}, 0, (WEEK + DAY, "cycle 1 is over then, and its truth was expected by then")),
        ({"cycle_us": WEEK}, WEEK + DAY // 2, (WEEK + DAY, "cycle 1 is over then, and its truth was expected by then")),
        ({"cycle_us": WEEK}, WEEK + DAY, (2 * WEEK + DAY, "cycle 2 is over then, and its truth was expected by then")),
        (
            {"cycle_us": WEEK, "at_least_us": 2 * WEEK},
            DAY,
            (2 * WEEK + DAY, "cycle 2 is over then, and its truth was expected by then"),
        ),
        ({"cycle_us": WEEK, "deadline_us": 2 * WEEK}, 2 * WEEK + 2 * DAY, (None, "the deadline is over")),
        ({"cycle_us": WEEK, "deadline_us": 10 * DAY}, WEEK + 2 * DAY, (11 * DAY, "the deadline is over then")),
    ],
)
def test_the_next_decision(duration, now, expected):
    found, why = next_decision(plan(**duration), started_us=START, now_us=START + now)
    assert (None if found is None else found - START, why) == expected


def test_without_truth_a_cycle_is_decided_at_its_end():
    gates = tuple(msgspec.structs.replace(gate, kind="agreement") for gate in PLAN.gates)
    mine = msgspec.structs.replace(plan(cycle_us=WEEK), gates=gates)
    assert next_decision(mine, started_us=0, now_us=1) == (WEEK, "cycle 1 is over then")
    assert progress(mine, None, started_us=0, now_us=1)["truth"] is None


def test_before_the_first_look_nothing_is_claimed_of_the_truth():
    found = progress(plan(cycle_us=WEEK), None, started_us=0, now_us=2 * WEEK)
    assert found["truth"] == {"waiting": None, "imputed": None, "settled_to_us": None, "lag_s": None}
    assert found["cycles"] == {"length_s": 604_800.0, "over": 2, "closed": None}


def epochs(*since):
    return [
        EpochRow(trial="t.1", number=number, serving=("production", "candidate")[(number - 1) % 2], since_us=us,
                 reason="", actor="", verdict_id=None)
        for number, us in enumerate(since, start=1)
    ]  # fmt: skip


def test_evidence_ends_with_the_first_promotion_and_a_rollback_does_not_bring_it_back():
    assert ended(epochs(START), 1) is None
    assert ended(epochs(START, DAY), 1) == DAY
    assert ended(epochs(START, DAY, 2 * DAY, 3 * DAY), 1) == DAY


def test_when_the_evidence_ended_no_decision_is_to_come():
    found = progress(plan(cycle_us=WEEK), None, started_us=START, now_us=2 * DAY, ended_us=DAY)
    assert found["next_decision_us"] is None
    assert found["evidence_ended_us"] == DAY
    assert found["next_decision"].startswith("evidence ended with the promotion at 1970-01-02T00:00:00Z: ")
    assert found["next_decision"].endswith("; a new trial is needed")
    assert progress(plan(cycle_us=WEEK), None, started_us=START, now_us=2 * DAY)["evidence_ended_us"] is None
