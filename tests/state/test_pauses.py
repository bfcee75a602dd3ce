"""Pauses: no epochs, links of the audit chain, and never changed afterwards."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gnomon.errors import IntegrityError, NotFound
from gnomon.records.process import Epoch
from gnomon.records.trial import Pause
from gnomon.state import State, open_state, schema
from tests.state.builders import altered, database_of, register, url_of


def pause(state: State, now_us: int, reason: str = "peak hour") -> bool:
    return state.set_paused("fraud", paused=True, reason=reason, actor="ada", now_us=now_us)


def resume(state: State, now_us: int) -> bool:
    return state.set_paused("fraud", paused=False, reason="it is over", actor="bob", now_us=now_us)


@pytest.fixture
def told(state: State) -> State:
    """One pause that ended and one that lasts."""
    register(state)
    pause(state, 5)
    resume(state, 7)
    pause(state, 9, "the candidate's host is patched")
    return state


def test_a_trial_begins_without_a_pause(state: State) -> None:
    register(state)
    assert state.paused("fraud.1") is None
    assert state.pauses("fraud.1") == []
    with pytest.raises(NotFound):
        state.paused("nobody.1")


def test_a_pause_says_since_when_by_whom_and_why_and_how_it_ended(told: State) -> None:
    ended = Pause(since_us=5, actor="ada", reason="peak hour", until_us=7, ended_by="bob", ended_because="it is over")
    lasting = Pause(since_us=9, actor="ada", reason="the candidate's host is patched")
    assert told.pauses("fraud.1") == [ended, lasting]
    assert told.paused("fraud.1") == lasting
    resume(told, 11)
    assert told.paused("fraud.1") is None


def test_a_pause_is_no_epoch(told: State) -> None:
    """The evidence of a trial is that of its first epoch: it goes on when a pause ends."""
    assert told.epoch("fraud.1") == Epoch(number=1, serving="production")
    assert len(told.epochs("fraud.1")) == 1


def test_pausing_what_is_paused_and_resuming_what_is_not_changes_nothing(state: State) -> None:
    register(state)
    assert not resume(state, 4)
    assert pause(state, 5)
    assert not pause(state, 6, "again")
    assert [each.reason for each in state.pauses("fraud.1")] == ["peak hour"]
    assert resume(state, 7)
    assert not resume(state, 8)
    assert [row.action for row in state.audit()] == ["register", "operation", "pause", "resume"]


def test_each_trial_has_its_own(told: State) -> None:
    second = register(told, alpha="1%")
    assert told.paused(second.id) is None
    assert told.paused("fraud.1") is not None


def test_every_pause_is_a_link_of_the_chain(told: State) -> None:
    found = [(row.action, row.actor, row.time_us, row.detail["reason"]) for row in told.audit()[2:]]
    assert found == [
        ("pause", "ada", 5, "peak hour"),
        ("resume", "bob", 7, "it is over"),
        ("pause", "ada", 9, "the candidate's host is patched"),
    ]
    told.check_chain()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE pauses SET since_us = 6 WHERE number = 1", r"pause fraud\.1 1 was changed"),
        ("UPDATE pauses SET actor = 'eve' WHERE number = 1", r"pause fraud\.1 1 was changed"),
        ("UPDATE pauses SET reason = 'a nap' WHERE number = 3", r"pause fraud\.1 3 was changed"),
        ("UPDATE pauses SET paused = 0 WHERE number = 3", r"pause fraud\.1 3 was changed"),
        ("DELETE FROM pauses WHERE number = 1", r"pause fraud\.1 1 is in the audit chain, and not in the state"),
        ("INSERT INTO pauses VALUES ('fraud.1', 4, 0, 10, '', 'eve')", r"pause fraud\.1 4 .* no audit row tells of it"),
        ("UPDATE audit SET action = 'resume' WHERE number = 3", r"audit row 3 .* was changed after"),
    ],
)
def test_what_was_changed_afterwards_is_named(told: State, tmp_path: Path, sql: str, reason: str) -> None:
    assert altered(tmp_path, sql) == 1
    with pytest.raises(IntegrityError, match=reason):
        told.check_chain()


def test_a_database_of_the_first_version_gains_them_and_keeps_the_rest(tmp_path: Path) -> None:
    with database_of(tmp_path, "0001") as connection:
        tables = set(sa.inspect(connection).get_table_names())
    later = {"pauses", "identities"}
    assert tables == {table.name for table in schema.metadata.sorted_tables} - later | {"alembic_version"}
    with open_state(url_of(tmp_path)) as state:
        register(state)
        assert pause(state, 3)
        state.check_chain()
