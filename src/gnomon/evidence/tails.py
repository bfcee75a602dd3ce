"""The slow end of both arms' latencies, for a ratio of quantiles: integer bucket edges and counts.

A bucket holds the latencies with the same first 9 significant bits, so it is at most 1/256 wide; edges are integers,
and the same on any engine. A call that failed is infinite, a late one ran at another time and is left out, a lost one
is only counted, and so is a late one that failed: what it would have done in time is unknown. Clusters are not averaged
here: each pair counts, and no decision rests on it (`decide/ratio.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np

from gnomon.evidence import rows
from gnomon.evidence.cells import closed_us
from gnomon.evidence.engine import Engine, fetched
from gnomon.evidence.terms import Facts
from gnomon.log.tables import segment_column
from gnomon.records.evidence import Tail
from gnomon.records.plan import OVERALL, Gate, Plan
from gnomon.stats.quantiles import latency_edge

Expr = Any

INFINITE: Final = 1 << 60
"""The edge of a call that failed."""
_COARSE: Final = 1024
"""Microseconds; a first, cheap count is made in steps of so many. INFINITE is a multiple of it."""
_NONE: Final = -1
"""Below every edge."""
_BITS: Final = 9
_HIGHEST: Final = 42
"""Bits of the longest latency that is told from longer ones: two months."""
_SPARE: Final = 32
"""Pairs over the first edge beyond four times what the quantile leaves, for small numbers of pairs."""
_PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one gate looks at latencies."""

    num: int
    den: int
    quantile_ppm: int

    def rank(self, pairs: int) -> int:
        """Of the quantile among so many (nearest rank), counted from the slowest."""
        return pairs + 1 - max(1, -(-pairs * self.quantile_ppm // _PPM))

    def kept(self, pairs: int) -> int:
        """Pairs that reach the first edge."""
        return 4 * -(-pairs * (_PPM - self.quantile_ppm) // _PPM) + _SPARE


def tails(
    plan: Plan, engine: Engine, table: Expr, gate: Gate, *, started_us: int, end_us: int
) -> dict[tuple[str, str], tuple[Tail, Tail]]:
    """By segment and value: the tail of all settled pairs, and that of the pairs on closed cycles."""
    if gate.ratio is None or gate.quantile_ppm is None:
        raise ValueError(f"gate {gate.id} names no ratio")
    shape = _Shape(*gate.ratio, gate.quantile_ppm)
    closes_us = closed_us(plan, end_us, started_us)
    pairs = _pairs(table, plan, shape, end_us=end_us, closes_us=closes_us)
    found: dict[tuple[str, str], tuple[Tail, Tail]] = {}
    for segment in dict.fromkeys(test.segment for test in gate.tests):
        values = [test.value for test in gate.tests if test.segment == segment]
        every = closed = _of_segment(engine, pairs, segment, values, shape)
        if closes_us < end_us:
            closed = _of_segment(engine, pairs.filter(pairs.closed), segment, values, shape)
        found |= {(segment, value): (every[value], closed[value]) for value in values}
    return found


def _pairs(table: Expr, plan: Plan, shape: _Shape, *, end_us: int, closes_us: int) -> Expr:
    """One narrow row for each pair: latencies, and the longest latency times num/den that the candidate is over.

    The candidate is over (num/den) x exactly where x <= (candidate den - 1) // num.
    """
    facts = Facts(table, as_of_us=0)
    a_failed, b_failed = facts.failed
    a = ibis.cases((a_failed | table.production_latency_us.isnull(), INFINITE), else_=table.production_latency_us)
    b = ibis.cases((b_failed | table.candidate_latency_us.isnull(), INFINITE), else_=table.candidate_latency_us)
    over = ibis.cases((b >= INFINITE, INFINITE), (b * shape.den < 1, _NONE), else_=(b * shape.den - 1) // shape.num)
    segments = [segment_column(name) for name in rows.tested_segments(plan.judged)]
    together = not plan.unit.alone
    ready = table.ready_us if together else table.time_us + 1
    gone = facts.lost | (facts.late & b_failed)
    counts = (~facts.late | gone) & rows.first(plan, table)
    if together:
        counts &= table.counted & (ready <= end_us)
    closed = ready <= closes_us
    return table.select(*segments, counts=counts, closed=closed, gone=gone, a=a, b=b, over=over).filter(ibis._.counts)


def edge(us: Expr) -> Expr:
    """The lower edge of the bucket of a latency (`stats.latency_edge`), in integers; INFINITE and less than 0 stay."""
    exact = us.cast("int64")
    return ibis.cases((us >= INFINITE, INFINITE), else_=_edge(exact, _BITS, _HIGHEST))


def _edge(us: Expr, low: int, high: int) -> Expr:
    """A search by halves for the number of bits; all of less than 9 bits are edges of their own."""
    if low == high:
        return us if low == _BITS else us - us % (1 << (low - _BITS))
    middle = (low + high) // 2
    return ibis.cases((us < (1 << middle), _edge(us, low, middle)), else_=_edge(us, middle + 1, high))


def _of_segment(engine: Engine, pairs: Expr, segment: str, values: Sequence[str], shape: _Shape) -> dict[str, Tail]:
    mine = pairs.mutate(value=ibis.literal("") if segment == OVERALL else pairs[segment_column(segment)])
    mine = mine.filter(mine.value.isin(values))
    # first coarsely, over all pairs: what is slow enough to matter is a few of a hundred
    gone: dict[str, int] = {}
    coarse: dict[str, dict[str, dict[int, int]]] = {"a": {}, "b": {}}
    for row in _count(mine.mutate(a=_coarse(mine.a)), "value", "gone", "a"):
        if row["gone"]:
            gone[row["value"]] = gone.get(row["value"], 0) + row["n"]
        else:
            coarse["a"].setdefault(row["value"], {})[row["a"]] = row["n"]
    both = mine.filter(~mine.gone)
    for row in _count(both.mutate(b=_coarse(both.b)), "value", "b"):
        coarse["b"].setdefault(row["value"], {})[row["b"]] = row["n"]
    counts = {value: sum(found.values()) for value, found in coarse["a"].items()}
    from_a = {each: latency_edge(_start(coarse["a"][each], shape.kept(counts[each]))) for each in counts}
    from_b = {each: _start(coarse["b"][each], shape.rank(counts[each]), infinite=True) for each in counts}
    # the candidate is over num/den times x from (num x) // den + 1 on
    from_b = {each: min(from_b[each], from_a[each] * shape.num // shape.den + 1) for each in counts}
    slow = both.filter((both.a >= _by_value(both, from_a)) | (both.b >= _by_value(both, from_b)))
    slow = engine.keep(slow.select("value", "a", "b", a_edge=edge(slow.a), b_edge=edge(slow.b), over=edge(slow.over)))
    joint: dict[str, list[tuple[int, int, int]]] = {}
    by_arm: dict[str, dict[str, dict[int, int]]] = {}
    for row in _count(slow, "value", "a_edge", "over"):
        joint.setdefault(row["value"], []).append((row["a_edge"], row["over"], row["n"]))
    for name in ("a_edge", "b_edge"):
        for row in _count(slow, "value", name):
            by_arm.setdefault(row["value"], {}).setdefault(name, {})[row[name]] = row["n"]
    starts = {each: _start(by_arm[each]["a_edge"], shape.kept(counts[each])) for each in by_arm}
    ranks = {each: shape.rank(counts[each]) for each in by_arm}
    quantiles = {arm: _quantiles(slow, arm, by_arm, ranks) for arm in ("a", "b")}
    return {
        each: _tail(
            gone.get(each, 0),
            counts.get(each, 0),
            starts.get(each, 0),
            joint.get(each, []),
            (quantiles["a"].get(each), quantiles["b"].get(each)),
        )
        for each in values
    }


def _coarse(us: Expr) -> Expr:
    return us - us % _COARSE


def _count(table: Expr, *names: str) -> list[dict[str, Any]]:
    return fetched(table.group_by(list(names)).agg(n=ibis._.count()))


def _by_value(table: Expr, numbers: Mapping[str, int]) -> Expr:
    """What a mapping says about the row's value."""
    known = [(table.value == value, ibis.literal(number, "int64")) for value, number in numbers.items()]
    return ibis.cases(*known, else_=INFINITE) if known else ibis.literal(INFINITE, "int64")


def _start(edges: Mapping[int, int], kept: int, *, infinite: bool = False) -> int:
    """The highest edge that so many reach; 0 if too few do: then nothing is left out."""
    reached = 0
    for lower in sorted(edges, reverse=True):
        reached += edges[lower]
        if (infinite or lower < INFINITE) and reached >= kept:
            return lower
    return 0


def _quantiles(
    slow: Expr, arm: str, by_arm: Mapping[str, Mapping[str, Mapping[int, int]]], ranks: Mapping[str, int]
) -> dict[str, int | None]:
    """The exact quantile by value: its bucket is known, and the latencies in it are counted."""
    buckets: dict[str, int] = {}
    inside_rank: dict[str, int] = {}
    for value, found in by_arm.items():
        edges, left = found[f"{arm}_edge"], ranks[value]
        for lower in sorted(edges, reverse=True):
            if left <= edges[lower]:
                buckets[value], inside_rank[value] = lower, left
                break
            left -= edges[lower]
    inside = slow.filter(slow[f"{arm}_edge"] == _by_value(slow, buckets))
    latencies: dict[str, dict[int, int]] = {}
    for row in _count(inside, "value", arm):
        latencies.setdefault(row["value"], {})[row[arm]] = row["n"]
    return {value: _ranked(found, inside_rank[value]) for value, found in latencies.items() if value in inside_rank}


def _ranked(latencies: Mapping[int, int], rank: int) -> int | None:
    """The latency of that rank from the slowest; None: infinite."""
    reached = 0
    for latency in sorted(latencies, reverse=True):
        reached += latencies[latency]
        if reached >= rank:
            return None if latency >= INFINITE else latency
    return None


def _tail(
    gone: int, pairs: int, start: int, joint: Sequence[tuple[int, int, int]], quantiles: tuple[int | None, int | None]
) -> Tail:
    edges = np.array(sorted({a for a, _, _ in joint if start <= a < INFINITE} | ({start} if pairs else set())))
    a, over, n = (np.array([row[part] for row in joint], dtype=np.int64) for part in range(3))
    # the place of the last edge that each reaches, and how many reach each edge: sums from the end
    a_place, over_place = (np.searchsorted(edges, each, side="right") for each in (a, over))
    size = len(edges) + 1

    def reaching(place: Any) -> tuple[int, ...]:  # noqa: ANN401  an array
        counts = np.bincount(place, weights=n, minlength=size + 1)
        return tuple(int(count) for count in counts[::-1].cumsum()[::-1][1:size])

    # both: production reaches the next edge too, so it is one place lower; infinite ones reach the one after the last
    next_a = np.where(a >= INFINITE, size, a_place) - 1
    next_over = np.where(over >= INFINITE, size, over_place) - 1
    return Tail(
        pairs=pairs + gone,
        lost=gone,
        edges=tuple(int(lower) for lower in edges),
        production=reaching(a_place),
        candidate=reaching(over_place),
        both=reaching(np.maximum(np.minimum(next_a, over_place), 0)),
        cross=reaching(np.maximum(np.minimum(a_place, next_over), 0)),
        production_us=quantiles[0],
        candidate_us=quantiles[1],
    )
