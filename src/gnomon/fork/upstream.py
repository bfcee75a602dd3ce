"""Connections to a model: pooled, last in first out, watched while idle, one exchange at a time."""

import asyncio
import re
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import httptools

from gnomon.fork.answers import AnswerHead, check_answer
from gnomon.fork.names import Headers, head_size
from gnomon.records.process import Upstream
from gnomon.tls import trusting

if TYPE_CHECKING:
    from gnomon.fork.exchange import Exchange

_KEEP_ALIVE: Final = re.compile(rb"timeout=(\d+)")
_BUFFER_HIGH: Final = 256 * 1024
_HEAD_LIMIT: Final = 256 * 1024
"""Bytes of an answer that are neither head nor body yet."""
_TOO_LONG: Final = f"the model's answer has more than {_HEAD_LIMIT} bytes beside its body"
_DOUBTFUL_SECONDS: Final = 0.02
"""A connection that was idle for longer is asked whether it is still there before it is used."""


def _parser(connection: "Connection") -> httptools.HttpResponseParser:
    """One that reads on after a 1xx that says that the connection closes: its answer is still to come (RFC 9110, 15.2).

    After any other answer what follows spoils the connection, whatever it says.
    """
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(lenient_keep_alive=True)
    return parser


class Connection(asyncio.Protocol):
    """One connection to a model. Parses answers; hands their parts to the exchange it serves."""

    __slots__ = (
        "_answer",
        "_free",
        "_headers",
        "_held",
        "_parser",
        "_reason",
        "_silent",
        "_skip_body",
        "_spoiled",
        "_trailing",
        "_unread",
        "exchange",
        "idle_since",
        "idle_us",
        "pool",
        "reused",
        "transport",
        "tunnel",
    )

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport | None = None
        self.tunnel = False
        self.idle_since = 0.0
        self.idle_us = pool.idle_us
        self._parser = _parser(self)
        self._headers: Headers = []
        self._trailing: Headers = []
        self._reason = b""
        self._answer: AnswerHead | None = None
        self._unread = 0
        self._free = False  # its answer is whole, and another request may follow
        self._spoiled = False  # nobody knows what its next byte would mean
        self._held = False
        self._skip_body = False
        self._silent = True  # nothing came for this exchange yet
        self.reused = False

    # asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        transport.set_write_buffer_limits(_BUFFER_HIGH)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.pool.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        if self.tunnel or (self._answer is not None and self._answer.until_close and exc is None):
            exchange.answer_complete([])
            exchange.client.flush()
            return
        if self.reused and self._silent and exchange.repeat():
            return
        exchange.upstream_failed("reset", str(exc or "the model closed the connection before its answer was complete"))

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.client.hold()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.client.unhold()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # a model that speaks unasked cannot be trusted with the next request
            self.close()
            return
        client = exchange.client
        if self.tunnel:
            client.write(data)
            client.flush()
            return
        self._silent = False
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(exchange, data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._invalid(error)
        if self._unread > _HEAD_LIMIT and self.exchange is not None:
            self._fail(_TOO_LONG)
        client.flush()
        if self._spoiled:
            self.close()
        elif self._free:
            # Only now: had it been free while its bytes were still parsed, what follows the answer could have been
            # taken for the answer to the next request.
            self._free = False
            self.pool.put(self)

    def _invalid(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):  # ours, not the model's
            self.pool.bug(error.__context__ if isinstance(error.__context__, Exception) else error)
        self._fail("the model's answer is not valid HTTP")

    def _upgraded(self, exchange: "Exchange", rest: bytes) -> None:
        answer = self._answer
        if self._spoiled or answer is None or answer.status != 101:
            self._spoiled = True
            return
        self.tunnel = True
        exchange.client.start_tunnel(self)
        if rest:
            exchange.client.write(rest)

    # one exchange --------------------------------------------------------------------------------------------------

    def start(self, exchange: "Exchange") -> None:
        """Serve this exchange from now on. The exchange writes its head and body."""
        self.exchange = exchange
        self._skip_body = exchange.head.method == b"HEAD"
        self._answer = None
        self._silent = True
        self._unread = 0
        exchange.begin(self)

    def write(self, data: bytes) -> None:
        """Send bytes to the model."""
        if self.transport is not None:
            self.transport.write(data)

    def hold(self) -> None:
        """Read no more: the client does not keep up."""
        if self.transport is not None and not self._held and not self.transport.is_closing():
            self._held = True
            self.transport.pause_reading()

    def unhold(self) -> None:
        """Read on."""
        if self.transport is not None and self._held and not self.transport.is_closing():
            self._held = False
            self.transport.resume_reading()

    def close(self) -> None:
        """End the connection; its exchange, if there is one, is no longer its business."""
        self.exchange = None
        self.pool.forget(self)
        if self.transport is None:
            return
        if self.tunnel:
            self.transport.close()  # the client's last words still go out
        else:
            self.transport.abort()

    def _fail(self, detail: str) -> None:
        self._spoiled = True
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.upstream_failed("reset", detail)

    # llhttp's callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.exchange is None:
            self._spoiled = True  # bytes after the answer
        self._headers = []
        self._reason = b""
        self._answer = None
        if self._trailing:
            self._trailing = []

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        (self._headers if self._answer is None else self._trailing).append((name, value))

    def on_headers_complete(self) -> None:
        exchange = self.exchange
        if exchange is None or self._spoiled:
            return
        if self._unread > _HEAD_LIMIT and head_size(self._headers) > _HEAD_LIMIT:
            self._fail(_TOO_LONG)
            return
        self._unread = 0
        parser = self._parser
        status = parser.get_status_code()
        answer = check_answer(status, self._reason, parser.get_http_version(), self._headers, to_head=self._skip_body)
        if answer is None:
            self._fail("the model's answer has a version, status or transfer coding that cannot be passed on")
            return
        self._answer = answer
        if status >= 200:
            exchange.answer_head(answer)
            if self._skip_body:  # llhttp would wait for a body that does not come
                self._finish(exchange, answer)
        elif status == 101:
            if exchange.head.websocket and parser.should_upgrade():
                exchange.switched(answer)
            else:
                self._fail("the model switched protocols without being asked")

    def on_body(self, data: bytes) -> None:
        self._unread = 0
        exchange, answer = self.exchange, self._answer
        if exchange is None or answer is None or answer.bodiless:
            self._spoiled = True  # bytes after the answer, or the body of one that has none
        elif not self._spoiled:
            exchange.answer_body(data)

    def on_message_complete(self) -> None:
        exchange, answer = self.exchange, self._answer
        if exchange is None or answer is None or self._spoiled:
            return
        if answer.status >= 200:
            if self._unread > _HEAD_LIMIT and head_size(self._trailing) > _HEAD_LIMIT:
                self._fail(_TOO_LONG)
            else:
                self._finish(exchange, answer)
        elif answer.status != 101:
            exchange.informational(answer)

    def _finish(self, exchange: "Exchange", answer: AnswerHead) -> None:
        self._free = self._parser.should_keep_alive() and exchange.request_done
        if self._skip_body:  # this parser waits for a body, and would take the next answer for it
            self._parser = _parser(self)
        self._spoiled = not self._free
        self.exchange = None
        if answer.keep_alive and (found := _KEEP_ALIVE.search(answer.keep_alive)):
            seconds = int(found[1])  # a second early, or half of it: the answer that says so is on its way already
            self.idle_us = min(self.pool.idle_us, int(max(seconds - 1, seconds / 2) * 1e6))
        exchange.answer_complete(self._trailing)

    def usable(self, now: float) -> bool:
        """Whether the model still listens here, as far as can be known."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        idle = now - self.idle_since
        if idle * 1e6 >= self.idle_us:
            return False
        if idle < _DOUBTFUL_SECONDS:
            return True
        poll = select.poll()  # the loop may not have looked yet; whatever there is to read, an end or a byte, spoils it
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)


class Pool:
    """Connections to one arm."""

    def __init__(
        self, arm: Upstream, *, idle_us: int, loop: asyncio.AbstractEventLoop, bug: Callable[[Exception], None]
    ) -> None:
        parts = urlsplit(arm.url)
        self.arm = arm
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.prefix = parts.path.rstrip("/").encode()
        self.paths = {ours.encode(): theirs.encode() for ours, theirs in arm.paths}
        self.fields = tuple([(name.encode(), value.encode("latin-1")) for name, value in arm.headers])
        self.rewrites = bool(self.paths or self.fields)
        self.tls = trusting(arm.ca_file) if parts.scheme == "https" else None
        self.idle_us = idle_us
        self.bug = bug
        self._idle: list[Connection] = []
        self._loop = loop
        self._connecting: set[asyncio.Task[None]] = set()

    def serve(self, exchange: "Exchange") -> None:
        """Give the exchange a connection: an idle one, or a new one when it is made."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(self._loop.time()):
                connection.start(exchange)
                return
            connection.close()
        self.open(exchange)

    def open(self, exchange: "Exchange") -> None:
        """Give the exchange a new connection when it is made."""
        task = self._loop.create_task(self._connect(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, exchange: "Exchange") -> None:
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self), self.host, self.port, ssl=self.tls
            )
        except OSError as error:
            exchange.upstream_failed("refused", f"{self.host}:{self.port} cannot be reached: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  whatever it was, the client must not wait for ever
            self.bug(error)
            exchange.upstream_failed("refused", f"{self.host}:{self.port} cannot be reached: {error}")
        else:
            if exchange.over:
                self.put(connection)
            else:
                connection.start(exchange)

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next exchange."""
        connection.unhold()
        connection.reused = True
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    @property
    def idle(self) -> int:
        """Connections that wait for an exchange."""
        return len(self._idle)

    def forget(self, connection: Connection) -> None:
        """It is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        now = self._loop.time()
        for connection in [c for c in self._idle if (now - c.idle_since) * 1e6 >= c.idle_us]:
            connection.close()

    def close(self) -> None:
        """Close every idle connection."""
        for connection in list(self._idle):
            connection.close()
