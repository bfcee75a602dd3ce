"""The durable queue: all of a group or nothing, no exchange twice, nothing left behind."""

import sqlite3
import stat
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import GnomonError, StateError
from gnomon.shadow.inbox import Arrival, Finished, Group, Inbox, Logged, _ranges, path_of


def an_arrival(seq, *, instance="g", number=None, frame=b"frame", epoch=1):
    return Arrival(seq, seq.to_bytes(16, "big"), seq * 10, instance, number or seq, epoch, frame)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "inbox.db"


def test_what_is_committed_is_there_after_a_restart(path):
    inbox = Inbox(path, trial="t.1")
    inbox.commit(Group(arrivals=[an_arrival(1), an_arrival(2), an_arrival(3, instance="h", epoch=2)]))
    inbox.commit(Group(finished=[Finished(1, 7, 2, b"result")]))
    again = Inbox(path, trial="t.1")
    assert again.numbers() == {"g": 2, "h": 3}
    assert again.sums().received == {("g", 1): 2, ("h", 2): 1}
    assert again.times() == [(1, 10), (2, 20), (3, 30)]
    assert again.waiting(1, 1) == [(2, b"frame")]
    assert list(again.unfinished_batches()) == [(7, [(1, 2, b"frame", b"result")])]
    assert (again.last_batch(), again.last_seq()) == (7, 3)
    assert again.identity == inbox.identity


def test_an_exchange_that_is_there_is_not_received_again(path):
    inbox = Inbox(path, trial="t.1")
    inbox.commit(Group(arrivals=[an_arrival(1)]))
    repeat = Arrival(2, (1).to_bytes(16, "big"), 10, "g", 2, 1, b"again")
    inbox.commit(Group(arrivals=[repeat, an_arrival(3)]))
    assert [seq for seq, _ in inbox.times()] == [1, 3]
    assert inbox.sums().received == {("g", 1): 2}


def test_a_group_is_committed_whole_or_not_at_all(path):
    inbox = Inbox(path, trial="t.1")
    with pytest.raises(sqlite3.IntegrityError):
        inbox.commit(Group(arrivals=[an_arrival(1)], finished=[Finished(1, 1, 1, b""), Finished(1, 1, 1, b"")]))
    assert inbox.times() == []
    assert inbox.sums().received == {}
    inbox.commit(Group(arrivals=[an_arrival(1)]))
    assert inbox.sums().received == {("g", 1): 1}


def test_a_logged_batch_leaves_with_its_secrets_and_its_number_stays(path):
    inbox = Inbox(path, trial="t.1")
    secret = b"4111-1111-1111-1111"
    inbox.commit(Group(arrivals=[an_arrival(seq, frame=secret * 400) for seq in range(1, 50)]))
    inbox.commit(Group(finished=[Finished(seq, 3, seq, secret) for seq in range(1, 49)]))
    inbox.commit(Group(logged=[Logged(3, (1, 48), range(1, 49), {(1, "paired"): 40, (1, "expired"): 8})]))
    inbox.commit(Group(finished=[Finished(49, 4, 49, secret)]))
    inbox.commit(Group(logged=[Logged(4, (49, 49), [49], {(1, "paired"): 1})]))
    assert inbox.sums().ended == {(1, "paired"): 41, (1, "expired"): 8}
    assert inbox.times() == []
    assert inbox.last_batch() == 4
    inbox.scrub()
    for file in path.parent.iterdir():
        assert secret not in file.read_bytes(), file


def test_only_its_owner_may_read_it(path):
    inbox = Inbox(path, trial="t.1")
    inbox.commit(Group(arrivals=[an_arrival(1)]))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"inbox.db": 0o600, "inbox.db-wal": 0o600, "inbox.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_of_a_newer_layout_is_refused(path):
    Inbox(path, trial="t.1").close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=9")
    database.close()
    with pytest.raises(StateError, match="layout 9"):
        Inbox(path, trial="t.1")


def test_an_inbox_serves_one_trial_for_ever(path):
    inbox = Inbox(path, trial="t.1")
    inbox.commit(Group(arrivals=[an_arrival(1)]))
    inbox.close()
    with pytest.raises(
        StateError, match=r"inbox\.db is the inbox of trial t\.1, .*; give trial t\.2 a queue of its own"
    ):
        Inbox(path, trial="t.2")
    assert Inbox(path, trial="t.1").times() == [(1, 10)]


def test_another_kind_of_queue_is_refused():
    assert str(path_of("sqlite:////data/inbox.db")) == "/data/inbox.db"
    with pytest.raises(GnomonError, match="nats"):
        path_of("nats://host")


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_the_same_numbers(numbers):
    ranges = _ranges(list(numbers))
    assert sorted(number for low, high in ranges for number in range(low, high + 1)) == sorted(numbers)
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(ranges))
