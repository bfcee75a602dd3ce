"""The custom gates, asked in a process of their own: a function that hangs or crashes costs its number and no more.

A thread would not do: a regular expression that does not come to an end holds the interpreter's lock, and the runner
with it. Pairs are asked one after another, in the order in which they are over. When one takes longer than LIMIT, or
the process dies, the gate that was being asked says nothing of that pair, and a new process goes on behind it. A gate
to which that happens too often is asked no more until the next start of the runner: what it says is null, which is the
worst case for whatever is to be shown.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

import msgspec

from gnomon.errors import GnomonError
from gnomon.records.frames import Answer, Request
from gnomon.records.judging import Ask, Begin, Begun, Said
from gnomon.records.plan import Custom
from gnomon.shadow.candidate import STALL_SECONDS

LIMIT: Final = 2.0
"""Seconds that one gate may take with one pair."""
PATIENCE: Final = 3
"""Hangs or crashes of a gate; one more is forgiven with each FORGIVEN pairs that it answered."""
FORGIVEN: Final = 1_000
AHEAD: Final = 16
"""Pairs that the process has been sent and has not answered; the others wait here."""
START_SECONDS: Final = 20.0
ENDED: Final = "their process ended while it loaded them"

Done = Callable[[tuple[float | None, ...]], None]
_said: Final = msgspec.msgpack.Decoder(Said)


class Judging:
    """One pair on its way through the gates."""

    __slots__ = ("candidate", "done", "left", "production", "request", "values")

    def __init__(self, request: Request, production: Answer, candidate: Answer, gates: int, done: Done) -> None:
        self.request = request
        self.production = production
        self.candidate = candidate
        self.done = done
        self.values: list[float | None] = [None] * gates
        self.left: deque[int] = deque()
        """Gates that the process has been asked and has not answered for."""


class Customs:
    """The gates of one plan. Without gates there is no process, and nothing to be asked."""

    def __init__(self, gates: Sequence[Custom]) -> None:
        self._gates = tuple(gates)
        self._patience = [float(PATIENCE)] * len(self._gates)
        self._asked: deque[Judging] = deque()
        self._waiting: deque[Judging] = deque()
        self._link: _Link | None = None
        self._since = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self._over = False

    def __bool__(self) -> bool:
        return bool(self._gates)

    @property
    def waiting(self) -> int:
        """Pairs that are not judged yet."""
        return len(self._asked) + len(self._waiting)

    async def start(self) -> None:
        """Start the process.

        Raises GnomonError when a function cannot be loaded, or is not the one that was sealed.
        """
        if self._gates:
            await self._begin()

    def ask(self, request: Request, production: Answer, candidate: Answer, done: Done) -> None:
        """Ask every gate about a pair; `done` gets their numbers, later. Null: it had none to say."""
        self._waiting.append(Judging(request, production, candidate, len(self._gates), done))
        self._send()

    def stop(self) -> None:
        """End the process; pairs that are not judged are given up."""
        self._over = True
        self._asked.clear()
        self._waiting.clear()
        if self._watch is not None:
            self._watch.cancel()
        if self._restarting is not None:
            self._restarting.cancel()
        if self._link is not None:
            self._link.end()

    async def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(  # noqa: ASYNC220, S603  ours alone; quick, and once in a long time
                [sys.executable, "-P", "-m", "gnomon.processes.customs", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what a function writes may hold a part of a body
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        finally:
            theirs.close()
        link = _Link(self, process)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: link, sock=ours)
        try:
            link.send(Begin(self._gates, LIMIT))
            problem = await asyncio.wait_for(link.begun, START_SECONDS)
        except TimeoutError:
            problem = f"they were not loaded within {START_SECONDS:g} s"
        except BaseException:
            link.end()
            raise
        if problem or link.closed:
            link.end()
            raise GnomonError(f"the custom gates cannot be asked: {problem or ENDED}")
        self._link = link

    def _send(self) -> None:
        """Send the process more. What no gate is asked about any more is done at once."""
        able = [number for number, left in enumerate(self._patience) if left > 0]
        while self._waiting and not self._over:
            if not able:
                self._answer(self._waiting.popleft())
                continue
            if self._link is None or len(self._asked) >= AHEAD:
                return
            judging = self._waiting.popleft()
            judging.left.extend(able)
            self._asked.append(judging)
            if len(self._asked) == 1:
                self._progress()
            self._link.send(Ask(tuple(able), judging.request, judging.production, judging.candidate))

    def answered(self, said: Said) -> None:
        """The process has answered for the gate that it was asked first."""
        judging = self._asked[0]
        gate = judging.left.popleft()
        judging.values[gate] = said.value
        self._patience[gate] = min(PATIENCE, self._patience[gate] + 1 / FORGIVEN)
        if said.trouble:
            self._tell(gate, said.trouble)
        self._progress()
        if not judging.left:
            self._asked.popleft()
            self._answer(judging)
        self._send()

    def _answer(self, judging: Judging) -> None:
        judging.done(tuple(judging.values))

    def _progress(self) -> None:
        """Something came: the next one has its whole time."""
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        if self._watch is None:
            self._watch = loop.call_at(self._since + LIMIT, self._look, self._since + LIMIT)

    def _look(self, due: float) -> None:
        """Whether a gate takes too long. What this process overslept is none of its time."""
        self._watch = None
        if not self._asked or self._link is None:
            return
        loop = asyncio.get_running_loop()
        overslept = loop.time() - due
        if overslept > STALL_SECONDS:
            self._since += overslept
        end = self._since + LIMIT
        if end <= loop.time():
            self._link.end(f"did not come to an end within {LIMIT:g} s")
        else:
            self._watch = loop.call_at(end, self._look, end)

    def died(self, link: "_Link", reason: str) -> None:
        """The process is gone. The gate that was being asked has no number for that pair; others are asked again."""
        if self._over or link is not self._link:
            return
        self._link = None
        if self._asked:
            judging = self._asked[0]
            gate = judging.left.popleft()
            self._patience[gate] -= 1
            self._tell(gate, reason)
            if self._patience[gate] <= 0:
                self._tell(gate, f"was ended {PATIENCE} times and is asked no more until the runner starts again")
        self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        try:
            await self._begin()
        except (GnomonError, OSError) as error:
            sys.stderr.write(f"{error}; until the runner starts again their numbers are null\n")
            sys.stderr.flush()
            self._patience = [0.0] * len(self._gates)
        again, self._asked = self._asked, deque()
        for judging in again:
            left = [gate for gate in judging.left if self._patience[gate] > 0]
            judging.left = deque(left)
            if not left or self._link is None:
                self._answer(judging)
                continue
            self._asked.append(judging)
            self._link.send(Ask(tuple(left), judging.request, judging.production, judging.candidate))
        self._progress()
        self._send()

    def _tell(self, gate: int, trouble: str) -> None:
        """Each trouble is said once; its number is null every time."""
        words = f"custom gate {self._gates[gate].function} {trouble}; its number is null for such a pair"
        if words not in self._told:
            self._told.add(words)
            sys.stderr.write(f"{words}\n")
            sys.stderr.flush()


class _Link(asyncio.Protocol):
    """The socket to one process."""

    def __init__(self, customs: Customs, process: subprocess.Popen[bytes]) -> None:
        self.begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._customs = customs
        self._process = process
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._reason = "ended the process that it was asked in"

    @property
    def closed(self) -> bool:
        """Whether the process is gone, or about to be."""
        return self._transport is None

    def send(self, message: Begin | Ask) -> None:
        """One frame."""
        body = msgspec.msgpack.encode(message)
        if self._transport is not None:
            self._transport.write(len(body).to_bytes(4, "big") + body)

    def end(self, reason: str = "") -> None:
        """Kill the process, and close."""
        self._reason = reason or self._reason
        self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take every frame that is complete."""
        self._rest += data
        while len(self._rest) >= 4 and len(self._rest) >= (end := 4 + int.from_bytes(self._rest[:4], "big")):
            body, self._rest = self._rest[4:end], self._rest[end:]
            if self.begun.done():
                self._customs.answered(_said.decode(body))
            else:
                self.begun.set_result(msgspec.msgpack.decode(body, type=Begun).problem)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        """The process has ended, or is about to."""
        self._transport = None
        self._process.kill()
        self._process.wait()
        if not self.begun.done():
            self.begun.set_result(ENDED)
        self._customs.died(self, self._reason)
