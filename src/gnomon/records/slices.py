"""Production's latency with the shadow on and off: histograms in a memory-mapped file for each gateway instance.

A header line of one page, then 64-bit counts: [stratum][group][on, off][bucket]. A group holds every GROUPS-th block
of time slices: blocks are independent of each other, so groups are what an interval is made of.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gnomon.records import Record

PAGE: Final = 4096
GROUPS: Final = 64
BUCKETS: Final = 240
"""16 of one microsecond, then 8 to each doubling: within 12.5 %, up to some 70 minutes."""
STRATA_LIMIT: Final = 16
"""More strata are measured together."""
SUFFIX: Final = ".slices"
PER_STRATUM: Final = GROUPS * 2 * BUCKETS


class Slices(Record, frozen=True, kw_only=True):
    """What one gateway instance measured."""

    stratum: str
    counts: tuple[int, ...]
    """[group][on, off][bucket], flat."""


def header(strata: Sequence[str]) -> bytes:
    """The first page; strata past the limit are one."""
    names = list(strata) if len(strata) <= STRATA_LIMIT else ["all"]
    text = json.dumps({"strata": [name[:100] for name in names]}).encode()
    return (text + b"\n").ljust(PAGE)


def lower_edge(bucket: int) -> int:
    """The smallest latency of a bucket, in microseconds."""
    if bucket < 16:
        return bucket
    octave, step = divmod(bucket - 16, 8)
    return (8 + step) << (octave + 1)


def read_all(folder: Path) -> list[Slices]:
    """What every instance of a trial measured, by stratum. A file that is not whole is left out."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            content = path.read_bytes()
            names = json.loads(content[:PAGE])["strata"]
            counts = struct.unpack_from(f"<{PER_STRATUM * len(names)}q", content, PAGE)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            continue
        for index, name in enumerate(names):
            found.append(Slices(stratum=name, counts=counts[index * PER_STRATUM : (index + 1) * PER_STRATUM]))
    return found
