"""The gateway process: who serves, what is copied, and the order of starting and ending."""

import asyncio
import json
import os
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon.clock import steady
from gnomon.fork import http1
from gnomon.fork.capture import Link
from gnomon.fork.client import Client
from gnomon.fork.counters import Ledger
from gnomon.fork.sampling import Bucket, Ids, coin
from gnomon.fork.upstream import Pool
from gnomon.records.process import Epoch, GatewayConfig

_TICK: Final = 0.05
_SWEEP: Final = 0.5
_DRAIN_SECONDS: Final = 25.0
_ACK_SECONDS: Final = 5.0
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
        self.routes = frozenset((method.encode(), path.encode()) for method, path in config.routes)
        self.bucket = Bucket(config.per_second, self.loop.time) if config.per_second is not None else None
        self.instance = self.ids.new(self.clock()).hex()
        self.link = Link(
            config.runner_socket,
            instance=self.instance,
            sync=config.mode == "sync",
            budget=config.capture_budget,
            body_cap=config.body_cap,
        )
        self._listener = listener
        self._key = bytes.fromhex(config.sampling_key)
        self._captured = frozenset(name.encode() for name in config.capture_headers)
        self._pools = {
            "production": Pool(config.production, idle_us=config.idle_us, loop=self.loop),
            "candidate": Pool(config.candidate, idle_us=config.idle_us, loop=self.loop),
        }
        self._ledgers: list[Ledger] = []
        self._bugs: set[str] = set()
        self._done = asyncio.Event()
        self.serving = self._serve_by(max(config.epoch, self._kept_epoch(), key=lambda epoch: epoch.number))

    # what exchanges ask --------------------------------------------------------------------------------------------

    def toss(self, id_: bytes) -> bool:
        """Whether the coin says that this request is copied."""
        return coin(self._key, id_) < self.config.shadow_rate

    def allowed(self, headers: http1.Headers) -> tuple[tuple[str, str], ...]:
        """The headers that a copy may carry."""
        captured = self._captured
        return tuple(
            (lower.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if (lower := name.lower()) in captured
        )

    def bug(self, error: Exception) -> None:
        """Say a fault of our own, once for each kind and place."""
        trace = traceback.extract_tb(error.__traceback__)
        kind = f"{type(error).__name__} {trace[-1].filename}:{trace[-1].lineno}" if trace else type(error).__name__
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
        ledger = Ledger(
            Path(self.config.counters_dir),
            instance=self.instance,
            trial=self.config.trial,
            epoch=epoch.number,
            now_us=self.clock(),
        )
        self._ledgers.append(ledger)
        pool = self._pools[epoch.serving]
        variable = pool.arm.authorization_env
        credentials = os.environ.get(variable, "").encode("latin-1") if variable else b""
        return Serving(epoch, pool, ledger, credentials)

    def set_epoch(self, epoch: Epoch) -> int:
        """Let requests from now on be served by it, if it is newer; the number in force."""
        if epoch.number > self.serving.epoch.number:
            self.serving = self._serve_by(epoch)
            kept = Path(self.config.epoch_file)
            draft = kept.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(msgspec.to_builtins(epoch)))
            draft.replace(kept)
        return self.serving.epoch.number

    # running -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until drained."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._done.set)
        await self.link.open()  # once, before the first request: its copy need not be late
        server = await self.loop.create_server(lambda: Client(self), sock=self._listener)
        control = await self._control()
        timers = [asyncio.create_task(self._tick()), asyncio.create_task(self._sweep())]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await self._done.wait()
        self.draining = True
        server.close()
        await self._drain()
        await self.link.drained(_ACK_SECONDS)
        self._move_frontiers()
        self.link.stop()
        control.close()
        self._remove_control_socket()
        for timer in timers:
            timer.cancel()
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        while True:
            self._move_frontiers()
            await asyncio.sleep(_TICK)

    def _move_frontiers(self) -> None:
        now = self.clock()
        for ledger in self._ledgers:
            ledger.tick(now)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            for pool in self._pools.values():
                pool.sweep()

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

    # control -------------------------------------------------------------------------------------------------------

    async def _control(self) -> asyncio.AbstractServer:
        self._remove_control_socket()
        server = await asyncio.start_unix_server(self._serve_control, self.config.control_socket)
        os.chmod(self.config.control_socket, 0o600)  # noqa: PTH101  pathlib's would be called blocking; both are quick
        return server

    def _remove_control_socket(self) -> None:
        Path(self.config.control_socket).unlink(missing_ok=True)

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = self._answer_control(json.loads(line), writer)
                except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
                    answer = {"ok": False, "error": str(error)}
                if answer is not None:
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answer_control(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any] | None:
        if "epoch" in message:
            return {"ok": True, "epoch": self.set_epoch(msgspec.convert(message["epoch"], Epoch))}
        if message.get("listener"):
            own = os.dup(writer.get_extra_info("socket").fileno())
            with socket.socket(fileno=own) as connection:
                socket.send_fds(connection, [b'{"ok": true}\n'], [self._listener.fileno()])
            return None
        if message.get("drain"):
            self._done.set()
            return {"ok": True}
        return {
            "ok": True,
            "instance": self.instance,
            "pid": os.getpid(),
            "epoch": self.serving.epoch.number,
            "serving": self.serving.epoch.serving,
            "connections": len(self.clients),
            "held_bytes": self.link.held,
            "unacknowledged": len(self.link.unacknowledged),
            "runner": self.link.connected,
            "draining": self.draining,
        }
