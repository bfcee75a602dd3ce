"""Headers: which a copy may carry, and which may be set anew for the candidate."""

import re
from typing import Final

from gnomon.plan.selectors import HEADER, NEVER_CAPTURED
from gnomon.plan.units import UnitError, shown

OF_THE_CONNECTION: Final = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "upgrade", "expect",
    }
)  # fmt: skip
"""Headers that each connection has of its own."""

OF_THE_BODY: Final = frozenset({"content-encoding", "inference-header-content-length"})
"""Headers without which the body's bytes cannot be read, and the body stays as the client wrote it."""

OF_THE_GATEWAY: Final = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "traceparent"}
)
"""Headers that the gateway itself writes anew for each request."""

_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,998}[!-~])?")


def carried(value: object) -> str:
    """A header that a copy may carry besides those that every copy carries, in lower case.

    Raises UnitError.
    """
    lower = _named(value)
    if _is_of(lower, NEVER_CAPTURED):
        do = "take it out; authorization_env names an arm's own credentials"
        raise UnitError(f"names {lower}, which is never captured", do)
    if _is_of(lower, OF_THE_CONNECTION):
        raise UnitError(f"names {lower}, which belongs to the connection: each arm has its own", "take it out")
    return lower


def rewritten(value: object) -> str:
    """A header that may be set anew for the candidate, in lower case.

    `content-type` may: it moves no boundary of the message, and a server that wants it spelled otherwise is a reason.

    Raises UnitError.
    """
    lower = _named(value)
    reasons = {
        "is a credential": (NEVER_CAPTURED, "take it out; candidate.authorization_env names the candidate's own"),
        "belongs to the connection, and each arm has its own": (OF_THE_CONNECTION, "take it out"),
        "says how the body's bytes are read, and they stay as they are": (OF_THE_BODY, "take it out"),
        "is written anew by the gateway for each request": (OF_THE_GATEWAY, "take it out"),
    }
    for reason, (names, do) in reasons.items():
        if _is_of(lower, names):
            raise UnitError(f"{reason}: found {shown(lower)}", do)
    return lower


def _is_of(lower: str, names: frozenset[str]) -> bool:
    """CGI and WSGI know X_Forwarded_For and X-Forwarded-For by one name (RFC 3875, 4.1.18)."""
    return lower in names or lower.replace("_", "-") in names


def _named(value: object) -> str:
    lower = value.lower() if isinstance(value, str) else ""
    if not HEADER.fullmatch(lower):
        raise UnitError(f"names no header: found {shown(value)}", "write a header's name, such as x-tenant")
    if lower.replace("_", "-").startswith("x-gnomon-"):
        raise UnitError(f"names {lower}, which is removed from every request", "take it out")
    return lower


def value(found: object) -> str:
    """What a header may be set to.

    Raises UnitError.
    """
    if isinstance(found, bool | int | float):
        raise UnitError(f"must be text, found {shown(found)}", "put it in quotes")
    if not isinstance(found, str) or not _VALUE.fullmatch(found):
        raise UnitError(
            f"is not a header's value: found {shown(found)}",
            "write 1 to 1,000 printable ASCII characters, without a space at either end",
        )
    return found
