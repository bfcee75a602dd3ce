"""The durable queue: all of a group or nothing, no exchange twice, nothing left behind."""

import random
import sqlite3
import stat
from itertools import count, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import GnomonError, StateError
from gnomon.records.frames import Exchange
from gnomon.shadow.batches import item
from gnomon.shadow.inbox import Arrival, Aside, Finished, Group, Inbox, Logged, Sums, _ranges, path_of
from gnomon.shadow.ledger import problems
from tests.shadow.parts import a_request, an_answer


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


def test_nothing_of_what_was_removed_is_left_where_sqlite_moved_it(path):
    """Rows leave in another order than they came: pages are balanced, and that leaves copies behind."""
    chance, inbox, waiting, gone, places = random.Random(5), Inbox(path, trial="t.1"), [], set(), count(1)
    seqs = count(1)

    def secret(seq):
        return b"<%06d>" % seq

    for batch in range(1, 41):
        new = [next(seqs) for _ in range(chance.randint(0, 60))]
        arrivals = [an_arrival(seq, frame=secret(seq) * chance.choice([1, 3, 30, 300, 1500])) for seq in new]
        waiting += new
        chance.shuffle(waiting)
        split = chance.randint(0, 60)
        ended, waiting = waiting[:split], waiting[split:]
        finished = [Finished(next(places), batch, seq, secret(seq) * chance.choice([1, 20, 400])) for seq in ended]
        inbox.commit(Group(arrivals=arrivals, finished=finished))
        if finished and batch % 5:
            ends = (finished[0].place, finished[-1].place)
            inbox.commit(Group(logged=[Logged(batch, ends, ended, {(1, "paired"): len(ended)})]))
            gone.update(ended)
    inbox.scrub()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert len(gone) > 500
    assert [seq for seq in gone if secret(seq) in content] == []
    assert all(secret(seq) in content for seq in waiting)


def test_what_is_set_aside_leaves_its_batch_and_is_unaccounted(path, monkeypatch):
    monkeypatch.setattr("gnomon.shadow.inbox.FRAMES_KEPT", 2)
    inbox = Inbox(path, trial="t.1")
    inbox.commit(Group(arrivals=[an_arrival(seq, epoch=seq % 2) for seq in range(1, 6)]))
    inbox.commit(Group(finished=[Finished(place, 1, place, b"result") for place in range(1, 5)]))
    assert inbox.sums().open == {0: 2, 1: 3}
    aside = [Aside(seq, bytes(16), seq % 2, "too large", place=seq) for seq in (1, 2)]
    inbox.commit(Group(aside=[*aside, Aside(5, bytes(16), 1, "no row")]))
    assert [row[1:] for row in inbox.aside()] == [
        (1, "too large", b"frame"),
        (0, "too large", b"frame"),
        (1, "no row", None),
    ]
    assert [[place for place, *_ in rows] for _, rows in inbox.unfinished_batches()] == [[3, 4]]
    sums = inbox.sums()
    assert (sums.received, sums.ended) == ({("g", 0): 2, ("g", 1): 3}, {(1, "unaccounted"): 2, (0, "unaccounted"): 1})
    assert sums.open == {0: 1, 1: 1}
    assert problems(sums) == []


def test_what_does_not_add_up_is_named_by_epoch():
    sums = Sums({("a", 1): 3, ("b", 1): 2, ("a", 2): 1}, {(1, "paired"): 4, (1, "expired"): 1}, {1: 1, 3: 2})
    assert problems(sums) == [
        "the inbox does not add up in epoch 1: 5 received, 5 ended and 1 open",
        "the inbox does not add up in epoch 2: 1 received, 0 ended and 0 open",
        "the inbox does not add up in epoch 3: 0 received, 0 ended and 2 open",
    ]


def test_an_inbox_of_the_first_layout_is_taken_over_with_all_that_it_holds(path):
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript(
        """PRAGMA user_version=1;
        CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE exchanges (
            seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time_us INTEGER NOT NULL, frame BLOB NOT NULL);
        CREATE TABLE results (
            place INTEGER PRIMARY KEY, batch INTEGER NOT NULL, seq INTEGER NOT NULL, result BLOB NOT NULL);
        CREATE TABLE instances (instance TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE received (
            instance TEXT, epoch INTEGER, count INTEGER NOT NULL, PRIMARY KEY (instance, epoch)) WITHOUT ROWID;
        CREATE TABLE logged (
            epoch INTEGER, state TEXT, count INTEGER NOT NULL, PRIMARY KEY (epoch, state)) WITHOUT ROWID;
        INSERT INTO about VALUES ('trial', 't.1'), ('identity', 'me'), ('batch', '4');
        INSERT INTO received VALUES ('g', 1, 9), ('g', 2, 1);
        INSERT INTO logged VALUES (1, 'paired', 7);"""
    )
    requests = [a_request(number, epoch=1 + number // 2) for number in range(3)]
    frames = [msgspec.msgpack.encode(Exchange(1, each, an_answer(), late=False)) for each in requests]
    rows = [(seq, each.id, 5, frame) for seq, each, frame in zip((8, 9, 10), requests, frames, strict=True)]
    old.executemany("INSERT INTO exchanges VALUES (?, ?, ?, ?)", rows)
    result = msgspec.msgpack.encode([None, ["row"]])  # as an earlier version wrote it
    old.execute("INSERT INTO results VALUES (1, 5, 8, ?)", (result,))
    old.commit()
    old.close()
    for _ in range(2):
        inbox = Inbox(path, trial="t.1")
        assert inbox.identity == "me"
        assert problems(inbox.sums()) == []
        assert inbox.sums().open == {1: 2, 2: 1}
        ((number, (row,)),) = inbox.unfinished_batches()
        assert (number, row) == (5, (1, 8, frames[0], result))
        assert item(*row).result.rewritten == "{}"
        inbox.close()
    Inbox(path, trial="t.1").commit(Group(arrivals=[an_arrival(11)]))


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
