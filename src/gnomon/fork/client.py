"""Connections from clients: parse requests, answer them in their order, hold back who sends too fast."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from gnomon.fork import http1
from gnomon.fork.counters import INVALID_HEAD, SEEN
from gnomon.fork.exchange import Exchange

if TYPE_CHECKING:
    from gnomon.fork.gateway import Gateway
    from gnomon.fork.upstream import Connection

_BUFFER_HIGH: Final = 256 * 1024
_LINGER_SECONDS: Final = 2.0


class Refused:
    """A request that the gateway answers itself, in its turn; nothing is read after it."""

    __slots__ = ("data", "waiting")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.waiting = True


class Client(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_deaf",
        "_head_size",
        "_headers",
        "_holds",
        "_out",
        "_parser",
        "_queue",
        "_reading",
        "_replay",
        "_trailers",
        "_tunnel",
        "_upgrading",
        "_url",
        "active_at",
        "gateway",
        "peer",
        "transport",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.transport: asyncio.Transport | None = None
        self.peer = b"unknown"
        self.active_at = 0.0
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange | Refused] = deque()
        self._reading: Exchange | None = None
        self._headers: http1.Headers = []
        self._trailers: http1.Headers = []
        self._url = b""
        self._head_size = 0
        self._out: list[bytes] = []
        self._holds = False
        self._deaf = False
        self._replay: bytes | None = None
        self._tunnel: Connection | None = None
        self._upgrading: Exchange | None = None

    # asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        transport.set_write_buffer_limits(_BUFFER_HIGH)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        if peer:
            self.peer = str(peer[0]).encode()
        self.active_at = self.gateway.loop.time()
        self.gateway.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        self.transport = None
        self.gateway.clients.discard(self)
        for item in self._queue:
            if isinstance(item, Exchange):
                item.left()
        self._queue.clear()
        if self._reading is not None:
            self._reading.left()
            self._reading = None

    def pause_writing(self) -> None:
        connection = self._connection()
        if connection is not None:
            connection.hold()

    def resume_writing(self) -> None:
        connection = self._connection()
        if connection is not None:
            connection.unhold()

    def _connection(self) -> "Connection | None":
        if self._tunnel is not None:
            return self._tunnel
        first = self._queue[0] if self._queue else None
        return first.connection if isinstance(first, Exchange) else None

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.write(data)
            return
        if self._upgrading is not None:
            self._upgrading.body(data)
            return
        if self._deaf:
            return
        if self._reading is None:
            self._head_size += len(data)
        self._feed(data)
        if self._reading is None and self._head_size > http1.HEAD_LIMIT and not self._deaf:
            self._refuse_head(431, f"the head has more than {http1.HEAD_LIMIT} bytes")
        self.flush()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            replay, self._replay = self._replay, None
            if replay is not None:
                # An upgrade that is none of ours: llhttp stopped at the head. Another parser reads the same head
                # without it, and then the body.
                self._parser = httptools.HttpRequestParser(self)
                self._feed(replay + rest)
            elif not self._deaf:
                self._after_upgrade(rest)
        except httptools.HttpParserError as error:
            self._invalid(str(error))

    def _after_upgrade(self, rest: bytes) -> None:
        """WebSocket: bytes after the head wait for the model's answer to it."""
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Exchange):
            self._upgrading = last
            if rest:
                last.body(rest)

    def _invalid(self, detail: str) -> None:
        if self._deaf:
            return
        reading = self._reading
        if reading is None:
            self._refuse_head(400, f"not valid HTTP: {detail}")
            return
        self._deaf = True
        self._reading = None
        reading.broken(f"the body is not valid HTTP: {detail}")

    # llhttp's callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._trailers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        (self._headers if self._reading is None else self._trailers).append((name, value))

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._head_size = 0
        parser = self._parser
        head = http1.check_request(
            parser.get_method(),
            self._url,
            parser.get_http_version(),
            self._headers,
            keep_alive=parser.should_keep_alive(),
        )
        if isinstance(head, http1.Refusal):
            self._refuse_head(head.status, head.detail, head.state)
            return
        if parser.should_upgrade() and not head.websocket:
            self._replay = _without_upgrade(head, self._url)
            return
        if sum(len(name) + len(value) + 4 for name, value in self._headers) > http1.HEAD_LIMIT:
            self._refuse_head(431, f"the head has more than {http1.HEAD_LIMIT} bytes", "refused:too_large")
            return
        if len(self._queue) >= http1.READ_AHEAD:
            self._refuse_head(
                503, f"more than {http1.READ_AHEAD} requests wait on this connection", "refused:overloaded"
            )
            return
        exchange = Exchange(self.gateway, self, head)
        self._reading = exchange
        self._queue.append(exchange)
        if len(self._queue) == 1:
            exchange.go()
        elif len(self._queue) >= 4:
            self.hold()

    def on_body(self, data: bytes) -> None:
        if self._reading is not None and not self._deaf:
            self._reading.body(data)

    def on_message_complete(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None and not self._deaf:
            reading.complete(self._trailers)
            if not reading.head.keep_alive and not reading.head.websocket:
                self._deaf = True  # it said that nothing follows

    # answering -----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Add to what this loop turn sends."""
        self._out.append(data)

    def flush(self) -> None:
        """Send it in one write."""
        if self._out:
            out, self._out = self._out, []
            if self.transport is not None:
                self.transport.write(b"".join(out) if len(out) > 1 else out[0])

    def answered(self, exchange: Exchange) -> None:
        """The first in the queue is done: close, or let the next one go."""
        if not self._queue or self._queue[0] is not exchange:
            return
        self._queue.popleft()
        self.active_at = self.gateway.loop.time()
        if exchange.closes:
            if exchange.request_done:
                self.close()
            else:
                self._linger()
            return
        if self._holds and len(self._queue) < 4:
            self.unhold()
        self._next()

    def _next(self) -> None:
        if not self._queue:
            return
        first = self._queue[0]
        if isinstance(first, Refused):
            self.write(first.data)
            self._linger()
        elif first.waiting:
            first.go()

    def refuse(self, exchange: Exchange, status: int, detail: str) -> None:
        """Answer in production's place and close."""
        exchange.over = True
        exchange.closes = True
        exchange.answered = True
        data = http1.problem(status, detail, id_=exchange.id.hex().encode(), bodiless=exchange.head.method == b"HEAD")
        if self._queue and self._queue[0] is exchange:
            self.write(data)
            self.answered(exchange)
        else:
            index = self._queue.index(exchange)
            self._queue[index] = Refused(data)

    def _refuse_head(self, status: int, detail: str, state: str | None = None) -> None:
        """Refuse what is not worth an exchange; `state` counts it as a request, else as an invalid head."""
        self._deaf = True
        ledger = self.gateway.serving.ledger
        if state is None:
            ledger.slots[INVALID_HEAD] += 1
        else:
            ledger.slots[SEEN] += 1
            ledger.final(state)
        self._queue.append(Refused(http1.problem(status, detail)))
        if len(self._queue) == 1:
            self._next()

    def close(self) -> None:
        """Send what there is, then close; whoever still waits in the queue is not answered."""
        self._deaf = True
        self.flush()
        if self.transport is not None:
            self.transport.close()

    def _linger(self) -> None:
        """Close, but read on for a moment: bytes that meet a closed socket reset it, and the answer would be lost."""
        self._deaf = True
        self.flush()
        if self.transport is None or self.transport.is_closing():
            return
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.unhold()
        self.transport.write_eof()
        self.gateway.loop.call_later(_LINGER_SECONDS, self.close)

    def abort(self) -> None:
        """Close without a proper end, so that the client knows that its answer is not whole."""
        self._deaf = True
        self.flush()
        if self.transport is not None:
            self.transport.close()

    # holding back --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Read no more for now."""
        if not self._holds and self.transport is not None:
            self._holds = True
            self.transport.pause_reading()

    def unhold(self) -> None:
        """Read on."""
        if self._holds and self.transport is not None and not self.transport.is_closing():
            self._holds = False
            self.transport.resume_reading()

    @property
    def idle(self) -> bool:
        """Whether no request is open here."""
        return not self._queue and self._reading is None and self._tunnel is None

    # WebSocket -----------------------------------------------------------------------------------------------------

    def start_tunnel(self, connection: "Connection") -> None:
        """From now on bytes pass both ways."""
        self._tunnel = connection
        self.flush()

    def tunnelled(self, data: bytes) -> None:
        """Bytes from the model."""
        if self.transport is not None:
            self.transport.write(data)


def _without_upgrade(head: http1.RequestHead, url: bytes) -> bytes:
    """The head as it came, without what asks for another protocol."""
    skipped = {b"upgrade", b"http2-settings"}
    named = http1.named_by_connection(head.headers) - skipped
    lines = [name + b": " + value for name, value in head.headers if name.lower() not in skipped | {b"connection"}]
    kept = sorted(named) + ([] if head.keep_alive else [b"close"])
    if kept:
        lines.append(b"Connection: " + b", ".join(kept))
    start = head.method + b" " + url + b" HTTP/" + head.version.encode()
    return b"\r\n".join([start, *lines, b"", b""])
