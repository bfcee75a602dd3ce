"""The audit chain: each row holds the digest of the one before, so that a changed or missing row shows."""

import json
from typing import Any, Final

import sqlalchemy as sa

from gnomon.errors import IntegrityError
from gnomon.records.trial import AuditRow
from gnomon.state.schema import audit
from gnomon.state.sealing import canonical, digest_of

GENESIS: Final = "0" * 64


def append(
    connection: sa.Connection, *, action: str, trial: str, actor: str, time_us: int, detail: dict[str, Any]
) -> AuditRow:
    """Add a link, inside the caller's write transaction: the change and its row are there together or not at all."""
    last = connection.execute(
        sa.select(audit.c.number, audit.c.digest).order_by(audit.c.number.desc()).limit(1)
    ).first()
    number, previous = (last.number + 1, last.digest) if last else (1, GENESIS)
    content: dict[str, Any] = {
        "number": number,
        "time_us": time_us,
        "actor": actor,
        "action": action,
        "trial": trial,
        "detail": detail,
    }
    digest = link(previous, content)
    row = {**content, "detail": canonical(detail).decode(), "previous": previous, "digest": digest}
    connection.execute(audit.insert().values(**row))
    return AuditRow(**content, previous=previous, digest=digest)


def link(previous: str, content: dict[str, Any]) -> str:
    """The digest of a row: SHA-256 of the previous digest (hex) and the row's canonical JSON."""
    return digest_of(previous.encode() + canonical(content))


def rows(connection: sa.Connection) -> list[AuditRow]:
    """Every row, oldest first. Raises IntegrityError for a detail that is not JSON."""
    found = []
    for row in connection.execute(sa.select(audit).order_by(audit.c.number)).mappings():
        try:
            detail = json.loads(row["detail"])
        except ValueError as error:
            raise IntegrityError(f"audit row {row['number']} was changed: its detail is not JSON") from error
        found.append(AuditRow(**{**row, "detail": detail}))
    return found


def check(chain: list[AuditRow]) -> None:
    """Every row follows from the one before.

    Raises IntegrityError naming the first that does not.
    """
    previous = GENESIS
    for expected, row in enumerate(chain, 1):
        if row.number != expected:
            raise IntegrityError(f"audit row {expected} is missing: the next one is {row.number} ({_what(row)})")
        if row.previous != previous:
            raise IntegrityError(f"audit row {row.number} ({_what(row)}) does not follow row {row.number - 1}")
        content = {name: getattr(row, name) for name in ("number", "time_us", "actor", "action", "trial", "detail")}
        if link(previous, content) != row.digest:
            raise IntegrityError(f"audit row {row.number} ({_what(row)}) was changed after it was written")
        previous = row.digest


def _what(row: AuditRow) -> str:
    return f"{row.action} of {row.trial}"
