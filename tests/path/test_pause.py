"""Pause and resume: nothing is shadowed, users are served, and both survive restarts."""

import os
import signal
import sqlite3

import httpx

from gnomon.records import counters
from tests.path.conftest import Load, body, stream, wait_for


def states(place, trial="fraud.1"):
    """What the gateways counted, by state."""
    found = {}
    for each in counters.read_all(place.folder / "data/trials" / trial / "counters"):
        for state, count in (*each.states.items(), ("handed over", each.handed_over)):
            found[state] = found.get(state, 0) + count
    return {state: count for state, count in found.items() if count}


def paused_metric(place):
    text = httpx.get(f"http://127.0.0.1:{place.admin}/metrics", timeout=10).text
    return next(line for line in text.splitlines() if line.startswith("gnomon_paused{"))


def test_while_paused_users_are_served_and_nothing_is_shadowed(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.gateways = 2
    process = place.serve(plan)
    stream(place.url, range(10))
    place.drained(paired=10)

    said = place.read("pause", "fraud", "--reason", "the candidate's host is patched")
    assert (said["paused"], said["changed"], said["reached"], said["gateways"]) == (True, True, 2, 2)
    with Load(place.url, threads=4, fresh=2) as load:
        wait_for(lambda: load.sent >= 40, what="requests")
    assert load.failures == []
    assert {by for _, by in load.by} == {"old"}
    assert states(place) == {"handed over": 10, "shed:paused": load.sent}

    now = place.read("status", "fraud")
    assert now["health"].startswith("PAUSED")
    assert (now["paused"]["reason"], now["epoch"]) == ("the candidate's host is patched", 1)
    assert now["paused"]["since_us"] == said["since_us"]
    assert now["paused"]["by"] == said["by"]
    shown = place.gnomon("status", "fraud").stdout
    assert f"by {said['by']}: the candidate's host is patched" in " ".join(shown.split())
    assert paused_metric(place).endswith("} 1.0")

    assert place.read("resume", "fraud")["reached"] == 2
    assert paused_metric(place).endswith("} 0.0")
    stream(place.url, range(100, 110))
    ledger = place.drained(paired=20)
    assert ledger["states"] == {"paired": 20, "shed:paused": load.sent}
    assert place.read("status", "fraud")["paused"] is None
    place.stop(process)

    # the evidence is that of before and after, and the pause is in the report and in the chain
    report = place.read("report")
    tests = report["verdict"]["tests"]
    overall = next(t for t in tests if t["gate"] == "error_rate" and t["segment"] == "overall")
    assert overall["units"] == 20
    assert report["pauses"][0]["reason"] == "the candidate's host is patched"


def test_doing_it_twice_changes_nothing_and_says_so(place):
    process = place.serve(place.plan(place.model("old"), place.model("new")))
    assert "Missing option '--reason'" in place.gnomon("pause", "fraud", code=2).stderr
    assert "needs its reason" in place.gnomon("pause", "fraud", "--reason", "", code=2).stderr
    assert "is not paused; nothing was changed" in place.gnomon("resume", "fraud").stderr
    place.gnomon("pause", "fraud", "--reason", "a drill")
    again = place.gnomon("pause", "fraud", "--reason", "me too")
    assert "is paused already" in again.stderr
    assert "a drill; nothing was changed" in again.stderr
    place.stop(process)
    connection = sqlite3.connect(place.folder / "data/state.db")
    assert connection.execute("SELECT action FROM audit WHERE action IN ('pause', 'resume')").fetchall() == [("pause",)]
    connection.close()


def test_a_pause_survives_the_death_of_a_gateway_and_the_restart_of_all(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    place.gnomon("pause", "fraud", "--reason", "a drill")
    first = place.pids()["gateway 0"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: place.pids()["gateway 0"] not in (None, first), what="another gateway")
    stream(place.url, range(5))
    place.stop(process)
    process = place.serve(plan)
    stream(place.url, range(5))
    assert states(place) == {"shed:paused": 10}
    place.stop(process)
    assert (place.folder / "serve.err").read_text().count(": a drill; nothing is shadowed until gnomon resume") == 2


def test_a_pause_without_a_running_serve_holds_from_the_next_start_on(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.stop(place.serve(plan))
    assert "paused from the next start on" in place.gnomon("pause", "fraud", "--reason", "a drill").stderr
    process = place.serve(plan)
    stream(place.url, range(5))
    assert states(place) == {"shed:paused": 5}
    place.stop(process)
    assert "shadowing from the next start on" in place.gnomon("resume", "fraud").stderr
    process = place.serve(plan)
    stream(place.url, range(5))
    place.drained(paired=5)
    place.stop(process)


def test_a_pause_that_nobody_carries_says_so_and_holds_when_a_supervisor_is_back(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    process.kill()
    process.wait()
    refused = place.gnomon("pause", "fraud", "--reason", "a drill", code=2)
    assert "a gateway was not told yet" in refused.stderr
    process = place.serve(plan)
    answer = httpx.post(place.url + "/predict", json=body(1))
    assert answer.headers["x-model"] == "old"
    assert states(place) == {"shed:paused": 1}
    place.stop(process)
    assert "still writes what it has; waiting for it, at most 60 s" in (place.folder / "serve.err").read_text()
