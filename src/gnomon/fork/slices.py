"""The writing side of `gnomon.records.slices`, and the clock of the slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gnomon.fork.mapped import mapped
from gnomon.fork.strata import is_off
from gnomon.records.slices import BUCKETS, GROUPS, PAGE, PER_STRATUM, STRATA_LIMIT, SUFFIX, header

NOT_MEASURED: Final = -1


class OffSlices:
    """Short slices of time with the shadow off, the same ones in every gateway of a trial."""

    __slots__ = ("_counts", "_end_us", "_group", "_key", "_map", "_off", "_slice_us", "_slices", "_strata")

    def __init__(
        self, folder: Path, key: bytes, *, instance: str, slice_us: int, slices: int, strata: Sequence[str]
    ) -> None:
        """Count in a new file in `folder`.

        Raises OSError when it cannot be made.
        """
        self._key = key
        self._slice_us = slice_us
        self._slices = slices
        self._strata = len(strata) if len(strata) <= STRATA_LIMIT else 1
        self._end_us = 0
        self._off = False
        self._group = 0
        self._map = mapped(folder / f"{instance}{SUFFIX}", PAGE + 8 * PER_STRATUM * self._strata)
        self._map[:PAGE] = header(strata)
        self._counts = memoryview(self._map)[PAGE:].cast("q")

    def off(self, now_us: int) -> bool:
        """Whether nothing is copied now."""
        if now_us >= self._end_us:
            slice_ = now_us // self._slice_us
            self._end_us = (slice_ + 1) * self._slice_us
            self._off = is_off(self._key, now_us, slice_us=self._slice_us, slices=self._slices)
            self._group = slice_ // self._slices % GROUPS
        return self._off

    def place(self, stratum: int) -> int:
        """Where a request of this stratum that begins now is counted."""
        at = stratum if stratum < self._strata else 0
        return ((at * GROUPS + self._group) * 2 + self._off) * BUCKETS

    def add(self, place: int, latency_us: int) -> None:
        """Count production's latency."""
        if latency_us < 16:
            bucket = max(0, latency_us)
        else:
            octave = latency_us.bit_length() - 4
            bucket = min(BUCKETS - 1, 16 + (octave - 1) * 8 + ((latency_us >> octave) & 7))
        self._counts[place + bucket] += 1
