"""Init: what is written loads, or is not written."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import PlanError
from gnomon.plan import load
from gnomon.plan.init import Answers, template
from tests.plan.builders import PATH

ANSWERS = Answers(
    trial="my-trial",
    production="http://127.0.0.1:9001",
    candidate="http://127.0.0.1:9002",
    route="POST /predict",
    output="body:/label",
    truth="body:/id",
)


def test_with_truth_the_plan_asks_for_accuracy() -> None:
    plan = load.parse(template(ANSWERS), PATH).plan
    assert [gate.kind for gate in plan.gates] == ["accuracy", "error_rate"]
    assert (plan.trial, plan.candidate.url, str(plan.truth and plan.truth.key)) == (
        "my-trial",
        "http://127.0.0.1:9002",
        "body:/id",
    )


@pytest.mark.parametrize("truth", ["none", "", "None"])
def test_without_truth_it_asks_for_agreement(truth: str) -> None:
    plan = load.parse(template(dataclasses.replace(ANSWERS, truth=truth)), PATH).plan
    assert [gate.kind for gate in plan.gates] == ["agreement", "error_rate"]
    assert plan.truth is None


@pytest.mark.parametrize(("truth", "target"), [("body:/id", "accuracy"), ("none", "error_rate")])
def test_the_commented_parts_are_of_the_language_too(truth: str, target: str) -> None:
    """Somebody will take the comment signs away."""
    written = template(dataclasses.replace(ANSWERS, truth=truth))
    hidden = (
        "# segments:", "#   country:", "#   amount:", "# unit:", "# guards:", "# record:", "# targets:", "#   - ",
    )  # fmt: skip
    lines = [line.removeprefix("# ") if line.startswith(hidden) else line for line in written.splitlines()]
    text = "\n".join(lines).replace("  # - latency", "  - latency").replace("  # twin", "  twin")
    plan = load.parse(text, PATH).plan
    assert [segment.name for segment in plan.segments] == ["country", "amount"]
    assert plan.unit.cluster is not None
    assert (len(plan.guards.context), len(plan.record.drop)) == (1, 1)
    first = "accuracy" if truth != "none" else "agreement"
    assert [gate.kind for gate in plan.gates] == [first, "error_rate", "latency"]
    assert [(gate.kind, gate.form) for gate in plan.targets] == [(target, "better_than")]
    assert plan.fork.twin == round(0.05 * 2**32)


def test_a_wrong_answer_is_named_and_nothing_is_written() -> None:
    with pytest.raises(PlanError) as caught:
        template(dataclasses.replace(ANSWERS, production="127.0.0.1:9001", route="predict"))
    assert [problem.key for problem in caught.value.problems] == ["production.url", "routes[0]"]
    assert str(caught.value).endswith("\nFix, then run: gnomon init")  # there is no file to check


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([field.name for field in dataclasses.fields(Answers)]), st.text(max_size=20))
def test_no_answer_can_end_the_value_it_stands_in(field: str, answer: str) -> None:
    try:
        plan = load.parse(template(dataclasses.replace(ANSWERS, **{field: answer})), PATH).plan
    except PlanError:
        return
    assert plan.alpha_ppm == 50_000
    assert len(plan.gates) == 2
