"""What is known of exchanges: in the gateways' trails, in the inbox, in the log."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gnomon.errors import GnomonError, IntegrityError
from gnomon.log import read
from gnomon.plan import load
from gnomon.records.frames import Request
from gnomon.records.plan import Selector
from gnomon.records.trail import TrailEntry, read_all
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.shadow import peek
from gnomon.shadow.inbox import path_of
from gnomon.shadow.peek import Waiting
from gnomon.state import State

_ID: Final = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one exchange."""

    trail: TrailEntry | None = None
    waiting: Waiting | None = None
    comparison: dict[str, Any] | None = None
    """Its row of the log's `comparisons`."""
    exchange: dict[str, Any] | None = None
    """Its row of the log's `exchanges`."""


def exchange_id(text: str) -> bytes:
    """The 16 bytes of an exchange id: 32 hex digits, or a UUID with dashes.

    Raises GnomonError when it is none.
    """
    wanted = text.strip().lower()
    if not _ID.fullmatch(wanted):
        raise GnomonError(
            f"{text[:80]!r} is no exchange id: write its 32 hex digits (with or without dashes), as the answer's "
            "x-gnomon-id says them"
        )
    found = bytes.fromhex(wanted.replace("-", ""))
    if found[6] >> 4 != 7 or found[8] >> 6 != 2:
        raise GnomonError(f"{text} is no exchange id: they are UUIDs of version 7; see the answer's x-gnomon-id")
    return found


def known(settings: Settings, trial: Trial, ids: Sequence[bytes]) -> dict[bytes, Known]:
    """What is known of each of these.

    Read in the order in which an exchange moves, so that one that moves meanwhile is seen in one place at least.
    Raises IntegrityError when the log cannot be read, GnomonError when the inbox cannot.
    """
    trails = read_all(settings.trial_dir(trial.id) / "counters")
    waiting = _inbox(settings, trial, ids)
    names = [each.hex() for each in ids]
    log_url = settings.log_url(trial.id)
    # `exchanges` is written first, so it is read last: a comparison without its exchange is then not on its way
    comparisons = {row["id"]: row for row in read.rows_of(log_url, "comparisons", names)}
    exchanges = {row["id"]: row for row in read.rows_of(log_url, "exchanges", names)}
    return {
        each: Known(trails.get(each), waiting.get(each), comparisons.get(each.hex()), exchanges.get(each.hex()))
        for each in ids
    }


def request_of(exchange: dict[str, Any]) -> Request | None:
    """The request of a row of `exchanges`; None: its body has left the log.

    Raises IntegrityError when the row is damaged.
    """
    if exchange["request_body"] is None:
        return None
    try:
        headers = tuple((str(name), str(value)) for name, value in json.loads(exchange["request_headers"]))
        id_ = bytes.fromhex(exchange["id"])
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"the row of {exchange['id']} in the log was changed: {error}") from error
    return Request(
        id=id_,
        time_us=exchange["time_us"],
        method=exchange["method"],
        target=exchange["target"],
        headers=headers,
        body=exchange["request_body"],
        route="",
        stratum=exchange["stratum"],
        probability=exchange["probability"],
        epoch=exchange["epoch"],
        serving="production",
    )


def redacted(state: State, trial: Trial) -> frozenset[Selector]:
    """Every place that was kept out of the log at some time of the trial: what `record` says is not sealed."""
    documents = [json.loads(trial.document)]
    for row in state.operations(trial.id):
        record = row.settings.get("record")
        documents.append({**documents[0], "record": record} if record else {})
    plans = [load.from_document(each, sealed=True) for each in documents if each]
    return frozenset(
        selector
        for plan in plans
        for ways in (plan.record.drop, plan.record.mask, plan.record.digest)
        for selector in ways
    )


def _inbox(settings: Settings, trial: Trial, ids: Sequence[bytes]) -> dict[bytes, Waiting]:
    path = path_of(settings.inbox_url(trial.id))
    try:
        return peek.waiting(path, ids)
    except sqlite3.Error as error:
        raise GnomonError(f"the inbox {path} cannot be read: {error}") from error
