"""What changes the digest of a look, and what does not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gnomon.errors import IntegrityError
from gnomon.evidence import digests
from tests.evidence.trial_log import TrialLog, a_gate, a_log, a_plan, a_truth, an_exchange, differs


@dataclass
class Pinned:
    """A snapshot of nothing but files."""

    comparisons: list[str]
    ledger: list[str]
    truths: list[str]

    def files(self, table: str) -> list[str]:
        return list(getattr(self, table))


def a_written_log(folder: Path) -> TrialLog:
    log = a_log(folder, a_plan(a_gate(), a_gate("error_rate")), [an_exchange(1), differs(2)], [a_truth(2, '"a"')])
    log.append("comparisons", [an_exchange(3), an_exchange(4)])
    log.flush(watermark=5, paired=4)
    return log


def rewritten(log: TrialLog, table: str, column: str, value: object) -> None:
    """The first file of a table with another value in its first row."""
    path = Path(min(log.files(table)).removeprefix("file://"))
    rows = pq.read_table(path)
    values = rows[column].to_pylist()
    values[0] = value
    place = rows.schema.get_field_index(column)
    pq.write_table(rows.set_column(place, rows.schema.field(place), [values]), path)


def without_its_first_row(log: TrialLog) -> None:
    path = Path(min(log.files("comparisons")).removeprefix("file://"))
    pq.write_table(pq.read_table(path).slice(1), path)


@pytest.mark.parametrize(
    "change",
    [
        without_its_first_row,
        lambda log: rewritten(log, "comparisons", "candidate_latency_us", 2_001),
        lambda log: rewritten(log, "comparisons", "truth_key", "k"),
        lambda log: rewritten(log, "truths", "value", '"b"'),
        lambda log: rewritten(log, "truths", "source", "g.csv"),
        lambda log: rewritten(log, "ledger", "instance", "runner-2"),
        lambda log: log.append("comparisons", [an_exchange(9, epoch=2)]),
    ],
    ids=[
        "a row removed",
        "a latency",
        "a key",
        "a truth",
        "a truth's source",
        "a ledger row",
        "a row of another epoch",
    ],
)
def test_whatever_is_altered_changes_it(tmp_path: Path, change: Callable[[TrialLog], None]) -> None:
    log = a_written_log(tmp_path)
    before = log.gather().digest
    assert before == log.gather().digest
    assert before.startswith("files:")
    assert len(before) == len("files:") + 64
    change(log)
    assert log.gather().digest != before


def test_an_altered_byte_is_noticed_even_where_no_row_is(tmp_path: Path) -> None:
    log = a_written_log(tmp_path)
    before = digests.of_files(log)  # type: ignore[arg-type]
    path = Path(log.files("truths")[0].removeprefix("file://"))
    content = bytearray(path.read_bytes())
    content[-9] ^= 1  # in the footer's length
    path.write_bytes(content)
    assert digests.of_files(log) != before  # type: ignore[arg-type]


def test_neither_names_nor_the_order_of_files_are_in_it_but_the_table_is(tmp_path: Path) -> None:
    names = []
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(b"x" * number)
        (tmp_path / f"copy-{9 - number}").write_bytes(b"x" * number)
        names.append((str(tmp_path / f"{number}"), str(tmp_path / f"copy-{9 - number}")))
    (a, a2), (b, b2), (c, c2) = names
    digest = digests.of_files(Pinned([a, b], [c], []))  # type: ignore[arg-type]
    assert digests.of_files(Pinned([b2, a2], [c2], [])) == digest  # type: ignore[arg-type]
    assert digests.of_files(Pinned([a, b], [], [c])) != digest  # type: ignore[arg-type]
    assert digests.of_files(Pinned([a, b, b], [c], [])) != digest  # type: ignore[arg-type]


def test_a_file_is_read_through_its_store(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"content")
    local = digests.of_files(Pinned([str(tmp_path / "one")], [], []))  # type: ignore[arg-type]
    assert digests.of_files(Pinned([f"file://{tmp_path}/one"], [], [])) == local  # type: ignore[arg-type]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"the data file .*gone cannot be read"):
        digests.of_files(Pinned([str(tmp_path / "gone")], [], []))  # type: ignore[arg-type]
