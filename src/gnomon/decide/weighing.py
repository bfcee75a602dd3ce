"""The weights of a cell's counts, and the means that are weighted by them.

A unit that was sampled at rate p weighs p_min / p, p_min being the plan's lowest rate: what is drawn more often does
not count for more. Everything is exact (fractions), so that nothing depends on an order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gnomon.records.evidence import GRID, AtRate, Cell, Histogram
from gnomon.records.plan import Plan

_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a cell has one weight."""

    weight: Fraction
    """In (0, 1]."""
    factor: float
    """The same, as a bet is multiplied by it."""
    low: Histogram
    high: Histogram
    known: int
    production_good: int
    candidate_good: int
    grid: int = GRID
    reference_low: Histogram = ()
    reference_high: Histogram = ()


def parts(plan: Plan, cell: Cell) -> list[Part]:
    """The cell's counts by their weight. One part of weight 1 where the plan has one rate."""
    if not cell.by_rate:
        return [_part(_ONE, 1.0, cell, cell.grid)]
    lowest = min(plan.fork.rates.values())
    weights = [Fraction(lowest, each.probability) for each in cell.by_rate]
    return [_part(weight, float(weight), each, cell.grid) for weight, each in zip(weights, cell.by_rate, strict=True)]


def _part(weight: Fraction, factor: float, each: Cell | AtRate, grid: int) -> Part:
    return Part(
        weight,
        factor,
        each.low,
        each.high,
        each.known,
        each.production_good,
        each.candidate_good,
        grid,
        each.reference_low,
        each.reference_high,
    )


def mean(each: Sequence[Part]) -> Fraction | None:
    """The mean of D over the units that can promote, before there are any over those that can reject; None: no data.

    Hajek's ratio: the weighted sum over the sum of the weights.
    """
    low = any(part.low for part in each)
    return mean_of([(part.weight, part.low if low else part.high) for part in each], each[0].grid)


def mean_of(weighted: Sequence[tuple[Fraction, Histogram]], grid: int) -> Fraction | None:
    """The weighted mean of histograms in steps of 1/grid; None: they are empty."""
    if len(weighted) == 1:  # the weight falls out
        units, steps = _sums(weighted[0][1])
        return Fraction(steps, grid * units) if units else None
    whole = total = Fraction(0)
    for weight, histogram in weighted:
        units, steps = _sums(histogram)
        whole += weight * units
        total += weight * steps
    return total / (grid * whole) if whole else None


def shares(each: Sequence[Part]) -> tuple[Fraction, Fraction]:
    """Of the exchanges whose outcome is known: the share on which production was good, and the candidate's."""
    if len(each) == 1:  # the weight falls out
        (part,) = each
        return Fraction(part.production_good, part.known), Fraction(part.candidate_good, part.known)
    known = sum((part.weight * part.known for part in each), Fraction(0))
    production = sum((part.weight * part.production_good for part in each), Fraction(0))
    candidate = sum((part.weight * part.candidate_good for part in each), Fraction(0))
    return production / known, candidate / known


def _sums(histogram: Histogram) -> tuple[int, int]:
    return sum(count for _, count in histogram), sum(value * count for value, count in histogram)
