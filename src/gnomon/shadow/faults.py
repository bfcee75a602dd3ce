"""Faults of our own: said with their traceback, once for each kind and place, and never the end of the process."""

import sys
import traceback


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
