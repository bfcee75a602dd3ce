"""Every row of the conformance table through one gateway, whole, byte by byte and in pieces: the same comes of it.

After each row its connection, the model's connection and an innocent client get what is theirs: nothing is out of step.
"""

import asyncio
import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from typing import NamedTuple

import pytest

from gnomon.records import frames
from tests.fork.conformance import REQUESTS
from tests.fork.conformance_answers import ANSWERS, ME
from tests.fork.differential_lines import REQUEST, STATUS, Invalid, Message, read_message
from tests.fork.harness import Gateway, Receiver

PROBLEM = "application/problem+json"
HANDED = Counter(seen=1, handed_over=1)
"""What a request of the tests' own counts as."""


class Got(NamedTuple):
    """A message that reached the model."""

    number: int
    connection: int
    message: Message
    raw: bytes

    @property
    def line(self):
        method, target, _ = self.message.start.split(b" ")
        return b"%b %b %b" % (method, target, self.message.body)

    @property
    def mark(self):
        return b"#%06d" % self.number


class Model:
    """A strict server: notes what reached it, says what is told, in the pieces that `pieces` makes of it."""

    def __init__(self):
        self.got = []
        self.invalid = []
        self.told = {}
        """By target: what to say, and how to end."""
        self.pieces = lambda data: [data]
        self.said = threading.Event()
        """All that was told is written."""
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def _run(self, ready):
        async def start():
            self._server = await self._loop.create_server(lambda: ModelConnection(self), "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def close(self):
        def stop():
            self._server.close()
            self._loop.call_later(0.01, self._loop.stop)

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(10)
        self._loop.close()


class ModelConnection(asyncio.Protocol):
    """One connection to the model."""

    def __init__(self, model):
        self.model = model
        self.data = b""
        model.connections += 1
        self.number = model.connections

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        try:
            while self.data and (found := read_message(self.data, REQUEST)):
                message, rest = found
                if not message.whole and b"?early " not in message.start:
                    return
                raw, self.data = self.data[: len(self.data) - len(rest)], rest
                self._answer(message, raw)
        except Invalid as error:
            self.model.invalid.append((str(error), self.data))
            self.transport.abort()

    def _answer(self, message, raw):
        model = self.model
        got = Got(len(model.got), self.number, message, raw)
        model.got.append(got)
        told = model.told.get(message.start.split(b" ")[1])
        if told is None:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + got.mark)
            return
        data, end = told
        for piece in model.pieces(data.replace(ME, got.mark)):
            if not self.transport.is_closing():
                self.transport.write(piece)
        if end == "resets":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif end == "closes":
            self.transport.close()
        model.said.set()


class Client:
    """A client that takes nothing ill-formed, and knows how its connection ended."""

    def __init__(self, port, address="127.0.0.1"):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.end = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, pieces):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was told why, and that is read now
            for piece in pieces:
                self._socket.sendall(piece)

    def _more(self):
        try:
            data = self._socket.recv(1 << 20)
            self.data += data
            self.end = "" if data else "closed"
        except ConnectionResetError:
            self.end = "reset"

    def answers(self, methods, count=1 << 30):
        """`count` answers to requests of these methods, and those before them; fewer if the connection ends."""
        found, last = [], 0
        while last < count:
            method = methods[last] if last < len(methods) else b""
            status = self.data[9:12]
            bodiless = method == b"HEAD" or status in {b"204", b"304"} or (b"100" <= status < b"200")
            read = read_message(self.data, STATUS, bodiless=bodiless, ended=self.end == "closed")
            if read is None or not read[0].whole:
                if not self.end:
                    self._more()
                    continue
                if read is not None:
                    found.append(read[0])
                else:
                    assert self.data == b"", "a part of a head is no answer"
                self.data = b""
                break
            message, self.data = read
            if status == b"101":  # all that follows is the other protocol's
                while not self.end:
                    self._more()
                message, self.data = message._replace(body=self.data), b""
            found.append(message)
            last += status >= b"200" or status == b"101"
        return found


def status_of(message):
    return int(message.start[9:12])


def value(message, name):
    return " | ".join(message.values(name)) if message.values(name) else None


# what holds for every message ----------------------------------------------------------------------------------------


def check_request(got):
    """What the gateway sends: one framing, nothing of the hop before, nothing that poses as ours."""
    message = got.message
    names = Counter(name for name, _ in message.fields)
    assert names["host"] == names["x-gnomon-id"] == 1
    assert names["content-length"] + names["transfer-encoding"] <= 1
    assert re.fullmatch("[0-9a-f]{32}", value(message, "x-gnomon-id"))
    assert not {"keep-alive", "te", "proxy-connection"} & names.keys()
    assert [name for name in names if name.replace("_", "-").startswith("x-gnomon-")] == ["x-gnomon-id"]
    assert {value(message, "upgrade"), value(message, "connection")} in ({None}, {"websocket", "Upgrade"})
    assert not [name for name, _ in message.trailers if name.startswith(("x-gnomon", "host", "content-length", "auth"))]


def check_answer(message):
    """What the client gets: one framing, nothing of the hop behind, an id that is ours."""
    names = Counter(name for name, _ in message.fields)
    assert names["content-length"] + names["transfer-encoding"] <= 1
    assert not {"keep-alive", "proxy-connection", "te"} & names.keys()
    assert value(message, "connection") in {None, "close", "keep-alive", "Upgrade"}
    assert [name for name in names if name.startswith("x-gnomon-")] in ([], ["x-gnomon-id"])
    if names["x-gnomon-id"]:
        assert re.fullmatch("[0-9a-f]{32}", value(message, "x-gnomon-id"))
    if value(message, "content-type") == PROBLEM:
        assert value(message, "connection") == "close"
        assert not message.body or json.loads(message.body)["status"] == status_of(message)


def check_fields(message, row):
    for name, wanted in row.carries:
        assert value(message, name) == wanted, name
    for name in row.lacks:
        assert value(message, name) is None, name
    assert tuple(message.trailers) == row.trailers


# running a row -------------------------------------------------------------------------------------------------------


def bytewise(data):
    """Each byte for itself; of what is long, those at both ends."""
    if len(data) > 1200:
        return [*bytewise(data[:400]), data[400:-400], *bytewise(data[-400:])]
    return [data[at : at + 1] for at in range(len(data))]


def randomly(seed):
    """Pieces of random sizes, the same for the same seed and data."""

    def pieces(data):
        chance = random.Random(seed)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(min(len(data), chance.choice([1, 2, 5, 20]))))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]

    return pieces


def whole(data):
    return [data] if data else []


WAYS = {"whole": whole, "bytes": bytewise} | {f"split {n}": randomly(n) for n in range(4)}
"""How bytes are cut. `piped` is added to them: whole, and the request that follows in the same write."""


class Rig:
    """A gateway, the model behind it, the receiving end beside it, and an innocent client."""

    def __init__(self, folder, method=b"POST"):
        self.method = method
        """Of the requests that are the tests' own."""
        self.model = Model()
        self.receiver = Receiver(folder / "runner.sock")
        self.gateway = Gateway(folder, self.model.port).start()
        self._innocent = Client(self.gateway.port)
        self._number = 0
        self.counted = Counter()
        """What the ledger must say by now."""
        self._frames = self._errors = self.canaries = 0
        self.canary()

    def close(self):
        with self._innocent:
            self.gateway.stop()
        self.receiver.close()
        self.model.close()

    def new_target(self, kind):
        self._number += 1
        return b"/predict?%b=%d" % (kind, self._number)

    def found(self, target):
        """The message with this target, which reached the model once."""
        (got,) = [got for got in self.model.got[-200:] if got.message.start.split(b" ")[1] == target]
        return got

    def canary(self):
        """A request of the innocent client gets its own answer; the message it was for the model."""
        target = self.new_target(b"canary")
        self._innocent.send([b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % (self.method, target)])
        (answer,) = self._innocent.answers([b"POST"], 1)
        assert answer.start == b"HTTP/1.1 200 OK", answer
        got = self.found(target)
        assert answer.body == got.mark
        assert value(answer, "x-gnomon-id") == value(got.message, "x-gnomon-id")
        self.counted += HANDED
        self.canaries += 1
        return got

    def followed(self, client, target):
        """The request with this target is the last on this connection and gets its own answer."""
        rest = client.answers([b"POST"])
        assert [(each.start, each.body) for each in rest] == [(b"HTTP/1.1 200 OK", self.found(target).mark)]
        self.counted += HANDED

    def settle(self):
        """Nothing but what is expected was counted, said or found wrong; the copies that came meanwhile."""
        end = time.monotonic() + 5
        while (now := self._ledger()) != self.counted and time.monotonic() < end:
            time.sleep(0.001)
        assert now == self.counted
        assert self.model.invalid == []
        assert self.gateway.errors()[self._errors :] == ""
        since, self._frames = self.receiver.frames[self._frames :], len(self.receiver.frames)
        requests = {frame.request.id: frame.request for frame in since if hasattr(frame, "request")}
        copies = [
            (requests[frame.id if isinstance(frame, frames.Settled) else frame.request.id], frame.answer)
            for frame in since
            if isinstance(frame, frames.Settled | frames.Exchange)
        ]
        return [each for each in copies if not re.search("[?](canary|follow)=", each[0].target)]

    def begin_again(self):
        """After a row that failed: the next one starts from what is."""
        self.model.told = {}
        time.sleep(0.5)
        self.counted, self._frames = self._ledger(), len(self.receiver.frames)
        self._errors = len(self.gateway.errors())
        self.model.invalid.clear()

    def _ledger(self):
        sums = self.gateway.counters()
        counts = {"seen": sums.seen, "handed_over": sums.handed_over, "invalid_head": sums.invalid_head} | sums.states
        return Counter({name: count for name, count in counts.items() if count})

    def last(self, target):
        """The request that follows a row, and lets the gateway close."""
        return b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % (self.method, target)

    def talk(self, data, methods, count, *, keeps, piped, leaves=False):
        """Send the pieces, and the request that follows; the answers before its own, and how the connection ended."""
        follow = self.new_target(b"follow")
        with Client(self.gateway.port) as client:
            client.send([b"".join([*data, self.last(follow)])] if piped else data)
            if leaves:
                return [], ""
            answers = client.answers(methods, count)
            if keeps:
                if not piped:
                    if self.model.told:
                        assert self.model.said.wait(10)
                    client.send([self.last(follow)])
                self.followed(client, follow)
            else:
                assert client.answers([]) == []
            return answers, client.end

    def request(self, row, pieces, *, piped=False):
        """One row of requests, in one way."""
        before = len(self.model.got)
        methods = [line.split(b" ")[0] for line in row.reached] or [row.data.split(b" ")[0]]
        answers, _ = self.talk(
            pieces(row.data), methods, len(row.statuses), keeps=row.keeps, piped=piped, leaves=row.leaves
        )
        self.counted += Counter(row.counts)
        self.canary()
        copies = self.settle()

        reached = [got for got in self.model.got[before:] if not re.search(rb"[?](canary|follow)=", got.line)]
        assert tuple(got.line for got in reached) == row.reached
        assert tuple(status_of(each) for each in answers) == row.statuses
        for answer, got in zip(answers, reached, strict=False):
            assert answer.body == (b"" if got.line.startswith(b"HEAD ") else got.mark)
            assert value(answer, "x-gnomon-id") == value(got.message, "x-gnomon-id")
        for got in reached:
            check_request(got)
            check_fields(got.message, row)
        for answer in answers:
            check_answer(answer)
            assert (value(answer, "content-type") == PROBLEM) == (status_of(answer) != 200)
        on_route = [got for got in reached if got.line.startswith(b"POST /predict ")]
        assert [(copy.body, answer.status, answer.body) for copy, answer in copies] == [
            (got.message.body, 200, got.mark) for got in on_route[: row.counts.get("handed_over", 0)]
        ]

    def answer(self, row, pieces, *, piped=False):
        """One row of answers, in one way."""
        model, before = self.model, len(self.model.got)
        asked = row.asked
        model.told = {asked.split(b" ")[1]: (row.said, row.end)}
        model.pieces = pieces
        model.said.clear()
        count = sum(status >= 200 or status == 101 for status, _ in row.gets)
        answers, end = self.talk([asked], [asked.split(b" ")[0]], count, keeps=row.keeps, piped=piped)
        assert model.said.wait(10)
        model.told = {}
        self.counted += Counter(seen=1) + Counter({row.state: 1})
        if piped and row.ahead and not row.keeps:
            self.counted += Counter(seen=1, cancelled=1)
        canary = self.canary()
        copies = self.settle()

        got = model.got[before]
        assert [status_of(each) for each in answers] == [status for status, _ in row.gets]
        unframed = row.cut and asked.split(b"\r\n")[0].endswith(b"1.0") and value(answers[-1], "content-length") is None
        assert (end == "reset") == unframed
        assert [each.whole for each in answers] == [True] * (len(answers) - 1) + [not row.cut]
        for answer, (status, body) in zip(answers, row.gets, strict=True):
            check_answer(answer)
            assert (value(answer, "content-type") == PROBLEM) == (status == 502)
            wanted = body.replace(ME, got.mark)
            assert answer.body == wanted or (status == 502) or (unframed and wanted.startswith(answer.body))
            assert status < 200 or value(answer, "x-gnomon-id") == value(got.message, "x-gnomon-id")
        check_fields(answers[-1], row)
        assert [(copied.outcome, copied.status, copied.body) for _, copied in copies] == (
            [(*row.copied[:2], row.copied[2].replace(ME, got.mark))] if row.copied else []
        )
        if not piped:  # else the request that followed took another connection, which is now the last one used
            assert (got.connection == canary.connection) == row.reused


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("conformance"))
    yield rig
    rig.close()


@contextlib.contextmanager
def alone(rig):
    """What fails in here does not make the rows that follow fail."""
    try:
        yield
    except BaseException:
        rig.begin_again()
        raise


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_comes_to_the_same_however_it_is_cut(rig, name):
    row = REQUESTS[name]
    with alone(rig):
        for pieces in WAYS.values():
            rig.request(row, pieces)
        if not row.leaves and not row.endless:
            rig.request(row, whole, piped=True)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_comes_to_the_same_however_it_is_cut(rig, name):
    row = ANSWERS[name]
    with alone(rig):
        for pieces in WAYS.values():
            rig.answer(row, pieces)
        if not row.early:  # what would follow would be a part of it
            rig.answer(row, whole, piped=True)
