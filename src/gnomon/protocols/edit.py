"""JSON that is changed: read, edited at JSON pointers, written as compact JSON. Numbers keep their digits.

Of a key that stands twice in an object the last one is read, and only that one is written: what is edited is what a
reader sees, and nothing stands beside it.
"""

import json
from typing import Any, Final

import msgspec

from gnomon.ports import Unreadable
from gnomon.protocols.message import is_index, tokens

_strict: Final = msgspec.json.Decoder(float_hook=msgspec.Raw)  # a float is written as it was read: 1.10, 1E400
_encode: Final = msgspec.json.Encoder().encode

Place = tuple[Any, Any]
"""A member or element: its container (an object or an array), and its key or index."""


class Unreachable(ValueError):
    """A pointer leads through something that is neither object nor array, or to an element that is not there."""


def read(body: bytes, *, lenient: bool = False) -> Any:  # noqa: ANN401  whatever JSON can hold
    """The document of a body, to be edited. `lenient`: NaN, Infinity and a byte order mark pass, and stay NaN.

    Raises Unreadable, without a word of the body.
    """
    try:
        return _strict.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        if not lenient:
            raise Unreadable("the body is not JSON") from error
    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=_as_is, parse_constant=_as_is)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is not JSON") from error


def written(document: Any) -> bytes:  # noqa: ANN401  whatever JSON can hold
    """A document as compact JSON.

    Raises Unreadable for half a surrogate pair and for what is nested too deeply.
    """
    try:
        return _encode(document)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body cannot be written as JSON") from error


def _as_is(text: str) -> msgspec.Raw:
    return msgspec.Raw(text)


def put(document: Any, pointer: str, value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    """The document with `value` at the pointer; it is changed in place, objects on the way are made.

    Raises Unreachable.
    """
    *way, last = ["", *tokens(pointer)]
    if not way:
        return value
    container = document
    for token in way[1:]:
        container = container.setdefault(token, {}) if type(container) is dict else _element(container, token)
    if type(container) is dict:
        container[last] = value
    else:
        _element(container, last)
        container[int(last)] = value
    return document


def _element(container: Any, token: str) -> Any:  # noqa: ANN401  whatever JSON can hold
    if type(container) is not list:
        raise Unreachable(f"{token!r} is looked for in something that is neither an object nor an array")
    if not is_index(token) or int(token) >= len(container):
        raise Unreachable(f"the array has no element {token!r}")
    return container[int(token)]


def places(document: Any, pointer: str) -> list[Place]:  # noqa: ANN401  whatever JSON can hold
    """Every place that a pointer names; `*` in it is every member or element. The whole document is no place."""
    *way, last = ["", *tokens(pointer)]
    found = [document]
    for token in way[1:]:
        found = [container[key] for each in found for container, key in _named(each, token)]
    return [place for each in found for place in _named(each, last)] if way else []


def _named(container: Any, token: str) -> list[Place]:  # noqa: ANN401  whatever JSON can hold
    if type(container) is dict:
        keys = list(container) if token == "*" else [token]  # noqa: S105  a pointer's token
        return [(container, key) for key in keys if key in container]
    if type(container) is list:
        if token == "*":  # noqa: S105  a pointer's token
            return [(container, index) for index in range(len(container))]
        return [(container, int(token))] if is_index(token) and int(token) < len(container) else []
    return []


def remove(found: list[Place]) -> None:
    """Take members and elements out of their containers, whatever the order in which they are named."""
    elements: dict[int, tuple[list[Any], set[int]]] = {}
    for container, key in found:
        if type(container) is dict:
            container.pop(key, None)
        else:
            elements.setdefault(id(container), (container, set()))[1].add(key)
    for held, indexes in elements.values():
        held[:] = [value for index, value in enumerate(held) if index not in indexes]
