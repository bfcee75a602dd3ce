"""What the gateway does for the hand-over beside copying: head rewrites, probes, clients that leave, true counts."""

import contextlib
import socket
import threading
import time

import pytest

from gnomon.records import counters, frames
from gnomon.records.process import PROBE_EPOCH, Upstream
from tests.fork.harness import Backend, wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST /predict?q=1 HTTP/1.1\r\nHost: x\r\nX-Model: a\r\nx-model: b\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def arm(port, **changes):
    return Upstream(url=f"http://127.0.0.1:{port}", version="2", timeout_us=None, authorization_env=None, **changes)


@pytest.fixture
def model():
    made = Backend(lambda head, body: OK)
    yield made
    made.close()


def test_a_candidate_that_serves_gets_its_path_and_headers_and_production_gets_the_clients(around, model):
    candidate = arm(model.port, paths=(("/predict", "/v2/predict"),), headers=(("x-model", "fraud 2"),))
    backend, gateway, _ = around(candidate=candidate)
    gateway.talk(POST + LAST)
    gateway.epoch(2, "candidate")
    gateway.talk(POST + LAST)
    before, after = backend.requests[0][0], model.requests[0][0]
    assert before.startswith(b"POST /predict?q=1 HTTP/1.1\r\n")
    assert [line for line in before.split(b"\r\n") if b"model" in line.lower()] == [b"X-Model: a", b"x-model: b"]
    assert after.startswith(b"POST /v2/predict?q=1 HTTP/1.1\r\n")
    assert [line for line in after.split(b"\r\n") if b"model" in line.lower()] == [b"x-model: fraud 2"]
    assert model.requests[1][0].startswith(b"GET /end HTTP/1.1\r\n")


def ask(path, data):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(data)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(1 << 16):
                got += piece
        return got


PROBE = b"POST /probe/equal HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


def test_a_probe_takes_the_path_of_a_request_and_counts_apart(around, model, tmp_path):
    path = tmp_path / "gateway-0.probe"
    backend, gateway, receiver = around(
        probe_url=f"http://127.0.0.1:{model.port}", probe_socket=str(path), shadow_rate=0, per_second=1
    )
    assert (path.stat().st_mode & 0o777) == 0o600
    for _ in range(3):
        assert ask(path, PROBE).endswith(b"ok")
    gateway.talk(POST + LAST)
    wait_for(lambda: len(receiver.of(frames.Settled)) == 3)
    assert len(model.requests) == 3
    assert len(backend.requests) == 2
    assert {call.request.epoch for call in receiver.of(frames.Call)} == {PROBE_EPOCH}
    by_epoch = wait_for(lambda: {e.epoch: e for e in counters.read_all(tmp_path) if not e.open})
    assert by_epoch[PROBE_EPOCH].handed_over == by_epoch[PROBE_EPOCH].seen == 3
    assert (by_epoch[1].seen, by_epoch[1].states) == (2, {"passed": 1, "unsampled": 1})
    assert gateway.control({"status": True})["seen"] == 2
    gateway.control({"pause": True, "trial": "t.1"})
    assert ask(path, PROBE).endswith(b"ok")
    assert wait_for(lambda: {e.epoch: e for e in counters.read_all(tmp_path)}[PROBE_EPOCH].states) == {"shed:paused": 1}
    assert gateway.stop() == 0
    assert not path.exists()


def test_nobody_poses_as_a_probe_at_the_users_door(around, model, tmp_path):
    backend, gateway, _ = around(
        probe_url=f"http://127.0.0.1:{model.port}", probe_socket=str(tmp_path / "gateway-0.probe")
    )
    gateway.talk(PROBE.replace(b"Host: x", b"Host: x\r\nx-gnomon-probe: 1"))
    assert gateway.settled().states == {"passed": 1}
    assert model.requests == []
    assert b"x-gnomon-probe" not in backend.requests[0][0]


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"e\r\ndata: [DONE]\n\n\r\n"


def leave_at(gateway, word):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(POST)
        got = b""
        while word not in got:
            got += client.recv(1 << 16)


def test_a_client_that_leaves_at_the_last_event_costs_no_pair(around):
    _, gateway, receiver = around(lambda head, _: [STREAM + DONE, 0.05, b"0\r\n\r\n"])
    leave_at(gateway, b"[DONE]")
    sums = gateway.settled()
    assert (sums.handed_over, sums.states) == (1, {})
    (settled,) = receiver.of(frames.Settled)
    assert (settled.answer.outcome, settled.answer.body) == ("ok", b"data: [DONE]\n\n")


def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_it_at_the_model_after_a_moment(around):
    written = []

    def endless(head, _):
        yield STREAM
        for number in range(200):
            written.append(number)
            yield DONE
            yield 0.05

    _, gateway, receiver = around(lambda head, body: list(endless(head, body)))
    leave_at(gateway, b"[DONE]")
    assert gateway.settled().states == {"cancelled": 1}
    wait_for(lambda: receiver.of(frames.Dropped))  # it rests a millisecond between two writes
    assert len(receiver.of(frames.Dropped)) == 1
    assert gateway.control({"status": True})["held_bytes"] == 0


def test_a_client_that_leaves_before_any_answer_takes_its_call_back_at_once(around):
    _, gateway, receiver = around(lambda head, _: [30.0, OK])
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(POST)
        wait_for(lambda: receiver.of(frames.Call))
    assert gateway.settled().states == {"cancelled": 1}


def test_at_every_moment_what_was_seen_is_final_or_handed_over_or_open(around, tmp_path):
    """Read while requests come, leave and fail: the copy of the numbers is of one moment."""
    _, gateway, _ = around(
        lambda head, _: [0.002, OK], acknowledge=lambda frame: frame.number % 50 > 0 or frame.number > 300
    )
    stop = threading.Event()

    def load():
        while not stop.is_set():
            gateway.talk(POST * 3 + LAST)

    users = [threading.Thread(target=load) for _ in range(4)]
    for user in users:
        user.start()
    moments = set()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for each in counters.read_all(tmp_path, one_moment=True):
            assert each.seen == each.final + each.handed_over + each.open, each
            moments.add((each.seen, each.open))
    stop.set()
    for user in users:
        user.join()
    assert len(moments) > 10
    assert any(open_ for _, open_ in moments)


def test_answers_and_failures_of_the_arm_that_serves_are_counted(around):
    answers = [OK, OK.replace(b"200 OK", b"503 No"), OK.replace(b"200 OK", b"404 No"), b"not HTTP"]
    _, gateway, _ = around(lambda head, _: answers.pop(0))
    for _ in range(4):
        gateway.talk(POST.replace(b"Host: x", b"Host: x\r\nConnection: close"))
    gateway.settled()
    (found,) = wait_for(lambda: [e for e in counters.read_all(gateway.folder) if e.answered == 4])
    assert found.failed == 2
    assert abs(found.failed_us / 1e6 - time.time()) < 60


def test_a_counter_file_of_an_earlier_version_is_read(tmp_path):
    import json
    import struct

    facts = {"instance": "i", "pid": 1, "trial": "t.1", "epoch": 1, "stratum": "all"}
    slots = [9, 3, 0, 77, 6]  # seen, handed over, invalid heads, frontier; `passed`, and no later state
    (tmp_path / "i-1.bin").write_bytes(json.dumps(facts).encode().ljust(4096) + struct.pack("<5q", *slots))
    (found,) = counters.read_all(tmp_path)
    assert (found.seen, found.handed_over, found.states, found.open) == (9, 3, {"passed": 6}, 0)
    (tmp_path / "j-1.bin").write_bytes(b"{" * 9000)
    (tmp_path / "k-1.bin").write_bytes(b"")
    assert counters.read_all(tmp_path) == [found]
