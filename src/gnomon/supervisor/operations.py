"""What a running supervisor is asked for: to end (SIGINT, SIGTERM), or to replace gateways (SIGHUP, its socket)."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from gnomon.errors import GnomonError, NotFound
from gnomon.settings import Settings
from gnomon.supervisor import control

REPLACE: Final[control.Message] = {"replace": True}

Replace = Callable[[], Awaitable[control.Message]]
"""Replaces the gateways; what to tell whoever asked. Raises GnomonError when it could not."""


@contextlib.asynccontextmanager
async def taken(settings: Settings, replace: Replace, *, say: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
    """Do what is asked while the block runs; the event that is set when it is asked to end."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[control.Message]] = set()

    async def replaced() -> control.Message:
        try:
            facts = await replace()
        except GnomonError as error:
            say(str(error))
            return {"ok": False, "error": str(error)}
        say(sentence(facts))
        return {"ok": True, **facts}

    async def answer(message: control.Message) -> control.Message:
        return await replaced() if message == REPLACE else {"ok": False, "error": f"{message} is not known"}

    def hung_up() -> None:
        task = loop.create_task(replaced())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    async with control.answering(settings.run_dir / control.SUPERVISOR, answer):
        yield stopping
    for task in tasks:
        task.cancel()


def ask_to_replace(settings: Settings) -> control.Message:
    """Let the supervisor of this data folder replace its gateways; its answer, once it is done.

    Raises NotFound when none runs, GnomonError when a successor did not get ready.
    """
    path = settings.run_dir / control.SUPERVISOR
    if not path.exists():
        raise NotFound(f"no gnomon serve runs in {settings.root}; start one with: gnomon serve plan.yaml")
    answer = control.ask(path, REPLACE, timeout=None)
    if answer is None:
        raise NotFound(f"the gnomon serve of {settings.root} does not answer, or ended meanwhile; see gnomon status")
    if not answer["ok"]:
        raise GnomonError(answer["error"])
    return answer


def sentence(facts: control.Message) -> str:
    """What a replacement did, for people."""
    number = facts["replaced"]
    done = f"{number} gateway{'' if number == 1 else 's'} replaced; what the old ones have open, they finish"
    names = ", ".join(facts["needs_start"])
    return f"{done}. Not taken up before gnomon serve is started again: {names}" if names else done
