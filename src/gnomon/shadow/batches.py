"""Batches: finished exchanges become rows of `exchanges` and `comparisons`; a batch appended again adds nothing.

Both tables of a batch are made before anything is appended, so that a row that no table can hold is found in time: its
answers count as unreadable if that makes it fit, else it is given back, to be set aside.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from gnomon.log import tables
from gnomon.log.append import append
from gnomon.protocols.redact import Redactor
from gnomon.records.frames import Answer, Exchange, Request
from gnomon.records.plan import Plan
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow.faults import named
from gnomon.shadow.prepare import PROBE, UNTOUCHED

Row = list[Any]
"""One value for each column of `comparisons`."""
Headers = tuple[tuple[str, str], ...]


class Result(msgspec.Struct, frozen=True, array_like=True):
    """How an exchange ended, as the inbox holds it: what the log will say must not change across a restart."""

    answer: Answer | None
    """The candidate's; None: it was not called."""
    row: Row
    rewritten: str = UNTOUCHED
    more: list[Row] = []
    """Rows of the further instances, where an exchange is a batch of them. They begin like the first."""


class Item(msgspec.Struct, frozen=True):
    """One finished exchange on its way to the log."""

    place: int
    seq: int
    request: Request
    answer: Answer
    result: Result


@dataclass(frozen=True, slots=True)
class Batch:
    """What can be appended, and what never can."""

    items: list[Item]
    """All of a batch but `bad`, as they came."""
    tables: dict[str, pa.Table]
    """In the order in which they are appended; none when there are no items."""
    bad: list[tuple[Item, str]]
    """With the reason, in which no content is quoted."""


class Unloggable(Exception):
    """A column that cannot hold one of its values."""


_frames: Final = msgspec.msgpack.Decoder(Exchange)
_results: Final = msgspec.msgpack.Decoder(Result)


def item(place: int, seq: int, frame: bytes, result: bytes) -> Item:
    """An exchange as the inbox held it."""
    exchange = _frames.decode(frame)
    return Item(place, seq, exchange.request, exchange.answer, _results.decode(result))


class Batches:
    """Appends batches of one inbox to one log."""

    def __init__(self, plan: Plan, log_url: str, *, identity: str, redactor: Redactor) -> None:
        self._plan = plan
        self._log_url = log_url
        self._application = f"runner {identity}"
        self._redactor = redactor
        self._comparisons = tables.comparisons(plan)
        names = self._comparisons.names
        self._state, self._epoch = names.index("state"), names.index("epoch")
        self._outcomes = (names.index("production_outcome"), names.index("candidate_outcome"))
        outputs = [tables.output_columns(output.name) for output in plan.outputs]
        self._values = [[names.index(columns[arm]) for columns in outputs] for arm in (0, 1)]
        self._agree = [names.index(columns[2]) for columns in outputs]
        named = (tables.twin_column(output.name) for output in plan.outputs if plan.fork.twin)
        self._of_twin = [names.index(name) for name in named]
        self._customs = [names.index(tables.custom_column(number)) for number in range(len(plan.customs))]
        self._several = plan.unit.instances is not None

    def make(self, items: Sequence[Item]) -> Batch:
        """The rows of a batch: the same ones whenever they are made."""
        try:
            return Batch(list(items), self._tables(items), [])
        except Exception:  # noqa: BLE001  whatever it is, it would come again with every try
            sound, bad = self._sound(items)
        return Batch([each for each, _ in sound], self._tables([fit for _, fit in sound]), bad)

    def append(self, number: int, batch: Batch) -> None:
        """Append batch `number` to both tables, `exchanges` first: a comparison never stands without its exchange.

        Raises OSError or deltalake's DeltaError; then it is safe to call again.
        """
        for table, content in batch.tables.items():
            append(self._log_url, table, content, application=self._application, number=number)

    def states(self, items: Sequence[Item]) -> dict[tuple[int, str], int]:
        """How many ended how, by epoch and state."""
        counts: dict[tuple[int, str], int] = {}
        for each in items:
            key = (each.result.row[self._epoch], each.result.row[self._state])
            counts[key] = counts.get(key, 0) + 1
        return counts

    # what fits -------------------------------------------------------------------------------------------------------

    def _sound(self, items: Sequence[Item]) -> tuple[list[tuple[Item, Item]], list[tuple[Item, str]]]:
        """What fits into the tables, each with the form in which it does; what does not, each with the reason.

        By halves: one bad row among thousands is found with few tries.
        """
        try:
            self._tables(items)
        except Exception as error:  # noqa: BLE001  as in `make`
            reason = str(error) if isinstance(error, Unloggable) else named(error)
        else:
            return [(each, each) for each in items], []
        if len(items) == 1:
            return self._fitted(items[0], reason)
        half = len(items) // 2
        (first, bad), (second, worse) = self._sound(items[:half]), self._sound(items[half:])
        return first + second, bad + worse

    def _fitted(self, one: Item, reason: str) -> tuple[list[tuple[Item, Item]], list[tuple[Item, str]]]:
        for arms in ((1,), (0,), (0, 1)):
            fit = self._unread(one, arms)
            try:
                self._tables([fit])
            except Exception:  # noqa: BLE001, S112  the next form; the first reason is told
                continue
            return [(one, fit)], []
        return [], [(one, reason)]

    def _unread(self, one: Item, arms: Sequence[int]) -> Item:
        """The same exchange as if these arms' answers could not be read (0: the one that served, 1: the other)."""
        rows = [list(row) for row in (one.result.row, *one.result.more)]
        for row in rows:
            for arm in arms:
                if row[self._outcomes[arm]] == "ok":
                    row[self._outcomes[arm]] = "unreadable"
                for index in (*self._values[arm], *self._agree, *self._customs, *(() if arm else self._of_twin)):
                    row[index] = None
        return msgspec.structs.replace(one, result=msgspec.structs.replace(one.result, row=rows[0], more=rows[1:]))

    def _tables(self, items: Sequence[Item]) -> dict[str, pa.Table]:
        """Raises Unloggable, or what redaction raises."""
        if not items:
            return {}
        rows = [each.result.row for each in items]
        if self._several:
            rows = [row for each in items for row in (each.result.row, *each.result.more)]
        comparisons = zip(*rows, strict=True)
        return {
            "exchanges": _table(self._exchange_columns(items).get, tables.EXCHANGES),
            "comparisons": _table(dict(zip(self._comparisons.names, comparisons, strict=True)).get, self._comparisons),
        }

    def _exchange_columns(self, items: Sequence[Item]) -> dict[str, Sequence[Any]]:
        requests = [each.request for each in items]
        answers = [each.answer for each in items]
        results = [each.result for each in items]
        shadows = [each.answer for each in results]
        versions = [self._versions(each) for each in requests]
        production, candidate = self._outcomes
        columns: dict[str, Sequence[Any]] = {
            "id": [each.id.hex() for each in requests],
            "time_us": [each.time_us for each in requests],
            "epoch": [each.epoch for each in requests],
            "source": [PROBE if each.epoch == PROBE_EPOCH else "http" for each in requests],
            "stratum": [each.stratum for each in requests],
            "probability": [each.probability for each in requests],
            "method": [each.method for each in requests],
            "production_version": [ours for ours, _ in versions],
            "production_outcome": [each.row[production] for each in results],
            "production_status": [each.status for each in answers],
            "production_latency_us": [each.latency_us for each in answers],
            "candidate_version": [theirs for _, theirs in versions],
            "candidate_outcome": [each.row[candidate] for each in results],
            "candidate_status": [None if each is None else each.status for each in shadows],
            "candidate_latency_us": [None if each is None else each.latency_us for each in shadows],
            "absent": [each.row[self._state] if each.answer is None else None for each in results],
            "rewritten": [each.rewritten for each in results],
        }
        return columns | self._content(requests, answers, shadows)

    def _versions(self, request: Request) -> tuple[str, str]:
        """Of the arm that served, and of the other; no model answers a probe."""
        if request.epoch == PROBE_EPOCH:
            return PROBE, PROBE
        arms = (self._plan.production.version, self._plan.candidate.version)
        return arms if request.serving == "production" else (arms[1], arms[0])

    def _content(
        self, requests: Sequence[Request], answers: Sequence[Answer], shadows: Sequence[Answer | None]
    ) -> dict[str, Sequence[Any]]:
        """What came from outside, in the form in which the log may hold it. A probe is our own: nothing to hide."""
        keep = [not self._redactor or each.epoch == PROBE_EPOCH for each in requests]
        asked = [
            (each.target, each.headers, each.body)
            if kept
            else self._redactor.request(each.target, each.headers, each.body)
            for each, kept in zip(requests, keep, strict=True)
        ]
        ours, theirs = (
            [
                (None, None)
                if each is None
                else ((each.headers, each.body) if kept else self._redactor.answer(each.headers, each.body))
                for each, kept in zip(arm, keep, strict=True)
            ]
            for arm in (answers, shadows)
        )
        return {
            "target": [target for target, _, _ in asked],
            "request_headers": _headers([headers for _, headers, _ in asked]),
            "request_body": [body for _, _, body in asked],
            "production_headers": _headers([headers for headers, _ in ours]),
            "production_body": [body for _, body in ours],
            "candidate_headers": _headers([headers for headers, _ in theirs]),
            "candidate_body": [body for _, body in theirs],
        }


def _table(column: Callable[[str], Sequence[Any] | None], schema: pa.Schema) -> pa.Table:
    """Columns by name as a table.

    Raises Unloggable; its words name the column and quote no value.
    """
    arrays = []
    for field in schema:
        try:
            array = pa.array(column(field.name), field.type)
        except Exception as error:
            raise Unloggable(f"column {field.name} cannot hold it: {named(error)}") from error
        if array.null_count and not field.nullable:
            raise Unloggable(f"column {field.name} cannot hold it: it is missing")
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def _headers(lists: Sequence[Headers | None]) -> list[str | None]:
    """Each as a JSON list of [name, value]. Most exchanges carry the same few, so each text is made once."""
    made: dict[Headers | None, str | None] = {None: None}
    for each in lists:
        if each not in made:
            made[each] = json.dumps(each, ensure_ascii=False)
    return [made[each] for each in lists]
