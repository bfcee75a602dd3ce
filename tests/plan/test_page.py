"""docs/plan.md: its example is a plan, and it names every key."""

import re
from pathlib import Path
from typing import get_args

import pytest

from gnomon.errors import PlanError
from gnomon.plan import criteria, load, source, top, units
from gnomon.plan.language import json_schema
from gnomon.plan.language_gates import GateModel
from gnomon.records.plan import GateKind

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
EXAMPLE, FORKED, DECIDED, CUSTOM, BATCH = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_plan() -> None:
    plan = load.parse(EXAMPLE, Path("docs/plan.md")).plan
    assert [gate.id for gate in plan.gates] == [
        "accuracy:label:no_worse_than",
        "accuracy:label:better_than",
        "agreement",
        "error_rate",
        "latency",
    ]


def test_what_is_said_of_copying_goes_together_with_the_example() -> None:
    document = source.parse(EXAMPLE).document | source.parse(FORKED).document
    plan = load.from_document(document)
    assert plan.fork.strata is not None
    assert plan.candidate.rewrite.paths == (("/predict", "/v2/predict"),)
    assert plan.record.keep_bodies_us is not None


def test_every_kind_of_gate_goes_together_with_the_example() -> None:
    document = source.parse(EXAMPLE).document | source.parse(DECIDED).document
    del document["expect"]  # it names a cell, and the top values are not known yet
    plan = load.from_document(document)
    kinds = {gate.kind for gate in plan.gates}
    assert set(get_args(GateKind)) - kinds == {"custom"}
    assert top.unresolved(document) == ("country",)
    assert [gate.id for gate in plan.targets] == ["accuracy:label:better_than"]


def test_the_custom_example_lacks_its_code_alone() -> None:
    document = source.parse(EXAMPLE).document | source.parse(CUSTOM).document
    with pytest.raises(PlanError) as caught:
        load.from_document(document)
    assert [problem.key for problem in caught.value.problems] == ["gates[0].custom.function"]


def test_the_batch_goes_together_with_the_example() -> None:
    document = source.parse(EXAMPLE).document | source.parse(BATCH).document
    plan = load.from_document(document | {"gates": [{"accuracy": {"better_than": "production"}}]})
    assert plan.unit.instances is not None


def test_the_page_has_a_row_for_every_kind_with_its_forms() -> None:
    rows = {row[0]: row[2] for row in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| [^|]*\|$", PAGE, re.MULTILINE)}
    for kind, field in GateModel.model_fields.items():
        (model,) = [each for each in get_args(field.annotation) if each is not type(None)]
        forms = {"no_worse_than", "better_than", "at_least", "at_most", "within"} & model.model_fields.keys()
        assert {form for form in forms if f"`{form}" in rows[kind]} == forms, kind


def test_the_page_says_the_expectations_that_the_program_has() -> None:
    rows = re.findall(r"^\| (`.+?) \| [^|]+ \| (\d+) % \|$", PAGE, re.MULTILINE)
    said = {kind: int(share) * 10_000 for kinds, share in rows for kind in re.findall(r"`(\w+)`", kinds)}
    del said["no_worse_than"]
    assert said == criteria.DISAGREEMENT


def test_every_key_of_the_language_is_on_the_page() -> None:
    schema = json_schema()
    keys = {key for each in [schema, *schema["$defs"].values()] for key in each["properties"]}
    assert [key for key in sorted(keys) if not re.search(rf"[`.]{key}[`.:]", PAGE)] == []


@pytest.mark.parametrize("unit", [*units.DURATIONS, "%", "pp"])
def test_every_unit_is_in_the_grammar(unit: str) -> None:
    assert f"`{unit}`" in PAGE
