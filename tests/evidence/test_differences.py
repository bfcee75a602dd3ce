"""What D is, exchange by exchange: each row of the tables below is one exchange alone in the log."""

from pathlib import Path
from typing import Any

import pytest

from tests.evidence.trial_log import a_gate, a_log, a_plan, a_truth, an_exchange, differs, fails

LATENCY = a_gate("latency", "at_most", margin_ppm=10_000, limit_us=5_000)
LIMIT = a_gate("error_rate", "at_most", margin_ppm=10_000)
AGREEMENT = a_gate("agreement", "at_least", margin_ppm=100_000)
BOTH_FAILED = fails(1, "production", candidate_outcome="timeout", output_label_candidate=None)
EXPIRED = an_exchange(1, state="expired")
SLOW = an_exchange(1, candidate_latency_us=5_001)


def value(histogram: tuple[tuple[int, int], ...]) -> int | None:
    """The only unit's D; None without a unit."""
    if not histogram:
        return None
    ((steps, count),) = histogram
    assert count == 1
    return steps // 40


@pytest.mark.parametrize(
    ("gate", "row", "truth", "low", "high"),
    [
        # accuracy, truth known
        (a_gate(), an_exchange(1), None, 0, 0),
        (a_gate(), an_exchange(1), '"b"', 0, 0),
        (a_gate(), differs(1), '"a"', -1, -1),
        (a_gate(), differs(1), '"b"', 1, 1),
        (a_gate(), differs(1), '"c"', 0, 0),
        (a_gate(), fails(1, "candidate"), '"a"', -1, -1),
        (a_gate(), fails(1, "candidate"), '"c"', 0, 0),
        (a_gate(), fails(1, "production"), '"a"', 1, 1),
        (a_gate(), fails(1, "production"), '"c"', 0, 0),
        (a_gate(), BOTH_FAILED, None, 0, 0),
        # accuracy, truth overdue: as bad and as good as it can still be, given who failed
        (a_gate(), differs(1), None, -1, 1),
        (a_gate(), fails(1, "candidate"), None, -1, 0),
        (a_gate(), fails(1, "production"), None, 0, 1),
        (a_gate(), EXPIRED, '"a"', -1, 1),
        # agreement
        (AGREEMENT, an_exchange(1), None, 0, 0),
        (AGREEMENT, differs(1), None, -1, -1),
        (AGREEMENT, fails(1, "candidate"), None, -1, -1),
        (AGREEMENT, fails(1, "production"), None, -1, -1),
        (AGREEMENT, BOTH_FAILED, None, -1, -1),
        (AGREEMENT, EXPIRED, None, -1, 0),
        # error rate
        (a_gate("error_rate"), fails(1, "candidate"), None, -1, -1),
        (a_gate("error_rate"), fails(1, "production"), None, 1, 1),
        (a_gate("error_rate"), BOTH_FAILED, None, 0, 0),
        (a_gate("error_rate"), EXPIRED, None, -1, 1),
        (LIMIT, fails(1, "candidate"), None, -1, -1),
        (LIMIT, fails(1, "production"), None, 0, 0),
        (LIMIT, BOTH_FAILED, None, -1, -1),
        (LIMIT, EXPIRED, None, -1, 0),
        # latency: the limit itself is kept
        (LATENCY, an_exchange(1, candidate_latency_us=5_000), None, 0, 0),
        (LATENCY, SLOW, None, -1, -1),
        (LATENCY, fails(1, "candidate", candidate_latency_us=10), None, -1, -1),
        (LATENCY, an_exchange(1, candidate_latency_us=None), None, -1, -1),
        (LATENCY, SLOW | {"late": True}, None, None, None),
        (LATENCY, fails(1, "candidate", late=True), None, -1, 0),
        (LATENCY, fails(1, "production", late=True), None, None, None),
        (LATENCY, EXPIRED | {"late": True}, None, -1, 0),
    ],
)
def test_each_outcome_has_its_difference(
    tmp_path: Path, gate: Any, row: dict[str, Any], truth: str | None, low: int | None, high: int | None
) -> None:
    log = a_log(tmp_path, a_plan(gate), [row], [a_truth(1, truth)] if truth else [])

    cell = log.gather(as_of=2_000).cells[0]

    assert (value(cell.low), value(cell.high)) == (low, high)


@pytest.mark.parametrize(("answer", "expected"), [(1.5, 1), (1.51, -1), (0.5, 1), (float("nan"), -1)])
def test_a_number_is_right_within_the_tolerance(tmp_path: Path, answer: float, expected: int) -> None:
    """The other arm is off by more than the tolerance when `answer` is within it, and right when it is not."""
    other = 9.0 if expected == 1 else 1.0
    row = differs(1, output_label_production=other, output_label_candidate=answer)
    log = a_log(tmp_path, a_plan(compare="number", tolerance=0.5), [row], [a_truth(1, "1", number=1.0)])
    assert value(log.gather().cells[0].low) == expected


def test_rates_of_both_arms_are_counted_where_truth_is_known(tmp_path: Path) -> None:
    rows = [an_exchange(1), an_exchange(2), differs(3), differs(4), fails(5, "candidate")]
    truths = [a_truth(1, '"a"'), a_truth(2, '"x"'), a_truth(3, '"a"'), a_truth(4, '"b"'), a_truth(5, '"a"')]

    cell = a_log(tmp_path, a_plan(), rows, truths).gather().cells[0]

    assert (cell.known, cell.production_good, cell.candidate_good) == (5, 3, 2)
