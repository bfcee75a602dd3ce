"""`gnomon explain` agrees with the log for every request that was sent."""

import httpx
from deltalake import DeltaTable

from gnomon import clock, pipeline
from gnomon.explain import About, exchange_id, explain, known, redacted
from gnomon.fork.sampling import SURE, coin
from gnomon.log import read
from gnomon.settings import Settings
from gnomon.state import open_state
from tests.path.conftest import body

STRATA = "{by: body:/country, rates: {DE: 60%, FR: 30%}, otherwise: 10%}"
RATES = {"DE": 0.6, "FR": 0.3, "otherwise": 0.1}
COUNTRIES = ("DE", "FR", "BR")


def send(url, numbers, path="/predict"):
    """The id of each request, and its stratum."""
    found = {}
    with httpx.Client(base_url=url, timeout=20) as client:
        for number in numbers:
            country = COUNTRIES[number % 3]
            answer = client.post(path, json=body(number) | {"country": country})
            found[exchange_id(answer.headers["x-gnomon-id"])] = country if country in RATES else "otherwise"
    return found


def test_explain_agrees_with_the_log_for_every_request(place):
    plan = place.plan(
        place.model("old"),
        place.model("new"),
        edit=lambda text: text.replace("shadow_rate: 100%", f"strata: {STRATA}"),
    )
    process = place.serve(plan)
    passed = send(place.url, range(5), "/elsewhere")
    sent = send(place.url, range(150))
    place.gnomon("pause", "fraud", "--reason", "peak hour")
    paused = send(place.url, range(150, 190))
    place.drained()
    place.stop(process)

    settings = Settings(data=place.folder / "data")
    with open_state(settings.state_url) as state:
        trial = state.trial("fraud")
        about = About(
            trial=trial,
            plan=pipeline.plan_of(trial),
            now_us=clock.now_us(),
            pauses=tuple(state.pauses(trial.id)),
            redacted=redacted(state, trial),
        )
    every = [*passed, *sent, *paused]
    found = known(settings, trial, every)
    told = {each: explain(about, each, found[each]) for each in every}
    rows = {
        row["id"]: row
        for row in read.rows_of(settings.log_url(trial.id), "comparisons", [each.hex() for each in every])
    }
    key = bytes.fromhex(trial.digest)

    for each, stratum in (sent | paused).items():
        yes = coin(key, each) < RATES[stratum] * SURE
        if each in paused and yes:
            assert (told[each].place, told[each].state) == ("gateway", "shed:paused")
        elif yes:
            assert (told[each].place, told[each].agrees, told[each].sampled) == ("log", True, True)
            assert (told[each].stratum, told[each].probability) == (stratum, rows[each.hex()]["probability"])
        else:
            assert (told[each].place, told[each].state, told[each].sampled) == ("gateway", "unsampled", False)
    assert {each.hex() for each in every if told[each].place == "log"} == set(rows)
    assert {told[each].place for each in passed} == {"nowhere"}

    # the command
    logged = next(each for each in every if told[each].place == "log")
    assert place.read("explain", logged.hex())["sentences"] == list(told[logged].sentences)
    shed = next(each for each in every if told[each].state == "shed:paused")
    assert "shadowing was paused (shed:paused" in place.gnomon("explain", shed.hex(), "--trial", "fraud").stdout
    wrong = place.gnomon("explain", "r17", code=2).stderr
    assert "'r17' is no exchange id: write its 32 hex digits" in wrong
    assert "did you mean fraud" in place.gnomon("explain", logged.hex(), "--trial", "frau", code=2).stderr

    table = DeltaTable(settings.log_url(trial.id) + "/comparisons")
    table.update(predicate=f"id = '{logged.hex()}'", updates={"stratum": "'otherwise'"})
    assert "THE LOG DISAGREES WITH THE PLAN" in place.gnomon("explain", logged.hex(), code=30).stdout
