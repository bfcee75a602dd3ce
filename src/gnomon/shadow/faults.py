"""Faults of our own: said with their traceback, once for each kind and place, and never the end of the process.

What an exception says of itself is left out: Arrow, and many a plugin, quote the value that they could not take, and
nothing of a body may stand in the program log. Its kind and its place are enough to find the fault.
"""

import contextlib
import sys
import traceback
from typing import Any, Final, TextIO


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
            frames = "".join(traceback.format_list(trace))
            words = "its words are left out: they could hold a part of a body"
            sys.stderr.write(f"{what}\nTraceback (most recent call last):\n{frames}{named(error)} ({words})\n")
            sys.stderr.flush()

    def unhandled(self, context: dict[str, Any]) -> None:
        """For the event loop: an exception that nobody caught. Its own words show arguments, and they may be bodies."""
        error = context.get("exception")
        if isinstance(error, Exception):
            self.say(error, "a fault in Gnomon that nothing caught:")


def named(error: BaseException) -> str:
    """The kind of an error, with what caused it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name if error.__cause__ is None else f"{name} because of {named(error.__cause__)}"
