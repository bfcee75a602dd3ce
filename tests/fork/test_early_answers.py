"""Production may answer before it has the whole request, as many do when a key is wrong: that pair is kept."""

import contextlib
import socket
import threading

import pytest

from gnomon.records import counters, frames
from gnomon.records.process import Upstream
from tests.fork.harness import wait_for

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
LENGTH = HEAD + b"Content-Length: 20\r\n\r\n"
BODY = b'{"content": "hello"}'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DENIED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


@pytest.fixture
def early(around):
    """`early(said)`: a gateway, its receiver, before a model that says so once it has a head."""
    with contextlib.ExitStack() as stack:

        def make(said=DENIED, **settings):
            model = socket.create_server(("127.0.0.1", 0))
            stack.callback(model.close)

            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = model.accept()
                        got = b""
                        while b"\r\n\r\n" not in got:
                            got += connection.recv(1 << 16)
                        connection.sendall(said)
                        connection.close()

            threading.Thread(target=serve, daemon=True).start()
            url = f"http://127.0.0.1:{model.getsockname()[1]}"
            arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None)
            return around(production=arm, **settings)[1:]

        yield make


@contextlib.contextmanager
def answered(gateway, head):
    """A client that has sent a head and has its answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(head)
        got = b""
        while b"\r\n\r\n" not in got:
            got += client.recv(1 << 16)
        yield client, got


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (LENGTH, [BODY]),
        (LENGTH, [BODY[:7], BODY[7:]]),
        (CHUNKED, [b"14\r\n", BODY, b"\r\n0\r\n\r\n"]),
        (CHUNKED, [b"14\r\n" + BODY + b"\r\n0\r\nX-Trailer: 1\r\n\r\n" + LENGTH + BODY]),
    ],
    ids=["a length", "pieces", "chunks", "and another request behind it"],
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_pair_is_kept_when_the_rest_comes_after_the_answer(early, mode, head, rest):
    gateway, receiver = early(mode=mode)
    with answered(gateway, head) as (client, got):
        assert got.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close\r\n" in got
        for piece in rest:
            client.sendall(piece)
    sums = gateway.settled()
    assert (sums.seen, sums.handed_over, sums.states) == (1, 1, {})
    requests = [frame.request for frame in receiver.of(frames.Call if mode == "sync" else frames.Exchange)]
    assert [request.body for request in requests] == [BODY]
    kind = frames.Settled if mode == "sync" else frames.Exchange
    assert [(f.answer.outcome, f.answer.status, f.answer.body) for f in receiver.of(kind)] == [("4xx", 401, b"no")]


def test_a_production_that_dies_before_the_request_is_whole_is_a_failed_arm(early):
    gateway, receiver = early(b"")
    with answered(gateway, LENGTH) as (client, got):
        assert got.startswith(b"HTTP/1.1 502 ")
        client.sendall(BODY)
    assert gateway.settled().handed_over == 1
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["reset"]


@pytest.mark.parametrize("rest", [b"", BODY[:5]], ids=["nothing", "a part"])
def test_a_request_that_never_becomes_whole_is_guarded(early, rest):
    gateway, _ = early()
    with answered(gateway, LENGTH) as (client, _):
        client.sendall(rest)
    assert gateway.settled().states == {"guarded:answered_early": 1}
    wait_for(lambda: gateway.control({"status": True})["held_bytes"] == 0)


def test_a_client_that_stays_and_says_nothing_is_left_after_a_moment(early):
    gateway, _ = early()
    with answered(gateway, LENGTH):
        assert gateway.settled().states == {"guarded:answered_early": 1}


def test_a_rest_that_is_not_valid_is_guarded_and_the_answer_stands(early):
    gateway, _ = early()
    with answered(gateway, CHUNKED) as (client, got):
        client.sendall(b"not a size\r\n")
        assert b"401" in got
        assert gateway.settled().states == {"guarded:invalid_body": 1}
    with answered(gateway, LENGTH) as (client, _):  # and the next client is served
        client.sendall(BODY)
    assert gateway.settled().handed_over == 1


def test_counters_of_a_version_that_knew_fewer_states_are_read(tmp_path, around):
    _, gateway, _ = around()
    gateway.talk(HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
    gateway.settled()
    gateway.stop()
    (path,) = tmp_path.glob("*.bin")
    (now,) = counters.read_all(tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    assert counters.read_all(tmp_path) == [now]
