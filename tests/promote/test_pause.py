"""Pause and resume: a reason is needed, doing it twice changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gnomon.errors import StateError
from gnomon.promote import pause
from gnomon.records.trial import Pause
from gnomon.state import State, open_state
from tests.state.builders import register, url_of


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with open_state(url_of(tmp_path)) as opened:
        register(opened)
        yield opened


def test_a_pause_needs_its_reason(state: State) -> None:
    with pytest.raises(StateError, match=r"needs its reason: --reason .*; nothing was changed"):
        pause.pause(state, state.trial("fraud"), reason=" ", actor="ada", now_us=3)
    assert state.paused("fraud") is None


def test_the_second_pause_gets_the_first_ones_word(state: State) -> None:
    trial = state.trial("fraud")
    first = Pause(since_us=3, actor="ada", reason="peak hour")
    assert pause.pause(state, trial, reason=" peak hour ", actor="ada", now_us=3) == (first, True)
    assert pause.pause(state, trial, reason="me too", actor="bob", now_us=4) == (first, False)


def test_a_resumption_needs_no_reason_and_says_whether_it_was_one(state: State) -> None:
    trial = state.trial("fraud")
    assert not pause.resume(state, trial, reason="", actor="bob", now_us=3)
    pause.pause(state, trial, reason="peak hour", actor="ada", now_us=4)
    assert pause.resume(state, trial, reason="", actor="bob", now_us=5)
    assert state.pauses(trial.id)[0].ended_because == "resume"
