"""The writing side of `gnomon.records.counters`: plain integers in a memory-mapped file, about 0.1 us an increment."""

import fcntl
import json
import mmap
import os
from pathlib import Path
from typing import Final

from gnomon.records.counters import PAGE, SIZE, SLOTS, file_name
from gnomon.records.ledger import GATEWAY_STATES

SEEN, HANDED_OVER, INVALID_HEAD, FRONTIER = range(len(SLOTS))
SLOT: Final = {state: len(SLOTS) + index for index, state in enumerate(GATEWAY_STATES)}
"""Index of each state's slot."""
PASSED: Final = SLOT["passed"]


class Ledger:
    """The counts of this process in one epoch, and what is open in it."""

    __slots__ = ("_file", "_map", "durable", "epoch", "open", "slots")

    def __init__(self, folder: Path | None, *, instance: str, trial: str, epoch: int, now_us: int) -> None:
        """Count in a new file in `folder`; with None only in memory, where nobody reads it.

        Raises OSError when the file cannot be made.
        """
        self.epoch = epoch
        self.open: dict[bytes, int] = {}
        """Request time by id of every exchange that is or may be copied and has no final state, oldest first."""
        self.durable = folder is not None
        """Without a file nothing is copied: nobody could tell what of it was lost."""
        if folder is None:
            self.slots = memoryview(bytearray(SIZE - PAGE)).cast("q")
            return
        header = {"instance": instance, "pid": os.getpid(), "trial": trial, "epoch": epoch, "stratum": "all"}
        path = folder / file_name(instance, epoch)
        # Written whole and locked under another name first: a reader never meets half a file, nor one that looks dead.
        draft = path.with_suffix(".new")
        self._file = draft.open("w+b")
        draft.chmod(0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write((json.dumps(header).encode() + b"\n").ljust(PAGE, b"\0") + bytes(SIZE - PAGE))
        self._file.flush()
        os.posix_fallocate(self._file.fileno(), 0, SIZE)  # a full disk is met here, not as SIGBUS while counting
        self._map = mmap.mmap(self._file.fileno(), SIZE)
        self.slots = memoryview(self._map)[PAGE:].cast("q")
        self.slots[FRONTIER] = now_us
        draft.rename(path)

    def tick(self, now_us: int) -> None:
        """Move the frontier to the oldest open exchange, or to now."""
        self.slots[FRONTIER] = next(iter(self.open.values()), now_us)

    def final(self, state: str, id_: bytes | None = None) -> None:
        """Count a final state. An exchange with an `id_` that may be copied is counted while it is open, so once."""
        if id_ is None or self.open.pop(id_, None) is not None:
            self.slots[SLOT[state]] += 1

    def handed_over(self, id_: bytes) -> None:
        """Count an acknowledged exchange, if it is still open."""
        if self.open.pop(id_, None) is not None:
            self.slots[HANDED_OVER] += 1
