"""What a request says about where it comes from: the proxies it passed (RFC 7239) and its trace (W3C Trace Context)."""

import re
from typing import Final

_TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?\Z")
_FIRST_VERSION: Final = b"00-"
_FIRST_VERSION_LENGTH: Final = 55
_NODE: Final = re.compile(rb"[A-Za-z0-9._:\[\]-]+\Z")
_BARE: Final = re.compile(rb"[A-Za-z0-9._-]+\Z")
_TOKEN: Final = re.compile(rb"[A-Za-z][A-Za-z0-9.+-]*\Z")

SAMPLED: Final = b"-03"
UNSAMPLED: Final = b"-02"
"""Flags of a trace that begins here. Bit 1: the last seven bytes of its id are random, as those of a UUIDv7 are."""


def is_trace(value: bytes) -> bool:
    """Whether a `traceparent` can be passed on; else the trace starts anew (W3C Trace Context, 3.2 and 4.3)."""
    return _TRACE.match(value) is not None and (
        not value.startswith(_FIRST_VERSION) or len(value) == _FIRST_VERSION_LENGTH
    )


def trace(id_: bytes, flags: bytes) -> bytes:
    """The header line of a trace that begins with this exchange, whose hexadecimal id it carries."""
    return b"traceparent: 00-%b-%b%b\r\n" % (id_, id_[16:], flags)


def proxied(peer: bytes, host: bytes, *, before: bytes, forwarded: bytes, proto: bytes, first_host: bytes) -> bytes:
    """The header lines `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded`.

    `before` and `forwarded` are what came in `X-Forwarded-For` and `Forwarded`, each with `, ` at its end, or empty;
    `proto` and `first_host` came in `X-Forwarded-Proto` and `-Host`: a proxy before us knows what the client used.
    Where there is no `Forwarded` yet, it is made of the others (RFC 7239, 7.4), so that both tell the same.
    """
    proto, first_host = proto or b"http", first_host or host
    if forwarded:
        ours = b'for=%b;host="%b";proto=http' % (_node(peer), host)
    else:
        forwarded = b"".join(b"for=%b, " % _node(each.strip()) for each in before.split(b",") if each.strip())
        shown = first_host if _NODE.match(first_host) else host
        ours = b'for=%b;host="%b";proto=%b' % (_node(peer), shown, proto if _TOKEN.match(proto) else b"http")
    return b"X-Forwarded-For: %b%b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nForwarded: %b%b\r\n" % (
        before,
        peer,
        proto,
        first_host,
        forwarded,
        ours,
    )


def _node(address: bytes) -> bytes:
    """A node identifier (RFC 7239, 6): IPv6 in brackets, whatever has more than letters, digits and dots quoted."""
    if not _NODE.match(address):
        return b"unknown"
    if address.count(b":") > 1 and not address.startswith(b"["):
        address = b"[" + address + b"]"
    return address if _BARE.match(address) else b'"%b"' % address
