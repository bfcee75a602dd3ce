"""Batches: finished exchanges become rows of `exchanges` and `comparisons`; a batch appended again adds nothing."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from gnomon.log import tables
from gnomon.log.append import append
from gnomon.records.frames import Answer, Exchange, Request
from gnomon.records.plan import Plan

Row = list[Any]
"""One value for each column of `comparisons`."""


class Result(msgspec.Struct, frozen=True, array_like=True):
    """How an exchange ended, as the inbox holds it: what the log will say must not change across a restart."""

    answer: Answer | None
    """The candidate's; None: expired."""
    row: Row


class Item(msgspec.Struct, frozen=True):
    """One finished exchange on its way to the log."""

    place: int
    seq: int
    request: Request
    answer: Answer
    result: Result


_frames: Final = msgspec.msgpack.Decoder(Exchange)
_results: Final = msgspec.msgpack.Decoder(Result)


def item(place: int, seq: int, frame: bytes, result: bytes) -> Item:
    """An exchange as the inbox held it."""
    exchange = _frames.decode(frame)
    return Item(place, seq, exchange.request, exchange.answer, _results.decode(result))


class Batches:
    """Appends batches of one inbox to one log."""

    def __init__(self, plan: Plan, log_url: str, *, identity: str) -> None:
        self._plan = plan
        self._log_url = log_url
        self._application = f"runner {identity}"
        self._comparisons = tables.comparisons(plan)
        names = self._comparisons.names
        self._state, self._epoch = names.index("state"), names.index("epoch")
        self._production, self._candidate = names.index("production_outcome"), names.index("candidate_outcome")

    def append(self, number: int, items: Sequence[Item]) -> None:
        """Append batch `number` to both tables, `exchanges` first: a comparison never stands without its exchange.

        Raises OSError or deltalake's DeltaError; then it is safe to call again.
        """
        rows = {"exchanges": self._exchange_rows(items), "comparisons": self._comparison_rows(items)}
        for table, content in rows.items():
            append(self._log_url, table, content, application=self._application, number=number)

    def states(self, items: Sequence[Item]) -> dict[tuple[int, str], int]:
        """How many ended how, by epoch and state."""
        counts: dict[tuple[int, str], int] = {}
        for each in items:
            key = (each.result.row[self._epoch], each.result.row[self._state])
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _comparison_rows(self, items: Sequence[Item]) -> pa.Table:
        columns = zip(*(each.result.row for each in items), strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._comparisons, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._comparisons)

    def _exchange_rows(self, items: Sequence[Item]) -> pa.Table:
        requests = [each.request for each in items]
        answers = [each.answer for each in items]
        shadows = [each.result.answer for each in items]
        rows = [each.result.row for each in items]
        versions = {"production": self._plan.production.version, "candidate": self._plan.candidate.version}
        other = {"production": versions["candidate"], "candidate": versions["production"]}
        columns: dict[str, list[Any]] = {
            "id": [each.id.hex() for each in requests],
            "time_us": [each.time_us for each in requests],
            "epoch": [each.epoch for each in requests],
            "source": ["http"] * len(items),
            "stratum": [each.stratum for each in requests],
            "probability": [each.probability for each in requests],
            "method": [each.method for each in requests],
            "target": [each.target for each in requests],
            "request_headers": _headers([each.headers for each in requests]),
            "request_body": [each.body for each in requests],
            "production_version": [versions[each.serving] for each in requests],
            "production_outcome": [row[self._production] for row in rows],
            "production_status": [each.status for each in answers],
            "production_headers": _headers([each.headers for each in answers]),
            "production_body": [each.body for each in answers],
            "production_latency_us": [each.latency_us for each in answers],
            "candidate_version": [other[each.serving] for each in requests],
            "candidate_outcome": [row[self._candidate] for row in rows],
            "candidate_status": [None if each is None else each.status for each in shadows],
            "candidate_headers": _headers([None if each is None else each.headers for each in shadows]),
            "candidate_body": [None if each is None else each.body for each in shadows],
            "candidate_latency_us": [None if each is None else each.latency_us for each in shadows],
            "absent": ["expired" if each is None else None for each in shadows],
            "rewritten": ["{}"] * len(items),
        }
        return pa.Table.from_pydict(columns, schema=tables.EXCHANGES)


def _headers(lists: Sequence[tuple[tuple[str, str], ...] | None]) -> list[str | None]:
    """Each as a JSON list of [name, value]. Most exchanges carry the same few, so each text is made once."""
    made: dict[tuple[tuple[str, str], ...] | None, str | None] = {None: None}
    for each in lists:
        if each not in made:
            made[each] = json.dumps(each, ensure_ascii=False)
    return [made[each] for each in lists]
