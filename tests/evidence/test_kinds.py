"""Each kind of gate against a small log written by hand, with its counts written out."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gnomon.records.evidence import Cell, Histogram
from gnomon.records.plan import OVERALL, Available, Custom, Duration, Gate, Output, Plan, Selector, Truth, Unit
from gnomon.records.process import PROBE_EPOCH
from tests.evidence.trial_log import (
    SECOND,
    START,
    a_gate,
    a_log,
    a_plan,
    a_truth,
    an_exchange,
    differs,
    fails,
)

FRAUD, FINE = '"fraud"', '"fine"'
LATE = 1_000


def gate_of(kind: Any, form: Any = "no_worse_than", where: Sequence[tuple[str, str]] = ((OVERALL, ""),), **fields: Any):
    return structs.replace(a_gate(kind, form, where=where), **{"output": "label"} | fields)


def number_plan(*gates: Gate, tolerance: float = 0.0, **changes: Any) -> Plan:
    """A plan whose output `label` is a number."""
    return a_plan(*gates, compare="number", tolerance=tolerance, **changes)


def said(number: int, production: Any, candidate: Any, **changes: Any) -> dict[str, Any]:
    """Both arms' answers; None: that arm failed."""
    agree = None if production is None or candidate is None else production == candidate
    row = {"output_label_production": production, "output_label_candidate": candidate, "output_label_agree": agree}
    if production is None:
        row["production_outcome"] = "5xx"
    if candidate is None:
        row["candidate_outcome"] = "timeout"
    return an_exchange(number, **row | changes)


def lost(number: int, production: Any = FINE, **changes: Any) -> dict[str, Any]:
    return an_exchange(number, state="expired", output_label_production=production, **changes)


def truth(number: int, value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return a_truth(number, value)
    return a_truth(number, str(value), number=value)


def cell_of(tmp_path: Path, plan: Plan, rows: list[Any], truths: Sequence[Any] = (), *, as_of: int = LATE) -> Cell:
    return a_log(tmp_path, plan, rows, truths).gather(as_of=as_of).cells[0]


def histogram(**counts: int) -> Histogram:
    return tuple(sorted((int(name.replace("m", "-").lstrip("_")), count) for name, count in counts.items()))


# without truth -----------------------------------------------------------------------------------------------------


def share_rows() -> list[dict[str, Any]]:
    return [
        said(1, FRAUD, FRAUD),
        said(2, FRAUD, FINE),
        said(3, FINE, FRAUD),
        said(4, FINE, FRAUD),
        said(5, FINE, FINE),
        said(6, FRAUD, None),
        said(7, FINE, None),
        said(8, None, FRAUD),
        said(9, None, FINE),
        said(10, None, None),
        lost(11),
    ]


def test_a_share_is_held_from_above(tmp_path: Path) -> None:
    """Exchanges 3, 4, 8 flag more and 7 fails, which may be more; 2 flags less; a failure of both is a tie."""
    cell = cell_of(tmp_path, a_plan(gate_of("share", "not_above", label=FRAUD)), share_rows())
    assert cell.low == ((-40, 5), (0, 5), (40, 1))
    assert cell.high == ((-40, 4), (0, 5), (40, 2))
    assert (cell.known, cell.production_good, cell.candidate_good, cell.lost) == (10, 3, 4, 1)


def test_a_share_is_held_from_below(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, a_plan(gate_of("share", "not_below", label=FRAUD)), share_rows())
    assert cell.low == ((-40, 3), (0, 5), (40, 3))
    assert cell.high == ((-40, 2), (0, 5), (40, 4))


def test_an_error_rate_against_a_multiple_of_productions(tmp_path: Path) -> None:
    """R = 3/2: production failed is worth 3 thirds, the candidate failed costs 2, both leave 1; steps of 1/120."""
    gate = gate_of("error_rate", ratio=(3, 2), steps=3, output=None)
    rows = [an_exchange(1), fails(2, "production"), fails(3, "candidate"), said(4, None, None), lost(5)]
    cell = cell_of(tmp_path, a_plan(gate), rows)
    assert cell.grid == 120
    assert cell.low == ((-80, 2), (0, 1), (40, 1), (120, 1))
    assert cell.high == ((-80, 1), (0, 1), (40, 1), (120, 2))


def test_lost_exchanges_without_a_row_are_at_the_bottom_of_a_ratio(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(gate_of("error_rate", ratio=(3, 2), steps=3, output=None)), [an_exchange(1)])
    log.flush(watermark=2, instance="gateway-0", unaccounted=2)
    cell = log.gather().cells[0]
    assert (cell.low, cell.high) == (((-80, 2), (0, 1)), ((0, 1), (120, 2)))


def test_refusals_of_both_arms_and_no_answer_is_one(tmp_path: Path) -> None:
    no = '"I cannot help with that"'
    rows = [said(1, no, no), said(2, no, FINE), said(3, FINE, no), said(4, FINE, None), said(5, None, FINE), lost(6)]
    cell = cell_of(tmp_path, a_plan(gate_of("refusal_rate", label=no)), rows)
    assert (cell.low, cell.high) == (((-40, 3), (0, 1), (40, 2)), ((-40, 2), (0, 1), (40, 3)))
    limit = cell_of(tmp_path / "limit", a_plan(gate_of("refusal_rate", "at_most", label=no)), rows)
    assert (limit.low, limit.high) == (((-40, 4), (0, 2)), ((-40, 3), (0, 3)))


def test_a_cost_is_a_share_of_its_scale_rounded_against_the_claim(tmp_path: Path) -> None:
    """100 tokens of 1,000 are 4 steps, 30 tokens 1.2; a failed call cost the most; over the scale is clipped."""
    rows = [
        said(1, 500.0, 400.0),
        said(2, 500.0, 530.0),
        said(3, 900.0, 5_000.0),
        said(4, 1_000.0, None),
        said(5, None, 0.0),
        lost(6, 500.0),
    ]
    cell = cell_of(tmp_path, number_plan(gate_of("cost", scale=(0.0, 1_000.0))), rows)
    assert cell.low == ((-40, 1), (-4, 1), (-2, 1), (0, 1), (4, 1), (40, 1))
    assert cell.high == ((-4, 1), (-1, 1), (0, 1), (4, 1), (40, 2))


def test_a_limit_of_cost_looks_at_the_candidate_alone(tmp_path: Path) -> None:
    rows = [said(1, 0.0, 250.0), said(2, 0.0, 30.0), said(3, 0.0, None), said(4, 0.0, 0.0), lost(5, 0.0)]
    cell = cell_of(tmp_path, number_plan(gate_of("cost", "at_most", scale=(0.0, 1_000.0), limit=300.0)), rows)
    assert cell.low == ((-40, 2), (-10, 1), (-2, 1), (0, 1))
    assert cell.high == ((-40, 1), (-10, 1), (-1, 1), (0, 2))


def test_a_custom_number_is_taken_as_it_is_and_what_cannot_be_read_as_worst(tmp_path: Path) -> None:
    gate = gate_of("custom", output=None, custom=Custom(function="mine:score", digest="0" * 64))
    numbers = [0.5, -0.01, 7.0, math.nan, math.inf, -math.inf, None]
    rows = [an_exchange(place, custom_0=number) for place, number in enumerate(numbers, 1)]
    rows += [fails(8, "candidate"), fails(9, "production"), said(10, None, None), lost(11)]
    cell = cell_of(tmp_path, a_plan(gate), rows)
    assert cell.low == ((-40, 8), (-1, 1), (20, 1), (40, 1))
    assert cell.high == ((0, 1), (20, 1), (40, 9))
    assert cell.known == 3


def test_a_custom_number_that_is_none_is_unknown_in_a_file_of_nothing_larger(tmp_path: Path) -> None:
    """A file's statistics leave NaN out: every value of it is below any limit, as far as they say."""
    gate = gate_of("custom", output=None, custom=Custom(function="mine:score", digest="0" * 64))
    numbers = [0.5, math.nan, -0.5, math.nan]
    cell = cell_of(tmp_path, a_plan(gate), [an_exchange(n, custom_0=x) for n, x in enumerate(numbers, 1)])
    assert cell.low == ((-40, 2), (-20, 1), (20, 1))
    assert cell.high == ((-20, 1), (20, 1), (40, 2))
    assert cell.known == 2


# the twin ----------------------------------------------------------------------------------------------------------


def a_twin_plan() -> Plan:
    gate = gate_of("agreement", against_twin=True)
    plan = a_plan(gate)
    return structs.replace(plan, fork=structs.replace(plan.fork, twin=1 << 30))


def twin(row: dict[str, Any], agrees: bool | None, *, outcome: str = "ok", repeat: bool = False) -> dict[str, Any]:
    found = {"twin_outcome": outcome, "twin_repeat": repeat, "output_label_twin_agree": agrees}
    return row | found | {"twin_drawn": True}


def not_called(row: dict[str, Any]) -> dict[str, Any]:
    """The coin drew it, and there was no second answer."""
    return row | {"twin_drawn": True, "twin_outcome": None, "twin_repeat": None, "output_label_twin_agree": None}


def test_agreement_is_held_against_that_of_production_with_itself(tmp_path: Path) -> None:
    """Not drawn and repeated by a cache: no units. Lost ones are; what a twin would have said may be unknown."""
    rows = [
        an_exchange(1),
        twin(an_exchange(2), agrees=True),
        twin(an_exchange(3), agrees=False),
        twin(differs(4), agrees=True),
        twin(differs(5), agrees=False),
        twin(an_exchange(6), None, outcome="5xx"),
        twin(fails(7, "production"), None),
        twin(fails(8, "candidate"), agrees=True),
        twin(differs(9), agrees=True, repeat=True),
        twin(lost(10), agrees=True),
        not_called(an_exchange(11)),
        not_called(lost(12)),
    ]
    evidence = a_log(tmp_path, a_twin_plan(), rows).gather()
    cell = evidence.cells[0]
    assert (cell.low, cell.high) == (((-40, 4), (0, 5), (40, 1)), ((-40, 2), (0, 3), (40, 5)))
    assert (cell.exchanges, cell.lost, cell.known, cell.production_good, cell.candidate_good) == (10, 2, 6, 3, 2)
    assert evidence.twins == (9, 1)
    said = "1 of 9 second answers of production look like a cache's: they count for nothing"
    assert evidence.notes == (f"{said}, and the noise floor is that of the others",)


def test_few_repeats_are_not_worth_a_sentence(tmp_path: Path) -> None:
    rows = [twin(an_exchange(n), agrees=True, repeat=n == 1) for n in range(1, 12)]
    evidence = a_log(tmp_path, a_twin_plan(), rows).gather()
    assert (evidence.twins, evidence.notes) == ((11, 1), ())


# with truth --------------------------------------------------------------------------------------------------------


def test_recall_counts_what_truth_says_is_one_and_the_unknown_only_where_it_hurts(tmp_path: Path) -> None:
    rows = [
        said(1, FRAUD, FRAUD),
        said(2, FINE, FRAUD),
        said(3, FRAUD, FINE),
        said(4, FRAUD, FINE),  # and was fine: no unit
        said(5, FRAUD, None),
        said(6, FRAUD, FINE),  # unknown: lost for promotion, no win for rejection
        said(7, FINE, FRAUD),  # unknown: won for rejection only
        said(8, FINE, FINE),  # unknown: a tie for rejection only
        lost(9),
        lost(10),  # and was fine: no unit
    ]
    truths = [truth(n, FRAUD) for n in (1, 2, 3, 5)] + [truth(4, FINE), truth(10, FINE)]
    plan = a_plan(gate_of("recall", label=FRAUD), expected_within_us=SECOND)
    cell = cell_of(tmp_path, plan, rows, truths)
    assert cell.low == ((-40, 4), (0, 1), (40, 1))
    assert cell.high == ((-40, 2), (0, 2), (40, 3))
    assert (cell.imputed, cell.exchanges, cell.lost, cell.truths) == (3, 8, 1, 4)
    assert (cell.known, cell.production_good, cell.candidate_good) == (4, 3, 2)


def test_recall_waits_for_truth_on_agreements_too(tmp_path: Path) -> None:
    plan = a_plan(gate_of("recall", label=FRAUD))
    cell = cell_of(tmp_path, plan, [said(1, FRAUD, FRAUD), said(2, FINE, FINE)], [truth(1, FRAUD)], as_of=0)
    assert (cell.units, cell.waiting, cell.frontier_us) == (1, 1, START + 2 * SECOND)


def test_precision_looks_at_what_each_arm_flagged(tmp_path: Path) -> None:
    rows = [
        said(1, FRAUD, FRAUD),
        said(2, FRAUD, FRAUD),  # wrongly, both
        said(3, FRAUD, FINE),
        said(4, FINE, FRAUD),  # wrongly
        said(5, FINE, FINE),  # nobody's unit, and waits for nothing
        said(6, FRAUD, FRAUD),  # unknown
        said(7, FRAUD, None),  # unknown
        lost(8, FRAUD),  # unknown to both
        lost(9, FRAUD),  # production was right
    ]
    truths = [truth(1, FRAUD), truth(2, FINE), truth(3, FRAUD), truth(4, FINE), truth(9, FRAUD)]
    plan = a_plan(gate_of("precision", label=FRAUD), expected_within_us=SECOND)
    cell = cell_of(tmp_path, plan, rows, truths)
    assert cell.low == ((-40, 5), (0, 1))
    assert cell.high == ((-40, 2), (0, 4))
    assert cell.reference_low == ((-40, 1), (0, 6))
    assert cell.reference_high == ((-40, 4), (0, 3))
    assert (cell.imputed, cell.exchanges, cell.truths) == (2, 8, 4)


def test_precision_waits_for_what_was_flagged(tmp_path: Path) -> None:
    plan = a_plan(gate_of("precision", label=FRAUD))
    rows = [said(1, FINE, FINE), said(2, FRAUD, FINE), said(3, FINE, FRAUD)]
    cell = cell_of(tmp_path, plan, rows, [truth(3, FRAUD)], as_of=0)
    assert (cell.units, cell.waiting) == (0, 2)


def test_the_unknown_loss_of_a_precision_is_the_candidates_worst_and_productions_best(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(gate_of("precision", label=FRAUD)), [said(1, FINE, FINE)])
    log.flush(watermark=2, instance="gateway-0", unaccounted=2)
    cell = log.gather().cells[0]
    assert (cell.low, cell.high) == (((-40, 2),), ((0, 2),))
    assert (cell.reference_low, cell.reference_high) == (((0, 2),), ((-40, 2),))


COSTS = ((FRAUD, FINE, 1_000_000), (FINE, FRAUD, 100_000))
"""A fraud let through costs all, a customer blocked a tenth."""


def test_a_loss_is_what_the_answers_cost(tmp_path: Path) -> None:
    rows = [
        said(1, FINE, FRAUD),  # a fraud: +1
        said(2, FINE, FRAUD),  # was fine: -0.1
        said(3, FRAUD, FINE),  # was fine: +0.1
        said(4, FRAUD, FRAUD),
        said(5, FRAUD, None),  # a failure costs the most there can be: -1 of a fraud
        said(6, FINE, '"?"'),  # and so does an answer that nobody declared
        said(7, FINE, FRAUD),  # unknown: 0 or 1 against 0 to 0.1 or, of what truth does not name, 1
        said(8, FRAUD, None),  # unknown: at most 1 less
        lost(9),
    ]
    truths = [truth(1, FRAUD), truth(2, FINE), truth(3, FINE), truth(5, FRAUD), truth(6, FINE)]
    plan = a_plan(gate_of("loss", costs=COSTS), expected_within_us=SECOND)
    cell = cell_of(tmp_path, plan, rows, truths)
    assert cell.low == ((-40, 5), (-4, 1), (0, 1), (4, 1), (40, 1))
    assert cell.high == ((-40, 2), (-4, 1), (0, 2), (4, 1), (40, 3))
    assert cell.imputed == 2


def test_a_failure_costs_the_most_where_an_unnamed_wrong_answer_costs_nothing(tmp_path: Path) -> None:
    rows = [
        said(1, FINE, None),  # right and free, against a failure
        said(2, None, FINE),
        said(3, FINE, '"?"'),  # free and wrong
        said(4, FINE, None),  # unknown: production cost nothing, or as much as the failure
        said(5, None, None),
    ]
    gate = gate_of("loss", costs=((FRAUD, FINE, 1_000_000),), cost_otherwise_ppm=0)
    truths = [truth(number, FINE) for number in (1, 2, 3)]
    cell = cell_of(tmp_path, a_plan(gate, expected_within_us=SECOND), rows, truths)
    assert cell.low == ((-40, 2), (0, 2), (40, 1))
    assert cell.high == ((-40, 1), (0, 3), (40, 1))


def test_a_loss_between_two_steps_is_rounded_against_the_claim(tmp_path: Path) -> None:
    plan = a_plan(gate_of("loss", costs=((FRAUD, FINE, 1_000_000), (FINE, FRAUD, 130_000))))
    cell = cell_of(tmp_path, plan, [said(1, FINE, FRAUD)], [truth(1, FINE)])  # -5.2 steps
    assert (cell.low, cell.high) == (((-6, 1),), ((-5, 1),))


def test_a_number_is_as_wrong_as_it_is_far_away(tmp_path: Path) -> None:
    """On a scale from 0 to 10, so that 1 is four steps."""
    rows = [
        said(1, 5.0, 6.0),  # truth 6: +0.1
        said(2, 5.0, 6.0),  # truth 5: -0.1
        said(3, 5.0, 5.0),  # needs no truth
        said(4, 5.0, 8.0),  # unknown: at most 0.3 either way
        said(5, 5.0, None),  # truth 4: 0.1 - 1
        said(6, 5.0, None),  # unknown: -1, or 0.5 - 1
        said(7, None, 2.0),  # unknown: 1 - 0.8, or 1
        said(8, 5.0, 1_000.0),  # clipped; truth 12 is clipped too: +0.5
        said(9, None, None),
        lost(10, 5.0),
    ]
    truths = [truth(1, 6.0), truth(2, 5.0), truth(5, 4.0), truth(8, 12.0)]
    plan = number_plan(gate_of("numeric", scale=(0.0, 10.0)), expected_within_us=SECOND)
    cell = cell_of(tmp_path, plan, rows, truths)
    assert cell.low == ((-40, 2), (-36, 1), (-12, 1), (-4, 1), (0, 2), (4, 1), (8, 1), (20, 1))
    assert cell.high == ((-36, 1), (-20, 1), (-4, 1), (0, 2), (4, 1), (12, 1), (20, 1), (40, 2))
    assert (cell.imputed, cell.truths, cell.lost) == (3, 4, 1)


def test_a_limit_of_error_looks_at_the_candidate_alone(tmp_path: Path) -> None:
    rows = [said(1, 0.0, 6.0), said(2, 0.0, None), said(3, 0.0, 7.0), lost(4, 0.0)]
    plan = number_plan(gate_of("numeric", "at_most", scale=(0.0, 10.0), limit=1.0), expected_within_us=SECOND)
    cell = cell_of(tmp_path, plan, rows, [truth(1, 5.0)])
    assert (cell.low, cell.high) == (((-40, 2), (-28, 1), (-4, 1)), ((-40, 1), (-4, 1), (0, 2)))


def test_numbers_within_the_tolerance_are_right_or_wrong_by_truth(tmp_path: Path) -> None:
    """The tolerance is 1. Answers that agree can stand on either side of what is still right."""
    rows = [
        said(1, 10.9, 11.8, output_label_agree=True),  # truth 10: the candidate alone is wrong
        said(2, 11.8, 10.9, output_label_agree=True),  # truth 10: production alone is
        said(3, 10.1, 10.2, output_label_agree=True),  # truth 10: both right
        said(4, 5.0, 5.5, output_label_agree=True),  # unknown: either may be right
        said(5, 7.0, 7.0),  # the same number: no truth needed
    ]
    plan = number_plan(gate_of("accuracy"), tolerance=1.0, expected_within_us=SECOND)
    truths = [truth(number, 10.0) for number in (1, 2, 3)]
    cell = cell_of(tmp_path, plan, rows, truths)
    assert cell.low == ((-40, 2), (0, 2), (40, 1))
    assert cell.high == ((-40, 1), (0, 2), (40, 2))
    assert (cell.imputed, cell.truths, cell.known) == (1, 3, 3)
    waiting = cell_of(tmp_path / "later", number_plan(gate_of("accuracy"), tolerance=1.0), rows, truths)
    assert (waiting.exchanges, waiting.waiting) == (3, 2)


def test_a_document_whose_numbers_agree_within_the_tolerance_is_judged_by_truth(tmp_path: Path) -> None:
    plan = a_document_plan()
    outputs = tuple(structs.replace(each, tolerance=1.0 if each.name == "total" else 0.0) for each in plan.outputs)
    row = document(1, ('"Ann"', '"Rome"', 10.9), ('"Ann"', '"Rome"', 11.8)) | {"output_total_agree": True}
    truths = [{**truth(1, value), "output": name} for name, value in (("name", '"Ann"'), ("city", '"Rome"'))]
    truths.append({**truth(1, 10.0), "output": "total"})
    cell = cell_of(tmp_path, structs.replace(plan, outputs=outputs), [row], truths)
    assert cell.low == cell.high == ((-40, 1),)


def a_document_plan(**changes: Any) -> Plan:
    """Documents of three fields: a number and two texts."""
    names = {"name": "exact", "city": "exact", "total": "number"}
    outputs = tuple(
        Output(name=name, of=Selector(where="body", name=f"/{name}"), compare=compare)
        for name, compare in names.items()
    )
    gate = gate_of("field", output=None, outputs=tuple(names), steps=3)
    return structs.replace(a_plan(gate, expected_within_us=SECOND, **changes), outputs=outputs)


def document(number: int, production: Sequence[Any] | None, candidate: Sequence[Any] | None) -> dict[str, Any]:
    row = said(number, production, candidate)
    fields = {}
    for place, name in enumerate(("name", "city", "total")):
        a, b = (None if each is None else each[place] for each in (production, candidate))
        fields |= {f"output_{name}_production": a, f"output_{name}_candidate": b}
        fields[f"output_{name}_agree"] = None if a is None or b is None else a == b
    return {key: value for key, value in row.items() if not key.startswith("output_label")} | fields


def test_a_document_is_one_unit_whatever_number_of_fields(tmp_path: Path) -> None:
    right, half = ('"Ann"', '"Rome"', 9.0), ('"Ann"', '"Oslo"', 8.0)
    rows = [
        document(1, half, right),  # two fields better
        document(2, right, half),  # two fields worse
        document(3, right, right),
        document(4, right, None),  # all three worse
        document(5, right, half),  # truth of the city alone is there: one worse, one unknown
        {key: value for key, value in lost(6).items() if not key.startswith("output_label")},
    ]
    truths = [
        {**truth(number, value), "output": name}
        for number in (1, 2, 4)
        for name, value in zip(("name", "city", "total"), right, strict=True)
    ]
    truths.append({**truth(5, '"Rome"'), "output": "city"})
    cell = cell_of(tmp_path, a_document_plan(), rows, truths)
    assert cell.grid == 120
    assert cell.low == ((-120, 2), (-80, 2), (0, 1), (80, 1))
    assert cell.high == ((-120, 1), (-80, 1), (0, 2), (80, 1), (120, 1))
    assert cell.imputed == 1


def test_what_truth_can_never_come_for_is_no_unit(tmp_path: Path) -> None:
    """Only what production let through ever turns out; the share of fraud is that of all."""
    gates = (gate_of("accuracy"), gate_of("share", "not_above", label=FRAUD))
    plan = a_plan(*gates)
    available = (Available(output="label", values=(FINE, '"unsure"')),)
    plan = structs.replace(plan, truth=Truth(key=None, expected_within_us=LATE * SECOND, available=available))
    rows = [said(1, FINE, FRAUD), said(2, FRAUD, FINE), said(3, None, FINE), lost(4)]
    evidence = a_log(tmp_path, plan, rows, [truth(1, FRAUD)]).gather()
    accuracy, share = evidence.cells
    assert (accuracy.low, accuracy.high, accuracy.waiting) == (((-40, 1), (40, 1)), ((40, 2),), 0)
    assert (accuracy.exchanges, accuracy.seen, share.exchanges) == (2, 4, 4)
    assert evidence.sampled[OVERALL] == (1, 4)


@pytest.mark.parametrize(("policy", "low"), [("first", -40), ("last", 40)])
def test_the_policy_says_which_of_two_truths_counts(tmp_path: Path, policy: Any, low: int) -> None:
    plan = a_plan()
    plan = structs.replace(plan, truth=structs.replace(plan.truth, policy=policy))
    truths = [a_truth(1, '"a"', imported_us=START), a_truth(1, '"b"', imported_us=START + 1)]
    evidence = a_log(tmp_path, plan, [differs(1)], truths).gather()
    assert evidence.cells[0].low == ((low, 1),)
    assert evidence.notes == (f"1 exchange has contradicting truths; the {policy} one imported counts",)
    assert evidence.anomalies == ()


def test_contradicting_truths_are_an_anomaly_where_the_plan_allows_none(tmp_path: Path) -> None:
    plan = a_plan()
    plan = structs.replace(plan, truth=structs.replace(plan.truth, policy="error"))
    evidence = a_log(tmp_path, plan, [differs(1)], [a_truth(1, '"a"'), a_truth(1, '"b"')]).gather()
    assert evidence.anomalies == ("1 exchange has contradicting truths, which the plan does not allow",)


# targets, instances, what stands beside ----------------------------------------------------------------------------


def test_targets_have_their_cells_after_those_of_the_gates(tmp_path: Path) -> None:
    plan = structs.replace(a_plan(a_gate("error_rate")), targets=(structs.replace(a_gate(), id="better"),))
    log = a_log(tmp_path, plan, [an_exchange(1), differs(2)], [a_truth(2, '"b"')])
    cells = log.gather().cells
    assert [cell.low for cell in cells] == [((0, 2),), ((0, 1), (40, 1))]


def a_batch_plan(*gates: Gate, **changes: Any) -> Plan:
    return a_plan(*gates, unit=Unit(instances=Selector(where="body", name="/instances"), **changes))


def batch(number: int, *instances: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """One exchange with its instances."""
    return [
        row | {"id": f"{number:032x}", "time_us": START + number * SECOND, "instance": place} | changes
        for place, row in enumerate(instances)
    ]


def test_the_instances_of_a_batch_are_averaged_into_one_unit(tmp_path: Path) -> None:
    """Of three instances one is worse: -1/3 is between -14 and -13 steps. Lost is the batch, not its instances."""
    rows = [
        *batch(1, said(1, FINE, FRAUD), said(1, FINE, FINE), said(1, FRAUD, FRAUD)),
        *batch(2, said(2, FINE, FINE), said(2, FINE, FINE)),
        *batch(3, lost(3), lost(3)),
    ]
    log = a_log(tmp_path, a_batch_plan(gate_of("share", "not_above", label=FRAUD)), rows)
    evidence = log.gather()
    cell = evidence.cells[0]
    assert cell.low == ((-40, 1), (-14, 1), (0, 1))
    assert cell.high == ((-13, 1), (0, 1), (40, 1))
    assert (cell.units, cell.exchanges, cell.lost, cell.seen) == (3, 3, 1, 3)
    assert evidence.sampled[OVERALL] == (1, 3)
    assert evidence.rows["comparisons"] == 7
    assert evidence.anomalies == ()


def test_a_batch_waits_until_the_truth_of_each_instance_is_there(tmp_path: Path) -> None:
    plan = structs.replace(
        a_batch_plan(), truth=Truth(key=Selector(where="body", name="/id"), expected_within_us=LATE * SECOND)
    )
    rows = batch(1, differs(1, truth_key='"x"'), differs(1, truth_key='"y"'))
    log = a_log(tmp_path, plan, rows, [a_truth('"x"', '"b"')])
    assert (log.gather().cells[0].units, log.gather().cells[0].waiting) == (0, 1)
    log.append("truths", [a_truth('"y"', '"a"')])
    cell = log.gather().cells[0]
    assert (cell.low, cell.exchanges, cell.truths) == (((0, 1),), 1, 2)


def test_instances_belong_to_the_cluster_of_their_exchange(tmp_path: Path) -> None:
    plan = a_batch_plan(
        gate_of("share", "not_above", label=FRAUD),
        cluster=Selector(where="header", name="x-session"),
        closes_after_us=5 * SECOND,
    )
    rows = [
        *batch(1, said(1, FINE, FRAUD), said(1, FINE, FINE), cluster="s"),
        *batch(2, said(2, FINE, FINE), said(2, FINE, FINE), cluster="s"),
    ]
    cell = a_log(tmp_path, plan, rows, watermark=20).gather().cells[0]
    assert (cell.low, cell.units, cell.exchanges) == (((-10, 1),), 1, 2)


def test_a_cluster_averages_what_of_it_is_a_unit(tmp_path: Path) -> None:
    """Of three turns two are frauds, one of them missed: recall of the cluster is -1/2; the fine one is no part."""
    plan = a_plan(
        gate_of("recall", label=FRAUD),
        unit=Unit(cluster=Selector(where="header", name="x-session"), closes_after_us=5 * SECOND),
    )
    rows = [said(n, FRAUD, answer, cluster="s") for n, answer in ((1, FRAUD), (2, FINE), (3, FINE))]
    rows.append(said(9, FINE, FINE, cluster="t"))
    truths = [truth(1, FRAUD), truth(2, FRAUD), truth(3, FINE), truth(9, FINE)]
    cell = a_log(tmp_path, plan, rows, truths, watermark=40).gather().cells[0]
    assert (cell.low, cell.high) == (((-20, 1),), ((-20, 1),))


@pytest.mark.parametrize(
    ("candidate", "low", "high"),
    [(FRAUD, 10, 40), (FINE, -40, -10)],
    ids=["finds one more", "misses one"],
)
def test_a_batch_whose_truths_never_came_has_the_worst_recall_that_they_can_make_of_it(
    tmp_path: Path, candidate: str, low: int, high: int
) -> None:
    """All are flagged alike but the first, which is a fraud: if the other three are frauds, it is one of four."""
    production = FINE if candidate == FRAUD else FRAUD
    rows = batch(1, said(1, production, candidate, truth_key='"0"'), *(said(1, FRAUD, FRAUD) for _ in range(3)))
    plan = a_batch_plan(gate_of("recall", label=FRAUD))
    plan = structs.replace(plan, truth=Truth(key=Selector(where="body", name="/id"), expected_within_us=SECOND))
    cell = cell_of(tmp_path, plan, rows, [a_truth('"0"', FRAUD)])
    assert (cell.low, cell.high, cell.imputed) == (((low, 1),), ((high, 1),), 3)


def test_a_batch_that_may_hold_no_fraud_at_all_is_a_unit_only_against_rejection(tmp_path: Path) -> None:
    plan = a_batch_plan(gate_of("recall", label=FRAUD))
    plan = structs.replace(plan, truth=Truth(key=Selector(where="body", name="/id"), expected_within_us=SECOND))
    cell = cell_of(tmp_path, plan, batch(1, said(1, FRAUD, FRAUD), said(1, FINE, FINE)))
    assert (cell.low, cell.high) == ((), ((0, 1),))


def test_productions_precision_of_a_batch_is_rounded_against_the_claim(tmp_path: Path) -> None:
    """Of three flags of either arm one is wrong: best for production is -13 of 40 steps, best for the candidate too."""
    rows = batch(1, *(said(1, FRAUD, FRAUD, truth_key=f'"{place}"') for place in range(3)))
    plan = a_batch_plan(gate_of("precision", label=FRAUD))
    plan = structs.replace(plan, truth=Truth(key=Selector(where="body", name="/id"), expected_within_us=LATE * SECOND))
    truths = [a_truth(f'"{place}"', FINE if place == 0 else FRAUD) for place in range(3)]
    cell = cell_of(tmp_path, plan, rows, truths)
    assert (cell.low, cell.reference_low) == (((-14, 1),), ((-13, 1),))
    assert (cell.high, cell.reference_high) == (((-13, 1),), ((-14, 1),))


def test_an_instance_that_is_there_twice_is_an_anomaly(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_batch_plan(a_gate("error_rate")), batch(1, an_exchange(1), an_exchange(1)))
    assert log.gather().anomalies == ()
    log.append("comparisons", batch(1, an_exchange(1), an_exchange(1))[1:])
    assert log.gather().anomalies == ("1 rows of `comparisons` repeat an exchange that is already there",)


def test_pairs_that_started_apart_are_counted(tmp_path: Path) -> None:
    lags = {1: 0, 2: 1_000_000, 3: 1_000_001, 4: None}
    rows = [an_exchange(number, start_lag_us=lag) for number, lag in lags.items()]
    rows += [an_exchange(5, start_lag_us=9_000_000, late=True), lost(6)]
    assert a_log(tmp_path, a_plan(a_gate("error_rate")), rows).gather().lagging == (2, 4)


def test_known_answers_in_the_log_are_counted(tmp_path: Path) -> None:
    rows = [an_exchange(1), an_exchange(2, epoch=PROBE_EPOCH), lost(3, epoch=PROBE_EPOCH)]
    assert a_log(tmp_path, a_plan(a_gate("error_rate")), rows).gather().probes == 1


def test_closed_cycles_are_those_of_the_slowest_cell(tmp_path: Path) -> None:
    where = ((OVERALL, ""), ("source", "tweets"), ("source", "news"), ("source", "missing"))
    plan = a_plan(a_gate(where=where), a_gate("error_rate"), duration=Duration(cycle_us=10 * SECOND))
    rows = [an_exchange(n) for n in range(1, 40)]
    log = a_log(tmp_path, plan, [*rows, differs(25, segment_source="news", id="f" * 32)], watermark=40)
    assert log.gather().closed_cycles == 2
    assert a_log(tmp_path / "none", a_plan(), rows).gather().closed_cycles == 0


def test_what_was_lost_after_the_deadline_counts_no_more(tmp_path: Path) -> None:
    """One flush after the first that says that everything before the deadline is settled is still read."""
    plan = a_plan(a_gate("error_rate"), duration=Duration(deadline_us=10 * SECOND))
    log = a_log(tmp_path, plan, [an_exchange(1)], watermark=5)
    for time, unaccounted in ((6, 1), (12, 2), (13, 3), (20, 50)):
        log.flush(watermark=time, instance="gateway-0", unaccounted=unaccounted)
    evidence = log.gather()
    assert evidence.ledger["unaccounted"] == 50
    assert evidence.cells[0].lost == 3
    assert log.gather(digest="rows").cells[0].lost == 50
