"""Compact: many small files of a table become few. The rows stay, and so does every version until it is vacuumed.

By size classes, so that a row is written about three times in its life and not with every run: files under half a
target are merged when there are many of them, first into small files, those into larger ones, and so on.
"""

from typing import Final

import pyarrow as pa

from gnomon.log import storage
from gnomon.log.read import actions, opened

MANY: Final = 32
"""So many files of a size class are merged. At a flush every five seconds that is less than three minutes' files."""

TARGETS: Final = (1 << 20, 16 << 20, 128 << 20)
"""Bytes of a merged file, by class."""


def compact(log_url: str, table: str) -> int:
    """Merge the small files of a table; how many files there are less.

    Appends may go on meanwhile. Raises OSError or deltalake's DeltaError when the store cannot be written,
    CommitFailedError when somebody changed the same files meanwhile: then those are as they were.
    """
    return sum(_merge(log_url, table, target) for target in TARGETS)


def configure(log_url: str, table: str) -> bool:
    """Give a table of an earlier version today's settings; whether it lacked them."""
    there = opened(log_url, table)
    if there is None:
        return False
    wanted, found = storage.configuration(table), there.metadata().configuration
    missing = {name: value for name, value in wanted.items() if found.get(name) != value}
    if missing:
        there.alter.set_table_properties(missing)
    return bool(missing)


def _merge(log_url: str, table: str, target: int) -> int:
    there = opened(log_url, table)
    if there is None:
        return 0
    if sum(each["size_bytes"] < target // 2 for each in actions(there, "size_bytes")) < MANY:
        return 0
    done = there.optimize.compact(
        target_size=target,
        max_concurrent_tasks=1,
        writer_properties=storage.properties(pa.schema(there.schema()), level=storage.COMPACTED),
    )
    return int(done["numFilesRemoved"]) - int(done["numFilesAdded"])
