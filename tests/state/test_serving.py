"""Who serves, and the verdicts it rests on."""

import pytest

from gnomon.errors import NotFound, StateError
from gnomon.records.plan import ArmName
from gnomon.records.process import Epoch
from gnomon.state import State
from tests.state.builders import register, verdict_of


def switch(
    state: State, serving: ArmName, *, verdict_id: int | None = None, reason: str = "why", now_us: int = 9
) -> Epoch:
    return state.set_serving("fraud", serving, reason=reason, actor="bob", now_us=now_us, verdict_id=verdict_id)


def save(state: State, verdict: str = "promote") -> int:
    return state.save_verdict("fraud.1", verdict_of(state.trial("fraud.1"), verdict), now_us=6, actor="ada")


def test_a_promotion_on_a_verdict_and_the_way_back(state: State) -> None:
    register(state)
    number = save(state)
    assert switch(state, "candidate", verdict_id=number) == Epoch(number=2, serving="candidate")
    assert switch(state, "production", now_us=10) == Epoch(number=3, serving="production")
    assert state.epoch("fraud.1") == Epoch(number=3, serving="production")
    assert [(e.number, e.serving, e.since_us, e.actor, e.verdict_id) for e in state.epochs("fraud.1")] == [
        (1, "production", 1, "ada", None),
        (2, "candidate", 9, "bob", number),
        (3, "production", 10, "bob", None),
    ]
    assert [row.action for row in state.audit()][-2:] == ["promote", "rollback"]


def test_a_promotion_without_a_promote_verdict_is_an_override_with_its_reason(state: State) -> None:
    register(state)
    with pytest.raises(StateError, match="needs a reason; nothing was changed"):
        switch(state, "candidate", reason=" ")
    assert state.epoch("fraud").number == 1
    switch(state, "candidate", verdict_id=save(state, "continue"), reason="the old one is broken")
    row = state.audit()[-1]
    assert (row.action, row.actor, row.detail["reason"]) == ("override", "bob", "the old one is broken")


def test_an_arm_that_serves_already_is_refused_and_nothing_changes(state: State) -> None:
    register(state)
    with pytest.raises(StateError, match=r"fraud\.1: production serves already \(epoch 1\); nothing was changed"):
        switch(state, "production")
    assert len(state.epochs("fraud.1")) == 1
    assert len(state.audit()) == 2


def test_a_verdict_of_nobody_promotes_nothing(state: State) -> None:
    register(state)
    with pytest.raises(NotFound, match=r"fraud\.1 has no verdict 77; nothing was changed"):
        switch(state, "candidate", verdict_id=77)


def test_a_verdict_comes_back_as_it_was(state: State) -> None:
    trial = register(state)
    assert state.last_verdict("fraud.1") is None
    first, second = save(state, "continue"), save(state)
    assert state.verdicts("fraud.1") == [(first, verdict_of(trial, "continue")), (second, verdict_of(trial))]
    assert state.last_verdict("fraud.1") == (second, verdict_of(trial))


def test_a_verdict_of_another_plan_is_refused(state: State) -> None:
    old = register(state)
    register(state, alpha="1%")
    with pytest.raises(StateError, match=r"the verdict is of fraud\.1 .* not of fraud\.2"):
        state.save_verdict("fraud", verdict_of(old), now_us=6, actor="ada")
    assert state.verdicts("fraud.2") == []
