"""Control sockets: JSON lines, one answer for each. Every gateway has one; the supervisor has one for the commands."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gnomon.fork.control import bound

TIMEOUT = 2.0
PUSH_TIMEOUT = 0.5
SUPERVISOR: Final = "supervisor.sock"

Message = dict[str, Any]


def sockets(run_dir: Path) -> list[Path]:
    """The control sockets in a run directory; some may belong to gateways that are gone."""
    return sorted(run_dir.glob("gateway-*.sock"))


def ask(path: Path, message: Message, *, timeout: float | None = TIMEOUT) -> Message | None:
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


async def tell(path: Path, *messages: Message) -> bool:
    """Send messages over one connection, each after the answer to the one before; whether all were answered in time.

    Takes no thread, so however many gateways are stuck, the others are told.
    """
    writer = None
    try:
        async with asyncio.timeout(PUSH_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(path)
            for message in messages:
                writer.write(json.dumps(message).encode() + b"\n")
                json.loads(await reader.readline())
    except (OSError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return True


@contextlib.asynccontextmanager
async def answering(path: Path, answer: Callable[[Message], Awaitable[Message]]) -> AsyncIterator[None]:
    """Answer messages at `path` while the block runs; for whoever holds the data folder's lock, and nobody else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            message = json.loads(await reader.readline())
            found = await answer(message) if isinstance(message, dict) else {"ok": False, "error": "no mapping"}
            writer.write(json.dumps(found).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):  # it left, or sends no line of JSON
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=bound(path))
    try:
        yield
    finally:
        server.close()
        remove(path)


def sweep(run_dir: Path) -> None:
    """Remove what gateways that are gone have left."""
    for path in sockets(run_dir):
        if ask(path, {"status": True}) is None:
            remove(path)
    for path in (*run_dir.glob("gateway-*.json"), *run_dir.glob("gateway-*.probe")):
        if not path.with_suffix(".sock").exists():
            path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a control socket, and what else a gateway of that name leaves: its configuration, its probes' socket."""
    for suffix in (path.suffix, ".json", ".probe"):
        path.with_suffix(suffix).unlink(missing_ok=True)


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


def wait_for_epoch(run_dir: Path, trial: str, number: int) -> tuple[int, int]:
    """Wait until every gateway of a trial serves by this epoch or a later one; (how many do, how many there are)."""
    return _wait(run_dir, trial, lambda status: bool(status["epoch"] >= number))


def wait_for_pause(run_dir: Path, trial: str, *, paused: bool) -> tuple[int, int]:
    """Wait until every gateway of a trial is paused, or none is; (how many are as they should, how many there are)."""
    return _wait(run_dir, trial, lambda status: status.get("paused") is paused)


def _wait(run_dir: Path, trial: str, reached: Callable[[Message], bool], *, patience: float = 3.0) -> tuple[int, int]:
    deadline = time.monotonic() + patience
    while True:
        answers = [answer for path in sockets(run_dir) if (answer := ask(path, {"status": True})) is not None]
        mine = [reached(answer) for answer in answers if answer.get("trial") == trial]
        if all(mine) or time.monotonic() > deadline:
            return sum(mine), len(mine)
        time.sleep(0.01)
