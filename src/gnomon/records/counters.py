"""A gateway's counters: a memory-mapped file for each process instance and epoch, which survives kill -9.

A JSON header line, filled up to whole pages, names the little-endian 64-bit slots that follow. After them come a
sequence number and the same slots once more: a copy in which all numbers are of one moment, made at intervals. The
gateway holds an exclusive lock on the file as long as it lives, so a reader that gets a shared lock knows that it is
dead: no process id can be reused in the meantime.
"""

import fcntl
import json
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from msgspec import field

from gnomon.records import Record
from gnomon.records.ledger import GATEWAY_STATES

PAGE: Final = 4096
SLOTS: Final = ("seen", "handed_over", "invalid_head", "frontier_us")
MORE: Final = ("open", "answered", "failed", "failed_us")
"""Slots after those of the states."""
_DRAWN: Final = "drawn "
_SAMPLED: Final = "sampled "
_TRIES: Final = 20
"""How often a copy that is being written is read again."""


class Counters(Record, frozen=True, kw_only=True):
    """What one gateway instance counted in one epoch."""

    instance: str
    pid: int
    trial: str
    epoch: int
    stratum: str
    alive: bool
    seen: int
    handed_over: int
    invalid_head: int
    frontier_us: int
    """Every sampled exchange of this instance with an earlier request time is acknowledged or final."""
    states: dict[str, int]
    open: int = 0
    """In flight or not acknowledged: what is left of `seen`; counted independently where all is of one moment."""
    answered: int = 0
    """Answers of the serving arm, failed ones included."""
    failed: int = 0
    """Of them: 5xx, reset, refused, timeout."""
    failed_us: int = 0
    """When the last one failed; 0: none did."""
    drawn: dict[str, int] = field(default_factory=dict)
    """Coins tossed, by stratum."""
    sampled: dict[str, int] = field(default_factory=dict)
    """Of them: yes."""

    @property
    def final(self) -> int:
        """Requests that ended in a state of the gateway's own."""
        return sum(self.states.values())


def file_name(instance: str, epoch: int) -> str:
    """Where an instance counts."""
    return f"{instance}-{epoch}.bin"


def names(strata: Sequence[str]) -> tuple[str, ...]:
    """The slots of a file, in their order."""
    draws = [word + stratum for stratum in strata for word in (_DRAWN, _SAMPLED)]
    return (*SLOTS, *GATEWAY_STATES, *MORE, *draws)


def header(facts: dict[str, Any], strata: Sequence[str]) -> bytes:
    """The first pages of a file."""
    text = json.dumps(facts | {"names": names(strata)}).encode() + b"\n"
    return text.ljust(-(-len(text) // PAGE) * PAGE)


def read(path: Path, *, one_moment: bool = False) -> Counters:
    """Read one file. `one_moment`: all numbers of a living gateway are of the same moment, up to some 50 ms ago.

    Raises ValueError when it is not a counter file, or not complete yet.
    """
    with path.open("rb") as file:
        alive = False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            alive = True
        facts = _header(path, file)
        start = file.tell()
        # an earlier version named no slots, and had no copy of them
        known = facts.pop("names", None)
        slots = known or [*SLOTS, *GATEWAY_STATES]
        # The lock first, the counts after it: what a dead gateway counted last is in the file by now.
        found = _copied(path, file.fileno(), start, len(slots)) if one_moment and alive and known else None
        counted = found is not None
        if found is None:
            content = os.pread(file.fileno(), 8 * len(slots), start)
            if not content:
                raise ValueError(f"{path} is not complete")
            found = struct.unpack(f"<{len(slots)}q", content.ljust(8 * len(slots), b"\0"))
    return _counters(facts, dict(zip(slots, found, strict=True)), alive=alive, counted=counted)


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The header; the file stands behind its last page."""
    text = b""
    while page := file.read(PAGE):
        text += page
        try:
            facts = json.loads(text.rstrip(b"\0\n "))
        except ValueError:  # it goes on, or it is none
            continue
        if isinstance(facts, dict):
            return facts
        break
    raise ValueError(f"{path} is not complete, or not a counter file")


def _copied(path: Path, fd: int, start: int, count: int) -> tuple[int, ...] | None:
    """The copy; None: there is none yet. Its number is odd while it is written."""
    for _ in range(_TRIES):
        content = os.pread(fd, 8 * (count + 1), start + 8 * count)
        if len(content) < 8 * (count + 1):
            raise ValueError(f"{path} is not complete")
        number, *slots = struct.unpack(f"<{count + 1}q", content)
        (after,) = struct.unpack("<q", os.pread(fd, 8, start + 8 * count))
        if number == after and not number % 2:
            return tuple(slots) if number else None
        time.sleep(0.0005)
    return None


def _counters(facts: dict[str, Any], slots: dict[str, int], *, alive: bool, counted: bool) -> Counters:
    draws = {
        word: {name.removeprefix(word): count for name, count in slots.items() if name.startswith(word)}
        for word in (_DRAWN, _SAMPLED)
    }
    states = {state: slots[state] for state in GATEWAY_STATES if slots.get(state)}
    named: dict[str, Any] = {name: slots.get(name, 0) for name in (*SLOTS, *MORE)}
    if not counted:  # these move while they are read
        named["open"] = max(0, named["seen"] - named["handed_over"] - sum(states.values()))
    return Counters(**facts, **named, alive=alive, states=states, drawn=draws[_DRAWN], sampled=draws[_SAMPLED])


def read_all(folder: Path, *, one_moment: bool = False) -> list[Counters]:
    """Every counter file of a trial, by name. A file that is being made is left out: nothing is counted in it yet."""
    found = []
    for path in sorted(folder.glob("*.bin")):
        try:
            found.append(read(path, one_moment=one_moment))
        except (ValueError, FileNotFoundError, TypeError):
            continue
    return found
