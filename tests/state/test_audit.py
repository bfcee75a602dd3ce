"""The audit chain: every change is a link, and whatever is changed afterwards is named."""

import hashlib
from pathlib import Path

import pytest

from gnomon.errors import IntegrityError
from gnomon.state import State
from tests.state.builders import altered, register, verdict_of


@pytest.fixture
def told(state: State) -> State:
    """Five rows: register, operation, verdict, promote, rollback."""
    trial = register(state)
    number = state.save_verdict(trial.id, verdict_of(trial), now_us=6, actor="ada")
    state.set_serving(trial.id, "candidate", reason="verdict", actor="bob", now_us=7, verdict_id=number)
    state.set_serving(trial.id, "production", reason="slow", actor="bob", now_us=8, verdict_id=None)
    return state


def test_every_change_is_a_row(told: State) -> None:
    assert [(row.number, row.action, row.actor, row.time_us) for row in told.audit()] == [
        (1, "register", "ada", 1),
        (2, "operation", "ada", 1),
        (3, "verdict", "ada", 6),
        (4, "promote", "bob", 7),
        (5, "rollback", "bob", 8),
    ]
    told.check_chain()


def test_a_link_can_be_recomputed_by_hand(told: State) -> None:
    row = told.audit()[4]
    text = (
        '{"action":"rollback","actor":"bob","detail":{"epoch":3,"reason":"slow","serving":"production","verdict":null},'
        '"number":5,"time_us":8,"trial":"fraud.1"}'
    )
    assert row.digest == hashlib.sha256((told.audit()[3].digest + text).encode()).hexdigest()


def test_an_empty_chain_is_whole(state: State) -> None:
    state.check_chain()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE number = 4", r"audit row 4 \(promote of fraud\.1\) was changed after"),
        ("UPDATE audit SET detail = '{}' WHERE number = 2", r"audit row 2 \(operation of fraud\.1\) was changed after"),
        ("UPDATE audit SET detail = '{' WHERE number = 2", "audit row 2 was changed: its detail is not JSON"),
        (
            "UPDATE audit SET digest = previous WHERE number = 3",
            r"audit row 3 \(verdict of fraud\.1\) was changed after",
        ),
        ("UPDATE audit SET previous = digest WHERE number = 3", r"audit row 3 \(verdict .*\) does not follow row 2"),
        ("DELETE FROM audit WHERE number = 2", "audit row 2 is missing: the next one is 3"),
        ("DELETE FROM audit WHERE number = 1", "audit row 1 is missing: the next one is 2"),
        (
            "DELETE FROM audit WHERE number = 5",
            r"epoch fraud\.1 3 is in the state database, and no audit row tells of it",
        ),
        ("DELETE FROM audit", r"trial fraud\.1 is in the state database, and no audit row tells of it"),
        ("UPDATE epochs SET serving = 'candidate' WHERE number = 3", r"epoch fraud\.1 3 was changed"),
        (
            "DELETE FROM epochs WHERE number = 3",
            r"epoch fraud\.1 3 is in the audit chain, and not in the state database",
        ),
        ("UPDATE verdicts SET record = replace(record, 'It is.', 'It was.')", r"verdict fraud\.1 1 was changed"),
        ("UPDATE verdicts SET verdict = 'reject'", r"verdict fraud\.1 1 was changed"),
        ("UPDATE trials SET digest = 'x'", r"trial fraud\.1 was changed"),
        ("UPDATE operations SET settings = '{}'", r"operation settings fraud\.1 1 was changed"),
        (
            "UPDATE trials SET document = replace(document, ':9002', ':9003')",
            r"operation settings in the plan of fraud\.1 was changed",
        ),
    ],
)
def test_what_was_changed_afterwards_is_named(told: State, tmp_path: Path, sql: str, reason: str) -> None:
    assert altered(tmp_path, sql) >= 1
    with pytest.raises(IntegrityError, match=reason):
        told.check_chain()
