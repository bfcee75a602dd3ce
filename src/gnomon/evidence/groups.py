"""Counting where each row is a unit of its own: rows that look alike are counted together, in one pass over all.

What a gate sees of a row is a number with few values, and so is the row's cell. The engine groups by these numbers and,
where something is not settled or cycles are declared, by the place of the row's time between the frontiers; which
cells and gates a group belongs to is found from the groups alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any, Final

import ibis
import numpy as np
import numpy.typing as npt

from gnomon.evidence import rows
from gnomon.evidence.cells import Tally, closed_us
from gnomon.evidence.engine import Engine
from gnomon.evidence.terms import Terms, lost, whole
from gnomon.log.tables import segment_column
from gnomon.records.plan import OVERALL, Plan

Expr = Any
Ints = npt.NDArray[np.int64]

_MOST: Final = 1 << 62
"""Numbers of a column stay under it."""
_CELLS: Final = 4096
"""Combinations of segment values that are grouped at once."""
_GATES: Final = 6
"""Gates with few different D that are grouped at once; one with many is grouped alone."""
_FLAGS: Final = ("waits", "imputed", "known", "production", "candidate", "truths")


@dataclass(frozen=True, slots=True)
class _State:
    """What a gate sees of a row, as one number: 0 where the row is not the gate's."""

    terms: Terms

    @property
    def radixes(self) -> tuple[int, ...]:
        each = self.terms.most - self.terms.least + 2
        reference = () if self.terms.reference_low is None else (3, 3)
        return (each, each, *reference, *(2 for _ in _FLAGS))

    @property
    def radix(self) -> int:
        return prod(self.radixes) + 1

    def number(self) -> Expr:
        terms = self.terms
        digits = [_place(terms.low, terms.least), _place(terms.high, terms.least)]
        if terms.reference_low is not None:
            digits += [_place(terms.reference_low, -1), _place(terms.reference_high, -1)]
        flags = (
            terms.waits,
            terms.imputed,
            terms.known,
            terms.known & terms.production,
            terms.known & terms.candidate,
            terms.came,
        )
        digits += [whole(flag) for flag in flags]
        return ibis.cases((terms.counts, _number(digits, self.radixes) + 1), else_=0)

    def read(self, state: int) -> dict[str, Any]:
        """The parts of a number that is not 0."""
        digits = []
        left = state - 1
        for radix in reversed(self.radixes):
            left, digit = divmod(left, radix)
            digits.append(digit)
        digits.reverse()
        sides = ("low", "high") if len(digits) == 8 else ("low", "high", "reference_low", "reference_high")
        found: dict[str, Any] = {}
        for name, digit in zip(sides, digits, strict=False):
            least = self.terms.least if name in {"low", "high"} else -1
            found[name] = (digit - 1 + least) * self.terms.step if digit else None
        return found | dict(zip(_FLAGS, digits[len(sides) :], strict=True))


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is grouped at once: some segments and some gates, as columns of numbers."""

    segments: tuple[str, ...]
    gates: tuple[int, ...]
    cells: str
    """The column of the row's cell: segment values, and whether it is lost."""
    columns: tuple[tuple[str, tuple[int, ...]], ...]
    """Columns of gates, and the gates in each."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows that look alike, counted."""

    batch: _Batch
    values: dict[str, Ints]
    """By segment: the value's place, 0 for one that the plan does not know."""
    rate: Ints
    lost: Ints
    states: dict[int, Ints]
    """By gate."""
    count: Ints
    first_us: Ints
    slot: Ints


@dataclass(frozen=True, slots=True)
class Counted:
    """All counts of a look."""

    sampled: dict[str, dict[str, tuple[int, int]]]
    """By segment and value: lost exchanges and all exchanges."""
    tallies: dict[tuple[int, str], dict[str, Tally]]
    """By gate and segment, then by value."""


def count(plan: Plan, engine: Engine, table: Expr, each: Sequence[Terms], *, started_us: int, end_us: int) -> Counted:
    """The counts of every gate in every cell that its tests name, over rows with truth and unit."""
    return _Counting(plan, engine, each, started_us=started_us, end_us=end_us).over(table)


class _Counting:
    def __init__(self, plan: Plan, engine: Engine, each: Sequence[Terms], *, started_us: int, end_us: int) -> None:
        self._plan = plan
        self._engine = engine
        self._started_us = started_us
        self._end_us = end_us
        self._states = [_State(terms) for terms in each]
        self._segments = rows.tested_segments(plan.judged)
        self._labels = {name: _tested_values(plan, name) for name in self._segments}
        self._one_rate = len(set(plan.fork.rates.values())) == 1
        self._batches = list(self._batched())

    def over(self, table: Expr) -> Counted:
        coded = self._coded(table)
        late = [index for index, gate in enumerate(self._plan.judged) if gate.needs_truth]
        found = {}
        if late:
            coded = self._engine.keep(coded)
            found = {batch: self._grouped(coded, batch, []) for batch in self._batches if set(batch.gates) & set(late)}
        frontiers = self._frontiers(found.values())
        slots = self._slots(frontiers)
        if slots:
            found = {}
        every = [found[batch] if batch in found else self._grouped(coded, batch, slots) for batch in self._batches]
        tallies: dict[tuple[int, str], dict[str, Tally]] = {}
        for groups in every:
            for index in groups.batch.gates:
                for segment in self._of(index):
                    if segment == OVERALL or segment in groups.batch.segments:
                        tallies.setdefault((index, segment), self._tally(groups, index, segment, frontiers, slots))
        sampled = {}
        for segment in (OVERALL, *self._segments):
            groups = next(one for one in every if segment == OVERALL or segment in one.batch.segments)
            sampled[segment] = self._sampled(groups, segment)
        return Counted(sampled, tallies)

    def _of(self, index: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(test.segment for test in self._plan.judged[index].tests))

    # the numbers ---------------------------------------------------------------------------------------------------

    def _batched(self) -> Iterator[_Batch]:
        packs: list[list[str]] = [[]]
        for name in self._segments:
            size = prod(len(self._labels[each]) + 1 for each in (*packs[-1], name))
            if packs[-1] and size > _CELLS:
                packs.append([])
            packs[-1].append(name)
        few = [index for index, state in enumerate(self._states) if state.terms.step != 1]
        many = [index for index, state in enumerate(self._states) if state.terms.step == 1]
        gates = [few[place : place + _GATES] for place in range(0, len(few), _GATES)] + [[each] for each in many]
        for place, pack in enumerate(packs):
            for mine in gates or [[]]:
                yield _Batch(tuple(pack), tuple(mine), f"cells_{place}", tuple(self._packed(mine)))

    def _packed(self, gates: Sequence[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
        pack: list[int] = []
        for index in gates:
            if pack and prod(self._states[each].radix for each in (*pack, index)) >= _MOST:
                yield f"gates_{pack[0]}", tuple(pack)
                pack = []
            pack.append(index)
        if pack:
            yield f"gates_{pack[0]}", tuple(pack)

    def _coded(self, table: Expr) -> Expr:
        columns = {"time_us": table.time_us}
        if not self._one_rate:
            columns["rate"] = rows.rate(self._plan, table)
        for batch in self._batches:
            if batch.cells not in columns:
                columns[batch.cells] = self._cell_number(table, batch.segments)
            for name, gates in batch.columns:
                if name not in columns:
                    numbers = [self._states[index].number() for index in gates]
                    columns[name] = _number(numbers, [self._states[index].radix for index in gates])
        return table.select(**columns)

    def _cell_radixes(self, segments: Sequence[str]) -> list[int]:
        return [*(len(self._labels[name]) + 1 for name in segments), 2]

    def _cell_number(self, table: Expr, segments: Sequence[str]) -> Expr:
        digits = []
        for name in segments:
            column = table[segment_column(name)]
            known = [(column == label, place) for place, label in enumerate(self._labels[name], 1)]
            digits.append(ibis.cases(*known, else_=0))
        digits.append(whole(lost(table)))
        return _number(digits, self._cell_radixes(segments))

    # the groups ----------------------------------------------------------------------------------------------------

    def _grouped(self, coded: Expr, batch: _Batch, slots: Sequence[int]) -> _Groups:
        names = [*([] if self._one_rate else ["rate"]), batch.cells, *(name for name, _ in batch.columns)]
        table = coded.select("time_us", *names)
        if slots:
            table = table.mutate(slot=_slot(table.time_us, slots, 0, len(slots)))
            names.append("slot")
        counted = table.group_by(names).agg(units=ibis._.count(), first_us=ibis._.time_us.min())
        found = counted.to_pyarrow()
        columns = {name: found[name].to_numpy().astype(np.int64) for name in found.column_names}
        digits = _digits(columns[batch.cells], self._cell_radixes(batch.segments))
        states: dict[int, Ints] = {}
        for name, gates in batch.columns:
            numbers = _digits(columns[name], [self._states[index].radix for index in gates])
            states |= dict(zip(gates, numbers, strict=True))
        return _Groups(
            batch=batch,
            values=dict(zip(batch.segments, digits, strict=False)),
            rate=columns.get("rate", np.full(len(found), min(self._plan.fork.rates.values()))),
            lost=digits[-1],
            states=states,
            count=columns["units"],
            first_us=columns["first_us"],
            slot=columns.get("slot", np.zeros(len(found), np.int64)),
        )

    def _frontiers(self, found: Any) -> dict[tuple[int, str, int], int]:  # noqa: ANN401  views of a dict
        """By gate, segment and value's place: the time of the first exchange that waits, where one does."""
        frontiers: dict[tuple[int, str, int], int] = {}
        for groups in found:
            for index in groups.batch.gates:
                states = groups.states[index]
                waiting = {int(state) for state in np.unique(states) if state and self._read(index, state)["waits"]}
                waits = np.isin(states, list(waiting))
                for segment in self._of(index):
                    if segment != OVERALL and segment not in groups.batch.segments:
                        continue
                    for value, time_us in zip(_at(groups, segment)[waits], groups.first_us[waits], strict=True):
                        place = (index, segment, int(value))
                        frontiers[place] = min(int(time_us), frontiers.get(place, int(time_us)))
        return frontiers

    def _read(self, index: int, state: int) -> dict[str, Any]:
        return self._states[index].read(int(state))

    def _slots(self, frontiers: dict[tuple[int, str, int], int]) -> list[int]:
        """The times at which something turns from settled to not, or from closed to open; none at or after the end."""
        times = {*frontiers.values(), self._closed(self._end_us)}
        times |= {self._closed(each) for each in frontiers.values()}
        return sorted(time_us for time_us in times if time_us < self._end_us)

    def _closed(self, frontier_us: int) -> int:
        return closed_us(self._plan, frontier_us, self._started_us)

    # the counts ----------------------------------------------------------------------------------------------------

    def _sampled(self, groups: _Groups, segment: str) -> dict[str, tuple[int, int]]:
        size = 1 + len(self._labels.get(segment, ("",)))
        values = _at(groups, segment)
        every = np.bincount(values, weights=groups.count, minlength=size)
        gone = np.bincount(values, weights=groups.count * groups.lost, minlength=size)
        labels = self._names(segment)
        return {labels[place]: (int(gone[place]), int(every[place])) for place in labels if every[place]}

    def _names(self, segment: str) -> dict[int, str]:
        return {0: ""} if segment == OVERALL else dict(enumerate(self._labels[segment], 1))

    def _tally(
        self,
        groups: _Groups,
        index: int,
        segment: str,
        frontiers: dict[tuple[int, str, int], int],
        slots: Sequence[int],
    ) -> dict[str, Tally]:
        labels = self._names(segment)
        ends = np.array([frontiers.get((index, segment, each), self._end_us) for each in range(max(labels) + 1)])
        mine = groups.states[index] > 0
        value, slot = _at(groups, segment)[mine], groups.slot[mine]
        ready = slot <= np.searchsorted(slots, ends)[value]
        closes = np.array([self._closed(int(end)) for end in ends])
        closed = slot <= np.searchsorted(slots, closes)[value]
        keys = np.stack(
            [value, groups.rate[mine], groups.lost[mine], groups.states[index][mine], ready, closed & ready], axis=1
        ).astype(np.int64)
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        counts = np.bincount(inverse.reshape(-1), weights=groups.count[mine], minlength=len(unique))
        found: dict[str, Tally] = {}
        read: dict[int, dict[str, Any]] = {}
        for (place, rate, gone, state, is_ready, is_closed), units in zip(
            unique.tolist(), counts.tolist(), strict=True
        ):
            if place not in labels:
                continue
            number = int(units)
            if state not in read:
                read[state] = self._read(index, state)
            parts = read[state]
            row = {name: part * number if name in _FLAGS else part for name, part in parts.items()}
            row |= {"units": number, "exchanges": number, "lost": gone * number, "rate": rate}
            row |= {"ready": bool(is_ready), "closed": bool(is_closed)}
            found.setdefault(labels[place], Tally(int(ends[place]))).add(row)
        return found


def _tested_values(plan: Plan, segment: str) -> tuple[str, ...]:
    """The segment's values that some test names."""
    tests = (test for gate in plan.judged for test in gate.tests)
    return tuple(dict.fromkeys(test.value for test in tests if test.segment == segment))


def _at(groups: _Groups, segment: str) -> Ints:
    return np.zeros(len(groups.count), np.int64) if segment == OVERALL else groups.values[segment]


def _place(value: Expr, least: int) -> Expr:
    """0 for null, else from 1 on."""
    return (value - (least - 1)).cast("int64").fill_null(0)


def _number(digits: Sequence[Expr], radixes: Sequence[int]) -> Expr:
    """Digits of several radixes as one number, the first one highest."""
    parts = zip(digits[1:], radixes[1:], strict=True)
    return reduce(lambda number, part: number * part[1] + part[0], parts, digits[0].cast("int64"))


def _digits(numbers: Ints, radixes: Sequence[int]) -> list[Ints]:
    found: list[Ints] = []
    left = numbers
    for radix in reversed(radixes):
        left, digit = np.divmod(left, radix)
        found.append(digit)
    return found[::-1]


def _slot(time_us: Expr, slots: Sequence[int], low: int, high: int) -> Expr:
    """How many of the ascending times are at or before the row's: a search by halves."""
    if low == high:
        return ibis.literal(low, "int64")
    middle = (low + high) // 2
    before, after = _slot(time_us, slots, low, middle), _slot(time_us, slots, middle + 1, high)
    return ibis.cases((time_us < slots[middle], before), else_=after)
