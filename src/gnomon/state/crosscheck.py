"""Cross-check: the tables say what the audit chain says.

A chain alone would not notice a changed epoch, nor that its end was cut off.
"""

import json
from typing import Any

import sqlalchemy as sa

from gnomon.errors import IntegrityError
from gnomon.records.trial import AuditRow
from gnomon.state import schema
from gnomon.state.sealing import digest_of, operations

SERVING = {"promote", "override", "rollback"}
PAUSING = {"pause", "resume"}

Facts = dict[tuple[Any, ...], Any]


def check(connection: sa.Connection, chain: list[AuditRow]) -> None:
    """Every trial, epoch, pause, identity, verdict and operation setting has its audit row, and the reverse.

    Raises IntegrityError naming the first that has not.
    """
    _compare("trial", _trials(connection), {(r.trial,): r.detail["digest"] for r in chain if r.action == "register"})
    _compare("epoch", _epochs(connection), _said_epochs(chain))
    _compare("pause", _pauses(connection), _said_pauses(chain))
    _compare("identity", _identities(connection), _said_identities(chain))
    _compare("verdict", _verdicts(connection), _said_verdicts(chain))
    settings, documents = _operations(connection)
    said = _said_operations(chain)
    _compare("operation settings", settings, said)
    last = {(trial,): value for (trial, _), value in sorted(said.items())}
    _compare("operation settings in the plan of", documents, last)


def _compare(noun: str, found: Facts, said: Facts) -> None:
    for key in sorted({*found, *said}, key=str):
        name = f"{noun} {' '.join(str(part) for part in key)}"
        if key not in said:
            raise IntegrityError(f"{name} is in the state database, and no audit row tells of it")
        if key not in found:
            raise IntegrityError(f"{name} is in the audit chain, and not in the state database any more")
        if found[key] != said[key]:
            raise IntegrityError(f"{name} was changed: the audit chain says something else")


def _trials(connection: sa.Connection) -> Facts:
    table = schema.trials
    return {(row.id,): row.digest for row in connection.execute(sa.select(table.c.id, table.c.digest))}


def _epochs(connection: sa.Connection) -> Facts:
    table = schema.epochs
    return {(row.trial, row.number): (row.serving, row.verdict) for row in connection.execute(sa.select(table))}


def _said_epochs(chain: list[AuditRow]) -> Facts:
    first: Facts = {(row.trial, row.detail["epoch"]): ("production", None) for row in chain if row.action == "register"}
    return first | {
        (row.trial, row.detail["epoch"]): (row.detail["serving"], row.detail["verdict"])
        for row in chain
        if row.action in SERVING
    }


def _pauses(connection: sa.Connection) -> Facts:
    rows = connection.execute(sa.select(schema.pauses))
    return {(row.trial, row.number): (bool(row.paused), row.since_us, row.actor, row.reason) for row in rows}


def _said_pauses(chain: list[AuditRow]) -> Facts:
    return {
        (row.trial, row.detail["number"]): (row.action == "pause", row.time_us, row.actor, row.detail["reason"])
        for row in chain
        if row.action in PAUSING
    }


def _identities(connection: sa.Connection) -> Facts:
    rows = connection.execute(sa.select(schema.identities))
    return {(row.trial, row.number): (row.arm, row.time_us, row.digest, row.shown) for row in rows}


def _said_identities(chain: list[AuditRow]) -> Facts:
    return {
        (row.trial, row.detail["number"]): (row.detail["arm"], row.time_us, row.detail["digest"], row.detail["shown"])
        for row in chain
        if row.action == "identity"
    }


def _verdicts(connection: sa.Connection) -> Facts:
    rows = connection.execute(sa.select(schema.verdicts))
    return {(row.trial, row.id): (row.verdict, digest_of(row.record.encode())) for row in rows}


def _said_verdicts(chain: list[AuditRow]) -> Facts:
    return {
        (row.trial, row.detail["id"]): (row.detail["verdict"], row.detail["record"])
        for row in chain
        if row.action == "verdict"
    }


def _operations(connection: sa.Connection) -> tuple[Facts, Facts]:
    """Settings by trial and order, and the settings that each trial's document holds now."""
    table = schema.operations
    settings: Facts = {}
    counted: dict[str, int] = {}
    for row in connection.execute(sa.select(table).order_by(table.c.number)):
        counted[row.trial] = counted.get(row.trial, 0) + 1
        settings[row.trial, counted[row.trial]] = _loaded(row.settings)
    trials = connection.execute(sa.select(schema.trials.c.id, schema.trials.c.document))
    return settings, {(row.id,): _operations_of(row.document) for row in trials}


def _operations_of(document: str) -> Any:  # noqa: ANN401  whatever stands there
    loaded = _loaded(document)
    return operations(loaded) if isinstance(loaded, dict) else loaded


def _loaded(text: str) -> Any:  # noqa: ANN401  whatever stands there
    try:
        return json.loads(text)
    except ValueError:
        return text


def _said_operations(chain: list[AuditRow]) -> Facts:
    said: Facts = {}
    counted: dict[str, int] = {}
    for row in chain:
        if row.action == "operation":
            counted[row.trial] = counted.get(row.trial, 0) + 1
            said[row.trial, counted[row.trial]] = row.detail["settings"]
    return said
