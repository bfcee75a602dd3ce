"""The control socket: JSON lines from the supervisor, one answer for each.

{"epoch": {"number": 2, "serving": "candidate"}, "trial": "fraud.1"}
                     who serves from now on; a number that is not higher, or another trial, changes nothing
{"pause": true, "trial": "fraud.1"}
                     shadow nothing until {"pause": false, ...}
{"status": true}     the trial, counts, connections, bytes held, whether the runner is there
{"listener": true}   the listening socket (SCM_RIGHTS), for a supervisor that takes over
{"drain": true}      the same as SIGTERM
"""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gnomon.records.process import Epoch

if TYPE_CHECKING:
    from gnomon.fork.gateway import Gateway


def bound(path: Path) -> socket.socket:
    """A unix socket at this path, for its own user alone. One that a dead process left there is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # nobody else may connect, not even for the moment before a chmod
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


class Control:
    """One gateway's control socket, for its own user alone."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._path = Path(gateway.config.control_socket)
        self._inode = 0
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen. A socket that a dead process left there is replaced."""
        self._server = await asyncio.start_unix_server(self._serve, sock=bound(self._path))
        self._inode = self._path.stat().st_ino

    def close(self) -> None:
        """Listen no more; the socket of a successor stays."""
        if self._server is not None:
            self._server.close()
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = self._answer(json.loads(line), writer)
                except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                    answer = {"ok": False, "error": str(error)}
                if answer is not None:
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        except (ConnectionError, ValueError):  # it left, or sends a line without an end
            pass
        finally:
            writer.close()

    def _answer(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any] | None:
        gateway = self._gateway
        if ("epoch" in message or "pause" in message) and message.get("trial") != gateway.config.trial:
            raise ValueError(f"this gateway serves trial {gateway.config.trial!r}, not {message.get('trial')!r}")
        if "pause" in message:
            return {"ok": True, "paused": gateway.pause(paused=msgspec.convert(message["pause"], bool))}
        if "epoch" in message:
            return {"ok": True, "epoch": gateway.set_epoch(msgspec.convert(message["epoch"], Epoch))}
        if message.get("status"):
            return gateway.status()
        if message.get("listener"):
            own = os.dup(writer.get_extra_info("socket").fileno())
            with socket.socket(fileno=own) as connection:
                socket.send_fds(connection, [b'{"ok": true}\n'], [gateway.listening_fd])
            return None
        if message.get("drain"):
            gateway.begin_drain()
            return {"ok": True}
        raise ValueError("one of epoch, pause, status, listener or drain is needed")
