"""A trial that ran plans the next one."""

import pytest

from tests.path.conftest import stream


def test_a_trial_that_ran_is_the_pilot_of_the_next(place):
    plan = place.plan(place.model("old", "--wrong", "0.04"), place.model("new", "--wrong", "0.03"))
    process = place.serve(plan)
    stream(place.url, range(400))
    place.drained(paired=400)
    place.stop(process)

    later = place.plan(1, 2, trial="next")
    size = place.read("check", "--offline", later, "--pilot", "fraud")["size"]
    tests = {(each["gate"], each["cell"]): each for each in size["tests"]}
    assert size["requests_per_day"] > 86_400  # more than one a second
    shares = [tests["accuracy", f"country={value}"]["share"] for value in ("DE", "FR", "other", "missing")]
    assert sum(shares) == pytest.approx(1)
    assert tests["accuracy", "overall"]["state"] == "reached"
    germany = tests["accuracy", "country=DE"]
    assert germany["labels"][2] / germany["units"][2] == pytest.approx(0.07, abs=0.04)  # how often these models differ
    assert size["assumptions"][0].startswith("How often the arms differ is what fraud.1 saw in ")
