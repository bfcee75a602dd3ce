"""The conformance table, answers: bytes of a model, to a request that is good, and what must come of them.

Seven `#` stand for the number of the request, so that no answer is like another.
"""

from typing import NamedTuple

from tests.fork.conformance import CL3, TE, WEBSOCKET, get, req


class Answer(NamedTuple):
    """What a model says, and what must come of it."""

    why: str
    said: bytes
    end: str
    """`stays`, `closes` or `resets`: what the model does with its connection then."""
    gets: tuple[tuple[int, bytes], ...]
    """Status and body of what the client gets, interim answers too; the body of a 502 is ours."""
    copied: tuple[str, int, bytes] | None
    """Outcome, status and body of the copy; None: there is none."""
    state: str
    """Where the ledger counts it."""
    keeps: bool
    """The client's connection takes another request."""
    reused: bool
    """The model's connection takes another request."""
    cut: bool = False
    """The client can see that the answer is not whole."""
    asked: bytes = req(CL3, b"abc")
    carries: tuple[tuple[str, str], ...] = ()
    lacks: tuple[str, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def early(self):
        """The model answers a request of which it has only a part."""
        return self.asked == EARLY

    @property
    def ahead(self):
        """Whether a request that comes with this one is read before the answer is there."""
        return self.asked not in {OLD, OPENS}


HEAD = req(start=b"HEAD /predict HTTP/1.1")
OLD = req(CL3, b"abc", b"POST /predict HTTP/1.0")
OLD_STAYS = req(CL3 + b"Connection: keep-alive\r\n", b"abc", b"POST /predict HTTP/1.0")
OPENS = get(WEBSOCKET, target=b"/ws")
EARLY = req(b"Content-Length: 10\r\n", b"abc", b"POST /predict?early HTTP/1.1")
ME = b"#######"
"""Where the number of the request goes."""
OK = b"HTTP/1.1 200 OK\r\n"
CL7 = b"Content-Length: 7\r\n"
SEVEN = CL7 + b"\r\n" + ME
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"


def gives(why, said, *gets, end="stays", keeps=True, reused=None, state="handed_over", **more):
    """It reaches the client; `gets` is a status or a status and a body, by default 200 and the number."""
    found = tuple(each if isinstance(each, tuple) else (each, b"") for each in gets or ((200, ME),))
    status, body = found[-1]
    outcome = "ok" if status < 400 else "4xx" if status < 500 else "5xx"
    copied = (outcome, status, body) if state == "handed_over" else None
    return Answer(why, said, end, found, copied, state, keeps, (end == "stays") if reused is None else reused, **more)


def bad(why, said, *, end="stays", before=(), **more):
    """Nothing of it can be passed on."""
    return Answer(
        why, said, end, (*before, (502, b"")), ("reset", 0, b""), "handed_over", keeps=False, reused=False, **more
    )


def cut(why, said, body, *, status=200, end="closes", **more):
    """The client gets what there is, and sees that there should be more."""
    return Answer(
        why,
        said,
        end,
        ((status, body),),
        ("reset", status, body),
        "handed_over",
        keeps=False,
        reused=False,
        cut=True,
        **more,
    )


WHOLE = {
    "a length": gives("RFC 9112, 6.2", OK + SEVEN),
    "length 0": gives("RFC 9112, 6.2", OK + b"Content-Length: 0\r\n\r\n", 200),
    "a length with zeros": gives("RFC 9110, 8.6", OK + b"Content-Length: 007\r\n\r\n" + ME),
    "a length and close": gives(
        "RFC 9112, 9.6", OK + b"Connection: close\r\n" + SEVEN, end="closes", lacks=("connection",)
    ),
    "close, and the model stays": gives("RFC 9112, 9.6", OK + b"Connection: close\r\n" + SEVEN, reused=False),
    "chunks": gives("RFC 9112, 7.1", OK + TE + b"\r\n2\r\nhe\r\n7\r\n" + ME + b"\r\n0\r\n\r\n", (200, b"he" + ME)),
    "chunks with extensions": gives("RFC 9112, 7.1.1", OK + TE + b"\r\n07;a=b\r\n" + ME + b"\r\n0;c\r\n\r\n"),
    "no chunk": gives("RFC 9112, 7.1", OK + TE + b"\r\n0\r\n\r\n", 200),
    "trailers": gives(
        "RFC 9110, 6.5.1",
        OK + TE + b"Trailer: X-T\r\n\r\n7\r\n" + ME + b"\r\n0\r\nX-T: 1\r\nx-gnomon-id: a\r\n\r\n",
        trailers=(("x-t", "1"),),
        carries=(("trailer", "X-T"),),
    ),
    "until close": gives("RFC 9112, 6.3", OK + b"\r\n" + ME, end="closes"),
    "until close, told": gives("RFC 9112, 6.3", OK + b"Connection: close\r\n\r\n" + ME, end="closes"),
    "until close of 1.0": gives("RFC 9112, 6.3", b"HTTP/1.0 200 OK\r\n\r\n" + ME, end="closes"),
    "nothing until close": gives("RFC 9112, 6.3", OK + b"\r\n", 200, end="closes"),
    "a length of 1.0": gives("RFC 9112, 9.3", b"HTTP/1.0 200 OK\r\n" + SEVEN, reused=False),
    "a length of 1.0, kept alive": gives("RFC 9112, 9.3", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + SEVEN),
    "an early answer": gives(
        "RFC 9112, 9.3: the rest is not read",
        OK + SEVEN,
        asked=EARLY,
        keeps=False,
        reused=False,
        state="guarded:answered_early",
        carries=(("connection", "close"),),
    ),
}

STATUSES = {
    "204": gives("RFC 9110, 15.3.5", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "204 with length 0": gives(
        "RFC 9110, 8.6", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, lacks=("content-length",)
    ),
    "204 with a length": gives(
        "RFC 9110, 8.6", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, lacks=("content-length",)
    ),
    "205": gives("RFC 9110, 15.3.6", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205),
    "304": gives("RFC 9110, 15.4.5", b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n", 304, carries=(("etag", "a"),)),
    "304 with a length": gives(
        "RFC 9110, 8.6",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        304,
        carries=(("content-length", "5"),),
    ),
    "404": gives("RFC 9110, 15.5.5", b"HTTP/1.1 404 Not Found\r\n" + SEVEN, (404, ME)),
    "500": gives("RFC 9110, 15.6.1", b"HTTP/1.1 500 Oops\r\n" + SEVEN, (500, ME)),
    "599": gives("RFC 9110, 15", b"HTTP/1.1 599 Odd\r\n" + SEVEN, (599, ME)),
    "no reason": gives("RFC 9112, 4", b"HTTP/1.1 200 \r\n" + SEVEN),
    "eight bits in the reason": gives("RFC 9112, 4", b"HTTP/1.1 200 \xe9\r\n" + SEVEN),
    "100 first": gives("RFC 9110, 15.2", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + SEVEN, 100, (200, ME)),
    "103 first": gives("RFC 9110, 15.2", EARLY_HINTS + OK + SEVEN, 103, (200, ME)),
    "102 and 103 first": gives(
        "RFC 9110, 15.2", b"HTTP/1.1 102 Processing\r\n\r\n" + EARLY_HINTS + OK + SEVEN, 102, 103, (200, ME)
    ),
    "103 before chunks": gives(
        "RFC 9110, 15.2", EARLY_HINTS + OK + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n", 103, (200, ME)
    ),
    "103 that says close": gives(
        "RFC 9110, 15.2: the last answer follows",
        EARLY_HINTS.replace(b"Link: a", b"Connection: close") + OK + SEVEN,
        103,
        (200, ME),
    ),
    "103, and 103 that says close": gives(
        "RFC 9110, 15.2: the last answer follows",
        EARLY_HINTS + EARLY_HINTS.replace(b"Link: a", b"Connection: close") + OK + SEVEN,
        103,
        103,
        (200, ME),
    ),
    "empty lines and 103 that says close": gives(
        "RFC 9110, 15.2: the last answer follows",
        b"\r\n\r\n" + EARLY_HINTS.replace(b"Link: a", b"Connection: close") + OK + SEVEN,
        103,
        (200, ME),
    ),
    "103 that says close, and no answer": bad(
        "RFC 9110, 15.2",
        EARLY_HINTS.replace(b"Link: a", b"Connection: close") + b"hello\r\n\r\n",
        before=((103, b""),),
    ),
    "103 alone": bad("RFC 9110, 15.2", EARLY_HINTS, end="closes", before=((103, b""),)),
    "103 to 1.0": gives(
        "RFC 9110, 15.2", EARLY_HINTS + OK + SEVEN, asked=OLD_STAYS, carries=(("connection", "keep-alive"),)
    ),
    "101 unasked": bad("RFC 9110, 15.2.2", b"HTTP/1.1 101 Switching Protocols\r\n" + WEBSOCKET + b"\r\n"),
    "101": gives(
        "RFC 9110, 7.8",
        b"HTTP/1.1 101 Switching Protocols\r\n" + WEBSOCKET + b"\r\n" + ME,
        (101, ME),
        end="closes",
        asked=OPENS,
        keeps=False,
        state="passed",
        carries=(("upgrade", "websocket"),),
    ),
    "101 with other headers": gives(
        "RFC 9112, 6.1; RFC 9110, 7.6.1",
        b"HTTP/1.1 101 Switching Protocols\r\nKeep-Alive: timeout=9\r\nX-A: 1\r\nX-B: 2\r\nConnection: X-A\r\n"
        + TE
        + WEBSOCKET
        + b"\r\n"
        + ME,
        (101, ME),
        end="closes",
        asked=OPENS,
        keeps=False,
        state="passed",
        carries=(("upgrade", "websocket"), ("connection", "Upgrade"), ("x-b", "2")),
        lacks=("keep-alive", "transfer-encoding", "x-a"),
    ),
    "101 without Upgrade": bad(
        "RFC 9110, 15.2.2", b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + ME, end="closes", asked=OPENS
    )._replace(copied=None, state="passed"),
    "an answer to a WebSocket": gives(
        "RFC 9110, 7.8", OK + SEVEN, asked=OPENS, keeps=False, state="passed", carries=(("connection", "close"),)
    ),
}

HEADS = {
    "hop-by-hop headers": gives(
        "RFC 9110, 7.6.1",
        OK + b"Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nConnection: X-A, keep-alive\r\n"
        b"X-A: 1\r\nX-B: 2\r\n" + SEVEN,
        carries=(("x-b", "2"),),
        lacks=("keep-alive", "proxy-connection", "x-a"),
    ),
    "the length in Connection": gives("RFC 9110, 7.6.1", OK + b"Connection: Content-Length\r\n" + SEVEN),
    "an upgrade offered": gives(
        "RFC 9110, 7.8", OK + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + SEVEN, lacks=("upgrade", "connection")
    ),
    "an id that is ours": gives(
        "rule 15", OK + b"x-gnomon-id: forged\r\nX-Gnomon-A: 1\r\n" + SEVEN, lacks=("x-gnomon-a",)
    ),
    "cookies": gives(
        "RFC 9110, 5.3", OK + b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n" + SEVEN, carries=(("set-cookie", "a=b | c=d"),)
    ),
    "eight bits in a value": gives("RFC 9110, 5.5", OK + b"X-A: \xe9\r\n" + SEVEN, carries=(("x-a", "\xe9"),)),
    "gzip as content coding": gives(
        "RFC 9110, 8.4", OK + b"Content-Encoding: gzip\r\n" + SEVEN, carries=(("content-encoding", "gzip"),)
    ),
    "a content coding nobody reads": gives(
        "fork, guards", OK + b"Content-Encoding: br\r\n" + SEVEN, state="guarded:unreadable_coding"
    ),
    "a header of 40 kB": gives("rule 3", OK + b"X-A: " + b"a" * 40_000 + b"\r\n" + SEVEN),
    "a header of 400 kB": bad("rule 1", OK + b"X-A: " + b"a" * 400_000 + b"\r\n" + SEVEN),
    "a head without an end": bad("rule 1", OK + b"X-A: " + b"a" * 400_000),
    "status 99": bad("RFC 9110, 15", b"HTTP/1.1 099 X\r\n" + SEVEN),
    "status 600": bad("RFC 9110, 15", b"HTTP/1.1 600 X\r\n" + SEVEN),
    "status 999": bad("RFC 9110, 15", b"HTTP/1.1 999 X\r\n" + SEVEN),
    "a status of two digits": bad("RFC 9112, 4", b"HTTP/1.1 20 OK\r\n" + SEVEN),
    "a status of four digits": bad("RFC 9112, 4", b"HTTP/1.1 2000 OK\r\n" + SEVEN),
    "a status of letters": bad("RFC 9112, 4", b"HTTP/1.1 2xx OK\r\n" + SEVEN),
    "two spaces before the status": bad("RFC 9112, 4", b"HTTP/1.1  200 OK\r\n" + SEVEN),
    "a control in the reason": bad("RFC 9112, 4", b"HTTP/1.1 200 a\x01b\r\n" + SEVEN),
    "a NUL in the reason": bad("RFC 9112, 4", b"HTTP/1.1 200 a\0b\r\n" + SEVEN),
    "HTTP/0.9": bad("RFC 9112, 4", b"HTTP/0.9 200 OK\r\n" + SEVEN),
    "HTTP/1.2": bad("RFC 9110, 2.5: may be taken", b"HTTP/1.2 200 OK\r\n" + SEVEN),
    "HTTP/2.0": bad("rule 2", b"HTTP/2.0 200 OK\r\n" + SEVEN),
    "ICY": bad("rule 1", b"ICY 200 OK\r\n" + SEVEN),
    "garbage": bad("rule 1", b"hello\r\n\r\n"),
    "garbage first": bad("rule 1", b"hello" + OK + SEVEN),
    "nothing": bad("RFC 9112, 9.5", b"", end="closes"),
    "a reset": bad("RFC 9112, 9.5", b"", end="resets"),
    "half a status": bad("RFC 9112, 8", b"HTTP/1.1 2", end="closes"),
    "half a head": bad("RFC 9112, 8", OK + b"X-A: 1\r\n", end="closes"),
    "half a head and a reset": bad("RFC 9112, 8", OK + b"X-A: 1\r\n", end="resets"),
    "lines end in LF": bad("RFC 9112, 2.2: may be taken", (OK + SEVEN).replace(b"\r\n", b"\n")),
    "one line ends in LF": bad("RFC 9112, 2.2: may be taken", OK + b"X-A: 1\n" + SEVEN),
    "obs-fold": bad("RFC 9112, 5.2: may be refused", OK + b"X-A: 1\r\n 2\r\n" + SEVEN),
    "a space before the colon": bad("RFC 9112, 5.1: may be refused", OK + b"X-A : 1\r\n" + SEVEN),
    "a line without a colon": bad("RFC 9112, 5", OK + b"nonsense\r\n" + SEVEN),
    "a NUL in a value": bad("RFC 9110, 5.5", OK + b"X-A: a\0b\r\n" + SEVEN),
    "a CR in a value": bad("RFC 9110, 5.5", OK + b"X-A: a\rX-B: b\r\n" + SEVEN),
    "a control in a value": bad("RFC 9110, 5.5", OK + b"X-A: a\x01b\r\n" + SEVEN),
}

BODIES = {
    "two equal lengths": bad("RFC 9112, 6.3", OK + CL7 + SEVEN),
    "two lengths": bad("RFC 9112, 6.3", OK + b"Content-Length: 1\r\n" + SEVEN),
    "a list of lengths": bad("RFC 9112, 6.3: may be taken", OK + b"Content-Length: 7, 7\r\n\r\n" + ME),
    "a signed length": bad("RFC 9110, 8.6", OK + b"Content-Length: +7\r\n\r\n" + ME),
    "a negative length": bad("RFC 9110, 8.6", OK + b"Content-Length: -7\r\n\r\n" + ME),
    "an empty length": bad("RFC 9110, 8.6", OK + b"Content-Length:\r\n\r\n" + ME, end="closes"),
    "a length beyond 63 bits": bad("RFC 9110, 8.6", OK + b"Content-Length: 9223372036854775811\r\n\r\n" + ME),
    "length and chunks": bad("RFC 9112, 6.3", OK + CL7 + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n"),
    "chunks and length": bad("RFC 9112, 6.3", OK + TE + CL7 + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n"),
    "gzip": bad("RFC 9112, 6.1", OK + b"Transfer-Encoding: gzip\r\n\r\n" + ME, end="closes"),
    "gzip, chunked": bad(
        "RFC 9112, 6.1", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n7\r\n" + ME + b"\r\n0\r\n\r\n"
    ),
    "chunked twice": bad("RFC 9112, 6.1", OK + TE + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n"),
    "chunks of 1.0": bad("RFC 9112, 6.1", b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n"),
    "a bad size first": cut("rule 1", OK + TE + b"\r\nZZ\r\n" + ME + b"\r\n0\r\n\r\n", b"", end="stays"),
    "a bad size": cut("rule 1", OK + TE + b"\r\n7\r\n" + ME + b"\r\nZZ\r\n", ME, end="stays"),
    "a size beyond 64 bits": cut("RFC 9112, 7.1", OK + TE + b"\r\n10000000000000007\r\n" + ME, b"", end="stays"),
    "a chunk that ends in LF": cut("RFC 9112, 7.1", OK + TE + b"\r\n7\r\n" + ME + b"\n0\r\n\r\n", ME, end="stays"),
    "a length as a trailer": cut(
        "RFC 9110, 6.5.1", OK + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\nContent-Length: 9\r\n\r\n", ME, end="stays"
    ),
    "cut in a length": cut("RFC 9112, 8", OK + b"Content-Length: 9\r\n\r\n" + ME, ME),
    "cut in a length of a 500": cut(
        "RFC 9112, 8", b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n" + ME, ME, status=500
    ),
    "cut in a chunk": cut("RFC 9112, 8", OK + TE + b"\r\n9\r\n" + ME, ME),
    "cut behind a chunk": cut("RFC 9112, 8", OK + TE + b"\r\n7\r\n" + ME + b"\r\n", ME),
    "cut in the trailers": cut("RFC 9112, 8", OK + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\nX-T: 1\r\n", ME),
}

BEHIND = {
    "garbage behind a length": gives("rule 1", OK + SEVEN + b"garbage", reused=False),
    "an answer behind a length": gives("rule 1", OK + SEVEN + POISON, reused=False),
    "half an answer behind a length": gives("rule 1", OK + SEVEN + b"HTTP/1.1 2", reused=False),
    "an empty answer behind a length": gives(
        "rule 1", OK + SEVEN + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", reused=False
    ),
    "an answer behind chunks": gives("rule 1", OK + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\n\r\n" + POISON, reused=False),
    "an answer behind close": gives("rule 1", OK + b"Connection: close\r\n" + SEVEN + POISON, reused=False),
    "an answer behind length 0": gives("rule 1", OK + b"Content-Length: 0\r\n\r\n" + POISON, 200, reused=False),
    "an answer behind 204": gives("RFC 9112, 6.3", b"HTTP/1.1 204 No Content\r\n\r\n" + POISON, 204, reused=False),
    "a body behind 204": gives(
        "RFC 9112, 6.3", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison", 204, reused=False
    ),
    "chunks behind 204": gives(
        "RFC 9112, 6.3", b"HTTP/1.1 204 No Content\r\n" + TE + b"\r\n6\r\npoison\r\n0\r\n\r\n", 204, reused=False
    ),
    "an answer behind 304": gives("RFC 9112, 6.3", b"HTTP/1.1 304 Not Modified\r\n\r\n" + POISON, 304, reused=False),
    "a body behind 304": gives(
        "RFC 9112, 6.3", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison", 304, reused=False
    ),
    "an answer to HEAD": gives("RFC 9110, 9.3.2", OK + b"Content-Length: 500\r\n\r\n", 200, asked=HEAD, state="passed"),
    "chunks declared to HEAD": gives("RFC 9112, 6.1", OK + TE + b"\r\n", 200, asked=HEAD, state="passed"),
    "no framing to HEAD": gives(
        "RFC 9112, 6.3: llhttp waits for the end", OK + b"\r\n", 200, asked=HEAD, state="passed", reused=False
    ),
    "404 to HEAD": gives(
        "RFC 9112, 6.3", b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", 404, asked=HEAD, state="passed"
    ),
    "103 and an answer to HEAD": gives(
        "RFC 9110, 9.3.2", EARLY_HINTS + OK + b"Content-Length: 5\r\n\r\n", 103, 200, asked=HEAD, state="passed"
    ),
    "a body to HEAD": gives(
        "RFC 9112, 6.3", OK + b"Content-Length: 6\r\n\r\npoison", 200, asked=HEAD, state="passed", reused=False
    ),
    "chunks to HEAD": gives(
        "RFC 9112, 6.3", OK + TE + b"\r\n6\r\npoison\r\n0\r\n\r\n", 200, asked=HEAD, state="passed", reused=False
    ),
    "an answer behind one to HEAD": gives(
        "rule 1", OK + b"\r\n" + POISON, 200, asked=HEAD, state="passed", reused=False
    ),
    "garbage to HEAD": bad("rule 1", b"hello\r\n\r\n", asked=HEAD)._replace(copied=None, state="passed"),
}

OLD_CLIENTS = {
    "a length": gives("RFC 9112, 9.3", OK + SEVEN, asked=OLD, keeps=False),
    "a length, kept alive": gives(
        "RFC 9112, 9.3", OK + SEVEN, asked=OLD_STAYS, carries=(("connection", "keep-alive"),)
    ),
    "chunks": gives(
        "RFC 9112, 6.1",
        OK + TE + b"\r\n7\r\n" + ME + b"\r\n0\r\nX-T: 1\r\n\r\n",
        asked=OLD_STAYS,
        keeps=False,
        lacks=("transfer-encoding",),
    ),
    "until close": gives("RFC 9112, 6.3", OK + b"\r\n" + ME, end="closes", asked=OLD_STAYS, keeps=False),
    "204, kept alive": gives("RFC 9112, 9.3", b"HTTP/1.1 204 No Content\r\n\r\n", 204, asked=OLD_STAYS),
    "cut in a length": cut("RFC 9112, 8", OK + b"Content-Length: 9\r\n\r\n" + ME, ME, asked=OLD),
    "cut in a chunk": cut("RFC 9112, 8: only a reset tells", OK + TE + b"\r\n9\r\n" + ME, ME, asked=OLD),
    "a bad size": cut(
        "RFC 9112, 8: only a reset tells", OK + TE + b"\r\n7\r\n" + ME + b"\r\nZZ", ME, end="stays", asked=OLD
    ),
}

ANSWERS = {
    f"{part}: {name}": row
    for part, rows in {
        "whole": WHOLE,
        "status": STATUSES,
        "head": HEADS,
        "body": BODIES,
        "behind": BEHIND,
        "to 1.0": OLD_CLIENTS,
    }.items()
    for name, row in rows.items()
}
