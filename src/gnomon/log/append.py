"""Append to a table of the log, once. A repeated append does nothing, whoever repeats it and whenever.

Delta records an application's transaction number with a commit, but takes the same number again; so the number is asked
for first. One application appends from one process at a time: the runner holds a lock, an import names its file.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from gnomon.log import storage

_TRIES: Final = 50
"""Upkeep commits a few times in minutes: so many in a row are none of its own."""


def local(log_url: str) -> Path | None:
    """The folder of a log on this machine's file system; None for an object store."""
    parts = urlsplit(log_url)
    if parts.scheme == "file":
        return Path(parts.path)
    return None if len(parts.scheme) > 1 else Path(log_url)


def table_uri(log_url: str, table: str) -> str:
    """Where a table of the log is."""
    folder = local(log_url)
    return f"{log_url.rstrip('/')}/{table}" if folder is None else str(folder.absolute() / table)


def append(log_url: str, table: str, rows: pa.Table, *, application: str, number: int) -> int:
    """Append `rows` as transaction `number` of `application`; the table's version afterwards.

    Does nothing when the application has appended this number, or a later one, already. The table is made with the
    schema of `rows` when it is not there. Raises OSError or deltalake's DeltaError when the store cannot be written.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _append(log_url, table, rows, application, number)
        except CommitFailedError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _append(log_url: str, table: str, rows: pa.Table, application: str, number: int) -> int:
    uri = table_uri(log_url, table)
    try:
        there = DeltaTable(uri)
    except TableNotFoundError:
        _make_folder(log_url, uri)
        # one commit: never a table without rows
        _write(uri, rows, application, number, configuration=storage.configuration(table))
        return DeltaTable(uri).version()
    done = there.transaction_version(application)
    if done is None or done < number:
        _write(there, rows, application, number)
    return there.version()


def _write(
    table: DeltaTable | str, rows: pa.Table, application: str, number: int, configuration: dict[str, str] | None = None
) -> None:
    write_deltalake(
        table,
        rows,
        mode="append",
        configuration=configuration,
        writer_properties=storage.properties(rows.schema, level=storage.APPENDED),
        commit_properties=CommitProperties(app_transactions=[Transaction(application, number)]),
    )


def _make_folder(log_url: str, uri: str) -> None:
    folder = local(log_url)
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(uri).mkdir(mode=0o700, exist_ok=True)
