"""The custom gates' process: `python -m gnomon.processes.customs FD`, FD being a socket to the runner.

A user's function may hang (in C code, with the interpreter's lock), crash or write to standard output: here it harms
nobody. The runner ends this process when a pair takes too long and starts another. Should the runner be gone by then,
the kernel's alarm ends it, which no code of Python's can hold up.
"""

import contextlib
import signal
import socket
import sys
from typing import Any

import msgspec

from gnomon.compare.customs import Function, judged, loaded
from gnomon.errors import GnomonError
from gnomon.records.judging import Ask, Begin, Begun, Said

ALARM: int = 3
"""Times the limit: the runner is to be the one who ends it."""


def main(descriptor: int) -> int:
    """Answer until the runner closes the socket."""
    with socket.socket(fileno=descriptor) as link, contextlib.suppress(ConnectionError):
        return _serve(link)
    return 0


def _serve(link: socket.socket) -> int:
    begin = _received(link, Begin)
    if begin is None:
        return 0
    try:
        functions = [loaded(each) for each in begin.gates]
    except GnomonError as error:
        _send(link, Begun(str(error)))
        return 2
    _send(link, Begun(""))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while (ask := _received(link, Ask)) is not None:
        for number in ask.gates:
            _send(link, _said(functions[number], ask, begin.limit_s))
    return 0


def _said(function: Function, ask: Ask, limit_s: float) -> Said:
    signal.setitimer(signal.ITIMER_REAL, ALARM * limit_s)
    try:
        return Said(*judged(function, ask.request, ask.production, ask.candidate))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _received(link: socket.socket, kind: type[Any]) -> Any:  # noqa: ANN401  of that kind, or None at the end
    head = _read(link, 4)
    if head is None:
        return None
    body = _read(link, int.from_bytes(head, "big"))
    return None if body is None else msgspec.msgpack.decode(body, type=kind)


def _read(link: socket.socket, size: int) -> bytearray | None:
    data = bytearray()
    while len(data) < size:
        part = link.recv(min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return data


def _send(link: socket.socket, message: Begun | Said) -> None:
    body = msgspec.msgpack.encode(message)
    link.sendall(len(body).to_bytes(4, "big") + body)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
