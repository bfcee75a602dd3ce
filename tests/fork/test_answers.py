"""The user's bytes are production's bytes, however they are framed; a broken answer is never made to look whole."""

import socket
import threading
import time
from pathlib import Path

import pytest

from gnomon.records import frames
from gnomon.records.process import Upstream
from tests.fork.harness import wait_for

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


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


STAYS = POST.replace(b"Connection: close\r\n", b"")


def exchange_on(client, request=STAYS):
    """One request and its answer on a connection that stays."""
    client.sendall(request)
    got = b""
    while not ended(got):
        data = client.recv(1 << 16)
        assert data, got
        got += data
    return got


def ended(got):
    head, end, body = got.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return bool(end) and len(body) >= int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])


def test_an_answer_that_ends_with_its_connection_ends_with_a_chunk_for_a_client_that_stays(around):
    _, gateway, _ = around(lambda head, _: [b"HTTP/1.1 200 OK\r\n\r\nhel", 0.05, b"lo", None])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for _ in range(2):
            assert body_of(exchange_on(client)) == (200, b"hello")


@pytest.mark.parametrize(
    "said",
    [
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 0.1, None],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 0.1, b"ZZ\r\n"],
    ],
)
def test_an_old_client_whose_answer_only_ends_with_the_connection_gets_a_reset_when_it_is_cut(around, said):
    _, gateway, _ = around(lambda head, _: said)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(b"POST /predict HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.makefile("rb").read()


def test_an_old_client_gets_no_chunks_and_no_answer_before_the_answer(around):
    said = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n"
    )
    _, gateway, _ = around(lambda head, _: said)
    got = gateway.talk(b"POST /predict HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\nhi")
    assert b"Transfer-Encoding" not in got


def test_an_old_client_may_stay_when_the_answer_has_a_length(around):
    backend, gateway, _ = around(lambda head, _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        request = b"POST /predict HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
        for _ in range(2):
            assert b"Connection: keep-alive\r\n" in exchange_on(client, request)
    assert backend.connections == 1


def test_an_answer_that_comes_before_the_request_is_whole_reaches_a_client_that_still_sends(around):
    """A model that refuses a large body does so at once; its words must not drown in a reset."""

    def serve(listener):
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        time.sleep(0.5)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,)).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _, gateway, _ = around(production=Upstream(url=url, version="1", timeout_us=None, authorization_env=None))
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 500_000)
            time.sleep(0.3)
            client.sendall(b"x" * 500_000)
            got = b""
            while data := client.recv(1 << 16):
                got += data
    assert got.startswith(b"HTTP/1.1 413 ")
    assert got.endswith(b"\r\n\r\nbig")


def test_a_connection_that_the_model_closed_while_it_was_idle_is_not_used_again(around):
    backend, gateway, _ = around(lambda head, _: [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0.05, None])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for pause in (0.1, 0.08, 0.06, 0.2, 0.1):
            assert exchange_on(client).endswith(b"ok")
            time.sleep(pause)
    assert backend.connections == 5


def test_the_models_own_idle_limit_is_kept(around):
    said = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=5\r\nContent-Length: 2\r\n\r\nok"
    backend, gateway, _ = around(lambda head, _: said)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        exchange_on(client)
        exchange_on(client)
        assert backend.connections == 1
        time.sleep(0.7)
        exchange_on(client)
    assert backend.connections == 2


def test_idle_connections_are_closed_after_the_limit(around):
    _, gateway, _ = around(idle_us=300_000)
    gateway.talk(POST)
    assert gateway.control({"status": True})["idle_upstream"]["production"] == 1
    wait_for(lambda: gateway.control({"status": True})["idle_upstream"]["production"] == 0, 3)


def test_a_client_that_does_not_read_costs_no_memory(around):
    size = 96 << 20
    chunk = b"x" * (1 << 20)
    said = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *([chunk] * 96)]
    _, gateway, _ = around(lambda head, _: said)
    before = resident_mib(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(POST)
        time.sleep(0.5)
        highest = resident_mib(gateway)
        got = 0
        while data := client.recv(1 << 20):
            got += len(data)
            if got % 17 == 0:
                highest = max(highest, resident_mib(gateway))
    assert got > size
    assert highest - before < 10


def test_a_model_that_does_not_read_costs_no_memory(around):
    def serve(listener):
        connection, _ = listener.accept()
        time.sleep(0.7)
        left = 96 << 20
        left -= len(connection.recv(1 << 16).partition(b"\r\n\r\n")[2])
        while left > 0:
            left -= len(connection.recv(1 << 20))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,)).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _, gateway, _ = around(production=Upstream(url=url, version="1", timeout_us=None, authorization_env=None))
        before = highest = resident_mib(gateway)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (96 << 20)
            )
            for _ in range(96):
                client.sendall(b"x" * (1 << 20))
                highest = max(highest, resident_mib(gateway))
            got = client.makefile("rb").read()
    assert got.endswith(b"ok")
    assert highest - before < 10


def resident_mib(gateway):
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
