"""The sentences of a verdict: what was found, in which numbers, for people."""

from collections.abc import Sequence
from fractions import Fraction

from gnomon.decide import weighing
from gnomon.evidence import catches_all, top
from gnomon.records.evidence import Cell
from gnomon.records.plan import OVERALL, Gate, Plan, Test
from gnomon.records.verdict import Result

_GOOD = {"accuracy": "right", "agreement": "agreed", "error_rate": "answered", "latency": "within the limit"}
_NOUN = {"accuracy": "accuracy", "agreement": "agreement", "error_rate": "error rate", "latency": "latency"}


def place(segment: str, value: str) -> str:
    """`overall`, or `source=tweets`."""
    return OVERALL if segment == OVERALL else f"{segment}={value}"


def subject(gate: Gate, test: Test) -> str:
    """What the test looks at: `accuracy of label on source=tweets`."""
    of = f" of {gate.output}" if gate.output else ""
    where = OVERALL if test.segment == OVERALL else f"on {test.cell}"
    return f"{_NOUN[gate.kind]}{of} {where}"


def reason(
    plan: Plan, gate: Gate, test: Test, cell: Cell, result: Result, e_promote: float, e_reject: float, started_us: int
) -> str:
    """One sentence with the numbers that decide, or with what is still missing."""
    head = subject(gate, test)
    if cell.seen == 0:
        return f"{head}: {_nothing(plan, test)}"
    tail = _tail(cell)
    if result == "fail":
        return f"{head}: {_harm(gate, test)}: {numbers(plan, gate, cell)}; e {short(e_reject)}{tail}"
    if result == "pass":
        sequential = f"e {short(e_promote)}, sequential p {min(1.0, 1 / e_promote):.2g}"
        return f"{head}: {_fine(gate, test)}: {numbers(plan, gate, cell)}; {sequential}{tail}"
    return f"{head}: {_missing(plan, test, cell, e_promote, started_us)}; {numbers(plan, gate, cell)}{tail}"


def numbers(plan: Plan, gate: Gate, cell: Cell) -> str:
    """What was counted: both arms' rates where every pair has them, else who was better how often.

    Rates and means are those of the traffic: weighted, where strata have different sampling rates. Units are counts.
    """
    each = weighing.parts(plan, cell)
    histogram = cell.low or cell.high
    units = sum(count for _, count in histogram)
    if not units:
        return "no settled units"
    if cell.known and cell.known == cell.exchanges - cell.lost:
        production, candidate = weighing.shares(each)
        against = f" against {percent(production)}" if gate.kind in {"accuracy", "error_rate"} else ""
        return f"{percent(candidate)} {_GOOD[gate.kind]}{against}, {count(units, 'unit')}"
    better = sum(count for value, count in histogram if value > 0)
    worse = sum(count for value, count in histogram if value < 0)
    return f"the candidate is better on {better} and worse on {worse} of {count(units, 'unit')} ({signed(each)})"


def signed(each: Sequence[weighing.Part]) -> str:
    """The mean of D in percentage points, over at least one unit."""
    return f"{float(100 * (weighing.mean(each) or Fraction(0))):+.1f} pp"


def percent(share_of: Fraction) -> str:
    """A share of the traffic: `83.1 %`."""
    return f"{float(100 * share_of):.1f} %"


def points(ppm: int) -> str:
    """A margin: `4.0 pp`."""
    shown = ppm / 10_000
    return f"{shown:.1f} pp" if round(shown, 1) == shown else f"{shown:g} pp"


def share(ppm: int) -> str:
    """A declared share: `0.5 %`."""
    return f"{ppm / 10_000:g} %"


def count(number: int, noun: str) -> str:
    """A number and its noun: `1 unit`, `1,200 units`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def short(e_value: float) -> str:
    """An e-value for people."""
    return f"{e_value:,.0f}" if 100 <= e_value < 1e6 else f"{e_value:.3g}"


def span(us: int) -> str:
    """A duration in its largest fitting unit."""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us / 1_000_000:.3g} s"


def _nothing(plan: Plan, test: Test) -> str:
    return "no request fell here" if catches_all(plan, test.segment, test.value) else "no data"


def _harm(gate: Gate, test: Test) -> str:
    if top(gate) == 0:
        return f"more than {share(test.margin_ppm)} of the candidate's answers {_BAD[gate.kind]}"
    if test.margin_ppm == 0:
        return "the candidate is worse"
    return f"the candidate is worse by more than {points(test.margin_ppm)}"


def _fine(gate: Gate, test: Test) -> str:
    if top(gate) == 0:
        return f"less than {share(test.margin_ppm)} of the candidate's answers {_BAD[gate.kind]}"
    if test.margin_ppm == 0:
        return "the candidate is better"
    return f"the candidate is not worse by {points(test.margin_ppm)} or more"


_BAD = {"agreement": "differ from production's", "error_rate": "are failures", "latency": "are over the limit"}


def _missing(plan: Plan, test: Test, cell: Cell, e_promote: float, started_us: int) -> str:
    """What keeps the test from passing, the first thing first."""
    if plan.duration.cycle_us and not cell.low and cell.high:
        return "no cycle of traffic is closed yet"
    if cell.units < max(1, test.min_units):
        return f"{cell.units:,} of {count(max(1, test.min_units), 'unit')}"
    needed = 1_000_000 / plan.alpha_ppm
    if e_promote < needed:
        return f"not shown yet, e is {short(e_promote)} and must reach {short(needed)}"
    ran_us = max(0, cell.frontier_us - started_us)
    return f"{span(ran_us)} of at least {span(plan.duration.at_least_us)} are settled"


def _tail(cell: Cell) -> str:
    """What was not a plain pair, if anything."""
    parts = [
        f"{number:,} {what}"
        for number, what in (
            (cell.lost, "lost and counted as worst"),
            (cell.imputed, "without truth in time and counted as worst"),
            (cell.waiting, "waiting"),
        )
        if number
    ]
    return f" ({'; '.join(parts)})" if parts else ""
