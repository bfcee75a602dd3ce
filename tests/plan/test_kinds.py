"""Every kind of gate as a record: what of the plan reaches the evidence and the bets."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.plan import labels, load, seal
from gnomon.records.evidence import GRID
from gnomon.records.plan import Available, Custom, Gate, Plan, Segment, Selector, Truth, Unit
from tests.plan.builders import LEFT_OUT, edited
from tests.plan.every_kind import CODE, KINDS

PLAN = load.from_document(KINDS)
BY_ID = {gate.id: gate for gate in PLAN.judged}


def with_gates(*gates: dict[str, Any], **parts: Any) -> Plan:
    return load.from_document(KINDS | {"gates": list(gates), "targets": []} | parts)


def gate_of(gate: dict[str, Any], **parts: Any) -> Gate:
    return with_gates(gate, **parts).gates[0]


def test_every_kind_has_its_id() -> None:
    assert [gate.id for gate in PLAN.gates] == [
        "accuracy",
        "agreement:label",
        "agreement:name",
        "share:fraud:not_above",
        "share:fraud:not_below",
        "error_rate",
        "latency",
        "recall",
        "precision",
        "loss",
        "numeric",
        "field",
        "refusal_rate:refused:no_worse_than",
        "refusal_rate:refused:at_most",
        "cost",
        "custom",
    ]


def test_a_target_is_told_from_the_gates_and_changes_no_name_of_theirs() -> None:
    assert [gate.id for gate in PLAN.targets] == [
        "accuracy:label:better_than",
        "recall:fraud:better_than",
        "cost:tokens:better_than",
    ]
    assert len({gate.id for gate in PLAN.judged}) == len(PLAN.judged)


@pytest.mark.parametrize(
    ("name", "form", "output", "margin", "disagreement", "difference"),
    [
        ("accuracy", "no_worse_than", "label", 10_000, 100_000, 0),
        ("agreement:label", "no_worse_than", "label", 20_000, 50_000, 0),
        ("agreement:name", "at_least", "name", 100_000, 50_000, -50_000),
        ("share:fraud:not_above", "not_above", "label", 5_000, 50_000, 0),
        ("share:fraud:not_below", "not_below", "label", 5_000, 50_000, 0),
        ("error_rate", "no_worse_than", None, 0, 10_000, 2_222),
        ("latency", "at_most", None, 10_000, 5_000, -5_000),
        ("recall", "no_worse_than", "label", 50_000, 100_000, 0),
        ("precision", "no_worse_than", "label", 50_000, 100_000, 0),
        ("loss", "no_worse_than", "label", 10_000, 100_000, 0),
        ("numeric", "no_worse_than", "score", 10_000, 200_000, 0),
        ("field", "no_worse_than", None, 10_000, 200_000, 0),
        ("refusal_rate:refused:no_worse_than", "no_worse_than", "label", 10_000, 20_000, 0),
        ("refusal_rate:refused:at_most", "at_most", "label", 20_000, 10_000, -10_000),
        ("cost", "at_most", "tokens", 200_000, 150_000, -150_000),
        ("custom", "no_worse_than", None, 50_000, 200_000, 0),
        ("accuracy:label:better_than", "better_than", "label", 0, 100_000, 25_000),
        ("recall:fraud:better_than", "better_than", "label", 0, 100_000, 25_000),
        ("cost:tokens:better_than", "better_than", "tokens", 0, 200_000, 12_500),
    ],
)
def test_every_kind_has_its_margin_and_its_documented_expectation(
    name: str, form: str, output: str | None, margin: int, disagreement: int, difference: int
) -> None:
    gate = BY_ID[name]
    test = gate.tests[0]
    assert (gate.form, gate.output, test.segment) == (form, output, "overall")
    assert (test.margin_ppm, test.disagreement_ppm, test.difference_ppm) == (margin, disagreement, difference)


def test_a_share_is_two_gates_with_the_same_margins_by_cell() -> None:
    above, below = BY_ID["share:fraud:not_above"], BY_ID["share:fraud:not_below"]
    assert above.label == below.label == '"fraud"'
    assert [(test.cell, test.margin_ppm) for test in above.tests] == [
        ("overall", 5_000),
        ("country=DE", 20_000),
        ("country=FR", 20_000),
        ("country=other", 20_000),
        ("country=missing", 20_000),
    ]
    assert [test.margin_ppm for test in below.tests] == [test.margin_ppm for test in above.tests]
    assert {test.gate for test in below.tests} == {"share:fraud:not_below"}


@pytest.mark.parametrize(
    ("said", "label"), [("fraud", '"fraud"'), (7, "7"), (7.0, "7"), (True, "true"), ("7", '"7"'), ("é", '"é"')]
)
def test_a_value_is_named_as_the_log_holds_it(said: Any, label: str) -> None:
    gate = {"share": {"of": said, "output": "label", "within": "1pp of production"}}
    assert gate_of(gate).label == label


def test_an_error_ratio_is_a_fraction_and_its_d_is_exact() -> None:
    gate = BY_ID["error_rate"]
    assert (gate.ratio, gate.steps) == ((3, 2), 3)


@given(st.integers(1, 40), st.integers(1, 40))
def test_what_is_expected_of_a_ratio_is_two_arms_that_fail_equally_often(a: int, b: int) -> None:
    """The mean of D is (n - d)/n of the rate; of 1.5 rates in which one arm fails, half a rate is both."""
    if a <= b or 1000 % Fraction(a, b).denominator:
        return
    text = f"{float(Fraction(a, b)):.3f} x production"
    gate = gate_of({"error_rate": {"no_worse_than": "production", "margin": text, "where": "overall"}})
    num, den = gate.ratio or (0, 0)
    assert Fraction(num, den) == Fraction(a, b)
    test = gate.tests[0]
    rate = Fraction(test.difference_ppm * num, num - den)
    assert abs(rate - Fraction(2, 3) * test.disagreement_ppm) <= Fraction(num, num - den)


def test_a_latency_ratio_has_no_limit_in_time() -> None:
    gate = BY_ID["latency"]
    assert (gate.ratio, gate.limit_us, gate.quantile_ppm) == ((6, 5), None, 990_000)


def test_costs_are_parts_of_the_largest() -> None:
    gate = BY_ID["loss"]
    assert {(truth, answer): cost for truth, answer, cost in gate.costs} == {
        ('"fraud"', '"legit"'): 1_000_000,
        ('"fraud"', '"review"'): 200_000,
        ('"legit"', '"fraud"'): 100_000,
        ('"legit"', '"review"'): 20_000,
    }
    assert gate.cost_otherwise_ppm == 500_000
    assert gate.steps == 5  # 20,000 ppm is 1/50, and 1/40 divided by 5 is 1/200


def loss(**parts: Any) -> Gate:
    return gate_of({"loss": {"output": "label", "better_than": "production"} | parts})


def test_the_largest_cost_may_be_the_one_of_all_others() -> None:
    gate = loss(costs={"fraud": {"legit": 1}}, otherwise=4)
    assert (gate.costs, gate.cost_otherwise_ppm) == ((('"fraud"', '"legit"', 250_000),), 1_000_000)


def test_others_cost_the_largest_if_nothing_is_said() -> None:
    gate = loss(costs={"fraud": {"legit": 3, "review": 1}})
    assert gate.cost_otherwise_ppm == 1_000_000
    assert gate.costs[1] == ('"fraud"', '"review"', 333_333)
    assert gate.steps == 25


def test_a_key_that_is_a_number_means_the_text_and_the_number() -> None:
    """Keys are text in a plan, and a class may be a number in an answer: 1, 1.0 and "1" are all meant."""
    gate = loss(costs={"1": {"0": 5}})
    assert [(truth, answer) for truth, answer, _ in gate.costs] == [
        ('"1"', '"0"'),
        ('"1"', "0"),
        ("1", '"0"'),
        ("1", "0"),
    ]


@given(st.text(max_size=12))
def test_every_key_means_its_own_text_at_least(key: str) -> None:
    if all(not 0xD800 <= ord(each) <= 0xDFFF for each in key):
        assert labels.show(labels.texts(key)[0]) == key
        assert len(set(labels.texts(key))) == len(labels.texts(key)) <= 2


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1000), min_size=1), st.integers(0, 1000))
def test_costs_keep_their_order_and_reach_from_nothing_to_all(costs: dict[str, int], otherwise: int) -> None:
    if not any([*costs.values(), otherwise]):
        return
    gate = loss(costs={"t": costs}, otherwise=otherwise)
    scaled = [*(cost for *_, cost in gate.costs), gate.cost_otherwise_ppm]
    said = [*costs.values(), otherwise]
    assert max(scaled) == 1_000_000
    assert min(scaled) >= 0
    assert all((a <= b) for (a, x), (b, y) in _pairs(scaled, said) if x <= y)
    assert 1 <= gate.steps <= 25


def _pairs(scaled: list[int], said: list[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    both = list(zip(scaled, said, strict=True))
    return [(one, other) for one in both for other in both]


@given(st.integers(2, 6), st.integers(1, 20))
def test_a_loss_is_counted_exactly_where_a_step_can_be_fine_enough(largest: int, part: int) -> None:
    if part > largest:
        return
    gate = loss(costs={"t": {"a": largest, "b": part}})
    cost = Fraction(gate.costs[1][2], 1_000_000) * GRID * gate.steps
    assert gate.steps == 25 or cost.denominator == 1


def test_numbers_have_their_scale_and_are_counted_in_thousandths() -> None:
    assert (BY_ID["numeric"].scale, BY_ID["numeric"].steps * GRID) == ((0.0, 1.0), 1000)
    cost = BY_ID["cost"]
    assert (cost.scale, cost.limit, cost.steps * GRID) == ((0.0, 4000.0), 800.0, 1000)


def test_a_limit_of_a_cost_is_never_weaker_than_it_was_said() -> None:
    """1/3 of the scale is rounded down."""
    gate = gate_of({"cost": {"of": "tokens", "scale": [0, 3], "at_most": 1}})
    assert gate.tests[0].margin_ppm == 333_333


def test_fields_are_counted_in_steps_of_their_number() -> None:
    assert (BY_ID["field"].outputs, BY_ID["field"].steps) == (("label", "name", "score"), 3)


def test_a_custom_gate_has_its_function_and_its_digest() -> None:
    assert BY_ID["custom"].custom == Custom(function="tests.plan.custom_gates:shorter", digest=CODE)
    assert PLAN.customs == (BY_ID["custom"],)


def test_agreement_against_the_twin_is_marked_so() -> None:
    assert [gate.id for gate in PLAN.gates if gate.against_twin] == ["agreement:label"]
    assert PLAN.fork.twin == round(0.05 * 2**32)


def test_kinds_that_look_at_truth_are_known() -> None:
    wanted = ["accuracy", "recall", "precision", "loss", "numeric", "field"]
    assert [gate.id for gate in PLAN.gates if gate.needs_truth] == wanted


def test_truth_has_its_policy_and_its_restriction() -> None:
    assert PLAN.truth == Truth(
        key=Selector(where="body", name="/id"),
        expected_within_us=14 * 86_400_000_000,
        policy="last",
        covers="all",
        available=(Available(output="label", values=('"legit"', '"fraud"')),),
    )


def test_what_a_trial_must_have_shown_besides_is_read() -> None:
    assert (PLAN.start_lag_us, PLAN.probes_required, PLAN.cost_per_day) == (500_000, True, "40 EUR")
    assert PLAN.candidate.capacity_ppm == 200_000


def test_a_gates_own_expectation_is_for_every_kind() -> None:
    expect = {"disagreement": "3%", "difference": "1pp", "where": {"country=DE": "4%"}}
    gate = gate_of({"recall": {"of": "fraud", "output": "label", "better_than": "production", "expect": expect}})
    assert [(test.cell, test.disagreement_ppm, test.difference_ppm) for test in gate.tests[:2]] == [
        ("overall", 30_000, 10_000),
        ("country=DE", 40_000, 10_000),
    ]


@given(st.lists(st.sampled_from([*KINDS["gates"], *KINDS["targets"]]), max_size=12, unique_by=str), st.integers(0, 12))
def test_no_two_criteria_of_a_plan_have_one_id(items: list[dict[str, Any]], hard: int) -> None:
    gates, targets = items[:hard], items[hard:]
    if gates:
        plan = load.from_document(KINDS | {"gates": gates, "targets": targets})
        assert len({gate.id for gate in plan.judged}) == len(plan.judged)
        assert [gate.id for gate in plan.gates] == [
            gate.id for gate in load.from_document(KINDS | {"gates": gates, "targets": []}).gates
        ]


def test_a_value_may_look_like_a_number_of_a_gate() -> None:
    def of(value: str, where: str) -> dict[str, Any]:
        return {"recall": {"of": value, "output": "label", "better_than": "production", "where": where}}

    gates = [of("a", "overall"), of("a", "every segment"), of("a:better_than:2", "overall"), of("", "overall")]
    plan = with_gates(*gates, truth={"expected_within": "1d"})
    assert [gate.id for gate in plan.gates] == [
        "recall:a:better_than",
        "recall:a:better_than:3",
        "recall:a:better_than:2",
        "recall:",
    ]


@pytest.mark.parametrize(
    ("gate", "difference"),
    [
        ({"loss": {"output": "label", "costs": {"a": {"b": 1}}}}, 12_500),
        ({"numeric": {"of": "score", "scale": [0, 1]}}, 12_500),
        ({"field": {"of": ["label", "name"]}}, 25_000),
        ({"precision": {"of": "fraud", "output": "label"}}, 25_000),
        ({"refusal_rate": {"of": "no", "output": "label"}}, 5_000),
    ],
)
def test_better_is_expected_by_a_quarter_of_typical_differences(gate: dict[str, Any], difference: int) -> None:
    ((kind, said),) = gate.items()
    assert gate_of({kind: said | {"better_than": "production"}}).tests[0].difference_ppm == difference


HYBRID: dict[str, Any] = {
    "hybrid": {"overall": 40_000, "every_segment": 2_000},
    "truth": KINDS["truth"] | {"policy": "first"},
    "gates": [{"accuracy": {"of": "label", "no_worse_than": "production", "margin": "1pp"}}],
}


def test_hybrid_seals_a_size_for_the_gates_cells_and_for_no_target() -> None:
    plan = load.from_document(KINDS | HYBRID)
    assert [test.n_max for test in plan.tests] == [40_000, 2_000, 2_000, 2_000, 2_000]
    assert {test.n_max for gate in plan.targets for test in gate.tests} == {None}


def test_hybrid_may_be_for_all_requests_alone() -> None:
    plan = load.from_document(KINDS | HYBRID | {"hybrid": {"overall": 40_000}})
    assert [test.n_max for test in plan.tests] == [40_000, None, None, None, None]


def test_top_is_kept_beside_the_values() -> None:
    (segment,) = PLAN.segments
    assert segment == Segment(
        name="country", of=Selector(where="body", name="/country"), values=("DE", "FR"), top=2, learn=1000
    )


def test_an_unresolved_top_has_no_names_and_its_catch_alls() -> None:
    plan = load.from_document(edited(("segments", "country", "values"), LEFT_OUT, of=KINDS))
    (segment,) = plan.segments
    assert (segment.values, segment.labels, segment.top) == ((), (), 2)
    assert [test.cell for test in plan.gates[0].tests] == ["overall", "country=other", "country=missing"]


def test_a_batch_has_one_star_in_each_output_and_in_the_truths_key() -> None:
    batch = {
        "unit": {"instances": "body:/instances"},
        "output": {"label": "body:/predictions/*/label"},
        "truth": {"key": "body:/instances/*/id", "expected_within": "1d"},
    }
    plan = with_gates({"accuracy": {"better_than": "production"}}, **batch)
    assert plan.unit == Unit(instances=Selector(where="body", name="/instances"))
    assert str(plan.outputs[0].of) == "body:/predictions/*/label"


def test_without_a_batch_a_star_is_a_key_like_any_other() -> None:
    plan = with_gates({"agreement": {"at_least": "90%"}}, output={"label": "body:/*/label"})
    assert str(plan.outputs[0].of) == "body:/*/label"


def test_what_a_second_call_costs_is_operation() -> None:
    changed = edited(("suitability", "cost_per_day"), "50 EUR", of=KINDS)
    assert seal.seal(changed) == seal.seal(KINDS)
    assert seal.operations(changed)["suitability"] == {"cost_per_day": "50 EUR"}
    assert seal.seal(edited(("candidate", "capacity"), "30%", of=KINDS)) != seal.seal(KINDS)
