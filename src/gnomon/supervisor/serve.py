"""`gnomon serve`: seal, start, watch, drain."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec

from gnomon import pipeline
from gnomon.errors import StateDown, StateError, Unreachable
from gnomon.files import put
from gnomon.plan import load, top
from gnomon.records.plan import Plan
from gnomon.records.process import GatewayConfig
from gnomon.records.trial import Trial
from gnomon.settings import Settings, renewed
from gnomon.shadow.inbox import path_of
from gnomon.state import State, open_state
from gnomon.supervisor import (
    admin,
    children,
    control,
    echo,
    identity,
    learn,
    listener,
    operations,
    probes,
    unshadowed,
    upkeep,
)  # fmt: skip
from gnomon.supervisor.configs import gateway_config_of, runner_config_of, upkeep_config_of
from gnomon.supervisor.gateways import Gateways, write
from gnomon.supervisor.push import Pushes, Wanted

RUNNER_PATIENCE = 60.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Running:
    """What is up, for the admin port and the announcement."""

    settings: Settings
    trial: Trial
    plan: Plan
    listener: socket.socket
    gateways: Gateways
    paused: Callable[[], bool]
    probe_url: str = ""
    """Of the echo arm; empty: no probes."""
    runner: children.Child | None = None
    watching: asyncio.Task[None] | None = None
    """The runner, so that it is replaced when it dies."""

    @property
    def address(self) -> str:
        """Where clients reach the gateway."""
        host, port = self.listener.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def processes(self) -> list[dict[str, Any]]:
        """Name, pid, readiness and restarts of each child."""
        every = [*self.gateways.serving, *([self.runner] if self.runner else [])]
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
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
        yield lock


async def serve(
    settings: Settings,
    plan_path: Path,
    *,
    reload: Callable[[], Settings],
    say: Say,
    announce: Callable[[Running], None],
    pilot: str = "",
) -> None:
    """Run a trial until SIGINT or SIGTERM, then drain. `reload` reads the settings as they are written now.

    `pilot`: the trial whose log gives the names of `top` segments; without one the first requests do.

    Raises GnomonError for everything that a user can fix.
    """
    settings.check_authorities()
    settings.prepare()
    with only_one(settings), contextlib.ExitStack() as ends:
        try:
            state = ends.enter_context(_opened(settings))
            async with _named(settings, state, plan_path, pilot, say=say) as document:
                if document is None:
                    return
                trial, plan = pipeline.register(settings, state, plan_path, say=say, document=document)
                _keep_names(settings, trial, plan, document)
        except StateDown as error:
            config = unshadowed.last_config(settings, plan_path)
            if config is None:
                raise
            say(str(error))
            await unshadowed.serve(settings, config, say=say)
            return
        await _serve(settings, state, trial, plan, reload=reload, say=say, announce=announce)


@contextlib.asynccontextmanager
async def _named(
    settings: Settings, state: State, plan_path: Path, pilot: str, *, say: Say
) -> AsyncIterator[dict[str, Any] | None]:
    """The plan's document, every segment of which has names; None: it was asked to end before they were learned."""
    loaded = load.read(plan_path)
    found = learn.known(state, loaded) if top.unresolved(loaded.document) else loaded.document
    if found is None and pilot:
        found = learn.from_log(settings, loaded, state.trial(pilot))
    if found is not None:
        yield found
        return
    dead = pipeline.dead_models(settings, loaded.plan)
    if dead:
        raise Unreachable("\n".join(dead))
    async with learn.from_traffic(settings, loaded, say=say) as document:
        yield document


def _keep_names(settings: Settings, trial: Trial, plan: Plan, document: dict[str, Any]) -> None:
    """For a start without the state database, which could not tell that this plan is the sealed one."""
    if any(segment.top is not None for segment in plan.segments):
        with contextlib.suppress(OSError):  # a full disk
            put(settings.trial_dir(trial.id) / unshadowed.NAMES, json.dumps(document).encode())


def _opened(settings: Settings) -> State:
    try:
        return open_state(settings.state_url)
    except StateError as error:  # also one that is damaged, or of a newer version
        raise StateDown(str(error)) from error


async def _serve(
    settings: Settings,
    state: State,
    trial: Trial,
    plan: Plan,
    *,
    reload: Callable[[], Settings],
    say: Say,
    announce: Callable[[Running], None],
) -> None:
    inherited, predecessors = listener.adopt(settings.run_dir, settings.listen)
    control.sweep(settings.run_dir)
    socket = inherited or listener.bind(settings.listen, key="listen")

    def wanted() -> Wanted:
        return Wanted(state.epoch(trial.id), state.paused(trial.id))

    pushes = Pushes(settings.run_dir, trial.id, wanted, say)
    gateways = Gateways(
        settings, socket.fileno(), lambda path: _configured(running, wanted(), path), say=say, tell=pushes.tell
    )
    running = Running(settings, trial, plan, socket, gateways, lambda: wanted().pause is not None)

    async def replace() -> control.Message:
        running.settings, needs_start = renewed(running.settings, reload())
        running.settings.check_authorities()  # its content may be another one by now
        return {"replaced": await gateways.replace(), "needs_start": needs_start}

    with socket:
        stop_admin = admin.start(
            settings.admin,
            lambda: status(running),
            lambda: running.processes,
            token=None if settings.token is None else settings.token.get_secret_value(),
            import_=lambda content, kind: _labelled(running, content, kind),
        )
        try:
            async with contextlib.AsyncExitStack() as ends:
                if settings.probe_every is not None:
                    running.probe_url = await ends.enter_async_context(echo.echoing())
                stopping = await ends.enter_async_context(operations.taken(settings, replace, say=say))
                await _run(running, pushes, predecessors, stopping, say=say, announce=announce)
        finally:
            stop_admin()


async def _run(
    running: Running,
    pushes: Pushes,
    predecessors: list[Path],
    stopping: asyncio.Event,
    *,
    say: Say,
    announce: Callable[[Running], None],
) -> None:
    # Pushing begins before the gateways: a switch while they start reaches them, and their predecessors, too.
    pushing = asyncio.create_task(pushes.run())
    starting = asyncio.create_task(_start_all(running, predecessors, say=say))
    stopped = asyncio.create_task(stopping.wait())
    beside = [asyncio.create_task(work) for work in _beside(running, say=say)]
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()  # what it raised
            announce(running)
            await stopping.wait()
        say("draining: no new requests, finishing what is open")
    finally:
        starting.cancel()  # else it would start what was just stopped
        for task in beside:
            task.cancel()
        await _stop_all(running, say=say)
        pushing.cancel()
        stopped.cancel()
        await asyncio.gather(pushing, starting, stopped, *beside, return_exceptions=True)


def _beside(running: Running, *, say: Say) -> Iterator[Coroutine[Any, Any, None]]:
    """What goes on beside the serving and may fail without harm to it."""
    settings, trial, plan = running.settings, running.trial, running.plan

    def upkeep_config() -> Path:
        return write(settings.run_dir / "upkeep.json", upkeep_config_of(settings, trial, plan))

    yield identity.watch(plan, trial.id, lambda: open_state(settings.state_url), ca_file=settings.ca_file, say=say)
    if settings.probe_every is not None:
        route = probes.Route(
            run_dir=settings.run_dir,
            log_url=settings.log_url(trial.id),
            inbox=path_of(settings.inbox_url(trial.id)),
            file=settings.probes_file(trial.id),
            flush_s=settings.flush,
            large=min(echo.LARGE, settings.body_cap // 2),
            sockets=f"gateway-{os.getpid()}-*.probe",
        )
        yield probes.Probes(
            route,
            every_s=settings.probe_every,
            arrival_s=settings.probe_patience,
            paused=running.paused,
            say=say,
        ).run()
    if settings.upkeep_every is not None:
        yield upkeep.run(upkeep_config, settings.root / "logs" / "upkeep.log", every_s=settings.upkeep_every, say=say)


async def _start_all(running: Running, predecessors: list[Path], *, say: Say) -> None:
    # Production waits for no runner: an earlier one may take its time to end, this one to recover.
    shadow = asyncio.create_task(_start_runner(running, say=say))
    try:
        await running.gateways.start()
        await shadow
    finally:
        shadow.cancel()
    for path in predecessors:  # gateways of a supervisor that died: their successors accept now
        await asyncio.to_thread(control.ask, path, {"drain": True})


async def _start_runner(running: Running, *, say: Say) -> None:
    settings = running.settings
    await _end_orphan_runner(settings, say)
    try:
        config = write(
            settings.run_dir / "runner.json", runner_config_of(settings, running.trial, probe_url=running.probe_url)
        )
    except OSError as error:  # above all a full disk
        say(f"the runner cannot be started: {error}; production is served, unshadowed: mend it, then serve again")
        return
    command = ["-m", "gnomon.processes.runner", "--config", str(config)]
    runner = running.runner = children.Child("runner", command, settings.root / "logs" / "runner.log")
    await children.start(runner)
    if not runner.ready:  # fail open: production is served, unshadowed, and the ledger says so
        say(f"runner is not ready: {children.last_words(runner)}; production is served, copies wait or are shed")
    running.watching = asyncio.create_task(children.watch(runner, say))


async def _stop_all(running: Running, *, say: Say) -> None:
    """Gateways first: they hand over what they have; then the runner: it writes what it got."""
    running.listener.close()  # with ours open, clients would still connect, and wait for nobody
    clean = await running.gateways.stop()
    if running.runner is not None:
        clean &= await children.stop(running.runner, patience=RUNNER_PATIENCE)
    if running.watching is not None:
        running.watching.cancel()
    if not clean:
        say("a process did not drain in time and was killed; what it held is counted when it starts again")


def status(running: Running) -> dict[str, Any]:
    """What the admin port shows: the trial's status and the children."""
    with open_state(running.settings.state_url) as state:
        now = pipeline.status(running.settings, state, state.trial(running.trial.id))
    now["processes"] = running.processes
    now["ready"] = all(child["ready"] for child in running.processes)
    return now


def _labelled(running: Running, content: bytes, kind: str) -> dict[str, Any]:
    """Append truths that came over the admin port."""
    found = pipeline.import_labels(running.settings, running.trial, running.plan, content, kind)
    return {"trial": running.trial.id, **msgspec.to_builtins(found)}


def _configured(running: Running, wanted: Wanted, control_socket: Path) -> GatewayConfig:
    """The configuration of a gateway that starts now; kept for a start without the state database, as the pause is."""
    config = gateway_config_of(
        running.settings,
        running.trial,
        running.plan,
        wanted.epoch,
        socket_name=control_socket.name,
        probe_url=running.probe_url,
    )
    paused = Path(config.pause_file)
    if wanted.pause is not None:
        paused.touch(mode=0o600)
    else:
        paused.unlink(missing_ok=True)
    write(running.settings.trial_dir(running.trial.id) / unshadowed.KEPT, config)
    return config


async def _end_orphan_runner(settings: Settings, say: Say) -> None:
    """End the runner of a supervisor that died: it holds the socket and the inbox, and its successor needs both.

    One that does not end is killed: what it has acknowledged is in the inbox, and gateways send the rest again.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(settings.run_dir / "runner.sock"))
        except OSError:
            pass
        else:  # the kernel says who listens there; a number in a file could be anybody's by now
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, uid, _ = struct.unpack("3i", credentials)
            if uid == os.getuid():
                _signal(pid, signal.SIGTERM)
                _signal(pid, signal.SIGCONT)  # one that is stopped would not even hear it
    path = settings.run_dir / "runner.sock.lock"
    if not path.exists():
        return
    with path.open("r+") as lock:
        if _free(lock):
            return
        holder = lock.read().strip()
        say(
            f"the runner of an earlier gnomon serve (process {holder or 'unknown'}) still writes what it has; "
            f"waiting for it, at most {RUNNER_PATIENCE:g} s"
        )
        if await _until_free(lock, RUNNER_PATIENCE):
            return
        if holder.isdigit():  # it holds the lock, so the number is its own
            say(f"process {holder} does not end and is killed")
            _signal(int(holder), signal.SIGKILL)
        if not await _until_free(lock, 5.0):
            say(f"an earlier runner does not end ({path} is held); end it: nothing is shadowed before")


async def _until_free(lock: TextIO, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not _free(lock):
        if loop.time() > end:
            return False
        await asyncio.sleep(0.1)
    return True


def _free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
