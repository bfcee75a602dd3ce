"""Rows of the conformance table with damage that chance does, on the request's side and on the answer's.

Whatever the bytes are: the gateway lives and says nothing, two strict readers take all that leaves it on either side,
every answer is the one to its own request, innocent clients notice nothing, and in the end every request has its state.
"""

import contextlib

import h11
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fork.conformance import REQUESTS
from tests.fork.conformance_answers import ANSWERS, OPENS
from tests.fork.differential_lines import STATUS, read_message
from tests.fork.harness import wait_for
from tests.fork.test_answers import resident_mib
from tests.fork.test_conformance import Client, Rig, check_answer, check_request, status_of, value
from tests.fork.test_framing import by_h11, cut, places

EXAMPLES = 1200
"""On each side. `fuzz_requests` and `fuzz_answers` take another number, and then other examples each time."""
SHORT = 2_000
_QUIET = 4
"""Requests of an innocent client that come back without anything new until an input counts as dealt with."""
ODD = [bytes([each]) for each in b"\r\n\0\t :;,0x-+\x01\x7f\xff"] + [
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"0\r\n\r\n",
    b"ffffffff",
]
WORDS = [
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 70\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, X-A\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: y\r\n",
    b"X-Gnomon-Id: forged\r\n",
    b"Keep-Alive: timeout=1\r\n",
    b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
]
place = st.integers(0, SHORT)
damage = st.lists(
    st.tuples(st.just("flip"), place, st.integers(0, 7))
    | st.tuples(st.just("insert"), place, st.sampled_from(ODD))
    | st.tuples(st.just("insert"), place, st.sampled_from(WORDS))
    | st.tuples(st.just("line"), place, st.sampled_from(WORDS))
    | st.tuples(st.sampled_from(["drop", "double"]), place, st.sampled_from([1, 2, 4, 20, 60]))
    | st.tuples(st.just("swap"), place, place)
    | st.tuples(st.just("end"), place, st.none()),
    max_size=4,
)


def damaged(data, done):
    """The bytes with all of this done to them."""
    for what, where, how in done:
        at = where % (len(data) + 1)
        if what == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << how]) + data[at + 1 :]
        elif what == "insert":
            data = data[:at] + how + data[at:]
        elif what == "drop":
            data = data[:at] + data[at + how :]
        elif what == "double":
            data = data[: at + how] + data[at:]
        elif what == "end":
            data = data[:at]
        elif what in {"line", "swap"}:
            lines = data.split(b"\r\n")
            first = where % len(lines)
            if what == "line":
                lines.insert(first, how.removesuffix(b"\r\n"))
            else:
                second = how % len(lines)
                lines[first], lines[second] = lines[second], lines[first]
            data = b"\r\n".join(lines)
    return data


class Ear(Client):
    """A client that does not know whether there will be an answer. By its address the model knows what is from it."""

    def __init__(self, port, number):
        self.address = f"127.{1 + (number >> 16) % 200}.{number >> 8 & 255}.{number & 255}"
        super().__init__(port, self.address)

    def hear(self, rig):
        """Take what comes, until innocent clients are answered and nothing more has come."""
        self._socket.settimeout(0)
        quiet, before = 0, None
        while quiet < _QUIET and not self.end:
            rig.canary()
            with contextlib.suppress(BlockingIOError):
                while not self.end:
                    self._more()
            now = len(self.data), len(rig.model.got) - rig.canaries
            quiet = quiet + 1 if now == before else 0
            before = now
        self._socket.settimeout(10)

    def said(self, by_id):
        """The answers so far, each with the message of the model that it answers, and all read by h11 too."""
        found = []
        while self.data:
            head = read_message(self.data, STATUS, bodiless=True)
            if head is None:
                break
            status, got = self.data[9:12], by_id.get(value(head[0], "x-gnomon-id"))
            asked = got.line.split(b" ")[0] if got else b"POST"
            ours = status >= b"400" and value(head[0], "content-type") == "application/problem+json"
            bodiless = asked == b"HEAD" or status in {b"204", b"304"} or status < b"200" or (ours and not head[1])
            message, rest = read_message(self.data, STATUS, bodiless=bodiless, ended=self.end == "closed")
            if not message.whole and not self.end:
                break
            if status == b"101":
                message, rest = message._replace(body=rest), b""
            elif message.whole and not (ours and bodiless) and status >= b"200" and message.fields:
                raw = self.data[: len(self.data) - len(rest)]
                if {"content-length", "transfer-encoding"} & {name for name, _ in message.fields}:
                    by_h11(raw, h11.CLIENT, asked)
            check_answer(message)
            found.append((message, got))
            self.data = rest
        return found


class Fuzz:
    """The rig of the conformance table, without expectations for each row."""

    def __init__(self, rig):
        self.rig = rig
        self.model = rig.model
        self._clients = 0

    def _client(self):
        self._clients += 1
        return Ear(self.rig.gateway.port, self._clients)

    def _said(self, client, since):
        """What this client sent to the model, by its id, which two strict readers took; and the answers to it."""
        answers = []
        for _ in range(3):
            client.hear(self.rig)
            new = [
                got
                for got in self.model.got[since:]
                if value(got.message, "x-forwarded-for").split(", ")[-1] == client.address
            ]
            by_id = {value(got.message, "x-gnomon-id"): got for got in new}
            answers += client.said(by_id)
            if client.end or not client.data:
                break
        for got in new:
            check_request(got)
            head, body, _ = by_h11(got.raw, h11.SERVER)
            assert b"%b %b %b" % (head.method, head.target, body) == got.line
        return by_id, answers

    def _unharmed(self):
        assert self.model.invalid == []
        assert self.rig.gateway.process.poll() is None
        assert self.rig.gateway.errors() == ""

    def request(self, data, pieces):
        """Bytes of a client."""
        since = len(self.model.got)
        with self._client() as client:
            client.send(pieces(data))
            new, answers = self._said(client, since)
            assert client.end or not client.data, "an answer without an end"
        self._unharmed()
        answered = [got for _, got in answers if got is not None]
        assert answered == list(new.values())[: len(answered)], "in their order"
        for message, got in answers:
            if status_of(message) == 200:
                assert message.body == (b"" if got.line.startswith(b"HEAD ") else got.mark), "the answer of another"

    def answer(self, asked, data, end, pieces):
        """Bytes of a model, in answer to a good request."""
        since, model, follow = len(self.model.got), self.model, self.rig.new_target(b"follow")
        model.told, model.pieces = {asked.split(b" ")[1]: (data, end)}, pieces
        model.said.clear()
        with self._client() as client:
            client.send([asked])
            model.said.wait(2)  # what it says behind its answer must not meet the next request by chance
            _, answers = self._said(client, since)
            assert sum(status_of(message) >= 200 for message, _ in answers) <= 1
            if (
                answers
                and answers[-1][0].whole
                and not client.end
                and asked != OPENS
                and status_of(answers[-1][0]) > 199
            ):
                client.send([self.rig.last(follow)])
                rest = client.answers([b"POST"])
                assert [each.body for each in rest] == [self.rig.found(follow).mark], "the answer of another"
        model.told = {}
        self.rig.canary()
        self._unharmed()


def short(rows, size):
    return sorted(name for name, row in rows.items() if size(row) < SHORT)


def fuzz_requests(rig, examples, *, again=True):
    """`again`: the same examples each time."""
    fuzz = Fuzz(rig)

    @settings(max_examples=examples, derandomize=again, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(
        names=st.lists(st.sampled_from(short(REQUESTS, lambda row: len(row.data))), min_size=1, max_size=2),
        done=damage,
        where=places,
    )
    def case(names, done, where):
        data = damaged(b"".join(REQUESTS[name].data for name in names), done)
        fuzz.request(data, lambda data: cut(data, where))

    case()


def fuzz_answers(rig, examples, *, again=True):
    """`again`: the same examples each time."""
    fuzz = Fuzz(rig)

    @settings(max_examples=examples, derandomize=again, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(
        name=st.sampled_from(short(ANSWERS, lambda row: len(row.said) + SHORT * row.early)),
        done=damage,
        end=st.sampled_from(["", "", "stays", "closes", "resets"]),
        where=places,
    )
    @example("status: 103 that says close", [], "", [24])
    def case(name, done, end, where):
        row = ANSWERS[name]
        fuzz.answer(row.asked, damaged(row.said, done), end or row.end, lambda data: cut(data, where))

    case()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    # GET may be repeated: a model that closes without a word is no fault of the gateway
    rig = Rig(tmp_path_factory.mktemp("fuzz"), b"GET")
    yield rig
    rig.close()


@contextlib.contextmanager
def unhurt(rig):
    """After it the gateway holds nothing, has grown by nothing, and every request has one state."""
    before = resident_mib(rig.gateway)
    yield
    rig.gateway.settled()
    wait_for(lambda: rig.gateway.control({"status": True})["connections"] == 1)  # the innocent client's
    status = rig.gateway.control({"status": True})
    assert (status["held_bytes"], status["open"], status["unacknowledged"]) == (0, 0, 0)
    assert resident_mib(rig.gateway) - before < 16
    rig.canary()


def test_damaged_requests_harm_nobody(rig):
    with unhurt(rig):
        fuzz_requests(rig, EXAMPLES)


def test_damaged_answers_harm_nobody(rig):
    with unhurt(rig):
        fuzz_answers(rig, EXAMPLES)
