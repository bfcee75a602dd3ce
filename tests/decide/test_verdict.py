"""Five verdicts, their precedence, and the sentences that go with them."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gnomon.decide import assess
from gnomon.records.evidence import AtRate, Histogram
from gnomon.records.plan import OTHERWISE, Duration
from gnomon.records.verdict import Verdict
from gnomon.stats.betting import CAP
from tests.decide.parts import (
    DAY,
    EQUAL,
    FEW,
    HARMED,
    OTHER,
    RATES,
    TWEETS,
    WHOLE,
    a_cell,
    a_weighted_cell,
    accuracy,
    gate_of,
    some_evidence,
    verdict_on,
)
from tests.evidence.trial_log import START, a_gate, a_plan


def test_an_equal_candidate_with_enough_units_is_promoted() -> None:
    verdict = verdict_on(a_plan(accuracy()), some_evidence(a_cell(EQUAL)))
    assert verdict.verdict == "promote"
    assert verdict.sentence == (
        "Promote: 2.0 passes its only test, overall and on every declared segment that was asked for."
    )
    assert verdict.tests[0].result == "pass"
    assert verdict.tests[0].lower is not None
    assert verdict.tests[0].lower > -0.02


def test_harm_on_one_segment_rejects_and_names_it_however_good_the_rest_is() -> None:
    """Better by 5 points overall, worse on tweets by more than the margin."""
    better: Histogram = ((-40, 100), (0, 3_600), (40, 300))
    tweets = a_cell(HARMED, at=TWEETS, known=324, production_good=305, candidate_good=269)
    verdict = verdict_on(a_plan(accuracy(WHOLE, TWEETS)), some_evidence(a_cell(better), tweets))

    assert verdict.verdict == "reject"
    assert verdict.sentence == (
        "Reject: accuracy of label on source=tweets: the candidate is worse by more than 2.0 pp: "
        "83.0 % right against 94.1 %, 324 units."
    )
    assert [test.result for test in verdict.tests] == ["pass", "fail"]
    assert verdict.reasons[0] == verdict.tests[1].reason
    assert "final" in verdict.would_change


def test_harm_inside_the_margin_is_no_reason_to_reject() -> None:
    """Rule 4: shown worse than production, not shown worse than the margin."""
    inside: Histogram = ((-40, 600), (0, 19_100), (40, 300))  # -1.5 pp, five standard errors below 0
    verdict = verdict_on(a_plan(accuracy()), some_evidence(a_cell(inside)))
    assert verdict.verdict == "promote"
    assert verdict.tests[0].upper is not None
    assert verdict.tests[0].upper < 0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_candidate_that_never_differs_from_production_is_never_rejected(ties: int, wins: int) -> None:
    cell = a_cell(((0, ties), (40, wins)), at=TWEETS)
    assert verdict_on(a_plan(accuracy(TWEETS)), some_evidence(cell)).verdict != "reject"


def test_more_tests_need_more_evidence_for_a_rejection() -> None:
    """m/alpha: the same counts reject as the only test and not as one of ten thousand."""
    some: Histogram = ((-40, 30), (0, 220), (40, 5))
    alone = verdict_on(a_plan(accuracy()), some_evidence(a_cell(some)))
    assert alone.verdict == "reject"
    assert alone.tests[0].reject_at == 20

    values = [("source", str(number)) for number in range(9_999)]
    cells = [a_cell(some), *(a_cell((), at=value) for value in values)]
    many = verdict_on(a_plan(accuracy(WHOLE, *values)), some_evidence(*cells))
    assert many.tests[0].e_reject == alone.tests[0].e_reject
    assert many.tests[0].reject_at == 200_000
    assert many.verdict == "continue"


def test_an_empty_log_says_that_nothing_was_shadowed() -> None:
    verdict = verdict_on(a_plan(accuracy(WHOLE, OTHER)), some_evidence(a_cell(()), a_cell((), at=OTHER)))
    assert verdict.verdict == "continue"
    assert verdict.sentence == "Continue: nothing has been shadowed yet."
    assert verdict.tests[0].estimate is None
    assert verdict.tests[0].reason == "accuracy of label overall: no data"


def test_cells_that_catch_the_rest_do_not_pass_a_trial_on_their_own() -> None:
    """A gate that is asked for only where nothing came."""
    verdict = verdict_on(a_plan(accuracy(OTHER)), some_evidence(a_cell((), at=OTHER)))
    assert verdict.tests[0].result == "pass"
    assert verdict.verdict == "continue"


def test_a_declared_segment_without_data_is_inconclusive_and_a_catch_all_is_not() -> None:
    plan = a_plan(accuracy(WHOLE, TWEETS, OTHER))
    evidence = some_evidence(a_cell(EQUAL), a_cell((), at=TWEETS), a_cell((), at=OTHER))
    verdict = verdict_on(plan, evidence)
    assert [test.result for test in verdict.tests] == ["pass", "inconclusive", "pass"]
    assert verdict.verdict == "continue"
    assert verdict.tests[2].reason == "accuracy of label on source=other: no request fell here"


@pytest.mark.parametrize(
    ("lost", "result"), [(1, "pass"), (40, "pass"), (41, "inconclusive")], ids=["few", "the limit", "more"]
)
def test_a_catch_all_without_data_may_have_lost_its_requests(lost: int, result: str) -> None:
    """The limit is 1 % of 4,000 sampled exchanges; what left no row may have been of the cell that seems empty."""
    evidence = some_evidence(a_cell(EQUAL), a_cell((), at=OTHER), unplaced=(lost, 4_000))
    verdict = verdict_on(a_plan(accuracy(WHOLE, OTHER)), evidence)
    assert [test.result for test in verdict.tests] == ["pass", result]
    assert verdict.verdict == ("promote" if result == "pass" else "continue")
    exchanges = "1 lost exchange" if lost == 1 else f"{lost} lost exchanges"
    found = f"no request fell here, and {exchanges} without a row may have been here"
    assert verdict.tests[1].reason == f"accuracy of label on source=other: {found}"


def test_a_catch_all_that_saw_a_little_has_to_pass_like_any_other() -> None:
    plan = a_plan(accuracy(WHOLE, OTHER))
    verdict = verdict_on(plan, some_evidence(a_cell(EQUAL), a_cell(((0, 3),), at=OTHER)))
    assert verdict.tests[1].result == "inconclusive"


def test_too_few_units_do_not_pass_whatever_the_evidence() -> None:
    verdict = verdict_on(a_plan(accuracy(min_units=5_000)), some_evidence(a_cell(EQUAL)))
    assert verdict.tests[0].e_promote > 20
    assert verdict.verdict == "continue"
    assert "4,000 of 5,000 units" in verdict.tests[0].reason
    assert verdict.would_change.startswith("At least 1,000 more settled units")


def test_the_duration_counts_in_settled_request_time() -> None:
    plan = a_plan(accuracy(), duration=Duration(at_least_us=7 * DAY))
    young = a_cell(EQUAL, frontier_us=START + 6 * DAY)
    verdict = verdict_on(plan, some_evidence(young, as_of_us=START + 30 * DAY))
    assert verdict.verdict == "continue"
    assert "6 d of at least 7 d are settled" in verdict.tests[0].reason
    assert verdict_on(plan, some_evidence(a_cell(EQUAL))).verdict == "promote"


def test_before_the_first_closed_cycle_nothing_passes_and_harm_still_rejects() -> None:
    plan = a_plan(accuracy(), duration=Duration(cycle_us=7 * DAY))
    open_cycle = a_cell((), high=EQUAL, exchanges=4_000, seen=4_000)
    verdict = verdict_on(plan, some_evidence(open_cycle))
    assert verdict.verdict == "continue"
    assert "no cycle of traffic is closed yet" in verdict.tests[0].reason
    harmed = a_cell((), high=HARMED, exchanges=324, seen=324)
    assert verdict_on(plan, some_evidence(harmed)).verdict == "reject"


def test_past_the_deadline_and_the_time_for_truth_it_is_inconclusive() -> None:
    plan = a_plan(accuracy(), duration=Duration(deadline_us=5 * DAY), expected_within_us=2 * DAY)
    few = a_cell(FEW)
    assert verdict_on(plan, some_evidence(few, as_of_us=START + 7 * DAY)).verdict == "continue"
    late = verdict_on(plan, some_evidence(few, as_of_us=START + 7 * DAY + 1))
    assert late.verdict == "inconclusive"
    assert late.sentence == "Inconclusive: the deadline is over and accuracy overall is not settled."
    assert verdict_on(plan, some_evidence(a_cell(EQUAL), as_of_us=START + 30 * DAY)).verdict == "promote"


def test_a_deadline_does_not_wait_for_truth_that_no_gate_needs() -> None:
    gate = a_gate("error_rate")
    plan = a_plan(gate, duration=Duration(deadline_us=5 * DAY), expected_within_us=20 * DAY)
    verdict = verdict_on(plan, some_evidence(a_cell(FEW, gate="error_rate"), as_of_us=START + 5 * DAY + 1))
    assert verdict.verdict == "inconclusive"


@pytest.mark.parametrize("kind", ["recall", "precision", "loss", "numeric", "field"])
def test_the_deadline_waits_for_truth_of_every_kind_that_looks_at_it(kind: Any) -> None:
    gate = gate_of(kind, label='"x"', scale=(0.0, 1.0), outputs=("label",))
    plan = a_plan(gate, duration=Duration(deadline_us=5 * DAY), expected_within_us=20 * DAY)
    verdict = verdict_on(plan, some_evidence(a_cell((), seen=1), as_of_us=START + 25 * DAY))
    assert verdict.verdict == "continue"
    late = verdict_on(plan, some_evidence(a_cell((), seen=1), as_of_us=START + 25 * DAY + 1))
    assert late.verdict == "inconclusive"


@pytest.mark.parametrize("as_of_us", [START + 10 * DAY, START + 40 * DAY])
def test_without_a_probe_in_the_log_nothing_is_promoted_where_the_plan_requires_one(as_of_us: int) -> None:
    plan = a_plan(accuracy(), duration=Duration(deadline_us=11 * DAY), expected_within_us=0)
    plan = structs.replace(plan, probes_required=True)
    verdict = verdict_on(plan, some_evidence(a_cell(EQUAL), as_of_us=as_of_us))
    no_probe = "no known answer has come through the real path into the log, as integrity.probes requires"
    if as_of_us > START + 11 * DAY:
        assert verdict.sentence == f"Inconclusive: the deadline is over and every test passes, but {no_probe}."
    else:
        assert verdict.sentence == f"Continue: every test passes, but {no_probe}."
        assert verdict.would_change.startswith("A probe's known answer in the log")
    assert no_probe in verdict.reasons
    assert verdict_on(plan, some_evidence(a_cell(EQUAL), as_of_us=as_of_us, probes=1)).verdict == "promote"
    harmed = verdict_on(plan, some_evidence(a_cell(HARMED), as_of_us=as_of_us))
    assert harmed.verdict == "reject"


def test_a_later_attempt_says_what_spending_alpha_would_have_asked_for() -> None:
    """alpha 6/(pi^2 k^2) at k = 3 is 0.0034: an e of 296. Nothing is enforced."""
    plan, evidence = a_plan(accuracy()), some_evidence(a_cell(EQUAL))
    first, third = (verdict_on(plan, evidence, attempt=attempt) for attempt in (1, 3))
    assert (first.attempt, third.attempt) == (1, 3)
    assert (first.verdict, third.verdict) == ("promote", "promote")
    assert third.sentence == (
        f"{first.sentence} It is attempt 3 against the same production on the same routes: to keep 5 % over all "
        "attempts this one would ask for an e of 296; its weakest test has 536,671."
    )
    assert verdict_on(plan, some_evidence(a_cell(FEW)), attempt=3).sentence.startswith("Continue: 0 of 1 test pass")


def test_closed_cycles_are_carried_into_the_verdict() -> None:
    assert verdict_on(a_plan(accuracy()), some_evidence(a_cell(EQUAL), closed_cycles=2)).closed_cycles == 2


@pytest.mark.parametrize("histogram", [EQUAL, HARMED, FEW, ()])
def test_a_log_that_cannot_be_trusted_is_invalid_before_anything_else(histogram: Histogram) -> None:
    evidence = some_evidence(a_cell(histogram), anomalies=("the ledger goes backward",))
    verdict = verdict_on(a_plan(accuracy()), evidence)
    assert verdict.verdict == "invalid"
    assert verdict.sentence == "Invalid: the ledger goes backward."


def test_without_an_accuracy_gate_the_sentence_says_what_was_not_measured() -> None:
    plan = a_plan(a_gate("agreement", "at_least", margin_ppm=100_000))
    cell = a_cell(((-40, 30), (0, 970)), gate="agreement", known=1_000, production_good=1_000, candidate_good=970)
    verdict = verdict_on(plan, some_evidence(cell))
    assert verdict.verdict == "promote"
    assert "as an equivalent replacement; correctness was not measured" in verdict.sentence
    assert verdict.tests[0].reason.startswith(
        "agreement of label overall: less than 10 % of the candidate's answers differ from production's: "
        "97.0 % agreed, 1,000 units; e "
    )


def test_better_than_needs_a_difference_that_is_shown() -> None:
    plan = a_plan(a_gate(form="better_than", margin_ppm=0))
    assert verdict_on(plan, some_evidence(a_cell(EQUAL))).verdict == "continue"
    assert verdict_on(plan, some_evidence(a_cell(((-40, 100), (0, 3_700), (40, 200))))).verdict == "promote"
    assert verdict_on(plan, some_evidence(a_cell(((-40, 200), (0, 3_700), (40, 100))))).verdict == "reject"


def test_lost_and_imputed_units_are_in_the_sentence() -> None:
    cell = a_cell(EQUAL, lost=3, imputed=12, waiting=1)
    reason = verdict_on(a_plan(accuracy()), some_evidence(cell)).tests[0].reason
    assert reason.endswith("(3 lost and counted as worst; 12 without truth in time and counted as worst; 1 waiting)")


def test_the_same_evidence_gives_the_same_bytes_and_they_can_be_read_back() -> None:
    plan = a_plan(accuracy(WHOLE, TWEETS))
    evidence = some_evidence(a_cell(EQUAL), a_cell(HARMED, at=TWEETS), notes=("a note",))
    first, second = (msgspec.json.encode(verdict_on(plan, evidence)) for _ in range(2))
    assert first == second
    again = msgspec.json.decode(first, type=Verdict)
    assert msgspec.json.encode(again) == first
    assert again.reasons[-1] == "a note"


def test_an_e_value_without_bound_is_still_a_number() -> None:
    huge: Histogram = ((0, 10**9),)
    test = verdict_on(a_plan(accuracy()), some_evidence(a_cell(huge))).tests[0]
    assert test.e_promote == CAP
    assert test.e_reject == 0.0 or test.e_reject < 1e-9


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 10**6)), max_size=5, unique_by=lambda pair: pair[0]))
def test_any_counts_give_one_of_five_words_and_no_data_is_never_a_pass(pairs: list[tuple[int, int]]) -> None:
    histogram = tuple((value, count) for value, count in sorted(pairs) if count)
    verdict = verdict_on(a_plan(accuracy()), some_evidence(a_cell(histogram)))
    assert verdict.verdict in {"promote", "reject", "continue"}
    assert histogram or verdict.verdict == "continue"
    assert b"NaN" not in msgspec.json.encode(verdict)


# weights -----------------------------------------------------------------------------------------------------------


def test_one_rate_gives_the_numbers_of_the_release_before() -> None:
    """Taken from the code before there were weights."""
    cells = (a_cell(EQUAL, known=4_000, production_good=3_700, candidate_good=3_700), a_cell(HARMED, at=TWEETS, lost=1))
    overall, tweets = verdict_on(a_plan(accuracy(WHOLE, TWEETS)), some_evidence(*cells)).tests
    assert (overall.estimate, overall.lower, overall.upper) == (0.0, -0.009932819, 0.010531544)
    assert (overall.e_promote, overall.e_reject) == (536671.375, 0.0462825)
    assert (tweets.estimate, tweets.lower, tweets.upper) == (-0.111111111, -0.171105857, -0.060567407)
    assert (tweets.e_promote, tweets.e_reject) == (0.095079451, 25378.4842)
    assert overall.reason.endswith(": 92.5 % right against 92.5 %, 4,000 units; e 536,671, sequential p 1.9e-06")
    assert "better on 4 and worse on 40 of 324 units (-11.1 pp); e 25,378 (1 lost" in tweets.reason


def test_an_oversampled_stratum_counts_for_its_traffic_and_not_for_its_rows() -> None:
    """Better by 10 points where all is copied, worse by 6 where one of twenty is: worse over the traffic.

    2,000 exchanges of the one and 1,000 of the other stand for 2,000 and 20,000: (200 - 1,200) / 22,000.
    """
    cell = a_weighted_cell(((-40, 80), (0, 900), (40, 20)), ((-40, 50), (0, 1_700), (40, 250)))
    verdict = verdict_on(a_plan(accuracy(), rates=RATES), some_evidence(cell))
    assert verdict.tests[0].estimate == pytest.approx(-1_000 / 22_000, abs=2e-9)  # 5 % over 2**32 is rounded
    assert verdict.tests[0].units == 3_000
    assert verdict.verdict == "reject"
    assert verdict.tests[0].lower is not None
    assert verdict.tests[0].upper is not None
    assert verdict.tests[0].lower < -1_000 / 22_000 < verdict.tests[0].upper < -0.02
    assert "of 3,000 units (-4.5 pp)" in verdict.tests[0].reason
    plain = structs.replace(cell, by_rate=())
    assert verdict_on(a_plan(accuracy()), some_evidence(plain)).verdict == "promote"


def test_the_rates_in_a_sentence_are_those_of_the_traffic() -> None:
    by_rate = (
        AtRate(
            probability=RATES[OTHERWISE],
            low=((0, 100),),
            high=((0, 100),),
            known=100,
            production_good=90,
            candidate_good=80,
        ),
        AtRate(
            probability=RATES["at"], low=((0, 100),), high=((0, 100),), known=100, production_good=50, candidate_good=50
        ),
    )
    cell = a_cell(((0, 200),), by_rate=by_rate, known=200, production_good=140, candidate_good=130)
    reason = verdict_on(a_plan(accuracy(), rates=RATES), some_evidence(cell)).tests[0].reason
    assert "78.6 % right against 88.1 %, 200 units" in reason  # (20 * 80 + 50) / 2,100 and (20 * 90 + 50) / 2,100


def test_samples_count_units_whatever_they_weigh() -> None:
    cell = a_weighted_cell(((0, 500),), ((0, 3_500),))
    assert verdict_on(a_plan(accuracy(min_units=4_000), rates=RATES), some_evidence(cell)).verdict == "promote"
    assert verdict_on(a_plan(accuracy(min_units=4_001), rates=RATES), some_evidence(cell)).verdict == "continue"


def test_before_a_closed_cycle_the_weighted_estimate_is_that_of_what_can_reject() -> None:
    often = AtRate(probability=RATES["at"], low=(), high=((-40, 20),))
    seldom = AtRate(probability=RATES[OTHERWISE], low=(), high=((0, 1),))
    cell = a_cell((), high=((-40, 20), (0, 1)), by_rate=(seldom, often), exchanges=21, seen=21)
    test = verdict_on(a_plan(accuracy(), rates=RATES), some_evidence(cell)).tests[0]
    assert test.estimate == pytest.approx(-0.5, abs=2e-9)
    assert test.lower is None


# whole trials, simulated -------------------------------------------------------------------------------------------


def looks(rng: np.random.Generator, shares: list[float], chances: list[list[float]], step: int, count: int) -> Any:
    """Cumulative (losses, ties, wins) of each segment at each look: shape (looks, segments, 3)."""
    sizes = rng.multinomial(step, shares, size=count)
    draws = [[rng.multinomial(n, chances[s]) for s, n in enumerate(row)] for row in sizes]
    return np.array(draws).cumsum(axis=0)


def a_trial(rng: np.random.Generator, chances: list[list[float]]) -> str:
    """Look 30 times at a trial with three segments; the first final verdict, or `continue`."""
    where = [WHOLE, TWEETS, ("source", "news"), ("source", "blogs")]
    plan = a_plan(a_gate(where=where, margin_ppm=40_000))
    for row in looks(rng, [0.5, 0.3, 0.2], chances, 200, 30):
        tables = [row.sum(axis=0), *row]
        found = [
            a_cell(((-40, int(c)), (0, int(t)), (40, int(b))), at=at)
            for at, (c, t, b) in zip(where, tables, strict=True)
        ]
        verdict = verdict_on(plan, some_evidence(*found)).verdict
        if verdict in {"promote", "reject"}:
            return verdict
    return "continue"


def test_a_candidate_at_the_margin_on_one_segment_is_promoted_in_at_most_five_percent_of_trials() -> None:
    """Better by 4 points elsewhere. 80 trials of 30 looks: at most 5 % and three standard errors."""
    rng = np.random.default_rng(31)
    chances = [[0.03, 0.90, 0.07], [0.07, 0.90, 0.03], [0.03, 0.90, 0.07]]
    promoted = sum(a_trial(rng, chances) == "promote" for _ in range(80))
    assert promoted / 80 <= 0.05 + 3 * (0.05 * 0.95 / 80) ** 0.5


def test_production_against_itself_is_promoted_and_hardly_ever_rejected() -> None:
    """A/A with 4 % noise: both arms are the same model."""
    rng = np.random.default_rng(32)
    verdicts = [a_trial(rng, [[0.02, 0.96, 0.02]] * 3) for _ in range(60)]
    assert verdicts.count("reject") == 0
    assert verdicts.count("promote") >= 57


def test_a_test_result_stands_in_the_plans_order() -> None:
    plan = a_plan(accuracy(WHOLE, TWEETS), a_gate("error_rate"))
    evidence = some_evidence(a_cell(EQUAL), a_cell(FEW, at=TWEETS), a_cell(FEW, gate="error_rate"))
    names = [test.name for test in assess(plan, evidence, started_us=START)]
    assert names == ["accuracy overall", "accuracy source=tweets", "error_rate overall"]
