"""Request heads: our own checks beside llhttp's, and the head rebuilt for the model as one `bytes`. No I/O.

llhttp (httptools) decides what a valid message is. What it accepts and we do not: a missing, repeated or bad Host,
transfer codings other than chunked, Transfer-Encoding in HTTP/1.0, versions other than 1.0 and 1.1, CONNECT, methods
that are not HTTP's; TRACE, which would show the arm's credentials to the user; a length that overflows.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gnomon.fork.names import (
    AUTHORIZATION,
    CODING,
    CONNECTION,
    FORWARDED,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOST_NAME,
    LARGEST,
    LENGTH,
    PLAIN,
    READABLE,
    TRACE,
    TRANSFER,
    UPGRADE,
    Headers,
    drop,
    known,
    meaning,
    named,
)
from gnomon.fork.provenance import is_trace, proxied, trace

LINE_LIMIT: Final = 16 * 1024
HEAD_LIMIT: Final = 64 * 1024
READ_AHEAD: Final = 64
"""Pipelined requests that may wait behind the one being answered."""

METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS "
    b"PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE UNBIND UNLINK UNLOCK "
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
    trace: bytes
    """A `traceparent` that can be passed on."""
    proxies: tuple[bytes, bytes, bytes, bytes] | None
    """`Forwarded`, and `X-Forwarded-For`, `-Proto` and `-Host` as proxies before us set them; None: none of them."""


def check_request(  # noqa: C901, PLR0911, PLR0912, PLR0915  every request pays for a call: one loop reads the head once
    method: bytes, url: bytes, version: str, headers: Headers, *, keep_alive: bool, upgrade: bool
) -> RequestHead | Refusal:
    """Apply our own checks to what llhttp accepted. `upgrade`: llhttp takes it for an upgrade."""
    if version not in {"1.1", "1.0"}:
        return Refusal(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", None)
    if len(url) > LINE_LIMIT:
        return Refusal(414, f"the target has more than {LINE_LIMIT} bytes", None)
    hosts = 0
    host = coding = wanted = tracing = forwarded = forwarded_for = forwarded_proto = forwarded_host = b""
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
        elif kind == TRACE:
            tracing = value if not tracing else b"several"
        elif kind == FORWARDED:
            forwarded += value + b", "
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
    if tracing and (not is_trace(tracing) or b"traceparent" in hop):
        tracing = b""
        hop |= {b"tracestate"}  # it belongs to the trace that ends here
    if length is not None and length > LARGEST:
        return Refusal(400, "the Content-Length is too large to be counted", None)
    if version == "1.0":
        hop |= {b"expect"}  # nobody there waits for a 100 (RFC 9110, 10.1.1)
    if hop:
        drop(lines, hop)
        drop(authorization, hop)
    proxies = None
    if forwarded or forwarded_for or forwarded_proto or forwarded_host:
        proxies = (forwarded, forwarded_for, forwarded_proto, forwarded_host)
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
        tracing,
        proxies,
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


_direct: Final[dict[tuple[bytes, bytes], bytes]] = {}
"""What `proxied` says of a client that comes without a proxy, by peer and host: the same for all its requests."""
_DIRECT_LIMIT: Final = 1024


def _from(head: RequestHead, peer: bytes) -> bytes:
    if head.proxies is not None:
        forwarded, before, proto, host = head.proxies
        return proxied(peer, head.host, before=before, forwarded=forwarded, proto=proto, first_host=host)
    lines = proxied(peer, head.host, before=b"", forwarded=b"", proto=b"", first_host=b"")
    if len(_direct) >= _DIRECT_LIMIT:
        _direct.clear()
    _direct[peer, head.host] = lines
    return lines


def upstream_head(
    head: RequestHead, *, prefix: bytes, id_: bytes, peer: bytes, new_trace: bytes = b"", credentials: bytes = b""
) -> bytes:
    """The head for a model: hop-by-hop headers gone, ours set, the body's framing declared once.

    `new_trace` are the flags of a trace that begins here, where the request brought none; empty: none begins.
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
    tracing = b""
    if head.trace:
        tracing = b"traceparent: " + head.trace + b"\r\n"
    elif new_trace:
        tracing = trace(id_, new_trace)
    origin = (_direct.get((peer, head.host)) if head.proxies is None else None) or _from(head, peer)
    return b"%b %b%b HTTP/1.1\r\nHost: %b\r\n%b%b%b%bx-gnomon-id: %b\r\n\r\n" % (
        head.method,
        prefix if head.target != b"*" else b"",
        head.target,
        head.host,
        b"".join(head.lines),
        framing,
        origin,
        tracing,
        id_,
    )


def rewritten(head: RequestHead, paths: Mapping[bytes, bytes], fields: Sequence[tuple[bytes, bytes]]) -> RequestHead:
    """The head with another path, and with headers set in place of the client's."""
    path = paths.get(head.path, head.path)
    lines = list(head.lines)
    if fields:
        drop(lines, frozenset(name for name, _ in fields))
        for name, value in fields:
            lines += (name, b": ", value, b"\r\n")
    return head._replace(path=path, target=path + head.target[len(head.path) :], lines=lines)


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
