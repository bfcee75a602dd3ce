"""Framing as properties: however the same bytes are split, the same messages come out, and only well-framed ones.

The gateway's protocols run in this process on transports that only note what is written; what they write is read by
h11, which knows nothing of llhttp.
"""

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.fork.client import Client
from gnomon.fork.gateway import Gateway
from gnomon.fork.upstream import Connection
from gnomon.records.process import Epoch, GatewayConfig, Upstream


class Message(NamedTuple):
    """A request or an answer as its reader understands it."""

    start: tuple
    fields: tuple
    body: bytes
    trailers: tuple = ()


class Wire:
    """A transport that notes what is written."""

    def __init__(self):
        self.written = b""
        self.ended = False
        self._socket, self._other = socket.socketpair()

    def write(self, data):
        self.written += data

    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", 1), "socket": self._socket}.get(name, default)

    def set_write_buffer_limits(self, *_):
        pass

    def is_closing(self):
        return self.ended

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def close(self):
        self.ended = True

    abort = close

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def free(self):
        self._socket.close()
        self._other.close()


NAMES = st.sampled_from(["X-A", "x-b", "Accept", "X-Request-Id", "cookie"])
VALUES = st.text('abc XYZ;=,"/-\t', max_size=12).map(str.strip)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
BODIES = st.binary(max_size=60)
CHUNKS = st.lists(st.binary(min_size=1, max_size=20), max_size=4)
TRAILERS = st.lists(st.tuples(st.sampled_from(["X-T", "X-U"]), VALUES), max_size=2)
EXTENSIONS = st.sampled_from(["", ";a", ";a=b", ';a="b c"'])


def head(start, fields):
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in fields), "", ""]).encode()


@st.composite
def chunked(draw):
    """A chunked body: its bytes on the wire, what it says, and its trailers."""
    parts, trailers = draw(CHUNKS), draw(TRAILERS)
    wire = b"".join(b"%x%b\r\n%b\r\n" % (len(part), draw(EXTENSIONS).encode(), part) for part in parts)
    return wire + b"0\r\n" + head("", trailers).removeprefix(b"\r\n"), b"".join(parts), tuple(trailers)


def seen(fields):
    return tuple((name.lower(), value) for name, value in fields)


@st.composite
def requests(draw):
    """Bytes of a few requests on one connection, and what they say."""
    wire, messages = b"", []
    for _ in range(draw(st.integers(1, 4))):
        target = draw(st.sampled_from(["/predict", "/a?b=c", "/", "/%7e/x;y"]))
        fields = draw(FIELDS)
        kind = draw(st.sampled_from(["none", "length", "chunked"]))
        method = draw(st.sampled_from(["GET", "POST", "PUT"]))
        start = f"{method} {target} HTTP/1.1"
        body, trailers = b"", ()
        if kind == "none":
            wire += head(start, [("Host", "x"), *fields])
        elif kind == "length":
            body = draw(BODIES)
            wire += head(start, [*fields, ("Content-Length", len(body)), ("Host", "x")]) + body
        else:
            coded, body, trailers = draw(chunked())
            wire += head(start, [("Host", "x"), ("Transfer-Encoding", "chunked"), *fields]) + coded
        messages.append(Message((method, target), seen(fields), body, seen(trailers)))
    return wire, messages


INTERIM = [
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n",
]


@st.composite
def answers(draw):
    """Bytes of one answer with perhaps others before it, and what it says."""
    status = draw(st.sampled_from([200, 201, 400, 404, 500, 503]))
    fields = draw(FIELDS)
    start = f"HTTP/1.1 {status} OK"
    early = b"".join(draw(st.lists(st.sampled_from(INTERIM), max_size=3)))
    if draw(st.booleans()):
        body = draw(BODIES)
        wire, trailers = head(start, [*fields, ("Content-Length", len(body))]) + body, ()
    else:
        coded, body, trailers = draw(chunked())
        wire = head(start, [("Transfer-Encoding", "chunked"), *fields]) + coded
    return early + wire, Message((status,), seen(fields), body, seen(trailers))


def split(data, places):
    cuts = sorted({place % (len(data) + 1) for place in places})
    return [part for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if (part := data[a:b])]


PLACES = st.lists(st.integers(0, 10_000), max_size=30)
OURS = {"host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "traceparent", "x-gnomon-id"}
FRAMING = {"content-length", "transfer-encoding", "connection"}


def read(connection, data, *, role):
    """What h11 makes of bytes: messages, each with exactly one framing. Raises h11.RemoteProtocolError."""
    connection.receive_data(data)
    found, current = [], None
    while (event := connection.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.Request | h11.Response):
            start = (event.method.decode(), event.target.decode()) if role == "model" else (event.status_code,)
            fields = [(name.decode(), value.decode()) for name, value in event.headers]
            framing = [name for name, _ in fields if name in FRAMING - {"connection"}]
            assert len(framing) <= 1
            current = Message(start, tuple(f for f in fields if f[0] not in OURS | FRAMING), b"")
        elif isinstance(event, h11.Data):
            current = current._replace(body=current.body + bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            trailers = tuple((name.decode(), value.decode()) for name, value in event.headers)
            found.append(current._replace(trailers=trailers))
            if role != "model":
                return found
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
        elif event is h11.PAUSED:
            raise AssertionError("a message is left over")
    return found


class Rig:
    """A gateway without sockets: one client, and connections to a model, of which one at a time is used."""

    def __init__(self, folder):
        arm = Upstream(url="http://127.0.0.1:9", version="1", timeout_us=None, authorization_env=None)
        config = GatewayConfig(
            trial="t.1",
            production=arm,
            candidate=arm,
            routes=(("POST", "/predict"),),
            mode="async",
            shadow_rate=0,
            sampling_key="00" * 32,
            per_second=None,
            capture_headers=(),
            epoch=Epoch(number=1, serving="production"),
            runner_socket=f"{folder}/r",
            control_socket=f"{folder}/c",
            counters_dir=str(folder),
            epoch_file=f"{folder}/e",
        )
        self.gateway = Gateway(config, socket.socket())
        self.wires = [Wire(), Wire()]
        self.client_wire, self.model_wire = self.wires
        self.client = Client(self.gateway)
        self.client.connection_made(self.client_wire)
        pool = self.gateway.serving.pool
        self.connections = [Connection(pool) for _ in range(8)]
        for connection in self.connections:
            connection.connection_made(self.model_wire)  # in the order of time all that the model gets
            pool.put(connection)

    def ask(self, pieces, answer):
        """Feed the client's pieces; whenever a request is whole, the model says `answer`, in its pieces."""
        for piece in pieces:
            self.client.data_received(piece)
            while waiting := [c for c in self.connections if c.exchange is not None and c.exchange.request_done]:
                for part in answer:
                    waiting[0].data_received(part)

    def free(self):
        for wire in self.wires:
            wire.free()


def through(pieces, answer):
    """What was written to the model and to the client."""

    async def run():
        with tempfile.TemporaryDirectory() as folder:
            rig = Rig(Path(folder))
            try:
                rig.ask(pieces, answer)
                return rig.model_wire.written, rig.client_wire.written
            finally:
                rig.free()

    return asyncio.run(run())


SAID = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@settings(max_examples=150, deadline=None)
@given(requests(), PLACES)
def test_requests_come_out_the_same_however_their_bytes_are_split(sent, places):
    wire, messages = sent
    written, _ = through(split(wire, places), [SAID])
    assert read(h11.Connection(h11.SERVER), written, role="model") == messages


@settings(max_examples=60, deadline=None)
@given(requests())
def test_requests_come_out_the_same_byte_by_byte(sent):
    wire, messages = sent
    written, said = through([wire[at : at + 1] for at in range(len(wire))], [SAID])
    assert read(h11.Connection(h11.SERVER), written, role="model") == messages
    assert said.count(b"HTTP/1.1 200 OK\r\n") == len(messages)


@settings(max_examples=150, deadline=None)
@given(answers(), PLACES)
def test_an_answer_comes_out_the_same_however_its_bytes_are_split(said, places):
    wire, message = said
    _, written = through([GET], split(wire, places))
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    reader.send(h11.EndOfMessage())
    assert read(reader, written, role="client") == [message]


@settings(max_examples=100, deadline=None)
@given(answers(), PLACES, st.binary(min_size=1, max_size=30))
def test_what_follows_an_answer_never_reaches_a_client(said, places, more):
    wire, message = said
    _, written = through([GET, GET], [*split(wire, places)[:-1], (split(wire, places)[-1:] or [b""])[0] + more])
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    reader.send(h11.EndOfMessage())
    assert read(reader, written, role="client") == [message]
    assert reader.trailing_data == (b"", False)
