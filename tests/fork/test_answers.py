"""The user's bytes are production's bytes, however they are framed; a broken answer is never made to look whole."""

import socket
import time

import pytest

from gnomon.records import frames
from gnomon.records.process import Upstream
from tests.fork.harness import wait_for

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

ANSWERS = {
    "a length": ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"], 200, b"hello", "ok"),
    "chunks": (
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
        200,
        b"hello",
        "ok",
    ),
    "until close": ([b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo", None], 200, b"hello", "ok"),
    "nothing": ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b"", "ok"),
    "not modified": ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"], 304, b"", "ok"),
    "early hints first": (
        [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
        200,
        b"hello",
        "ok",
    ),
    "its own error": ([b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello"], 500, b"hello", "5xx"),
    "its own refusal": ([b"HTTP/1.1 422 No\r\nContent-Length: 5\r\n\r\nhello"], 422, b"hello", "4xx"),
}


def body_of(answer):
    """Status and body of the last answer in these bytes, by its own framing."""
    while answer.startswith(b"HTTP/1.1 1"):
        answer = answer.split(b"\r\n\r\n", 1)[1]
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        whole = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            if size == b"0":
                break
            whole += body[: int(size, 16)]
            body = body[int(size, 16) + 2 :]
        body = whole
    return int(head.split(b" ")[1]), body


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_passes_whole_and_is_copied(around, name):
    said, status, body, outcome = ANSWERS[name]
    _, gateway, receiver = around(lambda head, _: said)

    assert body_of(gateway.talk(POST)) == (status, body)

    gateway.settled()
    copied = next(f.answer for f in receiver.frames if isinstance(f, frames.Settled | frames.Exchange))
    assert (copied.status, copied.body, copied.outcome) == (status, body, outcome)


BROKEN = {
    "closed before any byte": [None],
    "reset": ["reset"],
    "garbage": [b"hello\r\n\r\n"],
    "a status of 999": [b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"],
    "version 2.0": [b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    "gzip as transfer coding": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx", None],
    "length and chunked": [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "a switch nobody asked for": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"],
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_cannot_be_passed_on_is_a_502_and_a_failed_arm(around, name):
    _, gateway, receiver = around(lambda head, _: BROKEN[name])

    got = gateway.talk(POST)

    assert got.startswith(b"HTTP/1.1 502 "), got
    assert gateway.settled().handed_over == 1
    copied = next(f.answer for f in receiver.frames if isinstance(f, frames.Settled | frames.Exchange))
    assert copied.outcome == "reset"


@pytest.mark.parametrize(
    "said",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", None],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", None],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\n"],
    ],
)
def test_a_truncated_answer_ends_without_its_end(around, said):
    _, gateway, _ = around(lambda head, _: said)
    got = gateway.talk(POST)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert not got.endswith(b"0\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"Content-Length: 10" in head or body == b"4\r\nhalf\r\n"


def test_bytes_after_an_answer_never_become_the_next_answer(around):
    said = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"]
    backend, gateway, _ = around(lambda head, _: said)
    request = POST.replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for _ in range(3):
            client.sendall(request)
            time.sleep(0.05)
            assert client.recv(1 << 16).endswith(b"\r\n\r\nok")
    assert backend.connections == 3  # none was used again


def test_a_head_request_gets_the_head_alone(around):
    _, gateway, _ = around(lambda head, _: b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for _ in range(2):
            client.sendall(b"HEAD /predict HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.1)
            got = client.recv(1 << 16)
            assert b"Content-Length: 500" in got
            assert got.endswith(b"\r\n\r\n")


def test_events_reach_the_client_one_by_one(around):
    events = [b"b\r\ndata: one\n\n\r\n", 0.4, b"b\r\ndata: two\n\n\r\n", 0.4, b"0\r\n\r\n"]
    said = [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", *events]
    _, gateway, _ = around(lambda head, _: said)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(POST)
        got = b""
        while b"one" not in got:
            got += client.recv(1 << 16)
        assert b"two" not in got  # the first is here before the second was said
        while data := client.recv(1 << 16):
            got += data
    assert b"two" in got


def test_a_production_that_does_not_listen_is_a_502_and_its_observation(around):
    backend, gateway, receiver = around()
    backend.close()
    assert gateway.talk(POST).startswith(b"HTTP/1.1 502 ")
    wait_for(lambda: receiver.of(frames.Settled) or receiver.of(frames.Exchange))
    copied = next(f.answer for f in receiver.frames if isinstance(f, frames.Settled | frames.Exchange))
    assert (copied.outcome, copied.status) == ("refused", 0)


def test_a_time_limit_that_was_set_is_a_504(around):
    backend, gateway, receiver = around(lambda head, _: [3.0, b""])
    gateway.stop()
    arm = Upstream(url=f"http://127.0.0.1:{backend.port}", version="1", timeout_us=150_000, authorization_env=None)
    gateway.settings = {"production": arm}
    gateway.start()
    assert gateway.talk(POST).startswith(b"HTTP/1.1 504 ")
    gateway.settled()
    assert receiver.frames[-1].answer.outcome == "timeout"


@pytest.mark.parametrize(
    ("where", "coding", "state"), [("request", "br", True), ("answer", "br", True), ("answer", "gzip", False)]
)
def test_a_coding_nobody_here_reads_is_guarded(around, where, coding, state):
    line = f"Content-Encoding: {coding}\r\n".encode()
    said = b"HTTP/1.1 200 OK\r\n" + (line if where == "answer" else b"") + b"Content-Length: 2\r\n\r\nok"
    _, gateway, _ = around(lambda head, _: said)
    request = POST.replace(b"Connection", line + b"Connection") if where == "request" else POST
    assert gateway.talk(request).endswith(b"ok")
    assert gateway.settled().states == ({"guarded:unreadable_coding": 1} if state else {})


@pytest.mark.parametrize("large", ["request", "answer"])
def test_a_body_over_the_cap_passes_and_its_copy_is_guarded(around, large):
    size = 300_000
    body = b"x" * size
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body
    backend, gateway, _ = around(
        lambda head, _: said if large == "answer" else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        body_cap=200_000,
    )
    if large == "request":
        got = gateway.talk(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size + body
        )
        assert got.endswith(b"ok")
        assert backend.requests[0][1] == body
    else:
        assert gateway.talk(POST).endswith(body)
    assert gateway.settled().states == {"guarded:too_large": 1}
