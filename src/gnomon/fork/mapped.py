"""A file of fixed size in memory: what is written to it survives the process, at the cost of writing to memory."""

import mmap
import os
from pathlib import Path


def mapped(path: Path, size: int) -> mmap.mmap:
    """A new file of so many bytes, for its owner alone.

    Raises OSError when there is no room for it: a full disk is met here, not as SIGBUS while writing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
