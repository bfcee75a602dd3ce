"""Talking to gateways over their control sockets: JSON lines, one answer for each."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from gnomon.records.process import Epoch

TIMEOUT = 2.0


def sockets(run_dir: Path) -> list[Path]:
    """The control sockets in a run directory; some may belong to gateways that are gone."""
    return sorted(run_dir.glob("gateway-*.sock"))


def ask(path: Path, message: dict[str, Any], *, timeout: float = TIMEOUT) -> dict[str, Any] | None:
    """Send one message and return the answer; None when nobody answers there."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
    except OSError:
        return None
    return json.loads(line) if line else None


def push_epoch(path: Path, epoch: Epoch) -> bool:
    """Tell one gateway who serves. True when it says that it does so now."""
    answer = ask(path, {"epoch": {"number": epoch.number, "serving": epoch.serving}})
    return bool(answer and answer.get("ok"))


def take_listener(path: Path) -> socket.socket | None:
    """Duplicate the listening socket that a gateway holds, or None when it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            connection.sendall(b'{"listener": true}\n')
            _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
    except OSError:
        return None
    return socket.socket(fileno=fds[0]) if fds else None


def wait_for_epoch(run_dir: Path, number: int, *, patience: float = 3.0) -> tuple[int, int]:
    """Wait until every gateway serves by this epoch or a later one; (how many do, how many there are)."""
    deadline = time.monotonic() + patience
    while True:
        answers = [answer for path in sockets(run_dir) if (answer := ask(path, {"status": True})) is not None]
        reached = sum(1 for answer in answers if answer["epoch"] >= number)
        if reached == len(answers) or time.monotonic() > deadline:
            return reached, len(answers)
        time.sleep(0.01)
