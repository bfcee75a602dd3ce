"""Targets: tested by Holm once every gate passes, reported, and never in the way."""

import pytest
from msgspec import structs

from gnomon.records.evidence import Histogram
from gnomon.records.plan import Plan
from tests.decide.parts import (
    EQUAL,
    FEW,
    HARMED,
    OTHER,
    TWEETS,
    WHOLE,
    a_cell,
    accuracy,
    gate_of,
    some_evidence,
    verdict_on,
)
from tests.evidence.trial_log import a_plan

BETTER: Histogram = ((-40, 50), (0, 3_700), (40, 250))
A_LITTLE_BETTER: Histogram = ((-40, 101), (0, 3_748), (40, 151))  # alone it would do: e is 21.5


def with_targets(*where: tuple[str, str]) -> Plan:
    gate = gate_of("accuracy", "better_than", where=where or (WHOLE,), margin_ppm=0, id="better")
    return structs.replace(a_plan(accuracy()), targets=(gate,))


def test_a_target_that_is_reached_is_said_after_the_gates() -> None:
    verdict = verdict_on(with_targets(), some_evidence(a_cell(EQUAL), a_cell(BETTER, gate="better")))
    assert verdict.verdict == "promote"
    (target,) = verdict.targets
    assert (target.result, target.soft, target.promote_at, target.reject_at) == ("pass", True, 20, 20)
    assert [test.soft for test in verdict.tests] == [False]
    assert verdict.reasons[1] == target.reason
    assert target.reason.startswith(
        "Target: accuracy of label overall: the candidate is better: the candidate is better on 250 and worse on 50 of "
        "4,000 units (+5.0 pp); e "
    )


@pytest.mark.parametrize("histogram", [HARMED, FEW, (), BETTER])
def test_no_target_changes_a_verdict(histogram: Histogram) -> None:
    alone = verdict_on(a_plan(accuracy()), some_evidence(a_cell(EQUAL)))
    verdict = verdict_on(with_targets(), some_evidence(a_cell(EQUAL), a_cell(histogram, gate="better")))
    assert (verdict.verdict, verdict.sentence, verdict.tests) == (alone.verdict, alone.sentence, alone.tests)


def test_a_target_that_is_missed_fails_and_one_without_data_is_inconclusive() -> None:
    plan = with_targets(WHOLE, TWEETS, OTHER)
    cells = [a_cell(HARMED, gate="better"), a_cell((), at=TWEETS, gate="better"), a_cell((), at=OTHER, gate="better")]
    verdict = verdict_on(plan, some_evidence(a_cell(EQUAL), *cells))
    assert [target.result for target in verdict.targets] == ["fail", "inconclusive", "pass"]
    assert verdict.targets[0].reason.startswith("Target: accuracy of label overall: the candidate is worse: ")
    assert verdict.verdict == "promote"


@pytest.mark.parametrize("gate_counts", [FEW, HARMED])
def test_targets_are_not_tested_before_every_gate_passes(gate_counts: Histogram) -> None:
    verdict = verdict_on(with_targets(), some_evidence(a_cell(gate_counts), a_cell(BETTER, gate="better")))
    (target,) = verdict.targets
    assert target.result == "inconclusive"
    assert target.reason == "Target: accuracy of label overall: not tested, because not every gate passes"
    assert target.reason in verdict.reasons


def test_more_targets_need_more_evidence_each_and_holm_lets_the_next_one_have_less() -> None:
    """e of 21.5 is over 1/alpha and under 2/alpha: it passes alone, or beside one that passes at 2/alpha."""
    cells = [a_cell(A_LITTLE_BETTER, gate="better"), a_cell(EQUAL, at=TWEETS, gate="better")]
    alone = verdict_on(with_targets(), some_evidence(a_cell(EQUAL), cells[0]))
    assert alone.targets[0].result == "pass"
    assert 20 < alone.targets[0].e_promote < 40

    plan = with_targets(WHOLE, TWEETS)
    beside_equal = verdict_on(plan, some_evidence(a_cell(EQUAL), *cells))
    assert [target.result for target in beside_equal.targets] == ["inconclusive", "inconclusive"]
    assert beside_equal.targets[0].promote_at == 40

    beside_better = [cells[0], a_cell(BETTER, at=TWEETS, gate="better")]
    both = verdict_on(plan, some_evidence(a_cell(EQUAL), *beside_better))
    assert [target.result for target in both.targets] == ["pass", "pass"]


def test_targets_do_not_count_among_the_tests_that_share_alpha() -> None:
    """m is the number of the gates' tests: a target cannot make a rejection harder."""
    cells = [a_cell(EQUAL), a_cell(EQUAL, gate="better")]
    assert verdict_on(with_targets(), some_evidence(*cells)).tests[0].reject_at == 20


def test_precision_and_a_ratio_of_latencies_can_be_targets() -> None:
    flags: Histogram = ((-40, 30), (0, 1_970))
    precision = gate_of("precision", label='"fraud"', margin_ppm=50_000, id="precise")
    latency = gate_of("latency", "at_most", output=None, quantile_ppm=990_000, ratio=(5, 4), margin_ppm=0, id="quick")
    plan = structs.replace(a_plan(accuracy()), targets=(precision, latency))
    cells = [
        a_cell(EQUAL),
        a_cell(flags, gate="precise", reference_low=flags, reference_high=flags),
        a_cell((), gate="quick"),
    ]
    verdict = verdict_on(plan, some_evidence(*cells))
    assert [target.result for target in verdict.targets] == ["pass", "inconclusive"]
    assert verdict.targets[1].no_estimate == "no settled pairs"
