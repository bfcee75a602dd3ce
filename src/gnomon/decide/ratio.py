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
    return f"it needs {'; and '.join(problems)}" if problems else None


def numbers(plan: Plan, evidence: Evidence, rows: Sequence[Row], levels: Levels) -> list[Numbers]:
    """The statistics of tests of a ratio of quantiles, in their order. The estimate is the ratio itself."""
    lacks = missing(plan, evidence) if rows else None
    return [_numbers(row, levels, lacks) for row in rows]


def planned_pairs(quantile_ppm: int, min_units: int) -> int:
    """The number of pairs at which the evidence is sharpest: sealed with the plan, and no limit of any kind."""
    return max(min_units, _TUNED * PPM // (PPM - quantile_ppm))


def least_pairs(row: Row, alpha: float) -> int:
    """Pairs below which no data could pass: the upper end of a quantile is infinite."""
    quantile, planned = _quantile(row), planned_pairs(row.gate.quantile_ppm or 0, row.test.min_units)
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
    tail = row.cell.tail
    if tail is None or not tail.pairs:
        return Numbers(None, None, None, 1.0, 1.0, no_estimate="no settled pairs", blocked=lacks)
    infinite = _infinite(row, tail)
    lower, upper = _interval(row, tail, levels.alpha)
    estimate = None
    if tail.production_us and tail.candidate_us is not None:
        estimate = nine(tail.candidate_us / tail.production_us)
    blocked = lacks or infinite
    promote, reject = (1.0, 1.0) if blocked or not tail.edges else _evidence(row, tail, levels)
    return Numbers(
        estimate=estimate,
        lower=nine(lower),
        upper=nine(upper),
        e_promote=digits(promote),
        e_reject=digits(reject),
        production=None if tail.production_us is None else float(tail.production_us),
        candidate=None if tail.candidate_us is None else float(tail.candidate_us),
        no_estimate=infinite or (None if estimate is not None else "the candidate's quantile is infinite: it fails too often"),
        blocked=blocked,
    )


def _infinite(row: Row, tail: Tail) -> str | None:
    """An infinite quantile of production is within any ratio of anything: it proves nothing."""
    if tail.production_us is not None:
        return None
    quantile = share(row.gate.quantile_ppm or 0)
    return f"production's {quantile} quantile is infinite: more than {share(PPM - (row.gate.quantile_ppm or 0))} of its calls failed"


def _evidence(row: Row, tail: Tail, levels: Levels) -> tuple[float, float]:
    edges, a, b, both, cross = _counts(tail)
    quantile, planned = _quantile(row), planned_pairs(row.gate.quantile_ppm or 0, row.test.min_units)
    slow_b, slow_a = b + tail.lost, a + tail.lost
    if quantiles.uses_scan(_bound(row)):
        level = levels.alpha / levels.promote_tests
        promote = quantiles.scan_e(edges, a, slow_b, both, tail.pairs, quantile, level, planned)
    else:
        promote = quantiles.ratio_e(a, slow_b, tail.pairs, quantile, planned)
    reject = quantiles.scan_e_reject(
        edges, slow_a, b, cross, tail.pairs, quantile, levels.alpha, planned, tests=levels.reject_tests
    )
    return float(promote), float(reject)


def _interval(row: Row, tail: Tail, alpha: float) -> tuple[float | None, float | None]:
    """Both ends of the ratio, one-sided at alpha each: those of the two quantiles, at alpha/2. None: open."""
    if not tail.edges:
        return None, None
    edges, a, b, _, _ = _counts(tail)
    bound, quantile = _bound(row), _quantile(row)
    planned = planned_pairs(row.gate.quantile_ppm or 0, row.test.min_units)
    few = int(quantiles.upper_rank(tail.pairs, quantile, alpha / 2, planned))
    many = int(quantiles.lower_rank(tail.pairs, quantile, alpha / 2, planned))
    upper = _over(_first(edges, b + tail.lost <= few), _last(edges, (a >= many) & (many >= 0)))
    lower = _over(_last(edges, (b >= many) & (many >= 0)), _first(edges, a + tail.lost <= few))
    return None if lower is None else bound * lower, None if upper is None else bound * upper


def _first(edges: NDArray[np.int64], where: NDArray[np.bool_]) -> int | None:
    return int(edges[int(np.argmax(where))]) if where.any() else None


def _last(edges: NDArray[np.int64], where: NDArray[np.bool_]) -> int | None:
    return int(edges[np.flatnonzero(where)[-1]]) if where.any() else None


def _over(above: int | None, below: int | None) -> float | None:
    return above / below if above is not None and below else None


def _counts(tail: Tail) -> tuple[NDArray[np.int64], ...]:
    each = (tail.edges, tail.production, tail.candidate, tail.both, tail.cross)
    return tuple(np.asarray(counts, dtype=np.int64) for counts in each)


def _quantile(row: Row) -> float:
    return (row.gate.quantile_ppm or 0) / PPM


def _bound(row: Row) -> float:
    num, den = row.gate.ratio or (1, 1)
    return num / den
