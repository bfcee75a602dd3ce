"""docs/plan.md: its example is a plan, and it names every key."""

import re
from pathlib import Path

import pytest

from gnomon.plan import load, units
from gnomon.plan.language import json_schema

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
EXAMPLE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_plan() -> None:
    assert EXAMPLE is not None
    plan = load.parse(EXAMPLE[1], Path("docs/plan.md")).plan
    assert [gate.id for gate in plan.gates] == [
        "accuracy:label:no_worse_than",
        "accuracy:label:better_than",
        "agreement",
        "error_rate",
        "latency",
    ]


def test_every_key_of_the_language_is_on_the_page() -> None:
    schema = json_schema()
    keys = {key for each in [schema, *schema["$defs"].values()] for key in each["properties"]}
    assert [key for key in sorted(keys) if not re.search(rf"[`.]{key}[`.:]", PAGE)] == []


@pytest.mark.parametrize("unit", [*units.DURATIONS, "%", "pp"])
def test_every_unit_is_in_the_grammar(unit: str) -> None:
    assert f"`{unit}`" in PAGE
