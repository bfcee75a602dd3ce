"""Answers that a cache gave: what caches write into the head of an answer, where they say so.

A cache that says nothing (one inside of a model server) cannot be noticed.
"""

import re
from collections.abc import Iterable
from typing import Final

TOLD_BY: Final = frozenset(
    {
        "age", "cache-status", "cdn-cache-status", "cf-cache-status", "idempotent-replayed", "x-cache", "x-cache-hit",
        "x-cache-status", "x-nginx-cache-status", "x-proxy-cache", "x-varnish", "x-varnish-cache",
    }
)  # fmt: skip
"""The headers in which they say it, in lower case."""

_WORDS: Final = re.compile(r"[A-Za-z]+")
_HITS: Final = frozenset({"hit", "refreshhit", "stale", "updating", "revalidated", "true"})
"""nginx and Cloudflare send an old answer as STALE, UPDATING or REVALIDATED, CloudFront as RefreshHit."""


def repeated(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a header of an answer says that it was made for an earlier request. Names are in lower case."""
    return any(name in TOLD_BY and _says(name, value) for name, value in headers)


def _says(name: str, value: str) -> bool:
    if name == "age":  # RFC 9111: seconds since the origin made it
        return value.strip().isdecimal() and int(value) > 0
    if name in {"cache-status", "cdn-cache-status"} and (";" in value or "," in value):  # RFC 9211
        parts = (part.strip().lower() for member in value.split(",") for part in member.split(";")[1:])
        return any(part in {"hit", "hit=?1"} for part in parts)
    if name == "x-varnish":  # its own request's number, and that of the one whose answer this was
        return len(value.split()) > 1
    return not _HITS.isdisjoint(word.lower() for word in _WORDS.findall(value))
