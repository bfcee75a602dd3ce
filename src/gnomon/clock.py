"""The only place that asks for the time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Microseconds since the epoch."""


def now_us() -> int:
    """Wall time in microseconds since the epoch (UTC)."""
    return time.time_ns() // 1000


def steady() -> Clock:
    """A wall clock that never steps back: read once, then carried on by the monotonic clock."""
    offset = time.time_ns() - time.monotonic_ns()

    def now() -> int:
        return (time.monotonic_ns() + offset) // 1000

    return now
