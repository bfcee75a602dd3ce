"""The inbox: a durable queue in one SQLite file. What is committed here has been handed over.

Write-ahead log, synchronous=FULL: a commit survives the loss of power as well as kill -9. One transaction holds many
exchanges, so the cost of the disk is shared. Mode 0600, secure_delete and `scrub`: it holds bodies that the log will
not have.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon.errors import GnomonError, StateError
from gnomon.files import make_private
from gnomon.records.frames import Exchange

_LAYOUT: Final = 2
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- seq: the order of arrival; frame: msgpack of frames.Exchange
CREATE TABLE IF NOT EXISTS exchanges (
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time_us INTEGER NOT NULL, frame BLOB NOT NULL,
    epoch INTEGER NOT NULL);
-- to count what is open without reading frames
CREATE INDEX IF NOT EXISTS epochs ON exchanges (epoch);
-- place: results of one batch are contiguous; result: msgpack of batches.Result
CREATE TABLE IF NOT EXISTS results (
    place INTEGER PRIMARY KEY, batch INTEGER NOT NULL, seq INTEGER NOT NULL, result BLOB NOT NULL);
-- per gateway instance: the highest number committed
CREATE TABLE IF NOT EXISTS instances (instance TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS received (
    instance TEXT, epoch INTEGER, count INTEGER NOT NULL, PRIMARY KEY (instance, epoch)) WITHOUT ROWID;
-- what the log can never take, for a person to look at; frame: of the first FRAMES_KEPT only
CREATE TABLE IF NOT EXISTS aside (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL, time_us INTEGER NOT NULL, epoch INTEGER NOT NULL,
    reason TEXT NOT NULL, frame BLOB);
-- final states of what is in the log, or aside
CREATE TABLE IF NOT EXISTS logged (
    epoch INTEGER, state TEXT, count INTEGER NOT NULL, PRIMARY KEY (epoch, state)) WITHOUT ROWID;
"""
REWRITTEN: Final = 16 << 20
"""Bytes alive in the file up to which `scrub` writes it anew; more is waited for until it has become less."""
FRAMES_KEPT: Final = 1_000
"""Frames that `aside` holds at most: a plugin that fails for every request must not fill the disk."""
_SET_ASIDE: Final = """INSERT INTO aside (id, time_us, epoch, reason, frame)
    SELECT id, time_us, epoch, ?, CASE WHEN (SELECT count(*) FROM aside) < ? THEN frame END
    FROM exchanges WHERE seq = ?"""
_ADD_RECEIVED: Final = """INSERT INTO received VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""
_ADD_LOGGED: Final = """INSERT INTO logged VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""
_RAISE_NUMBER: Final = """INSERT INTO instances VALUES (?, ?)
    ON CONFLICT DO UPDATE SET number = max(number, excluded.number)"""


_frames: Final = msgspec.msgpack.Decoder(Exchange)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One exchange as it is committed."""

    seq: int
    id: bytes
    time_us: int
    instance: str
    number: int
    epoch: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one exchange, committed before it is appended to the log."""

    place: int
    batch: int
    seq: int
    result: bytes


@dataclass(frozen=True, slots=True)
class Logged:
    """A batch that is in the log: its rows go, its states are counted."""

    batch: int
    places: tuple[int, int]
    seqs: Sequence[int]
    states: dict[tuple[int, str], int]
    """By epoch and state."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An exchange that the log can never take: it leaves its batch, and is `unaccounted`."""

    seq: int
    id: bytes
    epoch: int
    reason: str
    """Nothing of its content."""
    place: int | None = None
    """Of its result; None: it has none."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the inbox says of all that it ever received, at one moment."""

    received: dict[tuple[str, int], int]
    """By gateway instance and epoch."""
    ended: dict[tuple[int, str], int]
    """In the log or aside, by epoch and final state."""
    open: dict[int, int]
    """Counted, not calculated: what is here and not aside, by epoch."""


@dataclass(slots=True)
class Group:
    """What one transaction commits."""

    arrivals: list[Arrival] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    acks: dict[Any, int] = field(default_factory=dict)
    """For the one who commits: what may be acknowledged to whom afterwards."""

    def __bool__(self) -> bool:
        return bool(self.arrivals or self.finished or self.logged or self.aside)


def path_of(url: str) -> Path:
    """The file of an inbox URL, `sqlite:///path`.

    Raises GnomonError for another kind of queue.
    """
    if not url.startswith("sqlite:///"):
        raise GnomonError(f"the queue {url!r} is of a kind that is not known; write sqlite:///path/to/inbox.db")
    return Path(url.removeprefix("sqlite:///"))


class Inbox:
    """The file of one trial. One thread at a time.

    Raises StateError when the file is another trial's, or of a layout that is not known.
    """

    def __init__(self, path: Path, *, trial: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path)  # SQLite gives its other files the same mode
        self.path = path
        self.trial = trial
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA cache_size=-16000;"
            "PRAGMA temp_store=MEMORY;"  # what is written anew never lies in another folder on its way
        )
        self._migrate()
        self._db.executescript(_SCHEMA)
        self._check_trial()
        self.identity = self._about("identity", uuid.uuid4().hex)
        """Names this file in the log's transactions: a new inbox counts its batches from 1 again."""

    def _migrate(self) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found > _LAYOUT:
            raise StateError(
                f"{self.path} has layout {found}, this version of Gnomon knows {_LAYOUT}; use the version that wrote it"
            )
        self._db.execute("BEGIN IMMEDIATE")
        if found == 1:
            self._db.execute("ALTER TABLE exchanges ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0")
            frames = self._db.execute("SELECT seq, frame FROM exchanges")
            self._db.executemany(
                "UPDATE exchanges SET epoch = ? WHERE seq = ?",
                ((_frames.decode(frame).request.epoch, seq) for seq, frame in frames.fetchall()),
            )
        self._db.execute(f"PRAGMA user_version={_LAYOUT}")
        self._db.execute("COMMIT")

    def _check_trial(self) -> None:
        found = self._about("trial", self.trial)
        if found != self.trial:
            self._db.close()
            raise StateError(
                f"{self.path} is the inbox of trial {found}, and one inbox serves one trial; "
                f"give trial {self.trial} a queue of its own"
            )

    def _about(self, name: str, default: str) -> str:
        self._db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, default))
        (value,) = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(value)

    # writing -------------------------------------------------------------------------------------------------------

    def commit(self, group: Group) -> None:
        """Commit all of it or nothing. An exchange whose id is there already is ignored.

        Raises sqlite3.Error; then nothing of the group is committed.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._arrive(group.arrivals)
            db.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?)",
                [(each.place, each.batch, each.seq, each.result) for each in group.finished],
            )
            for each in group.aside:
                self._set_aside(each)
            for batch in group.logged:
                self._remove(batch)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _arrive(self, arrivals: list[Arrival]) -> None:
        if not arrivals:
            return
        received: dict[tuple[str, int], int] = {}
        db = self._db
        before = db.total_changes
        db.executemany(
            "INSERT OR IGNORE INTO exchanges VALUES (?, ?, ?, ?, ?)",
            [(each.seq, each.id, each.time_us, each.frame, each.epoch) for each in arrivals],
        )
        new: Iterable[Arrival] = arrivals
        if db.total_changes - before != len(arrivals):
            low, high = arrivals[0].seq, arrivals[-1].seq
            there = {seq for (seq,) in db.execute("SELECT seq FROM exchanges WHERE seq BETWEEN ? AND ?", (low, high))}
            new = [each for each in arrivals if each.seq in there]
        for each in new:
            received[each.instance, each.epoch] = received.get((each.instance, each.epoch), 0) + 1
        db.executemany(_ADD_RECEIVED, [(*key, count) for key, count in received.items()])
        highest = {each.instance: each.number for each in arrivals}  # in order: the last one is the highest
        db.executemany(_RAISE_NUMBER, list(highest.items()))

    def _set_aside(self, each: Aside) -> None:
        self._db.execute(_SET_ASIDE, (each.reason, FRAMES_KEPT, each.seq))
        self._db.execute("DELETE FROM results WHERE place = ?", (each.place,))
        self._db.execute("DELETE FROM exchanges WHERE seq = ?", (each.seq,))
        self._db.execute(_ADD_LOGGED, (each.epoch, "unaccounted", 1))

    def _remove(self, batch: Logged) -> None:
        db = self._db
        db.execute("DELETE FROM results WHERE place BETWEEN ? AND ?", batch.places)
        db.executemany("DELETE FROM exchanges WHERE seq BETWEEN ? AND ?", _ranges(batch.seqs))
        db.executemany(_ADD_LOGGED, [(*key, count) for key, count in batch.states.items()])
        db.execute(
            "INSERT INTO about VALUES ('batch', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (str(batch.batch),),
        )

    def scrub(self) -> None:
        """Leave nothing of what has been removed in the files.

        The write-ahead log is emptied. The pages are written anew, too, unless too much is alive in them (REWRITTEN):
        where SQLite moves rows from page to page, secure_delete leaves copies behind, about one row in a thousand.
        """
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        if (pages - free) * size <= REWRITTEN:
            self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close the file, its write-ahead log emptied."""
        self._db.close()

    # reading -------------------------------------------------------------------------------------------------------

    def last_batch(self) -> int:
        """The highest number that a batch has had; 0: none."""
        logged = self._db.execute("SELECT value FROM about WHERE name = 'batch'").fetchone()
        (open_,) = self._db.execute("SELECT max(batch) FROM results").fetchone()
        return max(int(logged[0]) if logged else 0, open_ or 0)

    def last_seq(self) -> int:
        """The highest arrival that is still here."""
        return int(self._db.execute("SELECT max(seq) FROM exchanges").fetchone()[0] or 0)

    def numbers(self) -> dict[str, int]:
        """The highest number committed, by gateway instance."""
        return dict(self._db.execute("SELECT instance, number FROM instances"))

    def sums(self) -> Sums:
        """What was received, what has ended and what is open."""
        db = self._db
        return Sums(
            {(instance, epoch): count for instance, epoch, count in db.execute("SELECT * FROM received")},
            {(epoch, state): count for epoch, state, count in db.execute("SELECT * FROM logged")},
            dict(db.execute("SELECT epoch, count(*) FROM exchanges GROUP BY epoch")),
        )

    def aside(self) -> list[tuple[bytes, int, str, bytes | None]]:
        """What the log could never take, oldest first: id, epoch, reason, frame."""
        return self._db.execute("SELECT id, epoch, reason, frame FROM aside ORDER BY number").fetchall()

    def times(self) -> list[tuple[int, int]]:
        """Arrival and request time of everything that is here."""
        return self._db.execute("SELECT seq, time_us FROM exchanges ORDER BY seq").fetchall()

    def waiting(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Arrivals later than `after`, oldest first: seq and frame."""
        return self._db.execute(
            "SELECT seq, frame FROM exchanges WHERE seq > ? ORDER BY seq LIMIT ?", (after, count)
        ).fetchall()

    def unfinished_batches(self) -> Iterator[tuple[int, list[tuple[int, int, bytes, bytes]]]]:
        """Batches that were not removed before the last end: number, and place, seq, frame, result of each."""
        numbers = [number for (number,) in self._db.execute("SELECT DISTINCT batch FROM results ORDER BY batch")]
        for number in numbers:
            yield (
                number,
                self._db.execute(
                    """SELECT place, seq, frame, result FROM results JOIN exchanges USING (seq)
                    WHERE batch = ? ORDER BY place""",
                    (number,),
                ).fetchall(),
            )


def _ranges(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """The same numbers as few closed intervals."""
    found = []
    for _, run in groupby(enumerate(sorted(seqs)), key=lambda pair: pair[1] - pair[0]):
        members = [seq for _, seq in run]
        found.append((members[0], members[-1]))
    return found
