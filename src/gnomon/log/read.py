"""Read the log at pinned versions: the same versions give the same rows, for ever.

Promises  the ledger is pinned before the tables it counts, so the rows hold at least what it says; a file that is
          missing, cannot be read or has another size than the log says is an IntegrityError that names it
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from gnomon.errors import IntegrityError
from gnomon.log import tables
from gnomon.log.append import local, table_uri
from gnomon.records.frames import Request
from gnomon.records.ledger import LedgerRow

if TYPE_CHECKING:
    import pyarrow.dataset as ds

PINNED: Final = ("ledger", "comparisons", "truths")
"""What evidence reads, in the order of pinning. `exchanges` is shown to people, and its bodies leave it."""

ABSENT: Final = -1
"""The version of a table that is not there yet."""

_COUNTED: Final = ("time_us", "count", "watermark_us")
_ROWS: Final = 100_000
"""Rows of the ledger that are held at a time."""


@dataclass(frozen=True)
class Snapshot:
    """One version of each table that evidence reads. The files of a version never change."""

    log_url: str
    versions: dict[str, int]
    """By table; -1: not there yet. An earlier program pinned `exchanges` too: that number is kept and not used."""
    _files: dict[str, tuple[str, ...]] = field(repr=False)

    def files(self, table: str) -> list[str]:
        """The Parquet files of the pinned version: absolute paths, or URIs; none when the table is not there."""
        return list(self._files[table])


def snapshot(log_url: str, versions: dict[str, int] | None = None) -> Snapshot:
    """Pin the newest version of each table, or the given ones.

    Raises IntegrityError when a commit or a data file of a version is not there, or is not what the log says it is.
    """
    found: dict[str, int] = dict(versions or {})
    files: dict[str, tuple[str, ...]] = {}
    for table in PINNED:
        wanted = None if versions is None else versions.get(table, ABSENT)
        found[table], files[table] = (ABSENT, ()) if wanted == ABSENT else _pin(log_url, table, wanted)
    return Snapshot(log_url, found, files)


def exchanges(log_url: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `exchanges` with these ids (few), in the order of `ids`; an id that is not there is left out.

    Of the newest version: bodies that retention has removed since are None.
    """
    return rows_of(log_url, "exchanges", ids)


def rows_of(log_url: str, table: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `exchanges` or `comparisons` with these ids (few), in the order of `ids`, of the newest version.

    Of a batch of instances the first one's row.
    """
    there = opened(log_url, table)
    if there is None or not ids:
        return []
    wanted = pa.array(list(ids), pa.string())
    parts = (part.filter(pc.is_in(part["id"], wanted)) for part in _parts(log_url, table, there, ids=ids))
    by_id = {row["id"]: row for part in parts for row in part.to_pylist() if not row.get("instance")}
    return [by_id[each] for each in ids if each in by_id]


def requests(log_url: str, limit: int) -> list[Request]:
    """The newest logged requests that still have their body, at most `limit`."""
    there = opened(log_url, "exchanges")
    if there is None:
        return []
    names = ["id", "time_us", "epoch", "stratum", "probability", "method", "target", "request_headers", "request_body"]
    found: list[dict[str, Any]] = []
    for part in _parts(log_url, "exchanges", there, names):
        usable = part.filter(pc.and_(pc.greater(part["epoch"], 0), pc.is_valid(part["request_body"])))
        found = sorted([*found, *usable.to_pylist()], key=lambda row: (-row["time_us"], row["id"]))[:limit]
    return [
        Request(
            id=bytes.fromhex(row["id"]),
            time_us=row["time_us"],
            method=row["method"],
            target=row["target"],
            headers=tuple((name, value) for name, value in json.loads(row["request_headers"])),
            body=row["request_body"],
            route="",
            stratum=row["stratum"],
            probability=row["probability"],
            epoch=row["epoch"],
            serving="production",
        )
        for row in found
    ]


def column(log_url: str, table: str, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of the newest version of a table; None when it is not there."""
    there = opened(log_url, table)
    return None if there is None else pa.concat_tables(_parts(log_url, table, there, columns))


def transaction(log_url: str, table: str, application: str) -> int | None:
    """The last transaction number that an application has appended to a table."""
    there = opened(log_url, table)
    number = None if there is None else there.transaction_version(application)
    return None if number is None else int(number)


def watermark(log_url: str) -> int | None:
    """The largest watermark that the runner has written; None before the first flush. Reads no data file."""
    table = opened(log_url, "ledger")
    if table is None:
        return None
    known = [
        found for each in actions(table, "max.watermark_us") if (found := each.get("max.watermark_us")) is not None
    ]
    return max(known, default=None)


def ledger(log_url: str) -> list[LedgerRow]:
    """The latest row of each instance, epoch, stratum and state, in that order."""
    table = opened(log_url, "ledger")
    if table is None:
        return []
    parts, held = [tables.LEDGER.empty_table()], 0
    for part in _parts(log_url, "ledger", table):
        parts.append(part)
        held += len(part)
        if held > _ROWS:
            parts, held = [_latest(parts)], 0
    return [LedgerRow(**row) for row in _latest(parts).to_pylist()]


def _latest(parts: Sequence[pa.Table]) -> pa.Table:
    """The last row of each key by time, then count."""
    rows = pa.concat_tables(parts, promote_options="permissive")
    keys = ["instance", "epoch", "stratum", "state"]
    times = rows.group_by(keys, use_threads=False).aggregate([("time_us", "max")])
    # a sort costs more than all else: leave out what is older than the last row of every key
    recent = rows.filter(pc.greater_equal(rows["time_us"], pc.min(times["time_us_max"])))
    recent = recent.sort_by([(name, "ascending") for name in [*keys, "time_us", "count"]])
    last = recent.group_by(keys, use_threads=False).aggregate([(name, "last") for name in _COUNTED])
    return last.rename_columns([name.removesuffix("_last") for name in last.column_names]).select(rows.column_names)


# files -------------------------------------------------------------------------------------------------------------


def opened(log_url: str, table: str, version: int | None = None) -> DeltaTable | None:
    """A table at a version, or its newest; None when it is not there.

    Raises IntegrityError that names the file when the version cannot be read.
    """
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
    except (DeltaError, OSError, ValueError) as error:
        if folder is not None:
            commits_of(Path(uri), _last_commit(Path(uri)) if version is None else version)
        which = "the newest version" if version is None else f"version {version}"
        raise IntegrityError(f"{which} of {uri} cannot be read: {error}") from error


def data_files(log_url: str, table: str, there: DeltaTable) -> list[str]:
    """The data files of an opened table: paths on this machine, or URIs."""
    if local(log_url) is None:
        return list(there.file_uris())
    # not `file_uris`: it writes blanks in local paths as %20
    return [str(Path(table_uri(log_url, table)) / unquote(each["path"])) for each in actions(there, "path")]


def actions(there: DeltaTable, *names: str) -> list[dict[str, Any]]:
    """What the table says of each of its data files: of these facts those that it keeps."""
    found = there.get_add_actions(flatten=True)  # of Arrow's second library: `pa.table` would import pandas first
    kept = [name for name in names if name in found.schema.names]
    columns = [found.column(name).to_pylist() for name in kept]
    return [dict(zip(kept, values, strict=True)) for values in zip(*columns, strict=True)]


def commit(folder: Path, version: int) -> Path:
    """The commit file of a version of the table in a local folder."""
    return folder / "_delta_log" / f"{version:020d}.json"


def checkpoint(folder: Path, version: int) -> Path:
    """The checkpoint of a version, should there be one."""
    return folder / "_delta_log" / f"{version:020d}.checkpoint.parquet"


def commits_of(folder: Path, version: int) -> range:
    """The commits that a version is made of: from the last checkpoint before it, or from the first, to its own.

    Raises IntegrityError that names the first one that is not there, from the last one down.
    """
    for number in range(version, -1, -1):
        path = commit(folder, number)
        if not path.exists():
            raise IntegrityError(f"the commit file {path} is missing from the log")
        if checkpoint(folder, number).exists():
            return range(number, version + 1)
    return range(version + 1)


def _last_commit(folder: Path) -> int:
    numbers = [path.stem for path in (folder / "_delta_log").glob("*.json")]
    return max((int(number) for number in numbers if number.isdigit()), default=-1)


def _pin(log_url: str, table: str, version: int | None) -> tuple[int, tuple[str, ...]]:
    there = opened(log_url, table, version)
    if there is None:
        return ABSENT, ()
    if local(log_url) is not None:
        folder = Path(table_uri(log_url, table))
        commits_of(folder, there.version())
        _check_files(folder, there)
    return there.version(), tuple(data_files(log_url, table, there))


def _check_files(folder: Path, table: DeltaTable) -> None:
    """Every data file is there, and of the size that the log says. Raises IntegrityError that names the first one."""
    for action in sorted(actions(table, "path", "size_bytes"), key=lambda each: str(each["path"])):
        path = folder / unquote(action["path"])
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise IntegrityError(f"the data file {path} is missing from the log") from None
        if size != action["size_bytes"]:
            raise IntegrityError(f"the data file {path} has {size} bytes, the log says {action['size_bytes']}")


def _parts(
    log_url: str,
    table: str,
    there: DeltaTable,
    columns: Sequence[str] | None = None,
    *,
    ids: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """The rows, file by file and in pieces of bounded size; with `ids`, of row groups that may hold one of them.

    Raises IntegrityError that names the file that cannot be read.
    """
    import pyarrow.dataset as ds  # it takes pandas with it where that is installed: not into the runner's start

    schema = pa.schema(there.schema())
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    files = data_files(log_url, table, there)
    try:
        fragments = list(ds.dataset(files, schema=schema, format="parquet").get_fragments())
    except FileNotFoundError as error:
        raise IntegrityError(f"a data file of the log is missing: {error}") from None
    for file, fragment in zip(files, fragments, strict=True):
        try:
            found = fragment if ids is None else _may_hold(fragment, ids)
            for batch in found.to_batches(columns=wanted.names, use_threads=False, batch_readahead=1):
                # a file that an update wrote holds the same texts as another type
                yield pa.Table.from_batches([batch]).cast(wanted)
        except FileNotFoundError:
            raise IntegrityError(f"the data file {file} is missing from the log") from None
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise IntegrityError(f"the data file {file} is damaged or cannot be read: {reason}") from error


def _may_hold(fragment: "ds.Fragment", ids: Sequence[str]) -> "ds.Fragment":
    """The row groups that may hold one of these ids, by their statistics."""
    spans = {group.id: (group.statistics or {}).get("id") for group in fragment.row_groups}
    groups = [
        number
        for number, span in spans.items()
        if span is None or any(span["min"] <= each <= span["max"] for each in ids)
    ]
    return fragment.subset(row_group_ids=groups)
