"""Promotion and rollback under load: no failed request, and the right arm answers."""

import json
import time
from functools import partial

from gnomon import pipeline
from gnomon.settings import Settings
from gnomon.state import open_state
from gnomon.supervisor.control import wait_for_epoch
from tests.path.conftest import Load, wait_for


def test_ten_promotions_and_rollbacks_under_load_fail_no_request(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.gateways = 2
    place.serve(plan)
    settings = Settings(data=place.folder / "data")
    with Load(place.url) as load, open_state(settings.state_url) as state:
        trial = state.trial("fraud")
        for _ in range(10):
            for switch, arm in (
                (partial(pipeline.promote, settings, state, trial, override="a drill"), "new"),
                (partial(pipeline.rollback, state, trial, reason="a drill"), "old"),
            ):
                epoch = switch()
                assert wait_for_epoch(settings.run_dir, trial.id, epoch.number) == (2, 2)
                switched = time.monotonic()
                enough = len(load.by) + 20
                wait_for(lambda enough=enough: len(load.by) >= enough, what="more answers")
                # what was in flight at the switch may still come from the other arm; what began after it may not
                assert {by for began, by in load.by if began > switched} == {arm}
    assert load.failures == []
    ledger = place.drained()
    assert ledger["states"] == {"paired": load.sent}


def test_a_promotion_needs_a_verdict_or_a_reason(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    assert "no verdict yet" in place.gnomon("promote", "fraud", code=2).stderr
    place.gnomon("decide", "fraud", code=10)
    assert "last verdict is 'continue'" in place.gnomon("promote", "fraud", code=2).stderr
    assert "production serves already" in place.gnomon("rollback", "fraud", code=2).stderr
    assert "needs its reason" in place.gnomon("promote", "fraud", "--override", " ", code=2).stderr
    assert place.read("status", "fraud")["epoch"] == 1
    place.gnomon("promote", "fraud", "--override", "the old model's licence ends today")
    assert place.read("status", "fraud")["serving"] == "candidate"
    place.stop(process)


def test_who_serves_survives_a_restart(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    place.gnomon("promote", "fraud", "--override", "a drill")
    place.stop(process)
    process = place.serve(plan)
    with Load(place.url, threads=1) as load:
        time.sleep(0.3)
    assert {by for _, by in load.by} == {"new"}
    place.stop(process)


def test_evidence_stops_at_the_promotion(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    with Load(place.url, threads=1, pause=0.01):
        time.sleep(1)
    before = place.drained()["states"]["paired"]
    place.gnomon("promote", "fraud", "--override", "a drill")
    with Load(place.url, threads=1, pause=0.01):
        time.sleep(1)
    assert place.drained()["states"]["paired"] > before
    place.gnomon("rollback", "fraud")
    place.stop(process)

    verdict = place.read("decide", code=10)
    said = "vidence ended with the promotion at "
    for shown in (place.gnomon("decide", code=10).stdout, place.gnomon("status").stdout, place.gnomon("report").stdout):
        assert said in " ".join(shown.split())
        assert "a new trial is needed" in " ".join(shown.split())
    assert said not in json.dumps(verdict)  # it is beside the verdict and not in it
    assert "verified" in place.gnomon("verify").stdout

    overall = next(t for t in verdict["tests"] if t["gate"] == "error_rate" and t["segment"] == "overall")
    assert overall["units"] == before
