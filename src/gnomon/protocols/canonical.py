"""The one text of a JSON value: RFC 8785, and the text by which people name it."""

from json.encoder import encode_basestring
from typing import Any

import rfc8785

from gnomon.ports import WrongShape


def canonical(value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
    """The value as canonical JSON (RFC 8785): equal values have equal texts; 1.0 is 1, keys are sorted.

    Integers from 2^53 on, which RFC 8785 refuses, keep their digits, so that two long ids never become equal.
    Raises WrongShape for NaN, infinities and what is no JSON value.
    """
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if value is None or kind is bool:
        return "null" if value is None else ("true" if value else "false")
    if kind is int:
        return str(value)
    if kind is float:
        return _number(value)
    if kind is list or kind is tuple:
        return "[" + ",".join([canonical(item) for item in value]) + "]"
    if kind is dict:
        items = sorted(value.items(), key=_utf16)
        return "{" + ",".join([f"{encode_basestring(key)}:{canonical(item)}" for key, item in items]) + "}"
    raise WrongShape(f"{kind.__name__} is no JSON value")


def text(value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
    """The text by which a value is matched and joined: a string is itself, everything else its canonical JSON.

    So the number 7, the string "7" and the header `7` are the same; true is `true`, 1.0 is `1`.
    """
    return value if type(value) is str else canonical(value)


def _utf16(item: tuple[str, Any]) -> bytes:
    """RFC 8785 sorts keys by their UTF-16 code units."""
    return item[0].encode("utf-16-be")


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    try:
        return rfc8785.dumps(value).decode()
    except rfc8785.FloatDomainError as error:
        raise WrongShape(f"{value} is no JSON number") from error
