"""The ledger's writer: what an append left in the table is known, also when it raised after its commit."""

import pytest

from gnomon.log import read
from gnomon.shadow import ledger as writing


def test_an_append_that_raises_after_its_commit_leaves_no_count_behind(tmp_path, monkeypatch):
    url, key = str(tmp_path / "log"), ("runner-a", 1, "all", "open")
    ledger = writing.Ledger(url, identity="a" * 32)
    ledger.open()
    ledger.flush({key: 5}, 10, now_us=1)
    right = writing.append

    def too_late(*arguments, **named):
        right(*arguments, **named)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "append", too_late)
    with pytest.raises(OSError, match="No space"):
        ledger.flush({key: 7}, 11, now_us=2)
    monkeypatch.setattr(writing, "append", right)
    ledger.open()  # as the flush does before it tries again
    ledger.flush({key: 5}, 12, now_us=3)
    assert [row.count for row in read.ledger(url)] == [5]
