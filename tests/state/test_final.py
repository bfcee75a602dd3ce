"""A rejection is final, and a promotion names the newest verdict."""

import pytest

from gnomon.errors import StateError
from gnomon.state import State
from tests.state.builders import register, verdict_of


def test_nothing_is_kept_after_a_rejection(state: State) -> None:
    trial = register(state)
    number = state.save_verdict(trial.id, verdict_of(trial, "reject"), now_us=2, actor="a")

    with pytest.raises(StateError, match=f"rejected by verdict {number}, which is final"):
        state.save_verdict(trial.id, verdict_of(trial, "promote"), now_us=3, actor="a")

    assert [verdict.verdict for _, verdict in state.verdicts(trial.id)] == ["reject"]
    state.check_chain()


def test_a_promotion_on_a_verdict_that_is_not_the_newest_is_refused(state: State) -> None:
    trial = register(state)
    old = state.save_verdict(trial.id, verdict_of(trial, "promote"), now_us=2, actor="a")
    new = state.save_verdict(trial.id, verdict_of(trial, "continue"), now_us=3, actor="a")

    with pytest.raises(StateError, match=f"verdict {new} .continue. is newer than verdict {old}"):
        state.set_serving(trial.id, "candidate", reason="verdict", actor="a", now_us=4, verdict_id=old)

    assert state.epoch(trial.id).serving == "production"
