"""What takes too long or is too large is ended where a limit says so, and nowhere else."""

import socket
import time

import pytest

from gnomon.records import frames
from tests.fork.conftest import OK
from tests.fork.harness import wait_for

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def status(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("begun", [b"POST", HEAD, HEAD + b"Content-Le", b"\r\nPOST"])
def test_a_head_that_does_not_come_is_a_408(around, begun):
    backend, gateway, _ = around(head_us=300_000)
    got = gateway.talk(begun)
    assert status(got) == 408
    assert b'"detail": "the request\'s head was not complete within 0.3 s"' in got
    assert (gateway.counters().seen, gateway.counters().invalid_head, backend.requests) == (0, 1, [])


def test_a_late_head_behind_a_good_request_does_not_take_its_answer(around):
    _, gateway, _ = around(head_us=300_000)
    first, _, second = gateway.talk(HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD).partition(b"\r\n\r\nok")
    assert (status(first), status(second)) == (200, 408)
    assert gateway.settled().handed_over == 1


def test_a_client_that_asks_nothing_may_stay(around):
    _, gateway, _ = around(head_us=100_000, body_pause_us=100_000)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for _ in range(2):
            time.sleep(1.2)  # longer than two sweeps
            client.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
            assert client.recv(1 << 16).endswith(b"ok")
            client.sendall(b"\r\n")  # as some do after a body


@pytest.mark.parametrize("sent", [HEAD + b"Content-Length: 9\r\n\r\nabc", CHUNKED + b"3\r\nabc\r\n", CHUNKED])
def test_a_body_that_stops_is_a_408_where_a_limit_was_set(around, sent):
    _, gateway, _ = around(body_pause_us=300_000)
    assert status(gateway.talk(sent)) == 408
    assert gateway.settled().states == {"guarded:invalid_body": 1}


def test_a_body_that_comes_slowly_but_steadily_is_not_ended(around):
    _, gateway, _ = around(body_pause_us=1_000_000, head_us=1_000_000)
    pieces = [CHUNKED, *[b"1\r\nx\r\n"] * 12, b"0\r\n\r\n" + HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n"]
    assert gateway.talk(*pieces, pause=0.2).count(b"\r\n\r\nok") == 2


def test_without_a_limit_a_body_may_stop_for_as_long_as_it_likes(around):
    _, gateway, _ = around(head_us=100_000)
    pieces = [HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{", b"}"]
    assert gateway.talk(*pieces, pause=1.5).endswith(b"\r\n\r\nok")


def test_a_body_announced_over_the_limit_is_a_413_and_no_model_sees_it(around):
    backend, gateway, _ = around(body_limit=10)
    got = gateway.talk(HEAD + b"Expect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    assert status(got) == 413
    assert b"the body has more than 10 bytes" in got
    assert (gateway.settled().states, backend.requests) == ({"refused:too_large": 1}, [])


def test_a_body_that_grows_over_the_limit_is_a_413(around):
    backend, gateway, _ = around(body_limit=10)
    got = gateway.talk(CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
    assert status(got) == 413
    assert (gateway.settled().states, backend.requests) == ({"guarded:invalid_body": 1}, [])


def test_a_body_as_large_as_the_limit_passes(around):
    backend, gateway, _ = around(body_limit=12)
    for request in (
        CHUNKED + b"6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 12\r\n\r\nabcdefghijkl",
    ):
        close = HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
        assert gateway.talk(request + close).count(b"\r\n\r\nok") == 2
    assert [body for _, body in backend.requests] == [b"abcdefghijkl", b""] * 2


def test_a_model_that_says_nothing_is_a_504_where_a_limit_was_set(around):
    _, gateway, receiver = around(lambda head, _: [5.0, OK], first_byte_us=200_000)
    got = gateway.talk(HEAD + b"Content-Length: 2\r\n\r\n{}")
    assert status(got) == 504
    assert b"no byte of an answer" in got
    gateway.settled()
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["timeout"]


def test_a_model_that_began_to_answer_in_time_may_take_its_time(around):
    said = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", 0.6, b"cd"]
    _, gateway, _ = around(lambda head, _: said, first_byte_us=300_000)
    assert gateway.talk(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}").endswith(b"\r\n\r\nabcd")


def test_an_upload_that_takes_its_time_does_not_count_against_the_model(around):
    _, gateway, _ = around(first_byte_us=300_000)
    pieces = [HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{", b"}"]
    assert gateway.talk(*pieces, pause=0.6).endswith(b"\r\n\r\nok")


@pytest.mark.interpreted
def test_a_client_held_back_by_us_is_not_late(around):
    """While the model does not read, we do not read the client: its silence is ours."""
    size = 64 << 20
    _, gateway, _ = around(lambda head, body: OK, body_pause_us=200_000, head_us=200_000, patch=SLOW_MODEL)
    body = b"x" * size
    got = gateway.talk(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size, body, seconds=30)
    assert got.endswith(b"\r\n\r\nok")
    wait_for(lambda: gateway.settled().states == {"guarded:too_large": 1})


SLOW_MODEL = """
import gnomon.fork.upstream as m
import asyncio
right = m.Connection.write
def stuck(self, data):
    right(self, data)
    if not getattr(m, "once", False):
        m.once = True
        self.pause_writing()
        asyncio.get_running_loop().call_later(1.5, self.resume_writing)
m.Connection.write = stuck
"""
