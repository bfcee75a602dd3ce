"""A gateway's trail: the newest requests that were to be copied and ended in the gateway, each with its final state.

A ring of fixed size in a memory-mapped file for each gateway instance, for `gnomon explain`. What was not sampled is
not in it where the id alone says so: its coin can be tossed again. What was handed over is in the log.
"""

import struct
from pathlib import Path
from typing import Final

from gnomon.records import Record
from gnomon.records.ledger import GATEWAY_STATES

ENTRY: Final = struct.Struct("<16sH14x")
ENTRIES: Final = 16_384
SUFFIX: Final = ".trail"
_NOTHING: Final = bytes(16)


class TrailEntry(Record, frozen=True, kw_only=True):
    """How one request ended in the gateway."""

    state: str
    time_us: int
    """From its id (UUIDv7): to the millisecond."""


def read_all(folder: Path) -> dict[bytes, TrailEntry]:
    """By exchange id (16 bytes): what the trails of a trial hold. A file that is not whole is left out."""
    found = {}
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        for id_, state in ENTRY.iter_unpack(content[: len(content) // ENTRY.size * ENTRY.size]):
            if id_ != _NOTHING and state < len(GATEWAY_STATES):
                time_us = int.from_bytes(id_[:6], "big") * 1000
                found[id_] = TrailEntry(state=GATEWAY_STATES[state], time_us=time_us)
    return found
