"""What holds of every kind of gate, whatever the counts are."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.decide import assess
from gnomon.records.evidence import Cell, Histogram
from gnomon.records.plan import Custom, Gate, Plan
from gnomon.records.verdict import Verdict
from tests.decide.parts import NEWS, NO_TAIL, TWEETS, WHOLE, a_cell, a_tail, gate_of, some_evidence, verdict_on
from tests.evidence.trial_log import START, a_plan

CUSTOM = Custom(function="m:f", digest="0" * 64)
RATIO: dict[str, Any] = {"output": None, "quantile_ppm": 990_000, "margin_ppm": 0}
GATES: dict[str, Gate] = {
    gate.id: gate
    for gate in (
        gate_of("accuracy", id="accuracy"),
        gate_of("accuracy", "better_than", margin_ppm=0, id="accuracy:better"),
        gate_of("agreement", "at_least", margin_ppm=50_000, id="agreement"),
        gate_of("agreement", against_twin=True, id="agreement:twin"),
        gate_of("share", "not_above", label='"x"', id="share:above"),
        gate_of("share", "not_below", label='"x"', id="share:below"),
        gate_of("error_rate", output=None, id="errors"),
        gate_of("error_rate", "at_most", output=None, id="errors:at_most"),
        gate_of("error_rate", output=None, ratio=(3, 2), steps=3, margin_ppm=0, id="errors:ratio"),
        gate_of("latency", "at_most", output=None, limit_us=1_000, margin_ppm=10_000, id="latency"),
        gate_of("latency", "at_most", ratio=(5, 4), id="latency:wide", **RATIO),
        gate_of("latency", "at_most", ratio=(11, 10), id="latency:tight", **RATIO),
        gate_of("recall", label='"x"', id="recall"),
        gate_of("precision", label='"x"', margin_ppm=50_000, id="precision"),
        gate_of("loss", id="loss"),
        gate_of("numeric", scale=(0.0, 1.0), id="numeric"),
        gate_of("numeric", "at_most", scale=(0.0, 1.0), limit=0.2, margin_ppm=200_000, id="numeric:at_most"),
        gate_of("field", output=None, outputs=("a", "b", "c"), steps=3, id="field"),
        gate_of("refusal_rate", label='"x"', id="refusals"),
        gate_of("refusal_rate", "at_most", label='"x"', margin_ppm=30_000, id="refusals:at_most"),
        gate_of("cost", scale=(0.0, 9.0), id="cost"),
        gate_of("cost", "at_most", scale=(0.0, 9.0), limit=3.0, margin_ppm=333_333, id="cost:at_most"),
        gate_of("custom", output=None, custom=CUSTOM, id="custom"),
    )
}
PLAIN = {name: gate for name, gate in GATES.items() if gate.ratio is None or gate.kind != "latency"}
names = st.sampled_from(sorted(GATES))
plain_names = st.sampled_from(sorted(PLAIN))


@st.composite
def histograms(draw: st.DrawFn, gate: Gate) -> Histogram:
    """Counts of what D of this gate can be."""
    grid = 40 * gate.steps
    values = st.integers(gate.bottom(grid), gate.top * grid)
    return tuple(sorted(draw(st.dictionaries(values, st.integers(0, 10**5), max_size=4)).items()))


@st.composite
def cells(draw: st.DrawFn, gate: Gate, *, at: tuple[str, str] = WHOLE) -> Cell:
    """Any evidence of the gate, consistent or not."""
    low, high = draw(histograms(gate)), draw(histograms(gate))
    units = sum(count for _, count in high)
    fields: dict[str, Any] = {"grid": 40 * gate.steps, "high": high, "lost": draw(st.integers(0, 9))}
    if gate.kind == "precision":
        fields |= {"reference_low": draw(histograms(gate)), "reference_high": draw(histograms(gate))}
    if gate.kind == "latency" and gate.ratio is not None:
        arm = st.lists(st.integers(0, 10**7) | st.just(float("inf")), min_size=5, max_size=5)
        tail = draw(
            st.sampled_from([None, NO_TAIL]) | st.builds(a_tail, arm, arm, st.just(gate.ratio), lost=st.integers(0, 3))
        )
        fields |= {"tail": tail, "closed_tail": tail}
    known = draw(st.sampled_from([0, units]))
    good = draw(st.integers(0, known)) if known else 0
    fields |= {"exchanges": units + fields["lost"], "known": known, "production_good": good, "candidate_good": known}
    return a_cell(low, at=at, gate=gate.id, **fields)


@given(st.data(), names)
@settings(deadline=None)
def test_any_counts_of_any_kind_give_one_of_the_words_and_sentences_without_nan(data: st.DataObject, name: str) -> None:
    gate = GATES[name]
    verdict = verdict_on(a_plan(gate), some_evidence(data.draw(cells(gate))))
    assert verdict.verdict in {"promote", "reject", "continue"}
    written = msgspec.json.encode(verdict)
    assert b"NaN" not in written
    assert b"Infinity" not in written
    assert "nan" not in " ".join(verdict.reasons).replace("finance", "")
    assert msgspec.json.encode(msgspec.json.decode(written, type=Verdict)) == written


@pytest.mark.parametrize("name", sorted(GATES))
@pytest.mark.parametrize("histogram", [(), ((0, 0),)])
def test_no_data_never_passes_and_says_why_there_is_no_estimate(name: str, histogram: Histogram) -> None:
    gate = GATES[name]
    tail = NO_TAIL if gate.kind == "latency" and gate.ratio is not None else None
    cell = a_cell(histogram, gate=name, tail=tail, closed_tail=tail, waiting=3, seen=3)
    verdict = verdict_on(a_plan(gate), some_evidence(cell))
    (test,) = verdict.tests
    assert verdict.verdict == "continue"
    assert (test.result, test.e_promote, test.e_reject, test.estimate) == ("inconclusive", 1.0, 1.0, None)
    assert test.no_estimate
    unseen = verdict_on(a_plan(gate), some_evidence(structs.replace(cell, waiting=0, seen=0))).tests[0]
    assert (unseen.result, unseen.no_estimate) == ("inconclusive", None)
    assert unseen.reason.endswith(": no data")


@given(st.data(), plain_names, st.integers(1, 1_000))
@settings(deadline=None)
def test_more_regressions_never_raise_the_evidence_for_a_promotion_nor_lower_that_for_a_rejection(
    data: st.DataObject, name: str, more: int
) -> None:
    """Units at the least D there can be are added."""
    gate = PLAIN[name]
    cell = data.draw(cells(gate))
    worst = gate.bottom(40 * gate.steps)
    worse = structs.replace(cell, low=added(cell.low, worst, more), high=added(cell.high, worst, more))
    plan = a_plan(gate)
    (before,), (after,) = (assess(plan, some_evidence(each), started_us=START) for each in (cell, worse))
    if sum(count for _, count in cell.low):  # without units the evidence is 1, and not yet below it
        assert after.e_promote <= before.e_promote * (1 + 1e-6)
    if sum(count for _, count in cell.high):
        assert after.e_reject >= before.e_reject * (1 - 1e-6)


@given(st.data(), plain_names)
@settings(deadline=None)
def test_a_difference_that_turns_out_worse_is_never_better_for_the_candidate(data: st.DataObject, name: str) -> None:
    """The same number of units, one of them lower: rounding down and imputing the worst are on the safe side."""
    gate = PLAIN[name]
    cell = data.draw(cells(gate).filter(lambda found: any(count for _, count in found.low)))
    value = data.draw(st.sampled_from([value for value, count in cell.low if count]))
    lower = data.draw(st.integers(gate.bottom(40 * gate.steps), value))
    worse = structs.replace(cell, low=added(added(cell.low, value, -1), lower, 1))
    plan = a_plan(gate)
    (before,), (after,) = (assess(plan, some_evidence(each), started_us=START) for each in (cell, worse))
    assert after.e_promote <= before.e_promote * (1 + 1e-6)


@given(st.data(), st.lists(plain_names, min_size=2, max_size=5, unique=True), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_gates_changes_no_number(data: st.DataObject, chosen: list[str], rng: Any) -> None:
    where = (WHOLE, TWEETS, NEWS)
    gates = [placed(GATES[name], where) for name in chosen]
    found = {gate.id: [data.draw(cells(gate, at=at)) for at in where] for gate in gates}
    shuffled = list(gates)
    rng.shuffle(shuffled)
    first, second = (look(a_plan(*order), order, found) for order in (gates, shuffled))
    by_name = {test.name: test for test in second.tests}
    assert len(by_name) == len(first.tests)
    for test in first.tests:
        assert by_name[test.name] == test
    assert first.verdict == second.verdict


@given(st.data(), st.lists(names, min_size=1, max_size=3, unique=True))
@settings(max_examples=50, deadline=None)
def test_the_same_evidence_gives_the_same_bytes(data: st.DataObject, chosen: list[str]) -> None:
    gates = [GATES[name] for name in chosen]
    found = {gate.id: [data.draw(cells(gate))] for gate in gates}
    plan = structs.replace(a_plan(*gates), targets=tuple(gates))
    evidence = some_evidence(*(cell for _ in range(2) for gate in gates for cell in found[gate.id]))
    first, second = (msgspec.json.encode(verdict_on(plan, evidence, attempt=2)) for _ in range(2))
    assert first == second


def added(histogram: Histogram, value: int, count: int) -> Histogram:
    counts = dict(histogram)
    counts[value] = counts.get(value, 0) + count
    return tuple(sorted(counts.items()))


def placed(gate: Gate, where: tuple[tuple[str, str], ...]) -> Gate:
    (test,) = gate.tests
    return structs.replace(
        gate, tests=tuple(structs.replace(test, segment=segment, value=value) for segment, value in where)
    )


def look(plan: Plan, gates: list[Gate], found: dict[str, list[Cell]]) -> Verdict:
    return verdict_on(plan, some_evidence(*(cell for gate in gates for cell in found[gate.id])))
