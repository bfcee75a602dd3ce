"""What came of an input, in one line, by a reader that takes nothing that RFC 9112 does not allow to be sent.

`200 (400) | POST /p 'abc'`: the client got the model's 200 and then a 400 that the proxy gave itself, and the model
got one POST. `M` is the request that follows every input on its connection, and its answer; `x60` sixty of them;
`...` the proxy waits for more; `!` the connection was reset; `~` a message whose end did not come; `{}` headers beside
the usual ones; `[]` trailers; `@` another Host than x; `of 5` the length of a body that is not sent.
"""

import itertools
import re
import zlib
from typing import NamedTuple

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TEXT = rb"[\t \x21-\x7e\x80-\xff]*"
REQUEST = re.compile(_TOKEN + rb" [\x21-\x7e\x80-\xff]+ HTTP/1\.1\Z")
STATUS = re.compile(rb"HTTP/1\.1 [1-5][0-9][0-9] " + _TEXT + rb"\Z")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):(" + _TEXT + rb")\Z")
_CHUNK = re.compile(rb"[0-9a-fA-F]{1,16}\Z")

_FROM_PROXIES = re.compile(
    r"host|connection|content-length|transfer-encoding|x-forwarded-.*|forwarded|trace.*|x-gnomon-id"
)
_TO_CLIENTS = re.compile(r"server|date|via|connection|content-length|transfer-encoding|x-gnomon-id|x-model")


class Invalid(Exception):
    """Not what a strict reader takes."""


class Message(NamedTuple):
    """What a strict reader makes of bytes."""

    start: bytes
    fields: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]
    whole: bool

    def values(self, name):
        return [value for key, value in self.fields if key == name]


def read_message(data, start, *, bodiless=False, ended=False):
    """(message, rest); None while its head is not whole. `ended`: nothing follows these bytes."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.split(b"\r\n")
    if not start.match(first):
        raise Invalid(f"start line {brief(first)}")
    message = Message(first, _fields(lines), b"", [], whole=True)
    lengths, codings = message.values("content-length"), message.values("transfer-encoding")
    framing = lengths + codings
    if (
        len(framing) > 1
        or codings not in ([], ["chunked"])
        or not all(re.fullmatch("[0-9]+", each) for each in lengths)
    ):
        raise Invalid(f"framing {framing}")
    if start is STATUS and framing and (first[9:12] < b"200" or first[9:12] == b"204"):
        raise Invalid(f"{first[9:12].decode()} with {framing[0]}")  # RFC 9110, 8.6; RFC 9112, 6.1
    if bodiless:
        return message, rest
    if codings:
        return _read_chunks(message, rest)
    if lengths:
        size = int(lengths[0])
        return message._replace(body=rest[:size], whole=len(rest) >= size), rest[size:]
    if start is STATUS:
        return message._replace(body=rest, whole=ended), b""
    return message, rest


def _fields(lines):
    found = []
    for line in lines:
        match = _FIELD.match(line)
        if not match:
            raise Invalid(f"field {brief(line)}")
        found.append((match[1].decode().lower(), match[2].strip(b" \t").decode("latin-1")))
    return found


def _read_chunks(message, rest):
    body = b""
    while True:
        line, end, after = rest.partition(b"\r\n")
        if not end:
            return message._replace(body=body, whole=False), b""
        if not _CHUNK.match(line):
            raise Invalid(f"chunk {brief(line)}")
        size = int(line, 16)
        if not size:
            return _read_trailers(message._replace(body=body), after)
        body += after[:size]
        if len(after) < size + 2:
            return message._replace(body=body, whole=False), b""
        if after[size : size + 2] != b"\r\n":
            raise Invalid("chunk without an end")
        rest = after[size + 2 :]


def _read_trailers(message, rest):
    if rest.startswith(b"\r\n"):
        return message, rest[2:]
    lines, end, rest = rest.partition(b"\r\n\r\n")
    if not end:
        return message._replace(whole=False), b""
    return message._replace(trailers=_fields(lines.split(b"\r\n"))), rest


# in one line ------------------------------------------------------------------------------------------------------


def brief(data):
    text = repr(data)[1:]
    return text if len(text) <= 60 else f"<{len(data)} bytes {zlib.crc32(data):08x}>"


def _extras(message, usual):
    fields = sorted(f"{name}: {value}" for name, value in message.fields if not usual.fullmatch(name))
    trailers = [f"{name}: {value}" for name, value in message.trailers]
    found = ""
    for lines, signs in ((fields, "{}"), (trailers, "[]")):
        if lines:
            found += f" {signs[0]}{brief(', '.join(lines).encode('latin-1'))[1:-1]}{signs[1]}"
    return found


def _counted(parts, separator):
    runs = [(part, len(list(run))) for part, run in itertools.groupby(parts)]
    return separator.join(part if count == 1 else f"{part} x{count}" for part, count in runs)


def requests_line(messages, partial):
    """What reached the model: whole messages, what was said about invalid ones, and bytes that are no message yet."""
    parts = [message if isinstance(message, str) else _request(message) for message in messages]
    for data in partial:
        try:
            found = read_message(data, REQUEST)
        except Invalid as error:
            parts.append(f"INVALID {error}")
        else:
            parts.append("~" + (_request(found[0]) if found else "head"))
    return _counted(parts, ", ")


def _request(message):
    method, target, _ = message.start.split(b" ")
    host = ",".join(value.lower().partition(":")[0] for value in message.values("host"))
    if (method, target, host) == (b"GET", b"/marker", "x"):
        return "M"
    text = f"{method.decode()} {brief(target.partition(b'?say=')[0])[1:-1]}"
    if host != "x":
        text += f" @{host}"
    if message.body:
        text += " " + brief(message.body)
    return text + _extras(message, _FROM_PROXIES)


def answers_line(data, end, *, head):
    """What the client got; `end` is how it ended."""
    parts = []
    while data:
        status = data[9:12]
        bodiless = head or status in {b"204", b"304"} or status < b"200"
        try:
            found = read_message(data, STATUS, bodiless=bodiless, ended=not end)
        except Invalid as error:
            parts.append(f"INVALID {error}")
            break
        if not found:
            parts.append("~head")
            break
        message, data = found
        parts.append(_answer(message, bodiless=bodiless))
        if status >= b"200":
            head = False
        if status == b"101":
            parts.append("tunnel " + brief(data[:5]))
            break
    return _counted(parts, " ") + end


def _answer(message, *, bodiless):
    status = message.start[9:12].decode()
    if not message.values("x-model") and status >= "200":
        return f"({status})"
    if message.body == b"marker" and message.whole:
        return "M"
    text = status if message.whole else "~" + status
    if bodiless and message.values("content-length"):
        text += f" of {message.values('content-length')[0]}"
    if message.body and message.body != b"ok":
        text += " " + brief(message.body)
    return text + _extras(message, _TO_CLIENTS)
