"""Wrong gates of every kind, and wrong rules around them: one clear finding each, with its place and what to do."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import PlanError
from gnomon.plan import load
from gnomon.records.plan import Plan
from tests.plan.builders import LEFT_OUT, edited, problems_in
from tests.plan.every_kind import CODE, KINDS

NOT_WORSE = {"no_worse_than": "production", "margin": "1pp"}
ACCURACY = {"accuracy": NOT_WORSE | {"of": "label"}}


def finding(gate: dict[str, Any], **parts: Any) -> list[tuple[str, str, str]]:
    """What is wrong with a plan whose only gate is this one; None takes a part out."""
    document = KINDS | {"gates": [gate], "targets": []} | parts
    document = {key: value for key, value in document.items() if value is not None}
    return [(problem.key, problem.found, problem.do) for problem in problems_in(document)]


MARGINLESS = [
    ("accuracy", {"of": "label"}),
    ("agreement", {"of": "label"}),
    ("error_rate", {}),
    ("recall", {"of": "fraud", "output": "label"}),
    ("precision", {"of": "fraud", "output": "label"}),
    ("loss", {"output": "label", "costs": {"a": {"b": 1}}}),
    ("numeric", {"of": "score", "scale": [0, 1]}),
    ("field", {"of": ["label", "name"]}),
    ("refusal_rate", {"of": "no", "output": "label"}),
    ("cost", {"of": "tokens", "scale": [0, 1]}),
    ("custom", {"function": "tests.plan.custom_gates:shorter", "digest": CODE}),
]


@pytest.mark.parametrize(("kind", "said"), MARGINLESS, ids=[kind for kind, _ in MARGINLESS])
def test_no_worse_needs_a_margin_above_zero(kind: str, said: dict[str, Any]) -> None:
    """An equal candidate has a power of alpha against a margin of zero, however much data comes."""
    worse = said | {"no_worse_than": "production"}
    ((key, found, do),) = finding({kind: worse})
    assert (key, found) == (
        f"gates[0].{kind}.margin",
        "is missing: how much worse is still acceptable must be said before the start",
    )
    assert do == "add it, such as margin: 1pp"
    ((key, found, do),) = finding({kind: worse | {"margin": "0pp"}})
    assert key == f"gates[0].{kind}.margin"
    assert found.startswith("is zero, which can never be shown")
    assert ("better_than" in do) == (kind != "agreement")


@pytest.mark.parametrize("kind", ["accuracy", "recall", "precision", "loss", "numeric", "field"])
def test_truth_is_needed(kind: str) -> None:
    gate = next(each for each in KINDS["gates"] if kind in each)
    ((key, found, do),) = finding(gate, truth=None)
    assert (key, found) == (f"gates[0].{kind}", "needs ground truth, and the plan declares none")
    assert do == "add truth: {key: body:/id, expected_within: 14d}, or use agreement, which needs none"


@pytest.mark.parametrize("kind", ["recall", "precision"])
def test_what_both_say_alike_needs_truth_for_recall_and_precision(kind: str) -> None:
    gate = {kind: NOT_WORSE | {"of": "fraud", "output": "label"}}
    ((key, found, do),) = finding(gate, truth={"expected_within": "1d", "covers": "disagreements"})
    assert (key, found) == (
        f"gates[0].{kind}",
        (
            f"cannot be shown with truth.covers: disagreements: {kind} counts what both models say alike, and that "
            "has no truth then"
        ),
    )
    assert do == "get truth for agreements too and write covers: all, or use accuracy or loss"


def test_truth_for_disagreements_is_enough_for_accuracy_loss_and_field() -> None:
    gates = [each for each in KINDS["gates"] if {"accuracy", "loss", "field"} & each.keys()]
    truth = {"expected_within": "1d", "covers": "disagreements"}
    assert len(load.from_document(KINDS | {"gates": gates, "targets": [], "truth": truth}).gates) == 3


@pytest.mark.parametrize(
    "gate",
    [
        {"numeric": NOT_WORSE | {"of": "score", "scale": [0, 1]}},
        {"accuracy": NOT_WORSE | {"of": "score"}},
        {"field": NOT_WORSE | {"of": ["label", "score"]}},
    ],
    ids=lambda gate: next(iter(gate)),
)
def test_numbers_that_agree_within_a_tolerance_need_truth_too(gate: dict[str, Any]) -> None:
    """Agreement within it does not make both right: one can be inside the tolerance of the truth and one outside."""
    output = KINDS["output"] | {"score": {"from": "body:/score", "compare": "number", "tolerance": 0.1}}
    truth = {"expected_within": "1d", "covers": "disagreements"}
    ((key, found, _),) = finding(gate, output=output, truth=truth)
    assert (key, found) == (
        f"gates[0].{next(iter(gate))}",
        "needs truth where the numbers differ within the tolerance, and truth.covers: disagreements has none there",
    )


@pytest.mark.parametrize("kind", ["recall", "precision"])
def test_what_production_never_answers_where_truth_is_cannot_be_lost(kind: str) -> None:
    """A recall of 0 is not fallen short of, and a candidate would pass whatever it does."""
    truth = {"expected_within": "1d", "available_when": {"label": ["legit", "review"]}}
    ((key, found, do),) = finding({kind: NOT_WORSE | {"of": "fraud", "output": "label"}}, truth=truth)
    assert (key, do) == (f"gates[0].{kind}", "use accuracy or loss, which compare on what production let through")
    assert found == (
        "compares how production finds fraud, and truth.available_when has no truth where production answers fraud: "
        "any candidate would pass"
    )


RATIO = {"latency": {"quantile": "99%", "at_most": "1.2 x production", "where": "overall"}}
CANDIDATE = {"version": "2.0", "url": "http://127.0.0.1:9002"}


@pytest.mark.parametrize(
    ("fork", "candidate", "found"),
    [
        (
            {"mode": "async"},
            CANDIDATE,
            "compares with production, and in mode async the candidate runs at another time, under another load",
        ),
        (
            {"shadow_rate": "20%"},
            CANDIDATE,
            "compares with production, and the candidate gets a part of the load: with what capacity is not said",
        ),
        (
            {"strata": {"by": "body:/country", "rates": {"BR": "100%"}, "otherwise": "10%"}},
            CANDIDATE | {"capacity": "20%"},
            "compares with production, and fork.strata has different rates: the two see different mixtures",
        ),
    ],
)
def test_a_latency_ratio_needs_the_same_time_and_a_known_load(
    fork: dict[str, Any], candidate: dict[str, Any], found: str
) -> None:
    assert [(key, said) for key, said, _ in finding(RATIO, fork=fork, candidate=candidate)] == [
        ("gates[0].latency.at_most", found)
    ]


@pytest.mark.parametrize(
    ("fork", "candidate"),
    [
        ({}, CANDIDATE),
        ({"shadow_rate": "20%"}, CANDIDATE | {"capacity": "20%"}),
        ({"strata": {"by": "body:/c", "rates": {"BR": "100%"}, "otherwise": "100%"}}, CANDIDATE),
    ],
)
def test_all_of_the_load_or_a_declared_capacity_will_do(fork: dict[str, Any], candidate: dict[str, Any]) -> None:
    parts = {"gates": [RATIO], "targets": [], "fork": fork, "candidate": candidate}
    assert load.from_document(KINDS | parts).gates[0].ratio == (6, 5)


def test_an_absolute_limit_needs_none_of_it() -> None:
    gate = {"latency": {"quantile": "99%", "at_most": "250ms", "where": "overall"}}
    parts = {"gates": [gate], "targets": [], "fork": {"mode": "async"}, "candidate": CANDIDATE}
    assert load.from_document(KINDS | parts).gates[0].limit_us == 250_000


def test_the_noise_floor_needs_a_twin() -> None:
    ((key, found, do),) = finding({"agreement": NOT_WORSE | {"of": "label"}}, fork={"shadow_rate": "20%"})
    assert (key, do) == ("gates[0].agreement", "add fork.twin: 5%, or write at_least: 90%")
    assert (
        found == "compares with how often production agrees with itself, and nothing goes to production a second time"
    )


CASES: list[tuple[dict[str, Any], str, str]] = [
    # values and outputs
    ({"share": {"of": "x", "output": "score", "within": "1pp of production"}}, "share", "names values of score"),
    ({"recall": NOT_WORSE | {"of": "x", "output": "score"}}, "recall", "names values of score"),
    ({"precision": NOT_WORSE | {"of": 1, "output": "score"}}, "precision", "names values of score"),
    ({"refusal_rate": {"of": "x", "output": "score", "at_most": "1%"}}, "refusal_rate", "names values of score"),
    ({"loss": NOT_WORSE | {"output": "score", "costs": {"a": {"b": 1}}}}, "loss", "names values of score"),
    ({"share": {"of": "x", "output": "labl", "within": "1pp of production"}}, "share.output", "is not an output"),
    ({"share": {"of": "x", "within": "1pp of production"}}, "share", "does not say of which output: label, score"),
    ({"share": {"of": ["x"], "output": "label", "within": "1pp of production"}}, "share.of", "is no value"),
    ({"numeric": NOT_WORSE | {"of": "label", "scale": [0, 1]}}, "numeric", "which is compared as exact"),
    ({"cost": NOT_WORSE | {"of": "label", "scale": [0, 1]}}, "cost", "which is compared as exact"),
    # shares
    ({"share": {"of": "x", "output": "label", "within": "0pp of production"}}, "share.within", "is zero"),
    ({"share": {"of": "x", "output": "label", "within": "5% of production"}}, "share.within", "could mean a part"),
    ({"share": {"of": "x", "output": "label", "within": "5pp"}}, "share.within", "is no margin"),
    (
        {"share": {"of": "x", "output": "label", "within": {"overall": "1pp of production"}}},
        "share.within",
        "has nothing for country=DE",
    ),
    (
        {"share": {"of": "x", "output": "label", "within": {"country=D": "1pp of production", "otherwise": "1pp"}}},
        "share.within.otherwise",
        "is no margin",
    ),
    ({"share": {"of": "x", "output": "label", "better_than": "production"}}, "share.better_than", "is not a key"),
    # forms
    ({"latency": {"quantile": "99%", "better_than": "production"}}, "latency.better_than", "is not a key"),
    ({"agreement": {"of": "label", "better_than": "production"}}, "agreement.better_than", "is not a key"),
    ({"agreement": {"of": "label"}}, "agreement", "does not say what is to be shown"),
    ({"agreement": NOT_WORSE | {"of": "label", "at_least": "90%"}}, "agreement", "says at_least and no_worse_than"),
    ({"agreement": {"of": "label", "at_least": "90%", "margin": "1pp"}}, "agreement.margin", "has no meaning for at_l"),
    ({"cost": {"of": "tokens", "scale": [0, 9]}}, "cost", "does not say what is to be shown"),
    ({"recall": {"of": "x", "output": "label", "at_most": "1%"}}, "recall.at_most", "is not a key"),
    # ratios
    (
        {"error_rate": {"no_worse_than": "production", "margin": "1 x production"}},
        "error_rate.margin",
        "must be above 1",
    ),
    ({"error_rate": {"no_worse_than": "production", "margin": "101 x production"}}, "error_rate.margin", "at most 100"),
    (
        {"error_rate": {"no_worse_than": "production", "margin": "1.2345 x production"}},
        "error_rate.margin",
        "at most three decimals",
    ),
    (
        {"error_rate": {"no_worse_than": "production", "margin": {"otherwise": "1.5 x production"}}},
        "error_rate.margin.otherwise",
        "is not a share",
    ),
    (
        {"latency": {"quantile": "99%", "at_most": "1.0 x production"}},
        "latency.at_most",
        "must be above 1 x production",
    ),
    (
        {
            "error_rate": {
                "no_worse_than": "production",
                "margin": "1.5 x production",
                "expect": {"disagreement": "1%", "difference": "0pp"},
            }
        },
        "error_rate.expect.difference",
        "has no meaning for a multiple",
    ),
    # costs
    ({"loss": NOT_WORSE | {"output": "label", "costs": {}}}, "loss.costs", "is empty"),
    ({"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": -1, "c": 1}}}}, "loss.costs.a.b", "is negative"),
    ({"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": 0}}}}, "loss.costs", "are all 0"),
    ({"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": "x"}}}}, "loss.costs.a.b", "is not a number"),
    (
        {"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": float("inf")}}}},
        "loss.costs.a.b",
        "is not a number",
    ),
    (
        {"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": float("nan")}}}},
        "loss.costs.a.b",
        "is not a number",
    ),
    (
        {"loss": NOT_WORSE | {"output": "label", "costs": {"a": {"b": 1}}, "otherwise": -1}},
        "loss.otherwise",
        "is negative",
    ),
    (
        {"loss": NOT_WORSE | {"output": "label", "costs": {"1": {"0": 1}, "1.0": {"0": 2}}}},
        'loss.costs["1.0"]',
        "is the same value as 1",
    ),
    # scales
    ({"numeric": NOT_WORSE | {"of": "score", "scale": [1, 0]}}, "numeric.scale", "must rise: found [1, 0]"),
    ({"numeric": NOT_WORSE | {"of": "score", "scale": [1, 1]}}, "numeric.scale", "must rise: found [1, 1]"),
    ({"numeric": NOT_WORSE | {"of": "score", "scale": [0]}}, "numeric.scale", "is not a scale"),
    ({"numeric": NOT_WORSE | {"of": "score", "scale": [0, "x"]}}, "numeric.scale", "is not a scale"),
    ({"numeric": NOT_WORSE | {"of": "score"}}, "numeric.scale", "is missing"),
    ({"cost": {"of": "tokens", "scale": [10, 90], "at_most": 50}}, "cost.scale", "must begin at 0"),
    ({"cost": {"of": "tokens", "scale": [0, 90], "at_most": 90}}, "cost.at_most", "must be above 0 and below 90"),
    ({"cost": {"of": "tokens", "scale": [0, 90], "at_most": 0}}, "cost.at_most", "must be above 0 and below 90"),
    # fields
    ({"field": NOT_WORSE | {"of": ["label"]}}, "field.of", "is one field, found label"),
    ({"field": NOT_WORSE | {"of": ["label", "label"]}}, "field.of[1]", "stands twice"),
    ({"field": NOT_WORSE | {"of": ["label", "nam"]}}, "field.of[1]", "is not an output: found 'nam'"),
    ({"field": NOT_WORSE | {"of": []}}, "field.of", "is empty"),
    # refusals
    ({"refusal_rate": {"of": "x", "output": "label", "at_most": "0%"}}, "refusal_rate.at_most", "must be above 0%"),
    # custom
    ({"custom": NOT_WORSE | {"function": "no.such:f", "digest": CODE}}, "custom.function", "cannot be imported"),
    ({"custom": NOT_WORSE | {"function": "json:nothing", "digest": CODE}}, "custom.function", "json has no nothing"),
    ({"custom": NOT_WORSE | {"function": "nothing-installed"}}, "custom.function", "no gate is named"),
    ({"custom": NOT_WORSE | {"function": "a b"}}, "custom.function", "names no function"),
    (
        {"custom": NOT_WORSE | {"function": "tests.plan.custom_gates:NOT_A_FUNCTION"}},
        "custom.function",
        "is no function, it is int",
    ),
    ({"custom": NOT_WORSE | {"function": "math:sqrt"}}, "custom.function", "has no source file"),
    ({"custom": NOT_WORSE | {"function": "tests.plan.custom_gates:shorter"}}, "custom.digest", "is missing"),
    (
        {"custom": NOT_WORSE | {"function": "tests.plan.custom_gates:shorter", "digest": "ab"}},
        "custom.digest",
        "is no SHA-256",
    ),
]


@pytest.mark.parametrize(("gate", "key", "found"), CASES, ids=[f"{case[1]}: {case[2][:32]}" for case in CASES])
def test_what_is_wrong_with_a_gate_is_named(gate: dict[str, Any], key: str, found: str) -> None:
    problems = finding(gate)
    matching = [do for at, said, do in problems if at == f"gates[0].{key}" and found in said]
    assert matching, problems
    assert all(matching)


def test_a_target_is_checked_like_a_gate() -> None:
    document = edited(("targets",), [{"recall": {"of": "x", "output": "score", "better_than": "production"}}], of=KINDS)
    assert [(problem.key, problem.found[:21]) for problem in problems_in(document)] == [
        ("targets[0].recall", "names values of score")
    ]
    ((key, found, _),) = finding(ACCURACY, targets=[{}])
    assert (key, found) == ("targets[0]", "names no gate")


def test_the_found_digest_is_said() -> None:
    gate = {"custom": NOT_WORSE | {"function": "tests.plan.custom_gates:shorter"}}
    ((_, _, do),) = finding(gate)
    assert do == f'write digest: "{CODE}"'


def test_code_that_changed_since_the_seal_is_said() -> None:
    """A document of the state database is checked like a file."""
    old = "0" * 64
    gate = {"custom": NOT_WORSE | {"function": "tests.plan.custom_gates:shorter", "digest": old}}
    ((key, found, do),) = finding(gate)
    assert (key, found) == (
        "gates[0].custom.digest",
        f"is not that of the code: found {old}, and the source file of tests.plan.custom_gates:shorter has {CODE}",
    )
    assert do == (
        f'write digest: "{CODE}" if the plan is not sealed yet; if it is, its code has changed since: put the old code '
        "back, or begin a new trial"
    )


AROUND: list[tuple[dict[str, Any], str, str]] = [
    # the same twice
    (
        {"gates": [{"recall": NOT_WORSE | {"of": "x", "output": "label"}}] * 2},
        "gates[1]",
        "asks of x what gates[0] asks already",
    ),
    ({"targets": [{"error_rate": {"at_most": "1%"}}, ACCURACY]}, "targets[1]", "repeats gates[0]"),
    # what restricts truth
    (
        {"truth": {"expected_within": "1d", "available_when": {"candidate.label": ["a"]}}},
        'truth.available_when["candidate.label"]',
        "names an arm: found 'candidate.label'; it is always production's answer, never the candidate's",
    ),
    (
        {"truth": {"expected_within": "1d", "available_when": {"candidate": ["a"]}}},
        "truth.available_when.candidate",
        "names an arm",
    ),
    (
        {"truth": {"expected_within": "1d", "available_when": {"lable": ["a"]}}},
        "truth.available_when.lable",
        "is not an output: found 'lable'",
    ),
    (
        {"truth": {"expected_within": "1d", "available_when": {"score": [1]}}},
        "truth.available_when.score",
        "is compared as a number",
    ),
    (
        {"truth": {"expected_within": "1d", "available_when": {"label": ["a", "a"]}}},
        "truth.available_when.label[1]",
        "stands twice",
    ),
    ({"truth": {"expected_within": "1d", "available_when": {}}}, "truth.available_when", "is empty"),
    ({"truth": {"expected_within": "1d", "policy": "newest"}}, "truth.policy", "must be first, last or error"),
    # segments
    ({"segments": {"c": {"from": "body:/c", "top": 8}}}, "segments.c", "does not say how its top 8 become known"),
    (
        {"segments": {"c": {"from": "body:/c", "top": 8, "bins": [1], "learn": 100}}},
        "segments.c",
        "declares both bins and top",
    ),
    ({"segments": {"c": {"from": "body:/c", "top": 8, "learn": 99}}}, "segments.c.learn", "is too few"),
    ({"segments": {"c": {"from": "body:/c", "values": ["a"], "learn": 100}}}, "segments.c.learn", "no meaning without"),
    ({"segments": {"c": {"from": "body:/c", "top": 1, "values": ["a", "b"]}}}, "segments.c.values", "more than its"),
    ({"segments": {"c": {"from": "body:/c", "top": 0, "learn": 100}}}, "segments.c.top", "greater than or equal to 1"),
    (
        {
            "segments": {"c": {"from": "body:/c", "top": 8, "learn": 100}},
            "gates": [{"error_rate": {"at_most": "1%", "where": ["c=DE"]}}],
        },
        "gates[0].error_rate.where[0]",
        "is not a declared cell: found 'c=DE', and the top 8 of c are not known yet",
    ),
    # arms, unit, integrity
    ({"candidate": CANDIDATE | {"capacity": "0%"}}, "candidate.capacity", "must be above 0%"),
    ({"production": {"version": "1", "url": "http://a", "capacity": "20%"}}, "production.capacity", "is not a key"),
    ({"fork": {"twin": "0%"}}, "fork.twin", "must be above 0"),
    ({"integrity": {"probes": "yes"}}, "integrity.probes", "must be required"),
    (
        {"suitability": {"context": "stateless", "side_effects": "none", "cost_per_day": 40}},
        "suitability.cost_per_day",
        "is no amount of money",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "key", "found"), AROUND, ids=[f"{case[1]}: {case[2][:32]}" for case in AROUND])
def test_what_is_wrong_around_the_gates_is_named(parts: dict[str, Any], key: str, found: str) -> None:
    document = KINDS | {"gates": [ACCURACY], "targets": []} | parts
    problems = problems_in(document)
    assert [problem.key for problem in problems if found in problem.found and problem.do] == [key], problems


BATCH: dict[str, Any] = {
    "unit": {"instances": "body:/instances"},
    "output": {"label": "body:/predictions/*/label"},
    "truth": {"key": "body:/instances/*/id", "expected_within": "1d"},
    "gates": [ACCURACY],
    "targets": [],
}


@pytest.mark.parametrize(
    ("parts", "key", "found"),
    [
        ({"output": {"label": "body:/label"}}, "output.label", "must hold one * for the position, found none"),
        ({"output": {"label": "body:/a/*/b/*"}}, "output.label", "found 2 of them in body:/a/*/b/*"),
        ({"truth": {"key": "body:/id", "expected_within": "1d"}}, "truth.key", "must hold one *"),
        ({"truth": {"key": "header:x-id", "expected_within": "1d"}}, "truth.key", "is of the whole request"),
        ({"truth": {"expected_within": "1d"}}, "truth.key", "an exchange's id names a whole batch"),
        ({"unit": {"instances": "header:x"}}, "unit.instances", "is no batch"),
        ({"unit": {"instances": "body:/a/*/b"}}, "unit.instances", "is no batch"),
        (
            {"segments": {"country": {"from": "body:/instances/*/c", "values": ["DE"]}}},
            "segments.country.from",
            "holds a *, and is of the whole request",
        ),
        ({"record": {"drop": ["body:/predictions/0/label"]}}, "output.label", "reads what record drops"),
    ],
)  # fmt: skip
def test_a_batch_has_its_positions_where_they_belong(parts: dict[str, Any], key: str, found: str) -> None:
    problems = problems_in(KINDS | BATCH | parts)
    assert [problem.key for problem in problems if found in problem.found and problem.do] == [key], problems


@pytest.mark.parametrize(
    "parts",
    [
        {"unit": {"cluster": "body:/d", "closes_after": "1h"}},
        {"unit": {"instances": "body:/instances"}} | {key: BATCH[key] for key in ("output", "truth")},
    ],
    ids=["clusters", "instances"],
)
def test_a_latency_ratio_counts_pairs_that_are_independent(parts: dict[str, Any]) -> None:
    problems = problems_in(KINDS | {"gates": [RATIO], "targets": []} | parts)
    found = "counts each pair, and unit makes several of them one: the pairs of one unit are not independent"
    assert [problem.found for problem in problems if problem.key == "gates[0].latency.at_most"] == [found]


HYBRID: dict[str, Any] = {
    "gates": [ACCURACY],
    "targets": [],
    "hybrid": {"overall": 40_000, "every_segment": 2_000},
    "truth": KINDS["truth"] | {"policy": "first"},
}


@pytest.mark.parametrize("kind", ["latency", "precision", "numeric", "loss", "field", "cost", "custom", "error_rate"])
def test_hybrid_refuses_by_name_what_is_not_two_or_three_cells(kind: str) -> None:
    gate = next(each for each in KINDS["gates"] if kind in each)
    (problem,) = problems_in(KINDS | HYBRID | {"gates": [ACCURACY, gate]})
    assert problem.key == "hybrid"
    assert problem.found.startswith(f"cannot test gates[1].{kind}: it")
    assert problem.do == "leave hybrid out, or make that gate a target"


@pytest.mark.parametrize("kind", ["agreement", "share", "recall", "refusal_rate"])
def test_hybrid_takes_gates_of_two_and_three_cells(kind: str) -> None:
    gates = [each for each in KINDS["gates"] if kind in each]
    assert load.from_document(KINDS | HYBRID | {"gates": gates}).tests[0].n_max == 40_000


@pytest.mark.parametrize(
    ("parts", "key", "found"),
    [
        ({"unit": {"cluster": "body:/d", "closes_after": "1h"}}, "hybrid", "unit averages several into one"),
        ({"unit": {"instances": "body:/instances"}} | {k: BATCH[k] for k in ("output", "truth")}, "hybrid", "averages"),
        (
            {"fork": {"strata": {"by": "body:/c", "rates": {"BR": "100%"}, "otherwise": "10%"}}},
            "hybrid",
            "counts without weights",
        ),
        ({"hybrid": {"overall": 4_999}}, "hybrid.overall", "is below samples.overall (5,000): found 4,999"),
        ({"hybrid": {"every_segment": 299}}, "hybrid.every_segment", "is below samples.every_segment (300)"),
        ({"hybrid": {}}, "hybrid", "declares nothing"),
        ({"truth": {"expected_within": "1d", "policy": "last"}}, "hybrid", "truth.policy: last"),
        ({"duration": {}}, "hybrid", "is a test at the deadline, and the plan has none"),
    ],
)
def test_hybrid_is_for_unweighted_single_units_at_a_deadline(parts: dict[str, Any], key: str, found: str) -> None:
    problems = problems_in(KINDS | HYBRID | parts)
    assert [problem.key for problem in problems if found in problem.found and problem.do] == [key], problems


def test_hybrid_of_segments_needs_segments() -> None:
    document = {key: value for key, value in (KINDS | HYBRID).items() if key != "segments"}
    (problem,) = problems_in(document)
    assert (problem.key, problem.found) == (
        "hybrid.every_segment",
        "speaks of every segment, and none is declared",
    )


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["0%", "5%", "1pp", "production", "1.5 x production", "1pp of production", "label", "overall"]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.sampled_from(["of", "where", "margin", "label", "1", "otherwise"]), st.floats(), max_size=3),
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_paths(KINDS)[1:]), values | st.just(LEFT_OUT))
def test_any_edit_of_a_gate_is_a_plan_or_a_list_of_problems(path: tuple[str | int, ...], value: Any) -> None:
    problems = ()
    try:
        assert isinstance(load.from_document(edited(path, value, of=KINDS)), Plan)
    except PlanError as error:
        problems = error.problems
    assert all(problem.found and problem.do for problem in problems)
