"""Connections from clients: parse requests, answer them in their order, hold back who sends too fast."""

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from gnomon.fork.answers import problem
from gnomon.fork.counters import INVALID_HEAD, SEEN
from gnomon.fork.exchange import Exchange
from gnomon.fork.http1 import HEAD_LIMIT, LINE_LIMIT, READ_AHEAD, Refusal, check_request, without_upgrade
from gnomon.fork.names import Headers, head_size
from gnomon.fork.wire import Wire

if TYPE_CHECKING:
    from gnomon.fork.gateway import Gateway, Serving
    from gnomon.fork.upstream import Connection

_BUFFER_HIGH: Final = 256 * 1024
_HOLD_AT: Final = 4
"""Requests in the queue from which on no more are read."""


def _over(limit: int | None) -> str:
    return f"the body has more than {limit} bytes"


_LINE_END: Final = 2
"""Bytes that some clients send after a body, and that begin nothing."""


class Refused:
    """A request that the gateway answers itself, in its turn; nothing is read after it."""

    __slots__ = ("data", "waiting")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.waiting = True


class Client(Wire):
    """One client connection."""

    __slots__ = (
        "_ahead",
        "_before",
        "_data",
        "_headers",
        "_parser",
        "_queue",
        "_reading",
        "_replay",
        "_trailers",
        "_tunnel",
        "_unread",
        "_upgrading",
        "_url",
        "active_at",
        "feeding",
        "heard",
        "peer",
        "probed",
        "quiet_since",
    )

    def __init__(self, gateway: "Gateway", probed: "Serving | None" = None) -> None:
        super().__init__(gateway)
        self.probed = probed
        """The supervisor's, which probes: who serves it."""
        self.peer = b"unknown"
        self.active_at = 0.0
        self.feeding = False
        """Bytes are being parsed; what is written to the model meanwhile goes in one write at their end."""
        self.heard = False
        """Bytes came since the last sweep."""
        self.quiet_since: float | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange | Refused] = deque()
        self._reading: Exchange | None = None
        self._headers: Headers = []
        self._trailers: Headers = []
        self._url = b""
        self._data = b""  # what is being parsed
        self._before: list[bytes] = []  # what came of the same head earlier
        self._unread = 0  # bytes since the last whole head or piece of a body
        self._replay: bytes | None = None
        self._upgrading = False
        self._ahead = b""  # what came after a WebSocket's head, before the model agreed
        self._tunnel: Connection | None = None

    # asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        transport.set_write_buffer_limits(_BUFFER_HIGH)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = str(peer[0]).encode()
        self.active_at = self.gateway.loop.time()
        self.gateway.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        self.transport = None
        self.deaf = True
        self.gateway.clients.discard(self)
        if self.lingers is not None:
            self.lingers.cancel()
        queue, self._queue = self._queue, deque()
        reading, self._reading = self._reading, None
        if reading is not None and reading.unsettled:
            reading.left()
        for item in queue:
            if isinstance(item, Exchange):
                item.left()

    def pause_writing(self) -> None:
        self.congested = True
        connection = self._connection()
        if connection is not None:
            connection.hold()

    def resume_writing(self) -> None:
        self.congested = False
        connection = self._connection()
        if connection is not None:
            connection.unhold()

    def _connection(self) -> "Connection | None":
        if self._tunnel is not None:
            return self._tunnel
        first = self._queue[0] if self._queue else None
        return first.connection if isinstance(first, Exchange) else None

    def data_received(self, data: bytes) -> None:  # noqa: C901  every read pays for a call
        if self.deaf:
            return
        if self._upgrading:
            self._beyond_http(data)
            return
        self._unread += len(data)
        self._data = data
        self.feeding = self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._invalid(error)
        self.feeding = False
        if self._url:  # of a head that is not complete
            self._before.append(data)
        elif self._before:
            self._before = []
        if self._unread > HEAD_LIMIT and not self.deaf:
            self._too_long()
        if self._queue:
            first = self._queue[0]
            if isinstance(first, Exchange) and first.pending:
                first.flush()
        if self.out:
            self.flush()

    def _upgrade(self, rest: bytes) -> None:
        """Llhttp stopped after a head; `rest` is what follows it."""
        while not self.deaf:
            replay, self._replay = self._replay, None
            if replay is None:  # WebSocket: what follows waits for the model's agreement
                self._upgrading = True
                self._beyond_http(rest)
                return
            # An upgrade that is none of ours: another parser reads the same head without it, and then the body.
            self._parser = httptools.HttpRequestParser(self)
            data = replay + rest
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                rest = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._invalid(error)
            else:
                return

    def _beyond_http(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.write(data)
            return
        self._ahead += data
        if len(self._ahead) > HEAD_LIMIT:
            self.hold()

    def _invalid(self, error: httptools.HttpParserError) -> None:
        if self.deaf:
            return
        status, detail = (505 if "HTTP version" in str(error) else 400), f"not valid HTTP: {error}"
        if isinstance(error, httptools.HttpParserCallbackError):  # ours, not theirs
            self.gateway.bug(error.__context__ if isinstance(error.__context__, Exception) else error)
            status, detail = 500, "a fault in the gateway"
        if self._reading is None:
            if len(self._url) > LINE_LIMIT:
                self._too_long()
            else:
                self._refuse_head(status, detail)
            return
        self._break_off(status, detail)

    def _too_long(self) -> None:
        """A head, a chunk's extension or a trailer without an end."""
        reading = self._reading
        if reading is None and len(self._url) > LINE_LIMIT:
            self._refuse_head(414, f"the target has more than {LINE_LIMIT} bytes")
        elif reading is None:
            self._refuse_head(431, f"the head has more than {HEAD_LIMIT} bytes")
        else:
            self._break_off(431, f"more than {HEAD_LIMIT} bytes beside the body")

    def _break_off(self, status: int, detail: str) -> None:
        """Read no more of a request whose body cannot become whole."""
        reading, self._reading = self._reading, None
        self.deaf = True
        if reading is not None:
            reading.broken(status, detail)

    def sweep(self, now: float) -> None:
        """End what a client began and does not go on with. Comes at intervals: no request pays for a timer."""
        config = self.gateway.config
        begun = self._reading is None and (self._unread > _LINE_END or self._url != b"")
        limit = config.head_us if begun else config.body_pause_us if self._reading is not None else None
        heard, self.heard = self.heard, False
        if limit is None or self.deaf or self.holds or (heard and not begun):
            self.quiet_since = None
        elif self.quiet_since is None:
            self.quiet_since = now
        elif (now - self.quiet_since) * 1e6 >= limit:
            if begun:
                self._refuse_head(408, f"the request's head was not complete within {limit / 1e6:g} s")
            else:
                self._break_off(408, f"nothing of the request's body came for {limit / 1e6:g} s")

    # llhttp's callbacks --------------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        (self._headers if self._reading is None else self._trailers).append((name, value))

    def on_headers_complete(self) -> None:  # noqa: C901  every request pays for a call
        if self.deaf:
            return
        parser = self._parser
        upgrade = parser.should_upgrade()
        url, headers = self._url, self._headers
        self._url, self._headers = b"", []
        self.quiet_since = None
        head = check_request(
            parser.get_method(),
            url,
            parser.get_http_version(),
            headers,
            keep_alive=parser.should_keep_alive(),
            upgrade=upgrade,
        )
        if url + b" HTTP/" not in self._data and not self._is_http(url):
            head = Refusal(505, "only HTTP is spoken here; use HTTP/1.1", None)
        if isinstance(head, Refusal):
            self._refuse_head(head.status, head.detail, head.state)
            return
        if self._unread > HEAD_LIMIT and head_size(headers) > HEAD_LIMIT:
            self._refuse_head(431, f"the head has more than {HEAD_LIMIT} bytes")
            return
        self._unread = 0
        limit = self.gateway.body_limit
        if limit is not None and head.length is not None and head.length > limit:
            self._refuse_head(413, _over(limit), "refused:too_large")
            return
        if upgrade and not head.websocket:
            self._replay = without_upgrade(head, url)
            return
        if self._before:
            self._before = []
        queue = self._queue
        if len(queue) >= READ_AHEAD:
            self._refuse_head(503, f"more than {READ_AHEAD} requests wait on this connection", "refused:overloaded")
            return
        exchange = Exchange(self.gateway, self, head)
        self._reading = exchange
        queue.append(exchange)
        if len(queue) == 1:
            exchange.go()
        elif len(queue) >= _HOLD_AT:
            self.hold()

    def _is_http(self, url: bytes) -> bool:
        """Whether the request line says so: llhttp takes RTSP and ICE for it, and does not tell."""
        return re.search(re.escape(url) + rb" +HTTP/", b"".join([*self._before, self._data])) is not None

    def on_body(self, data: bytes) -> None:
        self._unread = 0
        reading = self._reading
        if reading is not None and not self.deaf and not reading.body(data):
            self._break_off(413, _over(self.gateway.body_limit))

    def on_message_complete(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None and not self.deaf:
            if self._unread > HEAD_LIMIT and head_size(self._trailers) > HEAD_LIMIT:
                self._reading = reading
                self._too_long()
                return
            self._unread = 0
            self.quiet_since = None
            reading.complete(self._trailers)
            if self._trailers:
                self._trailers = []
            if reading.over:
                self.deaf = True  # its answer has ended the connection already
            elif not reading.head.keep_alive and not reading.head.websocket:
                self.deaf = True  # it said that nothing follows

    # answering -----------------------------------------------------------------------------------------------------

    def answered(self, exchange: Exchange) -> None:
        """The first in the queue is done: close, or let the next one go."""
        queue = self._queue
        if not queue or queue[0] is not exchange:
            return
        queue.popleft()
        self.active_at = self.gateway.loop.time()
        if exchange.closes:
            if exchange.request_done and not exchange.head.keep_alive and not queue:
                self.close()  # it said itself that nothing follows
            else:
                self.linger()
                self.deaf = not exchange.unsettled
            for item in queue:  # what was asked after it is not answered: the client has to ask again
                if isinstance(item, Exchange):
                    item.left()
            queue.clear()
            return
        if self.holds and len(queue) < _HOLD_AT:
            self.unhold()
        if queue:
            self._next()

    def _next(self) -> None:
        first = self._queue[0]
        if isinstance(first, Refused):
            self.write(first.data)
            self.linger()
        elif first.waiting:
            first.go()

    def refuse(self, exchange: Exchange, status: int, detail: str) -> None:
        """Answer in production's place and close."""
        exchange.over = True
        exchange.closes = True
        exchange.answered = True
        data = problem(status, detail, id_=exchange.hex_id, bodiless=exchange.head.method == b"HEAD")
        if self._queue and self._queue[0] is exchange:
            self.write(data)
            self.answered(exchange)
        else:
            index = self._queue.index(exchange)
            self._queue[index] = Refused(data)

    def _refuse_head(self, status: int, detail: str, state: str | None = None) -> None:
        """Refuse what is not worth an exchange; `state` counts it as a request, else as an invalid head."""
        self.deaf = True
        ledger = (self.probed or self.gateway.serving).ledger
        if state is None:
            ledger.slots[INVALID_HEAD] += 1
        else:
            ledger.slots[SEEN] += 1
            ledger.final(state)
        bodiless = self._parser.get_method() == b"HEAD"
        self._queue.append(Refused(problem(status, detail, bodiless=bodiless)))
        if len(self._queue) == 1:
            self._next()

    @property
    def idle(self) -> bool:
        """Whether no request is open here."""
        return not self._queue and self._reading is None and self._tunnel is None

    # WebSocket -----------------------------------------------------------------------------------------------------

    def start_tunnel(self, connection: "Connection") -> None:
        """From now on bytes pass both ways."""
        self._tunnel = connection
        ahead, self._ahead = self._ahead, b""
        if ahead:
            connection.write(ahead)
        self.unhold()
