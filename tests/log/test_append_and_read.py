"""The log takes a batch once, and gives the same rows for the same versions."""

import shutil
import stat
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import IntegrityError
from gnomon.log import read, tables
from gnomon.log.append import append
from tests.log.builders import comparisons, ledger, log_comparisons


def ids(snapshot):
    return [value for file in snapshot.files("comparisons") for value in pq.read_table(file)["id"].to_pylist()]


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "log")


def test_a_repeated_append_adds_nothing(url):
    assert append(url, "comparisons", comparisons({}), application="a", number=1) == 0
    assert append(url, "comparisons", comparisons({}), application="a", number=1) == 0
    assert append(url, "comparisons", comparisons({}), application="b", number=1) == 1
    assert append(url, "comparisons", comparisons({}), application="a", number=2) == 2
    assert append(url, "comparisons", comparisons({}), application="a", number=1) == 2
    assert len(ids(read.snapshot(url))) == 3
    assert read.transaction(url, "comparisons", "a") == 2
    assert read.transaction(url, "comparisons", "c") is None
    assert read.transaction(url, "truths", "a") is None


def test_the_tables_are_readable_by_their_owner_alone(url):
    log_comparisons(url, {})
    assert stat.S_IMODE(Path(url, "comparisons").stat().st_mode) == 0o700


def test_the_repeat_is_known_after_checkpoints_and_compaction(url):
    for number in range(1, 4):
        log_comparisons(url, {}, number=number)
    table = DeltaTable(f"{url}/comparisons")
    table.optimize.compact()
    table.create_checkpoint()
    table.cleanup_metadata()
    log_comparisons(url, {}, number=3)
    assert len(ids(read.snapshot(url))) == 3


def test_a_url_is_as_good_as_a_path(tmp_path):
    log_comparisons(f"file://{tmp_path}/log", {})
    assert len(ids(read.snapshot(f"file://{tmp_path}/log"))) == 1
    assert ids(read.snapshot(str(tmp_path / "log"))) == ids(read.snapshot(f"file://{tmp_path}/log"))


def test_nothing_is_there_before_the_first_append(url):
    empty = read.snapshot(url)
    assert empty.versions == {"ledger": -1, "comparisons": -1, "truths": -1}
    assert [empty.files(table) for table in empty.versions] == [[], [], []]
    assert read.watermark(url) is None
    assert read.ledger(url) == []
    assert read.exchanges(url, ["x"]) == []


def test_a_table_that_was_only_begun_is_not_there(url):
    (Path(url) / "comparisons" / "_delta_log").mkdir(parents=True)
    assert read.snapshot(url).versions["comparisons"] == -1
    log_comparisons(url, {})
    assert len(ids(read.snapshot(url))) == 1


def test_pinned_versions_give_the_same_rows_whatever_is_appended(url):
    log_comparisons(url, {}, {}, number=1)
    pinned = read.snapshot(url)
    log_comparisons(url, {}, number=2)
    assert ids(read.snapshot(url, pinned.versions)) == ids(pinned)
    assert len(ids(read.snapshot(url))) == 3


def test_a_table_pinned_as_absent_stays_absent(url):
    pinned = read.snapshot(url)
    log_comparisons(url, {})
    assert read.snapshot(url, pinned.versions).files("comparisons") == []


def test_files_with_odd_folder_names_are_found(tmp_path):
    url = str(tmp_path / "a b" / "lög")
    log_comparisons(url, {})
    (file,) = read.snapshot(url).files("comparisons")
    assert Path(file).is_file()
    assert len(read.column(url, "comparisons", ["id"])) == 1


def test_a_missing_data_file_is_named(url):
    log_comparisons(url, {})
    (file,) = read.snapshot(url).files("comparisons")
    Path(file).unlink()
    with pytest.raises(IntegrityError, match=Path(file).name):
        read.snapshot(url)


def test_a_data_file_of_another_size_is_named(url):
    log_comparisons(url, {})
    (file,) = read.snapshot(url).files("comparisons")
    with Path(file).open("ab") as out:
        out.write(b"x")
    with pytest.raises(IntegrityError, match=Path(file).name):
        read.snapshot(url)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_commit_is_named(url, lost):
    for number in range(1, 4):
        log_comparisons(url, {}, number=number)
    pinned = read.snapshot(url)
    name = f"{lost:020d}.json"
    (Path(url) / "comparisons" / "_delta_log" / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        read.snapshot(url, pinned.versions)


def test_a_table_that_is_gone_is_named(url):
    log_comparisons(url, {})
    pinned = read.snapshot(url)
    shutil.rmtree(Path(url) / "comparisons")
    with pytest.raises(IntegrityError, match="comparisons"):
        read.snapshot(url, pinned.versions)


def test_the_watermark_is_the_largest(url):
    append(url, "ledger", ledger({"watermark_us": 5}, {"watermark_us": 9}), application="r", number=1)
    append(url, "ledger", ledger({"watermark_us": 7}), application="r", number=2)
    assert read.watermark(url) == 9


def test_the_ledger_is_the_latest_row_of_each_count(url):
    append(url, "ledger", ledger({"count": 3}, {"count": 5, "state": "paired"}), application="r", number=1)
    append(
        url,
        "ledger",
        ledger({"time_us": 2, "count": 4}, {"instance": "h", "count": 1}, {"epoch": 2, "count": 8}),
        application="r",
        number=2,
    )
    assert [(row.instance, row.epoch, row.state, row.count) for row in read.ledger(url)] == [
        ("g", 1, "paired", 5),
        ("g", 1, "seen", 4),
        ("g", 2, "seen", 8),
        ("h", 1, "seen", 1),
    ]


COUNTS = st.lists(
    st.lists(st.tuples(st.sampled_from("gh"), st.sampled_from(["seen", "paired"]), st.integers(1, 4)), min_size=1),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, deadline=None)
@given(flushes=COUNTS)
def test_the_ledger_is_the_latest_row_of_each_count_in_whatever_file_it_is(flushes):
    latest, count = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for number, flush in enumerate(flushes, 1):
            rows = []
            for instance, state, time_us in flush:
                count += 1
                rows.append({"instance": instance, "state": state, "time_us": time_us, "count": count})
                place = (instance, state)
                latest[place] = max(latest.get(place, (0, 0)), (time_us, count))
            append(folder, "ledger", ledger(*rows), application="r", number=number)
        found = {(row.instance, row.state): (row.time_us, row.count) for row in read.ledger(folder)}
    assert found == latest


def test_few_exchanges_are_read_by_id(url):
    blank = {field.name: None for field in tables.EXCHANGES} | {"time_us": 1, "epoch": 1, "probability": 1}
    needed = ("source", "stratum", "method", "target", "request_headers", "production_version", "production_outcome")
    blank |= dict.fromkeys((*needed, "production_headers", "candidate_version", "rewritten"), "") | {
        "production_status": 200
    }
    rows = pa.Table.from_pylist([blank | {"id": each} for each in "abcd"], schema=tables.EXCHANGES)
    append(url, "exchanges", rows, application="r", number=1)
    append(url, "exchanges", rows.slice(0, 1), application="r", number=2)
    assert [row["id"] for row in read.exchanges(url, ["c", "x", "a"])] == ["c", "a"]
