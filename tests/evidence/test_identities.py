"""A model that was exchanged in the middle of a trial is an anomaly; one that was never asked is a note."""

from pathlib import Path

import msgspec

from gnomon.evidence import gather
from gnomon.records.evidence import Evidence
from gnomon.records.facts import Reading
from gnomon.records.plan import ArmName, Identity, Plan
from tests.evidence.trial_log import SECOND, START, a_gate, a_log, a_plan, an_exchange

DECLARED = Identity(path="/v2/models/m")


def declaring(*arms: ArmName) -> Plan:
    plan = a_plan(a_gate("error_rate"))
    changed = {arm: msgspec.structs.replace(getattr(plan, arm), identity=DECLARED) for arm in arms}
    return msgspec.structs.replace(plan, **changed)


def says(seconds: int, name: str, arm: ArmName = "candidate") -> Reading:
    return Reading(arm=arm, time_us=START + seconds * SECOND, digest=name * 64, shown=f"model {name}")


def look(folder: Path, plan: Plan, *readings: Reading, as_of: int = 100) -> Evidence:
    log = a_log(folder, plan, [an_exchange(1)])
    as_of_us = START + as_of * SECOND
    return gather(plan, log, first_epoch=1, as_of_us=as_of_us, started_us=START, identities=readings)


def test_a_change_is_an_anomaly_that_says_who_what_and_when(tmp_path: Path) -> None:
    plan = declaring("production", "candidate")
    evidence = look(tmp_path, plan, says(0, "a"), says(0, "p", "production"), says(60, "b"))
    (anomaly,) = evidence.anomalies
    assert anomaly == (
        "candidate was exchanged in the middle of the trial: it said it is model a, and from "
        "1970-01-01 00:17:40 UTC on model b"
    )
    assert evidence.notes == ()


def test_a_model_that_was_put_back_was_exchanged_all_the_same(tmp_path: Path) -> None:
    (anomaly,) = look(tmp_path, declaring("candidate"), says(0, "a"), says(60, "b"), says(90, "a")).anomalies
    assert "00:17:40 UTC on model b" in anomaly


def test_what_was_read_after_the_moment_of_the_look_does_not_count(tmp_path: Path) -> None:
    """A verdict recomputes: what was not known then does not change it."""
    plan = declaring("candidate")
    assert look(tmp_path / "before", plan, says(0, "a"), says(60, "b"), as_of=59).anomalies == ()
    assert len(look(tmp_path / "then", plan, says(0, "a"), says(60, "b"), as_of=60).anomalies) == 1


def test_two_models_that_say_different_things_are_no_change(tmp_path: Path) -> None:
    plan = declaring("production", "candidate")
    evidence = look(tmp_path, plan, says(0, "a"), says(0, "p", "production"))
    assert (evidence.anomalies, evidence.notes) == ((), ())


def test_a_declared_identity_that_was_never_read_is_a_note(tmp_path: Path) -> None:
    evidence = look(tmp_path, declaring("candidate"))
    assert evidence.anomalies == ()
    (note,) = evidence.notes
    assert note == (
        "which model candidate is, could never be read from GET /v2/models/m: a model exchanged behind its address "
        "was not noticed"
    )
