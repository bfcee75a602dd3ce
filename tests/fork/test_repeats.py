"""A reused connection closed before a byte of its answer: asked once more where that does no harm, and only there."""

import socket

import pytest

from gnomon.records import frames
from tests.fork.conftest import OK

ROUTE = (("POST", "/predict"),)


def closes(*which, say=None):
    """A model that closes the connection instead of answering these requests, counted from 1."""
    count = iter(range(1, 1000))
    return lambda head, body: say if next(count) in which else OK


def on_one_connection(gateway, *requests):
    """The statuses of requests sent one after another on one connection; 0 where it was closed."""
    found = []
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for request in requests:
            client.sendall(request)
            answer = client.recv(1 << 16)
            found.append(int(answer.split(b" ", 2)[1]) if answer else 0)
    return found


def post(body=b"{}"):
    return b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


CHUNKS = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
GET = b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("request_", [post(), CHUNKS, post(b"x" * 500_000)], ids=["length", "chunks", "large"])
def test_a_repeatable_route_is_asked_once_more_with_the_whole_body(around, request_):
    backend, gateway, receiver = around(closes(2), repeatable=ROUTE)
    assert on_one_connection(gateway, post(), request_) == [200, 200]
    assert gateway.settled().handed_over == 2
    bodies = [body for _, body in backend.requests]
    assert len(bodies) == 3
    assert bodies[1] == bodies[2]
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["ok", "ok"]
    ids = [line for head, _ in backend.requests for line in head.split(b"\r\n") if line.startswith(b"x-gnomon-id")]
    assert ids[1] == ids[2] != ids[0]  # the same exchange


def test_a_route_that_was_not_declared_is_never_asked_again(around):
    backend, gateway, receiver = around(closes(2))
    assert on_one_connection(gateway, post(), post()) == [200, 502]
    assert len(backend.requests) == 2
    gateway.settled()
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["ok", "reset"]


def test_it_is_asked_once_more_and_not_again(around):
    backend, gateway, _ = around(closes(2, 3), repeatable=ROUTE)
    assert on_one_connection(gateway, post(), post()) == [200, 502]
    assert len(backend.requests) == 3


def test_a_new_connection_that_closes_is_the_models_doing(around):
    backend, gateway, _ = around(closes(1), repeatable=ROUTE)
    assert on_one_connection(gateway, post()) == [502]
    assert len(backend.requests) == 1


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_after_a_byte_of_an_answer_it_is_not_asked_again(around, begun):
    backend, gateway, _ = around(closes(2, say=[begun, None]), repeatable=ROUTE)
    statuses = on_one_connection(gateway, post(), post())
    assert statuses[0] == 200
    assert statuses[1] in {100, 502}
    assert len(backend.requests) == 2


def test_a_safe_request_without_a_body_is_asked_again_on_any_route(around):
    backend, gateway, _ = around(closes(2))
    assert on_one_connection(gateway, GET, GET) == [200, 200]
    assert len(backend.requests) == 3


def test_a_safe_method_with_a_body_is_not_asked_again(around):
    backend, gateway, _ = around(closes(2))
    assert on_one_connection(gateway, GET, post().replace(b"POST", b"GET")) == [200, 502]
    assert len(backend.requests) == 2


def test_a_body_too_large_to_be_kept_is_not_asked_again(around):
    backend, gateway, _ = around(closes(2), repeatable=ROUTE)
    assert on_one_connection(gateway, post(), post(b"x" * 1_100_000)) == [200, 502]
    assert len(backend.requests) == 2


def test_the_answer_to_head_leaves_its_connection_fit_for_the_next_request(around):
    def script(head, body):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if head.startswith(b"HEAD") else b"ok")

    backend, gateway, _ = around(script)
    head = GET.replace(b"GET", b"HEAD")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for request, body in ((head, b""), (post(), b"ok"), (head, b""), (head, b""), (post(), b"ok")):
            client.sendall(request)
            answer = client.recv(1 << 16)
            assert answer.partition(b"\r\n\r\n")[2] == body
    assert backend.connections == 1


def test_a_body_after_the_answer_to_head_never_becomes_another_answer(around):
    backend, gateway, _ = around(lambda head, _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    statuses = on_one_connection(gateway, GET.replace(b"GET", b"HEAD"), post(), post())
    assert statuses == [200, 200, 200]
    assert backend.connections == 2
