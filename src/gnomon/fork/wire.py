"""The socket of a client: written in one go, held back when it sends too fast, closed so that the last words arrive."""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gnomon.fork.gateway import Gateway

_LINGER_SECONDS: Final = 2.0


class Wire(asyncio.Protocol):
    """What a client's connection can do without knowing HTTP."""

    __slots__ = ("congested", "deaf", "gateway", "holds", "lingers", "out", "transport")

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.transport: asyncio.Transport | None = None
        self.out: list[bytes] = []
        """What the next flush sends."""
        self.holds = False
        """Nothing is read for now."""
        self.congested = False
        """The client does not read fast enough."""
        self.deaf = False
        """What still comes is not looked at."""
        self.lingers: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Add to what this loop turn sends."""
        self.out.append(data)

    def flush(self) -> None:
        """Send it in one write."""
        if self.out:
            out, self.out = self.out, []
            if self.transport is not None:
                self.transport.write(b"".join(out) if len(out) > 1 else out[0])

    def close(self) -> None:
        """Send what there is, then close; whoever still waits in the queue is not answered."""
        self.deaf = True
        self.flush()
        if self.transport is not None:
            self.transport.close()

    def linger(self) -> None:
        """Close, but read on for a moment: bytes that meet a closed socket reset it, and the answer would be lost."""
        self.deaf = True
        self.flush()
        if self.transport is None or self.transport.is_closing() or self.lingers is not None:
            return
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.unhold()
        self.transport.write_eof()
        self.lingers = self.gateway.loop.call_later(_LINGER_SECONDS, self.close)

    def abort(self, *, reset: bool) -> None:
        """Close without a proper end, so that the client knows that its answer is not whole.

        `reset`: nothing but the end of the connection would tell, so that has to be a reset.
        """
        self.deaf = True
        self.flush()
        transport = self.transport
        if transport is None:
            return
        if reset:
            tcp = transport.get_extra_info("socket")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()

    # holding back --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Read no more for now."""
        transport = self.transport
        if not self.holds and transport is not None and not transport.is_closing():
            self.holds = True
            transport.pause_reading()

    def unhold(self) -> None:
        """Read on."""
        transport = self.transport
        if self.holds and transport is not None and not transport.is_closing():
            self.holds = False
            transport.resume_reading()
