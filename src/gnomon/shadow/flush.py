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
from gnomon.protocols.redact import Redactor
from gnomon.records import counters
from gnomon.records.plan import Plan
from gnomon.records.process import RunnerConfig
from gnomon.shadow.batches import Batches, Item, item
from gnomon.shadow.commits import Commits
from gnomon.shadow.faults import Faults, named
from gnomon.shadow.inbox import Aside, Logged, Sums
from gnomon.shadow.ledger import Ledger, problems
from gnomon.shadow.queue import Queue, Work

T = TypeVar("T")

ROWS: Final = 16_384
BYTES: Final = 24 << 20
"""A batch of so many rows or bytes is appended before its time."""
SCRUB_US: Final = 10_000_000
"""The longest time that something of a logged exchange stays in the inbox's files, when it is never empty."""


class Flush:
    """The way from finished exchanges to the log."""

    def __init__(
        self,
        plan: Plan,
        commits: Commits,
        queue: Queue,
        config: RunnerConfig,
        *,
        connected: Callable[[str], bool],
        flushed: Callable[[], None],
        clock: Clock,
    ) -> None:
        inbox = commits.inbox
        self._inbox = inbox
        self._commits = commits
        self._queue = queue
        self._oldest = queue.oldest
        self._connected = connected
        self._flushed = flushed
        self._counters_dir = Path(config.counters_dir)
        self._every = config.flush_us / 1e6
        self._clock = clock
        self._batches = Batches(plan, config.log_url, identity=inbox.identity, redactor=_redactor(plan, config))
        self._ledger = Ledger(config.log_url, identity=inbox.identity)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._open = inbox.last_batch() + 1
        self._items: list[Item] = []
        self._size = self._more = 0
        self._closed: list[tuple[int, list[Item]]] = []
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pump: Callable[[], None] = lambda: None
        self._opened = self._stopping = False
        self._scrubbed_us = 0
        self._faults = Faults()
        self._reasons: set[str] = set()
        self._leaving: list[int] = []  # set aside, and not known to be out of the inbox yet
        self.problem = ""
        """Why the log cannot be written, in words; empty: it can."""
        self.inequality = ""
        """What does not add up, in words; empty: everything does."""
        self.held = 0
        """Finished exchanges that are not in the log."""

    @property
    def oldest_us(self) -> int | None:
        """Request time of the oldest exchange that is not in the log."""
        closed = (each.request.time_us for _, items in self._closed for each in items)
        return min((*closed, *([] if self._oldest.time_us is None else [self._oldest.time_us])), default=None)

    @property
    def depth(self) -> int:
        """Exchanges that are not in the log."""
        return len(self._oldest) + sum(len(items) for _, items in self._closed)

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
        self._more += len(finished.result.more)
        self.held += 1
        if len(self._items) + self._more >= ROWS or self._size >= BYTES:
            self._full.set()
        return self._open

    def set_aside(self, work: Work, reason: str) -> None:
        """Take an exchange out for which no row can be made."""
        self._oldest.remove(work.seq)
        self._aside([Aside(work.seq, work.request.id, work.request.epoch, reason)])

    async def stop(self) -> None:
        """Flush what there is, and end."""
        self._stopping = True
        self._full.set()
        if self._task is not None:
            await self._task
        await self._try()
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._every)
            self._full.clear()
            if self._stopping:  # not cancelled: wait_for can swallow that, and a flush under way must end
                return
            await self._try()
            if self.problem:
                await asyncio.sleep(min(1.0, self._every))

    async def _try(self) -> None:
        """Flush once. What the log cannot take now, it is given again, whatever the reason."""
        try:
            await self._flush()
            self._pump()
        except Exception as error:  # noqa: BLE001  a log that stopped would be found out at the verdict
            known = isinstance(error, (OSError, DeltaError, GnomonError, sqlite3.Error))
            if not known:
                self._faults.say(error, "a fault in Gnomon while it wrote the log:")
            if not self.problem:
                self.problem = f"the log cannot be written: {error if known else named(error)}"
                _say(f"{self.problem}; trying again")
        else:
            self.problem = ""
        self._flushed()

    async def _flush(self) -> None:
        now_us = self._clock()
        gateways = await self._in_thread(partial(counters.read_all, self._counters_dir, one_moment=True))
        # A gateway that died counts as alive until all that it sent has been read.
        dead = {each.instance for each in gateways if not each.alive and not self._connected(each.instance)}
        frontier_us = min((each.frontier_us for each in gateways if each.instance not in dead), default=now_us)
        self._close()
        oldest_us = self._oldest.time_us
        watermark_us = frontier_us if oldest_us is None else min(frontier_us, oldest_us)
        leaving, self._leaving = self._leaving, []
        await self._commits.settle()
        self._queue.removed(leaving)
        if not self._opened:
            await self._in_thread(self._ledger.open)
            self._opened = True
        for index, (number, items) in enumerate(self._closed):
            batch = await self._in_thread(partial(self._batches.make, items))
            if batch.bad:
                # out of the inbox first: after a restart the batch is the same without them
                self._aside(
                    [Aside(each.seq, each.request.id, each.request.epoch, why, each.place) for each, why in batch.bad]
                )
                await self._commits.settle()
                self._closed[index] = (number, batch.items)
                self.held -= len(batch.bad)
            await self._in_thread(partial(self._batches.append, number, batch))
        appended = self._batches.states([each for _, items in self._closed for each in items])
        sums = await self._commits.run(self._inbox.sums)
        self._check(sums)
        counts = self._ledger.counts(gateways, sums, appended, dead=dead)
        self._opened = False  # an append that fails may be in the table: then the table is read again
        await self._in_thread(partial(self._ledger.flush, counts, watermark_us, now_us=now_us))
        self._opened = True
        await self._remove()

    def _aside(self, found: list[Aside]) -> None:
        """Out of the inbox with the next commit, and counted there. Each reason is said once."""
        self._commits.group.aside.extend(found)
        self._leaving += [each.seq for each in found]
        for each in found:
            if each.reason not in self._reasons:
                self._reasons.add(each.reason)
                _say(
                    f"exchanges that no log can take are set aside in {self._inbox.path}, first {each.id.hex()}: "
                    f"{each.reason}"
                )

    def _check(self, sums: Sums) -> None:
        """The equality, at every flush: said once, and a fact for as long as it is one."""
        found = "; ".join(problems(sums))
        if found and not self.inequality:
            _say(found)
        self.inequality = found

    def _close(self) -> None:
        """The open batch takes no more; its exchanges are on their way."""
        if not self._items:
            return
        for each in self._items:
            self._oldest.remove(each.seq)
        self._closed.append((self._open, self._items))
        self._open += 1
        self._items, self._size, self._more = [], 0, 0

    async def _remove(self) -> None:
        if not self._closed:
            return
        group = self._commits.group
        seqs: list[int] = []
        for number, items in self._closed:
            if not items:
                continue
            mine = [each.seq for each in items]
            places = (items[0].place, items[-1].place)
            group.logged.append(Logged(number, places, mine, self._batches.states(items)))
            seqs += mine
        self._closed = []
        self.held -= len(seqs)
        await self._commits.settle()
        self._queue.removed(seqs)
        now_us = self._clock()
        if not len(self._oldest) or now_us - self._scrubbed_us > SCRUB_US:  # some queues are never empty
            self._scrubbed_us = now_us
            await self._commits.run(self._inbox.scrub)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _redactor(plan: Plan, config: RunnerConfig) -> Redactor:
    try:
        return Redactor(plan.record, bytes.fromhex(config.redaction_key))
    except ValueError as error:
        raise GnomonError(f"the plan's redaction cannot be carried out: {error}") from error
