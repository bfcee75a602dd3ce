"""The candidate's calls: plain HTTP/1.1 over pooled connections, and nothing that the user's client did not send.

Written for what a general client does not give: the two points in time between which both arms are measured (first
byte written, last byte read), the request target as it came (a URL type rewrites `/a/../b` and `"`), no header of the
client's own, and whether a connection that closed was a reused one. llhttp parses, as it does in the gateway.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

from gnomon.clock import Clock
from gnomon.protocols import caches
from gnomon.records.frames import Answer, Outcome, Request
from gnomon.tls import trusting

Done = Callable[[Answer], None]

ANSWER_HEADERS: Final = caches.TOLD_BY | {
    "content-type", "content-encoding", "inference-header-content-length", "retry-after", "x-model",
}  # fmt: skip
"""What is kept of an answer's headers; cookies and credentials never are."""

_OURS: Final = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
        "proxy-connection", "proxy-authorization", "authorization", "cookie",
    }
)  # fmt: skip
"""Headers of the captured request that do not go to the candidate: they belong to the connection, or to the user."""

HEAD_LIMIT: Final = 64 * 1024
HEADS_KEPT: Final = 256
"""Different sets of headers whose text is kept to be sent again."""
BODY_LIMIT: Final = 1 << 20
IDLE_SECONDS: Final = 4.0
STALL_SECONDS: Final = 0.1
"""A timer that comes later than this says that this process stood still, and nothing about the arm."""
_MAY_HAVE_NO_BODY: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


class Call:
    """One call that is under way. `done` is called once with its answer, unless it is cancelled before."""

    __slots__ = (
        "caller", "connection", "data", "done", "due", "head_only", "opening", "over", "stalled", "started_us", "timer",
    )  # fmt: skip

    def __init__(self, caller: "Caller", data: bytes, *, head_only: bool, done: Done) -> None:
        self.caller = caller
        self.data = data
        self.head_only = head_only
        self.done = done
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.due = 0.0
        self.stalled = False
        """Its time went on while we stood still: an answer that had come in time was read after its end."""
        self.started_us = 0
        self.over = False

    def finish(self, outcome: Outcome, detail: str = "") -> None:
        """End the call with what there is of an answer."""
        if self.over:
            return
        ended_us = self.caller.clock()
        connection = self.connection
        status, headers, body = (0, (), b"") if connection is None else connection.answer()
        latency_us = max(0, ended_us - self.started_us) if self.started_us else 0
        self._end()
        whole = body if outcome in {"ok", "4xx", "5xx"} else b""
        self.done(Answer(outcome, status, headers, whole, latency_us, self.started_us, detail))

    def cancel(self) -> None:
        """Give the call up; `done` is not called."""
        if not self.over:
            self._end()
            if self.connection is not None:
                self.connection.close()

    def fail(self, outcome: Outcome, detail: str) -> None:
        """End the call, and its connection with it."""
        connection = self.connection
        self.finish(outcome, detail)
        if connection is not None:
            connection.close()

    def _end(self) -> None:
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        if self.opening is not None:
            self.opening.cancel()
        self.caller.forget(self)


class Connection(asyncio.Protocol):
    """One connection to the arm; one call at a time."""

    __slots__ = (
        "_beside", "_body", "_call", "_caller", "_complete", "_head_size", "_headers", "_keep", "_parser", "_size",
        "_spoiled", "_status", "_transport", "_until_close", "idle_since", "reused",
    )  # fmt: skip

    def __init__(self, caller: "Caller") -> None:
        self._caller = caller
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._spoiled = False
        self.reused = False
        self.idle_since = 0.0
        self._clear()

    def _clear(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._status = self._size = self._head_size = self._beside = 0
        self._until_close = self._complete = self._keep = False

    def start(self, call: Call) -> None:
        """Write the request. The call's clock starts here."""
        assert self._transport is not None
        self._clear()
        self._call = call
        call.connection = self
        call.started_us = self._caller.clock()
        self._transport.write(call.data)

    def answer(self) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """What has come so far: status (0: none), the headers that are kept, the body."""
        kept = tuple([(name, value) for name, value in self._headers if name in ANSWER_HEADERS])
        return self._status, kept, b"".join(self._body)

    def close(self) -> None:
        """End the connection; its call, if there is one, is no longer its business."""
        self._call = None
        self._caller.drop(self)
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        """Whether another call may be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    # asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not registered as one

    def connection_lost(self, exc: Exception | None) -> None:
        """It has closed: the end of an answer without a length, or of a call."""
        self._caller.drop(self)
        call, self._call = self._call, None
        if call is None or call.over:
            return
        if self._until_close and exc is None:
            call.finish(_outcome(self._status))
        elif self.reused and not self._head_size:
            # It may have been closed before the request arrived. Once, on a new connection: our pool is not its fault.
            self._caller.reopen(call)
        else:
            call.finish("reset", str(exc or "the connection closed before the answer was complete"))

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        call = self._call
        if call is None:  # it speaks unasked: not to be trusted with the next call
            self.close()
            return
        if not self._status:
            self._head_size += len(data)
        size = self._size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            call.fail("reset", "the model switched protocols without being asked")
            return
        except httptools.HttpParserError as error:
            call.fail("reset", f"the answer is not valid HTTP: {error}")
            return
        # Since the last byte of a body: the parser keeps what it reads of one trailer, however long it is.
        self._beside = self._beside + len(data) if self._size == size else 0
        if self._complete:
            self._finish(call)
        elif self._size > self._caller.body_limit:
            call.fail("too_large", f"the answer is larger than {self._caller.body_limit} bytes")
        elif not self._status and self._head_size > HEAD_LIMIT:
            call.fail("too_large", f"the answer's head is larger than {HEAD_LIMIT} bytes")
        elif self._status and self._beside > HEAD_LIMIT:
            call.fail("too_large", f"the answer's head or its trailers are larger than {HEAD_LIMIT} bytes")

    def _finish(self, call: Call) -> None:
        assert self._transport is not None
        self._call = None
        keep = self._keep and not (self._spoiled or call.head_only or self._transport.get_write_buffer_size())
        if self._size > self._caller.body_limit:
            call.fail("too_large", f"the answer is larger than {self._caller.body_limit} bytes")
            return
        if keep:
            self._caller.put(self)  # first: what `done` begins may take it
            call.finish(_outcome(self._status))
        else:
            call.fail(_outcome(self._status), "")

    # llhttp's callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A status line begins."""
        if self._complete:
            self._spoiled = True  # bytes after the answer
        else:
            self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer."""
        if not self._status:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is complete; 1xx heads are passed over."""
        status = self._parser.get_status_code()
        if self._complete or status < 200:
            return
        self._status = status
        names = {name for name, _ in self._headers}
        self._until_close = not names & {"content-length", "transfer-encoding"} and status not in {204, 304}
        # llhttp does not know that an answer to HEAD has no body
        self._complete = self._call is not None and self._call.head_only

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._complete:
            self._spoiled = True
            return
        self._size += len(data)
        if self._size <= self._caller.body_limit:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if self._status:
            self._complete = True
            self._keep = self._parser.should_keep_alive()  # afterwards llhttp has forgotten


class Caller:
    """Calls to one arm."""

    def __init__(
        self,
        url: str,
        *,
        timeout_us: int,
        clock: Clock,
        authorization: str | None = None,
        body_limit: int = BODY_LIMIT,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.clock = clock
        self.body_limit = body_limit
        self._timeout = timeout_us / 1e6
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = trusting(ca_file) if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        own = f"host: {parts.netloc.rpartition('@')[2]}\r\nx-gnomon-shadow: 1\r\n"
        self._own = own + (f"authorization: {authorization}\r\n" if authorization else "")
        self._shared: dict[tuple[tuple[str, str], ...], str] = {}
        self._idle: list[Connection] = []
        self._calls: set[Call] = set()
        self._loop = asyncio.get_running_loop()

    def call(self, request: Request, done: Done) -> Call:
        """Send a copy of `request`; `done` gets the answer, later, whatever becomes of the call."""
        call = Call(self, self._message(request), head_only=request.method == "HEAD", done=done)
        self._calls.add(call)
        self._limit(call, self._timeout)
        while self._idle:
            connection = self._idle.pop()
            if not connection.usable:
                continue
            if self._loop.time() - connection.idle_since > IDLE_SECONDS:
                connection.close()
                continue
            connection.reused = True
            connection.start(call)
            return call
        self.reopen(call)
        return call

    def reopen(self, call: Call) -> None:
        """Send the call over a new connection."""
        call.connection = None
        call.started_us = 0
        call.opening = self._loop.create_task(self._open(call))

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """It is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    def forget(self, call: Call) -> None:
        """It is over."""
        self._calls.discard(call)

    def close(self) -> None:
        """Give up what is under way and close every connection."""
        for call in list(self._calls):
            call.cancel()
        for connection in list(self._idle):
            connection.close()

    def _limit(self, call: Call, seconds: float) -> None:
        call.due = self._loop.time() + seconds
        call.timer = self._loop.call_at(call.due, self._timed_out, call)

    def _timed_out(self, call: Call) -> None:
        overslept = self._loop.time() - call.due
        if overslept > STALL_SECONDS and not call.stalled:
            # We were stopped or starved. Timers come before what is there to be read: the arm gets back what we lost.
            call.stalled = True
            self._limit(call, min(overslept, self._timeout))
            return
        call.fail("timeout", f"no complete answer within {self._timeout:g} s")

    async def _open(self, call: Call) -> None:
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self), self._host, self._port, ssl=self._tls
            )
        except (OSError, UnicodeError) as error:
            call.opening = None
            reason = getattr(error, "strerror", None) or str(error)
            call.finish("refused", f"{self._host}:{self._port} cannot be reached: {reason}")
            return
        call.opening = None
        if call.over:
            self.put(connection)
        else:
            connection.start(call)

    def _message(self, request: Request) -> bytes:
        shared = self._shared.get(request.headers)
        if shared is None:
            shared = self._headers(request.headers)
        body = request.body
        length = f"content-length: {len(body)}\r\n" if body or request.method not in _MAY_HAVE_NO_BODY else ""
        line = f"{request.method} {self._prefix}{request.target} HTTP/1.1\r\n"
        head = f"{line}{shared}{length}x-gnomon-id: {request.id.hex()}\r\n\r\n"
        return head.encode("latin-1", "replace") + body

    def _headers(self, headers: tuple[tuple[str, str], ...]) -> str:
        """What a request's headers become. Most requests carry the same few, so each text is made once."""
        lines = [
            f"{name}: {value}\r\n" for name, value in headers if name not in _OURS and not name.startswith("x-gnomon-")
        ]
        if len(self._shared) >= HEADS_KEPT:
            self._shared.clear()
        made = self._shared[headers] = "".join([self._own, *lines])
        return made


def _outcome(status: int) -> Outcome:
    if status < 400:
        return "ok"
    return "4xx" if status < 500 else "5xx"
