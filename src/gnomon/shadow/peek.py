"""The inbox, read from outside while the runner writes it: what of some exchanges is there."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gnomon.records.frames import Exchange, Request

_SOME: Final = 500
"""Ids in one question to SQLite."""
_frames: Final = msgspec.msgpack.Decoder(Exchange)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An exchange that is in the inbox."""

    request: Request | None
    """None: its frame was not kept."""
    answered: bool = False
    """The candidate's call is over; the next flush brings it into the log."""
    aside: str = ""
    """Why the log can never take it."""


def waiting(path: Path, ids: Sequence[bytes], *, timeout_s: float = 10.0) -> dict[bytes, Waiting]:
    """What the inbox at `path` holds of these, all of one moment; nothing when it is not there yet.

    Raises sqlite3.Error when it cannot be read.
    """
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout_s)) as db:
        db.execute("BEGIN")
        parts = (ids[at : at + _SOME] for at in range(0, len(ids), _SOME))
        return {id_: found for part in parts for id_, found in _some(db, part)}


def _some(db: sqlite3.Connection, ids: Sequence[bytes]) -> Iterator[tuple[bytes, Waiting]]:
    marks = ", ".join("?" * len(ids))
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'aside'").fetchone():
        for id_, reason, frame in db.execute(f"SELECT id, reason, frame FROM aside WHERE id IN ({marks})", ids):  # noqa: S608  marks alone
            yield id_, Waiting(_request(frame), aside=reason)
    query = (
        "SELECT id, frame, EXISTS (SELECT 1 FROM results WHERE results.seq = exchanges.seq) "  # noqa: S608  marks alone
        f"FROM exchanges WHERE id IN ({marks})"
    )
    for id_, frame, answered in db.execute(query, ids):
        yield id_, Waiting(_request(frame), answered=bool(answered))


def _request(frame: bytes | None) -> Request | None:
    return None if frame is None else _frames.decode(frame).request
