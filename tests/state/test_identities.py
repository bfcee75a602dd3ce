"""Identities: a row at the first reading and at each change, and a link of the audit chain with it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gnomon.errors import IntegrityError, NotFound
from gnomon.records.facts import Reading
from gnomon.records.plan import ArmName
from gnomon.state import State, open_state
from tests.state.builders import altered, database_of, register, url_of, verdict_of

OLD, NEW = "a" * 64, "b" * 64


def reading(time_us: int, digest: str = OLD, arm: ArmName = "production") -> Reading:
    return Reading(arm=arm, time_us=time_us, digest=digest, shown=f"model {digest[0]}")


def record(state: State, found: Reading, trial: str = "fraud.1") -> Reading | None:
    return state.record_identity(trial, found, actor="ada")


@pytest.fixture
def told(state: State) -> State:
    register(state)
    record(state, reading(5))
    record(state, reading(7, NEW))
    return state


def test_the_first_reading_of_each_arm_and_every_change_is_kept_and_nothing_else(state: State) -> None:
    register(state)
    assert state.identities("fraud.1") == ()
    every = [reading(5), reading(6, NEW, "candidate"), reading(7), reading(8, NEW), reading(9, NEW), reading(10)]
    assert [record(state, each) for each in every] == [None, None, None, every[0], None, every[3]]
    assert state.identities("fraud.1") == (every[0], every[1], every[3], every[5])
    with pytest.raises(NotFound):
        state.identities("nobody.1")


def test_a_later_trial_begins_with_a_reading_of_its_own(told: State) -> None:
    second = register(told, alpha="1%")
    assert told.identities(second.id) == ()
    assert record(told, reading(9), second.id) is None
    assert told.identities(second.id) == (reading(9),)
    told.check_chain()


def test_a_reading_that_was_kept_late_is_later_than_the_verdicts_that_were_made_without_it(state: State) -> None:
    trial = register(state)
    record(state, reading(2))
    state.save_verdict(trial.id, verdict_of(trial), now_us=6, actor="ada")  # of time 5
    assert record(state, reading(4, NEW)) == reading(2)  # it waited for the database
    assert state.identities(trial.id) == (reading(2), reading(7, NEW))
    record(state, reading(9))
    assert state.identities(trial.id)[-1] == reading(9)
    state.check_chain()


def test_every_reading_that_is_kept_is_a_link_of_the_chain(told: State) -> None:
    found = [(row.action, row.actor, row.time_us, row.detail["shown"]) for row in told.audit()[2:]]
    assert found == [("identity", "ada", 5, "model a"), ("identity", "ada", 7, "model b")]
    told.check_chain()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"UPDATE identities SET digest = '{OLD}' WHERE number = 2", r"identity fraud\.1 2 was changed"),
        ("UPDATE identities SET arm = 'candidate' WHERE number = 2", r"identity fraud\.1 2 was changed"),
        ("UPDATE identities SET time_us = 8 WHERE number = 2", r"identity fraud\.1 2 was changed"),
        ("UPDATE identities SET shown = 'the same' WHERE number = 2", r"identity fraud\.1 2 was changed"),
        ("DELETE FROM identities WHERE number = 2", r"identity fraud\.1 2 is in the audit chain, and not in the state"),
        (
            "INSERT INTO identities VALUES ('fraud.1', 3, 'production', 9, '', '')",
            r"identity fraud\.1 3 .* no audit row tells of it",
        ),
    ],
)
def test_what_was_changed_afterwards_is_named(told: State, tmp_path: Path, sql: str, reason: str) -> None:
    assert altered(tmp_path, sql) == 1
    with pytest.raises(IntegrityError, match=reason):
        told.check_chain()


def test_a_database_of_the_version_before_gains_them_and_keeps_the_rest(tmp_path: Path) -> None:
    with database_of(tmp_path, "0002") as connection:
        connection.execute(
            sa.text("INSERT INTO trials VALUES ('t.1','t',1,'d','{}','{}','p',NULL,'s',1,3,'0.1',1)"),
        )
        assert not sa.inspect(connection).has_table("identities")
    with open_state(url_of(tmp_path)) as state:
        assert state.trial("t").registered_us == 3
        assert record(state, reading(5), "t.1") is None
        assert state.identities("t.1") == (reading(5),)
