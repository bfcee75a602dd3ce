"""Exchanges that came after their cluster was closed: they are read by no test, and may hold what no test sees.

To count them would change a unit that was already read, or make two dependent ones of it. A candidate that is bad only
on users who return would be promoted on those who came once: so where they are more than may be lost, nothing is.
"""

from typing import Final

from gnomon.decide.claims import PPM
from gnomon.decide.words import count
from gnomon.records.evidence import Cell, Evidence
from gnomon.records.plan import OVERALL, Plan

WHAT: Final = "came after their cluster was closed (unit.closes_after) and are not counted"


def over_limit(plan: Plan, evidence: Evidence) -> list[str]:
    """The gates' cells in which more are left out than may be lost: a sentence each."""
    cells = {test.cell: cell for test, cell in zip(plan.tests, evidence.cells, strict=False)}
    return [_sentence(name, cell) for name, cell in cells.items() if cell.left_out * PPM > plan.lost_ppm * cell.seen]


def _sentence(name: str, cell: Cell) -> str:
    where = name if name == OVERALL else f"on {name}"
    return f"{cell.left_out:,} of {count(cell.seen, 'exchange')} {where} {WHAT}; a longer closes_after counts them"
