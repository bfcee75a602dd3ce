"""Trials: the same seal goes on, another one begins anew and names its parent."""

import json

import msgspec
import pytest

from gnomon.errors import IntegrityError, NotFound
from gnomon.plan import seal
from gnomon.records.process import Epoch
from gnomon.state import State
from tests.state.builders import DOCUMENT, document, register

PRODUCTION = {"version": "1.4", "url": "http://10.0.0.7:80"}


def test_the_first_trial_of_a_name(state: State) -> None:
    trial = register(state, now_us=7)
    sealed = seal.seal(DOCUMENT)
    assert (trial.id, trial.name, trial.number, trial.parent, trial.attempt) == ("fraud.1", "fraud", 1, None, 1)
    assert (trial.digest, trial.canonical) == (sealed.digest, sealed.canonical.decode())
    assert json.loads(trial.document) == DOCUMENT
    assert (trial.registered_us, trial.program, trial.first_epoch) == (7, "0.1", 1)
    assert state.epoch("fraud.1") == Epoch(number=1, serving="production")


def test_the_same_plan_again_goes_on(state: State) -> None:
    first = register(state, now_us=1)
    assert register(state, now_us=2) == first
    assert len(state.trials()) == 1
    assert [row.action for row in state.audit()] == ["register", "operation"]


def test_another_address_goes_on_and_is_recorded_with_its_time(state: State) -> None:
    register(state, now_us=1)
    trial = register(state, now_us=2, production=PRODUCTION)
    assert (trial.id, trial.registered_us) == ("fraud.1", 1)
    assert json.loads(trial.document)["production"] == PRODUCTION
    assert [(row.time_us, row.settings["production"]["url"]) for row in state.operations(trial.id)] == [
        (1, "http://127.0.0.1:9001"),
        (2, "http://10.0.0.7:80"),
    ]
    register(state, now_us=3, production=PRODUCTION)
    assert len(state.operations(trial.id)) == 2


def test_a_change_of_what_is_sealed_is_a_new_trial_that_names_its_parent(state: State) -> None:
    register(state, now_us=1)
    second = register(state, now_us=2, alpha="1%")
    assert (second.id, second.parent, second.registered_us) == ("fraud.2", "fraud.1", 2)
    assert state.epoch("fraud.2") == Epoch(number=1, serving="production")


def test_going_back_to_an_older_plan_does_not_bring_its_evidence_back(state: State) -> None:
    """Else one could look, amend, look and return: the seal would hold nothing."""
    register(state)
    register(state, alpha="1%")
    assert (register(state).id, register(state).parent) == ("fraud.3", "fraud.2")


def test_attempts_are_counted_by_production_and_routes_whatever_the_name(state: State) -> None:
    assert register(state).attempt == 1
    assert register(state, trial="other-name", question="Better?").attempt == 2
    assert register(state, trial="third", routes=["POST  /predict"]).attempt == 3
    assert register(state, trial="again", routes=["POST /predict repeatable"]).attempt == 4
    assert register(state, trial="elsewhere", routes=["POST /score"]).attempt == 1
    assert register(state, trial="fourth", production={"version": "1.5", "url": "http://a"}).attempt == 1


def test_a_bare_name_is_its_latest_trial(state: State) -> None:
    register(state)
    register(state, alpha="1%")
    assert state.trial("fraud").id == "fraud.2"
    assert state.trial("fraud.1").id == "fraud.1"


def test_trials_come_oldest_first(state: State) -> None:
    register(state, now_us=3, trial="a")
    register(state, now_us=1, trial="b")
    assert [trial.id for trial in state.trials()] == ["b.1", "a.1"]


def test_an_unknown_name_is_answered_with_the_near_ones(state: State) -> None:
    with pytest.raises(
        NotFound, match=r"there is no trial 'fraud', nor any other; start one with: gnomon serve plan\.yaml"
    ):
        state.trial("fraud")
    register(state)
    with pytest.raises(NotFound, match=r"there is no trial 'frud'; did you mean fraud or fraud\.1\?"):
        state.trial("frud")
    with pytest.raises(NotFound, match="there is no trial 'zzz'; see gnomon trials"):
        state.trial("zzz")
    with pytest.raises(NotFound):
        state.epoch("nobody.1")


def test_the_seal_holds(state: State) -> None:
    state.verify_seal(register(state))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (
            "canonical",
            '{"alpha":"50%"}',
            "fraud.1: the sealed plan in the state database was changed; its digest differs",
        ),
        (
            "document",
            json.dumps(document(alpha="50%")),
            "fraud.1: the plan in the state database is not the one that was",
        ),
        ("document", "{", "fraud.1: the plan in the state database is not JSON any more"),
        ("document", "[]", "fraud.1: the plan in the state database is not"),
    ],
)
def test_a_changed_plan_breaks_the_seal(state: State, field: str, value: str, reason: str) -> None:
    trial = msgspec.structs.replace(register(state), **{field: value})
    with pytest.raises(IntegrityError) as caught:
        state.verify_seal(trial)
    assert reason in str(caught.value)


def test_a_seal_of_another_document_is_a_bug(state: State) -> None:
    with pytest.raises(ValueError, match="the seal is of another document"):
        state.register(document(), seal.seal(document(alpha="1%")), plan_path="p", program="0", now_us=1, actor="ada")
    assert state.trials() == []
