"""One request on its way: production's side, which must be right, and the copy, which may fail."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

from gnomon.fork import http1
from gnomon.fork.capture import Copy
from gnomon.fork.counters import SEEN
from gnomon.records.frames import Outcome, Request

if TYPE_CHECKING:
    from gnomon.fork.client import Client
    from gnomon.fork.gateway import Gateway, Serving
    from gnomon.fork.upstream import Connection

P = ParamSpec("P")


def outcome_of(status: int) -> Outcome:
    """The outcome that a status means."""
    if status >= 500:
        return "5xx"
    return "4xx" if status >= 400 else "ok"


class Exchange:
    """A request with a valid head, from its first byte to the last byte of its answer."""

    __slots__ = (
        "_copy",
        "_pending",
        "_rechunk",
        "_timer",
        "answered",
        "client",
        "closes",
        "connection",
        "gateway",
        "head",
        "id",
        "over",
        "request_done",
        "serving",
        "started_us",
        "status",
        "time_us",
        "waiting",
    )

    def __init__(self, gateway: "Gateway", client: "Client", head: http1.RequestHead) -> None:
        self.gateway = gateway
        self.client = client
        self.head = head
        self.serving: Serving = gateway.serving  # the epoch it started in is the epoch it ends in
        self.time_us = gateway.clock()
        self.id = gateway.ids.new(self.time_us)
        self.connection: Connection | None = None
        self.request_done = False
        self.waiting = True  # behind another request of the same client
        self.answered = False  # a byte of the answer went to the client
        self.over = False
        self.status = 0
        self.started_us = 0
        self.closes = False
        self._pending: list[bytes] = []
        self._rechunk = False
        self._timer: asyncio.TimerHandle | None = None
        self._copy: Copy | None = None
        self.serving.ledger.slots[SEEN] += 1
        try:
            self._copy = self._fork()
        except Exception as error:  # noqa: BLE001  a fault of ours costs the copy, never the answer
            self._bug(error)

    # the copy ------------------------------------------------------------------------------------------------------

    def _fork(self) -> Copy | None:
        """Decide whether this request is copied; counts it at once if it is not."""
        gateway, head, ledger = self.gateway, self.head, self.serving.ledger
        if (head.method, head.path) not in gateway.routes:
            ledger.final("passed")
            return None
        if head.websocket:
            ledger.final("guarded:upgrade")
            return None
        if not gateway.toss(self.id):
            ledger.final("unsampled")
            return None
        if gateway.bucket is not None and not gateway.bucket.take():
            ledger.final("shed:budget")
            return None
        if not http1.readable(head.headers):
            ledger.final("guarded:unreadable_coding")
            return None
        config = gateway.config
        request = Request(
            id=self.id,
            time_us=self.time_us,
            method=head.method.decode("latin-1"),
            target=head.target.decode("latin-1"),
            headers=gateway.allowed(head.headers),
            body=b"",
            route=f"{head.method.decode('latin-1')} {head.path.decode('latin-1')}",
            stratum="all",
            probability=config.shadow_rate,
            epoch=self.serving.epoch.number,
            serving=self.serving.epoch.serving,
        )
        return Copy(gateway.link, ledger, request)

    def _shadow(self, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do one step of the shadow code. What it raises ends the copy and nothing else."""
        try:
            step(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  a fault of ours costs the copy, never the answer
            self._bug(error)

    def _bug(self, error: Exception) -> None:
        copy, self._copy = self._copy, None
        self.gateway.bug(error)
        if copy is None:
            self.serving.ledger.final("shed:bug", self.id)
        elif not copy.ended:
            copy.drop("shed:bug")

    # the request ---------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """It is this request's turn: find a connection to the model that serves."""
        self.waiting = False
        self.serving.pool.serve(self)

    def begin(self, connection: "Connection") -> None:
        """Write what there is of the request."""
        self.connection = connection
        self.started_us = self.gateway.clock()
        arm = self.serving.pool
        head = http1.upstream_head(
            self.head,
            prefix=arm.prefix,
            id_=self.id.hex().encode(),
            peer=self.client.peer,
            credentials=self.serving.credentials,
        )
        connection.write(b"".join((head, *self._pending)))
        self._pending.clear()
        self.client.unhold()
        limit = arm.arm.timeout_us
        if limit is not None:
            self._timer = self.gateway.loop.call_later(limit / 1e6, self._timed_out)

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self._copy is not None:
            self._shadow(self._copy.request_part, data)
        self._write(b"%x\r\n%b\r\n" % (len(data), data) if self.head.chunked else data)

    def complete(self, trailers: http1.Headers) -> None:
        """The request's last byte is here."""
        self.request_done = True
        if self.head.chunked:
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
            self._write(b"0\r\n" + fields + b"\r\n")
        if self._copy is not None:
            self._shadow(self._copy.request_complete)

    def _write(self, data: bytes) -> None:
        if self.over:
            return
        if self.connection is not None:
            self.connection.write(data)
            return
        self._pending.append(data)
        if len(self._pending) > 1:
            self.client.hold()  # no connection yet: the rest may stay in the client's socket

    def broken(self, detail: str) -> None:
        """The request's body is not valid, or an answer came before its end."""
        if self._copy is not None:
            self._shadow(self._copy.drop, "guarded:invalid_body")
        self._end_upstream()
        if self.answered:
            self.client.abort()
        else:
            self.client.refuse(self, 400, detail)

    def left(self) -> None:
        """The client is gone: nobody waits for the answer."""
        if self.over:
            return
        if self._copy is not None:
            self._shadow(self._copy.drop, "cancelled")
        self._end_upstream()

    def _end_upstream(self) -> None:
        self._stop_timer()
        self.over = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # the answer ----------------------------------------------------------------------------------------------------

    def informational(self, answer: http1.AnswerHead) -> None:
        """A 1xx answer before the real one."""
        if self.head.version == "1.1":
            self.client.write(http1.informational(answer.status, answer.reason, answer.headers))

    def answer_head(self, answer: http1.AnswerHead) -> None:
        """The answer's head: pass it on."""
        self.status = answer.status
        old = self.head.version == "1.0"
        self._rechunk = not answer.bodiless and answer.length is None and not old
        unframed = old and not answer.bodiless and answer.length is None
        early = not self.request_done  # it answers before it has read everything: the rest cannot be skipped safely
        self.closes = (
            self.closes or unframed or early or self.head.websocket or not self.head.keep_alive or self.gateway.draining
        )
        self.answered = True
        if answer.status == 101:
            self.client.write(_switching(answer, self.id))
            return
        self.client.write(
            http1.client_head(
                answer,
                id_=self.id.hex().encode(),
                version=self.head.version,
                close=self.closes,
                rechunk=self._rechunk,
            )
        )
        if self._copy is not None:
            self._shadow(self._answer_headers, answer)

    def _answer_headers(self, answer: http1.AnswerHead) -> None:
        copy = self._copy
        assert copy is not None
        copy.answer_headers = self.gateway.allowed(answer.headers)
        if not http1.readable(answer.headers):
            copy.drop("guarded:unreadable_coding")

    def answer_body(self, data: bytes) -> None:
        """A piece of the answer's body: pass it on."""
        self.client.write(b"%x\r\n%b\r\n" % (len(data), data) if self._rechunk else data)
        if self._copy is not None:
            self._shadow(self._copy.answer_part, data)

    def answer_complete(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        """The answer's last byte is here."""
        finished_us = self.gateway.clock()
        self._stop_timer()
        self.over = True
        self.connection = None
        if self._rechunk:
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
            self.client.write(b"0\r\n" + fields + b"\r\n")
        if self._copy is not None:
            if self.request_done:
                self._shadow(self._settle, outcome_of(self.status), self.status, finished_us)
            else:
                self._shadow(self._copy.drop, "guarded:invalid_body")
        self.client.answered(self)

    def _settle(self, outcome: Outcome, status: int, finished_us: int, detail: str = "") -> None:
        copy = self._copy
        assert copy is not None
        started_us = self.started_us or finished_us
        copy.hand_over(outcome, status, latency_us=finished_us - started_us, started_us=started_us, detail=detail)

    def upstream_failed(self, outcome: Outcome, detail: str) -> None:
        """The model refused, reset, or took too long: that is its observation, and the user's error."""
        if self.over:
            return
        self._end_upstream()
        if self._copy is not None:
            if self.request_done:
                self._shadow(self._settle, outcome, self.status, self.gateway.clock(), detail)
            else:  # the user's request is not whole, so the candidate cannot get the same one
                self._shadow(self._copy.drop, "guarded:invalid_body")
        if self.answered:
            self.client.abort()  # the only honest way to say that the rest does not come
        else:
            self.client.refuse(self, 504 if outcome == "timeout" else 502, f"production: {detail}")

    def _timed_out(self) -> None:
        self.upstream_failed("timeout", "no complete answer within its time limit")


def _switching(answer: http1.AnswerHead, id_: bytes) -> bytes:
    """The head of a 101: its Connection and Upgrade are what it is about."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in answer.headers)
    return b"HTTP/1.1 101 %b\r\n%bx-gnomon-id: %b\r\n\r\n" % (answer.reason, lines, id_.hex().encode())
