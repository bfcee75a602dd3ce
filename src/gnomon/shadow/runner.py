"""The runner: frames in; the candidate's call, the comparison and the log out.

In sync mode a call begins with `Call` and is joined by `Settled`. Everything else waits in the inbox, oldest first.
Nothing is acknowledged before it is committed, nothing leaves the inbox before it is in the log.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from gnomon.clock import Clock
from gnomon.ports import CannotCompare
from gnomon.records.frames import Answer, Exchange, Request, Settled
from gnomon.records.plan import Arm, Plan
from gnomon.records.process import PROBE_EPOCH, RunnerConfig
from gnomon.shadow.batches import Item, Result, Row
from gnomon.shadow.candidate import Caller
from gnomon.shadow.commits import Commits
from gnomon.shadow.customs import Customs
from gnomon.shadow.faults import Faults
from gnomon.shadow.flush import Flush
from gnomon.shadow.health import Health
from gnomon.shadow.inbox import Arrival, Finished, Group, Inbox
from gnomon.shadow.intake import Gateway, Intake
from gnomon.shadow.prepare import PROBE, preparing
from gnomon.shadow.queue import WINDOW, Queue, Work
from gnomon.shadow.twin import drawing

MakeRows = Callable[..., list[Row]]
"""`compare.Comparing(plan).rows`: what came of an exchange to its rows, one or one for each instance."""

HELD: Final = 50_000
"""Finished exchanges in memory that the log could not take; then no more calls are made."""
JUDGED: Final = 256
"""Pairs that wait for a custom gate; then no more calls are made."""
UNCOMMITTED: Final = 8 << 20
"""Bytes that have come and are not committed; then no more is read."""
LEAVING_SECONDS: Final = 5.0
"""How long a drain waits for the gateways."""

_encode: Final = msgspec.msgpack.Encoder().encode
_exchanges: Final = msgspec.msgpack.Decoder(Exchange)


class Runner:
    """One trial's runner. Call `start`, then `drain`."""

    def __init__(
        self,
        plan: Plan,
        inbox: Inbox,
        rows: MakeRows,
        config: RunnerConfig,
        *,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._inbox = inbox
        self._rows = rows
        self._config = config
        self._clock = clock
        self._prepare = preparing(plan, probes=bool(config.probe_url))
        self._twin = drawing(plan, config.sampling_key)
        self._sync = plan.fork.mode == "sync"
        self._numbers = inbox.numbers()
        self._seq = inbox.last_seq()
        self._place = 0
        self._in_flight = 0
        self._uncommitted = 0
        self._refilling: asyncio.Task[None] | None = None
        self._stopping = False
        self._calls: dict[tuple[Gateway, bytes], Work] = {}
        self._twins: deque[Work] = deque()
        self._queue = Queue()
        self._callers: dict[str, Caller] = {}
        self._committing = Commits(inbox, committed=self._committed)
        self.intake = Intake(self, trial=inbox.trial)
        self._faults = Faults()
        self._customs = Customs([each.custom for each in plan.customs if each.custom is not None])
        self._health = Health(
            Path(config.facts_file) if config.facts_file else None, clock=clock, twins=self._twin is not None
        )
        self._flushing = Flush(
            plan,
            self._committing,
            self._queue,
            config,
            connected=self.intake.has,
            flushed=self._health.flushed,
            clock=clock,
        )

    async def start(self, socket: Path) -> None:
        """Take up what an earlier runner left, then listen."""
        self._callers = {
            "candidate": self._caller(self._plan.candidate),
            "production": self._caller(self._plan.production),
        }
        if self._config.probe_url:
            self._callers[PROBE] = self._probes(self._config.probe_url)
        await self._customs.start()
        self._committing.start()
        self._place = await self._flushing.recover()
        self._pump()
        self._flushing.start(pump=self._pump)
        self._health.start(self._now)
        await self.intake.listen(socket)

    def _caller(self, arm: Arm) -> Caller:
        """Calls to an arm. Without a time limit of its own a call may take as long as a copy may wait."""
        credentials = os.environ.get(arm.authorization_env, "") if arm.authorization_env else ""
        return Caller(
            arm.url,
            timeout_us=arm.timeout_us or self._plan.fork.expires_after_us,
            clock=self._clock,
            authorization=credentials.strip() or None,
            ca_file=self._config.ca_file,
        )

    def _probes(self, url: str) -> Caller:
        """Calls to the built-in echo arm. It is slow on purpose, sometimes: no arm's time limit is held against it."""
        return Caller(url, timeout_us=self._plan.fork.expires_after_us, clock=self._clock)

    def _now(self) -> tuple[int, int | None, int, tuple[str, ...]]:
        problems = (self._committing.problem, self._flushing.problem, self._flushing.inequality)
        told = tuple([each for each in problems if each])
        return self._flushing.depth, self._flushing.oldest_us, self._in_flight, told

    async def drain(self, *, patience: float) -> None:
        """Take what gateways still send, finish the calls under way, append, and end.

        What has not been called after `patience` seconds stays in the inbox for the next start.
        """
        await self._until(lambda: not self.intake.connections, LEAVING_SECONDS)
        self.intake.close()
        self._pump()
        await self._until(lambda: not (self._busy or self._queue.waiting or self._queue.backlog), patience)
        self._stopping = True
        self._customs.stop()
        for caller in self._callers.values():
            caller.close()
        await self._flushing.stop()
        await self._committing.stop()
        await self._health.stop()
        self._inbox.close()

    @property
    def _busy(self) -> bool:
        return bool(self._in_flight or self._twins or self._customs.waiting)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not done() and loop.time() < end:  # noqa: ASYNC110  several facts, at the end of a process
            await asyncio.sleep(0.01)

    # frames --------------------------------------------------------------------------------------------------------

    def greeted(self, gateway: Gateway) -> int:
        """See intake.Receiver."""
        return self._numbers.get(gateway.instance, 0)

    def call(self, gateway: Gateway, request: Request) -> None:
        """See intake.Receiver."""
        work = Work(request)
        self._calls[gateway, request.id] = work
        if self._may_call(work):
            self._queue.waiting.append(work)
            self._pump()

    def settled(self, gateway: Gateway, frame: Settled) -> None:
        """See intake.Receiver."""
        work = self._calls.pop((gateway, frame.id), None)
        if work is None:  # never sent by a gateway of ours; over a new connection it sends the whole exchange
            gateway.close()
            return
        work.answer = frame.answer
        exchange = Exchange(frame.number, work.request, frame.answer, work.late)
        if not self._arrive(gateway, work, exchange, None):
            self._drop(work)
            return
        self._queue.taken([work.seq])
        if work.over:
            self._finish(work)

    def exchange(self, gateway: Gateway, frame: Exchange, payload: bytes) -> None:
        """See intake.Receiver."""
        work = Work(frame.request, frame.answer, late=frame.late)
        if self._arrive(gateway, work, frame, payload) and self._queue.arrived(work):
            self._pump()

    def dropped(self, gateway: Gateway, id: bytes) -> None:  # noqa: A002  the frame's name for it
        """See intake.Receiver."""
        work = self._calls.pop((gateway, id), None)
        if work is not None:
            self._drop(work)

    def left(self, gateway: Gateway) -> None:
        """See intake.Receiver. Calls that are not settled will be sent again whole, or never."""
        for key in [key for key in self._calls if key[0] is gateway]:
            self._drop(self._calls.pop(key))

    def _arrive(self, gateway: Gateway, work: Work, frame: Exchange, payload: bytes | None) -> bool:
        """Give an exchange to the next commit; False when it is a repeat."""
        group = self._committing.group
        group.acks[gateway] = frame.number
        if frame.number <= self._numbers.get(gateway.instance, 0):
            return False
        self._numbers[gateway.instance] = frame.number
        self._seq += 1
        work.seq = self._seq
        request = frame.request
        content = payload or _encode(frame)
        group.arrivals.append(
            Arrival(work.seq, request.id, request.time_us, gateway.instance, frame.number, request.epoch, content)
        )
        self._queue.oldest.add(work.seq, request.time_us)
        self._uncommitted += len(content)
        if self._uncommitted > UNCOMMITTED:
            self.intake.hold(held=True)
        return True

    def _committed(self, group: Group) -> None:
        if group.arrivals:
            self._uncommitted -= sum(len(each.frame) for each in group.arrivals)
            self.intake.hold(held=self._uncommitted > UNCOMMITTED)
        for gateway, number in group.acks.items():
            gateway.acknowledge(number)

    # calls ---------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin as many calls as may be in flight. A twin's comes first: its exchange is under way already."""
        waiting = self._queue.waiting
        while (waiting or self._twins) and self._has_room():
            if self._twins:
                self._call_twin(self._twins.popleft())
                continue
            work = waiting.popleft()
            if work.dropped:
                continue
            if self._expired(work):
                work.absent = "expired"
            if work.absent or not self._may_call(work):
                if work.over:
                    self._finish(work)
                continue
            self._in_flight += 1
            assert work.outgoing is not None
            work.call = self._callers[work.outgoing.arm].call(work.outgoing.request, partial(self._answered, work))
            if self._twin is not None and self._twin(work.request):  # not before: what is not called has none
                work.twin_drawn = work.twin_open = True
                self._twins.append(work)
        if self._queue.hungry and self._refilling is None and not self._stopping:
            self._refilling = asyncio.get_running_loop().create_task(self._refill())

    def _has_room(self) -> bool:
        return (
            self._in_flight < self._plan.fork.in_flight
            and self._flushing.held < HELD
            and self._customs.waiting < JUDGED
            and not self._stopping
        )

    def _expired(self, work: Work) -> bool:
        return self._clock() - work.request.time_us > self._plan.fork.expires_after_us

    def _call_twin(self, work: Work) -> None:
        """The request as it came, to production. There was no room for it until it expired: it is a pair without."""
        if work.dropped:
            return
        if self._expired(work):
            work.twin_open = False
            if work.over:
                self._finish(work)
            return
        self._in_flight += 1
        work.twin_call = self._callers["production"].call(work.request, partial(self._twinned, work))

    def _twinned(self, work: Work, answer: Answer) -> None:
        self._in_flight -= 1
        work.twin_call = None
        work.twin = answer
        work.twin_open = False
        if work.over:
            self._finish(work)
        self._pump()

    def _may_call(self, work: Work) -> bool:
        """Whether it may be called at all, found out once; if not, `absent` says why."""
        if work.outgoing is None:
            work.outgoing = self._prepare(work.request)
            work.absent = work.outgoing.absent
        return work.absent is None

    def _answered(self, work: Work, answer: Answer) -> None:
        self._in_flight -= 1
        if work.call is not None and work.call.stalled:  # our time, not the arm's: no latency gate may count it
            work.late = True
        work.call = None
        work.observation = answer
        if work.outgoing is not None and work.outgoing.arm != PROBE:
            self._health.called(work.outgoing.arm, answer)
        if work.over:
            self._finish(work)
        self._pump()

    def _drop(self, work: Work) -> None:
        work.dropped = True
        calls = [call for call in (work.call, work.twin_call) if call is not None]
        work.call = work.twin_call = None
        for call in calls:
            call.cancel()
        if calls:
            self._in_flight -= len(calls)
            self._pump()

    async def _refill(self) -> None:
        """Read the backlog on. In sync mode these calls cannot begin with production's any more."""
        try:
            rows = await self._committing.run(partial(self._inbox.waiting, self._queue.cursor, WINDOW))
            works = []
            for seq, frame in rows:
                exchange = _exchanges.decode(frame)
                late = exchange.late or self._sync
                works.append(Work(exchange.request, exchange.answer, seq=seq, late=late))
            self._queue.refill(works)
            if not rows:  # what is left is not committed yet
                await asyncio.sleep(0.01)
        finally:
            self._refilling = None
        self._pump()

    def _finish(self, work: Work) -> None:
        """Compare, and give the result to the next commit and to the open batch; before that, ask the custom gates."""
        assert work.answer is not None
        if self._customs and work.customs is None and _both_answered(work):
            assert work.observation is not None
            self._customs.ask(work.request, work.answer, work.observation, partial(self._judged, work))
            return
        if work.twin_drawn:
            self._health.twin(work.twin)
        try:
            made = self._result(work, work.answer)
        except CannotCompare as error:
            self._flushing.set_aside(work, str(error))
            return
        if made is None:
            self._flushing.set_aside(work, "no row can be made of it: see the faults that were said before")
            return
        result, content = made
        self._place += 1
        batch = self._flushing.add(Item(self._place, work.seq, work.request, work.answer, result), len(content))
        self._committing.group.finished.append(Finished(self._place, batch, work.seq, content))

    def _judged(self, work: Work, said: tuple[float | None, ...]) -> None:
        work.customs = said
        self._finish(work)
        self._pump()

    def _result(self, work: Work, production: Answer) -> tuple[Result, bytes] | None:
        """How it ended, and the same as the inbox holds it; None: no row can be made.

        Where a plugin raises, or makes what cannot be kept, the answers that cannot be compared count as unreadable.
        Raises CannotCompare, in whose words nothing of it is quoted.
        """
        candidate = None if work.absent else work.observation
        blamed = None if candidate is None else _unread(candidate)
        drawn = self._twin is not None and self._twin(work.request)
        twin = None if work.twin is None else _unread(work.twin)
        for ours, theirs, second in (
            (production, candidate, work.twin),
            *(() if twin is None else [(production, candidate, twin)]),
            (production, blamed, twin),
            (_unread(production), candidate, twin),
            (_unread(production), blamed, twin),
        ):
            try:
                rows = self._rows(
                    work.request,
                    ours,
                    theirs,
                    late=work.late,
                    absent=work.absent or "",
                    drawn=drawn,
                    twin=second,
                    customs=work.customs or (),
                )
                result = Result(candidate, rows[0], work.rewritten, rows[1:])
                return result, _encode(result)
            except CannotCompare:
                raise
            except Exception as error:  # noqa: BLE001  a plugin's: it may cost its pair, never the runner
                self._faults.say(error, f"a comparison failed, first of exchange {work.request.id.hex()}:")
        return None


def _both_answered(work: Work) -> bool:
    """Whether there is a pair of the trial to ask a custom gate about: an arm that failed is judged without it."""
    ours, theirs, request = work.answer, work.observation, work.request
    mine = request.serving == "production" and request.epoch != PROBE_EPOCH and work.absent is None
    return mine and ours is not None and theirs is not None and ours.outcome == theirs.outcome == "ok"


def _unread(answer: Answer) -> Answer:
    return msgspec.structs.replace(answer, outcome="unreadable") if answer.outcome == "ok" else answer
