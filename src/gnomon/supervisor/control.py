"""Talking to gateways over their control sockets: JSON lines, one answer for each."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from gnomon.records.process import Epoch

TIMEOUT = 2.0
PUSH_TIMEOUT = 0.5


def sockets(run_dir: Path) -> list[Path]:
    """The control sockets in a run directory; some may belong to gateways that are gone."""
    return sorted(run_dir.glob("gateway-*.sock"))


def ask(path: Path, message: dict[str, Any], *, timeout: float = TIMEOUT) -> dict[str, Any] | None:
    """Send one message and return the answer; None when nobody answers there, or not whole."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
        answer = json.loads(line)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def push_epoch(path: Path, trial: str, epoch: Epoch) -> bool | None:
    """Tell one gateway who serves. True: it does so now; False: it serves another trial; None: it does not answer."""
    message = {"epoch": {"number": epoch.number, "serving": epoch.serving}, "trial": trial}
    answer = ask(path, message, timeout=PUSH_TIMEOUT)
    return None if answer is None else bool(answer.get("ok"))


def sweep(run_dir: Path) -> None:
    """Remove what gateways that are gone have left."""
    for path in sockets(run_dir):
        if ask(path, {"status": True}) is None:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)


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


def wait_for_epoch(run_dir: Path, trial: str, number: int, *, patience: float = 3.0) -> tuple[int, int]:
    """Wait until every gateway of a trial serves by this epoch or a later one; (how many do, how many there are)."""
    deadline = time.monotonic() + patience
    while True:
        answers = [answer for path in sockets(run_dir) if (answer := ask(path, {"status": True})) is not None]
        mine = [answer for answer in answers if answer.get("trial") == trial]
        reached = sum(1 for answer in mine if answer["epoch"] >= number)
        if reached == len(mine) or time.monotonic() > deadline:
            return reached, len(mine)
        time.sleep(0.01)
