"""The files that truth comes in: CSV, JSON lines, Parquet. Columns, and rows with their line numbers."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gnomon.errors import GnomonError, NotFound

Format = Literal["csv", "jsonl", "parquet"]
Row = tuple[int, dict[str, Any]]
"""Line (or row) number, and the cells by column."""

_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def content(source: Path | str) -> bytes:
    """The bytes of a file; `-` is standard input.

    Raises NotFound, or GnomonError when it cannot be read.
    """
    if str(source) == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"truth file {source} is not there") from None
    except OSError as error:
        raise GnomonError(f"truth file {source} cannot be read: {error.strerror}") from error


def format_of(name: str, content: bytes) -> Format:
    """The format, by the file's suffix; standard input is JSON lines when it begins with a brace, else CSV."""
    if name == "-":
        return "jsonl" if content.lstrip()[:1] == b"{" else "csv"
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES:
        raise GnomonError(f"truth file {name} has the suffix {suffix!r}; it must be one of {', '.join(_SUFFIXES)}")
    return _SUFFIXES[suffix]


def read(content: bytes, kind: Format, name: str) -> tuple[list[str], Iterator[Row]]:
    """Columns and rows.

    Raises GnomonError that names the line, also while the rows are read.
    """
    return _READERS[kind](content, name)


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise GnomonError(f"{name}:{line} is not UTF-8 ({error.reason}); save the file as UTF-8") from error


def _csv(content: bytes, name: str) -> tuple[list[str], Iterator[Row]]:
    reader = csv.reader(io.StringIO(_text(content, name), newline=""), strict=True)
    columns = [column.strip() for column in next(reader, [])]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        raise GnomonError(f"{name}:1 has the column {doubled[0]!r} twice; take one out")
    return columns, _csv_rows(reader, columns, name)


def _csv_rows(reader: Any, columns: list[str], name: str) -> Iterator[Row]:  # noqa: ANN401  csv names no type
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(columns):
                raise GnomonError(
                    f"{name}:{reader.line_num} has {len(cells)} cells, the header {len(columns)}; nothing was imported"
                )
            yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise GnomonError(f"{name}:{reader.line_num} is not CSV: {error}; nothing was imported") from error


def _jsonl(content: bytes, name: str) -> tuple[list[str], Iterator[Row]]:
    columns: dict[str, None] = {}
    rows: list[Row] = []
    for number, line in enumerate(_text(content, name).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GnomonError(f"{name}:{number} is not JSON: {error}; nothing was imported") from error
        if not isinstance(value, dict):
            raise GnomonError(f"{name}:{number} is not a JSON object, found {line[:40]!r}; nothing was imported")
        columns.update(dict.fromkeys(value))
        rows.append((number, value))
    return list(columns), iter(rows)


def _parquet(content: bytes, name: str) -> tuple[list[str], Iterator[Row]]:
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise GnomonError(f"truth file {name} is not Parquet: {error}") from error
    return list(table.column_names), iter(list(enumerate(table.to_pylist(), start=1)))


_READERS: Final[dict[Format, Callable[[bytes, str], tuple[list[str], Iterator[Row]]]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
