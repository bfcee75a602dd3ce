"""Read the log at pinned versions: the same versions give the same rows, for ever.

Promises  the ledger is pinned before the tables it counts, so the rows hold at least what it says; a file that is
          missing or has another size than the log says is an IntegrityError that names it
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from gnomon.errors import IntegrityError
from gnomon.log.append import local, table_uri
from gnomon.records.ledger import LedgerRow

_ORDER: Final = ("ledger", "comparisons", "truths", "exchanges")
ABSENT: Final = -1
"""The version of a table that is not there yet."""


@dataclass(frozen=True)
class Snapshot:
    """One version of each table. The files of a version never change."""

    log_url: str
    versions: dict[str, int]
    """By table; -1: not there yet."""
    _files: dict[str, tuple[str, ...]] = field(repr=False)

    def files(self, table: str) -> list[str]:
        """The Parquet files of the pinned version: absolute paths, or URIs; none when the table is not there."""
        return list(self._files[table])


def snapshot(log_url: str, versions: dict[str, int] | None = None) -> Snapshot:
    """Pin the newest version of each table, or the given ones.

    Raises IntegrityError when a commit or a data file of a version is not there, or is not what the log says it is.
    """
    found: dict[str, int] = {}
    files: dict[str, tuple[str, ...]] = {}
    for table in _ORDER:
        wanted = None if versions is None else versions.get(table, ABSENT)
        found[table], files[table] = (ABSENT, ()) if wanted == ABSENT else _pin(log_url, table, wanted)
    return Snapshot(log_url, found, files)


def exchanges(log_url: str, ids: Sequence[str], version: int | None = None) -> list[dict[str, Any]]:
    """The rows of `exchanges` with these ids (few), in the order of `ids`; an id that is not there is left out."""
    table = _open(log_url, "exchanges", version)
    if table is None or not ids:
        return []
    rows = _read(_files(log_url, "exchanges", table), None, ds.field("id").isin(list(ids))).to_pylist()
    by_id = {row["id"]: row for row in rows}
    return [by_id[each] for each in ids if each in by_id]


def column(log_url: str, table: str, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of the newest version of a table; None when it is not there."""
    opened = _open(log_url, table, None)
    return None if opened is None else _read(_files(log_url, table, opened), columns, None)


def transaction(log_url: str, table: str, application: str) -> int | None:
    """The last transaction number that an application has appended to a table."""
    opened = _open(log_url, table, None)
    number = None if opened is None else opened.transaction_version(application)
    return None if number is None else int(number)


def watermark(log_url: str) -> int | None:
    """The largest watermark that the runner has written; None before the first flush. Reads no data file."""
    table = _open(log_url, "ledger", None)
    if table is None:
        return None
    actions = pa.table(table.get_add_actions(flatten=True))
    if "max.watermark_us" not in actions.column_names:
        return None
    found = pc.max(actions["max.watermark_us"]).as_py()
    return None if found is None else int(found)


def ledger(log_url: str) -> list[LedgerRow]:
    """The latest row of each instance, epoch, stratum and state, in that order."""
    table = _open(log_url, "ledger", None)
    if table is None:
        return []
    keys = ["instance", "epoch", "stratum", "state"]
    order = [(key, "ascending") for key in [*keys, "time_us", "count"]]
    rows = _read(_files(log_url, "ledger", table), None, None).sort_by(order)
    kept = ["time_us", "count", "watermark_us"]
    last = rows.group_by(keys, use_threads=False).aggregate([(name, "last") for name in kept])
    last = last.rename_columns([name.removesuffix("_last") for name in last.column_names])
    return [LedgerRow(**row) for row in last.to_pylist()]


def _read(files: Sequence[str], columns: Sequence[str] | None, only: ds.Expression | None) -> pa.Table:
    return ds.dataset(list(files), format="parquet").to_table(
        columns=None if columns is None else list(columns), filter=only, use_threads=False
    )


def _open(log_url: str, table: str, version: int | None) -> DeltaTable | None:
    """A table at a version, or its newest; None when it is not there."""
    uri = table_uri(log_url, table)
    folder = local(log_url)
    if version is None and folder is not None and not (Path(uri) / "_delta_log").is_dir():
        return None
    try:
        return DeltaTable(uri, version=version)
    except TableNotFoundError:
        if version is None:
            return None
        raise IntegrityError(f"the log's table {uri} is not there; version {version} of it is needed") from None
    except DeltaError as error:
        missing = "" if folder is None else _missing_commit(Path(uri), version)
        why = missing or f"version {version} of {uri} cannot be read: {error}"
        raise IntegrityError(why) from error


def _pin(log_url: str, table: str, version: int | None) -> tuple[int, tuple[str, ...]]:
    opened = _open(log_url, table, version)
    if opened is None:
        return ABSENT, ()
    pinned = opened.version()
    if local(log_url) is not None:
        uri = Path(table_uri(log_url, table))
        problem = _missing_commit(uri, pinned) or _wrong_file(uri, opened)
        if problem:
            raise IntegrityError(problem)
    return pinned, tuple(_files(log_url, table, opened))


def _files(log_url: str, table: str, opened: DeltaTable) -> list[str]:
    """The data files of a table: paths on this machine, or URIs."""
    if local(log_url) is None:
        return list(opened.file_uris())
    # not `file_uris`: it writes blanks in local paths as %20
    paths = pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()
    return [str(Path(table_uri(log_url, table)) / unquote(path)) for path in paths]


def _missing_commit(folder: Path, version: int | None) -> str:
    """The first commit that is not there, in words; empty: all are there. No commit is ever cleaned up (log.append)."""
    log = folder / "_delta_log"
    there = {name for name in os.listdir(log) if name.endswith(".json")} if log.is_dir() else set()  # noqa: PTH208
    numbers = [int(name[:-5]) for name in there if name[:-5].isdigit()]
    last = max(numbers, default=-1) if version is None else version
    for number in range(last + 1):
        if f"{number:020d}.json" not in there:
            return f"the commit file {log / f'{number:020d}.json'} is missing from the log"
    return ""


def _wrong_file(folder: Path, table: DeltaTable) -> str:
    """The first data file that is missing or has another size, in words; empty: all are as the log says."""
    actions = pa.table(table.get_add_actions(flatten=True)).select(["path", "size_bytes"]).to_pylist()
    for action in sorted(actions, key=lambda each: str(each["path"])):
        path = folder / unquote(action["path"])
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return f"the data file {path} is missing from the log"
        if size != action["size_bytes"]:
            return f"the data file {path} has {size} bytes, the log says {action['size_bytes']}"
    return ""
