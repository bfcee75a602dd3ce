"""Gateways: started on the one listening socket, replaced in turn, drained.

Promises  a replacement loses no request: the successor accepts before its predecessor is told to drain, and one that
          does not get ready leaves its predecessor serving
"""

import asyncio
import itertools
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Final

import msgspec

from gnomon.errors import GnomonError
from gnomon.files import put
from gnomon.records.process import GatewayConfig
from gnomon.settings import Settings
from gnomon.supervisor import children, control

PATIENCE: Final = 30.0
"""How long a gateway may drain; its own limit is shorter."""
_GIVEN_UP: Final = 5.0

ConfigOf = Callable[[Path], GatewayConfig]
"""The configuration of a gateway that is started now, by its control socket."""


async def nobody(_: Path) -> bool:
    """What tells a new gateway who serves, where nobody knows better than its configuration."""
    return True


class Gateways:
    """The gateway processes of one supervisor."""

    def __init__(
        self,
        settings: Settings,
        fd: int,
        config: ConfigOf,
        *,
        say: Callable[[str], None],
        tell: Callable[[Path], Awaitable[bool]] = nobody,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.released = False
        self.serving: list[children.Child] = []
        self._settings = settings
        self._fd = fd
        self._config = config
        self._say = say
        self._tell = tell
        self._aside: list[children.Child] = []  # successors that start, predecessors that drain
        self._tasks: set[asyncio.Task[None]] = set()
        self._serial = itertools.count() if numbers is None else numbers
        self._turn = asyncio.Lock()
        self._stopping = False

    async def start(self) -> None:
        """Start as many as are set.

        Raises GnomonError when one does not get ready.
        """
        async with self._turn:
            for index in range(self._settings.gateways):
                child = self._child(index)
                self.serving.append(child)
                await children.start(child)
                if not child.ready:
                    raise GnomonError(f"gateway {index} does not start: {children.last_words(child, 3)}")
                self._in_background(children.watch(child, self._say))

    async def replace(self) -> int:
        """Replace each in turn, with its configuration as it is now; how many were replaced.

        Raises GnomonError when a successor does not get ready: its predecessor and all after it serve on.
        """
        async with self._turn:
            for index, predecessor in enumerate(list(self.serving)):
                if self._stopping:
                    return index
                try:
                    successor = await self._successor(index)
                except (GnomonError, OSError) as error:
                    raise GnomonError(
                        f"gateway {index} was not replaced and serves on: {error}; "
                        f"{index} of {len(self.serving)} were replaced"
                    ) from error
                self.serving[index] = successor
                self._aside.append(predecessor)
                self._in_background(children.watch(successor, self._say))
                self._in_background(self._drain(predecessor))
            return len(self.serving)

    async def stop(self) -> bool:
        """Drain all of them; whether each did so in time."""
        self._stopping = True
        every = [*self.serving, *self._aside]
        clean = await asyncio.gather(*(children.stop(child, patience=PATIENCE) for child in every))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in every:
            control.remove(_socket(child))
        return all(clean)

    def release(self) -> None:
        """Watch over them no more: they serve on until whoever takes the port over drains them."""
        self.released = self._stopping = True
        for child in self.serving:
            child.stopping = True
        for task in list(self._tasks):
            task.cancel()

    def _child(self, index: int) -> children.Child:
        """A gateway to be started. Each has its own control socket: its predecessor keeps listening to its own."""
        name = f"gateway-{os.getpid()}-{next(self._serial)}"
        socket = self._settings.run_dir / f"{name}.sock"
        command = ["-m", "gnomon.fork", "--config", self._told(socket), "--listen-fd", str(self._fd)]
        output = self._settings.root / "logs" / f"gateway-{index}.log"
        return children.Child(f"gateway {index}", command, output, fds=(self._fd,), socket=socket)

    def _told(self, socket: Path) -> str:
        """Where a gateway reads its configuration; the configuration itself where no file can be written."""
        config = self._config(socket)
        path = socket.with_suffix(".json")
        try:
            return str(write(path, config))
        except OSError as error:  # above all a full disk: production is served all the same
            self._say(f"{path} cannot be written: {error.strerror}")
            return json.dumps(msgspec.to_builtins(config))

    async def _successor(self, index: int) -> children.Child:
        """One that is ready and knows who serves.

        Raises GnomonError or OSError with the reason when it does not come so far; it is ended then.
        """
        child = self._child(index)
        self._aside.append(child)
        reason = await self._begin(child)
        if reason:
            await self._leave(child, _GIVEN_UP)
            raise GnomonError(reason)
        self._aside.remove(child)
        return child

    async def _begin(self, child: children.Child) -> str:
        """Start it, and tell it who serves; why that did not come about, if it did not."""
        try:
            await children.start(child)
        except OSError as error:
            return f"its successor cannot be started: {error}"
        if not child.ready:
            return f"its successor does not start: {children.last_words(child, 3)}"
        return "" if await self._tell(_socket(child)) else "its successor does not answer on its control socket"

    async def _drain(self, predecessor: children.Child) -> None:
        if not await self._leave(predecessor, PATIENCE):
            self._say(f"the predecessor of {predecessor.name} did not drain in {PATIENCE:g} s and was killed")

    async def _leave(self, child: children.Child, patience: float) -> bool:
        clean = await children.stop(child, patience=patience)
        control.remove(_socket(child))
        self._aside.remove(child)
        return clean

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _socket(child: children.Child) -> Path:
    assert child.socket is not None
    return child.socket


def write(path: Path, config: msgspec.Struct) -> Path:
    """Write a process's configuration, for its owner alone."""
    put(path, json.dumps(msgspec.to_builtins(config), indent=1).encode())
    return path
