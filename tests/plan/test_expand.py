"""What a plan becomes: every test written out, every unit an integer, every default the documented one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import PlanError
from gnomon.plan import load
from gnomon.records.plan import Arm, Fork, Gate, Plan, Route, Selector, Unit
from tests.plan.builders import DOCUMENT, LEFT_OUT, PATH, TEXT, edited

PLAN = load.parse(TEXT, PATH).plan

SMALL: dict[str, Any] = {
    "gnomon": 1,
    "trial": "small",
    "question": "?",
    "production": {"version": "1", "url": "http://a"},
    "candidate": {"version": "2", "url": "http://b"},
    "routes": ["POST /predict"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "gates": [{"error_rate": {"at_most": "1%"}}],
}


def small(**parts: Any) -> Plan:
    return load.from_document(SMALL | parts)


def gate_of(gate: dict[str, Any], **parts: Any) -> Gate:
    base = {"output": {"label": "body:/label"}, "truth": {"expected_within": "1d"}}
    return small(**base | {"gates": [gate]} | parts).gates[0]


def expected(gate: dict[str, Any], **parts: Any) -> tuple[int, int]:
    test = gate_of(gate, **parts).tests[0]
    return test.disagreement_ppm, test.difference_ppm


def test_a_document_by_way_of_json_is_the_same_plan() -> None:
    assert load.from_document(json.loads(json.dumps(DOCUMENT))) == PLAN


def test_units_become_integers() -> None:
    assert PLAN.production == Arm(version="1.4", url="http://127.0.0.1:9001", timeout_us=2_000_000)
    assert PLAN.candidate.authorization_env == "CANDIDATE_AUTHORIZATION"
    assert PLAN.fork == Fork(
        mode="sync", shadow_rate=858_993_459, expires_after_us=30_000_000, in_flight=64, per_second=200
    )
    assert PLAN.unit == Unit(cluster=Selector(where="body", name="/document"), closes_after_us=3_600_000_000)
    assert (PLAN.alpha_ppm, PLAN.lost_ppm) == (50_000, 10_000)
    assert PLAN.routes == (Route(method="POST", path="/predict"),)


def test_a_route_may_be_declared_repeatable() -> None:
    plan = small(routes=["POST /predict  repeatable ", "GET /models"])
    assert plan.routes == (
        Route(method="POST", path="/predict", repeatable=True),
        Route(method="GET", path="/models", repeatable=False),
    )


def test_defaults_are_those_of_the_page() -> None:
    """A default never changes within gnomon: 1, as it is not in the digest."""
    plan = small()
    assert plan.fork == Fork(
        mode="sync", shadow_rate=2**32, expires_after_us=300_000_000, in_flight=64, per_second=None
    )
    assert (plan.protocol, plan.alpha_ppm, plan.lost_ppm) == ("json", 50_000, 10_000)
    assert plan.production.timeout_us is None
    assert plan.unit == Unit()
    assert (plan.duration.at_least_us, plan.duration.cycle_us, plan.duration.deadline_us) == (0, None, None)
    assert [test.min_units for test in plan.tests] == [1]


def test_a_gate_holds_overall_and_on_every_cell_with_its_catch_alls() -> None:
    assert [test.cell for test in PLAN.gates[0].tests] == [
        "overall",
        "source=tweets",
        "source=amazon",
        "source=other",
        "source=missing",
        "amount=0-100",
        "amount=100-1000",
        "amount=1000-inf",
        "amount=below",
        "amount=other",
        "amount=missing",
    ]


@pytest.mark.parametrize(
    ("where", "cells"),
    [
        ("overall", ["overall"]),
        ("every segment", ["s=a", "s=other", "s=missing"]),
        ("overall and every segment", ["overall", "s=a", "s=other", "s=missing"]),
        (["s=a", "overall"], ["overall", "s=a"]),
        (["s"], ["s=a", "s=other", "s=missing"]),
    ],
)
def test_where_says_which_cells(where: Any, cells: list[str]) -> None:
    plan = small(
        segments={"s": {"from": "body:/s", "values": ["a"]}}, gates=[{"error_rate": {"at_most": "1%", "where": where}}]
    )
    assert [test.cell for test in plan.tests] == cells


def test_a_margin_is_of_its_cell_then_of_its_segment_then_otherwise() -> None:
    margin = {"overall": "1pp", "source=tweets": "3pp", "amount": "2pp", "otherwise": "4pp"}
    plan = load.from_document(edited(("gates", 0, "accuracy", "margin"), margin))
    by_cell = {test.cell: test.margin_ppm for test in plan.gates[0].tests}
    assert by_cell["overall"] == 10_000
    assert by_cell["source=tweets"] == 30_000
    assert by_cell["source=other"] == 40_000
    assert by_cell["amount=below"] == 20_000


@pytest.mark.parametrize(
    ("gate", "form", "margin"),
    [
        ({"accuracy": {"no_worse_than": "production", "margin": "2pp"}}, "no_worse_than", 20_000),
        ({"accuracy": {"better_than": "production"}}, "better_than", 0),
        ({"agreement": {"at_least": "90%"}}, "at_least", 100_000),
        ({"error_rate": {"at_most": "1%"}}, "at_most", 10_000),
        ({"error_rate": {"better_than": "production"}}, "better_than", 0),
        ({"latency": {"quantile": "99%", "at_most": "250ms"}}, "at_most", 10_000),
    ],
)
def test_each_form_has_its_margin(gate: dict[str, Any], form: str, margin: int) -> None:
    made = gate_of(gate)
    assert (made.form, made.tests[0].margin_ppm) == (form, margin)


@pytest.mark.parametrize(
    ("gate", "disagreement", "difference"),
    [
        ({"accuracy": {"no_worse_than": "production", "margin": "2pp"}}, 100_000, 0),
        ({"accuracy": {"better_than": "production"}}, 100_000, 25_000),
        ({"agreement": {"at_least": "90%"}}, 50_000, -50_000),
        ({"error_rate": {"no_worse_than": "production", "margin": "1pp"}}, 10_000, 0),
        ({"error_rate": {"at_most": "1%"}}, 5_000, -5_000),
        ({"latency": {"quantile": "99%", "at_most": "1s"}}, 5_000, -5_000),
    ],
)
def test_when_nothing_is_expected_the_documented_is(gate: dict[str, Any], disagreement: int, difference: int) -> None:
    assert expected(gate) == (disagreement, difference)


def test_the_plans_expectation_is_for_accuracy_alone() -> None:
    expect = {"disagreement": "22%", "difference": "1pp"}
    accuracy = {"accuracy": {"no_worse_than": "production", "margin": "2pp"}}
    assert expected(accuracy, expect=expect) == (220_000, 10_000)
    assert expected({"accuracy": {"better_than": "production"}}, expect=expect) == (220_000, 55_000)
    assert expected({"agreement": {"at_least": "90%"}}, expect=expect) == (50_000, -50_000)


def test_a_gates_own_expectation_comes_first() -> None:
    gate = {"accuracy": {"better_than": "production", "expect": {"disagreement": "8%", "difference": "3pp"}}}
    assert expected(gate, expect={"disagreement": "22%"}) == (80_000, 30_000)
    fixed = {"latency": {"quantile": "99%", "at_most": "1s", "expect": {"disagreement": "0.1%"}}}
    assert expected(fixed) == (1_000, -1_000)


def test_expectation_by_cell() -> None:
    by_cell = {test.cell: test.disagreement_ppm for test in PLAN.gates[0].tests}
    assert (by_cell["source=tweets"], by_cell["source=amazon"], by_cell["overall"]) == (80_000, 220_000, 220_000)


def test_gate_ids_are_as_short_as_they_can_be() -> None:
    assert [gate.id for gate in PLAN.gates] == [
        "accuracy:label:no_worse_than",
        "accuracy:label:better_than",
        "agreement",
        "error_rate:no_worse_than",
        "error_rate:at_most",
        "latency",
    ]


def test_the_same_gate_twice_gets_a_number() -> None:
    plan = small(gates=[{"error_rate": {"at_most": "1%"}}, {"error_rate": {"at_most": "2%"}}])
    assert [gate.id for gate in plan.gates] == ["error_rate:at_most", "error_rate:at_most:2"]


def test_two_outputs_under_one_kind_are_told_apart_by_their_names() -> None:
    outputs = {"a": "body:/a", "b": "body:/b"}
    gates = [{"agreement": {"of": name, "at_least": "90%"}} for name in outputs]
    assert [gate.id for gate in small(output=outputs, gates=gates).gates] == ["agreement:a", "agreement:b"]


def test_a_gate_says_in_plain_words_what_it_asks() -> None:
    every = "overall and on every source and amount."
    assert [gate.sentence for gate in PLAN.gates] == [
        f"The candidate is right about label at most 1pp to 4pp (by cell) less often than production, {every}",
        "The candidate is right about label more often than production, overall.",
        f"Both models give the same score in at least 90% of the requests, {every}",
        f"The candidate fails at most 0.5pp more often than production, {every}",
        "The candidate fails in at most 1% of the requests, overall and on source=tweets.",
        "99% of the candidate's answers are complete within 250ms, overall.",
    ]


def test_one_output_need_not_be_named() -> None:
    assert gate_of({"agreement": {"at_least": "90%"}}).output == "label"


def test_a_header_selector_is_in_lower_case() -> None:
    plan = small(segments={"s": {"from": "header:X-Country", "values": ["DE"]}})
    assert str(plan.segments[0].of) == "header:x-country"


def test_open_inference_reads_tensors_and_bodies() -> None:
    document = copy.deepcopy(DOCUMENT) | {"protocol": "open_inference"}
    document["segments"]["source"]["from"] = "input:source"
    document["output"]["label"] = "output:predict"
    document["truth"]["key"] = "parameter:transaction"
    plan = load.from_document(document)
    assert [str(each) for each in (plan.segments[0].of, plan.outputs[0].of, plan.truth and plan.truth.key)] == [
        "input:source",
        "output:predict",
        "parameter:transaction",
    ]


def test_without_a_key_truth_names_the_exchange() -> None:
    plan = load.from_document(edited(("truth", "key"), LEFT_OUT))
    assert plan.truth is not None
    assert plan.truth.key is None


def test_an_installed_comparator_and_protocol_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = SMALL | {
        "protocol": "grpc_v2",
        "output": {"text": {"from": "body:/t", "compare": "edits", "tolerance": 2.0}},
    }
    with pytest.raises(PlanError) as caught:
        load.from_document(wanted)
    assert {problem.key for problem in caught.value.problems} == {"protocol", "output.text.compare"}
    folder = tmp_path / "edits-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: edits\nVersion: 1.0\n")
    points = "[gnomon.comparators]\nedits = edits:Edits\n[gnomon.protocols]\ngrpc_v2 = edits:Grpc\n"
    (folder / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    plan = load.from_document(wanted)
    assert (plan.protocol, plan.outputs[0].compare, plan.outputs[0].tolerance) == ("grpc_v2", "edits", 2.0)
