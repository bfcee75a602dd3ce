"""Child processes: started in their own session, waited for until ready, replaced when they die."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 20.0
_BACKOFF = (0.0, 0.2, 1.0, 2.0, 5.0)
_HEALTHY_AFTER = 30.0


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    command: list[str]
    output: Path
    """Where its standard error goes."""
    began: int = 0
    """Where in `output` its words begin; before that are those of earlier processes."""
    fds: tuple[int, ...] = ()
    socket: Path | None = None
    """Its control socket, if it has one."""
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    restarts: int = 0
    stopping: bool = False
    listening: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process and self.process.returncode is None else None


async def start(child: Child) -> None:
    """Start the process and wait until it says that it is ready, or has ended, or READY_SECONDS are over."""
    # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then drains in order; and
    # gateways serve on when the supervisor dies.
    with child.output.open("ab") as errors:
        child.began = errors.tell()
        child.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            *child.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            pass_fds=child.fds,
            start_new_session=True,
        )
    if child.stopping:  # it was told to while this one was being started
        child.process.terminate()
    # Waited for in the background beyond the patience: a long recovery ends too, and then it is ready.
    child.listening = asyncio.create_task(_listen(child, child.process))
    await asyncio.wait({child.listening}, timeout=READY_SECONDS)


async def _listen(child: Child, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if child.process is process:
        child.ready = line.strip() == b"ready"


async def watch(child: Child, say: Callable[[str], None]) -> None:
    """Keep the process running until it is told to stop."""
    loop = asyncio.get_running_loop()
    while True:
        since = loop.time()
        assert child.process is not None
        code = await child.process.wait()
        child.ready = False
        if child.stopping:
            return
        if loop.time() - since > _HEALTHY_AFTER:
            child.restarts = 0
        pause = _BACKOFF[min(child.restarts, len(_BACKOFF) - 1)]
        child.restarts += 1
        say(f"{child.name} ended with code {code} and is started again; its last words are in {child.output}")
        await asyncio.sleep(pause)
        while not child.stopping:
            try:
                await start(child)
            except OSError as error:  # no process or no file to be had at the moment
                say(f"{child.name} cannot be started: {error}; trying again")
                await asyncio.sleep(_BACKOFF[-1])
            else:
                break


async def stop(child: Child, *, patience: float) -> bool:
    """Ask the process to drain and end; False when it had to be killed after `patience` seconds."""
    child.stopping = True
    if child.process is None or child.process.returncode is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.process.wait(), patience)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        await child.process.wait()
        return False
    return True


def last_words(child: Child, lines: int = 1) -> str:
    """The end of what the process wrote to its standard error since it was started."""
    try:
        with child.output.open("rb") as output:
            output.seek(child.began)
            text = output.read().decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:]) or "it says nothing"
