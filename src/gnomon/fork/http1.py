"""Request heads: our own checks beside llhttp's, and the head rebuilt for the model as one `bytes`. No I/O.

llhttp (httptools) decides what a valid message is. What it accepts and we do not: a missing, repeated or bad Host,
transfer codings other than chunked, Transfer-Encoding in HTTP/1.0, versions other than 1.0 and 1.1, CONNECT, methods
that are not HTTP's.
"""

import re
from typing import Final, NamedTuple

from gnomon.fork.names import (
    AUTHORIZATION,
    CODING,
    CONNECTION,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOST_NAME,
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

LINE_LIMIT: Final = 16 * 1024
HEAD_LIMIT: Final = 64 * 1024
READ_AHEAD: Final = 64
"""Pipelined requests that may wait behind the one being answered."""

METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS "
    b"PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE TRACE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)
"""What is passed on. llhttp also knows CONNECT, and methods of RTSP and ICE."""
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
_hosts: Final[set[bytes]] = set()
"""Hosts that were found good before."""
_HOSTS_LIMIT: Final = 1024


class Refusal(NamedTuple):
    """Why the gateway answers by itself."""

    status: int
    detail: str
    state: str | None
    """The ledger's state; None: the head is not valid and is counted as such."""


class RequestHead(NamedTuple):
    """A checked request head."""

    method: bytes
    target: bytes
    """Origin form, or `*`."""
    path: bytes
    """The target without its query."""
    version: str
    headers: Headers
    host: bytes
    length: int | None
    chunked: bool
    keep_alive: bool
    websocket: bool
    readable: bool
    """A comparison can read a body with this content coding."""
    lines: list[bytes]
    """What goes on to the model, in pieces: name, colon, value, line end."""
    authorization: list[bytes]
    """The user's credentials, in the same way."""
    forwarded_for: bytes
    forwarded: bytes
    """`X-Forwarded-Proto` and `-Host` as a proxy before us set them: it knows what the client used."""


def check_request(  # noqa: C901, PLR0911, PLR0912, PLR0915  every request pays for a call: one loop reads the head once
    method: bytes, url: bytes, version: str, headers: Headers, *, keep_alive: bool, upgrade: bool
) -> RequestHead | Refusal:
    """Apply our own checks to what llhttp accepted. `upgrade`: llhttp takes it for an upgrade."""
    if version not in {"1.1", "1.0"}:
        return Refusal(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", None)
    if len(url) > LINE_LIMIT:
        return Refusal(414, f"the target has {len(url)} bytes, at most {LINE_LIMIT} are taken", "refused:too_large")
    hosts = 0
    host = coding = wanted = forwarded_for = forwarded_proto = forwarded_host = b""
    transfer: bytes | None = None
    length: int | None = None
    hop: frozenset[bytes] = frozenset()
    lines: list[bytes] = []
    authorization: list[bytes] = []
    for name, value in headers:
        kind = known.get(name)
        if kind is None:
            kind = meaning(name)
        if kind == PLAIN:
            lines += (name, b": ", value, b"\r\n")
        elif kind == HOST_NAME:
            hosts += 1
            host = value
        elif kind == LENGTH:
            length = int(value)  # llhttp has refused everything but one plain number
        elif kind == TRANSFER:
            transfer = value.strip().lower() if transfer is None else b"several"
        elif kind == CONNECTION:
            hop |= named(value)
        elif kind == UPGRADE:
            wanted = value.strip().lower()
        elif kind == CODING:
            coding += value if not coding else b"," + value
            lines += (name, b": ", value, b"\r\n")
        elif kind == AUTHORIZATION:
            authorization += (name, b": ", value, b"\r\n")
        elif kind == FORWARDED_FOR:
            forwarded_for += value + b", "
        elif kind == FORWARDED_PROTO:
            forwarded_proto = value
        elif kind == FORWARDED_HOST:
            forwarded_host = value
    if method not in METHODS:
        return Refusal(501, f"{method.decode()} is not a request for a model", "refused:unsupported")
    if url[:1] == b"/":
        target, authority = (url if b"#" not in url else url.split(b"#", 1)[0]), b""
    else:
        origin = _origin(url, method)
        if origin is None:
            return Refusal(400, "the request target is neither a path nor a URL", None)
        target, authority = origin
    if hosts > 1 or (not hosts and version == "1.1"):
        return Refusal(400, f"one Host header is needed, found {hosts}", None)
    if (hosts and host not in _hosts and not _is_host(host)) or (authority and not _is_host(authority)):
        return Refusal(400, "the Host header is empty or not a host", None)
    if transfer is not None:
        if version == "1.0":
            return Refusal(400, "Transfer-Encoding does not exist in HTTP/1.0", None)
        if transfer != b"chunked":
            return Refusal(501, "only the transfer coding chunked is known here", None)
    if hop:
        drop(lines, hop)
        drop(authorization, hop)
    host = authority or host
    return RequestHead(
        method,
        target,
        target if b"?" not in target else target.split(b"?", 1)[0],
        version,
        headers,
        host,
        length,
        transfer is not None,
        keep_alive,
        # one with a body is no handshake: what llhttp leaves unread after its head is that body
        upgrade
        and wanted == b"websocket"
        and method == b"GET"
        and version == "1.1"
        and not length
        and transfer is None,
        not coding or coding.strip().lower() in READABLE,
        lines,
        authorization,
        forwarded_for,
        b"\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (forwarded_proto or b"http", forwarded_host or host),
    )


def _is_host(host: bytes) -> bool:
    good = _HOST.match(host) is not None
    if good and len(_hosts) < _HOSTS_LIMIT and len(host) <= 64:
        _hosts.add(host)
    return good


def _origin(url: bytes, method: bytes) -> tuple[bytes, bytes] | None:
    """Target in origin form and the authority of an absolute one."""
    if url == b"*" and method == b"OPTIONS":
        return url, b""
    scheme, separator, rest = url.partition(b"://")
    if not separator or scheme.lower() not in {b"http", b"https"}:
        return None
    authority, slash, path = rest.partition(b"/")
    if not slash:
        authority, question, query = rest.partition(b"?")
        path = question + query
    if not authority or b"@" in authority:
        return None
    return b"/" + path.split(b"#", 1)[0], authority


def upstream_head(head: RequestHead, *, prefix: bytes, id_: bytes, peer: bytes, credentials: bytes = b"") -> bytes:
    """The head for a model: hop-by-hop headers gone, ours set, the body's framing declared once.

    `credentials` is the arm's own Authorization, in the place of the user's.
    """
    if head.websocket:
        framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    elif head.length is not None:
        framing = b"Content-Length: %d\r\n" % head.length
    elif head.chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    else:
        framing = b""
    if credentials:
        framing += b"Authorization: " + credentials + b"\r\n"
    elif head.authorization:
        framing += b"".join(head.authorization)
    return b"%b %b%b HTTP/1.1\r\nHost: %b\r\n%b%bX-Forwarded-For: %b%b%b\r\nx-gnomon-id: %b\r\n\r\n" % (
        head.method,
        prefix if head.target != b"*" else b"",
        head.target,
        head.host,
        b"".join(head.lines),
        framing,
        head.forwarded_for,
        peer,
        head.forwarded,
        id_,
    )


def without_upgrade(head: RequestHead, url: bytes) -> bytes:
    """The head as it came, without what asks for another protocol."""
    lines = []
    for name, value in head.headers:
        lower = name.lower()
        if lower in {b"upgrade", b"http2-settings"}:
            continue
        if lower == b"connection":
            rest = named(value) - {b"upgrade", b"http2-settings"}
            kept = sorted(rest) + ([] if head.keep_alive else [b"close"])
            if not kept:
                continue
            lines.append(name + b": " + b", ".join(kept))
        else:
            lines.append(name + b": " + value)
    start = head.method + b" " + url + b" HTTP/" + head.version.encode()
    return b"\r\n".join([start, *lines, b"", b""])
