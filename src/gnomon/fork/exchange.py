"""One request on its way: production's side, which must be right, and the copy, which may fail."""

import asyncio
from binascii import hexlify
from typing import TYPE_CHECKING, Final

from gnomon.fork import answers
from gnomon.fork.capture import Copy
from gnomon.fork.counters import PASSED, SEEN
from gnomon.fork.http1 import RequestHead, rewritten, upstream_head
from gnomon.fork.names import Headers, trailers
from gnomon.fork.sampling import SURE
from gnomon.fork.slices import NOT_MEASURED
from gnomon.records.frames import Outcome, Request
from gnomon.records.plan import ALL

if TYPE_CHECKING:
    from gnomon.fork.client import Client
    from gnomon.fork.gateway import Gateway, Serving
    from gnomon.fork.upstream import Connection

PROBED: Final = "probe"
"""The route of what comes over the probe socket."""
_JOIN: Final = 64 * 1024
"""A last piece up to this is joined with those before it for one write; a larger one is not copied again."""
_REPEAT_LIMIT: Final = 1 << 20
"""Bytes of a body that are kept to be sent again."""
_ANSWERS: Final = frozenset({"ok", "4xx"})
"""Outcomes in which the model did its part."""
_GRACE: Final = 0.25
"""Seconds in which an answer may come to its end after its client left: some leave at the last event of a stream."""
_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods that ask for nothing but an answer (RFC 9110, 9.2.1)."""


def outcome_of(status: int) -> Outcome:
    """The outcome that a status means."""
    if status < 400:
        return "ok"
    return "5xx" if status >= 500 else "4xx"


class Exchange:
    """A request with a valid head, from its first byte to the last byte of its answer."""

    __slots__ = (
        "_copy",
        "_early",
        "_first_byte",
        "_grace",
        "_measured",
        "_passed",
        "_rechunk",
        "_repeat",
        "_repeated",
        "_timer",
        "_unframed",
        "answered",
        "client",
        "closes",
        "connection",
        "gateway",
        "head",
        "hex_id",
        "over",
        "pending",
        "request_done",
        "serving",
        "started_us",
        "status",
        "time_us",
        "waiting",
    )

    def __init__(self, gateway: "Gateway", client: "Client", head: RequestHead) -> None:
        self.gateway = gateway
        self.client = client
        self.head = head
        # the epoch it started in is the epoch it ends in
        self.serving: Serving = gateway.serving if client.probed is None else client.probed
        self.time_us = gateway.clock()
        id_ = gateway.ids.new(self.time_us)
        self.hex_id = hexlify(id_)
        self.connection: Connection | None = None
        self.pending: list[bytes] = []
        """What was not yet written to the model."""
        self.request_done = False
        self.waiting = True  # behind another request of the same client
        self.answered = False  # a byte of the answer went to the client
        self.over = False
        self.status = 0
        self.started_us = 0
        self.closes = False
        self._rechunk = False
        self._unframed = False  # only the end of the connection ends the answer
        self._timer: asyncio.TimerHandle | None = None
        self._first_byte: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._passed = 0  # bytes of the body
        self._repeated = False
        self._repeat: list[bytes] | None = None  # what was sent of the body, where it may be sent again
        self._early: tuple[Outcome, str, int] | None = None  # production was done before the request was whole
        self._copy: Copy | None = None
        self._measured = NOT_MEASURED
        slots = self.serving.ledger.slots
        slots[SEEN] += 1
        if gateway.repeatable and (head.method, head.path) in gateway.repeatable:
            self._repeat = []
        route = gateway.routes.get((head.method, head.path)) if client.probed is None else PROBED
        if route is None:
            slots[PASSED] += 1
            return
        ledger = self.serving.ledger
        ledger.open[id_] = self.time_us
        try:
            self._fork(route, id_)
        except Exception as error:  # noqa: BLE001  a fault of ours costs the copy, never the answer
            self._bug(error)
            ledger.final("shed:bug", id_)  # if there was no copy yet

    # the copy ------------------------------------------------------------------------------------------------------

    def _fork(self, route: str, id_: bytes) -> None:
        """Decide whether this request is copied, and begin its copy; counts it at once if it is not.

        Where the body decides, that is when the request is whole, and the copy begins in any case.
        """
        gateway, head, ledger = self.gateway, self.head, self.serving.ledger
        sampler = gateway.sampler
        headers: tuple[tuple[str, str], ...] | None = None
        stratum, probability = ALL, sampler.rate
        undecided = False
        state: str | None = None
        if head.websocket:
            state = "guarded:upgrade"
        elif route is PROBED:
            state, probability = gateway.kept_out(ledger, probe=True), SURE
        elif sampler.simple:
            if self._is_off(0):
                state = "shed:off_slice"
            else:
                sampled = sampler.toss(id_)
                ledger.drawn(0, sampled=sampled)
                state = gateway.kept_out(ledger) if sampled else "unsampled"
        elif sampler.needs_body:
            undecided = not self._is_off(0)
            state = None if undecided else "shed:off_slice"
        else:
            headers = gateway.allowed(head.headers)
            draw = sampler.draw(self._head_alone(id_, headers))
            if self._is_off(draw.stratum):
                state = "shed:off_slice"
            else:
                state, stratum, probability = gateway.taken(draw, ledger)
        if state is None and not head.readable:
            state = "guarded:unreadable_coding"
        if state is not None:
            ledger.final(state, id_)
            return
        headers = gateway.allowed(head.headers) if headers is None else headers
        copy = Copy(gateway.link, ledger, id_, self.time_us, head, headers, route, self.serving.epoch)
        copy.stratum, copy.probability = stratum, probability
        if undecided:
            copy.decide = gateway.decide
        self._copy = copy
        copy.begin()

    def _is_off(self, stratum: int) -> bool:
        """Whether nothing is copied at this moment. Production's latency is measured, whether it is or not."""
        slices = self.gateway.slices
        if slices is None or self.gateway.paused:
            return False
        off = slices.off(self.time_us)
        self._measured = slices.place(stratum)
        return off

    def _head_alone(self, id_: bytes, headers: tuple[tuple[str, str], ...]) -> Request:
        """As much of the request as its stratum may need."""
        head, epoch = self.head, self.serving.epoch
        return Request(
            id=id_,
            time_us=self.time_us,
            method=head.method.decode(),
            target=head.target.decode("latin-1"),
            headers=headers,
            body=b"",
            route="",
            stratum="",
            probability=0,
            epoch=epoch.number,
            serving=epoch.serving,
        )

    def _bug(self, error: Exception) -> None:
        """What shadow code raised ends the copy and nothing else."""
        copy, self._copy = self._copy, None
        self.gateway.bug(error)
        if copy is not None:
            copy.spoil()

    def _drop_copy(self, state: str) -> None:
        if self._copy is not None:
            try:
                self._copy.drop(state)
            except Exception as error:  # noqa: BLE001  see _bug
                self._bug(error)

    # the request ---------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """It is this request's turn: find a connection to the model that serves."""
        self.waiting = False
        pool = self.serving.pool
        limit = pool.arm.timeout_us
        if limit is not None:
            self._timer = self.gateway.loop.call_later(limit / 1e6, self._timed_out)
        pool.serve(self)

    def begin(self, connection: "Connection") -> None:
        """There is a connection: the head goes before what waits."""
        self.connection = connection
        serving, client = self.serving, self.client
        pool = serving.pool
        head = upstream_head(
            rewritten(self.head, pool.paths, pool.fields) if pool.rewrites else self.head,
            prefix=pool.prefix,
            id_=self.hex_id,
            peer=client.peer,
            new_trace=self.gateway.new_trace,
            credentials=serving.credentials,
        )
        self.pending.insert(0, head)
        client.unhold()  # before the flush: the model may not take all of it, and then the client is held again
        if not client.feeding:  # else the end of the feed writes the head and the body that came with it at once
            self.flush()
        if client.congested:  # by the answer before this one
            connection.hold()

    def flush(self) -> None:
        """Write to the model what waits for it."""
        connection, pending = self.connection, self.pending
        if connection is None or not pending:
            return
        if not self.started_us:
            self.started_us = self.gateway.clock()
        if len(pending) == 1:
            connection.write(pending[0])
        elif len(pending[-1]) <= _JOIN:
            connection.write(b"".join(pending))
        else:
            for piece in pending:
                connection.write(piece)
        pending.clear()

    def body(self, data: bytes) -> bool:
        """A piece of the request's body; False: with it the body is larger than what may pass."""
        limit = self.gateway.body_limit
        if limit is not None:
            self._passed += len(data)
            if self._passed > limit:
                return False
        if self._copy is not None:
            try:
                self._copy.request_part(data)
            except Exception as error:  # noqa: BLE001  see _bug
                self._bug(error)
        self.write(b"%x\r\n%b\r\n" % (len(data), data) if self.head.chunked else data)
        return True

    def complete(self, fields: Headers) -> None:
        """The request's last byte is here; `fields` are its trailers."""
        self.request_done = True
        if self.head.chunked:
            self.write(b"0\r\n" + trailers(fields) + b"\r\n")
        if self._copy is not None:
            try:
                self._copy.request_complete()
            except Exception as error:  # noqa: BLE001  see _bug
                self._bug(error)
            if self._early is not None:
                self._hand_over(*self._early)
        limit = self.gateway.first_byte_us
        if limit is not None and not self.answered and not self.over:
            self._first_byte = self.gateway.loop.call_later(limit / 1e6, self._silent)

    def write(self, data: bytes) -> None:
        """Pass bytes to the model, now or when there is a connection."""
        if self.over:
            return
        if self._repeat is not None:
            self._keep(data)
        self.pending.append(data)
        if self.connection is None:
            if len(self.pending) > 1:
                self.client.hold()  # the rest may stay in the client's socket
        elif not self.client.feeding:
            self.flush()

    def _keep(self, data: bytes) -> None:
        assert self._repeat is not None
        self._repeat.append(data)
        if sum(map(len, self._repeat)) > _REPEAT_LIMIT:
            self._repeat = None

    def repeat(self) -> bool:
        """Ask once more, over a new connection: the reused one closed before a byte of the answer came.

        It may have closed before the request arrived. Whoever asks again cannot know, so it is done only where a second
        request does no harm: for safe methods without a body, and where the plan calls the route repeatable. False:
        it may not be, or was done before.
        """
        head = self.head
        if self._repeat is None and (head.method not in _SAFE or head.length or head.chunked):
            return False
        if self.over or self._repeated:
            return False
        self._repeated = True
        self.pending, self._repeat = self._repeat or [], None
        self.connection = None
        self.started_us = 0  # our pool is not production's latency
        self.serving.pool.open(self)
        return True

    def broken(self, status: int, detail: str) -> None:
        """The request's body is not valid, or does not come: `status` says how, if nothing was answered yet."""
        self._drop_copy("guarded:invalid_body")
        if self.over:  # it was answered before it was whole: the answer stands
            return
        self._end_upstream()
        self._give_up(status, detail)

    def left(self) -> None:
        """The client is gone: nobody waits for the answer."""
        if self.over:
            if self._early is not None:
                self._drop_copy("guarded:answered_early")
            return
        copy = self._copy
        if copy is not None and not copy.ended and self.answered and self.request_done and self._grace is None:
            connection = self.connection
            if connection is not None and not self.head.websocket:
                self._grace = self.gateway.loop.call_later(_GRACE, self._abandon)
                connection.unhold()  # nobody is slow to read any more
                return
        self._abandon()

    def _abandon(self) -> None:
        """Nobody waits for the answer: end it at the model."""
        if self.over:
            return
        self._drop_copy("cancelled")
        self._end_upstream()

    def _give_up(self, status: int, detail: str) -> None:
        if self.answered:
            self.client.abort(reset=self._unframed)  # the only honest way to say that the rest does not come
        else:
            self.client.refuse(self, status, detail)

    def _end_upstream(self) -> None:
        self.over = True
        self.pending.clear()
        self._stop_timers()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._first_byte is not None:
            self._first_byte.cancel()
        if self._grace is not None:
            self._grace.cancel()

    # the answer ----------------------------------------------------------------------------------------------------

    def informational(self, answer: answers.AnswerHead) -> None:
        """A 1xx answer before the real one."""
        if self.head.version == "1.1":
            self.client.write(answers.informational(answer))

    def switched(self, answer: answers.AnswerHead) -> None:
        """The model speaks WebSocket from here on; a time limit is for answers."""
        self._stop_timers()
        self.status = answer.status
        self.answered = self.closes = True
        self.client.write(answers.switching_head(answer, id_=self.hex_id))

    def answer_head(self, answer: answers.AnswerHead) -> None:
        """The answer's head: pass it on."""
        if self._first_byte is not None:
            self._first_byte.cancel()
        self.status = answer.status
        head = self.head
        if answer.length is None and not answer.bodiless:
            self._unframed = head.version == "1.0"
            self._rechunk = not self._unframed
        if (
            not head.keep_alive
            or not self.request_done  # it answers before it has read everything: the rest cannot be skipped safely
            or self._unframed
            or head.websocket
            or self.gateway.draining
        ):
            self.closes = True
        self.answered = True
        self.client.write(
            answers.client_head(answer, id_=self.hex_id, version=head.version, close=self.closes, rechunk=self._rechunk)
        )
        copy = self._copy
        if copy is not None:
            try:
                copy.answer_head(self.gateway.allowed(answer.headers), readable=answer.readable)
            except Exception as error:  # noqa: BLE001  see _bug
                self._bug(error)

    def answer_body(self, data: bytes) -> None:
        """A piece of the answer's body: pass it on."""
        self.client.write(b"%x\r\n%b\r\n" % (len(data), data) if self._rechunk else data)
        if self._copy is not None:
            try:
                self._copy.answer_part(data)
            except Exception as error:  # noqa: BLE001  see _bug
                self._bug(error)

    def answer_complete(self, fields: Headers) -> None:
        """The answer's last byte is here; `fields` are its trailers."""
        self._stop_timers()
        self.over = True
        self.connection = None
        if self._rechunk:
            self.client.write(b"0\r\n" + trailers(fields) + b"\r\n")
        now = self.gateway.clock()
        if self._measured >= 0 and self.started_us:
            self._measure(now)
        self._settle(outcome_of(self.status), "", now)
        self.client.answered(self)

    def _measure(self, now: int) -> None:
        """Count production's latency, to be compared between moments with and without the shadow."""
        slices = self.gateway.slices
        if slices is not None:
            try:
                slices.add(self._measured, now - self.started_us)
            except Exception as error:  # noqa: BLE001  see _bug
                self.gateway.bug(error)

    def _settle(self, outcome: Outcome, detail: str, now: int) -> None:
        """The arm that serves is done with it: what is copied goes to the runner."""
        self.serving.ledger.answered(now, failed=outcome not in _ANSWERS)
        if self._copy is None:
            return
        if self.request_done:
            self._hand_over(outcome, detail, now)
        else:  # the candidate is to get the same request: the client is listened to until it is whole
            self._early = (outcome, detail, now)

    def _hand_over(self, outcome: Outcome, detail: str, now: int) -> None:
        copy = self._copy
        if copy is None:
            return
        try:
            started = self.started_us or now
            copy.hand_over(outcome, self.status, latency_us=now - started, started_us=started, detail=detail)
        except Exception as error:  # noqa: BLE001  see _bug
            self._bug(error)

    def upstream_failed(self, outcome: Outcome, detail: str) -> None:
        """The model refused, reset, or took too long: that is its observation, and the user's error."""
        if self.over:
            return
        self._end_upstream()
        self._settle(outcome, detail, self.gateway.clock())
        self._give_up(504 if outcome == "timeout" else 502, f"{self.serving.epoch.serving}: {detail}")

    @property
    def unsettled(self) -> bool:
        """It was answered, and what the client still sends of it is wanted for its copy."""
        return self._early is not None and not self.request_done and self._copy is not None

    def _timed_out(self) -> None:
        self.upstream_failed("timeout", "no complete answer within its time limit")

    def _silent(self) -> None:
        self.upstream_failed("timeout", "no byte of an answer within its time limit")
