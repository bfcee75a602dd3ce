"""Labels: named values of an output, as the log holds them (canonical JSON text) and as people write them."""

import json
from typing import NoReturn

import rfc8785


def texts(key: str) -> tuple[str, ...]:
    """The values that a key of a mapping stands for: the text itself, and what it is as JSON (`7`, `true`).

    Keys are text in every plan, and answers may be numbers: 7, 7.0 and "7" are all meant by 7, as in strata.
    """
    as_text = _canonical(key)
    try:
        value = json.loads(key, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return (as_text,)
    if not isinstance(value, bool | int | float) or abs(value) > 2**53 - 1:
        return (as_text,)
    return as_text, _canonical(value)


def show(label: str) -> str:
    """A value for people: text without its quotes."""
    value = json.loads(label)
    return value if isinstance(value, str) else label


def _no_constant(text: str) -> NoReturn:
    """NaN and Infinity are Python's, and no JSON."""
    raise ValueError(text)


def _canonical(value: str | float) -> str:
    return bytes(rfc8785.dumps(value)).decode()
