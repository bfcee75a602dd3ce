"""The rows of `comparisons` for one exchange: one, or one for each instance of a batch."""

from collections.abc import Sequence
from typing import Any

from gnomon import plugins
from gnomon.compare.instances import Instances
from gnomon.log import tables
from gnomon.ports import MISSING, Comparator, ReadError
from gnomon.protocols import segment_value, text
from gnomon.protocols.caches import repeated
from gnomon.records.frames import Answer, Outcome, Request
from gnomon.records.plan import Plan, Selector

Row = list[Any]
"""One value for each column of `log.tables.comparisons(plan)`, in its order."""
Values = list[str | float]
"""The stored form of each output, of one instance."""

_ANSWERED = frozenset({"ok", "4xx", "5xx", "unreadable", "wrong_shape"})
"""Outcomes of a call whose answer came whole, so that it has a latency."""
_KEY = 8
"""Where in a row the truth's key stands: it is an instance's own."""


def compare(
    plan: Plan, request: Request, production: Answer, candidate: Answer | None, *, late: bool, absent: str = "expired"
) -> dict[str, Any]:
    """The (first) row by column name.

    `production`: what the serving arm answered; `candidate`: the other; None: `absent`.
    """
    row = Comparing(plan).rows(request, production, candidate, late=late, absent=absent)[0]
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
        self._twins = bool(plan.fork.twin)
        self._customs = len(plan.customs)
        self._instances = None if plan.unit.instances is None else Instances(plan, self._protocol)
        self._plain = not (self._twins or self._customs or self._instances)

    def rows(
        self,
        request: Request,
        production: Answer,
        candidate: Answer | None,
        *,
        late: bool,
        absent: str = "expired",
        drawn: bool = False,
        twin: Answer | None = None,
        customs: Sequence[float | None] = (),
    ) -> list[Row]:
        """One row, or one for each instance.

        An arm whose declared outputs cannot all be read has failed, for all instances: its values are null, agree is
        null. `absent`: the state of an exchange whose candidate was not called. `drawn`: whether the twin's coin said
        yes; `twin`: production's second answer; None: it was not asked again. `customs`: what the custom gates say of
        the pair, null for those that say nothing.
        Raises CannotCompare.
        """
        count = 1 if self._instances is None else self._instances.count(request)
        outcome, values = self._read(production, count)
        shadow_outcome, shadow_values = (None, None) if candidate is None else self._read(candidate, count)
        keys = None if self._instances is None else self._keys(request, count)
        head: Row = [
            request.id.hex(),
            request.time_us,
            request.epoch,
            request.stratum,
            request.probability,
            absent if candidate is None else "paired",
            late,
            self._named(self._plan.unit.cluster, request),
            self._named(self._key, request) if keys is None else keys[0],
            outcome,
            shadow_outcome,
            production.latency_us if outcome in _ANSWERED else None,
            candidate.latency_us if candidate is not None and shadow_outcome in _ANSWERED else None,
            candidate.started_us - production.started_us
            if candidate is not None and candidate.started_us and production.started_us
            else None,
        ]
        head.extend([segment_value(self._protocol, segment, request) for segment in self._plan.segments])
        if self._plain:
            self._add_outputs(head, values[0] if values else None, shadow_values[0] if shadow_values else None)
            return [head]
        said: list[float | None] = [None] * self._customs
        if values and shadow_values:  # an arm that failed is the worst case, whatever a function says of it
            said[: len(customs)] = customs
        rows = []
        second_outcome, second_values = (None, None) if twin is None else self._read(twin, count)
        for number in range(count):
            ours = values[number] if values else None
            row = head.copy()
            if keys is not None:
                row[_KEY] = keys[number]
            self._add_outputs(row, ours, shadow_values[number] if shadow_values else None)
            if self._twins:
                row += (drawn, second_outcome, None if twin is None else repeated(twin.headers))
                row.extend(self._agreements(ours, second_values[number] if second_values else None))
            row.extend(said)
            if self._instances is not None:
                row.append(number)
            rows.append(row)
        return rows

    def _add_outputs(self, row: Row, ours: Values | None, theirs: Values | None) -> None:
        for index, (_, comparator) in enumerate(self._comparators):
            one = ours[index] if ours else None
            other = theirs[index] if theirs else None
            row += (one, other, None if one is None or other is None else comparator.agree(one, other))

    def _agreements(self, ours: Values | None, again: Values | None) -> list[bool | None]:
        """Whether production said the same twice, by output; null where one of the two failed."""
        if ours is None or again is None:
            return [None] * len(self._comparators)
        return [
            comparator.agree(one, other)
            for one, other, (_, comparator) in zip(ours, again, self._comparators, strict=True)
        ]

    def _read(self, answer: Answer, count: int) -> tuple[Outcome, list[Values] | None]:
        """The outcome after reading, and the stored form of each output, by instance; None when the arm failed."""
        if answer.outcome != "ok":
            return answer.outcome, None
        try:
            if self._instances is None:
                return "ok", [
                    [
                        comparator.stored(self._protocol.read_answer(selector, answer))
                        for selector, comparator in self._comparators
                    ]
                ]
            columns = [
                [comparator.stored(value) for value in self._instances.values(selector, answer, count)]
                for selector, comparator in self._comparators
            ]
            return "ok", [[column[number] for column in columns] for number in range(count)]
        except ReadError as error:
            return error.outcome, None
        except RecursionError:  # nested deeper than any declared output
            return "wrong_shape", None

    def _keys(self, request: Request, count: int) -> list[str | None]:
        """The truth's key of each instance."""
        if self._key is None or self._instances is None:
            return [None] * count
        return [_text(value) for value in self._instances.named(self._key, request, count)]

    def _named(self, selector: Selector | None, request: Request) -> str | None:
        """The text of a key; null and nothing are both none."""
        return None if selector is None else _text(self._protocol.read_request(selector, request))


def _text(value: Any) -> str | None:  # noqa: ANN401  whatever JSON can hold
    if value is MISSING or value is None:
        return None
    try:
        return text(value)
    except (ReadError, RecursionError):
        return None
