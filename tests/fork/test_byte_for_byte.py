"""Byte for byte, for any body, framing and split: the property behind the first promise."""

import random
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.records import frames
from tests.fork.test_answers import body_of


def pieces(data, chance, count):
    """The same bytes in `count` random pieces."""
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(count - 1))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def chunked(data, chance):
    """A body in chunks of random sizes."""
    out, at = [], 0
    while at < len(data):
        size = min(len(data) - at, chance.choice([1, 7, 1000, 65536, 1 << 20]))
        out.append(b"%x\r\n%b\r\n" % (size, data[at : at + size]))
        at += size
    return b"".join([*out, b"0\r\n\r\n"])


def test_bodies_of_any_size_pass_unchanged_both_ways(around):
    answers = {}

    def script(head, body):
        name = head.split(b"X-Case: ")[1].split(b"\r\n")[0]
        return answers[name]

    backend, gateway, receiver = around(script, body_cap=8 << 20, capture_budget=64 << 20)
    kept = {}
    count = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        sizes=st.tuples(
            *[st.sampled_from([0, 1, 2, 1023, 65_536, 65_537, 300_000, 5_000_000]) | st.integers(0, 20_000)] * 2
        ),
        framings=st.tuples(st.booleans(), st.booleans()),
        keep_alive=st.booleans(),
        count_of_pieces=st.integers(1, 12),
        seed=st.integers(0, 2**32),
    )
    def case(sizes, framings, keep_alive, count_of_pieces, seed):
        nonlocal count
        count += 1
        name = b"%d" % count
        chance = random.Random(seed)
        asked, told = (chance.randbytes(size) for size in sizes)
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Case: " + name + b"\r\n"
        if not keep_alive:
            head += b"Connection: close\r\n"
        if framings[0]:
            request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(asked, chance)
        else:
            request = head + b"Content-Length: %d\r\n\r\n" % len(asked) + asked
        said = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Odd:  a \r\n"
        if framings[1]:
            said += b"Transfer-Encoding: chunked\r\n\r\n" + chunked(told, chance)
        else:
            said += b"Content-Length: %d\r\n\r\n" % len(told) + told
        answers[name] = pieces(said, chance, count_of_pieces)

        client = kept.pop("client", None) or socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
        for piece in pieces(request, chance, count_of_pieces):
            client.sendall(piece)
        got = b""
        while not whole(got):
            data = client.recv(1 << 20)
            assert data, "closed before the end"
            got += data
        if keep_alive:
            kept["client"] = client
        else:
            assert client.recv(1) == b""
            client.close()

        assert body_of(got) == (200, told)
        assert b"Content-Type: application/octet-stream\r\n" in got
        assert backend.requests[-1][1] == asked

    case()
    gateway.settled()
    # a copy whose call found the link full of larger ones goes whole, later
    handed = [f.id for f in receiver.of(frames.Settled)] + [f.request.id for f in receiver.of(frames.Exchange)]
    assert len(handed) == len(set(handed)) == count
    called = {call.request.id for call in receiver.of(frames.Call)}
    assert {settled.id for settled in receiver.of(frames.Settled)} <= called <= set(handed)


def whole(got):
    """Whether these bytes are a complete answer."""
    head, end, body = got.partition(b"\r\n\r\n")
    if not end:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return len(body) >= length
