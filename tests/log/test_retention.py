"""Old bodies leave the log, and their bytes the disk. Everything else stays."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.log import read
from gnomon.log.append import append
from gnomon.log.retention import BODIES, boundary, remove_bodies
from gnomon.log.vacuum import vacuum
from tests.log.builders import exchanges

DAY = 86_400_000_000


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "log")


def log(url, *times, number, text="planted"):
    rows = [
        {
            "id": f"{time_us:032x}",
            "time_us": time_us,
            "target": "/predict",
            "request_body": f"{text} {time_us}".encode(),
            "production_body": b"answer of " + text.encode(),
            "candidate_body": None if time_us % 2 else b"other answer of " + text.encode(),
        }
        for time_us in times
    ]
    append(url, "exchanges", exchanges(*rows), application="r", number=number)


def rows(url):
    files = read.data_files(url, "exchanges", read.opened(url, "exchanges"))
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: row["time_us"])


def bodies(url):
    return {row["time_us"]: row["request_body"] for row in rows(url)}


def with_text(url, text=b"planted"):
    """The files under the log that hold the text, in a column or anywhere in their bytes."""
    found = []
    for path in Path(url).rglob("*"):
        if path.suffix == ".parquet":
            columns = pq.read_table(path).to_pydict().values()
            found += [path for column in columns if any(text in str(cell).encode() for cell in column)]
        elif path.is_file() and text in path.read_bytes():
            found.append(path)
    return found


def test_old_bodies_go_and_young_ones_and_all_else_stay(url):
    log(url, 1, 2, 3, number=1)
    log(url, 4, 5, number=2)
    before = rows(url)

    assert remove_bodies(url, before_us=4) == 3

    assert bodies(url) == {1: None, 2: None, 3: None, 4: b"planted 4", 5: b"planted 5"}
    without = [{name: row[name] for name in row if name not in BODIES} for row in rows(url)]
    assert without == [{name: row[name] for name in row if name not in BODIES} for row in before]
    assert read.exchanges(url, [f"{1:032x}"])[0]["request_body"] is None


def test_their_bytes_leave_the_disk_once_nobody_may_read_them(url):
    log(url, 1, 2, number=1)
    log(url, 10, number=2, text="young")
    assert with_text(url)

    remove_bodies(url, before_us=5)
    now = 1 << 60
    assert with_text(url)  # a reader that has just pinned the version before goes on reading
    vacuum(url, "exchanges", named=(), now_us=now, safe_age_us=0, orphan_age_us=0)

    assert with_text(url) == []
    assert with_text(url, b"young")
    assert len(rows(url)) == 3


def test_files_without_an_old_body_are_not_written_again(url):
    log(url, 1, 2, number=1)
    log(url, 8, 9, number=2)
    young = set(read.data_files(url, "exchanges", read.opened(url, "exchanges")))
    assert remove_bodies(url, before_us=5) == 2
    kept = set(read.data_files(url, "exchanges", read.opened(url, "exchanges")))
    assert len(kept & young) == 1
    version = read.opened(url, "exchanges").version()

    assert remove_bodies(url, before_us=5) == 0
    assert remove_bodies(url, before_us=6) == 0

    after = set(read.data_files(url, "exchanges", read.opened(url, "exchanges")))
    assert after == kept
    assert read.opened(url, "exchanges").version() <= version + 1


def test_what_comes_late_loses_its_bodies_with_the_next_boundary(url):
    log(url, 1, number=1)
    remove_bodies(url, before_us=5)
    log(url, 2, number=2)
    assert remove_bodies(url, before_us=5) == 0
    assert remove_bodies(url, before_us=6) == 1
    assert bodies(url) == {1: None, 2: None}


def test_a_batch_that_was_appended_before_is_known_after_its_bodies_went(url):
    log(url, 1, number=1)
    remove_bodies(url, before_us=5)
    log(url, 1, number=1)
    assert bodies(url) == {1: None}


def test_a_log_without_exchanges_has_no_bodies(url):
    assert remove_bodies(url, before_us=5) == 0


@settings(max_examples=200, deadline=None)
@given(now=st.integers(0, 1 << 52), keep=st.integers(0, 400 * DAY), later=st.integers(0, 10 * DAY))
def test_no_body_goes_early_and_none_stays_a_day_or_a_24th_longer(now, keep, later):
    at = boundary(now, keep)
    assert at <= now - keep
    assert now - keep - at <= min(DAY, keep // 24)
    assert boundary(now + later, keep) >= at
