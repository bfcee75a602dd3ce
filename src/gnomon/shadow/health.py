"""How the runner is: a small file that `gnomon status` reads, written after each flush and at least every second."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gnomon.clock import Clock
from gnomon.files import put
from gnomon.protocols.caches import repeated
from gnomon.records.facts import RunnerFacts, TwinFacts
from gnomon.records.frames import Answer
from gnomon.shadow.faults import Faults

EVERY_SECONDS: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode

Now = Callable[[], tuple[int, int | None, int, tuple[str, ...]]]
"""Exchanges in the inbox, request time of the oldest, calls in flight, problems."""


class Health:
    """Counts the calls and writes the file."""

    def __init__(self, path: Path | None, *, clock: Clock, twins: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._calls = 0
        self._failed: dict[str, int] = {}
        self._twins = TwinFacts() if twins else None
        self._last_failure = ""
        self._last_failure_us: int | None = None
        self._flushed = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._faults = Faults()

    def called(self, arm: str, answer: Answer) -> None:
        """A call of an arm has ended."""
        self._calls += 1
        if answer.outcome != "ok":
            self._failed[answer.outcome] = self._failed.get(answer.outcome, 0) + 1
            why = answer.detail or (f"it answered {answer.status}" if answer.status else "")
            self._last_failure = ": ".join(part for part in (arm, answer.outcome, why) if part)
            self._last_failure_us = self._clock()

    def twin(self, answer: Answer | None) -> None:
        """An exchange is over whose twin was drawn. None: it was not made."""
        before = self._twins or TwinFacts()
        self._twins = TwinFacts(
            drawn=before.drawn + 1,
            missed=before.missed + (answer is None),
            failed=before.failed + (answer is not None and answer.outcome != "ok"),
            repeated=before.repeated + (answer is not None and repeated(answer.headers)),
        )

    def flushed(self) -> None:
        """Write it soon."""
        self._flushed.set()

    def start(self, now: Now) -> None:
        """Write from now on."""
        if self._path is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(self._path, now))

    async def stop(self) -> None:
        """Write the last word."""
        self._stopping = True
        self._flushed.set()
        if self._task is not None:
            await self._task

    async def _run(self, path: Path, now: Now) -> None:
        while True:
            last = self._stopping
            await asyncio.to_thread(self._write, path, self._facts(now))
            if last:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._flushed.wait(), EVERY_SECONDS)
            self._flushed.clear()

    def _facts(self, now: Now) -> RunnerFacts:
        inbox, oldest_us, in_flight, problems = now()
        return RunnerFacts(
            time_us=self._clock(),
            inbox=inbox,
            oldest_us=oldest_us,
            in_flight=in_flight,
            calls=self._calls,
            failed=dict(self._failed),
            last_failure=self._last_failure,
            last_failure_us=self._last_failure_us,
            problems=problems,
            twins=self._twins,
        )

    def _write(self, path: Path, facts: RunnerFacts) -> None:
        """Whole or not at all, for its owner alone. A disk that is full costs the file its news, and nothing else."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put(path, _encode(facts))
        except OSError as error:
            self._faults.say(error, f"{path} cannot be written:")
