"""The weights of a cell's counts, and the means that are weighted by them.

A unit that was sampled at rate p weighs p_min / p, p_min being the plan's lowest rate: what is drawn more often does
not count for more. Everything is exact (fractions), so that nothing depends on an order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gnomon.records.evidence import GRID, AtRate, Cell, Histogram
from gnomon.records.plan import Plan


@dataclass(frozen=True, slots=True)
class Part:
    """What of a cell has one weight."""

    weight: Fraction
    """In (0, 1]."""
    low: Histogram
    high: Histogram
    known: int
    production_good: int
    candidate_good: int


def parts(plan: Plan, cell: Cell) -> list[Part]:
    """The cell's counts by their weight. One part of weight 1 where the plan has one rate."""
    lowest = min(plan.fork.rates.values())
    groups: list[tuple[Fraction, Cell | AtRate]] = [(Fraction(1), cell)]
    if cell.by_rate:
        groups = [(Fraction(lowest, each.probability), each) for each in cell.by_rate]
    return [
        Part(weight, each.low, each.high, each.known, each.production_good, each.candidate_good)
        for weight, each in groups
    ]


def mean(each: Sequence[Part]) -> Fraction | None:
    """The mean of D over the units that can promote, before there are any over those that can reject; None: no data.

    Hajek's ratio: the weighted sum over the sum of the weights.
    """
    histograms = [part.low for part in each] if any(part.low for part in each) else [part.high for part in each]
    whole = total = Fraction(0)
    for part, histogram in zip(each, histograms, strict=True):
        whole += part.weight * sum(count for _, count in histogram)
        total += part.weight * sum(value * count for value, count in histogram)
    return total / (GRID * whole) if whole else None


def shares(each: Sequence[Part]) -> tuple[Fraction, Fraction]:
    """Of the exchanges whose outcome is known: the share on which production was good, and the candidate's."""
    known = sum((part.weight * part.known for part in each), Fraction(0))
    production = sum((part.weight * part.production_good for part in each), Fraction(0))
    candidate = sum((part.weight * part.candidate_good for part in each), Fraction(0))
    return production / known, candidate / known
