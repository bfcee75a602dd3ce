"""Identity: which model answers behind an arm's address, asked at the start and every minute (statistics.md, 0b.7).

Promises  a model that is exchanged is noticed at the next reading, and said; a reading that fails is no change, takes
          no longer than its patience, and ends nothing
"""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import rfc8785

from gnomon import clock
from gnomon.errors import GnomonError
from gnomon.records.facts import Reading
from gnomon.records.plan import Arm, ArmName, Identity, Plan
from gnomon.state import State
from gnomon.state.sealing import canonical, digest_of
from gnomon.tls import trusting

PATIENCE_S: Final = 5.0
EVERY_S: Final = 60.0
LIMIT: Final = 4 << 20
"""Bytes of an answer. A longer one names no model."""
SHOWN: Final = 120
"""Characters for people."""
VOLATILE: Final = frozenset({"created", "created_at", "permission", "uptime", "timestamp", "now"})
"""Members that change by themselves: servers that make their answer anew fill in the time of the request."""
ACTOR: Final = "gnomon serve"
"""Who reads, for the audit chain."""


def read(arm: Arm, *, ca_file: Path | None, patience_s: float = PATIENCE_S) -> tuple[str, str] | None:
    """(SHA-256 of what the model says it is, the same for people); None: it cannot be known now.

    It cannot when no identity is declared, the arm's Authorization is not set, it does not answer within `patience_s`,
    answers with another status than 200, without the header, or with more than `LIMIT` bytes.
    """
    if arm.identity is None or (arm.authorization_env and arm.authorization_env not in os.environ):
        return None
    connection = _connection(arm, ca_file, patience_s)
    if connection is None:
        return None
    found: list[tuple[str, str] | None] = []
    opened: list[socket.socket] = []

    def ask(identity: Identity) -> None:
        # ValueError: an Authorization that no header can hold
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError), contextlib.closing(connection):
            connection.connect()
            opened.append(connection.sock)
            found.append(_asked(connection, arm, identity))

    # A timeout of the socket alone is none: a name may resolve for ever, a server may drip.
    thread = threading.Thread(target=ask, args=(arm.identity,), daemon=True, name="identity")
    thread.start()
    thread.join(patience_s)
    answer = found[0] if found else None  # before what is cut off below could pass for one
    if thread.is_alive() and opened:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(opened[0], socket.SHUT_RDWR)  # not TLS's own, whose reader would stumble
    return answer


async def watch(
    plan: Plan,
    trial_id: str,
    open_state: Callable[[], contextlib.AbstractContextManager[State]],
    *,
    every_s: float = EVERY_S,
    ca_file: Path | None,
    say: Callable[[str], None],
) -> None:
    """Read both arms now and every `every_s` seconds, until cancelled; an arm without a declared identity never.

    Keeps the first reading of each and every change, through the state that `open_state` gives, and says changes.
    """
    arms: tuple[tuple[ArmName, Arm], ...] = (("production", plan.production), ("candidate", plan.candidate))
    declared = [(name, arm) for name, arm in arms if arm.identity is not None]
    complaints: dict[ArmName, str] = {}

    def look(name: ArmName, arm: Arm) -> None:
        complaint = ""
        try:
            _look(trial_id, name, arm, open_state, ca_file=ca_file, say=say)
        except GnomonError as error:
            complaint = f"{name}: {error}; asking again every {every_s:g} s"
        if complaint and complaint != complaints.get(name):
            say(complaint)
        complaints[name] = complaint

    while declared:
        await asyncio.gather(*(asyncio.to_thread(look, name, arm) for name, arm in declared))
        await asyncio.sleep(every_s)


def _look(
    trial_id: str,
    name: ArmName,
    arm: Arm,
    open_state: Callable[[], contextlib.AbstractContextManager[State]],
    *,
    ca_file: Path | None,
    say: Callable[[str], None],
) -> None:
    """Read one arm and keep what is new. Raises GnomonError with what cannot be done now."""
    found = read(arm, ca_file=ca_file)
    if found is None:
        at = arm.identity.path if arm.identity else ""
        raise GnomonError(f"which model it is, cannot be read from GET {at} of {arm.url}")
    digest, shown = found
    reading = Reading(arm=name, time_us=clock.now_us(), digest=digest, shown=shown)
    with open_state() as state:
        before = state.record_identity(trial_id, reading, actor=ACTOR)
    if before is not None:
        say(f"{name} changed its identity: was {before.shown}, is {shown}; the trial is invalid")


def _connection(arm: Arm, ca_file: Path | None, patience_s: float) -> http.client.HTTPConnection | None:
    parts = urlsplit(arm.url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=patience_s)
    try:
        context = trusting(ca_file)
    except OSError:
        return None  # the file is being replaced; the next reading finds it
    return http.client.HTTPSConnection(host, parts.port, timeout=patience_s, context=context)


def _asked(connection: http.client.HTTPConnection, arm: Arm, identity: Identity) -> tuple[str, str] | None:
    headers = {"x-gnomon-shadow": "1", "accept": "application/json, */*;q=0.5"}
    if arm.authorization_env:
        headers["authorization"] = os.environ[arm.authorization_env]
    connection.request("GET", identity.path, headers=headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        return None
    if identity.header is not None:
        value = answer.getheader(identity.header)
        return None if value is None else named(value.strip().encode("latin-1", "replace"))
    body = answer.read(LIMIT + 1)
    # A body that was cut short raises only where its length was said and all of it was asked for.
    if len(body) > LIMIT or answer.length:
        return None
    lasting = lasting_json(body)
    if lasting is None and "json" in answer.getheader("content-type", ""):
        return None  # cut short, in a way that HTTP cannot tell
    return named(body if lasting is None else lasting)


def named(content: bytes) -> tuple[str, str]:
    """Digest and short text of what a model said."""
    digest = digest_of(content)
    text = "".join(each if each.isprintable() else " " for each in content.decode("utf-8", "replace")).strip()
    if len(text) > SHOWN:  # two long ones that differ near their end are still told apart
        text = f"{text[: SHOWN - 14]}... ({digest[:8]})"
    return digest, text


def lasting_json(body: bytes) -> bytes | None:
    """JSON without what changes by itself, in the one way of writing it; None: it is none."""
    try:
        return _canonical(_lasting(json.loads(body)))
    except (ValueError, RecursionError):
        return None


def _lasting(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    """The value without its volatile members, at any depth; the models of a list sorted by their ids."""
    if isinstance(value, list):
        return [_lasting(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _lasting(each) for name, each in value.items() if name not in VOLATILE}
    if kept.get("object") == "list" and isinstance(kept.get("data"), list):
        kept["data"] = sorted(kept["data"], key=lambda each: (_id(each), _canonical(each)))
    return kept


def _id(item: object) -> str:
    return str(item.get("id", "")) if isinstance(item, dict) else ""


def _canonical(value: Any) -> bytes:  # noqa: ANN401  whatever JSON holds
    try:
        return canonical(value)
    except (rfc8785.CanonicalizationError, UnicodeError):  # integers over 2**53, NaN, half a surrogate pair
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
