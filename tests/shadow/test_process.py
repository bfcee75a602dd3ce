"""The runner as a process: killed at random moments, drained, started twice."""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from gnomon.processes.runner import held
from gnomon.records.frames import Exchange
from gnomon.shadow import twin
from tests.shadow import gates
from tests.shadow.parts import (
    Gateway,
    Model,
    a_config,
    a_request,
    an_answer,
    counter_file,
    document,
    ledger,
    logged,
    now_us,
    wait_for,
)


@pytest.fixture
def model():
    with Model() as started:
        yield started


class Process:
    """`python -m gnomon.processes.runner`."""

    def __init__(self, folder, plan_document, **settings):
        self.folder = folder
        self.config = a_config(folder, plan_document, **settings)
        self.path = folder / "runner.json"
        self.path.write_bytes(msgspec.json.encode(self.config))

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gnomon.processes.runner", "--config", str(self.path)],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "runner.err").open("ab"),
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n", self.errors
        return self

    @property
    def errors(self):
        return (self.folder / "runner.err").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


@pytest.fixture
def started(tmp_path):
    made = []

    def start(plan_document, **settings):
        made.append(Process(tmp_path, plan_document, **settings))
        return made[-1].start()

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()


class Feeder(threading.Thread):
    """A gateway that keeps what is not acknowledged and sends it again to the next runner, as the real one does."""

    def __init__(self, socket, chance, sync):
        super().__init__()
        self.gateway = Gateway(socket)
        self.chance = chance
        self.sync = sync
        self.kept = {}
        self.acknowledged = []
        self.failures = []
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.is_set() or self.kept:
                self._connect()
        except Exception as error:  # noqa: BLE001  the test asserts that there is none
            self.failures.append(error)

    def _connect(self):
        try:
            self.gateway.connect()
        except OSError:
            time.sleep(0.02)
            return
        try:
            with self.gateway:
                for number, (request, answer) in list(self.kept.items()):
                    self.gateway.send(Exchange(number, request, answer, self.sync))
                while not self.ended.is_set() or self.kept:
                    if not self.ended.is_set():
                        self._send(self.chance.randint(1, 40))
                    if self.kept and not self.gateway.read_acks():
                        return
                    for number in [number for number in self.kept if number <= self.gateway.acknowledged]:
                        self.acknowledged.append(self.kept.pop(number)[0].id.hex())
        except OSError:
            return

    def _send(self, count):
        for _ in range(count):
            request, answer = a_request(len(self.acknowledged)), an_answer()
            self.gateway.number += 1
            self.kept[self.gateway.number] = (request, answer)
            if self.sync:
                self.gateway.call(request)
                self.gateway.number -= 1
                self.gateway.settle(request, answer)
            else:
                self.gateway.send(Exchange(self.gateway.number, request, answer, self.sync))


def killed(folder, started, plan, *, chance, sync, **settings):
    """A runner that is killed at six random moments, and drained at the end; the ids that were acknowledged."""
    feeder = Feeder(folder / "runner.sock", chance, sync)
    with counter_file(folder / "counters", feeder.gateway.instance) as write:
        process = started(plan, flush_us=20_000, **settings)
        feeder.start()
        for _ in range(6):
            time.sleep(chance.uniform(0.02, 0.6))
            process.kill()
            process.start()
        time.sleep(0.3)
        feeder.ended.set()
        feeder.join(30)
        assert feeder.failures == []
        sent = len(feeder.acknowledged)
        write(frontier_us=now_us(), seen=sent + 3, handed_over=sent, unsampled=3)
    assert process.stop() == 0, process.errors
    return feeder.acknowledged


@pytest.mark.parametrize(("mode", "seed"), [("async", 1), ("sync", 2)])
def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path, model, started, mode, seed):
    chance = random.Random(seed)
    acknowledged = killed(tmp_path, started, document(model.url, mode=mode), chance=chance, sync=mode == "sync")

    sent = len(acknowledged)
    assert sent > 100
    ids = [row["id"] for row in logged(tmp_path)]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(acknowledged)
    assert sorted(row["id"] for row in logged(tmp_path, "exchanges")) == sorted(ids)
    assert ledger(tmp_path) == {
        "seen": sent + 3,
        "handed_over": sent,
        "unsampled": 3,
        "received": sent,
        "paired": sent,
    }
    assert {row["candidate_outcome"] for row in logged(tmp_path)} == {"ok"}


@pytest.mark.parametrize(("mode", "seed"), [("async", 3), ("sync", 4)])
def test_kill_9_changes_neither_who_has_a_twin_nor_what_a_custom_gate_says(
    tmp_path, model, started, monkeypatch, mode, seed
):
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("GNOMON_TEST_MARK", str(tmp_path))
    digest = hashlib.sha256(Path(gates.__file__).read_bytes()).hexdigest()
    gate = {"function": "tests.shadow.gates:label", "digest": digest, "better_than": "production"}
    with Model() as production:
        plan = document(model.url, mode=mode, gates=[{"custom": gate}])
        plan["production"] = {"version": "1.0", "url": production.url}
        plan["fork"]["twin"] = "25%"
        acknowledged = killed(
            tmp_path, started, plan, chance=random.Random(seed), sync=mode == "sync", sampling_key="5a" * 32
        )
    rows = {row["id"]: row for row in logged(tmp_path)}
    assert len(logged(tmp_path)) == len(rows)
    assert rows.keys() == set(acknowledged)
    assert len(rows) > 50
    for id_, row in rows.items():
        drawn = twin.coin(bytes.fromhex("5a" * 32), bytes.fromhex(id_)) < 1 << 30
        assert (row["twin_outcome"], row["output_label_twin_agree"]) == (("ok", True) if drawn else (None, None))
        assert row["custom_0"] == 1.0
    wait_for(lambda: not left_behind(tmp_path))  # a process of the gates ends when its runner is gone


def left_behind(folder):
    """Processes of a test that have not ended with its runner."""
    mark, found = f"GNOMON_TEST_MARK={folder}".encode(), []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (each / "environ").read_bytes():
                command = (each / "cmdline").read_bytes()
                if b"gnomon.processes" in command:
                    found.append(command)
    return found


def test_a_drain_takes_what_gateways_still_send_finishes_the_calls_and_appends(tmp_path, model, started):
    model.delay = 0.1
    process = started(document(model.url), flush_us=60_000_000)
    with Gateway(tmp_path / "runner.sock") as gateway:
        gateway.exchange(a_request())
        gateway.await_acks()
        process.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        gateway.exchange(a_request())
        gateway.await_acks()
    assert process.stop() == 0
    assert ledger(tmp_path) == {"received": 2, "paired": 2}
    assert len(logged(tmp_path)) == 2
    assert process.errors == ""


def test_a_second_runner_says_so_and_ends(tmp_path, model, started):
    process = started(document(model.url))
    second = subprocess.run(
        [sys.executable, "-m", "gnomon.processes.runner", "--config", str(process.path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert f"another runner (process {process.process.pid})" in second.stderr
    assert process.process.poll() is None


def test_whoever_looks_at_the_lock_for_a_moment_keeps_no_runner_from_starting(tmp_path):
    path = tmp_path / "runner.sock.lock"
    with path.open("w") as probe, path.open() as other:
        fcntl.flock(probe, fcntl.LOCK_SH)
        leaving = threading.Timer(0.2, fcntl.flock, (probe, fcntl.LOCK_UN))
        leaving.start()
        with held(path):
            assert path.read_text() == f"{os.getpid()}\n"
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        leaving.join()


@pytest.mark.parametrize("change", ["not json", "no plan", "no file"])
def test_a_runner_that_cannot_start_says_why_in_one_line(tmp_path, change):
    path = tmp_path / "runner.json"
    config = msgspec.to_builtins(a_config(tmp_path, {"gnomon": 1}))
    if change != "no file":
        path.write_text("{" if change == "not json" else json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "gnomon.processes.runner", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
