"""Each kind of gate: what its counts decide, and the sentence that says so."""

from typing import Any

import pytest
from msgspec import structs

from gnomon.records.evidence import Cell, Histogram
from gnomon.records.plan import Available, Custom, Gate
from tests.decide.parts import EQUAL, a_cell, accuracy, gate_of, only, some_evidence, verdict_on
from tests.evidence.trial_log import a_plan

EVEN: Histogram = ((-40, 62), (0, 3_880), (40, 58))
CUSTOM = Custom(function="checks.tone:same_tone", digest="0" * 64)

PASSES: list[tuple[Gate, Cell, str]] = [
    (
        gate_of("share", "not_above", label='"fraud"'),
        a_cell(EVEN, known=4_000, production_good=120, candidate_good=124),
        "share of fraud overall: not above production's by 2.0 pp or more: 3.1 % are fraud against 3.0 %, 4,000 units",
    ),
    (
        gate_of("share", "not_below", label='"fraud"'),
        a_cell(EVEN, known=4_000, production_good=124, candidate_good=120),
        "share of fraud overall: not below production's by 2.0 pp or more: 3.0 % are fraud against 3.1 %, 4,000 units",
    ),
    (
        gate_of("recall", label='"fraud"'),
        a_cell(EQUAL, known=4_000, production_good=3_000, candidate_good=3_000),
        (
            "recall of fraud overall: the candidate is not worse by 2.0 pp or more: 75.0 % found against 75.0 %, 4,000 "
            "units"
        ),
    ),
    (
        gate_of("agreement", against_twin=True),
        a_cell(EQUAL, known=4_000, production_good=3_700, candidate_good=3_700),
        (
            "agreement of label overall: the candidate is not worse by 2.0 pp or more: 92.5 % agreed against 92.5 % of "
            "production with itself (the noise floor), 4,000 units"
        ),
    ),
    (
        gate_of("loss"),
        a_cell(((-20, 100), (0, 9_000), (20, 100))),
        (
            "loss of label overall: the candidate is not worse by 2 % of the largest cost or more: the candidate is "
            "better "
            "on 100 and worse on 100 of 9,200 units (+0.0 % of the largest cost)"
        ),
    ),
    (
        gate_of("numeric", scale=(0.0, 10.0)),
        a_cell(((-3, 100), (0, 9_000), (3, 100))),
        (
            "error of label overall: the candidate is not worse by 2 % of the scale or more: the candidate is better "
            "on 100 "
            "and worse on 100 of 9,200 units (+0.0 % of the scale)"
        ),
    ),
    (
        gate_of("numeric", "at_most", scale=(10.0, 20.0), limit=2.0, margin_ppm=200_000),
        a_cell(((-10, 400), (0, 3_600))),
        "error of label overall: the candidate's mean error of label is below 2: 0.25, 4,000 units",
    ),
    (
        gate_of("field", output=None, outputs=("name", "date"), steps=2),
        a_cell(((-80, 10), (-40, 100), (0, 9_000), (40, 120)), grid=80),
        (
            "fields name, date overall: the candidate is not worse by 2.0 pp or more: the candidate is better on 120 "
            "and "
            "worse on 110 of 9,230 units (+0.0 pp)"
        ),
    ),
    (
        gate_of("refusal_rate", label='"refused"'),
        a_cell(EVEN, known=4_000, production_good=3_900, candidate_good=3_896),
        (
            "refusal rate of refused overall: the candidate is not worse by 2.0 pp or more: 2.6 % refused against "
            "2.5 %, "
            "4,000 units"
        ),
    ),
    (
        gate_of("refusal_rate", "at_most", label='"refused"', margin_ppm=30_000),
        a_cell(((-40, 40), (0, 3_960)), known=4_000, production_good=3_900, candidate_good=3_960),
        (
            "refusal rate of refused overall: less than 3 % of the candidate's answers are refusals: 1.0 % refused "
            "against "
            "2.5 %, 4,000 units"
        ),
    ),
    (
        gate_of("cost", "at_most", output="tokens", scale=(0.0, 100.0), limit=30.0, margin_ppm=300_000),
        a_cell(((-12, 900), (-4, 300))),
        "cost of tokens overall: the candidate's mean tokens is below 30: 25, 1,200 units",
    ),
    (
        gate_of("cost", output="tokens", scale=(0.0, 100.0)),
        a_cell(((-4, 100), (0, 9_000), (8, 100))),
        (
            "cost of tokens overall: the candidate is not worse by 2 % of the scale or more: the candidate is better "
            "on 100 "
            "and worse on 100 of 9,200 units (+0.1 % of the scale)"
        ),
    ),
    (
        gate_of("custom", output=None, custom=CUSTOM, margin_ppm=50_000),
        a_cell(((-4, 100), (0, 1_900), (8, 0), (4, 100))),
        (
            "custom checks.tone:same_tone overall: the candidate is not worse by 0.05 or more: the candidate is "
            "better on "
            "100 and worse on 100 of 2,100 units (+0.000)"
        ),
    ),
    (
        gate_of("error_rate", output=None, ratio=(3, 2), steps=3, margin_ppm=0),
        a_cell(
            ((-80, 30), (0, 19_850), (40, 50), (120, 70)),
            grid=120,
            known=20_000,
            production_good=19_880,
            candidate_good=19_920,
        ),
        (
            "error rate overall: the candidate fails less than 1.5 times as often as production: 99.6 % answered "
            "against "
            "99.4 %, 20,000 units"
        ),
    ),
]


@pytest.mark.parametrize(("gate", "cell", "sentence"), PASSES, ids=lambda value: getattr(value, "id", None))
def test_a_candidate_inside_the_margin_passes_and_the_sentence_says_what_was_counted(
    gate: Gate, cell: Cell, sentence: str
) -> None:
    verdict = verdict_on(a_plan(gate), some_evidence(cell))
    assert verdict.verdict == "promote"
    assert only(verdict).result == "pass"
    assert only(verdict).reason.startswith(f"{sentence}; e ")


FAILS: list[tuple[Gate, Cell, str]] = [
    (
        gate_of("share", "not_above", label='"fraud"', margin_ppm=5_000),
        a_cell(((-40, 400), (0, 3_600)), known=4_000, production_good=120, candidate_good=520),
        "share of fraud overall: above production's by more than 0.5 pp: 13.0 % are fraud against 3.0 %, 4,000 units",
    ),
    (
        gate_of("share", "not_below", label='"fraud"', margin_ppm=5_000),
        a_cell(((-40, 400), (0, 3_600)), known=4_000, production_good=520, candidate_good=120),
        "share of fraud overall: below production's by more than 0.5 pp: 3.0 % are fraud against 13.0 %, 4,000 units",
    ),
    (
        gate_of("loss"),
        a_cell(((-40, 400), (0, 3_600))),
        (
            "loss of label overall: the candidate is worse by more than 2 % of the largest cost: the candidate is "
            "better on "
            "0 and worse on 400 of 4,000 units (-10.0 % of the largest cost)"
        ),
    ),
    (
        gate_of("refusal_rate", "at_most", label='"refused"', margin_ppm=30_000),
        a_cell(((-40, 400), (0, 3_600)), known=4_000, production_good=3_900, candidate_good=3_600),
        (
            "refusal rate of refused overall: more than 3 % of the candidate's answers are refusals: 10.0 % refused "
            "against "
            "2.5 %, 4,000 units"
        ),
    ),
    (
        gate_of("cost", "at_most", output="tokens", scale=(0.0, 100.0), limit=30.0, margin_ppm=300_000),
        a_cell(((-20, 900), (-12, 100))),
        "cost of tokens overall: the candidate's mean tokens is above 30: 48, 1,000 units",
    ),
    (
        gate_of("error_rate", output=None, ratio=(3, 2), steps=3, margin_ppm=0),
        a_cell(((-80, 300), (0, 19_600), (120, 100)), grid=120),
        (
            "error rate overall: the candidate fails more than 1.5 times as often as production: the candidate is "
            "better on "
            "100 and worse on 300 of 20,000 units (-0.5 pp)"
        ),
    ),
    (
        gate_of("field", output=None, outputs=("name", "date"), steps=2),
        a_cell(((-80, 300), (-40, 280), (0, 3_420)), grid=80),
        (
            "fields name, date overall: the candidate is worse by more than 2.0 pp: the candidate is better on 0 and "
            "worse "
            "on 580 of 4,000 units (-11.0 pp)"
        ),
    ),
]


@pytest.mark.parametrize(("gate", "cell", "sentence"), FAILS, ids=lambda value: getattr(value, "id", None))
def test_harm_beyond_the_margin_rejects_and_names_the_kind(gate: Gate, cell: Cell, sentence: str) -> None:
    verdict = verdict_on(a_plan(gate), some_evidence(cell))
    assert verdict.verdict == "reject"
    assert verdict.sentence == f"Reject: {sentence}."
    assert only(verdict).reason.startswith(f"{sentence}; e ")


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (accuracy(), (0.925, 0.9)),
        (gate_of("share", "not_above", label='"x"'), (0.925, 0.9)),
        (gate_of("recall", label='"x"'), (0.925, 0.9)),
        (gate_of("agreement", against_twin=True), (0.925, 0.9)),
        (gate_of("agreement", "at_least"), (None, 0.9)),  # production agrees with itself by definition
        (gate_of("error_rate", output=None), (0.075, 0.1)),
        (gate_of("refusal_rate", label='"x"'), (0.075, 0.1)),
        (gate_of("latency", "at_most", output=None, limit_us=1_000), (0.925, 0.9)),
        (gate_of("loss"), (None, None)),
        (gate_of("numeric", scale=(0.0, 1.0)), (None, None)),
        (gate_of("custom", output=None, custom=CUSTOM), (None, None)),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_each_arms_own_rate_is_that_of_the_gates_name(gate: Gate, expected: tuple[float | None, float | None]) -> None:
    histogram: Histogram = ((-40, 100), (0, 3_900))
    cell = a_cell(histogram, known=4_000, production_good=3_700, candidate_good=3_600)
    test = only(verdict_on(a_plan(gate), some_evidence(cell)))
    assert (test.production, test.candidate) == expected


def test_rates_are_not_given_where_some_exchange_is_not_known() -> None:
    cell = a_cell(EQUAL, known=3_999, production_good=3_700, candidate_good=3_700)
    test = only(verdict_on(a_plan(accuracy()), some_evidence(cell)))
    assert (test.production, test.candidate) == (None, None)


def test_the_share_is_two_claims_and_harm_on_either_side_rejects() -> None:
    gates = (
        gate_of("share", "not_above", label='"fraud"', margin_ppm=10_000, id="share:fraud:not_above"),
        gate_of("share", "not_below", label='"fraud"', margin_ppm=10_000, id="share:fraud:not_below"),
    )
    plan = a_plan(*gates)
    even = [a_cell(EVEN, gate=gate.id) for gate in gates]
    assert verdict_on(plan, some_evidence(*even)).verdict == "promote"

    fewer: tuple[Histogram, Histogram] = (((0, 3_600), (40, 400)), ((-40, 400), (0, 3_600)))
    cells = [a_cell(histogram, gate=gate.id) for histogram, gate in zip(fewer, gates, strict=True)]
    verdict = verdict_on(plan, some_evidence(*cells))
    assert verdict.verdict == "reject"
    assert [test.result for test in verdict.tests] == ["pass", "fail"]
    assert verdict.sentence.startswith("Reject: share of fraud overall: below production's by more than 1.0 pp")


def test_where_truth_cannot_come_for_all_the_sentences_say_so() -> None:
    plan = a_plan(accuracy())
    assert plan.truth is not None
    one = structs.replace(plan.truth, available=(Available(output="label", values=('"allow"', '"review"')),))
    verdict = verdict_on(structs.replace(plan, truth=one), some_evidence(a_cell(EQUAL)))
    assert verdict.sentence == (
        "Promote: 2.0 passes its only test, overall and on every declared segment that was asked for; correctness was "
        "measured on what production answered with allow or review."
    )
    assert verdict.reasons[0].startswith("accuracy of label overall, on what production answered with allow or review:")

    two = structs.replace(one, available=(*one.available, Available(output="tier", values=("1",))))
    verdict = verdict_on(structs.replace(plan, truth=two), some_evidence(a_cell(EQUAL)))
    assert "on what production answered with label allow or review and tier 1." in verdict.sentence


def test_a_gate_that_needs_no_truth_does_not_speak_of_where_truth_can_come() -> None:
    plan = a_plan(gate_of("error_rate", output=None))
    assert plan.truth is not None
    truth = structs.replace(plan.truth, available=(Available(output="label", values=('"allow"',)),))
    verdict = verdict_on(structs.replace(plan, truth=truth), some_evidence(a_cell(EQUAL)))
    assert "allow" not in f"{verdict.sentence}{verdict.reasons}"


@pytest.mark.parametrize(
    ("gate", "measured"),
    [
        (accuracy(), True),
        (gate_of("recall", label='"x"'), True),
        (gate_of("loss"), True),
        (gate_of("numeric", scale=(0.0, 1.0)), True),
        (gate_of("field", output=None, outputs=("a", "b")), True),
        (gate_of("share", "not_above", label='"x"'), False),
        (gate_of("agreement", against_twin=True), False),
        (gate_of("refusal_rate", label='"x"'), False),
        (gate_of("cost", scale=(0.0, 1.0)), False),
        (gate_of("custom", output=None, custom=CUSTOM), False),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_without_a_gate_against_truth_the_candidate_is_an_equivalent_replacement(gate: Gate, measured: bool) -> None:
    verdict = verdict_on(a_plan(gate), some_evidence(a_cell(EQUAL)))
    assert verdict.verdict == "promote"
    assert ("correctness was not measured" in verdict.sentence) != measured


def inside(kind: str, **fields: Any) -> tuple[Gate, Cell]:
    """1.5 pp worse, at least seven standard errors below 0, at a margin of 2 pp."""
    return gate_of(kind, **fields), a_cell(((-40, 1_200), (0, 38_200), (40, 600)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pair", "alarm"),
    [
        (inside("accuracy"), "accuracy of label overall: the candidate is worse by at least 1.1 pp"),
        (inside("share", form="not_above", label='"x"'), "share of x overall: above production's by at least 1.1 pp"),
        (inside("loss"), "loss of label overall: the candidate is worse by at least 1.1 % of the largest cost"),
    ],
    ids=["accuracy", "share", "loss"],
)
def test_harm_inside_the_margin_is_an_alarm_and_no_verdict(pair: tuple[Gate, Cell], alarm: str) -> None:
    gate, cell = pair
    verdict = verdict_on(a_plan(gate), some_evidence(cell))
    assert verdict.verdict == "promote"
    assert verdict.reasons[1] == f"Alarm: {alarm}, which is inside the margin"


@pytest.mark.parametrize(
    "gate",
    [gate_of("error_rate", "at_most", output=None), gate_of("agreement", "at_least")],
    ids=lambda gate: gate.kind,
)
def test_a_rate_below_its_limit_is_no_alarm(gate: Gate) -> None:
    """Its D is never above 0: an interval below 0 only says that there are some bad outcomes."""
    verdict = verdict_on(a_plan(gate), some_evidence(a_cell(((-40, 40), (0, 3_960)))))
    assert verdict.verdict == "promote"
    assert not [reason for reason in verdict.reasons if reason.startswith("Alarm")]


def test_finer_steps_change_no_number_of_the_same_differences() -> None:
    """A field gate of two outputs of which both always move together is an accuracy gate."""
    fine = a_cell(((-80, 100), (0, 3_800), (80, 100)), grid=80)
    gate = gate_of("field", output=None, outputs=("a", "b"), steps=2)
    test = only(verdict_on(a_plan(gate), some_evidence(fine)))
    plain = only(verdict_on(a_plan(accuracy()), some_evidence(a_cell(EQUAL))))
    assert test.estimate == plain.estimate == 0
    assert test.lower is not None
    assert plain.lower is not None
    assert test.lower == pytest.approx(plain.lower, abs=0.002)  # the stakes expect smaller steps
    assert test.result == plain.result == "pass"
