"""What a decision says of each kind of gate, as people read it."""

import pytest
from msgspec import structs

from gnomon import report
from gnomon.decide import decide
from gnomon.report import scales, words
from tests.report import reports


@pytest.fixture(scope="module")
def decided():
    """A plan with a gate of each kind, and the verdict that counts give: 60 better, 50 worse, 4,890 the same."""
    plan = reports.a_plan(
        gates=tuple(gate for gate, _ in reports.KINDS),
        targets=(reports.a_kind("faster", "accuracy", "better_than", 0),),
    )
    evidence = reports.evidence_of(reports.a_plan(), reports.FAIR)
    evidence = structs.replace(evidence, cells=tuple(counts(gate) for gate in plan.judged))
    return plan, decide(
        plan, evidence, trial="sentiment-lr.1", plan_digest=reports.DIGEST, started_us=reports.START, program="0.1.0"
    )


def counts(gate):
    better = 60 if gate.top else 0
    cell = reports.a_cell(gate.tests[0], better, 50, 4_890, known=5_000, production_good=4_500, candidate_good=4_510)
    grid = 40 * gate.steps
    worst = gate.bottom(grid)
    histogram = tuple((d and (worst if d < 0 else grid), number) for d, number in cell.low)
    cell = structs.replace(cell, grid=grid, low=histogram, high=histogram)
    if gate.kind == "precision":
        theirs, mine = ((-40, 310), (0, 690)), ((-40, 300), (0, 700))
        cell = structs.replace(cell, low=mine, high=mine, reference_low=theirs, reference_high=theirs)
    return cell


@pytest.mark.parametrize(
    ("name", "mean", "margin", "arms"),
    [
        ("accuracy", "+0.20 pp", "above −1 pp", ("90.0 %", "90.2 %")),
        ("agreement", "+0.20 pp", "above −2 pp", ("90.0 %", "90.2 %")),
        ("agreement:least", "1.0 %", "below 10 %", None),
        ("share:fraud:not_above", "+0.20 pp", "above −0.5 pp", ("90.0 %", "90.2 %")),
        ("error_rate", "+0.53 pp", "above 0 pp", ("10.0 %", "9.8 %")),
        ("latency", "no data", "below 1.2 x", ("none", "none")),  # its counts are elsewhere, and none are given
        ("recall:fraud", "+0.20 pp", "above −1 pp", ("90.0 %", "90.2 %")),
        ("precision:fraud", "+1.0 pp", "above −1 pp", ("69.0 %", "70.0 %")),
        ("loss", "+0.20 %", "above −2 %", None),
        ("numeric", "+0.20 %", "above 0 %", None),
        ("field", "+0.20 pp", "above −1 pp", None),
        ("refusal_rate", "1.0 %", "below 2 %", None),
        ("refusals", "+0.20 pp", "above −1 pp", ("10.0 %", "9.8 %")),
        ("cost", "1.0 %", "below 40 %", None),
        ("custom", "+0.002", "above −0.05", None),
    ],
)
def test_each_kind_is_read_in_its_own_unit(decided, name, mean, margin, arms):
    plan, verdict = decided
    gate = next(gate for gate in plan.judged if gate.id == name)
    test = next(test for test in verdict.tests if test.gate == name)

    assert scales.mean(gate, test.estimate) == mean
    assert scales.margin(gate, test) == margin
    assert arms is None or scales.arms(gate, test) == arms


def test_every_interval_has_its_ends_in_order_and_holds_the_estimate(decided):
    plan, verdict = decided
    gates = {gate.id: gate for gate in plan.judged}

    for test in (*verdict.tests, *verdict.targets):
        if test.estimate is None:
            assert (scales.interval(gates[test.gate], test), words.nothing(test)) == ("none", "no estimate")
            continue
        assert test.lower <= test.estimate <= test.upper
        low, high = scales.interval(gates[test.gate], test).split(" to ")
        numbers = [float(end.split()[0].replace("−", "-").replace("+", "")) for end in (low, high)]
        assert numbers == sorted(numbers)


def test_what_a_decision_says_of_every_kind_can_be_reported_in_every_form(decided):
    plan, verdict = decided
    made = report.build(reports.a_trial(), plan, verdict, reports.a_description())

    assert "precision of fraud: candidate minus production" in report.html(made)
    assert "no settled pairs" in report.html(made)
    assert "**Targets** (soft: reported, never blocking)" in report.markdown(made)
    assert b'"targets"' in report.json(made)
