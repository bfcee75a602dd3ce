"""Ids and coins. Both are cheap, and the coin can be tossed again by anyone who knows the id and the plan."""

import hashlib
import os
from collections.abc import Callable

_POOL = 10 * 1024


class Ids:
    """UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits, from a pool of the system's random bytes."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def new(self, now_us: int) -> bytes:
        """16 bytes."""
        at = self._at
        if at >= len(self._pool):
            self._pool = os.urandom(_POOL)
            at = 0
        self._at = at + 10
        pool = self._pool
        return (
            (now_us // 1000).to_bytes(6, "big")
            + bytes((0x70 | pool[at] & 0x0F, pool[at + 1], 0x80 | pool[at + 2] & 0x3F))
            + pool[at + 3 : at + 10]
        )


def coin(key: bytes, id_: bytes) -> int:
    """A number in [0, 2**32) by BLAKE2b keyed with the plan's digest: reproducible, and secret without it."""
    return int.from_bytes(hashlib.blake2b(id_, key=key, digest_size=4).digest(), "big")


class Bucket:
    """At most `per_second` copies a second, with bursts of one second's worth. Drawn before either arm is called."""

    __slots__ = ("_clock", "_full", "_level", "_since")

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._full = float(per_second)
        self._level = self._full
        self._clock = clock
        self._since = clock()

    def take(self) -> bool:
        """Whether one more copy is inside the rate."""
        now = self._clock()
        self._level = min(self._full, self._level + (now - self._since) * self._full)
        self._since = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
