"""Gateways are replaced in turn while clients send: no failed request, and the ledger adds up."""

import signal
import time

import httpx
import pytest

from gnomon.errors import GnomonError
from gnomon.settings import Settings
from gnomon.supervisor.operations import ask_to_replace
from tests.path.conftest import Load, stream, wait_for


def test_replacing_both_gateways_twenty_times_under_load_fails_no_request(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.gateways = 2
    process = place.serve(plan)
    settings = Settings(data=place.folder / "data")
    seen = [place.pids()]
    with Load(place.url, threads=5, fresh=2, pause=0.02) as load:
        for _ in range(20):
            assert ask_to_replace(settings)["replaced"] == 2
            answered = len(load.by)
            wait_for(lambda answered=answered: len(load.by) > answered, what="an answer")
            seen.append(place.pids())
    assert load.failures == []
    gateways = [pid for pids in seen for name, pid in pids.items() if name.startswith("gateway")]
    assert len(set(gateways)) == len(gateways) == 42
    assert len({pids["runner"] for pids in seen}) == 1

    assert place.drained()["states"] == {"paired": load.sent}
    place.stop(process)
    assert sorted(settings.run_dir.glob("*.sock")) == []
    assert sorted(settings.run_dir.glob("gateway-*")) == []


def test_a_hang_up_replaces_the_gateways_and_their_limits_but_not_the_address(place):
    (place.folder / "gnomon.toml").write_text("body_limit = 1000\n")
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    before = place.pids()
    long = {"id": "r1", "country": "DE", "amount": 1, "text": "x" * 2000}
    assert httpx.post(place.url + "/predict", json=long).status_code == 413
    (place.folder / "gnomon.toml").write_text('body_limit = "none"\nflush = 0.5\nca_file = "none.pem"\n')
    process.send_signal(signal.SIGHUP)
    errors = place.folder / "serve.err"
    wait_for(lambda: "1 gateway replaced" in errors.read_text(), what="the word for it")
    assert "Not taken up before gnomon serve is started again: ca_file" in errors.read_text()
    after = place.pids()
    assert (after["gateway 0"] != before["gateway 0"], after["runner"]) == (True, before["runner"])
    assert httpx.post(place.url + "/predict", json=long).status_code == 200
    place.stop(process)


def test_a_switch_and_a_pause_reach_a_successor_and_settings_that_are_wrong_replace_nothing(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    place.gnomon("promote", "fraud", "--override", "a drill")
    place.gnomon("pause", "fraud", "--reason", "a drill")
    for name in ("epoch.json", "paused"):  # as after a full disk
        (place.folder / "data/trials/fraud.1" / name).unlink()
    assert place.read("replace-gateways") == {"replaced": 1, "needs_start": []}
    with Load(place.url, threads=1) as load:
        time.sleep(0.3)
    assert {by for _, by in load.by} == {"new"}
    assert place.read("status", "fraud")["ledger"]["states"] == {"shed:paused": load.sent}

    (place.folder / "gnomon.toml").write_text("head_time = -1\n")
    settings = Settings(data=place.folder / "data")
    before = place.pids()
    with pytest.raises(GnomonError, match=r"settings are wrong:\n  gnomon.toml head_time"):
        ask_to_replace(settings)
    assert place.pids() == before
    (place.folder / "gnomon.toml").unlink()
    place.stop(process)
    assert "no gnomon serve runs in" in place.gnomon("replace-gateways", code=2).stderr


def test_a_request_that_is_under_way_is_answered_by_the_gateway_that_has_it(place):
    plan = place.plan(place.model("old", "--delay", "2"), place.model("new"))
    process = place.serve(plan)
    with Load(place.url, threads=2, fresh=1, pause=0) as load:
        time.sleep(0.5)
        assert ask_to_replace(Settings(data=place.folder / "data"))["replaced"] == 1
    assert load.failures == []
    stream(place.url, range(1))
    assert place.drained()["states"] == {"paired": load.sent + 1}
    place.stop(process)
