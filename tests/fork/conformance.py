"""The conformance table, requests: bytes of a client, well- and ill-formed, what must come of them, and by which rule.

A rule is a section of an RFC, or ours (rules 1 to 3 and 15 to 17 of the fork). Answers are in `conformance_answers`.
"""

import re
from typing import NamedTuple


class Request(NamedTuple):
    """What a client sends, and what must come of it."""

    why: str
    data: bytes
    statuses: tuple[int, ...]
    """Of the answers that the client gets, in their order."""
    reached: tuple[bytes, ...]
    """What the model got: method, target, body."""
    counts: dict[str, int]
    keeps: bool
    """The client's connection takes another request."""
    carries: tuple[tuple[str, str], ...] = ()
    """Headers, and the value that the model must get of each; values of several lines joined by ` | `."""
    lacks: tuple[str, ...] = ()
    """Headers that must not get to the model."""
    trailers: tuple[tuple[str, str], ...] = ()
    leaves: bool = False
    """The client goes when it has sent this."""
    endless: bool = False
    """What would follow would be a part of it."""


P = b"POST /predict "
_LINE = re.compile(rb"[A-Z-]+ [/*]")


def req(lines=b"", body=b"", start=b"POST /predict HTTP/1.1", host=b"Host: x\r\n"):
    return start + b"\r\n" + host + lines + b"\r\n" + body


def get(lines=b"", target=b"/p", version=b"HTTP/1.1", host=b"Host: x\r\n"):
    return req(lines, b"", b"GET " + target + b" " + version, host)


def passes(why, data, *reached, keeps=True, **more):
    """It reaches the model; `reached` is a body, or all that the model gets: method, target, body."""
    found = tuple(each if _LINE.match(each) else P + each for each in reached)
    copied = sum(each.startswith(b"POST /predict") for each in found)
    counts = {"seen": len(found), "handed_over": copied, "passed": len(found) - copied}
    return Request(why, data, (200,) * len(found), found, counts, keeps, **more)


def refused(why, status, data, state="invalid_head", **more):
    """The gateway answers by itself, and no model sees anything of it."""
    counts = {state: 1} if state == "invalid_head" else {"seen": 1, state: 1}
    return Request(why, data, (status,), (), counts, keeps=False, **more)


def broken(why, data, status=400, **more):
    """The head is good and the body is not: no model gets it whole."""
    return Request(why, data, (status,), (), {"seen": 1, "guarded:invalid_body": 1}, keeps=False, **more)


CL3 = b"Content-Length: 3\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request that must not come out of a body."""
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
G = b"GET /p "

START_LINES = {
    "GET": passes("RFC 9112, 3", get(), G),
    "HEAD": passes("RFC 9110, 9.3.2", req(start=b"HEAD /p HTTP/1.1"), b"HEAD /p "),
    "a method with a dash": passes("RFC 9110, 9.1", req(start=b"M-SEARCH /p HTTP/1.1"), b"M-SEARCH /p "),
    "an unknown method": refused("rule 1", 400, req(start=b"FETCH /p HTTP/1.1")),
    "a method in small letters": refused("RFC 9110, 9.1", 400, req(start=b"post /predict HTTP/1.1")),
    "CONNECT": refused("rule 2", 501, req(start=b"CONNECT x:80 HTTP/1.1"), "refused:unsupported"),
    "TRACE": refused("it would show credentials", 501, req(start=b"TRACE /p HTTP/1.1"), "refused:unsupported"),
    "a method of RTSP": refused("rule 2", 400, req(start=b"DESCRIBE /p HTTP/1.1")),
    "RTSP": refused("rule 2", 505, req(start=b"OPTIONS /p RTSP/1.0")),
    "a method of ICE": refused("rule 2", 501, req(start=b"SOURCE /p HTTP/1.1"), "refused:unsupported"),
    "OPTIONS of a star": passes("RFC 9112, 3.2.4", req(start=b"OPTIONS * HTTP/1.1"), b"OPTIONS * "),
    "GET of a star": refused("RFC 9112, 3.2.4", 400, get(target=b"*")),
    "a query": passes("RFC 9112, 3.2.1", get(target=b"/p?a=b&c=%20d"), b"GET /p?a=b&c=%20d "),
    "dots": passes("what is not ours to read is passed on", get(target=b"/a/%2e%2e/../p"), b"GET /a/%2e%2e/../p "),
    "two slashes": passes("what is not ours to read is passed on", get(target=b"//a//p"), b"GET //a//p "),
    "a fragment": passes("RFC 9112, 3.2", get(target=b"/p#part"), G),
    "absolute form": passes("RFC 9112, 3.2.2", get(target=b"http://y:1/p?a"), b"GET /p?a ", carries=(("host", "y:1"),)),
    "absolute form without a path": passes(
        "RFC 9110, 4.2.3", get(target=b"HTTP://y"), b"GET / ", carries=(("host", "y"),)
    ),
    "absolute form of a query": passes("RFC 9110, 4.2.3", get(target=b"http://x?a"), b"GET /?a "),
    "absolute form without Host": refused("RFC 9112, 3.2", 400, get(target=b"http://x/p", host=b"")),
    "absolute form with a bad Host": refused("RFC 9112, 3.2", 400, get(target=b"http://x/p", host=b"Host: x/p\r\n")),
    "absolute form with a user": refused("RFC 9110, 4.2.4", 400, get(target=b"http://u@x/p")),
    "absolute form of ftp": refused("RFC 9110, 4.2", 400, get(target=b"ftp://x/p")),
    "a relative target": refused("RFC 9112, 3.2", 400, get(target=b"p")),
    "an empty target": refused("RFC 9112, 3", 400, get(target=b"")),
    "a control in the target": refused("RFC 3986, 2", 400, get(target=b"/a\x01p")),
    "a NUL in the target": refused("RFC 3986, 2", 400, get(target=b"/a\0p")),
    "eight bits in the target": refused("RFC 3986, 2", 400, get(target=b"/\xc3\xa9")),
    "a space in the target": refused("RFC 9112, 3.2", 400, get(target=b"/a p")),
    "two spaces before the target": passes("RFC 9112, 3: may be taken, is not passed on", get(target=b" /p"), G),
    "two spaces before the version": passes("RFC 9112, 3: may be taken, is not passed on", get(target=b"/p "), G),
    "a target of 15 kB": passes("rule 3", get(target=b"/" + b"a" * 15_000), b"GET /" + b"a" * 15_000 + b" "),
    "a target of 20 kB": refused("rule 2", 414, get(target=b"/" + b"a" * 20_000)),
    "a target without an end": refused("rule 2", 414, b"GET /" + b"a" * 90_000, endless=True),
    "HTTP/0.9": refused("rule 2", 505, get(version=b"HTTP/0.9")),
    "no version": refused("rule 2", 505, b"GET /p\r\n\r\n"),
    "HTTP/1.2": refused("rule 2", 505, get(version=b"HTTP/1.2")),
    "HTTP/2.0": refused("rule 2", 505, get(version=b"HTTP/2.0")),
    "HTTP/1.10": refused("RFC 9112, 2.3", 400, get(version=b"HTTP/1.10")),
    "http/1.1": refused("RFC 9112, 2.3", 400, get(version=b"http/1.1")),
    "the preface of HTTP/2": refused("rule 2", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": refused("rule 1", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "NULs": refused("rule 1", 400, b"\0" * 16 + get()),
    "an empty line first": passes("RFC 9112, 2.2", b"\r\n" + get(), G),
    "a space first": refused("RFC 9112, 3", 400, b" " + get()),
}

HOSTS = {
    "no Host": refused("RFC 9112, 3.2", 400, get(host=b"")),
    "two equal Hosts": refused("RFC 9112, 3.2", 400, get(host=b"Host: x\r\nHost: x\r\n")),
    "two Hosts": refused("RFC 9112, 3.2", 400, get(host=b"Host: x\r\nHost: y\r\n")),
    "an empty Host": refused("rule 2", 400, get(host=b"Host:\r\n")),
    "a Host with a path": refused("RFC 9110, 7.2", 400, get(host=b"Host: x/p\r\n")),
    "a Host with a user": refused("RFC 9110, 7.2", 400, get(host=b"Host: u@x\r\n")),
    "a Host with a space": refused("RFC 9110, 7.2", 400, get(host=b"Host: x y\r\n")),
    "a Host with a bad port": refused("RFC 9110, 7.2", 400, get(host=b"Host: x:abc\r\n")),
    "a Host with eight bits": refused("RFC 9110, 7.2", 400, get(host=b"Host: \xe9\r\n")),
    "a Host with a port": passes("RFC 9110, 7.2", get(host=b"Host: x:8080\r\n"), G, carries=(("host", "x:8080"),)),
    "a Host of IPv6": passes("RFC 9110, 7.2", get(host=b"Host: [::1]:80\r\n"), G, carries=(("host", "[::1]:80"),)),
    "a Host behind other headers": passes("RFC 9112, 3.2", get(b"X-A: 1\r\nHost: x\r\n", host=b""), G),
}

FIELDS = {
    "a space before the colon": refused("RFC 9112, 5.1", 400, get(b"X-A : 1\r\n")),
    "a space before a name": refused("RFC 9112, 2.2", 400, get(host=b" Host: x\r\n")),
    "obs-fold": refused("RFC 9112, 5.2", 400, get(b"X-A: 1\r\n 2\r\n")),
    "obs-fold with a tab": refused("RFC 9112, 5.2", 400, get(b"X-A: 1\r\n\t2\r\n")),
    "an empty name": refused("RFC 9110, 5.1", 400, get(b": 1\r\n")),
    "a name with a space": refused("RFC 9110, 5.1", 400, get(b"X A: 1\r\n")),
    "a name with eight bits": refused("RFC 9110, 5.1", 400, get(b"X\xe9: 1\r\n")),
    "a line without a colon": refused("RFC 9112, 5", 400, get(b"nonsense\r\n")),
    "a NUL in a value": refused("RFC 9110, 5.5", 400, get(b"X-A: a\0b\r\n")),
    "a CR in a value": refused("RFC 9110, 5.5", 400, get(b"X-A: a\rb\r\n")),
    "a control in a value": refused("RFC 9110, 5.5", 400, get(b"X-A: a\x01b\r\n")),
    "a DEL in a value": refused("RFC 9110, 5.5", 400, get(b"X-A: a\x7fb\r\n")),
    "lines end in LF": refused("RFC 9112, 2.2: may be taken", 400, get().replace(b"\r\n", b"\n")),
    "one line ends in LF": refused("RFC 9112, 2.2: may be taken", 400, get(b"X-A: 1\n")),
    "the head ends in LF": refused("RFC 9112, 2.2: may be taken", 400, get()[:-2] + b"\n"),
    "lines end in CR": refused("RFC 9112, 2.2", 400, get().replace(b"\r\n", b"\r")),
    "a head of 80 kB": refused("rule 2", 431, get(b"".join(b"X-%d: " % n + b"a" * 1000 + b"\r\n" for n in range(80)))),
    "a target of 90 kB": refused("rule 2", 414, get(target=b"/" + b"a" * 90_000)),
    "a head without an end": refused("rule 2", 431, get(b"X-A: " + b"a" * 90_000)[:-4], endless=True),
    "a header of 60 kB": passes("rule 3", get(b"X-A: " + b"a" * 60_000 + b"\r\n"), G),
    "two hundred headers": passes("rule 3", get(b"".join(b"X-%d: 1\r\n" % n for n in range(200))), G),
    "eight bits in a value": passes("RFC 9110, 5.5", get(b"X-A: \xc3\xa9\r\n"), G, carries=(("x-a", "\xc3\xa9"),)),
    "white space around a value": passes(
        "RFC 9112, 5.1",
        get(b"X-A:\t a\tb \t\r\nX-B:c\r\nX-C:\r\n"),
        G,
        carries=(("x-a", "a\tb"), ("x-b", "c"), ("x-c", "")),
    ),
    "one header twice": passes("RFC 9110, 5.3", get(b"X-A: 1\r\nX-A: 2\r\n"), G, carries=(("x-a", "1 | 2"),)),
    "credentials": passes(
        "rule 17: they are the model's",
        get(b"Authorization: Bearer s\r\nCookie: a=b\r\n"),
        G,
        carries=(("authorization", "Bearer s"), ("cookie", "a=b")),
    ),
    "what Connection names": passes(
        "RFC 9110, 7.6.1",
        get(b"Connection: X-A, keep-alive\r\nX-A: 1\r\nX-B: 2\r\n"),
        G,
        carries=(("x-b", "2"),),
        lacks=("x-a",),
    ),
    "Connection names the length": passes(
        "RFC 9110, 7.6.1",
        req(b"Connection: Content-Length, Host\r\n" + CL3, b"abc"),
        b"abc",
        carries=(("host", "x"),),
    ),
    "Connection names the coding": passes(
        "RFC 9110, 7.6.1", req(b"Connection: Transfer-Encoding\r\n" + TE, CHUNKS), b"abc"
    ),
    "hop-by-hop headers": passes(
        "RFC 9110, 7.6.1",
        get(b"TE: trailers\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nVia: 1.1 y\r\n"),
        G,
        carries=(("via", "1.1 y"),),
        lacks=("te", "keep-alive", "proxy-connection"),
    ),
    "a client that poses as us": passes(
        "rule 15",
        get(b"x-gnomon-id: forged\r\nX-Gnomon-Shadow: 1\r\nX_Gnomon_Shadow: 1\r\nX-Request-Id: a\r\n"),
        G,
        carries=(("x-request-id", "a"),),
        lacks=("x-gnomon-shadow", "x_gnomon_shadow"),
    ),
    "proxies before us": passes(
        "rule 15",
        get(
            b"X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 10.1.1.2\r\nX-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: shop\r\nX_Forwarded_For: 10.9.9.9\r\n"
        ),
        G,
        carries=(
            ("x-forwarded-for", "10.1.1.1, 10.1.1.2, 127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop"),
        ),
        lacks=("x_forwarded_for",),
    ),
    "Forwarded": passes(
        "RFC 7239, 4",
        get(b"Forwarded: for=10.1.1.1\r\n"),
        G,
        carries=(("forwarded", 'for=10.1.1.1, for=127.0.0.1;host="x";proto=http'),),
    ),
    "content that nobody reads": passes(
        "fork, guards", req(b"Content-Encoding: br\r\n" + CL3, b"abc"), b"abc", carries=(("content-encoding", "br"),)
    )._replace(counts={"seen": 1, "guarded:unreadable_coding": 1}),
}

FRAMING = {
    "no length": passes("RFC 9112, 6.3", req(), b"", lacks=("content-length", "transfer-encoding")),
    "a length": passes("RFC 9112, 6.2", req(CL3, b"abc"), b"abc", carries=(("content-length", "3"),)),
    "length 0": passes("RFC 9112, 6.2", req(b"Content-Length: 0\r\n"), b"", carries=(("content-length", "0"),)),
    "a length with zeros": passes("RFC 9110, 8.6", req(b"Content-Length: 0003\r\n", b"abc"), b"abc"),
    "a length with tabs": passes("RFC 9112, 5.1", req(b"Content-Length:\t3\t\r\n", b"abc"), b"abc"),
    "a length of GET": passes("RFC 9110, 9.3.1", req(CL3, b"abc", b"GET /p HTTP/1.1"), b"GET /p abc"),
    "a length of DELETE": passes("RFC 9110, 9.3.5", req(CL3, b"abc", b"DELETE /p HTTP/1.1"), b"DELETE /p abc"),
    "a request in a body": passes("RFC 9112, 6.3", req(b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN), P + HIDDEN),
    "two equal lengths": refused("RFC 9112, 6.3", 400, req(CL3 * 2, b"abc")),
    "two lengths": refused("RFC 9112, 6.3", 400, req(CL3 + b"Content-Length: 2\r\n", b"abc")),
    "a list of lengths": refused("RFC 9112, 6.3: may be taken", 400, req(b"Content-Length: 3, 3\r\n", b"abc")),
    "a signed length": refused("RFC 9110, 8.6", 400, req(b"Content-Length: +3\r\n", b"abc")),
    "a negative length": refused("RFC 9110, 8.6", 400, req(b"Content-Length: -3\r\n", b"abc")),
    "an empty length": refused("RFC 9110, 8.6", 400, req(b"Content-Length:\r\n")),
    "a hexadecimal length": refused("RFC 9110, 8.6", 400, req(b"Content-Length: 0x3\r\n", b"abc")),
    "a length with a space in it": refused("RFC 9110, 8.6", 400, req(b"Content-Length: 3 3\r\n", b"abc")),
    "a length beyond 64 bits": refused("RFC 9110, 8.6", 400, req(b"Content-Length: 18446744073709551619\r\n", b"abc")),
    "a length beyond 63 bits": refused("RFC 9110, 8.6", 400, req(b"Content-Length: 9223372036854775811\r\n", b"abc")),
    "length and chunks": refused("RFC 9112, 6.3: may be refused", 400, req(CL3 + TE, CHUNKS)),
    "chunks and length": refused("RFC 9112, 6.3: may be refused", 400, req(TE + CL3, CHUNKS)),
    "chunked": passes("RFC 9112, 7.1", req(TE, CHUNKS), b"abc", carries=(("transfer-encoding", "chunked"),)),
    "chunked in capitals": passes("RFC 9112, 7", req(TE.upper(), CHUNKS), b"abc"),
    "chunked, of GET": passes("RFC 9110, 9.3.1", req(TE, CHUNKS, b"GET /p HTTP/1.1"), b"GET /p abc"),
    "chunked in 1.0": refused("RFC 9112, 6.1", 400, req(TE, CHUNKS, b"POST /predict HTTP/1.0")),
    "chunked twice": refused("RFC 9112, 6.1", 400, req(TE + TE, CHUNKS)),
    "chunked, chunked": refused("RFC 9112, 6.1", 400, req(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS)),
    "gzip, chunked": refused("rule 2", 501, req(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS)),
    "chunked, gzip": refused("RFC 9112, 6.3", 400, req(b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS)),
    "identity": refused("rule 2", 501, req(b"Transfer-Encoding: identity\r\n")),
    "xchunked": refused("rule 2", 501, req(b"Transfer-Encoding: xchunked\r\n", CHUNKS)),
    "chunked behind a vertical tab": refused("RFC 9110, 5.5", 400, req(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS)),
}

CHUNKED = {
    "no chunk": passes("RFC 9112, 7.1", req(TE, b"0\r\n\r\n"), b""),
    "two chunks": passes("RFC 9112, 7.1", req(TE, b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), b"abc"),
    "sizes with zeros and letters": passes(
        "RFC 9112, 7.1", req(TE, b"00A\r\n0123456789\r\nb\r\nhello world\r\n000\r\n\r\n"), b"0123456789hello world"
    ),
    "extensions": passes("RFC 9112, 7.1.1", req(TE, b'1;a=b\r\na\r\n2;c;d="e;f"\r\nbc\r\n0;g\r\n\r\n'), b"abc"),
    "a request in a chunk": passes(
        "RFC 9112, 7.1", req(TE, b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)), P + HIDDEN
    ),
    "a trailer": passes(
        "RFC 9112, 7.1.2", req(TE, b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), b"abc", trailers=(("x-sum", "1"),)
    ),
    "trailers that may not be": passes(
        "RFC 9110, 6.5.1",
        req(
            TE, b"3\r\nabc\r\n0\r\nHost: y\r\nAuthorization: s\r\nx-gnomon-shadow: 1\r\nConnection: a\r\nX-A: 1\r\n\r\n"
        ),
        b"abc",
        trailers=(("x-a", "1"),),
    ),
    "no number": broken("RFC 9112, 7.1", req(TE, b"x\r\nabc\r\n0\r\n\r\n")),
    "no number behind a chunk": broken("RFC 9112, 7.1", req(TE, b"3\r\nabc\r\nx\r\n")),
    "an empty size": broken("RFC 9112, 7.1", req(TE, b"\r\nabc\r\n0\r\n\r\n")),
    "a negative size": broken("RFC 9112, 7.1", req(TE, b"-3\r\nabc\r\n0\r\n\r\n")),
    "a signed size": broken("RFC 9112, 7.1", req(TE, b"+3\r\nabc\r\n0\r\n\r\n")),
    "a size with 0x": broken("RFC 9112, 7.1", req(TE, b"0x3\r\nabc\r\n0\r\n\r\n")),
    "a size with a space": broken("RFC 9112, 7.1.1: may be taken", req(TE, b"3 \r\nabc\r\n0\r\n\r\n")),
    "a size beyond 64 bits": broken("RFC 9112, 7.1", req(TE, b"10000000000000003\r\nabc\r\n0\r\n\r\n")),
    "a size that ends in LF": broken("RFC 9112, 7.1", req(TE, b"3\nabc\r\n0\r\n\r\n")),
    "a chunk that ends in LF": broken("RFC 9112, 7.1", req(TE, b"3\r\nabc\n0\r\n\r\n")),
    "a chunk that ends in nothing": broken("RFC 9112, 7.1", req(TE, b"3\r\nabc0\r\n\r\n")),
    "a chunk too long": broken("RFC 9112, 7.1", req(TE, b"3\r\nabcd\r\n0\r\n\r\n")),
    "an extension with a LF": broken("RFC 9112, 7.1.1", req(TE, b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
    "an extension with a NUL": broken("RFC 9112, 7.1.1", req(TE, b"3;a\0b\r\nabc\r\n0\r\n\r\n")),
    "an extension without an end": broken("rule 2", req(TE, b"3;" + b"a" * 600_000), 431, endless=True),
    "a length as a trailer": broken("RFC 9110, 6.5.1", req(TE, b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n")),
    "a coding as a trailer": broken("RFC 9110, 6.5.1", req(TE, b"3\r\nabc\r\n0\r\n" + TE + b"\r\n")),
    "a trailer with a NUL": broken("RFC 9110, 5.5", req(TE, b"3\r\nabc\r\n0\r\nX-A: \0\r\n\r\n")),
    "a trailer without an end": broken("rule 2", req(TE, b"0\r\nX-A: " + b"a" * 600_000), 431, endless=True),
    "an end in LF": broken("RFC 9112, 7.1", req(TE, b"3\r\nabc\r\n0\n\n")),
}

CONNECTIONS = {
    "close": passes("RFC 9112, 9.6", get(b"Connection: close\r\n"), G, keeps=False),
    "close in capitals": passes("RFC 9110, 7.6.1", get(b"CONNECTION: CLOSE\r\n"), G, keeps=False),
    "close and keep-alive": passes("RFC 9112, 9.3", get(b"Connection: keep-alive, close\r\n"), G, keeps=False),
    "1.0": passes("RFC 9112, 9.3", get(version=b"HTTP/1.0"), G, keeps=False),
    "1.0 kept alive": passes(
        "RFC 9112, 9.3", req(b"Connection: keep-alive\r\n" + CL3, b"abc", b"POST /predict HTTP/1.0"), b"abc"
    ),
    "1.0 without Host": passes("RFC 9112, 3.2", get(version=b"HTTP/1.0", host=b""), G, keeps=False),
    "1.0 with two Hosts": refused("RFC 9112, 3.2", 400, get(version=b"HTTP/1.0", host=b"Host: x\r\nHost: x\r\n")),
    "Expect": passes(
        "RFC 9110, 10.1.1",
        req(b"Expect: 100-continue\r\n" + CL3, b"abc"),
        b"abc",
        carries=(("expect", "100-continue"),),
    ),
    "Expect in 1.0": passes(
        "RFC 9110, 10.1.1",
        req(b"Expect: 100-continue\r\n" + CL3, b"abc", b"POST /predict HTTP/1.0"),
        b"abc",
        keeps=False,
        lacks=("expect",),
    ),
    "three in a row": passes(
        "RFC 9112, 9.3.2", get() + req(CL3, b"abc") + req(TE, CHUNKS) + get(), G, b"abc", b"abc", G
    ),
    "HEAD between two": passes("RFC 9112, 9.3.2", get() + req(start=b"HEAD /p HTTP/1.1") + get(), G, b"HEAD /p ", G),
    "sixty in a row": passes("rule 2", get() * 60, *[G] * 60),
    "empty lines between": passes("RFC 9112, 2.2", get() + b"\r\n\r\n" + get(), G, G),
    "an empty line behind a body": passes("RFC 9112, 2.2", req(CL3, b"abc\r\n") + get(), b"abc", G),
    "one behind close": passes("RFC 9112, 9.6", get(b"Connection: close\r\n") + HIDDEN, G, keeps=False),
    "one behind 1.0": passes("RFC 9112, 9.3", get(version=b"HTTP/1.0") + HIDDEN, G, keeps=False),
    "a bad one behind a good one": Request(
        "rule 1",
        req(CL3, b"abc") + get(host=b""),
        (200, 400),
        (b"POST /predict abc",),
        {"seen": 1, "handed_over": 1, "invalid_head": 1},
        keeps=False,
    ),
    "a broken one behind a good one": Request(
        "rule 1",
        get() + req(TE, b"x\r\n"),
        (200, 400),
        (G,),
        {"seen": 2, "passed": 1, "guarded:invalid_body": 1},
        keeps=False,
    ),
    "more than its length": Request(
        "RFC 9112, 6.3",
        req(CL3, b"abc\x01"),
        (200, 400),
        (b"POST /predict abc",),
        {"seen": 1, "handed_over": 1, "invalid_head": 1},
        keeps=False,
    ),
    "h2c": passes("rule 2", get(H2C), G, lacks=("upgrade", "http2-settings", "connection")),
    "h2c with a length": passes("rule 2", req(H2C + CL3, b"abc"), b"abc", lacks=("upgrade",)),
    "h2c with chunks": passes("rule 2", req(H2C + TE, CHUNKS), b"abc", lacks=("upgrade",)),
    "h2c with a request in its body": passes(
        "rule 2", req(H2C + b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN), P + HIDDEN
    ),
    "h2c, another and h2c": passes("rule 2", req(H2C + CL3, b"abc") + get() + req(H2C + TE, CHUNKS), b"abc", G, b"abc"),
    "h2c and close": passes("rule 2", get(b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"), G, keeps=False),
    "h2c in 1.0": passes(
        "RFC 9110, 7.8",
        get(b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n", version=b"HTTP/1.0"),
        G,
        keeps=False,
    ),
    "h2c with a broken body": broken("rule 1", req(H2C + TE, b"x\r\n")),
    "an upgrade to TLS": passes("rule 2", get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), G, lacks=("upgrade",)),
    "an upgrade that Connection does not name": passes(
        "RFC 9110, 7.8", req(b"Upgrade: websocket\r\n" + CL3, b"abc"), b"abc", lacks=("upgrade",)
    ),
    "a WebSocket by POST": passes("RFC 6455, 4.1", req(WEBSOCKET + CL3, b"abc"), b"abc", lacks=("upgrade",)),
    "a WebSocket with a body": passes(
        "RFC 6455, 4.1", req(WEBSOCKET + CL3, b"abc", b"GET /p HTTP/1.1"), b"GET /p abc", lacks=("upgrade",)
    ),
    "a WebSocket in 1.0": passes(
        "RFC 6455, 4.1", get(WEBSOCKET, version=b"HTTP/1.0"), G, keeps=False, lacks=("upgrade",)
    ),
    "a WebSocket that the model refuses": passes(
        "what follows is for it alone",
        get(WEBSOCKET) + HIDDEN,
        G,
        keeps=False,
        carries=(("upgrade", "websocket"), ("connection", "Upgrade")),
    ),
    "half a head": Request("rule 13", get()[:-2], (), (), {}, keeps=False, leaves=True),
    "half a length": Request("rule 3", req(CL3, b"ab"), (), (), {"seen": 1, "cancelled": 1}, keeps=False, leaves=True),
    "half a chunk": Request(
        "rule 3", req(TE, b"3\r\nab"), (), (), {"seen": 1, "cancelled": 1}, keeps=False, leaves=True
    ),
    "no last chunk": Request(
        "rule 3", req(TE, b"3\r\nabc\r\n0\r\n"), (), (), {"seen": 1, "cancelled": 1}, keeps=False, leaves=True
    ),
}

REQUESTS = {
    f"{part}: {name}": row
    for part, rows in {
        "start": START_LINES,
        "host": HOSTS,
        "field": FIELDS,
        "framing": FRAMING,
        "chunks": CHUNKED,
        "connection": CONNECTIONS,
    }.items()
    for name, row in rows.items()
}
