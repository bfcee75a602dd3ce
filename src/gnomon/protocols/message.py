"""One message's headers and body, decoded and parsed once.

JSON is read by RFC 8259. Of a key that stands twice in an object the last one counts, as in the common parsers. Many
Python servers write NaN and Infinity, which are no JSON: such a body can still be read, and only an output that holds
one is a wrong shape.
"""

import json
import zlib
from functools import lru_cache
from typing import Any, Final

import msgspec

from gnomon.ports import MISSING, Unreadable, WrongShape

BOMB: Final = 64 << 20
"""Bytes that a compressed body may become."""

_decoder: Final = msgspec.json.Decoder()
_CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}  # wbits; 47: zlib or gzip by its header
_RAW: Final = -15  # some servers send bare deflate, against RFC 9110


def decoded(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The body without its content codings.

    Raises Unreadable for a coding that is not gzip or deflate, for damage, and past BOMB bytes.
    """
    values = [value for name, value in headers if name == "content-encoding"]
    if not values:
        return body
    for coding in reversed([part.strip() for value in values for part in value.lower().split(",")]):
        if coding in {"", "identity"}:
            continue
        if coding not in _CODINGS:
            raise Unreadable(f"content coding {coding!r} cannot be undone")
        body = _inflate(body, coding)
    return body


def _inflate(body: bytes, coding: str) -> bytes:
    try:
        return _inflated(body, _CODINGS[coding])
    except zlib.error as error:
        if coding == "deflate":
            try:
                return _inflated(body, _RAW)
            except zlib.error:
                pass
        raise Unreadable(f"the {coding} body is damaged: {error}") from error


def _inflated(body: bytes, wbits: int) -> bytes:
    """The whole of a compressed body, gzip's several members included."""
    parts: list[bytes] = []
    size = 0
    while body:
        stream = zlib.decompressobj(wbits)
        parts.append(stream.decompress(body, BOMB + 1 - size))
        size += len(parts[-1])
        if size > BOMB:
            raise Unreadable(f"the body grows past {BOMB >> 20} MiB when it is decompressed")
        if not stream.eof:
            raise zlib.error("it ends too early")
        body = stream.unused_data if wbits == _CODINGS["gzip"] else b""
    return b"".join(parts)


def parsed(body: bytes) -> Any:  # noqa: ANN401  whatever JSON can hold
    """The JSON value of a body.

    Raises Unreadable.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass  # it may hold NaN or a number that is too large, which the next parser takes
    try:
        value = json.loads(body.decode("utf-8-sig"))
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    return value


def at(value: Any, pointer: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    """What a JSON pointer (RFC 6901) points to, or MISSING."""
    for token in tokens(pointer):
        if type(value) is dict:
            value = value.get(token, MISSING)
        elif type(value) is list and is_index(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


@lru_cache(maxsize=4096)  # they are a plan's: few, and asked for with every message
def tokens(pointer: str) -> tuple[str, ...]:
    """The reference tokens of a JSON pointer; none: the whole document."""
    if not pointer:
        return ()
    return tuple([part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")])


def is_index(token: str) -> bool:
    """Whether a token may name an element of an array."""
    return token.isascii() and token.isdigit() and (token == "0" or token[0] != "0") and len(token) < 10  # noqa: S105


class Bodies:
    """The last body and what it parsed to: the selectors of one message are read one after another."""

    __slots__ = ("_body", "_error", "_headers", "_value")

    def __init__(self) -> None:
        self._body: bytes | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._value: Any = None
        self._error: Unreadable | None = None

    def json(self, body: bytes, headers: tuple[tuple[str, str], ...]) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The JSON value of a message's body.

        Raises Unreadable.
        """
        # `is`: the same object has the same bytes; the reference keeps it from being another one at the same place
        if body is not self._body or headers is not self._headers:
            self._value, self._error = None, None
            try:
                self._value = parsed(self._content(body, headers))
            except Unreadable as error:
                self._error = error
            self._body, self._headers = body, headers
        if self._error is not None:
            raise self._error
        return self._value

    def _content(self, body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
        return decoded(body, headers)


def pointed(value: Any, pointer: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    """What a pointer points to in an answer.

    Raises WrongShape when it points to nothing.
    """
    found = at(value, pointer)
    if found is MISSING:
        raise WrongShape(f"the answer has nothing at {pointer}")
    return found
