"""Copies: numbered, acknowledged, sent again, inside their budget; and a fault of ours costs the copy alone."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from gnomon.fork.sampling import coin
from gnomon.records import counters, frames
from gnomon.records.process import Epoch, Upstream
from tests.fork.conftest import OK
from tests.fork.harness import Backend, Receiver, wait_for

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def test_sync_mode_starts_the_call_with_the_request_and_settles_after_production(around):
    _, gateway, receiver = around(lambda head, _: [0.3, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    gateway.talk(POST)
    gateway.settled()
    hello, call, settled = receiver.frames
    assert (type(hello), type(call), type(settled)) == (frames.Hello, frames.Call, frames.Settled)
    assert call.request.id == settled.id
    assert settled.number == 1
    assert 250_000 < settled.answer.latency_us < 5_000_000
    assert settled.answer.started_us >= call.request.time_us


def test_async_mode_sends_the_exchange_whole(around):
    _, gateway, receiver = around(mode="async")
    gateway.talk(POST)
    gateway.settled()
    (exchange,) = receiver.of(frames.Exchange)
    assert (exchange.request.body, exchange.answer.body, exchange.late) == (b"{}", b"ok", False)


def test_what_was_not_acknowledged_is_sent_again_whole_and_in_order(around):
    _, gateway, receiver = around(acknowledge=lambda frame: False)
    for _ in range(5):
        gateway.talk(POST)
    wait_for(lambda: len(receiver.of(frames.Settled)) == 5)
    assert gateway.counters().handed_over == 0
    receiver.close()

    again = Receiver(gateway.folder / "runner.sock")
    gateway.settled()

    seen = again.of(frames.Exchange)
    assert [frame.number for frame in seen] == [1, 2, 3, 4, 5]
    assert all(frame.late and frame.request.body == b"{}" for frame in seen)
    assert gateway.counters().handed_over == 5
    assert gateway.control({"status": True})["held_bytes"] == 0
    again.close()


def test_copies_wait_for_a_runner_inside_the_budget_and_are_then_shed(around):
    _, gateway, _ = around(receiver=False, capture_budget=10_000)
    for _ in range(20):
        assert gateway.talk(POST).endswith(b"ok")
    sums = gateway.counters()
    kept = 20 - sums.states["shed:unavailable"]
    assert 0 < kept < 12
    assert gateway.control({"status": True})["held_bytes"] <= 10_000

    receiver = Receiver(gateway.folder / "runner.sock")
    assert gateway.settled().handed_over == kept
    receiver.close()


def test_another_trials_runner_gets_no_copy_and_ours_gets_all_of_them(around):
    _, gateway, _ = around(receiver=False, capture_budget=10_000)
    other = Receiver(gateway.folder / "runner.sock", trial="t.2")
    hello = wait_for(lambda: other.of(frames.Hello))[0]
    assert hello.trial == "t.1"
    for _ in range(20):
        assert gateway.talk(POST).endswith(b"ok")
    sums = gateway.counters()
    kept = 20 - sums.states.pop("shed:unavailable")
    assert 0 < kept < 12
    assert (sums.handed_over, sums.states) == (0, {})
    refused = len(other.of(frames.Hello))
    wait_for(lambda: len(other.of(frames.Hello)) > refused)  # it comes back, and is refused again
    assert gateway.control({"status": True})["runner"] is False
    other.close()

    ours = Receiver(gateway.folder / "runner.sock")
    assert gateway.settled().handed_over == kept
    assert gateway.control({"status": True})["runner"] is True
    ours.close()


def test_a_runner_that_reads_nothing_costs_memory_inside_the_budget_alone(around):
    _, gateway, _ = around(acknowledge=lambda frame: time.sleep(60), capture_budget=50_000)
    for _ in range(80):
        assert gateway.talk(POST).endswith(b"ok")
    sums = gateway.counters()
    assert sums.states["shed:memory"] > 20
    assert gateway.control({"status": True})["held_bytes"] <= 50_000
    gateway.process.kill()  # a drain would wait for the acknowledgements


def test_counters_survive_kill_9_and_tell_that_the_gateway_is_dead(around):
    _, gateway, _ = around(
        lambda head, _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", acknowledge=lambda frame: False
    )
    for _ in range(3):
        gateway.talk(POST)
    gateway.talk(b"GET /else HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (before,) = counters.read_all(gateway.folder)
    assert before.alive
    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait()
    (after,) = counters.read_all(gateway.folder)
    assert not after.alive
    assert (after.seen, after.handed_over, after.states) == (4, 0, {"passed": 1})


def test_the_frontier_waits_for_the_oldest_open_exchange(around):
    _, gateway, receiver = around(acknowledge=lambda frame: frame.number != 1)
    gateway.talk(POST)
    (call,) = wait_for(lambda: receiver.of(frames.Call))
    time.sleep(0.2)
    (held,) = counters.read_all(gateway.folder)
    assert held.frontier_us == call.request.time_us
    gateway.talk(POST)  # its acknowledgement covers both
    gateway.settled()
    time.sleep(0.2)
    (moved,) = counters.read_all(gateway.folder)
    assert moved.frontier_us > call.request.time_us


def test_the_coin_is_fair_and_can_be_tossed_again(around):
    rate = (1 << 32) // 4
    _, gateway, receiver = around(shadow_rate=rate)
    for _ in range(200):
        gateway.talk(POST)
    sums = gateway.settled()
    assert 25 < sums.handed_over < 80
    assert sums.states["unsampled"] == 200 - sums.handed_over
    key = bytes.fromhex("ab" * 32)
    assert all(coin(key, call.request.id) < rate for call in receiver.of(frames.Call))


def test_a_rate_limit_sheds_before_either_arm_is_called(around):
    _, gateway, _ = around(per_second=3)
    for _ in range(10):
        assert gateway.talk(POST).endswith(b"ok")
    assert 1 <= gateway.settled().handed_over <= 6
    assert gateway.counters().states["shed:budget"] >= 4


STEPS = {
    "the decision": "import gnomon.fork.strata as m; m.Sampler.toss",
    "the headers": "import gnomon.fork.gateway as m; m.Gateway.allowed",
    "the request's body": "import gnomon.fork.capture as m; m.Copy.request_part",
    "the copy's beginning": "import gnomon.fork.capture as m; m.Copy.begin",
    "the request's end": "import gnomon.fork.capture as m; m.Copy.request_complete",
    "the budget": "import gnomon.fork.capture as m; m.Copy._room",
    "the call": "import gnomon.fork.link as m; m.Link.call",
    "the answer's body": "import gnomon.fork.capture as m; m.Copy.answer_part",
    "the hand-over": "import gnomon.fork.link as m; m.Link.hand_over",
    "the encoder": "import gnomon.fork.link as m; m.Link._encoded",
}


@pytest.mark.interpreted
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_in_shadow_code_costs_the_copy_and_never_the_answer(around, step):
    patch = f"def boom(*a, **k): raise RuntimeError('planted')\n{STEPS[step]} = boom"
    _, gateway, receiver = around(patch=patch)
    for _ in range(3):
        assert gateway.talk(POST).endswith(b"\r\n\r\nok")
    sums = gateway.settled()
    assert (sums.seen, sums.handed_over, sums.states) == (3, 0, {"shed:bug": 3})
    assert gateway.errors().count("planted") == 1
    assert not receiver.of(frames.Settled)
    assert gateway.control({"status": True})["held_bytes"] == 0


@pytest.mark.interpreted
def test_a_fault_while_a_copy_ends_early_costs_nothing_else(around):
    patch = "import gnomon.fork.capture as m\ndef boom(*a, **k): raise RuntimeError('planted')\nm.Copy.drop = boom"
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    _, gateway, _ = around(lambda head, _: large, patch=patch, body_cap=1000)
    for _ in range(3):
        assert gateway.talk(POST).endswith(b"x" * 3000)
    assert gateway.settled().states == {"shed:bug": 3}
    assert gateway.control({"status": True})["held_bytes"] == 0


@pytest.mark.interpreted
def test_a_fault_while_sending_again_costs_that_copy_alone(around):
    patch = (
        "import gnomon.fork.link as m\nright = m.Link._encoded\n"
        "def wrong(link, copy):\n"
        "    if copy.number == 2: raise RuntimeError('planted')\n"
        "    return right(link, copy)\n"
        "m.Link._encoded = wrong"
    )
    _, gateway, _ = around(patch=patch, receiver=False)
    for _ in range(3):
        assert gateway.talk(POST).endswith(b"ok")
    receiver = Receiver(gateway.folder / "runner.sock")
    sums = gateway.settled()
    assert (sums.handed_over, sums.states) == (2, {"shed:bug": 1})
    assert gateway.control({"status": True})["held_bytes"] == 0
    receiver.close()


def test_a_runner_that_talks_nonsense_is_left_and_found_again(around):
    patch = "import gnomon.fork.link as m; m._LONGEST_PAUSE = 0.02"
    _, gateway, receiver = around(patch=patch, acknowledge=lambda frame: False)
    assert gateway.talk(POST).endswith(b"ok")
    wait_for(lambda: receiver.of(frames.Settled))
    receiver.acknowledge = lambda frame: True
    receiver.say(b"\xff\xff\xff\xff nonsense")
    assert gateway.settled().handed_over == 1
    assert gateway.talk(POST).endswith(b"ok")
    assert gateway.settled().handed_over == 2


def test_an_epoch_switches_who_serves_and_is_kept_for_the_next_start(around, tmp_path):
    other = Backend(lambda head, _: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    arm = Upstream(url=f"http://127.0.0.1:{other.port}", version="2", timeout_us=None, authorization_env=None)
    _, gateway, receiver = around(candidate=arm)
    assert gateway.talk(POST).endswith(b"ok")
    assert gateway.epoch(2, "candidate") == {"ok": True, "epoch": 2}
    assert gateway.talk(POST).endswith(b"new")
    assert gateway.epoch(1, "production")["epoch"] == 2
    assert gateway.talk(POST).endswith(b"new")
    gateway.settled()
    assert [(c.request.epoch, c.request.serving) for c in receiver.of(frames.Call)] == [
        (1, "production"),
        (2, "candidate"),
        (2, "candidate"),
    ]
    gateway.stop()
    gateway.start()
    assert gateway.talk(POST).endswith(b"new")
    by_epoch = {each.epoch for each in counters.read_all(gateway.folder)}
    assert by_epoch == {1, 2}
    other.close()


@pytest.mark.parametrize("trial", ["t.2", "t", None, 1])
def test_an_epoch_of_another_trial_changes_nothing(around, trial):
    _, gateway, _ = around()
    answer = gateway.epoch(2, "candidate", trial=trial)
    assert answer["ok"] is False
    assert "'t.1'" in answer["error"]
    assert gateway.control({"epoch": {"number": 2, "serving": "candidate"}})["ok"] is False
    status = gateway.control({"status": True})
    assert (status["trial"], status["epoch"], status["serving"]) == ("t.1", 1, "production")
    assert not (gateway.folder / "epoch.json").exists()


def test_the_gateway_says_what_is_wrong_with_a_message_it_does_not_understand(around):
    _, gateway, _ = around()
    assert gateway.epoch("x", "candidate")["ok"] is False
    assert gateway.epoch(2, "nobody")["ok"] is False
    assert gateway.talk(POST).endswith(b"ok")
    assert Epoch(number=1, serving="production").number == gateway.control({"status": True})["epoch"]


def test_a_drain_answers_what_was_asked_and_hands_it_over(around):
    _, gateway, _ = around(lambda head, _: [0.5, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    got = []
    client = threading.Thread(target=lambda: got.append(gateway.talk(POST)))
    client.start()
    wait_for(lambda: gateway.counters().seen)
    gateway.process.send_signal(signal.SIGTERM)
    client.join()
    assert gateway.process.wait(30) == 0
    assert got[0].endswith(b"ok")
    assert gateway.counters().handed_over == 1


def test_a_client_that_leaves_takes_its_call_back(around):
    _, gateway, receiver = around(lambda head, _: [5.0, b""])
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(POST)
        wait_for(lambda: receiver.of(frames.Call))
    (dropped,) = wait_for(lambda: receiver.of(frames.Dropped))
    assert dropped.id == receiver.of(frames.Call)[0].request.id
    assert gateway.settled().states == {"cancelled": 1}


def test_a_call_that_could_not_start_with_productions_is_late(around):
    _, gateway, _ = around(lambda head, _: [0.5, OK], receiver=False)
    client = threading.Thread(target=lambda: gateway.talk(POST))
    client.start()
    wait_for(lambda: gateway.counters().seen)
    receiver = Receiver(gateway.folder / "runner.sock")
    client.join()
    gateway.settled()
    assert [(f.number, f.late) for f in receiver.of(frames.Exchange)] == [(1, True)]
    assert not receiver.of(frames.Call)
    receiver.close()


def test_a_runner_that_dies_between_the_two_frames_gets_the_exchange_whole(around):
    _, gateway, first = around(lambda head, _: [0.5, OK])
    client = threading.Thread(target=lambda: gateway.talk(POST))
    client.start()
    wait_for(lambda: first.of(frames.Call))
    first.close()
    second = Receiver(gateway.folder / "runner.sock")
    client.join()
    gateway.settled()
    assert [type(frame) for frame in second.frames] == [frames.Hello, frames.Exchange]
    assert second.frames[1].late
    second.close()


def test_while_paused_everything_is_answered_and_nothing_shadowed(around, tmp_path):
    _, gateway, receiver = around(pause_file=str(tmp_path / "paused"))
    told = {"trial": "t.1"}
    gateway.talk(POST)
    assert gateway.control({"pause": True} | told) == {"ok": True, "paused": True}
    assert gateway.control({"pause": True} | told) == {"ok": True, "paused": True}
    for _ in range(3):
        assert gateway.talk(POST).endswith(b"ok")
    assert gateway.control({"status": True})["paused"] is True
    assert gateway.control({"pause": False} | told) == {"ok": True, "paused": False}
    gateway.talk(POST)
    sums = gateway.settled()
    assert (sums.seen, sums.handed_over, sums.states) == (5, 2, {"shed:paused": 3})
    assert len(receiver.of(frames.Call)) == 2


def test_a_pause_holds_after_a_start_and_ends_with_its_file(around, tmp_path):
    kept = tmp_path / "paused"
    kept.touch()
    _, gateway, _ = around(pause_file=str(kept))
    gateway.talk(POST)
    gateway.control({"pause": False, "trial": "t.1"})
    assert not kept.exists()
    gateway.talk(POST)
    sums = gateway.settled()
    assert (sums.handed_over, sums.states) == (1, {"shed:paused": 1})


def test_a_pause_leaves_the_coin_as_it_falls(around, tmp_path):
    _, gateway, _ = around(pause_file=str(tmp_path / "paused"), shadow_rate=(1 << 32) // 2)
    gateway.control({"pause": True, "trial": "t.1"})
    for _ in range(60):
        gateway.talk(POST)
    sums = gateway.settled()
    assert set(sums.states) == {"shed:paused", "unsampled"}
    assert 10 < sums.states["unsampled"] < 50


@pytest.mark.parametrize(
    ("message", "problem"),
    [({"pause": True, "trial": "t.2"}, "not 't.2'"), ({"pause": "yes", "trial": "t.1"}, "Expected `bool`")],
)
def test_a_pause_that_is_not_meant_for_it_changes_nothing(around, message, problem):
    _, gateway, _ = around()
    assert problem in gateway.control(message)["error"]
    assert gateway.control({"status": True})["paused"] is False


def test_no_request_fails_while_epochs_change_under_load(around):
    """Ten times back and forth; after each switch the right arm answers, and what was in flight ends where it began."""
    both = {
        name: Backend(lambda head, _, name=name: [0.01, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name])
        for name in (b"a", b"b")
    }
    arms = {
        arm: Upstream(url=f"http://127.0.0.1:{both[name].port}", version=arm, timeout_us=None, authorization_env=None)
        for arm, name in (("production", b"a"), ("candidate", b"b"))
    }
    _, gateway, receiver = around(**arms)
    stop = threading.Event()
    failed, answered = [], []

    def load():
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
            while not stop.is_set():
                client.sendall(POST.replace(b"Connection: close\r\n", b""))
                got = client.recv(1 << 16)
                answered.append(got[-1:])
                if not got.startswith(b"HTTP/1.1 200 "):
                    failed.append(got)
                    return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 22):
        serving = ("production", "candidate")[number % 2 == 0]
        assert gateway.epoch(number, serving)["epoch"] == number
        assert gateway.talk(POST).endswith({"production": b"a", "candidate": b"b"}[serving])
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    sums = gateway.settled()
    assert sums.states == {}
    assert sums.seen == len(answered) + 20
    by_id = {call.request.id: call.request for call in receiver.of(frames.Call)}
    for settled in receiver.of(frames.Settled):
        request = by_id[settled.id]
        assert settled.answer.body == {"production": b"a", "candidate": b"b"}[request.serving]
        assert request.serving == ("production", "candidate")[request.epoch % 2 == 0]
    for backend in both.values():
        backend.close()


def test_a_switch_does_not_wait_for_room_on_a_disk(around, tmp_path):
    """A rollback must work when nothing can be written: served, not copied, and said."""
    folder = tmp_path / "gone"
    folder.mkdir()
    _, gateway, receiver = around(counters_dir=str(folder), epoch_file=str(folder / "epoch.json"))
    shutil.rmtree(folder)
    assert gateway.epoch(2, "candidate") == {"ok": True, "epoch": 2}
    assert gateway.talk(POST).endswith(b"ok")
    assert not receiver.of(frames.Call)
    assert "No such file" in gateway.errors()


def test_the_control_socket_is_its_users_alone_and_hands_the_listener_on(around):
    _, gateway, _ = around()
    path = gateway.folder / "gateway-0.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b'{"listener": true}\n')
        _, (fd,), _, _ = socket.recv_fds(connection, 4096, 1)
    with socket.socket(fileno=fd) as listener:
        assert listener.getsockname()[1] == gateway.port


def test_a_drain_closes_idle_connections_and_says_so_on_the_last_answers(around):
    _, gateway, _ = around()
    request = POST.replace(b"Connection: close\r\n", b"")
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as quiet,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as busy,
    ):
        for client in (quiet, busy):
            client.sendall(request)
            assert b"Connection: close" not in client.recv(1 << 16)
        assert gateway.control({"drain": True}) == {"ok": True}
        busy.sendall(request)
        assert b"Connection: close\r\n" in busy.recv(1 << 16)
        assert busy.recv(1) == b""
        assert quiet.recv(1) == b""
    assert gateway.process.wait(30) == 0
    assert gateway.counters().handed_over == 3
    assert not (gateway.folder / "gateway-0.sock").exists()


def test_the_process_imports_nothing_heavy():
    code = "import sys, gnomon.fork.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    foreign = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
    foreign = {name for name in foreign if not name.endswith("__mypyc")}  # the gateway itself, compiled
    assert foreign <= {
        "gnomon",
        "msgspec",
        "httptools",
        "uvloop",
        "cython_runtime",
        "typing_extensions",
        "sitecustomize",
    }
