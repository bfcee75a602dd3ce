"""Probes: known answers through each gateway to the log. What carries nothing is UNKNOWN, with the lossy step."""

import os
import signal

import deltalake
import httpx

from tests.path.conftest import stream, wait_for

KINDS = {"equal", "different", "large", "streaming", "slow"}


def health(place):
    return place.read("status")["health"]


def epochs(place, table):
    path = place.folder / "data/trials/fraud.1/log" / table
    return deltalake.DeltaTable(path).to_pyarrow_table(columns=["epoch"])["epoch"].to_pylist()


def test_probes_through_each_gateway_come_to_the_log_and_count_nowhere(place):
    place.gateways = 2
    place.settings["GNOMON_PROBE_EVERY"] = "60"
    process = place.serve(place.plan(place.model("old"), place.model("new")))
    assert health(place).startswith("UNKNOWN: probes are under way")
    stream(place.url, range(10))
    wait_for(lambda: health(place) == "shadowing", what="probes that came through")
    now = place.read("status")
    assert {each["kind"] for each in now["probes"]} == KINDS
    assert len(now["probes"]) == 2 * len(KINDS)
    place.drained(paired=10)
    now = place.read("status")
    assert now["ledger"]["seen"] == 10
    assert now["ledger"]["states"] == {"paired": 10}
    assert all(each["holds"] for each in now["equalities"].values())
    assert sorted(epochs(place, "comparisons")) == [-1] * 10 + [1] * 10
    metrics = httpx.get(f"http://127.0.0.1:{place.admin}/metrics", timeout=10).text
    assert metrics.count("gnomon_probe_ok{") == 10
    assert 'kind="slow",trial="fraud.1"} 1.0' in metrics
    verdict = place.read("decide", code=10)
    assert verdict["rows"]["comparisons"] == 10
    assert verdict["ledger"]["seen"] == 10
    place.stop(process)


def test_a_path_that_carries_nothing_is_unknown_and_the_step_is_named(place):
    place.settings["GNOMON_PROBE_EVERY"] = "2"
    place.settings["GNOMON_PROBE_PATIENCE"] = "2"
    process = place.serve(place.plan(place.model("old"), place.model("new")))
    wait_for(lambda: health(place) == "shadowing", what="probes that came through")
    runner = place.pids()["runner"]
    os.kill(runner, signal.SIGSTOP)
    try:
        said = wait_for(lambda: "was lost at" in (found := health(place)) and found, 60, what="a probe that is lost")
        assert "was lost at hand-over" in said
    finally:
        os.kill(runner, signal.SIGCONT)
    wait_for(lambda: health(place) == "shadowing", 60, what="probes that come through again")
    words = (place.folder / "serve.err").read_text()
    assert "was lost at hand-over" in words
    assert "comes through again" in words
    place.stop(process)
