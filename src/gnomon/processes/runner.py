"""The runner process: `python -m gnomon.processes.runner --config run/runner.json`.

Prints `ready` when its socket listens. SIGTERM or SIGINT drains it: exit code 0. A second runner on the same inbox or
socket says so: exit code 2.
"""

import argparse
import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import msgspec
import uvloop

from gnomon import clock
from gnomon.compare import Comparing
from gnomon.errors import GnomonError, StateError
from gnomon.plan import load
from gnomon.records.plan import Plan
from gnomon.records.process import RunnerConfig
from gnomon.shadow.faults import Faults, Words
from gnomon.shadow.inbox import Inbox, path_of
from gnomon.shadow.runner import Runner

DRAIN_SECONDS: Final = 10.0
"""How long a drain waits for calls; what is not called then is called after the next start."""

LOCK_SECONDS: Final = 1.0
"""How long a lock is tried: whoever asks whether a runner is alive holds it for a moment."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(prog="gnomon.processes.runner", description="Gnomon's runner.")
    parser.add_argument("--config", type=Path, required=True, help="the JSON file of a RunnerConfig")
    config_path = parser.parse_args(arguments).config
    with contextlib.redirect_stderr(Words(sys.stderr)):
        return _serve(config_path)


def _serve(config_path: Path) -> int:
    try:
        config = msgspec.json.decode(config_path.read_bytes(), type=RunnerConfig)
        plan = load.from_document(msgspec.json.decode(config.plan_document))
        uvloop.run(run(plan, config))
    except GnomonError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"the runner cannot start from {config_path}: {error}\n")
        return 2
    except Exception as error:  # noqa: BLE001  a bug: said without its words, which could hold a part of a body
        Faults().say(error, "the runner ended by a fault in Gnomon:")
        return 1
    return 0


async def run(plan: Plan, config: RunnerConfig) -> None:
    """Serve one trial until SIGTERM or SIGINT.

    Raises StateError when another runner holds the inbox or the socket.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    faults = Faults()
    loop.set_exception_handler(lambda _, context: faults.unhandled(context))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    path = path_of(config.inbox_url)
    socket = Path(config.runner_socket)
    with held(socket.with_name(socket.name + ".lock")), held(path.with_name(path.name + ".lock")):
        runner = Runner(
            plan,
            Inbox(path, trial=config.trial),
            Comparing(plan).rows,
            config,
            clock=clock.steady(),
        )
        await runner.start(socket)
        _collect_rarely()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stopping.wait()
        await runner.drain(patience=DRAIN_SECONDS)


def _collect_rarely() -> None:
    """Ask the garbage collector for little: it took a tenth of the time to look at exchanges that were still held.

    What they are made of has no cycles: it goes when the last reference does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file, with our process id in it, for as long as the block runs; a killed process lets go of it.

    Raises StateError when another process holds it for longer than LOCK_SECONDS.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        if not _locked(file):
            holder = file.read().strip() or "unknown"
            raise StateError(f"another runner (process {holder}) holds {path}; end it, or use another data folder")
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _locked(file: TextIO) -> bool:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main())
