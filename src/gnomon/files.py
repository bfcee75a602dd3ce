"""Files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path


def make_private(path: Path) -> None:
    """Make an empty file for its owner alone, if there is none: before SQLite would make one that others can open.

    A database that is there is never opened here. To close any descriptor of a file drops every lock that the process
    holds on it (POSIX): another command would then take itself for the only user, and clean up what is in use.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def put(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file in place of what is there: a reader meets the old one or the new one.

    For its owner alone, if no other mode is given, of which the umask takes its part. Raises OSError; then what was
    there is still there.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
