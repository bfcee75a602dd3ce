"""The writing side of `gnomon.records.counters`: plain integers in a memory-mapped file, about 0.1 us an increment."""

import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gnomon.fork.trail import Trail
from gnomon.records.counters import MORE, SLOTS, file_name, header, names
from gnomon.records.ledger import GATEWAY_STATES

SEEN, HANDED_OVER, INVALID_HEAD, FRONTIER = range(len(SLOTS))
SLOT: Final = {state: len(SLOTS) + index for index, state in enumerate(GATEWAY_STATES)}
"""Index of each state's slot."""
PASSED: Final = SLOT["passed"]
_MORE: Final = len(SLOTS) + len(GATEWAY_STATES)
OPEN, ANSWERED, FAILED, FAILED_US = range(_MORE, _MORE + len(MORE))
DRAWS: Final = _MORE + len(MORE)
"""Index of the first stratum's `drawn`; `sampled` follows it, then the next stratum's."""


class Ledger:
    """The counts of this process in one epoch, and what is open in it."""

    __slots__ = ("_copy", "_file", "_map", "durable", "epoch", "open", "slots", "trail")

    def __init__(
        self,
        folder: Path | None,
        *,
        instance: str,
        trial: str,
        epoch: int,
        now_us: int,
        strata: Sequence[str] = (),
        trail: Trail | None = None,
    ) -> None:
        """Count in a new file in `folder`; with None only in memory, where nobody reads it.

        Raises OSError when the file cannot be made.
        """
        self.epoch = epoch
        self.trail = trail
        self.open: dict[bytes, int] = {}
        """Request time by id of every exchange that is or may be copied and has no final state, oldest first."""
        self.durable = folder is not None
        """Without a file nothing is copied: nobody could tell what of it was lost."""
        count = len(names(strata))
        self._copy: memoryview | None = None
        if folder is None:
            self.slots = memoryview(bytearray(8 * count)).cast("q")
            return
        head = header(
            {"instance": instance, "pid": os.getpid(), "trial": trial, "epoch": epoch, "stratum": "all"}, strata
        )
        size = len(head) + 8 * (2 * count + 1)
        path = folder / file_name(instance, epoch)
        # Written whole and locked under another name first: a reader never meets half a file, nor one that looks dead.
        draft = path.with_suffix(".new")
        self._file = draft.open("w+b")
        draft.chmod(0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(head + bytes(size - len(head)))
        self._file.flush()
        os.posix_fallocate(self._file.fileno(), 0, size)  # a full disk is met here, not as SIGBUS while counting
        self._map = mmap.mmap(self._file.fileno(), size)
        whole = memoryview(self._map)[len(head) :].cast("q")
        self.slots = whole[:count]
        self._copy = whole[count:]
        self.slots[FRONTIER] = now_us
        draft.rename(path)

    def tick(self, now_us: int) -> None:
        """Move the frontier to the oldest open exchange, or to now; and copy what is counted, all of one moment."""
        slots = self.slots
        slots[FRONTIER] = next(iter(self.open.values()), now_us)
        slots[OPEN] = len(self.open)
        copy = self._copy
        if copy is not None:
            copy[0] += 1
            copy[1:] = slots
            copy[0] += 1

    def drawn(self, stratum: int, *, sampled: bool) -> None:
        """Count a coin."""
        at = DRAWS + 2 * stratum
        self.slots[at] += 1
        if sampled:
            self.slots[at + 1] += 1

    def answered(self, now_us: int, *, failed: bool) -> None:
        """Count an answer of the arm that serves."""
        slots = self.slots
        slots[ANSWERED] += 1
        if failed:
            slots[FAILED] += 1
            slots[FAILED_US] = now_us

    def final(self, state: str, id_: bytes | None = None) -> None:
        """Count a final state. An exchange with an `id_` that may be copied is counted while it is open, so once."""
        if id_ is None:
            self.slots[SLOT[state]] += 1
        elif self.open.pop(id_, None) is not None:
            self.slots[SLOT[state]] += 1
            if self.trail is not None and state not in self.trail.left_out:
                self.trail.add(id_, state)

    def handed_over(self, id_: bytes) -> None:
        """Count an acknowledged exchange, if it is still open."""
        if self.open.pop(id_, None) is not None:
            self.slots[HANDED_OVER] += 1
