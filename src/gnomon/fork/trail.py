"""The writing side of `gnomon.records.trail`: some microseconds for a request that ends without being handed over."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from gnomon.fork.mapped import mapped
from gnomon.records.ledger import GATEWAY_STATES
from gnomon.records.trail import ENTRIES, ENTRY, SUFFIX

OF_THE_ID: Final = frozenset({"passed", "unsampled", "shed:off_slice"})
"""States that follow from the id and the plan, where nothing of the request is looked at."""
_INDEX: Final = {state: index for index, state in enumerate(GATEWAY_STATES)}
_KEPT: Final = 15
"""Trails of earlier instances that stay."""


class Trail:
    """The ring of this process."""

    __slots__ = ("_at", "_map", "left_out")

    def __init__(self, folder: Path, *, instance: str, left_out: frozenset[str] = OF_THE_ID) -> None:
        """Begin a new file in `folder`, and remove the oldest of those that are there.

        Raises OSError when it cannot be made.
        """
        for old in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.name)[:-_KEPT]:  # an instance is a UUIDv7
            with suppress(OSError):
                old.unlink()
        self.left_out = left_out
        """States that are not written."""
        self._map = mapped(folder / f"{instance}{SUFFIX}", ENTRY.size * ENTRIES)
        self._at = 0

    def add(self, id_: bytes, state: str) -> None:
        """Write one entry over the oldest."""
        ENTRY.pack_into(self._map, self._at * ENTRY.size, id_, _INDEX[state])
        self._at = (self._at + 1) % ENTRIES
