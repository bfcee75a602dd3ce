"""The upkeep process: `python -m gnomon.processes.upkeep --config run/upkeep.json`. Started now and then, it soon ends.

Merges small files, removes old bodies, removes files that nobody needs: one trial's log, at the lowest priority, while
the runner appends and people read. Prints what it did, as one line of JSON; nothing when another one is at it. Exit
code 1: a step could not be done, and the next run does it; the words are on standard error. Killed at any moment it
loses nothing.
"""

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from deltalake.exceptions import CommitFailedError, DeltaError

from gnomon import clock
from gnomon.errors import GnomonError
from gnomon.log import compact, retention, tables
from gnomon.log.read import PINNED
from gnomon.log.vacuum import vacuum
from gnomon.records.upkeep import UpkeepConfig
from gnomon.state import open_state

LOWEST: Final = 19
"""Niceness; the disk's queue follows it."""

Did = dict[str, int]
"""How much was done, by step and table, such as `merged ledger`; a step that had nothing to do is left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what there is to do, once; the exit code."""
    parser = argparse.ArgumentParser(prog="gnomon.processes.upkeep", description="Upkeep of a trial's log.")
    parser.add_argument("--config", type=Path, required=True, help="the JSON file of an UpkeepConfig")
    config_path = parser.parse_args(arguments).config
    os.nice(LOWEST)
    try:
        config = msgspec.json.decode(config_path.read_bytes(), type=UpkeepConfig)
        with held(Path(config.lock_file)) as mine:
            if not mine:
                return 0
            did, failed = upkeep(config, now_us=clock.now_us())
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"the upkeep cannot start from {config_path}: {error}\n")
        return 2
    sys.stdout.write(msgspec.json.encode(did).decode() + "\n")
    for words in failed:
        sys.stderr.write(f"upkeep of {config.trial}: {words}\n")
    return 1 if failed else 0


def upkeep(config: UpkeepConfig, *, now_us: int) -> tuple[Did, list[str]]:
    """One round over all tables: what was done, and what could not be done, in words.

    A step that fails keeps no other from being done: on a full disk nothing can be merged, but files can be removed.
    """
    did: Did = {}
    failed = []
    for step in _steps(config, now_us):
        try:
            for name, count in step().items():
                if count:
                    did[name] = count
        except CommitFailedError:
            continue  # the runner was quicker with the same files; the next round does it
        except (GnomonError, DeltaError, OSError) as error:
            failed.append(str(error))
    return did, failed


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock file for as long as the block runs; whether it could be had. A killed process lets go of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _steps(config: UpkeepConfig, now_us: int) -> Iterator[Callable[[], Did]]:
    for table in tables.TABLES:
        yield partial(_compact, config, table)
    if config.keep_bodies_us is not None:
        yield partial(_remove_bodies, config, retention.boundary(now_us, config.keep_bodies_us))
    for table in tables.TABLES:
        yield partial(_vacuum, config, table, now_us)


def _compact(config: UpkeepConfig, table: str) -> Did:
    compact.configure(config.log_url, table)
    return {f"merged {table}": compact.compact(config.log_url, table)}


def _remove_bodies(config: UpkeepConfig, before_us: int) -> Did:
    return {"bodies": retention.remove_bodies(config.log_url, before_us=before_us)}


def _vacuum(config: UpkeepConfig, table: str, now_us: int) -> Did:
    removed = vacuum(
        config.log_url,
        table,
        named=_named(config, table) if table in PINNED else (),
        now_us=now_us,
        safe_age_us=config.safe_age_us,
        orphan_age_us=_orphan_age(config, table),
    )
    return {f"files of {table}": removed.files, f"commits of {table}": removed.commits}


def _orphan_age(config: UpkeepConfig, table: str) -> int:
    """An append that met a merge left a file that no commit took: its bodies may be kept no longer than others."""
    if table != "exchanges" or config.keep_bodies_us is None:
        return config.orphan_age_us
    return min(config.orphan_age_us, max(config.safe_age_us, config.keep_bodies_us))


def _named(config: UpkeepConfig, table: str) -> set[int]:
    """The versions that recorded verdicts name. Raises GnomonError: without them nothing may be removed."""
    with open_state(config.state_url) as state:
        verdicts = state.verdicts(state.trial(config.trial).id)
    return {verdict.versions[table] for _, verdict in verdicts if table in verdict.versions}


if __name__ == "__main__":
    sys.exit(main())
