"""Kill the parts under load: production is served, and the ledger adds up."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time

import deltalake
import httpx

from gnomon.records import counters
from tests.path.conftest import GNOMON, Load, body, stream, wait_for


def rows(place, table="comparisons", column="id", trial="fraud.1"):
    path = place.folder / "data/trials" / trial / "log" / table
    return deltalake.DeltaTable(path).to_pyarrow_table(columns=[column])[column].to_pylist()


def test_kill_9_of_the_runner_costs_production_nothing_and_the_log_no_exchange(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    chance = random.Random(7)
    with Load(place.url) as load:
        for _ in range(4):
            time.sleep(chance.uniform(0.3, 1.2))
            pid = wait_for(lambda: place.pids()["runner"], what="a runner")
            os.kill(pid, signal.SIGKILL)
        time.sleep(1.5)
    assert load.failures == []

    ledger = place.drained()
    place.stop(process)

    assert ledger["seen"] == load.sent
    assert sum(ledger["states"].values()) == load.sent
    handed_over = ledger["states"]["paired"] + ledger["states"].get("expired", 0)
    ids = rows(place)
    assert len(ids) == len(set(ids)) == handed_over
    assert sorted(rows(place, "exchanges")) == sorted(ids)


def test_kill_9_of_a_gateway_costs_only_its_requests_in_flight_and_each_is_accounted_for(place):
    plan = place.plan(place.model("old", "--delay", "0.05"), place.model("new"))
    place.gateways = 2
    process = place.serve(plan)
    with Load(place.url, threads=4) as load:
        for _ in range(3):
            time.sleep(0.7)
            name, pid = next((n, p) for n, p in place.pids().items() if n.startswith("gateway") and p)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda name=name, pid=pid: place.pids()[name] not in (None, pid), what="another gateway")
        time.sleep(0.5)
    assert len(load.failures) <= 3 * 4  # at most one for each client and kill: what was in flight there

    ledger = place.drained()
    place.stop(process)

    assert ledger["open"] == 0
    assert ledger["states"]["paired"] >= load.sent - len(load.failures)
    assert len(set(rows(place))) == len(rows(place)) == ledger["states"]["paired"]


def test_gateways_serve_on_when_the_supervisor_dies_and_the_next_one_takes_over(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    with Load(place.url, threads=2, pause=0.005) as load:
        time.sleep(0.5)
        process.kill()
        process.wait()
        time.sleep(0.5)
        successor = place.serve(plan)
        time.sleep(0.5)
    assert load.failures == []
    ledger = place.drained()
    assert ledger["states"] == {"paired": load.sent}
    place.stop(successor)


def test_a_switch_reaches_a_gateway_that_is_replaced_and_one_whose_file_is_lost(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    place.gnomon("promote", "fraud", "--override", "a drill")
    (place.folder / "data/trials/fraud.1/epoch.json").unlink()  # as after a full disk
    os.kill(place.pids()["gateway 0"], signal.SIGKILL)
    wait_for(lambda: httpx.get(f"http://127.0.0.1:{place.admin}/readyz").status_code == 200, what="another gateway")
    wait_for(lambda: httpx.post(place.url + "/predict", json=body(1)).headers["x-model"] == "new", what="the switch")
    place.stop(process)


def test_production_is_served_unshadowed_when_the_state_database_is_broken(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    place.gnomon("promote", "fraud", "--override", "a drill")
    place.stop(process)
    database = place.folder / "data/state.db"
    for each in place.folder.glob("data/state.db*"):
        each.unlink()
    database.write_bytes(b"no database at all" * 500)

    log = (place.folder / "serve.err").open("ab")
    process = subprocess.Popen([str(GNOMON), "serve", str(plan)], env=place.env, cwd=place.folder, stderr=log)
    place.processes.append(process)
    wait_for(lambda: "UNSHADOWED" in (place.folder / "serve.err").read_text(), what="the word for it")
    answer = httpx.post(place.url + "/predict", json=body(1))
    place.stop(process)

    assert answer.headers["x-model"] == "new"  # by the last epoch that the gateways were told
    counted = counters.read_all(place.folder / "data/trials/fraud.1/counters")
    assert sum(each.states.get("shed:unavailable", 0) for each in counted) == 1


def test_with_a_full_disk_at_the_start_a_new_trial_is_refused_and_a_sealed_one_is_served_unshadowed(place):
    plan = place.plan(place.model("old"), place.model("new"))
    command = ["prlimit", "--fsize=0:unlimited", str(GNOMON), "serve", str(plan)]  # no file of these can grow
    where = {"env": place.env, "cwd": place.folder, "text": True, "stderr": subprocess.PIPE}
    refused = subprocess.run(command, **where, check=False)
    assert refused.returncode == 2
    assert "cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr
    place.stop(place.serve(plan))
    process = subprocess.Popen(command, **where)
    place.processes.append(process)
    words = ""
    while "UNSHADOWED" not in words:
        line = process.stderr.readline()
        assert line, words
        words += line
    assert httpx.post(place.url + "/predict", json=body(1)).headers["x-model"] == "old"
    place.stop(process)
    place.stop(place.serve(plan))  # with room again it goes on, and nothing was lost
    assert place.read("status")["trial"] == "fraud.1"


def test_a_newer_versions_inbox_keeps_nobody_from_being_served_and_is_left_alone(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.stop(place.serve(plan))
    path = place.folder / "data/trials/fraud.1/inbox.db"
    with contextlib.closing(sqlite3.connect(path)) as inbox:
        inbox.execute("PRAGMA user_version=99")
    process = place.serve(plan)
    assert httpx.post(place.url + "/predict", json=body(1)).status_code == 200
    assert place.read("status")["health"].startswith("UNKNOWN: no runner")
    words = (place.folder / "serve.err").read_text()
    assert "layout 99" in words
    assert "use the version that wrote it" in words
    place.stop(process)
    with contextlib.closing(sqlite3.connect(path)) as inbox:
        assert inbox.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_newer_versions_state_is_left_alone_and_production_is_served(place):
    plan = place.plan(place.model("old"), place.model("new"))
    place.stop(place.serve(plan))
    path = place.folder / "data/state.db"
    with contextlib.closing(sqlite3.connect(path)) as state:
        state.execute("UPDATE alembic_version SET version_num = '0099'")
        state.commit()
    refused = place.gnomon("status", code=2)
    assert "newer gnomon" in refused.stderr
    log = (place.folder / "serve.err").open("ab")
    process = subprocess.Popen([str(GNOMON), "serve", str(plan)], env=place.env, cwd=place.folder, stderr=log)
    place.processes.append(process)
    wait_for(lambda: "UNSHADOWED" in (place.folder / "serve.err").read_text(), what="the word for it")
    assert httpx.post(place.url + "/predict", json=body(1)).status_code == 200
    assert "newer gnomon" in (place.folder / "serve.err").read_text()
    place.stop(process)


def test_a_changed_plan_takes_over_without_mixing_two_trials(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    with Load(place.url, threads=2) as load:
        time.sleep(0.4)
        process.kill()
        process.wait()
        plan.write_text(plan.read_text().replace("margin: 10pp", "margin: 9pp", 1))
        process = place.serve(plan)
        time.sleep(1.5)
    assert load.failures == []
    second = place.drained("fraud.2")
    place.stop(process)
    first = place.read("status", "fraud.1")["ledger"]
    assert first["seen"] + second["seen"] == load.sent
    assert second["states"] == {"paired": second["seen"]}
    assert len(rows(place, trial="fraud.2")) == second["seen"]
    process = place.serve(plan)  # what the first trial's gateway could not hand over is not the second's
    place.stop(process)
    assert place.read("decide", "fraud.2", code=None)["verdict"] in {"continue", "promote"}  # and not invalid


def test_a_dead_candidate_is_a_failed_arm_and_users_notice_nothing(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    candidate = place.processes[1]
    candidate.kill()
    candidate.wait()
    stream(place.url, range(100))
    place.drained(paired=100)
    place.stop(process)
    failed = {test["gate"] for test in place.read("decide", code=20)["tests"] if test["result"] == "fail"}
    assert "error_rate" in failed


def test_a_drain_finishes_what_is_open(place):
    plan = place.plan(place.model("old", "--delay", "0.5"), place.model("new"))
    process = place.serve(plan)
    with Load(place.url, threads=4) as load:
        time.sleep(0.7)
        told = time.monotonic()
        process.terminate()
        time.sleep(0.3)
    assert process.wait(60) == 0
    # what is asked after the drain began may be refused; what was asked before is answered
    assert not [began for began in load.failed_at if began < told]
    ledger = place.read("status", "fraud")["ledger"]
    assert ledger["open"] == 0


def test_admin_says_ready_and_counts(place):
    plan = place.plan(place.model("old"), place.model("new"))
    process = place.serve(plan)
    admin = f"http://127.0.0.1:{place.admin}"
    stream(place.url, range(20))
    place.drained(paired=20)

    assert httpx.get(admin + "/readyz").status_code == 200
    assert httpx.get(admin + "/healthz").json() == {"alive": True}
    metrics = httpx.get(admin + "/metrics").text
    assert 'gnomon_requests_total{reason="",state="paired",trial="fraud.1"} 20.0' in metrics
    assert httpx.get(admin + "/nothing").status_code == 404
    place.stop(process)
