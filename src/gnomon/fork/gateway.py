"""The gateway process: who serves, what is copied, and the order of starting and ending."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon.clock import steady
from gnomon.files import put
from gnomon.fork import provenance
from gnomon.fork.client import Client
from gnomon.fork.control import Control, bound
from gnomon.fork.counters import SEEN, Ledger
from gnomon.fork.link import Link
from gnomon.fork.names import Headers
from gnomon.fork.sampling import Bucket, Ids
from gnomon.fork.slices import OffSlices
from gnomon.fork.strata import Draw, Sampler
from gnomon.fork.trail import OF_THE_ID, Trail
from gnomon.fork.upstream import Pool
from gnomon.records.frames import Request
from gnomon.records.process import PROBE_EPOCH, Epoch, GatewayConfig, Upstream

_TICK: Final = 0.05
_SWEEP: Final = 0.5
_DRAIN_SECONDS: Final = 20.0
_BACKLOG: Final = 1024
_ACK_SECONDS: Final = 5.0
_PROBE_US: Final = 10_000_000
_NAMES_LIMIT: Final = 4096
_TRACE_FLAGS: Final = {"sampled": provenance.SAMPLED, "unsampled": provenance.UNSAMPLED, "none": b""}
_IDLE_GRACE: Final = 1.0
"""While draining, a connection that has been idle this long is closed; a younger one gets one more answer."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is fixed for every request that starts in one epoch."""

    epoch: Epoch
    pool: Pool
    ledger: Ledger
    credentials: bytes


class Gateway:
    """One gateway process."""

    def __init__(self, config: GatewayConfig, listener: socket.socket) -> None:
        self.config = config
        self.clock = steady()
        self.ids = Ids()
        self.loop = asyncio.get_running_loop()
        self.clients: set[Client] = set()
        self.draining = False
        self.routes = {(method.encode(), path.encode()): f"{method} {path}" for method, path in config.routes}
        self.repeatable = frozenset((method.encode(), path.encode()) for method, path in config.repeatable)
        self.body_limit = config.body_limit
        self.first_byte_us = config.first_byte_us
        self.new_trace = _TRACE_FLAGS[config.new_traces]
        self._pause_file = Path(config.pause_file) if config.pause_file else None
        self.paused = self._pause_file is not None and self._pause_file.exists()
        self.bucket = Bucket(config.per_second, self.loop.time) if config.per_second is not None else None
        self.instance = self.ids.new(self.clock()).hex()
        self.link = Link(
            config.runner_socket,
            instance=self.instance,
            trial=config.trial,
            sync=config.mode == "sync",
            budget=config.capture_budget,
            body_cap=config.body_cap,
            bug=self.bug,
        )
        self._bugs: set[str] = set()
        self._listener = listener
        self.sampler = Sampler(
            bytes.fromhex(config.sampling_key), rate=config.shadow_rate, strata=config.strata, sticky=config.sticky
        )
        self.slices = self._off_slices()
        self._trail = self._made_trail()
        self._captured = frozenset(name.encode() for name in config.capture_headers)
        self._names: dict[bytes, str | None] = {}  # by the name as it is spelled; None: not captured
        self._pools = {
            "production": Pool(config.production, idle_us=config.idle_us, loop=self.loop, bug=self.bug),
            "candidate": Pool(config.candidate, idle_us=config.idle_us, loop=self.loop, bug=self.bug),
        }
        self._ledgers: list[Ledger] = []
        self._probes: Ledger | None = None
        self._done = asyncio.Event()
        self.serving = self._serve_by(max(config.epoch, self._kept_epoch(), key=lambda epoch: epoch.number))
        self._probed = self._serve_probes() if config.probe_url and config.probe_socket else None

    # what exchanges ask --------------------------------------------------------------------------------------------

    def decide(self, request: Request, ledger: Ledger) -> tuple[str | None, str, int]:
        """The state of a request that is not copied, or None; its stratum, and the probability over 2**32."""
        return self.taken(self.sampler.draw(request), ledger)

    def taken(self, draw: Draw, ledger: Ledger) -> tuple[str | None, str, int]:
        """The same of one that was drawn; its coin is counted."""
        ledger.drawn(draw.stratum, sampled=draw.sampled)
        state = self.kept_out(ledger) if draw.sampled else "unsampled"
        return state, self.sampler.names[draw.stratum], draw.rate

    def kept_out(self, ledger: Ledger, *, probe: bool = False) -> str | None:
        """Why nothing is copied now, if so."""
        if self.paused:
            return "shed:paused"
        if self.bucket is not None and not probe and not self.bucket.take():
            return "shed:budget"
        return None if ledger.durable else "shed:unavailable"

    def allowed(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        """The headers that a copy may carry."""
        names = self._names
        found = []
        for name, value in headers:
            try:
                lower = names[name]
            except KeyError:
                lower = self._learn(name)
            if lower is not None:
                found.append((lower, value.decode("latin-1")))
        return tuple(found)

    def _learn(self, name: bytes) -> str | None:
        lower = name.lower()
        found = lower.decode("latin-1") if lower in self._captured else None
        if len(self._names) < _NAMES_LIMIT and len(name) <= 64:
            self._names[name] = found
        return found

    def bug(self, error: BaseException) -> None:
        """Say a fault of our own, once for each kind and place. Raises nothing itself."""
        with contextlib.suppress(Exception):
            trace = traceback.extract_tb(error.__traceback__)
            where = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else ""
            kind = f"{type(error).__name__} {where}"
            if kind not in self._bugs:
                self._bugs.add(kind)
                traceback.print_exception(error, file=sys.stderr)

    # epochs --------------------------------------------------------------------------------------------------------

    def _kept_epoch(self) -> Epoch:
        """The last epoch that any gateway of this trial was told; number 0 if none was."""
        try:
            return msgspec.json.decode(Path(self.config.epoch_file).read_bytes(), type=Epoch)
        except (OSError, msgspec.DecodeError):
            return Epoch(number=0, serving="production")

    def _serve_by(self, epoch: Epoch) -> Serving:
        pool = self._pools[epoch.serving]
        variable = pool.arm.authorization_env
        credentials = os.environ.get(variable, "").encode("latin-1") if variable else b""
        return Serving(epoch, pool, self._ledger(epoch.number), credentials)

    def _serve_probes(self) -> Serving:
        """Who answers what the supervisor asks to see whether it comes through to the log: the built-in echo arm."""
        arm = Upstream(url=self.config.probe_url, version="probe", timeout_us=_PROBE_US, authorization_env=None)
        self._pools["probe"] = pool = Pool(arm, idle_us=self.config.idle_us, loop=self.loop, bug=self.bug)
        self._probes = ledger = self._ledger(PROBE_EPOCH)
        return Serving(Epoch(number=PROBE_EPOCH, serving="production"), pool, ledger, b"")

    def _ledger(self, epoch: int) -> Ledger:
        facts: dict[str, Any] = {
            "instance": self.instance,
            "trial": self.config.trial,
            "epoch": epoch,
            "now_us": self.clock(),
            "strata": self.sampler.names,
            "trail": self._trail,
        }
        try:
            ledger = Ledger(Path(self.config.counters_dir), **facts)
        except OSError as error:  # a switch, above all a rollback, does not wait for room on a disk
            self.bug(error)
            ledger = Ledger(None, **facts)
        self._ledgers.append(ledger)
        return ledger

    def _made_trail(self) -> Trail | None:
        try:
            # who looks into requests cannot tell by the id alone which of them the coin left out
            left_out = OF_THE_ID if self.sampler.simple else OF_THE_ID - {"unsampled"}
            return Trail(Path(self.config.counters_dir), instance=self.instance, left_out=left_out)
        except OSError as error:  # `gnomon explain` will know less
            self.bug(error)
            return None

    def _off_slices(self) -> OffSlices | None:
        config, sampler = self.config, self.sampler
        if not config.slice_us:
            return None
        names = ("all",) if sampler.needs_body else sampler.names  # the body of what is not copied is not looked at
        try:
            return OffSlices(
                Path(config.counters_dir),
                sampler.key,
                instance=self.instance,
                slice_us=config.slice_us,
                slices=config.slices,
                strata=names,
            )
        except OSError as error:  # the cost of shadowing is not measured
            self.bug(error)
            return None

    def set_epoch(self, epoch: Epoch) -> int:
        """Let requests from now on be served by it, if it is newer; the number in force."""
        if epoch.number > self.serving.epoch.number:
            self.serving = self._serve_by(epoch)
            try:
                put(Path(self.config.epoch_file), msgspec.json.encode(epoch))
            except OSError as error:  # it serves all the same; only a start without the supervisor would not know
                self.bug(error)
        return self.serving.epoch.number

    def pause(self, *, paused: bool) -> bool:
        """Shadow nothing from now on, or shadow again; whether it is paused."""
        self.paused = paused
        if self._pause_file is not None:
            try:
                if paused:
                    self._pause_file.touch(mode=0o600)
                else:
                    self._pause_file.unlink(missing_ok=True)
            except OSError as error:  # only a start without the supervisor would not know
                self.bug(error)
        return paused

    # running -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until drained."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.begin_drain)
        await self.link.open()  # once, before the first request: its copy need not be late
        control = Control(self)
        await control.open()  # before the first connection: a process that cannot be told anything takes none
        server = await self.loop.create_server(lambda: Client(self), sock=self._listener, backlog=_BACKLOG)
        probes = await self._listen_for_probes()
        work = ((_TICK, self._move_frontiers), (_TICK, self.link.tick), (_SWEEP, self._sweep))
        timers = [asyncio.create_task(self._every(seconds, each)) for seconds, each in work]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await self._done.wait()
        self.draining = True
        server.close()
        if probes is not None:
            probes.close()
            self._remove_probe_socket()
        await self._drain()
        await self.link.drained(_ACK_SECONDS)
        self._move_frontiers()
        self.link.stop()
        control.close()
        for timer in timers:
            timer.cancel()
        await asyncio.sleep(0)

    async def _listen_for_probes(self) -> asyncio.AbstractServer | None:
        probed = self._probed
        if probed is None:
            return None
        try:
            own = bound(Path(self.config.probe_socket))
            return await self.loop.create_unix_server(lambda: Client(self, probed), sock=own)
        except OSError as error:  # the supervisor will say that its probes do not come through
            self.bug(error)
            return None

    def _remove_probe_socket(self) -> None:
        with contextlib.suppress(OSError):
            Path(self.config.probe_socket).unlink()

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        """For as long as the process serves; a fault is said, and the work is tried again in its turn."""
        while True:
            try:
                work()
            except Exception as error:  # noqa: BLE001  a fault of ours ends no timer, and with it what it does for all
                self.bug(error)
            await asyncio.sleep(seconds)

    def _move_frontiers(self) -> None:
        now = self.clock()
        for ledger in self._ledgers:
            ledger.tick(now)

    def _sweep(self) -> None:
        for pool in self._pools.values():
            pool.sweep()
        now = self.loop.time()
        for client in list(self.clients):
            client.sweep(now)

    async def _drain(self) -> None:
        """Answer what was asked. An idle connection may be about to ask: it is closed only when it stays quiet."""
        begun = self.loop.time()
        while self.clients and self.loop.time() < begun + _DRAIN_SECONDS:
            now = self.loop.time()
            for client in list(self.clients):
                if client.idle and now - max(client.active_at, begun) >= _IDLE_GRACE:
                    client.close()
            await asyncio.sleep(0.02)
        for client in list(self.clients):
            client.close()
        for pool in self._pools.values():
            pool.close()

    def begin_drain(self) -> None:
        """Take no new connection, answer what is open, and end."""
        self._done.set()

    @property
    def listening_fd(self) -> int:
        """Descriptor of the shared listening socket."""
        return self._listener.fileno()

    def status(self) -> dict[str, Any]:
        """What the control socket says about this process."""
        return {
            "ok": True,
            "trial": self.config.trial,
            "instance": self.instance,
            "pid": os.getpid(),
            "epoch": self.serving.epoch.number,
            "serving": self.serving.epoch.serving,
            "paused": self.paused,
            "seen": sum(ledger.slots[SEEN] for ledger in self._ledgers if ledger is not self._probes),
            "open": sum(len(ledger.open) for ledger in self._ledgers),
            "connections": len(self.clients),
            "idle_upstream": {name: pool.idle for name, pool in self._pools.items()},
            "held_bytes": self.link.held,
            "unacknowledged": len(self.link.unacknowledged),
            "runner": self.link.connected,
            "draining": self.draining,
        }
