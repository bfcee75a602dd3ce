"""How the tables are kept on disk: encodings, compression, Delta's own settings. Nothing here changes what is read."""

from typing import Final

import pyarrow as pa
from deltalake import ColumnProperties, WriterProperties

APPENDED: Final = 3
COMPACTED: Final = 9
"""Levels of zstd. The runner is in a hurry; upkeep is not."""

_ROWS: Final = 131_072
"""Rows of a row group: what a reader that looks for one exchange has to open."""

_DISTINCT: Final = frozenset({"id", "cluster", "truth_key", "key"})
"""Texts that hardly repeat: a dictionary of them is a second copy."""

_TEXT: Final = ColumnProperties(
    dictionary_enabled=False, statistics_enabled="CHUNK", encoding="DELTA_LENGTH_BYTE_ARRAY"
)
"""A seventh faster to read than plain ones."""
_INTEGER: Final = ColumnProperties(dictionary_enabled=False, statistics_enabled="CHUNK", encoding="DELTA_BINARY_PACKED")
"""Times and latencies: half the time to read, and a third smaller than plain ones. Spark reads it since 3.3."""
_FLOAT: Final = ColumnProperties(dictionary_enabled=False, statistics_enabled="CHUNK")
_BODY: Final = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
_OTHER: Final = ColumnProperties(dictionary_enabled=True, statistics_enabled="CHUNK")


def properties(schema: pa.Schema, *, level: int) -> WriterProperties:
    """How Parquet files with these columns are written.

    Bodies carry no statistics: a minimum and a maximum would be copies of bodies. Statistics of pages are left out
    everywhere: in a small file they are larger than what they describe.
    """
    return WriterProperties(
        compression="ZSTD",
        compression_level=level,
        max_row_group_size=_ROWS,
        default_column_properties=_OTHER,
        column_properties={name: found for name in schema.names if (found := _column(schema.field(name)))},
    )


def _column(field: pa.Field) -> ColumnProperties | None:
    if pa.types.is_binary(field.type):
        return _BODY
    if pa.types.is_int64(field.type):
        return _INTEGER
    if pa.types.is_float64(field.type):
        return _FLOAT
    return _TEXT if field.name in _DISTINCT else None


def configuration(table: str) -> dict[str, str]:
    """The Delta settings of a table."""
    columns = "time_us,watermark_us" if table == "ledger" else "id,time_us"
    return {
        # Upkeep alone removes commits, and none that a recorded verdict needs.
        "delta.enableExpiredLogCleanup": "false",
        # How long a checkpoint repeats the names of files that are gone; the default of a week makes checkpoints large.
        "delta.deletedFileRetentionDuration": "interval 1 hour",
        # What every commit repeats of its file: only what is searched for. Header values need not stand there.
        **({} if table == "truths" else {"delta.dataSkippingStatsColumns": columns}),
    }
