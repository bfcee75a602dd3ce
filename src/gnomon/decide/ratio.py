"""A quantile of the candidate's latency against one of production's: the statistics, and what they must rest on.

Lost pairs are where they hurt the side that is tested: for a promotion the candidate was infinitely slow and
production quick, for a rejection the other way round.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gnomon.decide.claims import PPM
from gnomon.decide.rows import Levels, Numbers, Row, digits, nine
from gnomon.decide.words import count, percent_of, share, span
from gnomon.records.evidence import Evidence, Tail
from gnomon.records.plan import Plan
from gnomon.stats import quantiles

_ALWAYS = 1 << 32
_LAGGING_PPM = 10_000  # a p99 of the start lag
_TUNED = 100  # exceedances of the quantile at which the evidence is sharpest, if `samples` asks for no more units
_SIDE = 0.1  # of alpha: either side of the scan's confidence sequence


def missing(plan: Plan, evidence: Evidence) -> str | None:
    """What a ratio of latencies cannot be believed without, and is not there; None: all of it is.

    Both arms must have been measured at the same time and under the same load.
    """
    lagging, pairs = evidence.lagging
    problems = []
    if plan.fork.mode != "sync":
        problems.append("mode: sync, so that both arms are called at the same time")
    rates = set(plan.fork.rates.values())
    if len(rates) > 1:
        problems.append("one shadow rate, so that the pairs are composed as the traffic is")
    elif rates != {_ALWAYS} and plan.candidate.capacity_ppm is None:
        problems.append("a load statement: a shadow rate of 100 %, or candidate.capacity as a share of production's")
    if lagging * PPM > _LAGGING_PPM * pairs:
        late = f"{percent_of(lagging, pairs)} of {count(pairs, 'pair')} did"
        problems.append(
            f"a candidate that starts within {span(plan.start_lag_us)} of production in 99 % of the pairs ({late} not)"
        )
    if not plan.unit.alone:
        problems.append("units of one exchange: pairs that belong together are not independent, and each is counted")
    return f"it needs {'; and '.join(problems)}" if problems else None


def numbers(plan: Plan, evidence: Evidence, rows: Sequence[Row], levels: Levels) -> list[Numbers]:
    """The statistics of tests of a ratio of quantiles, in their order. The estimate is the ratio itself."""
    lacks = missing(plan, evidence) if rows else None
    if not plan.unit.alone:  # their interval would be too narrow, too
        return [Numbers(None, None, None, 1.0, 1.0, no_estimate=lacks, blocked=lacks) for _ in rows]
    return [_numbers(row, levels, lacks) for row in rows]


def slower(row: Row, alpha: float) -> float | None:
    """The lower end of the ratio at alpha; None: open."""
    return _lower(row, row.cell.tail, alpha)


def planned_pairs(quantile_ppm: int, min_units: int) -> int:
    """The number of pairs at which the evidence is sharpest: sealed with the plan, and no limit of any kind."""
    return max(min_units, _TUNED * PPM // (PPM - quantile_ppm))


def least_pairs(row: Row, alpha: float) -> int:
    """Pairs below which no data could pass: the upper end of a quantile is infinite."""
    quantile, planned = _quantile(row), _planned(row)
    level = _SIDE * alpha if quantiles.uses_scan(_bound(row)) else alpha / 2
    return _finite_from(quantile, level, planned)


@lru_cache(maxsize=256)
def _finite_from(quantile: float, level: float, planned: int) -> int:
    low, high = 0, 1
    while quantiles.e_quantile_below(0, high, quantile, planned) < 1 / level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        reached = quantiles.e_quantile_below(0, middle, quantile, planned) >= 1 / level
        low, high = (low, middle) if reached else (middle, high)
    return high


def _numbers(row: Row, levels: Levels, lacks: str | None) -> Numbers:
    closed, every = row.cell.closed_tail, row.cell.tail
    shown = closed if closed is not None and closed.pairs else every
    if shown is None or not shown.pairs:
        return Numbers(None, None, None, 1.0, 1.0, no_estimate="no settled pairs", blocked=lacks)
    infinite = _infinite(row, shown)
    blocked = lacks or infinite
    estimate = None
    if shown.production_us and shown.candidate_us is not None:
        estimate = shown.candidate_us / shown.production_us
    return Numbers(
        estimate=nine(estimate),
        lower=nine(_lower(row, every, levels.alpha)),
        upper=nine(_upper(row, closed, levels.alpha)),
        e_promote=1.0 if blocked else digits(_promote(row, closed, levels)),
        e_reject=1.0 if blocked else digits(_reject(row, every, levels)),
        production=None if shown.production_us is None else float(shown.production_us),
        candidate=None if shown.candidate_us is None else float(shown.candidate_us),
        no_estimate=infinite or (_ENDLESS if estimate is None else None),
        blocked=blocked,
    )


_ENDLESS = "the candidate's quantile is infinite: it fails too often"


def _infinite(row: Row, tail: Tail) -> str | None:
    """An infinite quantile of production is within any ratio of anything: it proves nothing."""
    if tail.production_us is not None:
        return None
    quantile_ppm = row.gate.quantile_ppm or 0
    failed = f"more than {share(PPM - quantile_ppm)} of its calls failed"
    return f"production's {share(quantile_ppm)} quantile is infinite: {failed}"


def _promote(row: Row, tail: Tail | None, levels: Levels) -> float:
    if tail is None or not tail.edges:
        return 1.0
    edges, a, b, both, _ = _counts(tail)
    quantile, planned, slow_b = _quantile(row), _planned(row), b + tail.lost
    if not quantiles.uses_scan(_bound(row)):
        return float(quantiles.ratio_e(a, slow_b, tail.pairs, quantile, planned))
    level = levels.alpha / levels.promote_tests
    return float(quantiles.scan_e(edges, a, slow_b, both, tail.pairs, quantile, level, planned))


def _reject(row: Row, tail: Tail | None, levels: Levels) -> float:
    if tail is None or not tail.edges:
        return 1.0
    edges, a, b, _, cross = _counts(tail)
    return float(
        quantiles.scan_e_reject(
            edges,
            a + tail.lost,
            b,
            cross,
            tail.pairs,
            _quantile(row),
            levels.alpha,
            _planned(row),
            tests=levels.reject_tests,
        )
    )


def _upper(row: Row, tail: Tail | None, alpha: float) -> float | None:
    """The upper end of the ratio at alpha: those of the two quantiles, at alpha/2 each. None: open."""
    if tail is None or not tail.edges:
        return None
    edges, a, b, _, _ = _counts(tail)
    few, many = _ranks(tail.pairs, _quantile(row), alpha / 2, _planned(row))
    slowest, quickest = _first(edges, b + tail.lost <= few), _last(edges, (a >= many) & (many >= 0))
    return None if slowest is None or not quickest else _bound(row) * slowest / quickest


def _lower(row: Row, tail: Tail | None, alpha: float) -> float | None:
    """The lower end, likewise."""
    if tail is None or not tail.edges:
        return None
    edges, a, b, _, _ = _counts(tail)
    few, many = _ranks(tail.pairs, _quantile(row), alpha / 2, _planned(row))
    quickest, slowest = _last(edges, (b >= many) & (many >= 0)), _first(edges, a + tail.lost <= few)
    return None if quickest is None or not slowest else _bound(row) * quickest / slowest


@lru_cache(maxsize=1024)
def _ranks(pairs: int, quantile: float, level: float, planned: int) -> tuple[int, int]:
    """How many may be over a quantile's upper end, and how many must reach its lower end; -1: open."""
    return (
        int(quantiles.upper_rank(pairs, quantile, level, planned)),
        int(quantiles.lower_rank(pairs, quantile, level, planned)),
    )


def _first(edges: NDArray[np.int64], where: NDArray[np.bool_]) -> int | None:
    return int(edges[int(np.argmax(where))]) if where.any() else None


def _last(edges: NDArray[np.int64], where: NDArray[np.bool_]) -> int | None:
    return int(edges[np.flatnonzero(where)[-1]]) if where.any() else None


def _counts(tail: Tail) -> tuple[NDArray[np.int64], ...]:
    each = (tail.edges, tail.production, tail.candidate, tail.both, tail.cross)
    return tuple(np.asarray(counts, dtype=np.int64) for counts in each)


def _quantile(row: Row) -> float:
    return (row.gate.quantile_ppm or 0) / PPM


def _planned(row: Row) -> int:
    return planned_pairs(row.gate.quantile_ppm or 0, row.test.min_units)


def _bound(row: Row) -> float:
    num, den = row.gate.ratio or (1, 1)
    return num / den
