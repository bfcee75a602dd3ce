"""Answers that the model gives to nginx and to the gateway, well- and ill-formed. None: it closes the connection."""

from tests.fork.differential_requests import CL3, TE, req

OURS = b"HTTP/1.1 200 OK\r\nX-Model: 1\r\n"
"""How the model's answers begin, where nothing else is tried: what has no X-Model is the proxy's own."""
X = b"X-Model: 1\r\n"
OK = b"Content-Length: 2\r\n\r\nok"


def line(start, rest=OK):
    return [start + b"\r\n" + X + rest]


ANSWERS = {
    "a length": [OURS + b"Content-Length: 5\r\n\r\nhello"],
    "chunks": [OURS + TE + b"\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n"],
    "trailers": [OURS + TE + b"Trailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"],
    "a length as a trailer": [OURS + TE + b"\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"],
    "until close": [OURS + b"\r\nhello", None],
    "until close, told": [OURS + b"Connection: close\r\n\r\nhello", None],
    "until close of 1.0": [*line(b"HTTP/1.0 200 OK", b"\r\nhello"), None],
    "a length and close": [OURS + b"Connection: close\r\n" + OK, None],
    "a length of 1.0": [*line(b"HTTP/1.0 200 OK"), None],
    "length 0": [OURS + b"Content-Length: 0\r\n\r\n"],
    "204": line(b"HTTP/1.1 204 No Content", b"\r\n"),
    "204 with length 0": line(b"HTTP/1.1 204 No Content", b"Content-Length: 0\r\n\r\n"),
    "204 with a length": line(b"HTTP/1.1 204 No Content", b"Content-Length: 5\r\n\r\n"),
    "204 with a body": line(b"HTTP/1.1 204 No Content", b"Content-Length: 5\r\n\r\nhello"),
    "204 with chunks": line(b"HTTP/1.1 204 No Content", TE + b"\r\n0\r\n\r\n"),
    "205 with a body": line(b"HTTP/1.1 205 Reset Content"),
    "205": line(b"HTTP/1.1 205 Reset Content", b"Content-Length: 0\r\n\r\n"),
    "304": line(b"HTTP/1.1 304 Not Modified", b"ETag: a\r\n\r\n"),
    "304 with a length": line(b"HTTP/1.1 304 Not Modified", b"Content-Length: 5\r\n\r\n"),
    "304 with a body": line(b"HTTP/1.1 304 Not Modified", b"Content-Length: 5\r\n\r\nhello"),
    "304 with chunks declared": line(b"HTTP/1.1 304 Not Modified", TE + b"\r\n"),
    "201": line(b"HTTP/1.1 201 Created", b"Location: /a\r\n" + OK),
    "302": line(b"HTTP/1.1 302 Found", b"Location: /a\r\n" + OK),
    "404": line(b"HTTP/1.1 404 Not Found"),
    "418": line(b"HTTP/1.1 418 I'm a teapot"),
    "500": line(b"HTTP/1.1 500 Oops"),
    "503": line(b"HTTP/1.1 503 Later", b"Retry-After: 1\r\n" + OK),
    "599": line(b"HTTP/1.1 599 Odd"),
    "417": line(b"HTTP/1.1 417 Expectation Failed"),
    "401": line(b"HTTP/1.1 401 Unauthorized", b"WWW-Authenticate: a\r\nProxy-Authenticate: b\r\n" + OK),
    "100 first": [b"HTTP/1.1 100 Continue\r\n\r\n" + OURS + OK],
    "103 first": [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OURS + OK],
    "102 twice first": [b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + OURS + OK],
    "199 first": [b"HTTP/1.1 199 Odd\r\n\r\n" + OURS + OK],
    "103 with a length": [b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + OURS + OK],
    "103 with chunks": [b"HTTP/1.1 103 Early Hints\r\n" + TE + b"\r\n" + OURS + OK],
    "103 that says close": [b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + OURS + OK],
    "100 of 1.0": [b"HTTP/1.0 100 Continue\r\n\r\n" + OURS + OK],
    "103 alone": [b"HTTP/1.1 103 Early Hints\r\n\r\n", None],
    "a hundred times 103": [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 100 + OURS + OK],
    "101 unasked": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    "101": [
        b"HTTP/1.1 101 Switching Protocols\r\nX-Model: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        None,
    ],
    "101 without Upgrade": [b"HTTP/1.1 101 Switching Protocols\r\nX-Model: 1\r\n\r\nhello", None],
    "status 99": line(b"HTTP/1.1 099 X"),
    "status 000": line(b"HTTP/1.1 000 X"),
    "status 600": line(b"HTTP/1.1 600 X"),
    "status 999": line(b"HTTP/1.1 999 X"),
    "status of two digits": line(b"HTTP/1.1 20 OK"),
    "status of four digits": line(b"HTTP/1.1 2000 OK"),
    "status of letters": line(b"HTTP/1.1 2xx OK"),
    "a negative status": line(b"HTTP/1.1 -200 OK"),
    "no reason": line(b"HTTP/1.1 200 "),
    "no space after the status": line(b"HTTP/1.1 200"),
    "two spaces before the status": line(b"HTTP/1.1  200 OK"),
    "a control in the reason": line(b"HTTP/1.1 200 a\x01b"),
    "a NUL in the reason": line(b"HTTP/1.1 200 a\0b"),
    "eight bits in the reason": line(b"HTTP/1.1 200 \xe9"),
    "a CR in the reason": line(b"HTTP/1.1 200 a\rb"),
    "version 0.9": line(b"HTTP/0.9 200 OK"),
    "version 1.2": line(b"HTTP/1.2 200 OK"),
    "version 2.0": line(b"HTTP/2.0 200 OK"),
    "version 2": line(b"HTTP/2 200 OK"),
    "small letters": line(b"http/1.1 200 OK"),
    "ICY": line(b"ICY 200 OK"),
    "an empty line first": [b"\r\n" + OURS + OK],
    "no head": [b"hello", None],
    "HTML": [b"<html>hello</html>\r\n\r\n", None],
    "nothing": [None],
    "a reset": ["reset"],
    "half a head": [OURS + b"X-A: 1\r\n", None],
    "half a status": [b"HTTP/1.1 2", None],
    "lines end in LF": [(OURS + OK).replace(b"\r\n", b"\n")],
    "one line ends in LF": [OURS + b"X-A: 1\n" + OK],
    "the head ends in LF": [OURS + b"Content-Length: 2\r\n\nok"],
    "the head ends in CR": [OURS + b"Content-Length: 2\r\n\rok"],
    "obs-fold": [OURS + b"X-A: 1\r\n 2\r\n" + OK],
    "a space before the colon": [OURS + b"X-A : 1\r\n" + OK],
    "a space before a header": [OURS + b" X-A: 1\r\n" + OK],
    "a line without a colon": [OURS + b"nonsense\r\n" + OK],
    "an empty name": [OURS + b": 1\r\n" + OK],
    "a name with a space": [OURS + b"X A: 1\r\n" + OK],
    "a name with an underscore": [OURS + b"X_A: 1\r\n" + OK],
    "a NUL in a value": [OURS + b"X-A: a\0b\r\n" + OK],
    "a CR in a value": [OURS + b"X-A: a\rb\r\n" + OK],
    "a CR and a header": [OURS + b"X-A: a\rX-B: b\r\n" + OK],
    "a control in a value": [OURS + b"X-A: a\x01b\r\n" + OK],
    "eight bits in a value": [OURS + b"X-A: \xc3\xa9\r\n" + OK],
    "a header of 40 kB": [OURS + b"X-A: " + b"a" * 40_000 + b"\r\n" + OK],
    "a header of 400 kB": [OURS + b"X-A: " + b"a" * 400_000 + b"\r\n" + OK],
    "two hundred headers": [OURS + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + OK],
    "cookies": [OURS + b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n" + OK],
    "hop-by-hop headers": [OURS + b"Keep-Alive: timeout=9\r\nProxy-Connection: close\r\nTE: trailers\r\n" + OK],
    "a name in Connection": [OURS + b"Connection: keep-alive, X-A\r\nX-A: 1\r\nX-B: 2\r\n" + OK],
    "the length in Connection": [OURS + b"Connection: Content-Length\r\n" + OK],
    "Upgrade": [OURS + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + OK],
    "an id of ours": [OURS + b"x-gnomon-id: forged\r\nX-Gnomon-Other: 1\r\n" + OK],
    "headers for nginx": [OURS + b"X-Accel-Redirect: /hidden\r\nX-Accel-Buffering: no\r\n" + OK],
    "content coding": [OURS + b"Content-Encoding: gzip\r\nVary: a\r\n" + OK],
    "two equal lengths": [OURS + b"Content-Length: 2\r\n" + OK],
    "two lengths": [OURS + b"Content-Length: 1\r\n" + OK],
    "a list of lengths": [OURS + b"Content-Length: 2, 2\r\n\r\nok"],
    "a length with zeros": [OURS + b"Content-Length: 002\r\n\r\nok"],
    "a length with tabs": [OURS + b"Content-Length:\t2\t\r\n\r\nok"],
    "a signed length": [OURS + b"Content-Length: +2\r\n\r\nok"],
    "a negative length": [OURS + b"Content-Length: -2\r\n\r\nok"],
    "an empty length": [OURS + b"Content-Length:\r\n\r\nok", None],
    "a hexadecimal length": [OURS + b"Content-Length: 0x2\r\n\r\nok"],
    "a length beyond 64 bits": [OURS + b"Content-Length: 18446744073709551618\r\n\r\nok", None],
    "a length beyond 63 bits": [OURS + b"Content-Length: 9223372036854775811\r\n\r\nok", None],
    "a length before a space and a colon": [OURS + b"Content-Length : 2\r\n\r\nok", None],
    "length and chunks": [OURS + b"Content-Length: 9\r\n" + TE + b"\r\n2\r\nok\r\n0\r\n\r\n"],
    "chunks and length": [OURS + TE + b"Content-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "gzip": [OURS + b"Transfer-Encoding: gzip\r\n\r\nok", None],
    "gzip, chunked": [OURS + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "chunked, gzip": [OURS + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n", None],
    "chunked twice": [OURS + TE + TE + b"\r\n2\r\nok\r\n0\r\n\r\n"],
    "chunked, chunked": [OURS + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "identity": [OURS + b"Transfer-Encoding: identity\r\n" + OK],
    "xchunked": [OURS + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None],
    "chunked in capitals": [OURS + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "chunked with a vertical tab": [OURS + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None],
    "chunked before a space and a colon": [OURS + b"Transfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None],
    "chunks in 1.0": line(b"HTTP/1.0 200 OK", TE + b"\r\n2\r\nok\r\n0\r\n\r\n"),
    "a bad size": [OURS + TE + b"\r\n2\r\nok\r\nZZ\r\n"],
    "a bad size first": [OURS + TE + b"\r\nZZ\r\nok\r\n0\r\n\r\n"],
    "a negative size": [OURS + TE + b"\r\n-2\r\nok\r\n0\r\n\r\n"],
    "a size beyond 64 bits": [OURS + TE + b"\r\n10000000000000002\r\nok\r\n0\r\n\r\n"],
    "a size that ends in LF": [OURS + TE + b"\r\n2\nok\r\n0\r\n\r\n"],
    "a chunk that ends in LF": [OURS + TE + b"\r\n2\r\nok\n0\r\n\r\n"],
    "a chunk that ends in nothing": [OURS + TE + b"\r\n2\r\nok0\r\n\r\n"],
    "an end in LF": [OURS + TE + b"\r\n2\r\nok\r\n0\n\n"],
    "an extension with a LF": [OURS + TE + b"\r\n2;a\nb\r\nok\r\n0\r\n\r\n"],
    "cut in a length": [OURS + b"Content-Length: 9\r\n\r\nok", None],
    "cut in a chunk": [OURS + TE + b"\r\n9\r\nok", None],
    "cut after a chunk": [OURS + TE + b"\r\n2\r\nok\r\n", None],
    "cut before the last line": [OURS + TE + b"\r\n2\r\nok\r\n0\r\n", None],
    "cut in the trailers": [OURS + TE + b"\r\n2\r\nok\r\n0\r\nX-T: 1\r\n", None],
    "more than its length": [OURS + OK + b"garbage"],
    "an answer after the answer": [OURS + OK + OURS + b"Content-Length: 6\r\n\r\npoison"],
    "more than its chunks": [OURS + TE + b"\r\n2\r\nok\r\n0\r\n\r\ngarbage"],
    "an answer after 204": [b"HTTP/1.1 204 No Content\r\n" + X + b"\r\n" + OURS + b"Content-Length: 6\r\n\r\npoison"],
    "an answer after 304": [b"HTTP/1.1 304 Not Modified\r\n" + X + b"\r\n" + OURS + b"Content-Length: 6\r\n\r\npoison"],
}

TO_HEAD = {
    "a length": [OURS + b"Content-Length: 5\r\n\r\n"],
    "a body": [OURS + b"Content-Length: 5\r\n\r\nhello"],
    "chunks declared": [OURS + TE + b"\r\n"],
    "chunks": [OURS + TE + b"\r\n2\r\nok\r\n0\r\n\r\n"],
    "no framing": [OURS + b"\r\n"],
    "no framing, a body": [OURS + b"\r\nhello"],
    "404": line(b"HTTP/1.1 404 Not Found", b"Content-Length: 5\r\n\r\n"),
    "103 first": [b"HTTP/1.1 103 Early Hints\r\n\r\n" + OURS + b"Content-Length: 5\r\n\r\n"],
    "an answer after the answer": [OURS + b"\r\n" + OURS + b"Content-Length: 6\r\n\r\npoison"],
    "garbage": [b"hello\r\n\r\n"],
}

SAID_TO_1_0 = [
    "a length",
    "chunks",
    "trailers",
    "until close",
    "204",
    "304",
    "103 first",
    "cut in a chunk",
    "nothing",
    "500",
]

# POST: others may be repeated when a reused connection closed at once, and which one is reused is not fixed
_POST = req(CL3, b"abc", b"POST /p?say=%d HTTP/1.1")
_HEAD = req(start=b"HEAD /p?say=%d HTTP/1.1")
_OLD = req(CL3, b"abc", b"POST /p?say=%d HTTP/1.0")
_OLD_STAYS = req(CL3 + b"Connection: keep-alive\r\n", b"abc", b"POST /p?say=%d HTTP/1.0")
_ALL = [
    *(("answer", name, _POST, said) for name, said in ANSWERS.items()),
    *(("answer to HEAD", name, _HEAD, said) for name, said in TO_HEAD.items()),
    *(("answer to 1.0", name, _OLD, ANSWERS[name]) for name in SAID_TO_1_0),
    *(("answer to 1.0 kept alive", name, _OLD_STAYS, ANSWERS[name]) for name in SAID_TO_1_0),
]
ASKING = {f"{part}: {name}": data % n for n, (part, name, data, _) in enumerate(_ALL)}
"""By name: the request that is answered so."""
_SAID = {b"%d" % n: said for n, (*_, said) in enumerate(_ALL)}
_SAID |= {
    b"switch": ANSWERS["101"],
    b"bare": ANSWERS["101 without Upgrade"],
    b"chunks": ANSWERS["chunks"],
    b"refuse": ANSWERS["417"],
}


def said(target):
    """What the model says to a request with this target."""
    if target == b"/marker":
        return [OURS + b"Content-Length: 6\r\n\r\nmarker"]
    _, asked, key = target.partition(b"?say=")
    return _SAID[key] if asked else [OURS + OK]
