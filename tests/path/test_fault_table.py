"""The table of faults: each under load, through the whole path. Production's users notice none of the shadow's faults,
a gateway's memory stays bounded, the ledger adds up, what was handed over is in the log once, and the shadow recovers.
"""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.path.conftest import Place, wait_for
from tests.path.rig import CLIENTS, Rig

SLOW = {"timeout"}
"""On a machine that has much to do, any of them may not even be in time."""
CANDIDATE = {
    "refuses": {"refused"},
    "resets": {"reset"},
    "hangs": {"timeout"},
    "drips": {"timeout"},
    "floods": {"too_large"},
    "floods trailers": {"too_large"},
    "speaks no HTTP": {"reset"},
    "speaks no JSON": {"unreadable"},
    "has a wrong schema": {"wrong_shape"},
    "fails": {"5xx"},
    "takes 10 s": {"timeout"},
    "never closes": {"ok"},
}
"""What the candidate does, and what the log says about it."""


@contextlib.contextmanager
def rigged(folder, **options):
    """A rig, its processes ended afterwards."""
    place = Place(folder)
    rig = None
    try:
        rig = Rig(place, **options)
        yield rig
    finally:
        if rig is not None:
            rig.close()
        for process in reversed(place.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One system for the faults of candidate and runner: the ledger must add up over all of them together."""
    with rigged(tmp_path_factory.mktemp("faults")) as rig:
        yield rig


@pytest.fixture
def fresh(tmp_path):
    with rigged(tmp_path, gateways=2) as rig:
        yield rig


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("fault", CANDIDATE)
def test_a_candidate_that(one, fault):
    runner = one.place.pids()["runner"]
    with one.candidate.behaving(fault):
        asked = one.ask(120)
        one.adds_up()
        assert files(runner) < 64 + 40  # as many connections as calls may be in flight, and the runner's own files
        assert CANDIDATE[fault] <= set(one.outcomes(asked)) <= CANDIDATE[fault] | SLOW
    assert one.failures == []
    assert one.place.pids()["runner"] == runner
    one.recovers()


def test_a_runner_that_is_killed_under_load(one):
    with one.asking() as asked:
        for _ in range(3):
            pid = wait_for(lambda: one.place.pids()["runner"], what="a runner")
            before = len(asked)
            wait_for(lambda before=before: len(asked) > before, what="traffic")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: one.place.pids()["runner"] not in (None, pid), what="another runner")
    assert one.failures == []
    one.adds_up()
    assert set(one.outcomes(asked)) == {"ok"}
    one.recovers()


def test_a_runner_that_is_stopped_and_continued(one):
    """Longer than the candidate may take: what had come meanwhile came in time, and is no fault of the candidate."""
    pid = one.place.pids()["runner"]
    shed = one.adds_up()["states"].get("shed:memory", 0)
    with one.candidate.behaving("is slow"):
        with one.asking() as asked:
            wait_for(lambda: asked, what="traffic")
            os.kill(pid, signal.SIGSTOP)
            try:
                more = one.ask(500)  # more than the budget holds
            finally:
                os.kill(pid, signal.SIGCONT)
        asked |= more
        ledger = one.adds_up()
        assert one.failures == []
        assert ledger["states"]["shed:memory"] > shed
        assert set(one.outcomes(asked)) == {"ok"}
    assert one.place.pids()["runner"] == pid
    one.recovers()


def test_a_slow_disk(one):
    """Each commit to the inbox waits its turn behind another writer."""
    stop = threading.Event()

    def hog() -> None:
        database = sqlite3.connect(one.place.folder / "data/trials/fraud.1/inbox.db", isolation_level=None, timeout=30)
        while not stop.is_set():
            database.execute("BEGIN IMMEDIATE")
            time.sleep(0.3)
            database.execute("COMMIT")
            time.sleep(0.005)
        database.close()

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        asked = one.ask(300)
    finally:
        stop.set()
        thread.join()
    assert one.failures == []
    one.adds_up()
    assert set(one.outcomes(asked)) == {"ok"}
    one.recovers()


@contextlib.contextmanager
def full_disk(pids):
    """No file of these processes, and of those that they start, can grow: not the inbox, the log, or what they say."""
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk(one):
    pid = one.place.pids()["runner"]
    shed = one.adds_up()["states"].get("shed:memory", 0)
    with full_disk([pid]):
        asked = one.ask(500)
        assert one.ledger()["open"] > 0  # nothing is handed over that is not on the disk
    assert one.failures == []
    ledger = one.adds_up()
    assert ledger["states"]["shed:memory"] > shed
    assert set(one.outcomes(asked)) == {"ok"}
    assert one.place.pids()["runner"] == pid
    one.recovers()


def test_a_disk_full_for_every_process_while_the_runner_dies(fresh):
    pids = fresh.place.pids()
    with full_disk([fresh.process.pid, *pids.values()]):
        fresh.ask(60)
        os.kill(pids["runner"], signal.SIGKILL)
        fresh.ask(300)
    assert fresh.failures == []
    wait_for(lambda: fresh.place.pids()["runner"] not in (None, pids["runner"]), what="another runner")
    fresh.adds_up()
    fresh.recovers()
    fresh.place.stop(fresh.process)


def test_gateways_killed_in_turn_and_together(fresh):
    with fresh.asking():
        for name in ("gateway 0", "gateway 1"):
            pid = fresh.place.pids()[name]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda name=name, pid=pid: fresh.place.pids()[name] not in (None, pid), what="another gateway")
        killed = fresh.place.pids()
        for name in ("gateway 0", "gateway 1"):
            os.kill(killed[name], signal.SIGKILL)
        wait_for(lambda: not {*fresh.place.pids().values()} & {killed["gateway 0"], killed["gateway 1"], None})
    lost = len(fresh.failures)
    assert lost <= 3 * CLIENTS  # what was in flight: one for each client and kill
    ledger = fresh.adds_up(lost=lost)
    assert ledger["states"].get("unaccounted", 0) <= 3 * CLIENTS * 40
    fresh.recovers(lost=lost)
    fresh.place.stop(fresh.process)
    assert sum(fresh.place.read("status")["ledger"]["states"].values()) == fresh.place.read("status")["ledger"]["seen"]


def test_the_supervisor_killed_and_then_the_runner_under_it(fresh):
    with fresh.asking():
        runner = fresh.place.pids()["runner"]
        fresh.process.kill()
        fresh.process.wait()
        os.kill(runner, signal.SIGKILL)  # nobody replaces it
        fresh.ask(300)
        fresh.process = fresh.place.serve(fresh.plan)
    assert fresh.failures == []
    fresh.adds_up()
    fresh.recovers()
    fresh.place.stop(fresh.process)


def test_the_supervisor_killed_while_its_runner_is_stopped(fresh):
    """A runner that cannot end by itself does not keep the next supervisor from serving."""
    runner = fresh.place.pids()["runner"]
    with fresh.asking():
        os.kill(runner, signal.SIGSTOP)
        fresh.process.kill()
        fresh.process.wait()
        try:
            fresh.process = fresh.place.serve(fresh.plan)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(runner, signal.SIGKILL)
    assert fresh.failures == []
    fresh.adds_up()
    fresh.recovers()
    fresh.place.stop(fresh.process)


def test_supervisor_gateways_and_runner_killed_together(fresh):
    asked = fresh.ask(200)
    victims = [fresh.process.pid, *fresh.place.pids().values()]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    fresh.process.wait()
    fresh.process = fresh.place.serve(fresh.plan)
    assert fresh.failures == []
    ledger = fresh.adds_up()
    assert ledger["states"]["paired"] + ledger["states"].get("unaccounted", 0) == fresh.asked
    assert set(fresh.outcomes(asked)) == {"ok"}
    fresh.recovers()
    fresh.place.stop(fresh.process)


def test_production_that_dies_in_the_middle_of_its_answers_costs_the_same_with_and_without_the_shadow(fresh):
    fresh.production.behave("dies now and then")
    fresh.place.gnomon("pause", "fraud", "--reason", "a drill")
    fresh.ask(100)
    without = len(fresh.failures)
    fresh.place.gnomon("resume", "fraud")
    asked = fresh.ask(100)
    assert len(fresh.failures) == 2 * without == 2 * 20
    ledger = fresh.adds_up()
    assert ledger["states"]["shed:paused"] == 100
    assert set(fresh.outcomes(asked)) == {"ok"}
    by_production = fresh.outcomes({row["id"] for row in fresh.rows()}, "production_outcome")
    assert by_production == {"ok": 30 + 80, "reset": 20}
    fresh.production.behave("well")
    fresh.recovers()
    fresh.place.stop(fresh.process)


def test_production_that_restarts_costs_what_is_asked_meanwhile(one):
    one.production.behave("refuses")
    before = len(one.failures)
    one.ask(60)
    assert len(one.failures) - before == 60
    one.production.behave("well")
    asked = one.ask(60)
    assert len(asked) == 60
    one.failures = one.failures[:before]
    one.adds_up()
    one.recovers()
