"""Vacuum: remove the files that no version needs which anybody may still read.

Kept are the newest version, every version that was the newest one within the safe age (a reader may have just pinned
it), and the versions that recorded verdicts name: each with its data files, its commits and the checkpoint under them.
Whatever is removed was needed by none of them; so a crash in the middle loses nothing, and the next run goes on.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from deltalake import DeltaTable

from gnomon.log.append import local, table_uri
from gnomon.log.read import checkpoint, commit, commits_of, data_files, opened

_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Removed:
    """What a vacuum removed."""

    files: int
    commits: int
    """Commits and checkpoints."""


def vacuum(
    log_url: str, table: str, *, named: Iterable[int], now_us: int, safe_age_us: int, orphan_age_us: int
) -> Removed:
    """Remove what is needed no more. `named`: the versions that recorded verdicts name.

    `now_us` is from before `named` was read, so that a verdict that is being recorded finds its version. A data file
    that no commit ever took is removed when it is older than `orphan_age_us`: a writer may have been stopped before its
    commit. Raises IntegrityError when a version that is kept cannot be read: then nothing is removed.
    """
    newest = opened(log_url, table)
    if newest is None:
        return Removed(0, 0)
    kept = sorted({version for version in named if 0 <= version <= newest.version()})
    if local(log_url) is None:
        return _in_store(newest, kept, safe_age_us)
    folder = Path(table_uri(log_url, table))
    pinnable = _newest_at(folder, newest.version(), now_us - safe_age_us)
    needed = {file for version in {*kept, pinnable, newest.version()} for file in _files_at(log_url, table, version)}
    needed |= set(_changed(folder, range(pinnable + 1, newest.version() + 1), "add"))
    commits = {number for version in {*kept, pinnable} for number in commits_of(folder, version)}
    files = _remove_data(folder, needed, now_us - orphan_age_us)
    return Removed(files, _remove_commits(folder, commits, below=pinnable))


def _in_store(newest: DeltaTable, kept: list[int], safe_age_us: int) -> Removed:
    """An object store's files are removed by delta-rs, which counts in hours; its commits stay."""
    hours = max(1, math.ceil(safe_age_us / _HOUR_US))
    remove = partial(
        newest.vacuum, retention_hours=hours, enforce_retention_duration=False, full=True, keep_versions=kept or None
    )
    # a vacuum that has nothing to do makes two commits all the same
    return Removed(len(remove(dry_run=False)) if remove(dry_run=True) else 0, 0)


def _newest_at(folder: Path, newest: int, time_us: int) -> int:
    """The version that was the newest at that time; the oldest that can be opened when all are younger."""
    version = newest
    while version and _modified_us(commit(folder, version)) >= time_us and commit(folder, version - 1).exists():
        version -= 1
    return version


def _files_at(log_url: str, table: str, version: int) -> list[str]:
    found = opened(log_url, table, version)
    assert found is not None
    return [Path(file).name for file in data_files(log_url, table, found)]


def _changed(folder: Path, versions: Iterable[int], action: str) -> Iterator[str]:
    """The data files that these commits added, or removed; commits that are gone say nothing."""
    for version in versions:
        path = commit(folder, version)
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            found = json.loads(line).get(action)
            if found is not None:
                yield unquote(found["path"])


def _remove_data(folder: Path, needed: set[str], orphans_before_us: int) -> int:
    """Remove what commits have let go of, and old files that none ever took; how many."""
    let_go = set(_changed(folder, _numbers(folder), "remove"))
    count = 0
    for path in folder.iterdir():
        if path.name in needed or not path.is_file():
            continue
        if path.name in let_go or _modified_us(path) < orphans_before_us:
            path.unlink(missing_ok=True)
            count += 1
    return count


def _remove_commits(folder: Path, needed: set[int], *, below: int) -> int:
    """Remove the commits and checkpoints of versions that are not needed; how many."""
    unneeded = [number for number in _numbers(folder) if number < below and number not in needed]
    paths = [path for number in unneeded for path in (commit(folder, number), checkpoint(folder, number))]
    found = [path for path in paths if path.exists()]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _numbers(folder: Path) -> list[int]:
    """The versions whose commit or checkpoint is there, lowest first."""
    names = {path.name.split(".", 1)[0] for path in (folder / "_delta_log").iterdir()}
    return sorted(int(name) for name in names if name.isdigit())


def _modified_us(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000
