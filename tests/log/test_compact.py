"""Merging small files changes no row, no promise of an append, and no version that was there before."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from gnomon.log import compact, read, storage
from gnomon.log.append import append
from tests.log.builders import exchanges, ledger, log_comparisons


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def few(monkeypatch):
    """Four files are many."""
    monkeypatch.setattr(compact, "MANY", 4)


def ids(url, versions=None):
    snapshot = read.snapshot(url, versions)
    rows = [row for file in snapshot.files("comparisons") for row in pq.read_table(file).to_pylist()]
    return sorted(row["id"] for row in rows)


def files(url, table="comparisons"):
    return read.data_files(url, table, read.opened(url, table))


def log_numbers(url, *numbers):
    for number in numbers:
        log_comparisons(url, {"id": f"{number:032x}"}, number=number)


@pytest.mark.usefixtures("few")
def test_many_small_files_become_one_and_every_row_stays(url):
    log_numbers(url, *range(1, 7))
    before = ids(url)

    assert compact.compact(url, "comparisons") == 5

    assert len(files(url)) == 1
    assert ids(url) == before


@pytest.mark.usefixtures("few")
def test_a_version_from_before_reads_the_same(url):
    log_numbers(url, 1, 2, 3, 4)
    pinned, before = read.snapshot(url), ids(url)
    log_numbers(url, 5, 6)
    compact.compact(url, "comparisons")
    assert ids(url, pinned.versions) == before
    assert read.snapshot(url, pinned.versions).files("comparisons") == pinned.files("comparisons")


@pytest.mark.usefixtures("few")
def test_a_batch_that_was_appended_before_is_known_after(url):
    log_numbers(url, 1, 2, 3, 4)
    compact.compact(url, "comparisons")
    log_numbers(url, 4, 3)
    assert read.transaction(url, "comparisons", "test") == 4
    assert len(ids(url)) == 4


def test_few_files_are_left_alone(url):
    log_numbers(url, 1, 2, 3, 4)
    assert compact.compact(url, "comparisons") == 0
    assert compact.compact(url, "truths") == 0
    assert read.snapshot(url).versions["comparisons"] == 3


@pytest.mark.usefixtures("few")
def test_files_grow_by_classes_so_that_a_row_is_not_written_again_with_every_run(url, monkeypatch):
    monkeypatch.setattr(compact, "TARGETS", (24_000, 192_000, 1_536_000))  # a fresh file has some 7 kB
    written = 0
    for number in range(1, 33):
        rows = [{"id": f"{number:016x}{row:016x}", "truth_key": f"{number}.{row}"} for row in range(40)]
        log_comparisons(url, *rows, number=number)
        if number % 4 == 0:
            before = set(files(url))
            compact.compact(url, "comparisons")
            written += len(set(files(url)) - before)
    assert len(files(url)) < 16
    assert written < 24
    assert len(ids(url)) == len(set(ids(url))) == 32 * 40


@pytest.mark.usefixtures("few")
def test_appends_that_meet_merging_succeed_and_stand_in_the_log_once(url):
    log_numbers(url, 1)
    last = 25

    def runner():
        for number in range(2, last + 1):
            log_numbers(url, number, number)  # each batch is tried again, as after a crash

    merged = 0
    with ThreadPoolExecutor(1) as thread:
        appends = thread.submit(runner)
        while not appends.done():
            merged += compact.compact(url, "comparisons")
        appends.result()

    assert merged > 0
    assert ids(url) == [f"{number:032x}" for number in range(1, last + 1)]


def test_an_append_that_keeps_losing_says_so_in_the_end(url, monkeypatch):
    """Upkeep commits a few times in minutes; whoever commits without an end is not upkeep."""
    log_numbers(url, 1)
    tries = []

    def beaten(table, *_, **__):
        tries.append(table)
        raise CommitFailedError("somebody was quicker")

    monkeypatch.setattr("gnomon.log.append.write_deltalake", beaten)
    with pytest.raises(CommitFailedError, match="quicker"):
        log_numbers(url, 2)
    assert len(tries) == 50


def test_a_table_of_an_earlier_version_gets_the_settings_of_today_once(url, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(storage, "configuration", lambda table: {"delta.enableExpiredLogCleanup": "false"})
        append(url, "ledger", ledger({}), application="r", number=1)
    assert compact.configure(url, "ledger")
    assert not compact.configure(url, "ledger")
    assert not compact.configure(url, "truths")
    assert read.opened(url, "ledger").metadata().configuration == storage.configuration("ledger")
    append(url, "ledger", ledger({"watermark_us": 8}), application="r", number=2)
    assert read.watermark(url) == 8
    assert read.transaction(url, "ledger", "r") == 2


@pytest.mark.usefixtures("few")
def test_commits_and_checkpoints_hold_nothing_of_what_was_exchanged(url):
    for number in range(1, 5):
        row = {
            "id": f"{number:032x}",
            "target": "/planted?q=1",
            "request_headers": '[["x-planted", "1"]]',
            "request_body": b"planted",
        }
        append(url, "exchanges", exchanges(row), application="r", number=number)
    compact.compact(url, "exchanges")
    DeltaTable(f"{url}/exchanges").create_checkpoint()
    commits = list((Path(url) / "exchanges" / "_delta_log").iterdir())
    assert len(commits) == 7
    assert not [path for path in commits if b"planted" in path.read_bytes()]
