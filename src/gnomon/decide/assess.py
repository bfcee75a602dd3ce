"""What each test says: its e-values, its interval and its result, with the reason in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gnomon.decide import weighing, wording
from gnomon.evidence import catches_all, top
from gnomon.records.evidence import Cell, Evidence
from gnomon.records.plan import Gate, Plan, Test
from gnomon.records.verdict import Result, TestResult
from gnomon.stats import betting

_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The statistics of one test, rounded as they are recorded."""

    estimate: float | None
    lower: float | None
    upper: float | None
    e_promote: float
    e_reject: float


def assess(plan: Plan, evidence: Evidence, *, started_us: int) -> tuple[TestResult, ...]:
    """The result of every test of the plan, in its order.

    `pass` needs e >= 1/alpha against the margin, the units, and the duration, all now. `fail` means that e-Holm names
    the test: shown to be worse than its margin, with all tests together wrong at most alpha of the time. A cell that
    catches the rest and saw nothing passes without numbers; any other cell without data is inconclusive.
    """
    gates = [gate for gate in plan.gates for _ in gate.tests]
    alpha = plan.alpha_ppm / _PPM
    numbers = _numbers(plan, gates, evidence.cells, alpha)
    harmed = set(betting.e_holm([each.e_reject for each in numbers], alpha))
    results = []
    for index, (gate, test, cell) in enumerate(zip(gates, plan.tests, evidence.cells, strict=True)):
        now = numbers[index]
        result = "fail" if index in harmed else _result(plan, test, cell, now, started_us)
        results.append(
            TestResult(
                gate=test.gate,
                segment=test.segment,
                value=test.value,
                result=result,
                reason=wording.reason(plan, gate, test, cell, result, now.e_promote, now.e_reject, started_us),
                margin_ppm=test.margin_ppm,
                units=cell.units,
                needed=test.min_units,
                estimate=now.estimate,
                lower=now.lower,
                upper=now.upper,
                e_promote=now.e_promote,
                e_reject=now.e_reject,
                promote_at=_digits(1 / alpha),
                reject_at=_digits(len(gates) / alpha),
                cell=cell,
            )
        )
    return tuple(results)


def vacuous(plan: Plan, cell: Cell) -> bool:
    """Whether the cell only catches what no declared value names, and nothing came."""
    return cell.seen == 0 and catches_all(plan, cell.segment, cell.value)


def _result(plan: Plan, test: Test, cell: Cell, now: _Numbers, started_us: int) -> Result:
    if vacuous(plan, cell):
        return "pass"
    enough = cell.units >= max(1, test.min_units)
    lasted = cell.frontier_us >= started_us + plan.duration.at_least_us
    shown = now.e_promote >= _digits(_PPM / plan.alpha_ppm)
    return "pass" if enough and lasted and shown else "inconclusive"


def _numbers(plan: Plan, gates: Sequence[Gate], cells: Sequence[Cell], alpha: float) -> list[_Numbers]:
    """Every statistic of every test at once."""
    claims = [_claim(gate, test) for gate, test in zip(gates, plan.tests, strict=True)]
    parts = [weighing.parts(plan, cell) for cell in cells]
    low, low_values, low_weights = betting.tabulate_weighted(
        [[(float(part.weight), part.low) for part in each] for each in parts]
    )
    high, high_values, high_weights = betting.tabulate_weighted(
        [[(float(part.weight), part.high) for part in each] for each in parts]
    )
    promote = betting.e_promote(low, low_values, claims, low_weights)
    reject = betting.e_reject(high, high_values, claims, high_weights)
    lower = betting.lower_bounds(low, low_values, claims, alpha, low_weights)
    upper = betting.upper_bounds(high, high_values, claims, alpha, high_weights)
    return [
        _Numbers(
            estimate=_nine(weighing.mean(parts[index])),
            lower=round(float(lower[index]), 9) if cell.low else None,
            upper=round(float(upper[index]), 9) if cell.high else None,
            e_promote=_digits(float(promote[index])),
            e_reject=_digits(float(reject[index])),
        )
        for index, cell in enumerate(cells)
    ]


def _claim(gate: Gate, test: Test) -> betting.Claim:
    return betting.Claim(
        margin=test.margin_ppm / _PPM,
        disagreement=test.disagreement_ppm / _PPM,
        difference=test.difference_ppm / _PPM,
        top=top(gate),
    )


def _nine(mean: Fraction | None) -> float | None:
    """A mean of D, 9 digits."""
    return None if mean is None else round(float(mean), 9)


def _digits(value: float) -> float:
    """9 significant digits: what two machines agree on."""
    return float(f"{value:.9g}")
