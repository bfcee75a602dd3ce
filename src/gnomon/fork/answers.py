"""Answers: production's, checked and rebuilt for the client; and the few that the gateway gives itself."""

import json
import re
import time
from typing import Final, NamedTuple

from gnomon.fork.names import (
    CODING,
    CONNECTION,
    HOP,
    KEEP_ALIVE,
    LARGEST,
    LENGTH,
    PLAIN,
    READABLE,
    TRANSFER,
    UPGRADE,
    Headers,
    drop,
    known,
    meaning,
    named,
)

_NO_BODY: Final = frozenset({204, 304})
_REASON: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
TITLES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


class AnswerHead(NamedTuple):
    """A checked answer head."""

    status: int
    reason: bytes
    headers: Headers
    bodiless: bool
    length: int | None
    chunked: bool
    readable: bool
    """A comparison can read a body with this content coding."""
    lines: list[bytes]
    """What goes on to the client, in pieces: name, colon, value, line end."""
    keep_alive: bytes
    """The value of the Keep-Alive header."""

    @property
    def until_close(self) -> bool:
        """The body ends when the connection does."""
        return not self.bodiless and not self.chunked and self.length is None


def check_answer(  # noqa: C901, PLR0912  every answer pays for a call: one loop reads the head once
    status: int, reason: bytes, version: str, headers: Headers, *, to_head: bool
) -> AnswerHead | None:
    """Apply our own checks to an answer; None: it cannot be passed on."""
    if version not in {"1.1", "1.0"} or not 100 <= status <= 599 or _REASON.match(reason) is None:
        return None
    length: int | None = None
    transfer: bytes | None = None
    coding = keep_alive = b""
    hop: frozenset[bytes] = frozenset()
    lines: list[bytes] = []
    for name, value in headers:
        kind = known.get(name)
        if kind is None:
            kind = meaning(name)
        if kind == PLAIN:
            lines += (name, b": ", value, b"\r\n")
        elif kind == TRANSFER:
            transfer = value.strip().lower() if transfer is None else b"several"
        elif kind == CONNECTION:
            hop |= named(value)
        elif kind == KEEP_ALIVE:
            keep_alive = value
        elif kind == LENGTH:
            length = int(value)
            if status != 204 and status >= 200:  # RFC 9110, 8.6: there it must not be sent
                lines += (name, b": ", value, b"\r\n")
        elif kind not in {HOP, UPGRADE}:
            lines += (name, b": ", value, b"\r\n")
            if kind == CODING:
                coding += value if not coding else b"," + value
    if transfer is not None and (transfer != b"chunked" or version == "1.0"):
        return None
    if length is not None and length > LARGEST:
        return None
    if hop:
        drop(lines, hop)
    bodiless = to_head or status in _NO_BODY or status < 200
    readable = not coding or coding.strip().lower() in READABLE
    return AnswerHead(status, reason, headers, bodiless, length, transfer is not None, readable, lines, keep_alive)


def client_head(answer: AnswerHead, *, id_: bytes, version: str, close: bool, rechunk: bool) -> bytes:
    """The head for the client: production's, without the hop's own headers."""
    framing = b"Transfer-Encoding: chunked\r\n" if rechunk else b""
    if close:
        framing += b"Connection: close\r\n"
    elif version == "1.0":
        framing += b"Connection: keep-alive\r\n"
    lines = b"".join(answer.lines)
    return b"HTTP/1.1 %d %b\r\n%bx-gnomon-id: %b\r\n%b\r\n" % (answer.status, answer.reason, lines, id_, framing)


def switching_head(answer: AnswerHead, *, id_: bytes) -> bytes:
    """A 101 for the client: nothing but WebSocket was asked for."""
    ours = b"Connection: Upgrade\r\nUpgrade: websocket\r\nx-gnomon-id: " + id_
    return b"HTTP/1.1 101 %b\r\n%b%b\r\n\r\n" % (answer.reason, b"".join(answer.lines), ours)


def informational(answer: AnswerHead) -> bytes:
    """A 1xx answer, passed on."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (answer.status, answer.reason, b"".join(answer.lines))


def problem(status: int, detail: str, *, id_: bytes = b"", bodiless: bool = False) -> bytes:
    """A complete error answer with a problem document (RFC 9457). The connection closes after it."""
    title = TITLES[status]
    text = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
    lines = [
        f"HTTP/1.1 {status} {title}",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(text)}",
        "Connection: close",
        *([f"x-gnomon-id: {id_.decode()}"] if id_ else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if bodiless else text)
