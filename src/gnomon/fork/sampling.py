"""Ids and coins. Both are cheap, and the coin can be tossed again by anyone who knows the id and the plan."""

import hashlib
import os
from collections.abc import Callable
from typing import Final

SURE: Final = 1 << 32
"""The rate at which every coin says yes."""
_POOL: Final = 10 * 1024
_LOW_62: Final = (1 << 62) - 1


class Ids:
    """UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits, from a pool of the system's random bytes."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = _POOL

    def new(self, now_us: int) -> bytes:
        """16 bytes."""
        at = self._at
        if at >= _POOL:
            self._pool = os.urandom(_POOL)
            at = 0
        self._at = at + 10
        chance = int.from_bytes(self._pool[at : at + 10], "big") >> 6
        version_4_random_12 = 7 << 12 | chance >> 62
        variant_2_random_62 = 2 << 62 | chance & _LOW_62
        return (now_us // 1000 << 80 | version_4_random_12 << 64 | variant_2_random_62).to_bytes(16, "big")


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
