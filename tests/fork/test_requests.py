"""Requests on their way to the model: what the conformance table, which has one of each kind, does not tell."""

import socket
import threading
import time

import pytest

from gnomon.records import frames
from gnomon.records.process import Upstream
from tests.fork.conftest import OK
from tests.fork.harness import Backend, wait_for

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
END = b"Connection: close\r\n"


def test_hop_by_hop_headers_stay_on_their_hop(around):
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=9\r\n"
        b"X-Kept: 2\r\nx-gnomon-id: forged\r\nContent-Length: 2\r\n\r\nok"
    )
    backend, gateway, _ = around(lambda head, body: answer)
    got = gateway.talk(
        b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\nX-Stays: 2\r\n"
        b"X-Gnomon-Shadow: 1\r\nX-Forwarded-For: 10.1.1.1\r\nX-Request-Id: abc\r\nContent-Length: 0\r\n\r\n"
    )
    head = backend.requests[0][0]
    for absent in (b"X-Mine", b"TE:", b"Gnomon-Shadow"):
        assert absent not in head, head
    for present in (
        b"X-Stays: 2",
        b"X-Forwarded-For: 10.1.1.1, 127.0.0.1",
        b"X-Forwarded-Host: x",
        b"X-Request-Id: abc",
    ):
        assert present in head, head
    for absent in (b"X-Secret", b"Keep-Alive: timeout", b"forged"):
        assert absent not in got, got
    assert b"X-Kept: 2" in got
    assert got.count(b"x-gnomon-id: ") == 1


def test_pipelined_requests_are_answered_in_their_order(around):
    def script(head, body):
        said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return [0.15 if body == b"0" else 0.0, said]

    _, gateway, _ = around(script)
    requests = [POST + b"Content-Length: 1\r\n\r\n%d" % n for n in range(8)]
    got = gateway.talk(b"".join(requests), POST + END + b"Content-Length: 1\r\n\r\n8")
    assert [part[:1] for part in got.split(b"\r\n\r\n")[1:]] == [b"%d" % n for n in range(9)]
    assert gateway.settled().handed_over == 9


def test_too_many_pipelined_requests_are_refused_and_the_first_ones_answered(around):
    _, gateway, _ = around(lambda head, body: [0.01, OK])
    got = gateway.talk(b"".join(POST + b"Content-Length: 0\r\n\r\n" for _ in range(100)))
    assert got.count(b"HTTP/1.1 200") == 64
    assert got.count(b"HTTP/1.1 503") == 1
    assert gateway.settled().states == {"refused:overloaded": 1}


def test_an_invalid_body_is_answered_400_and_its_copy_is_guarded(around):
    backend, gateway, _ = around()
    got = gateway.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nXX\r\n")
    assert got.startswith(b"HTTP/1.1 400 ")
    assert backend.requests == []
    assert gateway.settled().states == {"guarded:invalid_body": 1}


def test_a_client_that_leaves_closes_the_models_call(around):
    _, gateway, _ = around(lambda head, body: [5.0, OK])
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(POST + b"Content-Length: 0\r\n\r\n")
        time.sleep(0.2)
    assert gateway.settled().states == {"cancelled": 1}


def test_expect_100_continue_is_the_models_to_answer(around):
    _, gateway, _ = around(lambda head, body: [OK])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(POST + END + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        time.sleep(0.1)
        client.sendall(b"abc")
        assert client.makefile("rb").read().endswith(b"ok")


def test_requests_that_are_not_on_a_route_pass_and_are_counted(around):
    _, gateway, receiver = around()
    gateway.talk(b"GET /predict HTTP/1.1\r\nHost: x\r\n" + END + b"\r\n")
    gateway.talk(b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + END + b"\r\n")
    sums = gateway.settled()
    assert sums.states == {"passed": 2}
    wait_for(lambda: receiver.of(frames.Hello))
    assert len(receiver.frames) == 1


def test_a_websocket_is_passed_through_and_not_shadowed(around):
    def script(head, body):
        assert b"Upgrade: websocket" in head
        return [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"from the model",
            0.3,
            None,
        ]

    _, gateway, _ = around(script, routes=(("GET", "/ws"),))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        got = client.makefile("rb").read()
    assert got.startswith(b"HTTP/1.1 101 ")
    assert got.endswith(b"from the model")
    assert gateway.settled().states == {"guarded:upgrade": 1}


def test_what_proxies_before_us_said_of_the_client_is_kept(around):
    backend, gateway, _ = around()
    gateway.talk(
        POST + END + b"X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 10.1.1.2\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: shop\r\nContent-Length: 0\r\n\r\n"
    )
    head = backend.requests[0][0]
    assert b"X-Forwarded-For: 10.1.1.1, 10.1.1.2, 127.0.0.1\r\n" in head
    assert b"X-Forwarded-Proto: https\r\n" in head
    assert b"X-Forwarded-Host: shop\r\n" in head


def test_a_length_cannot_be_declared_to_be_for_one_hop(around):
    backend, gateway, _ = around()
    got = gateway.talk(POST + b"Connection: close, Content-Length, Host\r\nContent-Length: 3\r\n\r\nabc")
    assert got.endswith(b"ok")
    assert backend.requests[0][1] == b"abc"


def test_credentials_reach_the_model_and_no_copy(around):
    backend, gateway, receiver = around(capture_headers=("content-type", "x-kept"))
    gateway.talk(POST + END + b"Authorization: Bearer s\r\nCookie: a=b\r\nX-KEPT: 1\r\nContent-Length: 0\r\n\r\n")
    gateway.settled()
    assert b"Authorization: Bearer s\r\n" in backend.requests[0][0]
    assert [call.request.headers for call in receiver.of(frames.Call)] == [(("x-kept", "1"),)]


def test_the_credentials_of_an_arm_stand_in_for_the_users(around, monkeypatch):
    monkeypatch.setenv("MODEL_TOKEN", "Bearer ours")
    backend = Backend(lambda head, body: OK)
    arm = Upstream(
        url=f"http://127.0.0.1:{backend.port}", version="1", timeout_us=None, authorization_env="MODEL_TOKEN"
    )
    _, gateway, _ = around(production=arm)
    gateway.talk(POST + END + b"Authorization: Bearer theirs\r\nContent-Length: 0\r\n\r\n")
    head = backend.requests[0][0]
    assert b"Bearer ours" in head
    assert b"theirs" not in head
    backend.close()


def test_trailers_pass_except_those_that_would_pose_as_headers_of_ours(around):
    said = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 7\r\nx-gnomon-id: forged\r\n\r\n"
    )
    seen = []

    def serve(listener):
        connection, _ = listener.accept()
        got = b""
        while b"X-Mine" not in got or not got.endswith(b"\r\n\r\n"):
            got += connection.recv(1 << 16)
        seen.append(got)
        connection.sendall(said)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _, gateway, _ = around(production=Upstream(url=url, version="1", timeout_us=None, authorization_env=None))
        got = gateway.talk(
            POST
            + END
            + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: evil\r\nX-Gnomon-Shadow: 1\r\nX-Mine: 1\r\n\r\n"
        )
        thread.join()
    assert seen[0].endswith(b"0\r\nX-Mine: 1\r\n\r\n")
    assert b"evil" not in seen[0]
    assert got.endswith(b"0\r\nX-Sum: 7\r\n\r\n")
    assert b"\r\nTrailer: X-Sum\r\n" in got


@pytest.mark.parametrize("endless", [b"1;" + b"x" * 200_000, b"0\r\nX-A: " + b"x" * 200_000])
def test_an_endless_extension_or_trailer_is_not_collected(around, endless):
    backend, gateway, _ = around()
    got = gateway.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n", endless)
    assert got.startswith(b"HTTP/1.1 431 ")
    assert backend.requests == []
    assert gateway.settled().states == {"guarded:invalid_body": 1}


WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


def test_what_follows_a_websockets_head_waits_for_the_models_agreement(around):
    """Else a refused handshake would be a way to slip a request past the fork."""
    backend, gateway, _ = around(lambda head, body: [0.2, OK])
    got = gateway.talk(WEBSOCKET + b"\r\nPOST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert got.count(b"HTTP/1.1 ") == 1
    assert got.endswith(b"ok")
    assert [head.split(b" ")[1] for head, _ in backend.requests] == [b"/ws"]


def test_a_handshake_with_a_body_is_an_ordinary_request(around):
    backend, gateway, _ = around()
    got = gateway.talk(WEBSOCKET + b"Content-Length: 3\r\n\r\nabc" + POST + END + b"Content-Length: 1\r\n\r\nz")
    assert got.count(b"HTTP/1.1 200") == 2
    assert [body for _, body in backend.requests] == [b"abc", b"z"]
    assert b"Upgrade" not in backend.requests[0][0]


def test_a_websocket_carries_bytes_both_ways_in_order(around):
    def serve(listener):
        connection, _ = listener.accept()
        while b"\r\n\r\n" not in connection.recv(1 << 16):
            pass
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := connection.recv(1 << 16):
            connection.sendall(data)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,)).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arm = Upstream(url=url, version="1", timeout_us=150_000, authorization_env=None)
        _, gateway, _ = around(production=arm, routes=())
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
            client.sendall(WEBSOCKET + b"\r\nearly ")
            time.sleep(0.3)  # longer than the time limit, which is for answers
            client.sendall(b"late")
            got = b""
            while not got.endswith(b"early late"):
                got += client.recv(1 << 16)
    assert got.startswith(b"HTTP/1.1 101 ")
    wait_for(lambda: gateway.control({"status": True})["connections"] == 0)


def test_a_client_that_stops_sending_in_the_middle_leaves_nothing_behind(around):
    backend, gateway, receiver = around()
    for cut in (b"", b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nab"):
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(POST + cut)
            time.sleep(0.05)
    wait_for(lambda: gateway.control({"status": True})["connections"] == 0)
    assert gateway.settled().states == {"cancelled": 2}
    assert gateway.control({"status": True})["held_bytes"] == 0
    assert backend.requests == []
    assert not receiver.of(frames.Call)
