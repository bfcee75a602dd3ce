"""What goes into the statistics of a test, and what comes out."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

from gnomon.decide import weighing
from gnomon.decide.weighing import Part
from gnomon.records.evidence import Cell
from gnomon.records.plan import Gate, Test

RATED: Final = frozenset({"accuracy", "agreement", "share", "error_rate", "latency", "recall", "refusal_rate"})
"""Kinds in which an arm is good or is not, on each exchange."""


@dataclass(frozen=True)
class Row:
    """One test and its counts. Without slots: what is exact is worked out once, for the number and for the sentence."""

    gate: Gate
    test: Test
    cell: Cell
    parts: list[Part]

    @property
    def is_precision(self) -> bool:
        """Whether two rates are held against each other, each over what its own arm flagged."""
        return self.gate.kind == "precision"

    @property
    def is_latency_ratio(self) -> bool:
        """Whether two quantiles are held against each other: the evidence is in the tails."""
        return self.gate.kind == "latency" and self.gate.ratio is not None

    @cached_property
    def known(self) -> bool:
        """Whether each arm has a rate of its own: both are known on every settled exchange that is not lost."""
        counted = self.gate.kind in RATED and not self.is_latency_ratio
        whole = 0 < self.cell.known == self.cell.exchanges - self.cell.lost
        return counted and whole and any(part.known for part in self.parts)

    @cached_property
    def mean(self) -> Fraction | None:
        """The weighted mean of D; None: no data."""
        return weighing.mean(self.parts)

    @cached_property
    def shares(self) -> tuple[Fraction, Fraction]:
        """The share on which production was good, and the candidate's; only where they are `known`."""
        return weighing.shares(self.parts)


@dataclass(frozen=True, slots=True)
class Levels:
    """The error rates of a family of tests."""

    alpha: float
    promote_tests: int
    """1 where all must pass together (intersection-union); their number where Holm names those that do."""
    reject_tests: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """The statistics of one test, rounded as they are recorded."""

    estimate: float | None
    lower: float | None
    upper: float | None
    e_promote: float
    e_reject: float
    production: float | None = None
    candidate: float | None = None
    no_estimate: str | None = None
    hybrid_p: float | None = None
    blocked: str | None = None
    """What keeps the test from saying anything, whatever its counts."""


def nine(value: float | Fraction | None) -> float | None:
    """9 digits behind the point."""
    return None if value is None else round(float(value), 9)


def digits(value: float) -> float:
    """9 significant digits: what two machines agree on."""
    return float(f"{value:.9g}")
