"""Selectors: `body:/label`, `header:x-country`, `output:predict`. Where a value stands in a request or an answer."""

import re
from collections.abc import Callable, Sequence
from typing import Final, get_args

from gnomon.plan.units import UnitError, shown
from gnomon.records.plan import Selector, Where

REQUEST: Final = ("body", "header", "query", "path", "input", "parameter")
"""Places of a request. Segments, cluster and truth key come from the request alone."""

ANSWER: Final = ("body", "output", "parameter")
"""Places of an answer."""

OPEN_INFERENCE_ONLY: Final = ("input", "output", "parameter")

SAMPLED: Final = ("path", "query", "header", "body")
"""Places that the gateway reads before it tosses a request's coin."""

GUARDED: Final = ("body", "header", "query")
REDACTED: Final = ("body", "header", "query")

NEVER_CAPTURED: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})

ANY: Final = None
"""A token that stands for every member and every element."""

_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_DO: Final = "write place and name, such as body:/country, header:x-country, query:lang"


def selector(value: object) -> Selector:
    """The text of a selector, checked.

    Raises UnitError.
    """
    if not isinstance(value, str):
        raise UnitError(f"is not a selector: found {shown(value)}", _DO)
    where, colon, name = value.partition(":")
    if not colon or where not in get_args(Where):
        raise UnitError(f"is not a selector: found {shown(value)}", f"{_DO}; places: {', '.join(get_args(Where))}")
    if not name.isprintable():
        raise UnitError(f"holds a control character: found {shown(value)}", "take it out")
    return Selector(where=where, name=_NAMES[where](name))  # type: ignore[arg-type]  # is one of Where, checked above


def pointer(value: object) -> str:
    """A JSON pointer (RFC 6901). The empty one is the whole document.

    Raises UnitError.
    """
    if not isinstance(value, str) or not _POINTER.fullmatch(value):
        raise UnitError(
            f"is not a JSON pointer: found {shown(value)}",
            "begin with a slash, such as /label or /result/0/score (RFC 6901: ~1 stands for /, ~0 for ~)",
        )
    return value


def only(places: Sequence[Where], noun: str) -> Callable[[object], Selector]:
    """A parser of selectors of these places alone; `noun` is who reads there, for the message."""

    def parse(value: object) -> Selector:
        found = selector(value)
        if found.where not in places:
            raise UnitError(f"reads {found.where}, where {noun} does not look", f"take one of {', '.join(places)}")
        return found

    return parse


def redacted(value: object) -> Selector:
    """What the log does not hold: a selector in whose pointer the token `*` stands for every member or element.

    Raises UnitError.
    """
    where, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if where == "header" and name.lower() in NEVER_CAPTURED:
        raise UnitError(f"names {name.lower()}, which is never captured in the first place", "take it out")
    return only(REDACTED, "redaction")(value)


def overlap(redaction: Selector, of: Selector, *, batch: bool = False) -> bool:
    """Whether what `redaction` takes out of a message is, holds or is a part of what `of` reads.

    In the plan of a `batch`, a `*` in `of` stands for every position.
    """
    if redaction.where in {"header", "query"} or of.where in {"header", "query", "path"}:
        return (redaction.where, redaction.name) == (of.where, of.name)
    read = _read(of)
    return meet(_with_any(tokens(redaction.name)), _with_any(read) if batch else read)


def meet(one: Sequence[str | None], other: Sequence[str | None]) -> bool:
    """Whether two places of a JSON value are the same or one is inside of the other."""
    return all(a is ANY or b is ANY or a == b for a, b in zip(one, other, strict=False))


def _with_any(parts: Sequence[str | None]) -> list[str | None]:
    return [ANY if part == "*" else part for part in parts]


def tokens(pointer: str) -> list[str]:
    """The parts of a JSON pointer as they are written. `~0` and `~1` have one spelling, so equal parts are equal."""
    return pointer.split("/")[1:]


def _read(of: Selector) -> list[str | None]:
    """Where in the body a selector reads: tensors stand in a list, in any order."""
    if of.where in {"input", "output"}:
        return [f"{of.where}s", ANY, "data"]
    if of.where == "parameter":
        return ["parameters", of.name.replace("~", "~0").replace("/", "~1")]
    return [*tokens(of.name)]


def _header(name: str) -> str:
    lower = name.lower()
    if not HEADER.fullmatch(lower):
        raise UnitError(f"names no header: found {shown(name)}", "write a header's name, such as header:x-country")
    if lower in NEVER_CAPTURED:
        raise UnitError(f"reads {lower}, which is never captured", "take another header, or a field of the body")
    if lower.startswith("x-gnomon-"):
        raise UnitError(f"reads {lower}, which is removed from every request", "take another header")
    return lower


def _position(name: str) -> str:
    if not _INDEX.fullmatch(name):
        raise UnitError(
            f"is not a position in the path: found {shown(name)}",
            "count the parts from 0: path:1 of /v2/models is models",
        )
    return name


def _any_name(name: str) -> str:
    if not name:
        raise UnitError("names nothing after the colon", _DO)
    return name


_NAMES: Final[dict[str, Callable[[str], str]]] = {
    "body": pointer,
    "header": _header,
    "query": _any_name,
    "path": _position,
    "input": _any_name,
    "output": _any_name,
    "parameter": _any_name,
}
