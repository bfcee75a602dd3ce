"""A promotion is of the models that the evidence is about, also after a rollback."""

from pathlib import Path

import pytest

from gnomon import pipeline
from gnomon.errors import StateError
from gnomon.records.facts import Reading
from gnomon.records.plan import ArmName
from gnomon.state import State, open_state
from tests.state.builders import register, url_of


def read(state: State, arm: ArmName, letter: str, time_us: int) -> None:
    found = Reading(arm=arm, time_us=time_us, digest=letter * 64, shown=f"model {letter}")
    state.record_identity("fraud.1", found, actor="ada")


def test_a_model_that_was_exchanged_after_the_evidence_ended_is_not_promoted(tmp_path: Path) -> None:
    with open_state(url_of(tmp_path)) as state:
        trial = register(state)
        read(state, "production", "a", 5)
        read(state, "candidate", "b", 6)
        changes = {"reason": "a drill", "actor": "ada", "verdict_id": None}
        state.set_serving(trial.id, "candidate", now_us=10, **changes)
        state.set_serving(trial.id, "production", now_us=11, **changes)
        pipeline._same_models(state, trial)
        read(state, "candidate", "c", 12)
        wanted = "candidate was model b while the evidence came in and is model c now, which nothing was compared with"
        with pytest.raises(StateError, match=wanted):
            pipeline._same_models(state, trial)
