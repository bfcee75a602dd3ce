"""HTTP/1.1 without I/O: our own checks beside llhttp's, heads rebuilt as one `bytes`, error answers.

llhttp (httptools) decides what a valid message is. What it accepts and we do not: a missing, repeated or bad Host,
transfer codings other than chunked, Transfer-Encoding in HTTP/1.0, versions other than 1.0 and 1.1, CONNECT.
"""

import json
import re
from typing import Final, NamedTuple

Headers = list[tuple[bytes, bytes]]

LINE_LIMIT: Final = 16 * 1024
HEAD_LIMIT: Final = 64 * 1024
READ_AHEAD: Final = 64
"""Pipelined requests that may wait behind the one being answered."""

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"trailer"}
)
_REPLACED: Final = HOP_BY_HOP | {b"content-length", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
_NO_BODY: Final = frozenset({204, 304})
READABLE: Final = frozenset({"", "identity", "gzip", "deflate"})
"""Content codings that a copy may have."""

TITLES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


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
    version: str
    headers: Headers
    host: bytes
    length: int | None
    chunked: bool
    keep_alive: bool
    websocket: bool

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.split(b"?", 1)[0]


def check_request(  # noqa: C901, PLR0911, PLR0912  one check a branch; a table would evaluate all of them each time
    method: bytes, url: bytes, version: str, headers: Headers, *, keep_alive: bool
) -> RequestHead | Refusal:
    """Apply our own checks to what llhttp accepted."""
    if version not in {"1.1", "1.0"}:
        return Refusal(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", None)
    if method == b"CONNECT":
        return Refusal(501, "CONNECT is not a request for a model", "refused:unsupported")
    if len(url) > LINE_LIMIT:
        return Refusal(414, f"the target has {len(url)} bytes, at most {LINE_LIMIT} are taken", "refused:too_large")
    hosts: list[bytes] = []
    codings: list[bytes] = []
    length: int | None = None
    upgrade = b""
    for name, value in headers:
        lower = name.lower()
        if lower == b"host":
            hosts.append(value)
        elif lower == b"transfer-encoding":
            codings.append(value.strip().lower())
        elif lower == b"content-length":
            length = int(value)  # llhttp has refused everything but one plain number
        elif lower == b"upgrade":
            upgrade = value.strip().lower()
    origin = _origin(url)
    if origin is None:
        return Refusal(400, "the request target is neither a path nor a URL", None)
    target, authority = origin
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return Refusal(400, f"one Host header is needed, found {len(hosts)}", None)
    host = authority or (hosts[0] if hosts else b"")
    if (hosts and not _HOST.match(hosts[0])) or (authority and not _HOST.match(authority)):
        return Refusal(400, "the Host header is empty or not a host", None)
    if codings and version == "1.0":
        return Refusal(400, "Transfer-Encoding does not exist in HTTP/1.0", None)
    if codings and codings != [b"chunked"]:
        return Refusal(501, "only the transfer coding chunked is known here", None)
    websocket = upgrade == b"websocket" and method == b"GET" and version == "1.1"
    return RequestHead(method, target, version, headers, host, length, bool(codings), keep_alive, websocket)


def _origin(url: bytes) -> tuple[bytes, bytes] | None:
    """Target in origin form and the authority of an absolute one."""
    if url.startswith(b"/"):
        return url.split(b"#", 1)[0], b""
    if url == b"*":
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


def named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Lower-case names that the Connection header declares to be for this hop only."""
    names: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            names.update(part.strip().lower() for part in value.split(b","))
    names.discard(b"close")
    names.discard(b"keep-alive")
    return frozenset(names)


def upstream_head(head: RequestHead, *, prefix: bytes, id_: bytes, peer: bytes, credentials: bytes = b"") -> bytes:
    """The head for a model: hop-by-hop headers gone, ours set, the body's framing declared once.

    `credentials` is the arm's own Authorization; the user's goes to no other arm than the one it was meant for.
    """
    hop = named_by_connection(head.headers)
    out = [head.method, b" ", prefix, head.target, b" HTTP/1.1\r\nHost: ", head.host, b"\r\n"]
    forwarded = peer
    for name, value in head.headers:
        lower = name.lower()
        if lower in _REPLACED:
            if lower == b"x-forwarded-for":
                forwarded = value + b", " + peer
            continue
        if lower == b"host" or lower in hop or lower.startswith(b"x-gnomon-"):
            continue
        if credentials and lower == b"authorization":
            continue
        out += (name, b": ", value, b"\r\n")
    if credentials:
        out += (b"Authorization: ", credentials, b"\r\n")
    if head.chunked:
        out.append(b"Transfer-Encoding: chunked\r\n")
    elif head.length is not None:
        out.append(b"Content-Length: %d\r\n" % head.length)
    if head.websocket:
        out.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    out += (b"X-Forwarded-For: ", forwarded, b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ", head.host)
    out += (b"\r\nx-gnomon-id: ", id_, b"\r\n\r\n")
    return b"".join(out)


class AnswerHead(NamedTuple):
    """A checked answer head."""

    status: int
    reason: bytes
    headers: Headers
    bodiless: bool
    length: int | None
    chunked: bool

    @property
    def until_close(self) -> bool:
        """The body ends when the connection does."""
        return not self.bodiless and not self.chunked and self.length is None


def check_answer(status: int, reason: bytes, version: str, headers: Headers, *, to_head: bool) -> AnswerHead | None:
    """Apply our own checks to an answer; None: it cannot be passed on."""
    if version not in {"1.1", "1.0"} or not 100 <= status <= 599:
        return None
    length: int | None = None
    codings: list[bytes] = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length":
            length = int(value)
        elif lower == b"transfer-encoding":
            codings.append(value.strip().lower())
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return None
    bodiless = to_head or status in _NO_BODY or status < 200
    return AnswerHead(status, reason, headers, bodiless, length, bool(codings))


def client_head(answer: AnswerHead, *, id_: bytes, version: str, close: bool, rechunk: bool) -> bytes:
    """The head for the client: production's, without the hop's own headers."""
    hop = named_by_connection(answer.headers)
    out = [b"HTTP/1.1 %d " % answer.status, answer.reason, b"\r\n"]
    for name, value in answer.headers:
        lower = name.lower()
        if lower in HOP_BY_HOP or lower in hop or lower.startswith(b"x-gnomon-"):
            continue
        out += (name, b": ", value, b"\r\n")
    out += (b"x-gnomon-id: ", id_, b"\r\n")
    if rechunk:
        out.append(b"Transfer-Encoding: chunked\r\n")
    if close:
        out.append(b"Connection: close\r\n")
    elif version == "1.0":
        out.append(b"Connection: keep-alive\r\n")
    out.append(b"\r\n")
    return b"".join(out)


def informational(status: int, reason: bytes, headers: Headers) -> bytes:
    """A 1xx answer, passed on."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in HOP_BY_HOP)
    return b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, lines)


def problem(status: int, detail: str, *, id_: bytes = b"", bodiless: bool = False) -> bytes:
    """A complete error answer with a problem document (RFC 9457). The connection closes after it."""
    title = TITLES[status]
    text = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
    ours = b"x-gnomon-id: " + id_ + b"\r\n" if id_ else b""
    head = (
        b"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n"
    )
    return head % (status, title.encode(), len(text), ours) + (b"" if bodiless else text)


def readable(headers: Headers) -> bool:
    """Whether a body with these headers can be read by a comparison."""
    coding = b",".join(value for name, value in headers if name.lower() == b"content-encoding").decode("latin-1")
    return coding.strip().lower() in READABLE
