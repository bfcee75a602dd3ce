"""Header names: what each means to the fork, and what of a head may leave its hop (RFC 9110, 7.6.1)."""

from typing import Final

Headers = list[tuple[bytes, bytes]]

READABLE: Final = frozenset({b"", b"identity", b"gzip", b"deflate"})
"""Content codings that a copy may have."""

(
    PLAIN,
    HOP,
    HOST_NAME,
    LENGTH,
    TRANSFER,
    CONNECTION,
    UPGRADE,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    FORWARDED_HOST,
    CODING,
    AUTHORIZATION,
    KEEP_ALIVE,
    FORWARDED,
    TRACE,
) = range(15)
_MEANING: Final = {
    b"proxy-connection": HOP,
    b"te": HOP,
    b"host": HOST_NAME,
    b"content-length": LENGTH,
    b"transfer-encoding": TRANSFER,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED_PROTO,
    b"x-forwarded-host": FORWARDED_HOST,
    b"content-encoding": CODING,
    b"authorization": AUTHORIZATION,
    b"keep-alive": KEEP_ALIVE,
    b"forwarded": FORWARDED,
    b"traceparent": TRACE,
}
known: Final[dict[bytes, int]] = {}
"""Meanings by the name as it is spelled: clients spell a name in one way, and a look-up here is all it then costs."""
_KNOWN_LIMIT: Final = 4096
LARGEST: Final = (1 << 63) - 1
"""Bytes that a body may announce: what is larger overflows in readers that count with 64 bits (RFC 9110, 8.6)."""

_NEVER_NAMED: Final = frozenset({b"", b"close", b"keep-alive", b"content-length"})
"""Options, not names; and the length, without which a body would lose its end."""


def meaning(name: bytes) -> int:
    """What a header's name means here."""
    lower = name.lower()
    found = HOP if lower.startswith(b"x-gnomon-") else _MEANING.get(lower, PLAIN)
    if found == PLAIN and b"_" in lower:
        # CGI and WSGI know X_Forwarded_For and X-Forwarded-For by one name (RFC 3875, 4.1.18): it would pose as ours
        twin = lower.replace(b"_", b"-")
        if twin in _MEANING or twin.startswith(b"x-gnomon-"):
            found = HOP
    if len(known) < _KNOWN_LIMIT and len(name) <= 64:  # what strangers send must not fill the memory
        known[name] = found
    return found


def named(connection: bytes) -> frozenset[bytes]:
    """Lower-case names that a Connection header declares to be for this hop only."""
    lower = connection.lower()
    if lower in {b"keep-alive", b"close"}:
        return frozenset()
    return frozenset(part.strip() for part in lower.split(b",")) - _NEVER_NAMED


def drop(lines: list[bytes], names: frozenset[bytes]) -> None:
    """Take headers with these names out."""
    for at in range(len(lines) - 4, -1, -4):
        if lines[at].lower() in names:
            del lines[at : at + 4]


def trailers(fields: Headers) -> bytes:
    """Trailer fields that may go on: those that are about the message, not about how it is carried or by whom."""
    kept = [field for field in fields if meaning(field[0]) == PLAIN and field[0].lower() != b"trailer"]
    return b"".join(name + b": " + value + b"\r\n" for name, value in kept)


def head_size(headers: Headers) -> int:
    """Bytes of the header lines."""
    return sum(len(name) + len(value) + 4 for name, value in headers)
