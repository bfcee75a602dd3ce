"""docs/plan.md: its example is a plan, and it names every key."""

import re
from pathlib import Path

import pytest

from gnomon.plan import load, source, units
from gnomon.plan.language import json_schema

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
EXAMPLE, FORKED = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


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


def test_every_key_of_the_language_is_on_the_page() -> None:
    schema = json_schema()
    keys = {key for each in [schema, *schema["$defs"].values()] for key in each["properties"]}
    assert [key for key in sorted(keys) if not re.search(rf"[`.]{key}[`.:]", PAGE)] == []


@pytest.mark.parametrize("unit", [*units.DURATIONS, "%", "pp"])
def test_every_unit_is_in_the_grammar(unit: str) -> None:
    assert f"`{unit}`" in PAGE
