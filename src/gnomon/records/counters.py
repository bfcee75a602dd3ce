"""A gateway's counters: a memory-mapped file for each process instance and epoch, which survives kill -9.

One page holds a JSON header line; little-endian 64-bit slots follow: SLOTS, then one for each of GATEWAY_STATES. The
gateway holds an exclusive lock on the file as long as it lives, so a reader that gets a shared lock knows that it is
dead: no process id can be reused in the meantime.
"""

import fcntl
import json
import struct
from pathlib import Path
from typing import Final

from msgspec import field

from gnomon.records import Record
from gnomon.records.ledger import GATEWAY_STATES

PAGE: Final = 4096
SLOTS: Final = ("seen", "handed_over", "invalid_head", "frontier_us")
SIZE: Final = PAGE + 8 * (len(SLOTS) + len(GATEWAY_STATES))


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
    """In flight or not acknowledged: seen = final + handed_over + open."""
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


def read(path: Path) -> Counters:
    """Read one file.

    Raises ValueError when it is not a counter file, or not complete yet.
    """
    with path.open("rb") as file:
        alive = False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            alive = True
        content = file.read(SIZE)
    # The lock first, the counts after it: what a dead gateway counted last is in the file by now.
    if len(content) <= PAGE:
        raise ValueError(f"{path} is not complete: {len(content)} of {SIZE} bytes")
    content = content.ljust(SIZE, b"\0")  # an earlier version knew fewer states, and counted none of the later ones
    header = json.loads(content[:PAGE].rstrip(b"\0\n "))
    numbers = struct.unpack_from(f"<{len(SLOTS) + len(GATEWAY_STATES)}q", content, PAGE)
    fixed = dict(zip(SLOTS, numbers, strict=False))
    states = dict(zip(GATEWAY_STATES, numbers[len(SLOTS) :], strict=True))
    return Counters(**header, **fixed, alive=alive, states={name: count for name, count in states.items() if count})


def read_all(folder: Path) -> list[Counters]:
    """Every counter file of a trial, by name. A file that is being made is left out: nothing is counted in it yet."""
    found = []
    for path in sorted(folder.glob("*.bin")):
        try:
            found.append(read(path))
        except (ValueError, FileNotFoundError):
            continue
    return found
