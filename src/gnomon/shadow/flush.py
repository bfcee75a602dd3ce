"""The flush: close the open batch, append it, write the ledger with the watermark, remove the batch from the inbox.

The order is what makes the log true: gateways' frontiers are read before the inbox is looked at; a batch is committed
to the inbox before it is appended; the ledger is written after the rows it counts; rows leave the inbox last.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from deltalake.exceptions import DeltaError

from gnomon.clock import Clock
from gnomon.errors import GnomonError
from gnomon.records import counters
from gnomon.records.plan import Plan
from gnomon.shadow.batches import Batches, Item, item
from gnomon.shadow.commits import Commits
from gnomon.shadow.faults import Faults
from gnomon.shadow.inbox import Logged
from gnomon.shadow.ledger import Ledger
from gnomon.shadow.queue import Queue

T = TypeVar("T")

ROWS: Final = 16_384
BYTES: Final = 24 << 20
"""A batch of so many rows or bytes is appended before its time."""


class Flush:
    """The way from finished exchanges to the log."""

    def __init__(
        self,
        plan: Plan,
        commits: Commits,
        queue: Queue,
        *,
        connected: Callable[[str], bool],
        log_url: str,
        counters_dir: Path,
        flush_us: int,
        clock: Clock,
    ) -> None:
        inbox = commits.inbox
        self._inbox = inbox
        self._commits = commits
        self._queue = queue
        self._oldest = queue.oldest
        self._connected = connected
        self._counters_dir = counters_dir
        self._every = flush_us / 1e6
        self._clock = clock
        self._batches = Batches(plan, log_url, identity=inbox.identity)
        self._ledger = Ledger(log_url, identity=inbox.identity)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self.received = inbox.received()
        """Committed to the inbox, by gateway instance and epoch."""
        self._logged = inbox.logged()
        self._open = inbox.last_batch() + 1
        self._items: list[Item] = []
        self._size = 0
        self._closed: list[tuple[int, list[Item]]] = []
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pump: Callable[[], None] = lambda: None
        self._opened = False
        self._failing = False
        self._faults = Faults()
        self.held = 0
        """Finished exchanges that are not in the log."""

    async def recover(self) -> int:
        """Take up the batches and the backlog of an earlier runner; the last place that is taken."""
        last = 0
        finished: set[int] = set()
        for number, rows in await self._commits.run(lambda: list(self._inbox.unfinished_batches())):
            items = [item(*row) for row in rows]
            self._closed.append((number, items))
            self.held += len(items)
            finished.update(each.seq for each in items)
            last = items[-1].place
        self._queue.taken(finished)
        for seq, time_us in await self._commits.run(self._inbox.times):
            if seq not in finished:
                self._oldest.add(seq, time_us)
                self._queue.backlog += 1
        return last

    def start(self, *, pump: Callable[[], None]) -> None:
        """Flush from now on. `pump` is called when the log has taken a batch."""
        self._pump = pump
        if self._closed:
            self._full.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, finished: Item, size: int) -> int:
        """Put an exchange into the open batch; the batch's number."""
        self._items.append(finished)
        self._size += size + len(finished.request.body) + len(finished.answer.body)
        self.held += 1
        if len(self._items) >= ROWS or self._size >= BYTES:
            self._full.set()
        return self._open

    async def stop(self) -> None:
        """Flush what there is, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._try()
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._every)
            self._full.clear()
            # shielded: a drain waits for the flush that is under way
            flush = asyncio.ensure_future(self._try())
            try:
                await asyncio.shield(flush)
            except asyncio.CancelledError:
                await flush
                raise
            if self._failing:
                await asyncio.sleep(min(1.0, self._every))

    async def _try(self) -> None:
        """Flush once. What the log cannot take now, it is given again, whatever the reason."""
        try:
            await self._flush()
            self._pump()
        except Exception as error:  # noqa: BLE001  a log that stopped would be found out at the verdict
            if not isinstance(error, (OSError, DeltaError, GnomonError, sqlite3.Error)):
                self._faults.say(error, "a fault in Gnomon while it wrote the log:")
            if not self._failing:
                sys.stderr.write(f"the log cannot be written, trying again: {error}\n")
                sys.stderr.flush()
            self._failing = True
        else:
            self._failing = False

    async def _flush(self) -> None:
        now_us = self._clock()
        gateways = await self._in_thread(partial(counters.read_all, self._counters_dir))
        # A gateway that died counts as alive until all that it sent has been read.
        dead = {each.instance for each in gateways if not each.alive and not self._connected(each.instance)}
        frontier_us = min((each.frontier_us for each in gateways if each.instance not in dead), default=now_us)
        self._close()
        oldest_us = self._oldest.time_us
        watermark_us = frontier_us if oldest_us is None else min(frontier_us, oldest_us)
        await self._commits.settle()
        received = dict(self.received)
        if not self._opened:
            await self._in_thread(self._ledger.open)
            self._opened = True
        logged = dict(self._logged)
        for number, items in self._closed:
            await self._in_thread(partial(self._batches.append, number, items))
            for key, count in self._batches.states(items).items():
                logged[key] = logged.get(key, 0) + count
        counts = self._ledger.counts(gateways, received, logged, dead=dead)
        await self._in_thread(partial(self._ledger.flush, counts, watermark_us, now_us=now_us))
        await self._remove(logged)

    def _close(self) -> None:
        """The open batch takes no more; its exchanges are on their way."""
        if not self._items:
            return
        for each in self._items:
            self._oldest.remove(each.seq)
        self._closed.append((self._open, self._items))
        self._open += 1
        self._items, self._size = [], 0

    async def _remove(self, logged: dict[tuple[int, str], int]) -> None:
        if not self._closed:
            return
        group = self._commits.group
        seqs: list[int] = []
        for number, items in self._closed:
            mine = [each.seq for each in items]
            places = (items[0].place, items[-1].place)
            group.logged.append(Logged(number, places, mine, self._batches.states(items)))
            seqs += mine
        self._closed = []
        self._logged = logged
        self.held -= len(seqs)
        await self._commits.settle()
        self._queue.removed(seqs)
        if not len(self._oldest):
            await self._commits.run(self._inbox.scrub)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
