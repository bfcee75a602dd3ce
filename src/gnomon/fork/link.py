"""The link that carries copies to the runner.

Frames are numbered per gateway instance. A numbered frame stays here until the runner acknowledges it, inside one byte
budget; after a reconnect what is not acknowledged is sent again, whole. Nothing here is ever waited for.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import msgspec

from gnomon.fork.capture import Copy
from gnomon.records.frames import Ack, Call, Dropped, Exchange, Frame, Hello, Request, Settled

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
"""Seconds between two tries to connect; each pause is twice the one before it."""
_BUFFER_HIGH: Final = 1 << 20
_REST: Final = 0.001
"""Seconds between two writes to the runner: one costs a quarter of an exchange, and a busy gateway shares it."""
_PATIENCE: Final = 10.0
"""Seconds for the runner's first word on a connection; then another one is tried."""
_ACK_LIMIT: Final = 64
"""Bytes of an acknowledgement. Whoever announces more is not our runner."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Ack)


def encode(frame: Frame) -> bytes:
    """A frame with its length before it."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(4, "big") + body


class Link(asyncio.Protocol):
    """The connection to the runner: reconnects for ever, keeps what is not acknowledged, never blocks."""

    def __init__(
        self,
        path: str,
        *,
        instance: str,
        trial: str,
        sync: bool,
        budget: int,
        body_cap: int,
        bug: Callable[[Exception], None],
    ) -> None:
        self.path = path
        self.instance = instance
        self.trial = trial
        self.sync = sync
        self.body_cap = body_cap
        self._bug = bug
        self.held = 0
        """Bytes of captured and unacknowledged data: at most `budget`."""
        self.budget = budget
        self.unacknowledged: deque[Copy] = deque()
        self._unsent: deque[Copy] = deque()
        self._numbers = 0
        self._connections = 0
        self._transport: asyncio.Transport | None = None
        self._welcome = False  # the runner has answered on this connection
        self._writable = False
        self._out: list[bytes] = []
        self._in = b""
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._tries = 0
        self._resting = False
        self._tried_at = self._loop.time()

    @property
    def why_full(self) -> str:
        """The state of a copy for which there was no room."""
        return "shed:memory" if self.connected else "shed:unavailable"

    # sending -------------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the runner is there, and is ours: another trial's takes the connection and closes it again."""
        return self._welcome

    def call(self, request: Request) -> int:
        """Ask for the candidate's call now; the number of the connection it went over, 0 if it could not go."""
        if not self._writable:
            return 0
        self._put(encode(Call(request)))
        return self._connections

    def dropped(self, called_over: int, id_: bytes) -> None:
        """No exchange will follow the call that went over this connection. Small, so it does not wait its turn."""
        if self._transport is not None and called_over == self._connections:
            self._put(encode(Dropped(id_)))

    def hand_over(self, copy: Copy) -> None:
        """Number a finished exchange and send it, now or when the runner can take it.

        What raises before it is kept in `unacknowledged` has ended as the caller's fault. From then on it is this
        link's: whatever goes wrong, it is sent again over another connection.
        """
        self._numbers = copy.number = self._numbers + 1
        frame = self._encoded(copy) if self._writable and not self._unsent else None
        copy.ended = True
        self.unacknowledged.append(copy)
        try:
            if frame is None:
                self._unsent.append(copy)
            else:
                self._put(frame)
        except Exception as error:  # noqa: BLE001  a fault of ours costs the connection, never the process
            self._begin_again(error)

    def forget(self, copy: Copy) -> None:
        """Take back a copy that raised: no exchange follows a call that may have gone out for it."""
        if copy in self.unacknowledged:
            self.unacknowledged.remove(copy)
        if self.sync and self._transport is not None:
            self._put(encode(Dropped(copy.id)))

    def _begin_again(self, error: Exception) -> None:
        """Leave the connection; what is not acknowledged goes over the next one."""
        self._bug(error)
        if self._transport is not None:
            self._transport.abort()

    def _encoded(self, copy: Copy) -> bytes:
        assert copy.record is not None
        assert copy.request is not None
        if copy.called_over == self._connections:
            return encode(Settled(copy.number, copy.id, copy.record))
        return encode(Exchange(copy.number, copy.request, copy.record, self.sync))

    def _put(self, data: bytes) -> None:
        if not self._out and not self._resting:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def tick(self) -> None:
        """Mend what a fault may leave: bytes that nobody sends, a connection that never begins. Comes at intervals."""
        if self._out:
            self._flush()
        if not self._welcome and not self._stopped and self._loop.time() - self._tried_at > _PATIENCE:
            transport, self._transport = self._transport, None
            if transport is not None:
                transport.abort()
            self.connect()

    def _rested(self) -> None:
        self._resting = False
        if self._out:
            self._flush()

    def _flush(self) -> None:
        try:
            self._loop.call_later(_REST, self._rested)
            self._resting = True
            out, self._out = self._out, []
            if self._transport is not None and out:
                self._transport.write(b"".join(out))
        except Exception as error:  # noqa: BLE001  a fault of ours costs the connection, never the process
            self._begin_again(error)

    # the connection ------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Try in the background, and again after a short while for as long as it fails."""
        if not self._stopped:
            self._task = self._loop.create_task(self.open())

    async def open(self) -> None:
        """Try once; a failure is tried again later."""
        self._tried_at = self._loop.time()
        try:
            await self._loop.create_unix_connection(lambda: self, self.path)
        except OSError:
            self._again()

    def _again(self) -> None:
        if self._stopped:
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._tries, 10))
        self._tries += 1
        self._loop.call_later(pause, self.connect)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are, then send again what is not acknowledged."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        transport.set_write_buffer_limits(_BUFFER_HIGH)
        self._transport = transport
        self._connections += 1
        self._writable = True
        self._in = b""
        self._out.clear()
        self._unsent = deque(self.unacknowledged)
        self._put(encode(Hello(self.instance, os.getpid(), self.trial)))
        self._send_unsent()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        """Keep everything and come back."""
        self._welcome = self._writable = False
        if self._transport is not None:  # else it was given up, and another try is under way
            self._transport = None
            self._again()

    def pause_writing(self) -> None:
        """The runner does not keep up: hold what comes, inside the budget."""
        self._writable = False

    def resume_writing(self) -> None:
        """It does again."""
        self._writable = self._transport is not None
        self._send_unsent()

    def _send_unsent(self) -> None:
        size = 0
        while self._unsent and self._writable:
            copy = self._unsent.popleft()
            try:
                self._put(self._encoded(copy))
            except Exception as error:  # noqa: BLE001  a fault of ours costs the copy, never the process
                self._bug(error)
                copy.spoil()
            size += copy.size
            if size > _BUFFER_HIGH:  # in portions, so that a long backlog is not encoded twice over at once
                self._loop.call_soon(self._send_unsent)
                return

    def data_received(self, data: bytes) -> None:
        """Acknowledgements."""
        data = self._in + data
        at = 0
        try:
            while len(data) - at >= 4:
                size = int.from_bytes(data[at : at + 4], "big")
                if size > _ACK_LIMIT:
                    raise ValueError(f"the runner announces an acknowledgement of {size} bytes")  # noqa: TRY301
                end = at + 4 + size
                if end > len(data):
                    break
                self._acknowledged(_decoder.decode(data[at + 4 : end]).number)
                at = end
        except Exception as error:  # noqa: BLE001  what cannot be read is asked for again on another connection
            self._begin_again(error)
            return
        self._in = data[at:]

    def _acknowledged(self, number: int) -> None:
        self._welcome = True
        self._tries = 0  # only now: who is refused comes back ever more slowly
        waiting = self.unacknowledged
        while waiting and waiting[0].number <= number:
            copy = waiting[0]
            copy.ledger.handed_over(copy.id)
            copy.release()
            waiting.popleft()

    def stop(self) -> None:
        """Say goodbye after what is written."""
        self._stopped = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    async def drained(self, patience: float) -> bool:
        """Wait until all is acknowledged; False after `patience` seconds."""
        end = self._loop.time() + patience
        while self.unacknowledged and self._loop.time() < end:  # noqa: ASYNC110  an event would cost every request
            await asyncio.sleep(0.01)
        return not self.unacknowledged
