"""Plans of the first language make the records that they made when it was written: a default never changes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gnomon.plan import load, seal
from gnomon.records.plan import Gate

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "plans.json").read_text())
"""Made by the version before this language had more than four kinds of gates: each text, and the plan's builtins."""


def _within(golden: Any, now: Any) -> Any:
    """What of a record was there already when the golden one was made."""
    if isinstance(golden, dict) and isinstance(now, dict):
        return {key: _within(value, now.get(key)) for key, value in golden.items()}
    if isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        return [_within(a, b) for a, b in zip(golden, now, strict=True)]
    return now


@pytest.mark.parametrize("name", GOLDEN)
def test_a_plan_of_the_first_language_makes_the_same_records(name: str) -> None:
    golden = GOLDEN[name]["plan"]
    plan = load.parse(GOLDEN[name]["text"], Path("plan.yaml")).plan
    now = msgspec.json.decode(msgspec.json.encode(plan))
    for gate in now["gates"]:
        gate["tests"] = [
            [test[key] for key in ("segment", "value", "margin_ppm", "disagreement_ppm", "difference_ppm", "min_units")]
            for test in gate["tests"]
        ]
    assert _within(golden, now) == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_what_it_cannot_have_said_is_off(name: str) -> None:
    plan = load.parse(GOLDEN[name]["text"], Path("plan.yaml")).plan
    assert (plan.targets, plan.fork.twin, plan.unit.instances, plan.candidate.capacity_ppm) == ((), 0, None, None)
    assert (plan.start_lag_us, plan.probes_required, plan.cost_per_day) == (1_000_000, False, None)
    assert plan.truth is None or (plan.truth.policy, plan.truth.covers, plan.truth.available) == ("first", "all", ())
    assert {test.n_max for test in plan.tests} == {None}
    for gate in plan.gates:
        said = {key: getattr(gate, key) for key in ("id", "kind", "form", "output", "quantile_ppm", "limit_us")}
        assert gate == Gate(**said, sentence=gate.sentence, tests=gate.tests)


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        ("demo/plans/fair.yaml", "063eaf1cdb41098fca68d51b68d0e9496714214ed5cfac034d7f482c6980a42e"),
        ("demo/plans/skewed.yaml", "24e67f314241ddfead2a542b04655305b357b220a96ae943d048d153d6c5000f"),
    ],
)
def test_the_demos_plans_keep_their_digests(path: str, digest: str) -> None:
    assert seal.seal(load.parse(GOLDEN[path]["text"], Path(path)).document).digest == digest
