"""Rows of the table, and what makes one hold."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One line of the table. `naive` is the obvious way that is wrong, on the same simulated data."""

    id: str
    scenario: str
    target: str
    measured: float
    naive: float | None
    holds: bool


def limit(trials: int) -> float:
    """Alpha and three standard errors: what an observed rate of at most alpha stays under."""
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)


def false_rate(name: str, scenario: str, wrong: Flags, naive: Flags | None = None, *, teeth: bool = True) -> Row:
    """Trials that must not end this way. With teeth the naive rate has to be above the limit."""
    most = limit(len(wrong))
    measured, beside = float(wrong.mean()), None if naive is None else float(naive.mean())
    holds = measured <= most and (beside is None or not teeth or beside > most)
    return Row(name, scenario, f"<= {most:.4f}", measured, beside, holds)


def at_most(name: str, scenario: str, measured: float, most: float, naive: float | None = None) -> Row:
    """A figure that must not be larger. A naive one has to be larger."""
    return Row(name, scenario, f"<= {most:g}", measured, naive, measured <= most and (naive is None or naive > most))


def at_least(name: str, scenario: str, measured: float, least: float, naive: float | None = None) -> Row:
    """A figure that must not be smaller. A naive one has to be smaller."""
    return Row(name, scenario, f">= {least:g}", measured, naive, measured >= least and (naive is None or naive < least))


def text(row: Row) -> str:
    """One line of the printed table."""
    naive = "" if row.naive is None else figure(row.naive)
    holds = "yes" if row.holds else "NO"
    return f"{row.id:7}{row.scenario:76}{row.target:>12}{figure(row.measured):>11}{naive:>11}  {holds}"


HEADER = f"{'id':7}{'scenario':76}{'target':>12}{'measured':>11}{'naive':>11}  holds"


def figure(value: float) -> str:
    """Rates with four decimals, counts of units without."""
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4f}"
