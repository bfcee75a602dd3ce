"""The text of a value in a request, as strata and sticky keys read it."""

from typing import Final

from gnomon.ports import MISSING, ReadError
from gnomon.protocols.canonical import text
from gnomon.protocols.json import of_head
from gnomon.protocols.message import at, parsed
from gnomon.records.frames import Request
from gnomon.records.plan import Selector

LIMIT: Final = 64 * 1024
"""Bytes of a body up to which a value is read in it: a larger one would hold up the others."""


def value_of(selector: Selector, request: Request) -> str | None:
    """The text of a value in a request; None: it has none, or one that is not read here."""
    try:
        if selector.where == "body":
            if len(request.body) > LIMIT or _coded(request):
                return None
            value = at(parsed(request.body), selector.name)
        else:
            value = of_head(selector, request)
        return None if value is MISSING or value is None else text(value)
    except (ReadError, RecursionError):
        return None


def _coded(request: Request) -> bool:
    return any(
        name == "content-encoding" and value.strip().lower() not in {"", "identity"} for name, value in request.headers
    )
