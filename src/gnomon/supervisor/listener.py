"""The one listening socket: bound once, inherited by every gateway, handed from a dead supervisor to its successor."""

import errno
import socket
from pathlib import Path

from gnomon.errors import GnomonError
from gnomon.supervisor import control

BACKLOG = 1024


def split(address: str) -> tuple[str, int]:
    """``host:port`` in two; an IPv6 host may stand in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bind(address: str, *, key: str) -> socket.socket:
    """Open a listening TCP socket.

    Raises GnomonError when the address is taken or not ours; `key` names the setting.
    """
    host, port = split(address)
    reasons = {
        errno.EADDRINUSE: "another program listens there",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.EACCES: "that port needs more rights",
    }
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = reasons.get(error.errno or 0, str(error))
        raise GnomonError(f"{key} {address} cannot be opened: {reason}; end it, or set GNOMON_{key.upper()}") from error
    listener.setblocking(False)  # noqa: FBT003  the standard library's signature
    return listener


def adopt(run_dir: Path, address: str) -> tuple[socket.socket | None, list[Path]]:
    """The listening socket of gateways that outlived their supervisor, and their control sockets."""
    alive = [path for path in control.sockets(run_dir) if control.ask(path, {"status": True}) is not None]
    wanted = split(address)
    for path in alive:
        listener = control.take_listener(path)
        if listener is None:
            continue
        host, port = listener.getsockname()[:2]
        if wanted[1] in (port, 0) and wanted[0] in (host, "localhost"):
            return listener, alive
        listener.close()
    return None, alive
