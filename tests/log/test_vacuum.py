"""What nobody may still read is removed, and nothing else: whatever the log went through before."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from gnomon.errors import IntegrityError
from gnomon.log import compact, read
from gnomon.log.vacuum import Removed, vacuum
from tests.log.builders import log_comparisons

NOW = 10**15


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "MANY", 4)
    return str(tmp_path / "log")


def log(url, *numbers):
    for number in numbers:
        log_comparisons(url, {"id": f"{number:032x}"}, number=number)


def ids(url, version=None):
    snapshot = read.snapshot(url, None if version is None else {"comparisons": version})
    rows = [row for file in snapshot.files("comparisons") for row in pq.read_table(file).to_pylist()]
    return sorted(int(row["id"], 16) for row in rows)


def folder(url):
    return Path(url) / "comparisons"


def aged(url, before):
    """Let the commits up to a version, and all data files that are there, be an hour old at NOW."""
    old = (NOW - 3_600_000_000) / 1e6
    for path in [*folder(url).glob("*.parquet"), *(read.commit(folder(url), n) for n in range(before + 1))]:
        os.utime(path, (old, old))
    for number in range(before + 1, read.opened(url, "comparisons").version() + 1):
        os.utime(read.commit(folder(url), number), (NOW / 1e6, NOW / 1e6))


def cleaned(url, *named, safe_age_us=600_000_000, orphan_age_us=86_400_000_000):
    return vacuum(url, "comparisons", named=named, now_us=NOW, safe_age_us=safe_age_us, orphan_age_us=orphan_age_us)


def data(url):
    return {path.name for path in folder(url).glob("*.parquet")}


def test_small_files_go_when_they_were_merged_and_no_verdict_needs_them(url):
    log(url, 1, 2, 3, 4)
    compact.compact(url, "comparisons")
    log(url, 5)
    aged(url, 5)

    assert cleaned(url) == Removed(4, 0)

    assert ids(url) == [1, 2, 3, 4, 5]
    assert len(data(url)) == 2
    assert cleaned(url) == Removed(0, 0)


def test_every_version_that_a_verdict_names_stays(url):
    log(url, 1, 2)
    log(url, 3, 4)
    compact.compact(url, "comparisons")
    log(url, 5, 6, 7, 8)
    compact.compact(url, "comparisons")
    aged(url, read.opened(url, "comparisons").version())

    assert cleaned(url, 1, 6).files > 0

    assert ids(url, 1) == [1, 2]
    assert ids(url, 6) == [1, 2, 3, 4, 5, 6]
    assert ids(url) == [*range(1, 9)]
    with pytest.raises(IntegrityError, match="is missing from the log"):
        ids(url, 3)


def test_a_version_that_was_the_newest_a_moment_ago_stays(url):
    log(url, 1, 2, 3, 4)
    pinned = read.snapshot(url)
    compact.compact(url, "comparisons")
    aged(url, 3)

    assert cleaned(url) == Removed(0, 0)
    assert pinned.files("comparisons") == read.snapshot(url, pinned.versions).files("comparisons")
    aged(url, 4)
    assert cleaned(url) == Removed(4, 0)


def test_commits_that_lead_to_no_version_of_use_go_with_their_checkpoints(url):
    for number in range(1, 41):
        log(url, number)
        if number in {10, 20, 30}:
            DeltaTable(f"{url}/comparisons").create_checkpoint()
    aged(url, 39)

    removed = cleaned(url, 21)

    left = sorted(path.name.split(".")[0].lstrip("0") for path in (folder(url) / "_delta_log").glob("*.json"))
    assert left == sorted(["19", "20", "21", *map(str, range(29, 40))])
    assert removed.commits == 26 + 1  # the first checkpoint; the second carries version 21
    assert ids(url, 21) == [*range(1, 23)]
    assert ids(url) == [*range(1, 41)]
    log(url, 40, 41)
    assert ids(url) == [*range(1, 42)]


@pytest.mark.parametrize("what", ["data file", "commit", "checkpoint"])
def test_a_named_version_that_lost_a_file_is_noticed_after_it(url, what):
    log(url, *range(1, 5))
    DeltaTable(f"{url}/comparisons").create_checkpoint()
    log(url, 5)
    pinned = read.snapshot(url)
    log(url, 6, 7, 8)
    compact.compact(url, "comparisons")
    DeltaTable(f"{url}/comparisons").create_checkpoint()
    aged(url, read.opened(url, "comparisons").version())
    cleaned(url, pinned.versions["comparisons"])
    assert len(ids(url, pinned.versions["comparisons"])) == 5

    lost = {
        "data file": Path(pinned.files("comparisons")[0]),
        "commit": read.commit(folder(url), 4),
        "checkpoint": read.checkpoint(folder(url), 3),
    }[what]
    lost.unlink()

    named = lost if what != "checkpoint" else read.commit(folder(url), 2)  # without it, its commits are missed
    with pytest.raises(IntegrityError, match=named.name):
        read.snapshot(url, pinned.versions)


def test_nothing_goes_when_a_named_version_cannot_be_read(url):
    log(url, 1, 2, 3, 4)
    compact.compact(url, "comparisons")
    aged(url, 4)
    read.commit(folder(url), 1).unlink()
    before = data(url)
    with pytest.raises(IntegrityError, match=r"0001\.json"):
        cleaned(url, 2)
    assert data(url) == before


def test_a_file_that_no_commit_took_stays_until_its_writer_must_have_ended(url):
    log(url, 1)
    half = folder(url) / "part-00000-half.parquet"
    half.write_bytes(b"begun")
    aged(url, 0)
    assert cleaned(url) == Removed(0, 0)
    assert half.exists()
    assert cleaned(url, orphan_age_us=60_000_000) == Removed(1, 0)
    assert ids(url) == [1]


@pytest.mark.parametrize("after", range(6))
def test_a_vacuum_that_is_ended_in_the_middle_loses_nothing_and_the_next_goes_on(url, monkeypatch, after):
    log(url, 1, 2, 3, 4)
    compact.compact(url, "comparisons")
    DeltaTable(f"{url}/comparisons").create_checkpoint()
    aged(url, 4)
    unlink, done = Path.unlink, []

    def ended(path, **options):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(path)
        unlink(path, **options)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", ended)
        with pytest.raises(KeyboardInterrupt):
            cleaned(url, 0)
    assert (ids(url, 0), ids(url)) == ([1], [1, 2, 3, 4])
    total = cleaned(url, 0)
    assert len(done) + total.files + total.commits == 3 + 3
    assert (ids(url, 0), ids(url)) == ([1], [1, 2, 3, 4])
