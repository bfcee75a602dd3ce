"""Ids and coins. Both are cheap, and the coin can be tossed again by anyone who knows the id and the plan."""

import hashlib
import os
from collections.abc import Callable
from typing import Final

SURE: Final = 1 << 32
"""The rate at which every coin says yes."""
_TAIL: Final = 10
_POOL: Final = _TAIL * 1024
_RANDOM: Final = int.from_bytes(bytes([0x0F, 0xFF, 0x3F] + [0xFF] * 7) * 1024, "big")
_FIXED: Final = int.from_bytes(bytes([0x70, 0x00, 0x80] + [0x00] * 7) * 1024, "big")
"""Version 7 and variant 2 of every tail in a pool, and the bits beside them."""


class Ids:
    """UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits, from a pool of the system's random bytes."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = _POOL

    def new(self, now_us: int) -> bytes:
        """16 bytes."""
        at = self._at
        if at == _POOL:
            random = int.from_bytes(os.urandom(_POOL), "big")
            self._pool = (random & _RANDOM | _FIXED).to_bytes(_POOL, "big")
            at = 0
        self._at = end = at + _TAIL
        return (now_us // 1000).to_bytes(6, "big") + self._pool[at:end]


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
