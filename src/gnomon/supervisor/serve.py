"""`gnomon serve`: seal, start, watch, push epochs, drain."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec

from gnomon import pipeline
from gnomon.errors import GnomonError, StateError
from gnomon.records.plan import Plan
from gnomon.records.process import Epoch, GatewayConfig, RunnerConfig, Upstream
from gnomon.records.trial import Trial
from gnomon.settings import Settings
from gnomon.state import State, open_state
from gnomon.supervisor import admin, children, control, listener, unshadowed

EPOCH_POLL_SECONDS = 0.05
GATEWAY_PATIENCE = 30.0
RUNNER_PATIENCE = 60.0
CAPTURED_HEADERS = ("content-type", "content-encoding", "accept", "accept-language", "x-request-id", "traceparent")
"""What a copy carries besides the headers that the plan's selectors name. Authorization and cookies never."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Running:
    """What is up, for the admin port and the announcement."""

    settings: Settings
    trial: Trial
    plan: Plan
    listener: socket.socket
    gateways: list[children.Child] = field(default_factory=list)
    runner: children.Child | None = None

    @property
    def address(self) -> str:
        """Where clients reach the gateway."""
        host, port = self.listener.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def processes(self) -> list[dict[str, Any]]:
        """Name, pid, readiness and restarts of each child."""
        every = [*self.gateways, *([self.runner] if self.runner else [])]
        return [{"name": c.name, "pid": c.pid, "ready": c.ready, "restarts": c.restarts} for c in every]


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[TextIO]:
    """Hold the data folder.

    Raises StateError when another supervisor does.
    """
    path = settings.root / "supervisor.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise StateError(
                f"another gnomon serve (process {lock.read().strip() or 'unknown'}) uses the data folder "
                f"{settings.root}; stop it, or set GNOMON_DATA to another folder"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


async def serve(settings: Settings, plan_path: Path, *, say: Say, announce: Callable[[Running], None]) -> None:
    """Run a trial until SIGINT or SIGTERM, then drain.

    Raises GnomonError for everything that a user can fix.
    """
    settings.prepare()
    with only_one(settings):
        try:
            opened = open_state(settings.state_url)
        except StateError as error:
            config = unshadowed.last_config(settings, plan_path)
            if config is None:
                raise
            say(str(error))
            await unshadowed.serve(settings, config, say=say)
            return
        with opened as state:
            await _serve(settings, state, plan_path, say=say, announce=announce)


async def _serve(
    settings: Settings, state: State, plan_path: Path, *, say: Say, announce: Callable[[Running], None]
) -> None:
    trial, plan = pipeline.register(settings, state, plan_path, say=say)
    inherited, predecessors = listener.adopt(settings.run_dir, settings.listen)
    control.sweep(settings.run_dir)
    running = Running(settings, trial, plan, inherited or listener.bind(settings.listen, key="listen"))
    with running.listener:
        stop_admin = admin.start(settings.admin, lambda: status(running))
        try:
            await _run(running, state, predecessors, say=say, announce=announce)
        finally:
            stop_admin()


async def _run(
    running: Running, state: State, predecessors: list[Path], *, say: Say, announce: Callable[[Running], None]
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    # Pushing begins before the gateways: a switch while they start reaches them, and their predecessors, too.
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(_push_epochs(running, state, say))]
    try:
        starting = asyncio.create_task(_start_all(running, state.epoch(running.trial.id), predecessors, say=say))
        stopped = asyncio.create_task(stopping.wait())
        tasks += [starting, stopped]
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()  # what it raised
            every = [*running.gateways, *([running.runner] if running.runner else [])]
            tasks += [asyncio.create_task(children.watch(child, say)) for child in every]
            announce(running)
            await stopping.wait()
        say("draining: no new requests, finishing what is open")
    finally:
        await _stop_all(running, say=say)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start_all(running: Running, epoch: Epoch, predecessors: list[Path], *, say: Say) -> None:
    settings = running.settings
    logs = settings.root / "logs"
    await _end_orphan_runner(settings)
    runner_config = _write(settings.run_dir / "runner.json", runner_config_of(settings, running.trial))
    command = ["-m", "gnomon.processes.runner", "--config", str(runner_config)]
    running.runner = children.Child("runner", command, logs / "runner.log")
    await children.start(running.runner)
    if not running.runner.ready:  # fail open: production is served, unshadowed, and the ledger says so
        say(
            f"runner is not ready: {children.last_words(running.runner)}; production is served, copies wait or are shed"
        )
    fd = running.listener.fileno()
    for index in range(settings.gateways):
        name = f"gateway-{os.getpid()}-{index}"
        config = gateway_config_of(settings, running.trial, running.plan, epoch, socket_name=f"{name}.sock")
        path = _write(settings.run_dir / f"{name}.json", config)
        _write(settings.trial_dir(running.trial.id) / unshadowed.KEPT, config)
        command = ["-m", "gnomon.fork", "--config", str(path), "--listen-fd", str(fd)]
        child = children.Child(f"gateway {index}", command, logs / f"gateway-{index}.log", fds=(fd,))
        running.gateways.append(child)
        await children.start(child)
        if not child.ready:
            raise GnomonError(f"gateway {index} does not start: {children.last_words(child, 3)}")
    for path in predecessors:  # gateways of a supervisor that died: their successors accept now
        await asyncio.to_thread(control.ask, path, {"drain": True})


async def _stop_all(running: Running, *, say: Say) -> None:
    """Gateways first: they hand over what they have; then the runner: it writes what it got."""
    running.listener.close()  # with ours open, clients would still connect, and wait for nobody
    clean = await asyncio.gather(*(children.stop(child, patience=GATEWAY_PATIENCE) for child in running.gateways))
    if running.runner is not None:
        clean.append(await children.stop(running.runner, patience=RUNNER_PATIENCE))
    if not all(clean):
        say("a process did not drain in time and was killed; what it held is counted when it starts again")


async def _push_epochs(running: Running, state: State, say: Say) -> None:
    """Carry the epoch in force to every gateway that does not serve by it yet, and again to one that was replaced.

    The database is asked every 50 ms, so a switch takes under 200 ms. Nothing ends this loop: who cannot be asked or
    told now is asked or told again, and gateways serve on by the last epoch that they know.
    """
    told: dict[tuple[Path, int], int] = {}
    said = state.epoch(running.trial.id).number
    complaint = ""
    while True:
        await asyncio.sleep(EPOCH_POLL_SECONDS)
        try:
            epoch = state.epoch(running.trial.id)
            all_know = await _push(running, epoch, told)
        except Exception as error:  # noqa: BLE001  whatever it is, a later rollback must still get through
            if str(error) != complaint:
                complaint = str(error)
                say(f"who serves cannot be asked or pushed, trying on: {error}")
            continue
        complaint = ""
        if all_know and epoch.number != said:
            said = epoch.number
            say(f"epoch {epoch.number}: {epoch.serving} serves now")


async def _push(running: Running, epoch: Epoch, told: dict[tuple[Path, int], int]) -> bool:
    """Tell each socket's gateway that was not told this epoch; True when all of this trial's know it."""
    waiting: list[tuple[Path, int]] = []
    for path in control.sockets(running.settings.run_dir):
        with contextlib.suppress(FileNotFoundError):
            key = (path, path.stat().st_ctime_ns)  # a gateway that was replaced has a new socket of the same name
            if told.get(key) != epoch.number:
                waiting.append(key)
    answers = await asyncio.gather(
        *(asyncio.to_thread(control.push_epoch, path, running.trial.id, epoch) for path, _ in waiting)
    )
    for key, answer in zip(waiting, answers, strict=True):
        if answer is not None:  # another trial's gateway is asked once for each epoch, and left alone
            told[key] = epoch.number
    return all(answer is not None for answer in answers)


def status(running: Running) -> dict[str, Any]:
    """What the admin port shows: the trial's status and the children."""
    with open_state(running.settings.state_url) as state:
        now = pipeline.status(running.settings, state, state.trial(running.trial.id))
    now["processes"] = running.processes
    now["ready"] = all(child["ready"] for child in running.processes)
    return now


def gateway_config_of(settings: Settings, trial: Trial, plan: Plan, epoch: Epoch, *, socket_name: str) -> GatewayConfig:
    """All that a gateway needs to know."""
    folder = settings.trial_dir(trial.id)
    (folder / "counters").mkdir(mode=0o700, parents=True, exist_ok=True)
    key = plan.truth.key if plan.truth else None
    selectors = [*(s.of for s in plan.segments), *(s for s in (plan.unit.cluster, key) if s is not None)]
    named = {s.name for s in selectors if s.where == "header"}
    production, candidate = (
        Upstream(url=arm.url, version=arm.version, timeout_us=arm.timeout_us, authorization_env=arm.authorization_env)
        for arm in (plan.production, plan.candidate)
    )
    return GatewayConfig(
        trial=trial.id,
        production=production,
        candidate=candidate,
        routes=tuple((route.method, route.path) for route in plan.routes),
        mode=plan.fork.mode,
        shadow_rate=plan.fork.shadow_rate,
        sampling_key=trial.digest,
        per_second=plan.fork.per_second,
        capture_headers=tuple(sorted({*CAPTURED_HEADERS, *named})),
        epoch=epoch,
        runner_socket=str(settings.run_dir / "runner.sock"),
        control_socket=str(settings.run_dir / socket_name),
        counters_dir=str(folder / "counters"),
        epoch_file=str(folder / "epoch.json"),
    )


def runner_config_of(settings: Settings, trial: Trial) -> RunnerConfig:
    """All that the runner needs to know."""
    folder = settings.trial_dir(trial.id)
    return RunnerConfig(
        trial=trial.id,
        data=str(settings.root),
        plan_document=trial.document,
        first_epoch=trial.first_epoch,
        started_us=trial.registered_us,
        runner_socket=str(settings.run_dir / "runner.sock"),
        counters_dir=str(folder / "counters"),
        inbox_url=settings.inbox_url(trial.id),
        log_url=settings.log_url(trial.id),
        flush_us=round(settings.flush * 1e6),
    )


def _write(path: Path, config: msgspec.Struct) -> Path:
    text = json.dumps(msgspec.to_builtins(config), indent=1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


async def _end_orphan_runner(settings: Settings) -> None:
    """End the runner of a supervisor that died: it holds the socket and the inbox, and its successor needs both."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(settings.run_dir / "runner.sock"))
        except OSError:
            pass
        else:  # the kernel says who listens there; a number in a file could be anybody's by now
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, uid, _ = struct.unpack("3i", credentials)
            if uid == os.getuid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
    path = settings.run_dir / "runner.sock.lock"
    if not path.exists():
        return
    with path.open("r+") as lock:
        for _attempt in range(int(RUNNER_PATIENCE * 10)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return
    raise StateError(f"an earlier runner does not end ({path} is held); end it, then serve again")
