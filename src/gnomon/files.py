"""Files that are there whole or not at all."""

import os
from pathlib import Path


def put(path: Path, content: bytes) -> None:
    """Write a file in place of what is there, for its owner alone: a reader meets the old one or the new one.

    Raises OSError; then what was there is still there.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
