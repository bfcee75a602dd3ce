"""The row of `comparisons` for one exchange."""

from typing import Any

from gnomon import plugins
from gnomon.log import tables
from gnomon.ports import MISSING, Comparator, ReadError
from gnomon.protocols import segment_value, text
from gnomon.records.frames import Answer, Outcome, Request
from gnomon.records.plan import Plan, Selector

Row = list[Any]
"""One value for each column of `log.tables.comparisons(plan)`, in its order."""

_ANSWERED = frozenset({"ok", "4xx", "5xx", "unreadable", "wrong_shape"})
"""Outcomes of a call whose answer came whole, so that it has a latency."""


def compare(
    plan: Plan, request: Request, production: Answer, candidate: Answer | None, *, late: bool, absent: str = "expired"
) -> dict[str, Any]:
    """The row by column name. `production`: what the serving arm answered; `candidate`: the other; None: `absent`."""
    row = Comparing(plan).row(request, production, candidate, late=late, absent=absent)
    return dict(zip(tables.comparisons(plan).names, row, strict=True))


class Comparing:
    """Makes rows under one plan. Protocol and comparators are made once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._protocol = plugins.protocol(plan.protocol)
        self._comparators: list[tuple[Selector, Comparator]] = [
            (output.of, plugins.comparator(output)) for output in plan.outputs
        ]
        self._key = plan.truth.key if plan.truth else None

    def row(
        self, request: Request, production: Answer, candidate: Answer | None, *, late: bool, absent: str = "expired"
    ) -> Row:
        """One row. An arm whose declared outputs cannot all be read has failed: its values are null, agree is null.

        `absent`: the state of an exchange whose candidate was not called.
        """
        outcome, values = self._read(production)
        shadow_outcome, shadow_values = (None, None) if candidate is None else self._read(candidate)
        row: Row = [
            request.id.hex(),
            request.time_us,
            request.epoch,
            request.stratum,
            request.probability,
            absent if candidate is None else "paired",
            late,
            self._named(self._plan.unit.cluster, request),
            self._named(self._key, request),
            outcome,
            shadow_outcome,
            production.latency_us if outcome in _ANSWERED else None,
            candidate.latency_us if candidate is not None and shadow_outcome in _ANSWERED else None,
            candidate.started_us - production.started_us
            if candidate is not None and candidate.started_us and production.started_us
            else None,
        ]
        row.extend([segment_value(self._protocol, segment, request) for segment in self._plan.segments])
        for index, (_, comparator) in enumerate(self._comparators):
            ours = values[index] if values else None
            theirs = shadow_values[index] if shadow_values else None
            row += (ours, theirs, None if ours is None or theirs is None else comparator.agree(ours, theirs))
        return row

    def _read(self, answer: Answer) -> tuple[Outcome, list[str | float] | None]:
        """The outcome after reading, and the stored form of each output; None when the arm failed."""
        if answer.outcome != "ok":
            return answer.outcome, None
        try:
            return "ok", [
                comparator.stored(self._protocol.read_answer(selector, answer))
                for selector, comparator in self._comparators
            ]
        except ReadError as error:
            return error.outcome, None
        except RecursionError:  # nested deeper than any declared output
            return "wrong_shape", None

    def _named(self, selector: Selector | None, request: Request) -> str | None:
        """The text of a key; null and nothing are both none."""
        if selector is None:
            return None
        value = self._protocol.read_request(selector, request)
        if value is MISSING or value is None:
            return None
        try:
            return text(value)
        except (ReadError, RecursionError):
            return None
