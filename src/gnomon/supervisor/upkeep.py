"""The log's upkeep, now and then: a process of its own at the lowest priority, and no news unless it fails."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path


async def run(config: Callable[[], Path], output: Path, *, every_s: float, say: Callable[[str], None]) -> None:
    """Start one after each `every_s` seconds until cancelled; the one under way is ended then. It loses nothing by it.

    `config` writes what it is told and gives the file.
    """
    failed = False
    while True:
        await asyncio.sleep(every_s)
        try:
            code = await _once(config(), output)
        except OSError as error:
            code = str(error)
        if code and not failed:
            say(f"the log's upkeep failed ({code}); see {output}; it is tried again")
        failed = bool(code)


async def _once(config: Path, output: Path) -> int | str:
    command = ["-P", "-m", "gnomon.processes.upkeep", "--config", str(config)]
    with output.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=words, stderr=words
        )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
