"""Where the gateway and nginx differ, and why. What is not here is the same on both sides, or a fault.

Kinds: `strictness` the gateway refuses what nginx passes; `RFC` it does what the RFC says, and nginx something else;
`status` both refuse, by another number; `close` it ends a connection that could have stayed; `nginx` a habit of nginx;
`ours` a promise of Gnomon. How an outcome reads is in `differential_lines.py`: first the gateway's, then nginx's.
"""

from typing import NamedTuple

KINDS = ("strictness", "RFC", "status", "close", "nginx", "ours")


class Difference(NamedTuple):
    """What one input comes to on both sides."""

    kind: str
    reason: str
    ours: str
    theirs: str


_TABLE = {
    ("strictness", "a URI is ASCII (RFC 3986, 2)"): {
        ("(400) |", "200 M | GET /\\xc3\\xa9, M"): ["start: eight bits in the target"]
    },
    ("strictness", "no scheme but http and https is served (RFC 9110, 4.2)"): {
        ("(400) |", "200 M | GET /p, M"): ["start: absolute form of ftp"]
    },
    ("strictness", "methods that llhttp does not know, or knows of other protocols, reach no model (RFC 9110, 9.1)"): {
        ("(400) |", "200 M | FETCH /p, M"): ["start: an unknown method"],
        ("(400) |", "200 M | DESCRIBE /p, M"): ["start: a method of RTSP"],
    },
    ("strictness", "nothing may follow the version (RFC 9112, 3)"): {
        ("(400) |", "200 M | GET /p, M"): ["start: a space after the version"]
    },
    ("strictness", "HTTP/0.9 is not spoken (RFC 9112, 2.3)"): {
        ("(400) |", "~head | GET /p @"): ["start: HTTP/0.9 without a version"],
        ("(505) |", "~head | GET /p @"): ["start: a head without a version"],
    },
    ("strictness", "there is no such version; RFC 9110, 2.5 would let 1.2 pass for 1.1"): {
        ("(505) |", "200 M | GET /p, M"): ["start: HTTP/1.2"],
        ("(400) |", "200 M | GET /p, M"): ["start: HTTP/1.10"],
        ("(502) | POST /p 'abc'", "200 M | POST /p 'abc', M"): ["answer: version 1.2", "answer: version 2.0"],
    },
    ("strictness", "a header has a colon (RFC 9112, 5)"): {
        ("(400) |", "200 M | POST /p {nonsense: }, M"): ["header: a line without a colon"],
        ("(400) |", "200 M | POST /p {x: }, M"): ["header: a line of one letter"],
        ("(502) | POST /p 'abc'", "200 {nonsense: } M | POST /p 'abc', M"): ["answer: a line without a colon"],
    },
    ("strictness", "a CR belongs to a LF (RFC 9112, 2.2)"): {
        ("(400) |", "200 M | POST /p {x-a: a}, M"): ["header: two CRs at a line's end"]
    },
    ("strictness", "a value has no control characters (RFC 9110, 5.5)"): {
        ("(400) |", "(502) M | INVALID field 'X-A: a\\x01b', M"): ["header: a control in a value"],
        ("(400) |", "(502) M | INVALID field 'X-A: a\\x7fb', M"): ["header: a DEL in a value"],
        ("(502) | POST /p 'abc'", "INVALID field 'X-A: a\\x01b' | POST /p 'abc', M"): ["answer: a control in a value"],
    },
    ("strictness", "a name is a token (RFC 9110, 5.1); nginx drops the header"): {
        ("(400) |", "200 M | POST /p, M"): [
            "header: a name with eight bits",
            "header: a name with brackets",
            "header: a name with an at sign",
            "header: a name with a slash",
        ]
    },
    ("strictness", "a line ends in CRLF; taking LF alone is only allowed (RFC 9112, 2.2)"): {
        ("(400) |", "200 M | GET /p, M"): [
            "header: lines end in LF",
            "header: the request line ends in LF",
            "header: the head ends in LF",
            "header: the head ends in two LF",
        ],
        ("(400) |", "200 M | POST /p {x-a: 1}, M"): ["header: one line ends in LF"],
        ("(400) |", "200 M | POST /p 'abc' {x-a: 1}, M"): [
            "framing: a length behind a LF",
            "coding: chunked behind a LF",
        ],
        ("(502) | POST /p 'abc'", "200 M | POST /p 'abc', M"): [
            "answer: lines end in LF",
            "answer: the head ends in LF",
        ],
        ("(502) | POST /p 'abc'", "200 {x-a: 1} M | POST /p 'abc', M"): ["answer: one line ends in LF"],
    },
    ("strictness", "an extension has a name and no control characters (RFC 9112, 7.1.1)"): {
        ("(400) |", "200 M | POST /p 'abc', M"): [
            "chunks: an extension without a name",
            "chunks: an extension with a NUL",
            "chunks: an extension with a control",
            "chunks: an extension with eight bits",
        ]
    },
    ("strictness", "white space after a size, which a recipient should bear (RFC 9112, 7.1.1), has hidden requests"): {
        ("(400) |", "200 M | POST /p 'abc', M"): [
            "chunks: an extension after a space",
            "chunks: an extension after a tab",
            "chunks: an extension with spaces",
            "chunks: a size with a space after it",
        ]
    },
    ("strictness", "a request line is no trailer (RFC 9112, 7.1.2); nginx skips trailers unread"): {
        ("(400) |", "200... | POST /p 'abc'"): ["chunks: no end"]
    },
    (
        "strictness",
        "a trailer is a header that is not about framing (RFC 9110, 6.5.1); nginx skips those of requests",
    ): {
        ("(400) |", "200 M | POST /p 'abc', M"): [
            "chunks: a length as a trailer",
            "chunks: chunked as a trailer",
            "chunks: a trailer without a colon",
            "chunks: a trailer with a NUL",
            "chunks: a trailer folded",
        ],
        ("~200 | POST /p 'abc'", "200 [content-length: 9] M | POST /p 'abc', M"): ["answer: a length as a trailer"],
    },
    ("strictness", "a status is three digits, of five classes (RFC 9110, 15)"): {
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 099 X' | POST /p 'abc', M"): ["answer: status 99"],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 000 X' | POST /p 'abc', M"): ["answer: status 000"],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 600 X' | POST /p 'abc', M"): ["answer: status 600"],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 999 X' | POST /p 'abc', M"): ["answer: status 999"],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 20 OK'... | POST /p 'abc'"): [
            "answer: status of two digits"
        ],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 2000 OK'... | POST /p 'abc'"): [
            "answer: status of four digits"
        ],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 2xx OK'... | POST /p 'abc'"): [
            "answer: status of letters"
        ],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 -200 OK'... | POST /p 'abc'"): [
            "answer: a negative status"
        ],
    },
    ("strictness", "a status line has one space and then another (RFC 9112, 4)"): {
        ("(502) | POST /p 'abc'", "200 M | POST /p 'abc', M"): ["answer: two spaces before the status"]
    },
    ("strictness", "a reason has no control characters (RFC 9112, 4)"): {
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 200 a\\x01b' | POST /p 'abc', M"): [
            "answer: a control in the reason"
        ],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 200 a\\x00b' | POST /p 'abc', M"): [
            "answer: a NUL in the reason"
        ],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/1.1 200 a\\rb'... | POST /p 'abc'"): [
            "answer: a CR in the reason"
        ],
    },
    ("strictness", "what is not HTTP/1 is no answer; nginx takes it for HTTP/0.9"): {
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/0.9 200 OK'... | POST /p 'abc'"): ["answer: version 0.9"],
        ("(502) | POST /p 'abc'", "INVALID start line 'HTTP/2 200 OK'... | POST /p 'abc'"): ["answer: version 2"],
        ("(502) | POST /p 'abc'", "INVALID start line 'http/1.1 200 OK'... | POST /p 'abc'"): ["answer: small letters"],
        ("(502) | POST /p 'abc'", "INVALID start line 'ICY 200 OK'... | POST /p 'abc'"): ["answer: ICY"],
        ("(502) | POST /p 'abc'", "INVALID start line 'helloHTTP/1.1 200 OK' | POST /p 'abc', M"): ["answer: no head"],
        ("(502) | POST /p 'abc'", "INVALID start line '<html>hello</html>' | POST /p 'abc', M"): ["answer: HTML"],
        ("(502) | HEAD /p", "200 of 6 ~head | HEAD /p, M"): ["answer to HEAD: garbage"],
    },
    ("strictness", "Transfer-Encoding is not of HTTP/1.0 (RFC 9112, 6.1)"): {
        ("(502) | POST /p 'abc'", "200 M | POST /p 'abc', M"): ["answer: chunks in 1.0"]
    },
    ("RFC", "a target has no fragment (RFC 9112, 3.2)"): {
        ("200 M | GET /p, M", "200 M | GET /p#part, M"): ["start: a fragment"],
        ("200 M | GET /p?a, M", "200 M | GET /p?a#part, M"): ["start: a query and a fragment"],
    },
    ("RFC", "OPTIONS may ask about the server as a whole (RFC 9112, 3.2.4)"): {
        ("200 M | OPTIONS *, M", "(400) |"): ["start: OPTIONS of a star"]
    },
    ("RFC", "a tab is white space around a value (RFC 9110, 5.6.3)"): {
        ("200 M | POST /p 'abc', M", "(400) |"): ["framing: a length with a tab before it"],
        ("200 M | POST /p 'abc', M", "(501) |"): ["coding: chunked with a tab"],
        ("200 M | POST /p 'abc', M", "(502) M | POST /p 'abc', M"): ["answer: a length with tabs"],
    },
    ("RFC", "trailers may pass (RFC 9112, 7.1.2); nginx drops those of requests"): {
        ("200 M | POST /p 'abc' [x-t: 1], M", "200 M | POST /p 'abc', M"): ["chunks: a trailer"],
        ("200 M | POST /p 'abc' [9005 bytes 1e1478f2], M", "200 M | POST /p 'abc', M"): ["chunks: a trailer of 9 kB"],
    },
    ("RFC", "what Connection names ends here (RFC 9110, 7.6.1)"): {
        ("200 | GET /p", "200 | GET /p {x-a: 1}"): ["connection: close in the second line"],
        ("200 M | GET /p {x-b: 2}, M", "200 M | GET /p {x-a: 1, x-b: 2}, M"): ["connection: a name"],
        ("200 M | GET /p, M", "200 M | GET /p {x-a: 1}, M"): [
            "connection: a name and keep-alive",
            "connection: the name Connection",
            "connection: commas",
            "connection: h2c and a name",
        ],
        ("200 M | GET /p, M", "200 M | GET /p {x-a: 1, x-b: 2}, M"): ["connection: a name in two lines"],
        ("200 M | GET /p, M", "200 M | GET /p {authorization: Bearer s}, M"): ["connection: the name Authorization"],
        ("200 M | GET /p, M", "200 M | GET /p {cookie: a=b}, M"): ["connection: the name Cookie"],
        ("200 M | GET /p, M", "200 M | GET /p {content-type: a/b}, M"): ["connection: the name Content-Type"],
        ("200 M | GET /p, M", "200 M | GET /p {http2-settings: AAMAAABk}, M"): ["connection: h2c"],
        ("200 M | POST /p 'abc', M", "200 {proxy-connection: close, te: trailers} M | POST /p 'abc', M"): [
            "answer: hop-by-hop headers"
        ],
        ("200 {x-b: 2} M | POST /p 'abc', M", "200 {x-a: 1, x-b: 2} M | POST /p 'abc', M"): [
            "answer: a name in Connection"
        ],
    },
    ("RFC", "an upgrade is for one hop, and Connection must name it (RFC 9110, 7.8)"): {
        ("200 M | GET /p, M", "200 M | GET /p {upgrade: websocket}, M"): ["connection: an upgrade without its name"],
        ("200 M | GET /p 'abc', M", "200 M | GET /p 'abc' {upgrade: websocket}, M"): [
            "connection: a WebSocket with a body"
        ],
        ("200 | GET /p", "200 | GET /p {upgrade: websocket}"): ["connection: a WebSocket in 1.0"],
        ("200 M | POST /p 'abc', M", "200 {upgrade: h2c} M | POST /p 'abc', M"): ["answer: Upgrade"],
    },
    ("RFC", "nobody switches protocols unasked, or without saying to which (RFC 9110, 7.8; RFC 6455, 4.1)"): {
        ("(502) | GET /p {upgrade: websocket}", "101 tunnel 'hello' | GET /p {upgrade: websocket}"): [
            "connection: a WebSocket that the model does not name"
        ],
        ("(502) | POST /p", "101 {upgrade: websocket} tunnel 'hello' | POST /p {upgrade: websocket}"): [
            "connection: a WebSocket by POST"
        ],
        ("(502) | POST /p 'abc'", "101 {upgrade: websocket} tunnel ''... | POST /p 'abc'"): ["answer: 101 unasked"],
        ("(502) | POST /p 'abc'", "101 {upgrade: websocket} tunnel 'hello' | POST /p 'abc', M"): ["answer: 101"],
        ("(502) | POST /p 'abc'", "101 tunnel 'hello' | POST /p 'abc', M"): ["answer: 101 without Upgrade"],
    },
    ("RFC", "an expectation is for the model to meet or refuse (RFC 9110, 10.1.1)"): {
        ("200 M | POST /p 'abc', M", "100 200 M | POST /p 'abc', M"): ["connection: the name Expect"],
        ("200 M | POST /p 'abc' {expect: 100-continue}, M", "100 200 M | POST /p 'abc', M"): [
            "connection: Expect",
            "connection: Expect with chunks",
        ],
        ("200 M | POST /p 'abc' {expect: 100-Continue}, M", "100 200 M | POST /p 'abc', M"): [
            "connection: Expect in capitals"
        ],
        ("200 M | GET /p {expect: 100-continue}, M", "100 200 M | GET /p, M"): ["connection: Expect without a body"],
        ("200 M | POST /p 'abc' {expect: wonders}, M", "200 M | POST /p 'abc', M"): [
            "connection: Expect of something else"
        ],
        ("417 M | POST /p 'abc' {expect: 100-continue}, M", "100 417 M | POST /p 'abc', M"): [
            "connection: Expect refused"
        ],
    },
    ("RFC", "1xx are not final (RFC 9110, 15.2)"): {
        ("100 200 M | POST /p 'abc', M", "100 200... | POST /p 'abc'"): ["answer: 100 first", "answer: 100 of 1.0"],
        ("102 x2 200 M | POST /p 'abc', M", "102 x2 200... | POST /p 'abc'"): ["answer: 102 twice first"],
        ("199 200 M | POST /p 'abc', M", "199 200... | POST /p 'abc'"): ["answer: 199 first"],
        ("103 200 of 5 M | HEAD /p, M", "200 of 5 M | HEAD /p, M"): ["answer to HEAD: 103 first"],
    },
    ("RFC", "1xx and 204 have no length and no coding (RFC 9110, 8.6; RFC 9112, 6.1)"): {
        ("204 M | POST /p 'abc', M", "INVALID 204 with 0 | POST /p 'abc', M"): ["answer: 204 with length 0"],
        ("204 M | POST /p 'abc', M", "INVALID 204 with 5 | POST /p 'abc', M"): [
            "answer: 204 with a length",
            "answer: 204 with a body",
        ],
        ("103 200 M | POST /p 'abc', M", "INVALID 103 with 2 | POST /p 'abc', M"): ["answer: 103 with a length"],
        ("103 200 M | POST /p 'abc', M", "INVALID 103 with chunked | POST /p 'abc', M"): ["answer: 103 with chunks"],
    },
    ("RFC", "a status line has a space before its reason, even if there is none (RFC 9112, 4)"): {
        ("200 M | POST /p 'abc', M", "INVALID start line 'HTTP/1.1 200' | POST /p 'abc', M"): [
            "answer: no space after the status"
        ]
    },
    ("RFC", "what was right has passed, and that it was cut is seen (RFC 9112, 8); nginx drops the head too"): {
        ("~200 | POST /p 'abc'", "| POST /p 'abc'"): [
            "answer: a bad size",
            "answer: a bad size first",
            "answer: a negative size",
            "answer: a size beyond 64 bits",
            "answer: a size that ends in LF",
            "answer: a chunk that ends in LF",
            "answer: a chunk that ends in nothing",
            "answer: an end in LF",
            "answer: an extension with a LF",
        ]
    },
    ("RFC", "a reset tells HTTP/1.0 that an answer is not whole (RFC 9112, 8)"): {
        ("~200! | POST /p 'abc'", "200 | POST /p 'abc'"): [
            "answer to 1.0: cut in a chunk",
            "answer to 1.0 kept alive: cut in a chunk",
        ]
    },
    ("status", "501 is for methods that are not implemented (RFC 9110, 9.1)"): {
        ("(501) |", "(405) |"): ["start: TRACE", "start: CONNECT", "header: Max-Forwards of TRACE"],
        ("(501) |", "(400) |"): ["start: CONNECT of a path"],
    },
    ("status", "505 is for versions that are not spoken (RFC 9110, 15.6.6)"): {
        ("(505) |", "(400) |"): ["start: HTTP/0.9"]
    },
    ("status", "a version has two digits (RFC 9112, 2.3)"): {("(400) |", "(505) |"): ["start: HTTP/3"]},
    ("status", "431 is for heads that are too large (RFC 6585, 5)"): {
        ("(431) |", "(400) |"): ["header: a header of 100 kB", "header: a head of 100 kB"]
    },
    ("status", "chunked that is not the last coding, or is misspelt, is a 400 (RFC 9112, 6.3)"): {
        ("(400) |", "(501) |"): [
            "coding: chunked with spaces after it",
            "coding: chunked with a vertical tab",
            "coding: chunked with a form feed after it",
            "coding: chunked and a comma",
            "coding: chunked, gzip",
            "coding: chunked, chunked",
            "coding: chunked, identity",
            "coding: an empty coding",
        ]
    },
    ("status", "a coding that is not known is a 501 (RFC 9112, 6.1)"): {
        ("(501) |", "(400) |"): ["coding: gzip and chunked in two lines"]
    },
    ("status", "a length beside a coding is a 400, whatever the coding (RFC 9112, 6.3)"): {
        ("(400) |", "(501) |"): [
            "length and coding: chunked with a tab",
            "length and coding: chunked with spaces after it",
            "length and coding: chunked with a vertical tab",
            "length and coding: chunked with a form feed after it",
            "length and coding: chunked with a no-break space",
            "length and coding: chunked in quotes",
            "length and coding: chunked with a parameter",
            "length and coding: chunked and a comma",
            "length and coding: a comma and chunked",
            "length and coding: xchunked",
            "length and coding: chunkedx",
            "length and coding: gzip",
            "length and coding: gzip, chunked",
            "length and coding: chunked, gzip",
            "length and coding: chunked, chunked",
            "length and coding: identity",
            "length and coding: identity, chunked",
            "length and coding: chunked, identity",
            "length and coding: an empty coding",
        ]
    },
    ("close", "what offered another protocol is not used again; closing is always allowed (RFC 9112, 9.3)"): {
        ("200 | GET /p", "200 M | GET /p, M"): ["connection: h2c in 1.0"],
        (
            "200 | GET /p {sec-websocket-key: a, upgrade: websocket}",
            "200 M | GET /p {sec-websocket-key: a, upgrade: websocket}, M",
        ): ["connection: a WebSocket refused"],
        ("200 'hello' | GET /p {upgrade: websocket}", "200 'hello' M | GET /p {upgrade: websocket}, M"): [
            "connection: a WebSocket answered in chunks"
        ],
    },
    ("close", "what ended in an error of ours is not used again; nginx, which holds 103 back, keeps it"): {
        ("103 (502) | POST /p 'abc'", "(502) M | POST /p 'abc', M"): ["answer: 103 alone"]
    },
    ("close", "what ended in an error of ours is not used again (RFC 9112, 9.6)"): {
        ("(502) | POST /p 'abc'", "(502) M | POST /p 'abc', M"): [
            "answer: nothing",
            "answer: a reset",
            "answer: half a head",
            "answer: half a status",
            "answer: the head ends in CR",
            "answer: obs-fold",
            "answer: a space before the colon",
            "answer: a space before a header",
            "answer: an empty name",
            "answer: a name with a space",
            "answer: a NUL in a value",
            "answer: a CR in a value",
            "answer: a CR and a header",
            "answer: a header of 400 kB",
            "answer: two equal lengths",
            "answer: two lengths",
            "answer: a list of lengths",
            "answer: a signed length",
            "answer: a negative length",
            "answer: an empty length",
            "answer: a hexadecimal length",
            "answer: a length beyond 64 bits",
            "answer: a length beyond 63 bits",
            "answer: a length before a space and a colon",
            "answer: length and chunks",
            "answer: chunks and length",
            "answer: gzip",
            "answer: gzip, chunked",
            "answer: chunked, gzip",
            "answer: chunked twice",
            "answer: chunked, chunked",
            "answer: identity",
            "answer: xchunked",
            "answer: chunked with a vertical tab",
            "answer: chunked before a space and a colon",
            "answer to 1.0 kept alive: nothing",
        ]
    },
    ("nginx", "it decodes the path; here the target passes as it came (RFC 9110, 7.7)"): {
        ("200 M | GET /p%2Fq%00, M", "(400) |"): ["start: percent"],
        ("200 M | GET /p%zz, M", "(400) |"): ["start: a bad percent"],
        ("200 M | GET /../p, M", "(400) |"): ["start: too many dots"],
    },
    ("nginx", "it judges names and ports; any digits are a port, and dots may be neighbours (RFC 3986, 3.2)"): {
        ("200 M | POST /p, M", "(400) |"): ["header: a Host with a port too large"],
        ("200 M | POST /p @x..y, M", "(400) |"): ["header: a Host with dots"],
    },
    ("nginx", "it drops headers whose names it finds odd; they are tokens (RFC 9110, 5.6.2)"): {
        ("200 M | POST /p {x_a: 1}, M", "200 M | POST /p, M"): ["header: a name with an underscore"],
        ("200 M | POST /p {x.a: 1}, M", "200 M | POST /p, M"): ["header: a name with a dot"],
        ("200 M | POST /p {!#$%&'*+^`|~: 1}, M", "200 M | POST /p, M"): ["header: a name of signs"],
    },
    ("nginx", "it takes no chunk so large; here no size goes further, chunks are made as bytes come (RFC 9112, 7.1)"): {
        ("... | ~POST /p <62 bytes 454e4128>", "(400) |"): [
            "chunks: a size of 64 bits",
            "chunks: a size of 63 bits",
            "chunks: a size of 60 bits",
        ]
    },
    ("nginx", "an empty line is skipped, as before a request (RFC 9112, 2.2); nginx takes it for HTTP/0.9"): {
        ("200 M | POST /p 'abc', M", "INVALID start line ''... | POST /p 'abc'"): ["answer: an empty line first"]
    },
    ("nginx", "X-Accel-* are orders to it alone"): {
        (
            "200 {x-accel-buffering: no, x-accel-redirect: /hidden} M | POST /p 'abc', M",
            "200 M | POST /p 'abc', GET /hidden 'abc', M",
        ): ["answer: headers for nginx"]
    },
    ("ours", "x-gnomon-* are the gateway's own"): {
        ("200 M | POST /p, M", "200 M | POST /p {x-gnomon-anything: 1, x-gnomon-shadow: 1}, M"): [
            "header: a shadow that is not ours"
        ],
        ("200 M | POST /p 'abc', M", "200 {x-gnomon-other: 1} M | POST /p 'abc', M"): ["answer: an id of ours"],
    },
    ("ours", "64 requests are read ahead"): {
        ("200 x64 (503) | GET /p x64", "200 x90 M | GET /p x90, M"): ["connection: ninety"]
    },
}

DIFFERENCES = {
    name: Difference(*reason, *sides)
    for reason, rows in _TABLE.items()
    for sides, names in rows.items()
    for name in names
}
"""By the name of the input."""
