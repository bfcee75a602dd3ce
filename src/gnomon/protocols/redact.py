"""Redaction: what the log never holds. Pure: a message in, its redacted form out.

Promises  where a place in the body is declared, a body is kept only when all of it has been searched: it is written
          anew from what was read, and left out (None) when it cannot be read; where none is, it stays byte for byte
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote_plus

from gnomon.ports import Unreadable
from gnomon.protocols import edit
from gnomon.protocols.canonical import canonical
from gnomon.protocols.message import decoded, parsed
from gnomon.records.plan import Redaction, Selector

Headers = tuple[tuple[str, str], ...]
Change = Callable[[Any], str] | None
"""What a value becomes; None: it goes."""

MASK: Final = "***"
DIGEST_BYTES: Final = 16

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_PLAIN_LINE: Final = re.compile(rb"(event|id|retry):[ ]?[\w.:-]{0,128}")
"""Lines of an event that are kept beside its data; comments are not: they could hold anything."""


class Redactor:
    """One plan's redaction. `key`: the secret of the digests; equal values have equal digests under one key.

    Raises ValueError for digests without a key.
    """

    def __init__(self, record: Redaction, key: bytes) -> None:
        if record.digest and not key:
            raise ValueError("record.digest needs a key: without one its digests could be guessed")
        self._key = key
        ways: tuple[tuple[tuple[Selector, ...], Change], ...] = (
            (record.mask, lambda _: MASK),
            (record.digest, self._digest),
            (record.drop, None),  # last: an index of a pointer counts the elements as they came
        )
        self._body = [(each.name, way) for selectors, way in ways for each in selectors if each.where == "body"]
        self._named: dict[str, dict[str, Change]] = {
            # the first way counts no more than the last: what is dropped is gone, however else it is named
            where: {each.name: way for selectors, way in ways for each in selectors if each.where == where}
            for where in ("header", "query")
        }

    def __bool__(self) -> bool:
        return bool(self._body or any(self._named.values()))

    def request(self, target: str, headers: Headers, body: bytes) -> tuple[str, Headers, bytes | None]:
        """Target, headers and body as the log may hold them; body None: it is left out."""
        headers, content = self._message(headers, body)
        return self._target(target), headers, content

    def answer(self, headers: Headers, body: bytes) -> tuple[Headers, bytes | None]:
        """Headers and body as the log may hold them; body None: it is left out."""
        return self._message(headers, body)

    def _message(self, headers: Headers, body: bytes) -> tuple[Headers, bytes | None]:
        content: bytes | None = body
        if self._body and body:
            try:
                content = self._content(decoded(body, headers), _is_events(headers))
            except (Unreadable, RecursionError):
                content = None
            if content is not None:
                headers = tuple([each for each in headers if each[0] != "content-encoding"])
        if self._named["header"]:
            headers = tuple(self._pairs(headers))
        return headers, content

    def _pairs(self, headers: Headers) -> Iterable[tuple[str, str]]:
        ways = self._named["header"]
        for name, value in headers:
            if name.lower() not in ways:
                yield name, value
            elif (way := ways[name.lower()]) is not None:
                yield name, way(value)

    def _target(self, target: str) -> str:
        ways = self._named["query"]
        path, mark, query = target.partition("?")
        if not ways or not mark:
            return target
        kept = []
        for part in query.split("&"):
            name, equals, value = part.partition("=")
            if (key := unquote_plus(name)) not in ways:
                kept.append(part)
            elif (way := ways[key]) is not None:
                kept.append(f"{name}={way(unquote_plus(value))}" if equals else name)
        return path + mark + "&".join(kept) if kept else path

    # bodies ----------------------------------------------------------------------------------------------------------

    def _content(self, body: bytes, events: bool) -> bytes | None:
        if not events:
            return self._json(body)
        lines = [self._line(line) for line in _LINE_END.split(body.removeprefix(b"\xef\xbb\xbf"))]
        return b"\n".join([line for line in lines if line is not None])

    def _line(self, line: bytes) -> bytes | None:
        """A line of an event stream; None: it is not kept.

        Raises Unreadable when it is data that cannot be searched.
        """
        name, _, value = line.partition(b":")
        data = value.removeprefix(b" ")
        if name != b"data":
            return line if not line or _PLAIN_LINE.fullmatch(line) else None
        if data in {b"", b"[DONE]"}:
            return line
        content = self._json(data)
        return None if content is None else b"data: " + content

    def _json(self, body: bytes) -> bytes | None:
        document = edit.read(body, lenient=True)
        gone: list[edit.Place] = []
        for pointer, way in self._body:
            if not pointer:
                if way is None:
                    return None
                document = way(document)
            found = edit.places(document, pointer)
            if way is None:
                gone += found
                continue
            for container, key in found:
                container[key] = way(container[key])
        edit.remove(gone)
        return edit.written(document)

    def _digest(self, value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
        """Keyed, of the canonical text; of the compact text where there is none (NaN)."""
        content = edit.written(value)
        with suppress(ValueError, RecursionError):
            content = canonical(parsed(content)).encode()
        return blake2b(content, key=self._key, digest_size=DIGEST_BYTES).hexdigest()


def _is_events(headers: Headers) -> bool:
    return any(name == "content-type" and value.lower().startswith("text/event-stream") for name, value in headers)
