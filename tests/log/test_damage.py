"""A log that was damaged says which file it is, whoever reads it."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from gnomon.errors import IntegrityError
from gnomon.log import read
from gnomon.log.append import append
from tests.log.builders import comparisons, exchanges, ledger


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def garbled(path):
    """Of the same size, with a footer that can be read: only the values are gone."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\x00" * (len(content) // 3) + content[4 + len(content) // 3 :])


def emptied(path):
    path.write_bytes(b"")


def removed(path):
    path.unlink()


READERS = {
    "ledger": read.ledger,
    "comparisons": lambda url: read.column(url, "comparisons", ["id"]),
    "exchanges": lambda url: read.exchanges(url, [f"{1:032x}"]),
}
ROWS = {
    "ledger": ledger(*({"count": n, "state": f"s{n}"} for n in range(200))),
    "comparisons": comparisons(*({} for _ in range(200))),
    "exchanges": exchanges(*({"id": f"{n:032x}", "request_body": b"x"} for n in range(200))),
}


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "log")


@pytest.mark.parametrize("which", [min, max])
@pytest.mark.parametrize("damage", [cut, garbled, emptied, removed])
@pytest.mark.parametrize("table", READERS)
def test_a_damaged_data_file_is_named(url, table, damage, which):
    append(url, table, ROWS[table], application="r", number=1)
    append(url, table, ROWS[table], application="r", number=2)
    damaged = Path(which(read.data_files(url, table, read.opened(url, table))))
    damage(damaged)
    with pytest.raises(IntegrityError, match=damaged.name):
        READERS[table](url)


def garbage(path):
    path.write_bytes(b"{]")


@pytest.mark.parametrize("damage", [garbage, emptied])
@pytest.mark.parametrize("table", READERS)
def test_a_table_with_a_damaged_commit_is_named(url, table, damage):
    append(url, table, ROWS[table], application="r", number=1)
    append(url, table, ROWS[table], application="r", number=2)
    damage(read.commit(Path(url) / table, 0))
    with pytest.raises(IntegrityError, match=f"{url}/{table}"):
        READERS[table](url)


@pytest.mark.parametrize("damage", [cut, emptied])
def test_a_table_with_a_damaged_checkpoint_is_named(url, damage):
    append(url, "ledger", ROWS["ledger"], application="r", number=1)
    DeltaTable(f"{url}/ledger").create_checkpoint()
    damage(read.checkpoint(Path(url) / "ledger", 0))
    with pytest.raises(IntegrityError, match=f"{url}/ledger"):
        read.ledger(url)
