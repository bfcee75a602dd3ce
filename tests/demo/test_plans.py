"""The demo's plans: they are what they say, and they fit what the traffic carries."""

from pathlib import Path

import data
import pytest

from gnomon.plan import load

PLANS = Path(__file__).resolve().parents[2] / "demo" / "plans"


@pytest.mark.parametrize("name", ["fair", "skewed"])
def test_a_plan_of_the_demo_reads_without_a_problem(name):
    plan = load.read(PLANS / f"{name}.yaml").plan

    assert plan.trial == f"sentiment-{name}"
    assert plan.candidate.version == f"{name}-1"
    assert plan.segments[0].values == tuple(data.SOURCES)
    assert (plan.production.url, plan.candidate.url) == ("http://127.0.0.1:9001", "http://127.0.0.1:9002")


def test_both_candidates_are_held_to_the_same_criteria():
    fair, skewed = (load.read(PLANS / f"{name}.yaml").plan for name in ("fair", "skewed"))

    assert fair.gates == skewed.gates
    assert (fair.unit, fair.truth, fair.fork, fair.alpha_ppm) == (
        skewed.unit,
        skewed.truth,
        skewed.fork,
        skewed.alpha_ppm,
    )
