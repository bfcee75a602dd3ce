"""What each test says: its e-values, its interval and its result, with the reason in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gnomon.decide import alarms, hybrid, numbers, weighing, wording
from gnomon.decide.claims import PPM
from gnomon.decide.rows import Levels, Numbers, Row, digits, nine
from gnomon.evidence import catches_all
from gnomon.records.evidence import Cell, Evidence
from gnomon.records.plan import Gate, Plan
from gnomon.records.verdict import Result, TestResult
from gnomon.stats import betting

_UNTESTED = "not tested, because not every gate passes"


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything that one look says, test by test, in the plan's order."""

    tests: tuple[TestResult, ...]
    targets: tuple[TestResult, ...]
    alarms: tuple[str, ...]
    """Harm that is shown inside a margin: sentences, on which no verdict rests."""


def assess(plan: Plan, evidence: Evidence, *, started_us: int) -> tuple[TestResult, ...]:
    """The result of every test of the plan's gates, in its order.

    `pass` needs e >= 1/alpha against the margin, the units, and the duration, all now; a hybrid test needs 2/alpha, or
    its one test at the deadline. `fail` means that e-Holm names the test: shown to be worse than its margin, with all
    tests together wrong at most alpha of the time. A cell that catches the rest and saw nothing passes without numbers,
    unless too much was lost without a row, which may have been there; any other cell without data is inconclusive.
    """
    return assess_all(plan, evidence, started_us=started_us).tests


def assess_all(plan: Plan, evidence: Evidence, *, started_us: int) -> Assessment:
    """The results of the gates, and of the targets, which are tested where every gate passes."""
    rows, found, tests = _gates(plan, evidence, started_us)
    shown = alarms.alarms(plan, rows, found, plan.alpha_ppm / PPM)
    return Assessment(
        tests=tests,
        targets=_targets(plan, evidence, passes(plan, tests), started_us),
        alarms=tuple(sentence for index, sentence in shown.items() if tests[index].result != "fail"),
    )


def passes(plan: Plan, tests: Sequence[TestResult]) -> bool:
    """Every test passes, and at least one of them on data."""
    return all(test.result == "pass" for test in tests) and any(not vacuous(plan, test.cell) for test in tests)


def vacuous(plan: Plan, cell: Cell) -> bool:
    """Whether the cell only catches what no declared value names, and nothing came."""
    return cell.seen == 0 and catches_all(plan, cell.segment, cell.value)


def over_deadline(plan: Plan, evidence: Evidence, started_us: int) -> bool:
    """Sampling ended at the deadline; truth may come for `expected_within` longer, where a gate needs it."""
    if plan.duration.deadline_us is None:
        return False
    needs_truth = plan.truth is not None and any(gate.needs_truth for gate in plan.gates)
    grace_us = plan.truth.expected_within_us if plan.truth is not None and needs_truth else 0
    return evidence.as_of_us > started_us + plan.duration.deadline_us + grace_us


def _gates(plan: Plan, evidence: Evidence, started_us: int) -> tuple[list[Row], list[Numbers], tuple[TestResult, ...]]:
    rows = _rows(plan, plan.gates, evidence.cells[: len(plan.tests)])
    alpha = plan.alpha_ppm / PPM
    found = numbers.compute(plan, evidence, rows, Levels(alpha, promote_tests=1, reject_tests=len(rows)))
    over = over_deadline(plan, evidence, started_us)
    for index, row in enumerate(rows):
        if row.test.n_max is not None:
            p = hybrid.p_value(plan, evidence, row, started_us=started_us, over_deadline=over)
            found[index] = replace(found[index], hybrid_p=None if p is None else digits(p))
    harmed = set(betting.e_holm([now.e_reject for now in found], alpha))
    once, twice, reject_at = digits(1 / alpha), digits(2 / alpha), digits(len(rows) / alpha)
    tests = []
    for index, (row, now) in enumerate(zip(rows, found, strict=True)):
        promote_at = once if row.test.n_max is None else twice
        shown = now.e_promote >= promote_at or (now.hybrid_p is not None and now.hybrid_p <= alpha / 2)
        result: Result = "fail" if index in harmed else _result(plan, evidence, row, now, started_us, shown=shown)
        reason = wording.reason(plan, evidence, row, now, result, promote_at=promote_at, started_us=started_us)
        tests.append(_test(row, now, result, reason, promote_at, reject_at))
    return rows, found, tuple(tests)


def _targets(plan: Plan, evidence: Evidence, tested: bool, started_us: int) -> tuple[TestResult, ...]:
    """Which targets are shown, and which are missed: by Holm's step-down over their sequential p-values, min(1, 1/e).

    At any look each side is wrong with a probability of at most alpha over all targets together, however they depend on
    each other.
    """
    rows = _rows(plan, plan.targets, evidence.cells[len(plan.tests) :])
    alpha = plan.alpha_ppm / PPM
    found = numbers.compute(plan, evidence, rows, Levels(alpha, promote_tests=len(rows), reject_tests=len(rows)))
    reached = set(betting.e_holm([now.e_promote for now in found], alpha))
    missed = set(betting.e_holm([now.e_reject for now in found], alpha))
    at = digits(len(rows) / alpha)
    targets = []
    for index, (row, now) in enumerate(zip(rows, found, strict=True)):
        result: Result = "inconclusive"
        if tested:
            shown = index in reached
            result = "fail" if index in missed else _result(plan, evidence, row, now, started_us, shown=shown)
            reason = wording.reason(plan, evidence, row, now, result, promote_at=at, started_us=started_us)
        else:
            reason = f"{wording.subject(plan, row)}: {_UNTESTED}"
        targets.append(_test(row, now, result, f"Target: {reason}", at, at, soft=True))
    return tuple(targets)


def _rows(plan: Plan, gates: Sequence[Gate], cells: Sequence[Cell]) -> list[Row]:
    tests = [(gate, test) for gate in gates for test in gate.tests]
    return [Row(gate, test, cell, weighing.parts(plan, cell)) for (gate, test), cell in zip(tests, cells, strict=True)]


def _result(plan: Plan, evidence: Evidence, row: Row, now: Numbers, started_us: int, *, shown: bool) -> Result:
    if vacuous(plan, row.cell):
        lost, sampled = evidence.unplaced
        return "inconclusive" if lost * PPM > plan.lost_ppm * sampled else "pass"
    enough = row.cell.units >= max(1, row.test.min_units)
    lasted = row.cell.frontier_us >= started_us + plan.duration.at_least_us
    return "pass" if enough and lasted and shown and now.blocked is None else "inconclusive"


def _test(
    row: Row, now: Numbers, result: Result, reason: str, promote_at: float, reject_at: float, *, soft: bool = False
) -> TestResult:
    return TestResult(
        gate=row.test.gate,
        segment=row.test.segment,
        value=row.test.value,
        result=result,
        reason=reason,
        margin_ppm=row.test.margin_ppm,
        units=row.cell.units,
        needed=row.test.min_units,
        estimate=now.estimate,
        lower=now.lower,
        upper=now.upper,
        e_promote=now.e_promote,
        e_reject=now.e_reject,
        promote_at=promote_at,
        reject_at=reject_at,
        cell=row.cell,
        soft=soft,
        hybrid_p=now.hybrid_p,
        no_estimate=now.no_estimate if row.cell.seen else None,  # no data is no estimate that is missing
        production=nine(now.production),
        candidate=nine(now.candidate),
    )
