"""Faults of our own: said with their traceback, once for each kind and place, and never the end of the process."""

import contextlib
import sys
import traceback
from typing import Final, TextIO


class Words:
    """Standard error that may fail: on a full disk the word for it cannot be written either.

    That must cost no more than the word, so this takes the place of `sys.stderr` in a process that has to go on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Give it to the disk, if that takes it."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()


class Faults:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, error: Exception, what: str) -> None:
        """Write `what` and the traceback to stderr, unless this kind of error at this place has been said."""
        trace = traceback.extract_tb(error.__traceback__)
        where = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else ""
        kind = f"{type(error).__name__} {where}"
        if kind not in self._said:
            self._said.add(kind)
            sys.stderr.write(f"{what}\n{''.join(traceback.format_exception(error))}")
            sys.stderr.flush()
