"""Learn: before a plan with `top` segments is sealed, find the names of their values.

Production is served by gateways as ever. Their copies come here and go no further: values are counted, nothing is
called, nothing is kept. Then the trial begins, and its gateways take the port over as from a supervisor that died.
"""

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon import clock, pipeline, plugins
from gnomon.errors import GnomonError
from gnomon.plan import load, seal, top
from gnomon.ports import MISSING, ReadError
from gnomon.protocols import text
from gnomon.records.frames import Exchange, Request, Settled
from gnomon.records.plan import Plan, Segment
from gnomon.records.process import Epoch, GatewayConfig
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.shadow.intake import Gateway, Intake
from gnomon.state import State
from gnomon.supervisor import admin, control, listener, operations
from gnomon.supervisor.configs import gateway_config_of
from gnomon.supervisor.gateways import Gateways

LONGEST: Final = 200
"""Characters of a value that can be a name."""

Say = Callable[[str], None]

SOCKET: Final = "learn.sock"
"""In the run folder: where copies are taken, as long as it learns."""
ALWAYS: Final = 1 << 32
SERIAL: Final = 900_000
"""Where the numbers of learning gateways begin: their sockets must not have the names of the trial's."""
DISTINCT: Final = 100_000
"""Different values of a segment that are counted; a segment with more is no segment."""


class Learner:
    """Counts the values of segments in what gateways copy. A Receiver of the intake."""

    def __init__(self, plan: Plan, names: tuple[str, ...]) -> None:
        self._protocol = plugins.protocol(plan.protocol)
        self._segments = [segment for segment in plan.segments if segment.name in names]
        self.wanted = max(segment.learn for segment in self._segments)
        self.seen = 0
        self.counts: dict[str, Counter[str]] = {segment.name: Counter() for segment in self._segments}
        self.done = asyncio.Event()

    def take(self, request: Request) -> None:
        """Count one request's values."""
        if self.done.is_set():
            return
        for segment in self._segments:
            value = self._value(segment, request)
            known = self.counts[segment.name]
            if value is not None and (value in known or len(known) < DISTINCT):
                known[value] += 1
        self.seen += 1
        if self.seen >= self.wanted:
            self.done.set()

    @property
    def far(self) -> str:
        """How far it is, for people."""
        which = " and ".join(self.counts)
        return f"the top values of {which} are learned from {self.seen:,} of {self.wanted:,} requests"

    def _value(self, segment: Segment, request: Request) -> str | None:
        value = self._protocol.read_request(segment.of, request)
        if value is MISSING or value is None:
            return None
        try:
            found = text(value)
        except (ReadError, RecursionError):
            return None
        return found if found.strip() and len(found) <= LONGEST and found.isprintable() else None

    def greeted(self, gateway: Gateway) -> int:
        """See intake.Receiver."""
        return gateway.number

    def exchange(self, gateway: Gateway, frame: Exchange, payload: bytes) -> None:  # noqa: ARG002
        """See intake.Receiver."""
        self.take(frame.request)
        gateway.acknowledge(frame.number)

    def call(self, gateway: Gateway, request: Request) -> None:
        """See intake.Receiver. Learning gateways copy in async mode, so there is none."""

    def settled(self, gateway: Gateway, frame: Settled) -> None:
        """See intake.Receiver."""

    def dropped(self, gateway: Gateway, id: bytes) -> None:  # noqa: A002  the frame's name for it
        """See intake.Receiver."""

    def left(self, gateway: Gateway) -> None:
        """See intake.Receiver."""


def known(state: State, loaded: load.Loaded) -> dict[str, Any] | None:
    """The document with the names that an earlier trial of this very plan found; None: there was none."""
    name = loaded.document["trial"]
    for trial in sorted(state.trials(), key=lambda each: -each.number):
        if trial.name == name:
            candidate = top.filled(loaded.document, msgspec.json.decode(trial.document))
            if not top.unresolved(candidate) and seal.seal(candidate).digest == trial.digest:
                return candidate
    return None


def from_log(settings: Settings, loaded: load.Loaded, pilot: Trial) -> dict[str, Any]:
    """The document with the names that the newest requests in an earlier trial's log give.

    Raises GnomonError when it holds none of the values.
    """
    names = top.unresolved(loaded.document)
    learner = Learner(loaded.plan, names)
    for request in pipeline.logged_requests(settings, pilot, learner.wanted):
        learner.take(request)
    return _resolved(loaded, learner, f"the log of {pilot.id}")


def under_way(settings: Settings) -> bool:
    """Whether a live process learns the names for this data folder: the socket of a dead one takes nobody."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(settings.run_dir / SOCKET))
    except OSError:
        return False
    return True


@contextlib.asynccontextmanager
async def from_traffic(settings: Settings, loaded: load.Loaded, *, say: Say) -> AsyncIterator[dict[str, Any] | None]:
    """The document with the names that the next requests give; None: it was asked to end before there were enough.

    Production is served meanwhile, and is when the block has ended well: these gateways go on until their successors
    take the port over. Raises GnomonError when no request had any of the values, or the port cannot be opened.
    """
    learner = Learner(loaded.plan, top.unresolved(loaded.document))
    stand_in = _stand_in(loaded)
    intake = Intake(learner, trial=stand_in.id)
    path = settings.run_dir / SOCKET

    def configured(control_socket: Path) -> GatewayConfig:
        epoch = Epoch(number=1, serving="production")
        config = gateway_config_of(settings, stand_in, loaded.plan, epoch, socket_name=control_socket.name)
        return msgspec.structs.replace(
            config,
            mode="async", shadow_rate=ALWAYS, strata=None, sticky=None, per_second=None, slice_us=0,
            runner_socket=str(path),
        )  # fmt: skip

    inherited, predecessors = listener.adopt(settings.run_dir, settings.listen)
    with inherited or listener.bind(settings.listen, key="listen") as listening:
        gateways = Gateways(settings, listening.fileno(), configured, say=say, numbers=itertools.count(SERIAL))
        host, port = listening.getsockname()[:2]
        try:
            await intake.listen(path)
            await _until_known(settings, learner, gateways, predecessors, f"http://{host}:{port}", say)
            if learner.done.is_set():
                yield _resolved(loaded, learner, f"{learner.seen:,} requests")
                gateways.release()
            else:
                yield None
        finally:
            intake.close()
            if not gateways.released:
                listening.close()  # with ours open, clients would still connect, and wait for nobody
                await gateways.stop()


async def _until_known(
    settings: Settings, learner: Learner, gateways: Gateways, predecessors: list[Path], address: str, say: Say
) -> None:
    """Serve production until enough is known, or it is asked to end."""

    async def replace() -> control.Message:
        return {"replaced": await gateways.replace(), "needs_start": []}

    def status() -> dict[str, Any]:
        raise GnomonError(f"nothing is sealed yet: {learner.far}")

    def processes() -> list[dict[str, Any]]:
        return [{"name": each.name, "pid": each.pid, "ready": each.ready} for each in gateways.serving]

    stop_admin = admin.start(settings.admin, status, processes)
    try:
        async with operations.taken(settings, replace, say=say) as stopping:
            await gateways.start()
            for predecessor in predecessors:
                await asyncio.to_thread(control.ask, predecessor, {"drain": True})
            say(f"{learner.far}; clients {address}, nothing is shadowed yet")
            waits = [asyncio.create_task(each.wait()) for each in (learner.done, stopping)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
    finally:
        stop_admin()


def _resolved(loaded: load.Loaded, learner: Learner, where: str) -> dict[str, Any]:
    try:
        return top.resolve(loaded.document, learner.counts)
    except ValueError as error:
        segment = next(each for each in loaded.plan.segments if each.name == str(error))
        raise GnomonError(
            f"no value of segment {segment.name} ({segment.of}) was found in {where}; "
            f"correct segments.{segment.name}.from, or name its values"
        ) from error


def _stand_in(loaded: load.Loaded) -> Trial:
    """What learning gateways take for their trial: its counters stand apart, and no runner of a trial knows it."""
    name = f"{loaded.plan.trial}.learning"
    return Trial(
        id=name, name=name, number=0, digest=seal.seal(loaded.document).digest, canonical="", document="",
        plan_path="", parent=None, attempt=0, registered_us=clock.now_us(), program="", first_epoch=1,
    )  # fmt: skip
