"""A digest of the data files that a look has pinned: any altered, missing or added byte of them changes it."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pyarrow import fs

from gnomon.errors import IntegrityError

if TYPE_CHECKING:
    from gnomon.log.read import Snapshot

FILES: Final = "files:"
"""How a digest of files begins; one of rows is 64 hex digits."""

_TABLES: Final = ("comparisons", "ledger", "truths")
_THREADS: Final = 2
_PIECE: Final = 1 << 20


def of_files(log: "Snapshot") -> str:
    """`files:` and a SHA-256 over the sorted lines `table sha256`, one for each pinned file that evidence reads.

    Names of files are in none of it. A version's files are never written again and never removed while a verdict names
    the version, so a verification finds the same ones. Raises IntegrityError that names a file that cannot be read.
    """
    files = [(table, file) for table in _TABLES for file in log.files(table)]
    with ThreadPoolExecutor(_THREADS) as pool:
        contents = pool.map(_content, (file for _, file in files))
        lines = sorted(f"{table} {content}\n" for (table, _), content in zip(files, contents, strict=True))
    return FILES + hashlib.sha256("".join(lines).encode()).hexdigest()


def _content(file: str) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(_PIECE))  # one for all: new memory costs as much as the reading
    try:
        with _opened(file) as stream:
            while size := stream.readinto(piece):
                digest.update(piece[:size])  # hashlib lets other threads run meanwhile
    except OSError as error:
        raise IntegrityError(f"the data file {file} cannot be read: {error}") from error
    return digest.hexdigest()


def _opened(file: str) -> AbstractContextManager[Any]:
    if len(urlsplit(file).scheme) < 2:
        return Path(file).open("rb", buffering=0)
    store, path = fs.FileSystem.from_uri(file)
    stream: AbstractContextManager[Any] = store.open_input_stream(path)
    return stream
