"""Counting where each row is a unit of its own: rows that look alike are counted together, in one pass over all.

What gates ask of a row (`terms.Facts`) are a few bits, and its segment values are a small number. Bits, cell and time
of each row are computed once and kept; all else is grouping by them and, where something is not settled or cycles are
declared, by the place of the row's time between the frontiers. D is put on the groups, not on the rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from operator import or_
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import numpy as np
import numpy.typing as npt

from gnomon.evidence import rows
from gnomon.evidence.cells import Tally, closed_us
from gnomon.evidence.differences import terms
from gnomon.evidence.engine import Engine
from gnomon.evidence.terms import Facts, Terms, whole
from gnomon.log.tables import segment_column
from gnomon.records.plan import OVERALL, Plan

Expr = Any
Ints = npt.NDArray[np.int64]

_BITS: Final = 30
"""Bits of one column: a 32-bit integer."""
_CELLS: Final = 4096
"""Combinations of segment values that are grouped at once."""
_GATES: Final = 6
"""Gates with few different D that are grouped at once; one with many is grouped alone, segment by segment."""
_FLAGS: Final = ("waits", "imputed", "known", "production", "candidate", "truths")
_EVIDENCE: Final = "evidence"


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
    """What is grouped at once: some segments and some gates."""

    segments: tuple[str, ...]
    gates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows that look alike, counted."""

    batch: _Batch
    values: dict[str, Ints]
    """By segment: the value's place, 0 for one that no test names, and for overall."""
    rate: Ints
    lost: Ints
    states: dict[int, Ints]
    """By gate."""
    count: Ints
    slot: Ints


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Rows that wait for a truth, the first one of those that look alike."""

    batch: _Batch
    values: dict[str, Ints]
    """As in `_Groups`."""
    gates: dict[int, Ints]
    """By gate that needs truth: 1 where it waits."""
    first_us: Ints


@dataclass(frozen=True, slots=True)
class Counted:
    """All counts of a look."""

    sampled: dict[str, dict[str, tuple[int, int]]]
    """By segment and value: lost exchanges and all exchanges."""
    tallies: dict[tuple[int, str], dict[str, Tally]]
    """By gate and segment, then by value."""
    doubtful: bool = True
    """Two rows may be of one exchange: their ids have to be compared."""
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """By segment and value: exchanges that came after their cluster was closed."""


def _builtin(text: str) -> int:
    raise NotImplementedError(text)  # it is the engine that makes it


_hash: Expr = ibis.udf.scalar.builtin(_builtin, name="hash", signature=((dt.string,), dt.uint64))


class _Kept(Facts):
    """The answers that were kept, over rows or groups of them."""

    def __init__(self, row: Expr, layout: "_Layout") -> None:
        super().__init__(row, as_of_us=0)
        self._layout = layout

    def flag(self, name: str, build: Callable[[Expr], Expr]) -> Expr:  # noqa: ARG002  it was built already
        column, bit = self._layout.bit(name)
        return super().flag(name, lambda row: (row[column] & (1 << bit)) != 0)

    def number(self, name: str, build: Callable[[Expr], Expr]) -> Expr:  # noqa: ARG002
        column = self._layout.numbers[name]
        return super().number(name, lambda row: row[column])


class _Layout:
    """Where in the kept table each answer and each segment stands."""

    def __init__(self, facts: Facts, radixes: dict[str, int]) -> None:
        self._bits = {name: divmod(place, _BITS) for place, name in enumerate([_EVIDENCE, *facts.flags])}
        self.numbers = {name: f"number_{place}" for place, name in enumerate(facts.numbers)}
        self.radixes = radixes
        self._packs: list[list[str]] = []
        for name, radix in radixes.items():
            if not self._packs or radix * prod(radixes[each] for each in self._packs[-1]) >= 1 << _BITS:
                self._packs.append([])
            self._packs[-1].append(name)

    def bit(self, name: str) -> tuple[str, int]:
        column, bit = self._bits[name]
        return f"bits_{column}", bit

    def coded(self, flags: dict[str, Expr], numbers: dict[str, Expr], places: dict[str, Expr]) -> dict[str, Expr]:
        """The kept columns of a row."""
        bits: dict[str, list[Expr]] = {}
        for name, flag in flags.items():
            column, bit = self.bit(name)
            bits.setdefault(column, []).append(whole(flag) * (1 << bit))
        columns = {column: reduce(lambda left, right: left + right, each) for column, each in bits.items()}
        for place, names in enumerate(self._packs):
            columns[f"cells_{place}"] = _number(
                [places[name] for name in names], [self.radixes[name] for name in names]
            )
        found = {name: expression.cast("int32") for name, expression in columns.items()}
        return found | {self.numbers[name]: number.cast("int32") for name, number in numbers.items()}

    def answers(self, kept: Expr, used: Facts) -> dict[str, Expr]:
        """Of the kept answers only those that were asked for."""
        masks: dict[str, int] = {}
        for name in used.flags:
            column, bit = self.bit(name)
            masks[column] = masks.get(column, 0) | 1 << bit
        bits = {column: kept[column] & mask for column, mask in masks.items()}
        return bits | {self.numbers[name]: kept[self.numbers[name]] for name in used.numbers}

    def cells(self, kept: Expr, batch: _Batch) -> dict[str, Expr]:
        """Where in a batch's segments a row is."""
        keys: dict[str, Expr] = {}
        for place, names in enumerate(self._packs):
            mine = [name for name in names if name in batch.segments]
            column = kept[f"cells_{place}"]
            if mine == names:
                keys[f"cells_{place}"] = column
            elif mine:
                digits = [self._digit(column, names, name) for name in mine]
                keys[f"cells_{place}"] = _number(digits, [self.radixes[name] for name in mine])
        return keys

    def _digit(self, column: Expr, names: Sequence[str], name: str) -> Expr:
        below = prod(self.radixes[each] for each in names[names.index(name) + 1 :])
        return (column // below) % self.radixes[name]

    def values(self, batch: _Batch, columns: dict[str, Ints]) -> dict[str, Ints]:
        """The places of a group's values, by segment."""
        found: dict[str, Ints] = {OVERALL: np.zeros(len(next(iter(columns.values()))), np.int64)}
        for place, names in enumerate(self._packs):
            mine = [name for name in names if name in batch.segments]
            if mine:
                digits = _digits(columns[f"cells_{place}"], [self.radixes[name] for name in mine])
                found |= dict(zip(mine, digits, strict=True))
        return found


def counting(
    plan: Plan, engine: Engine, table: Expr, facts: Facts, *, started_us: int, end_us: int
) -> Callable[[], Counted]:
    """Begins to count every gate in every cell that its tests name, over all rows that were read, with truth.

    What is returned waits for the counts.
    """
    counts = _Counting(plan, engine, facts, started_us=started_us, end_us=end_us)
    kept = engine.keeping(counts.coded(table))
    return lambda: counts.over(kept())


class _Counting:
    def __init__(self, plan: Plan, engine: Engine, facts: Facts, *, started_us: int, end_us: int) -> None:
        self._plan = plan
        self._engine = engine
        self._started_us = started_us
        self._end_us = end_us
        self._facts = facts
        self._states = [_State(each) for each in rows.all_terms(plan, facts)]
        _ = facts.lost
        self._segments = rows.tested_segments(plan.judged)
        self._labels = {name: _tested_values(plan, name) for name in self._segments}
        self._one_rate = len(set(plan.fork.rates.values())) == 1
        self._layout = _Layout(facts, {name: len(labels) + 1 for name, labels in self._labels.items()})
        self._batches = list(self._batched())

    def coded(self, table: Expr) -> Expr:
        """What is kept of each row: its time, its bits and its cells, and of its id what tells it from others."""
        columns = {"time_us": table.time_us}
        if not self._one_rate:
            columns["rate"] = rows.rate(self._plan, table)
        if self._engine.in_process:
            columns["hash"] = _hash(table.id)
        places = {}
        for name, labels in self._labels.items():
            column = table[segment_column(name)]
            known = [(column == label, place) for place, label in enumerate(labels, 1)]
            places[name] = ibis.cases(*known, else_=0)
        flags = {_EVIDENCE: table.state.isin(rows.COUNTED)} | self._facts.flags
        return table.select(**columns, **self._layout.coded(flags, self._facts.numbers, places))

    def over(self, kept: Expr) -> Counted:
        with ThreadPoolExecutor(2) as beside:  # while the engine groups
            repeated = beside.map(_repeated, self._hashes(kept))
            sampled, tallies = self._counts(kept)
            # where all hashes differ, so do the ids; another engine's are not known
            doubtful = not self._engine.in_process or any(repeated)
        return Counted(sampled, tallies, doubtful=doubtful)

    def _counts(
        self, kept: Expr
    ) -> tuple[dict[str, dict[str, tuple[int, int]]], dict[tuple[int, str], dict[str, Tally]]]:
        frontiers = self._frontiers(self._waiting(kept, batch) for batch in self._batches if self._late(batch))
        slots = self._slots(frontiers)
        every = [self._grouped(kept, batch, slots) for batch in self._batches]
        parts: dict[tuple[int, str], dict[str, Tally]] = {}
        for groups in every:
            for index, segment in self._cells_of(groups.batch):
                if (index, segment) not in parts:
                    parts[index, segment] = self._tally(groups, index, segment, frontiers, slots)
        sampled = {}
        for segment in (OVERALL, *self._segments):
            groups = next(one for one in every if segment == OVERALL or segment in one.batch.segments)
            sampled[segment] = self._sampled(groups, segment)
        return sampled, parts

    def _cells_of(self, batch: _Batch) -> Iterator[tuple[int, str]]:
        """The gates of a batch, and of their segments those that are in it."""
        for index in batch.gates:
            for segment in dict.fromkeys(test.segment for test in self._plan.judged[index].tests):
                if segment == OVERALL or segment in batch.segments:
                    yield index, segment

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
        gates = [tuple(few[place : place + _GATES]) for place in range(0, len(few), _GATES)] or [()]
        yield from (_Batch(tuple(pack), mine) for pack in packs for mine in gates)
        yield from (_Batch((name,), (index,)) for index in many for name in self._segments)
        yield from (_Batch((), (index,)) for index in many if not self._segments)

    def _hashes(self, kept: Expr) -> list[npt.NDArray[np.uint64]]:
        """The hashes of the ids in two halves, each for a thread."""
        if not self._engine.in_process:
            return []
        middle = ibis.literal(1 << 63, "uint64")
        halves = (kept.hash < middle, kept.hash >= middle)
        return [self._engine.array(kept.filter(half).select("hash")) for half in halves]

    # the groups ----------------------------------------------------------------------------------------------------

    def _late(self, batch: _Batch) -> list[int]:
        """The gates of a batch that may wait for a truth."""
        return [index for index in batch.gates if self._plan.judged[index].needs_truth]

    def _evidence(self, kept: Expr) -> Expr:
        column, bit = self._layout.bit(_EVIDENCE)
        return (kept[column] & (1 << bit)) != 0

    def _waiting(self, kept: Expr, batch: _Batch) -> _Waiting:
        facts = _Kept(kept, self._layout)
        late = {index: terms(self._plan, self._plan.judged[index], facts) for index in self._late(batch)}
        waits = {f"waits_{index}": each.counts & each.waits for index, each in late.items()}
        table = kept.filter(self._evidence(kept) & reduce(or_, waits.values()))
        flags = {name: whole(flag) for name, flag in waits.items()}
        narrow = table.select(time_us=table.time_us, **self._layout.cells(table, batch), **flags)
        keys = [name for name in narrow.columns if name != "time_us"]
        columns = _fetched(narrow.group_by(keys).agg(first_us=ibis._.time_us.min()))
        return _Waiting(
            batch=batch,
            values=self._layout.values(batch, columns),
            gates={index: columns[f"waits_{index}"] for index in late},
            first_us=columns["first_us"],
        )

    def _grouped(self, kept: Expr, batch: _Batch, slots: Sequence[int]) -> _Groups:
        used = _Kept(kept, self._layout)
        _ = used.lost
        for index in batch.gates:
            terms(self._plan, self._plan.judged[index], used)  # notes what it asks for
        table = kept.filter(self._evidence(kept))
        keys = self._layout.answers(table, used) | self._layout.cells(table, batch)
        if not self._one_rate:
            keys["rate"] = table.rate
        if slots:
            keys["slot"] = _slot(table.time_us, slots, 0, len(slots))
        counted = table.select(time_us=table.time_us, **keys).group_by(list(keys)).agg(units=ibis._.count())
        facts = _Kept(counted, self._layout)
        numbers = {
            f"state_{index}": _State(terms(self._plan, self._plan.judged[index], facts)).number()
            for index in batch.gates
        }
        others = [name for name in counted.columns if not name.startswith(("bits_", "number_"))]
        columns = _fetched(counted.select(*others, lost=whole(facts.lost), **numbers))
        groups = len(columns["units"])
        return _Groups(
            batch=batch,
            values=self._layout.values(batch, columns),
            rate=columns.get("rate", np.full(groups, min(self._plan.fork.rates.values()))),
            lost=columns["lost"],
            states={index: columns[f"state_{index}"] for index in batch.gates},
            count=columns["units"],
            slot=columns.get("slot", np.zeros(groups, np.int64)),
        )

    def _frontiers(self, found: Iterable[_Waiting]) -> dict[tuple[int, str, int], int]:
        """By gate, segment and value's place: the time of the first exchange that waits, where one does."""
        frontiers: dict[tuple[int, str, int], int] = {}
        for waiting in found:
            for index, segment in self._cells_of(waiting.batch):
                if index not in waiting.gates:
                    continue
                waits = waiting.gates[index] > 0
                places = waiting.values[segment][waits]
                for value, time_us in zip(places.tolist(), waiting.first_us[waits].tolist(), strict=True):
                    place = (index, segment, value)
                    frontiers[place] = min(time_us, frontiers.get(place, time_us))
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
        values = groups.values[segment]
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
        if not mine.any():
            return {}
        value, slot = groups.values[segment][mine], groups.slot[mine]
        ready = slot <= np.searchsorted(slots, ends)[value]
        closes = np.array([self._closed(int(end)) for end in ends])
        closed = slot <= np.searchsorted(slots, closes)[value]
        rates, rate = np.unique(groups.rate[mine], return_inverse=True)
        states, state = np.unique(groups.states[index][mine], return_inverse=True)
        shape = (len(ends), len(rates), 2, len(states), 2, 2)
        key = np.ravel_multi_index(
            (value, rate, groups.lost[mine], state, ready.astype(np.int64), (closed & ready).astype(np.int64)), shape
        )
        counts = np.bincount(key, weights=groups.count[mine], minlength=prod(shape))
        filled = np.flatnonzero(counts)
        found: dict[str, Tally] = {}
        read = [self._read(index, int(each)) for each in states]
        places = zip(*np.unravel_index(filled, shape), counts[filled], strict=True)
        for place, at_rate, gone, at_state, is_ready, is_closed, units in places:
            if int(place) not in labels:
                continue
            number, parts = int(units), read[at_state]
            row = {name: part * number if name in _FLAGS else part for name, part in parts.items()}
            row |= {"units": number, "exchanges": number, "lost": int(gone) * number, "rate": int(rates[at_rate])}
            row |= {"ready": bool(is_ready), "closed": bool(is_closed)}
            found.setdefault(labels[int(place)], Tally(int(ends[place]))).add(row)
        return found


def _repeated(hashes: npt.NDArray[np.uint64]) -> bool:
    """Whether two of them are the same. Sorts them."""
    hashes.sort()  # in place: a copy of ten million costs as much as half the sorting
    return bool((hashes[1:] == hashes[:-1]).any())


def _tested_values(plan: Plan, segment: str) -> tuple[str, ...]:
    """The segment's values that some test names."""
    tests = (test for gate in plan.judged for test in gate.tests)
    return tuple(dict.fromkeys(test.value for test in tests if test.segment == segment))


def _fetched(table: Expr) -> dict[str, Ints]:
    found = table.to_pyarrow()
    return {name: found[name].to_numpy().astype(np.int64) for name in found.column_names}


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
