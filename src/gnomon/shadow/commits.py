"""Group commits: what came while one transaction was on its way to the disk goes into the next one, together."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from gnomon.shadow.faults import Faults, named
from gnomon.shadow.inbox import Group, Inbox

_PAUSE: Final = 0.002
"""Seconds between two commits: a fuller group costs less, and nobody waits for an acknowledgement."""
_RETRY: Final = 0.5

T = TypeVar("T")


class Commits:
    """Writes groups to the inbox in a thread of its own, one after another."""

    def __init__(self, inbox: Inbox, *, committed: Callable[[Group], None]) -> None:
        self.inbox = inbox
        self._committed = committed
        self._group = Group()
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._task: asyncio.Task[None] | None = None
        self.problem = ""
        """Why the inbox cannot be written, in words; empty: it can."""
        self._faults = Faults()

    def start(self) -> None:
        """Begin to commit."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def group(self) -> Group:
        """What the next transaction will hold: add to it."""
        self._wanted.set()
        return self._group

    async def settle(self) -> None:
        """Wait until everything that was added before is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wanted.set()
        await done

    async def run(self, function: Callable[[], T]) -> T:
        """Use the inbox between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            group, self._group = self._group, Group()
            waiting, self._waiting = self._waiting, []
            if group:
                await self._commit(group)
            self._committed(group)
            for done in waiting:
                if not done.done():
                    done.set_result(None)
            await asyncio.sleep(_PAUSE)

    async def _commit(self, group: Group) -> None:
        """Try until it succeeds: nothing is acknowledged meanwhile, so the gateways keep what they have."""
        while True:
            try:
                await self.run(lambda: self.inbox.commit(group))
            except Exception as error:  # noqa: BLE001  whatever it is: without commits nothing is handed over or logged
                known = isinstance(error, sqlite3.Error)
                if not known:
                    self._faults.say(error, "a fault in Gnomon while it wrote the inbox:")
                if not self.problem:
                    self.problem = f"the inbox cannot be written: {error if known else named(error)}"
                    sys.stderr.write(f"{self.problem}; trying again\n")
                    sys.stderr.flush()
                await asyncio.sleep(_RETRY)
            else:
                self.problem = ""
                return

    async def stop(self) -> None:
        """Commit what there is and end."""
        await self.settle()
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=True)
