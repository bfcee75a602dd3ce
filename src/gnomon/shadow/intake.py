"""The intake: a unix socket on which gateways send frames. Acknowledges what is committed, and nothing else."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from gnomon.records.frames import Ack, Call, Dropped, Exchange, Frame, Hello, Request, Settled

FRAME_LIMIT: Final = 64 << 20
_decoder: Final = msgspec.msgpack.Decoder(Frame)
_encoder: Final = msgspec.msgpack.Encoder()


class Receiver(Protocol):
    """What is done with frames."""

    def greeted(self, gateway: "Gateway") -> int:
        """A gateway said who it is; the highest number of it that is committed."""

    def call(self, gateway: "Gateway", request: Request) -> None:
        """Sync mode: the request is complete."""

    def settled(self, gateway: "Gateway", frame: Settled) -> None:
        """Sync mode: production finished."""

    def exchange(self, gateway: "Gateway", frame: Exchange, payload: bytes) -> None:
        """A whole exchange. `payload`: the frame as it came."""

    def dropped(self, gateway: "Gateway", id: bytes) -> None:  # noqa: A002  the frame's name for it
        """No exchange will follow a call."""

    def left(self, gateway: "Gateway") -> None:
        """The connection is closed; everything that came over it has been given."""


class Gateway(asyncio.Protocol):
    """One connection of one gateway."""

    def __init__(self, receiver: Receiver, connections: set["Gateway"], *, trial: str) -> None:
        self._receiver = receiver
        self._trial = trial
        self._welcome = self._closed = False
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self.instance = ""
        self.number = 0
        """The highest number that came over this connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A gateway is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's unix transports are not registered as one
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        """It has left, or died."""
        self._transport = None
        self._connections.discard(self)
        self._receiver.left(self)

    def data_received(self, data: bytes) -> None:
        """Take every frame that is complete."""
        if self._rest:
            data = self._rest + data
        at, end_of_data = 0, len(data)
        try:
            while end_of_data - at >= 4:
                length = int.from_bytes(data[at : at + 4], "big")
                if length > FRAME_LIMIT:
                    self.close()  # not a gateway of ours
                    return
                end = at + 4 + length
                if end > end_of_data:
                    break
                self._take(data[at + 4 : end])
                if self._closed:
                    return
                at = end
        except msgspec.DecodeError:  # a gateway of ours will come back and send again
            self.close()
            return
        self._rest = data[at:] if at else data

    def _take(self, payload: bytes) -> None:
        frame = _decoder.decode(payload)
        if not self._welcome:
            self._greet(frame)
        elif isinstance(frame, Settled):
            self._receiver.settled(self, frame)
        elif isinstance(frame, Call):
            self._receiver.call(self, frame.request)
        elif isinstance(frame, Exchange):
            self._receiver.exchange(self, frame, payload)
        elif isinstance(frame, Dropped):
            self._receiver.dropped(self, frame.id)

    def _greet(self, frame: Frame) -> None:
        """Take the first frame. A gateway that outlived its supervisor finds the next trial's runner at its socket."""
        if not isinstance(frame, Hello) or frame.trial != self._trial:
            self.close()
            return
        self._welcome = True
        self.instance = frame.instance
        self.acknowledge(self._receiver.greeted(self))

    def acknowledge(self, number: int) -> None:
        """Everything up to `number` is committed."""
        if self._transport is not None:
            body = _encoder.encode(Ack(number))
            self._transport.write(len(body).to_bytes(4, "big") + body)

    def hold(self, *, held: bool) -> None:
        """Stop reading, or go on: the socket's buffer fills, and the gateway sees it."""
        if self._transport is not None and not self._transport.is_closing():
            if held and self._transport.is_reading():
                self._transport.pause_reading()
            elif not held and not self._transport.is_reading():
                self._transport.resume_reading()

    def close(self) -> None:
        """End the connection. What is not acknowledged is sent again over the next one."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()


class Intake:
    """The socket of one trial and its connections."""

    def __init__(self, receiver: Receiver, *, trial: str) -> None:
        self.connections: set[Gateway] = set()
        self._receiver = receiver
        self._trial = trial
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Open the socket, mode 0600. The caller holds the lock: a socket file that is there is a dead one's."""
        _clear(path)
        before = os.umask(0o177)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(self._accept, str(path))
        finally:
            os.umask(before)
        self._path = path

    def _accept(self) -> Gateway:
        return Gateway(self._receiver, self.connections, trial=self._trial)

    def hold(self, *, held: bool) -> None:
        """Stop or resume reading from every gateway."""
        for gateway in self.connections:
            gateway.hold(held=held)

    def has(self, instance: str) -> bool:
        """Whether a connection of this gateway instance is open: what it sent may not all be read yet."""
        return any(gateway.instance == instance for gateway in self.connections)

    def close(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        for gateway in list(self.connections):
            gateway.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
