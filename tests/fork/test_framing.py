"""Any split of the same bytes is the same messages: the gateway's own protocols, on transports that only keep bytes.

Nothing here waits for a socket, so every cut is exactly where it is said to be.
"""

import asyncio
import itertools
import re
import socket
from collections import Counter, deque
from typing import NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.fork.client import Client
from gnomon.fork.counters import HANDED_OVER, INVALID_HEAD, SEEN, SLOT
from gnomon.fork.gateway import Gateway
from gnomon.fork.upstream import Connection
from gnomon.records.process import Epoch, GatewayConfig, Upstream
from tests.fork.conformance import REQUESTS
from tests.fork.conformance_answers import ANSWERS, ME
from tests.fork.differential_lines import REQUEST, STATUS, read_message
from tests.fork.test_answers import resident_mib

MARK = b"#000000"
ECHO = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + MARK
QUIET = socket.socketpair()
"""Where a transport has to name a socket: nothing ever comes there."""


class Transport:
    """Keeps what is written, and knows what it was told."""

    def __init__(self):
        self.written = b""
        self.closing = self.paused = self.ended = self.reset = False

    def write(self, data):
        assert not self.ended
        if not self.closing:
            self.written += data

    def write_eof(self):
        self.ended = True

    def close(self):
        self.closing = True

    def abort(self):
        self.closing = self.reset = True

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def is_closing(self):
        return self.closing

    def can_write_eof(self):
        return True

    def set_write_buffer_limits(self, _):
        pass

    def get_extra_info(self, name):
        return {"peername": ("10.0.0.1", 1), "socket": QUIET[0]}[name]


class Wired:
    """A protocol on its transport, and the bytes that are still on their way to it."""

    def __init__(self, protocol):
        self.protocol, self.transport = protocol, Transport()
        self.coming = deque()
        self.taken = 0
        """Bytes of what was written that the other side has dealt with."""
        protocol.connection_made(self.transport)

    def step(self):
        """Deliver one piece, or the end; whether there was anything to do."""
        transport, protocol = self.transport, self.protocol
        if protocol is None:
            return False
        if transport.closing or (self.coming and self.coming[0] is None and not transport.paused):
            self.protocol = None
            self.coming.clear()
            transport.closing = True
            protocol.connection_lost(None)
            return True
        if not self.coming or transport.paused:
            return False
        protocol.data_received(self.coming.popleft())
        return True


class Came(NamedTuple):
    """What came of some bytes."""

    answers: list
    """To the client."""
    messages: list
    """To the model."""
    copies: list
    counts: Counter
    closed: bool
    reset: bool


class Rig:
    """A real gateway without sockets. Each run is a client of its own."""

    def __init__(self, folder):
        arm = Upstream(url="http://127.0.0.1:9", version="1", timeout_us=None, authorization_env=None)
        config = GatewayConfig(
            trial="t.1",
            production=arm,
            candidate=arm,
            routes=(("POST", "/predict"),),
            mode="async",
            shadow_rate=1 << 32,
            sampling_key="ab" * 32,
            per_second=None,
            capture_headers=(),
            epoch=Epoch(number=1, serving="production"),
            runner_socket=str(folder / "none.sock"),
            control_socket=str(folder / "none"),
            counters_dir=str(folder),
            epoch_file=str(folder / "epoch.json"),
            capture_budget=1 << 40,
            idle_us=1 << 50,
        )
        self.gateway = Gateway(config, QUIET[1])
        self._models = []

    def _counts(self):
        slots = self.gateway.serving.ledger.slots
        numbers = {"seen": slots[SEEN], "invalid_head": slots[INVALID_HEAD], "handed_over": slots[HANDED_OVER]}
        return Counter(numbers | {state: slots[at] for state, at in SLOT.items()})

    def _connections(self):
        """The pool always has one that is idle."""
        pool = self.gateway.serving.pool
        while pool.idle < 2:
            model = Wired(Connection(pool))
            self._models.append(model)
            pool.put(model.protocol)

    def run(self, pieces, say=lambda number: [ECHO], *, hasty=False, methods=()):
        """A client sends these pieces; the model says `say(number)` to each request, None is the end.

        `hasty`: the client sends all it can before the model is heard.
        """
        before, copies = self._counts(), len(self.gateway.link.unacknowledged)
        client = Wired(Client(self.gateway))
        client.coming.extend(pieces)
        messages = []
        while True:
            self._connections()
            if hasty and client.step():
                continue
            if not any(self._model_steps(model, messages, say) for model in self._models) and not client.step():
                break
            self._models = [model for model in self._models if model.protocol is not None]
        answers = self._answers(client.transport, methods or [each.start.split(b" ")[0] for _, each in messages])
        closed = client.transport.closing or client.transport.ended
        if client.protocol is not None:
            client.protocol.connection_lost(None)
        link = self.gateway.link
        return Came(
            answers,
            messages,
            [(each.request.target, each.request.body, each.record) for each in list(link.unacknowledged)[copies:]],
            self._counts() - before,
            closed,
            client.transport.reset,
        )

    @staticmethod
    def _model_steps(model, messages, say):
        if model.step():
            return True
        found = read_message(model.transport.written[model.taken :], REQUEST)
        if model.protocol is None or not found or not found[0].whole:
            return False
        raw = model.transport.written[model.taken : len(model.transport.written) - len(found[1])]
        model.taken += len(raw)
        messages.append((raw, found[0]))
        model.coming.extend(say(len(messages) - 1))
        return True

    @staticmethod
    def _answers(transport, methods):
        data, found, at = transport.written, [], 0
        ended = (transport.closing or transport.ended) and not transport.reset
        while data:
            status = data[9:12]
            bodiless = methods[at : at + 1] == [b"HEAD"] or status in {b"204", b"304"} or status < b"200"
            message, rest = read_message(data, STATUS, bodiless=bodiless, ended=ended)
            if status == b"101":
                message, rest = message._replace(body=rest), b""
            found.append((data[: len(data) - len(rest)], message))
            data = rest
            at += status >= b"200"
        return found


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("framing")

    async def make():
        return Rig(folder)

    with asyncio.Runner() as runner:
        rig = runner.run(make())

        async def run(*arguments, **settings):
            return rig.run(*arguments, **settings)

        yield lambda *arguments, **settings: runner.run(run(*arguments, **settings))


def cut(data, places):
    """The same bytes in pieces."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(cuts)]


def told(message):
    """What of a message does not change from run to run."""
    fields = [(name, value) for name, value in message.fields if name not in {"x-gnomon-id", "traceparent", "date"}]
    return message.start, fields, message.body, message.trailers, message.whole


def same(came):
    """What of an outcome may not depend on the split."""
    return (
        [told(each) for _, each in came.answers],
        [told(each) for _, each in came.messages],
        [(target, body, copy.outcome, copy.status, copy.body) for target, body, copy in came.copies],
        +came.counts,
        came.closed,
    )


# the conformance table, cut everywhere -------------------------------------------------------------------------------

SHORT = 600
"""Longer rows are of one letter, mostly."""


def splits(data):
    """Cut once at every place, and everywhere at once."""
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
    yield [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("name", [name for name, row in REQUESTS.items() if len(row.data) < SHORT])
def test_a_request_of_the_table_may_be_cut_anywhere(rig, name):
    row = REQUESTS[name]
    methods = [line.split(b" ")[0] for line in row.reached] or [row.data.split(b" ")[0]]
    end = [None] if row.leaves else []
    uncut = rig([row.data, *end], methods=methods)
    assert tuple(each.start[:12] for _, each in uncut.answers) == tuple(b"HTTP/1.1 %d" % each for each in row.statuses)
    for pieces in splits(row.data):
        assert same(rig([*pieces, *end], methods=methods)) == same(uncut), pieces


@pytest.mark.parametrize("name", [name for name, row in ANSWERS.items() if len(row.said) < SHORT and not row.early])
def test_an_answer_of_the_table_may_be_cut_anywhere(rig, name):
    row = ANSWERS[name]
    said = row.said.replace(ME, MARK)
    end = [] if row.end == "stays" else [None]
    uncut = rig([row.asked], lambda number: [said, *end])
    assert [int(each.start[9:12]) for _, each in uncut.answers] == [status for status, _ in row.gets]
    for pieces in splits(said):
        came = rig([row.asked], lambda number, pieces=pieces: [*pieces, *end])
        if not came.reset:
            assert same(came) == same(uncut), pieces
        assert (came.reset, came.counts, came.closed) == (uncut.reset, uncut.counts, uncut.closed), pieces


def test_a_client_that_is_never_between_two_requests_costs_no_memory(around):
    """Each of its pieces ends one request and begins the next."""
    _, gateway, _ = around(routes=())
    size = 20_000  # one read takes it whole
    rest = b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    before = resident_mib(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(b"POST /p")
        for _ in range(1000):
            client.sendall(rest + b"POST /p")
            got = b""
            while not got.endswith(b"\r\n\r\nok"):
                got += client.recv(1 << 16)
    assert resident_mib(gateway) - before < 10


# messages made up ----------------------------------------------------------------------------------------------------

token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.!~", min_size=1, max_size=12)
text = st.text('abc XYZ09:;,="/()\t\xe9\xff', max_size=20).map(lambda each: each.strip(" \t"))
ours = re.compile("gnomon[-_]|forwarded[-_]", re.IGNORECASE)
names = token.filter(lambda each: not ours.match(each)).map(lambda each: "x-" + each)
fields = st.lists(st.tuples(names, text), max_size=4)
bodies = st.binary(max_size=80) | st.sampled_from(
    [b"0\r\n\r\n", b"\r\n" * 9, b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"]
)
places = st.lists(st.integers(0, 1 << 16), max_size=12)
sizes = st.lists(st.integers(1, 30), max_size=6)
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b;c"', b";a=b;c=d"])


class Made(NamedTuple):
    """A message, and its bytes."""

    start: bytes
    fields: list
    body: bytes
    trailers: list
    framing: str
    data: bytes


def lines(found):
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in found)


@st.composite
def messages(draw, starts, framings=("none", "length", "chunks")):
    """A message that is well-formed in one of many ways."""
    start, framing, found = draw(starts), draw(st.sampled_from(framings)), draw(fields)
    body = b"" if framing == "none" else draw(bodies)
    trailers = draw(fields) if framing == "chunks" else []
    head = start + b"\r\n" + lines(found)
    if framing == "length":
        return Made(start, found, body, [], framing, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    if framing != "chunks":
        return Made(start, found, body, [], framing, head + b"\r\n" + body)
    data, rest = head + b"Transfer-Encoding: chunked\r\n\r\n", body
    for size in draw(sizes):
        if rest:
            part, rest = rest[:size], rest[size:]
            data += b"%X%b\r\n%b\r\n" % (len(part), draw(extensions), part)
    if rest:
        data += b"0%x\r\n%b\r\n" % (len(rest), rest)
    data += b"0%b\r\n" % draw(extensions) + lines(trailers) + b"\r\n"
    return Made(start, found, body, trailers, framing, data)


requests = messages(
    st.builds(
        "{} /{}{} HTTP/1.1\r\nHost: x".format,
        st.sampled_from(["POST", "GET", "PUT", "DELETE"]),
        st.sampled_from(["predict", "p", "a/b%20c"]),
        st.sampled_from(["", "?a=b", "?" + "x" * 50]),
    ).map(str.encode)
)


def by_h11(raw, role, asked=b"POST"):
    """The events of one message in these bytes, by a reader that is not ours."""
    reader = h11.Connection(role)
    if role is h11.CLIENT:
        reader.send(h11.Request(method=asked, target="/", headers=[("Host", "x")]))
        reader.send(h11.EndOfMessage())
    reader.receive_data(raw)
    found = []
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Request | h11.InformationalResponse | h11.Response | h11.Data), "not whole"
        found.append(event)
    assert reader.trailing_data[0] == b"", "more than a message"
    heads = [each for each in found if not isinstance(each, h11.Data)]
    body = b"".join(bytes(each.data) for each in found if isinstance(each, h11.Data))
    return heads[-1], body, event.headers


def kept(found):
    return [(name.lower(), value) for name, value in found]


def decoded(headers):
    found = [(name.decode().lower(), value.decode("latin-1")) for name, value in headers]
    return [
        (name, value)
        for name, value in found
        if name.startswith("x-") and not name.startswith(("x-gnomon-", "x-forwarded-"))
    ]


@settings(max_examples=150, deadline=None)
@given(made=st.lists(requests, min_size=1, max_size=5), places=places, hasty=st.booleans())
def test_any_split_of_requests_is_the_same_requests(rig, made, places, hasty):
    data = b"".join(each.data for each in made)
    came = rig(cut(data, places), hasty=hasty)

    assert same(came) == same(rig([data]))
    assert len(came.messages) == len(came.answers) == len(made)
    for each, (raw, message) in zip(made, came.messages, strict=True):
        head, body, trailers = by_h11(raw, h11.SERVER)
        method, target = each.start.split(b"\r\n")[0].split(b" ")[:2]
        assert (head.method, head.target, body, message.body) == (method, target, each.body, each.body)
        assert decoded(head.headers) == kept(each.fields)
        assert decoded(trailers) == kept(each.trailers)
        names = [name for name, _ in head.headers]
        framing = {"none": [], "length": [b"content-length"], "chunks": [b"transfer-encoding"]}[each.framing]
        assert [name for name in names if name in {b"content-length", b"transfer-encoding"}] == framing
    on_route = [each for each in made if re.match(rb"POST /predict[ ?]", each.start)]
    assert [(target.encode(), body) for target, body, _ in came.copies] == [
        (each.start.split(b" ")[1], each.body) for each in on_route
    ]


starts = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 500 Oops", b"HTTP/1.1 201 \xe9"])
interim = messages(st.sampled_from([b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints"]), ("none",)) | messages(
    st.just(b"HTTP/1.1 103 Early Hints\r\nConnection: close"), ("none",)
)
answers = st.tuples(st.lists(interim, max_size=2), messages(starts, ("length", "chunks", "close")), places)
KINDS = {
    "POST": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 1),
    "1.0": (b"POST /predict HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 0),
}


@settings(max_examples=150, deadline=None)
@given(made=st.lists(answers, min_size=1, max_size=4), kind=st.sampled_from(sorted(KINDS)))
def test_any_split_of_answers_is_the_same_answers(rig, made, kind):
    asked, hears_interim = KINDS[kind]
    said = [b"".join(each.data for each in [*before, last]) for before, last, _ in made]
    ends = [[None] if last.framing == "close" else [] for _, last, _ in made]
    came = rig([asked] * len(made), lambda number: [*cut(said[number], made[number][2]), *ends[number]])
    assert same(came) == same(rig([asked] * len(made), lambda number: [said[number], *ends[number]]))

    if kind == "1.0":  # an answer without a length ends with the connection
        unframed = [at for at, (_, last, _) in enumerate(made) if last.framing != "length"]
        made = made[: unframed[0] + 1] if unframed else made
    wanted = [each for before, last, _ in made for each in [*before * hears_interim, last]]
    assert len(came.answers) == len(wanted)
    for each, (raw, message) in zip(wanted, came.answers, strict=True):
        assert message.start == each.start.split(b"\r\n")[0]
        assert (message.body, message.whole) == (each.body, True)
        if hears_interim:
            assert kept(each.trailers) == message.trailers
        if int(each.start[9:12]) >= 200 and kind != "1.0":
            head, body, trailers = by_h11(raw, h11.CLIENT)
            assert (head.status_code, body) == (int(each.start[9:12]), each.body)
            assert decoded(head.headers) == kept(each.fields)
            assert decoded(trailers) == kept(each.trailers)
    assert [(copy.status, copy.body) for *_, copy in came.copies] == [
        (int(last.start[9:12]), last.body) for _, last, _ in made
    ]
