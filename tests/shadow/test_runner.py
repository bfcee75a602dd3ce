"""The runner with a real socket, a real candidate, a real inbox and a real log."""

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from gnomon.compare.comparators.exact import Exact
from gnomon.log import read
from gnomon.records.frames import Call, Exchange, Hello
from gnomon.shadow import batches, flush
from gnomon.shadow.inbox import Inbox
from tests.shadow.parts import (
    Gateway,
    Model,
    a_request,
    an_answer,
    counter_file,
    document,
    ledger,
    logged,
    now_us,
    running,
    wait_for,
)


@pytest.fixture
def model():
    with Model() as started:
        yield started


def test_exchanges_are_called_compared_and_logged_once(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
        requests = [a_request(number) for number in range(100)]
        for number, request in enumerate(requests):
            gateway.exchange(request, an_answer(b'{"label": "%s"}' % (b"a" if number % 4 else b"b")))
        gateway.await_acks()
    rows = {row["id"]: row for row in logged(tmp_path)}
    assert len(logged(tmp_path)) == len(rows) == 100
    assert sum(row["output_label_agree"] for row in rows.values()) == 75
    assert {row["segment_country"] for row in rows.values()} == {"DE", "FR"}
    assert {row["state"] for row in rows.values()} == {"paired"}
    exchanges = {row["id"]: row for row in logged(tmp_path, "exchanges")}
    assert exchanges.keys() == rows.keys() == {request.id.hex() for request in requests}
    one = exchanges[requests[0].id.hex()]
    assert (one["request_body"], one["production_version"], one["candidate_version"]) == (
        requests[0].body,
        "1.0",
        "2.0",
    )
    assert (one["candidate_outcome"], one["candidate_status"], one["candidate_body"]) == ("ok", 200, b'{"label": "a"}')
    assert ledger(tmp_path) == {"received": 100, "paired": 100}
    assert not (tmp_path / "runner.sock").exists()


def test_each_shadow_call_says_that_it_is_one(tmp_path, model):
    request = a_request()
    with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
        gateway.exchange(request)
        gateway.await_acks()
        wait_for(lambda: model.got)
    assert b"x-gnomon-shadow: 1\r\n" in model.got[0][0]
    assert b"x-gnomon-id: " + request.id.hex().encode() in model.got[0][0]


def test_an_arm_has_its_own_credentials_from_the_environment(tmp_path, model, monkeypatch):
    monkeypatch.setenv("CANDIDATE_TOKEN", "Bearer ours")
    plan = document(model.url, arm={"authorization_env": "CANDIDATE_TOKEN"})
    with running(tmp_path, plan) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request())
        wait_for(lambda: model.got)
    assert b"authorization: Bearer ours\r\n" in model.got[0][0]


def test_after_a_promotion_production_is_the_shadow(tmp_path, model):
    swapped = document("http://127.0.0.1:8") | {"production": {"version": "1.0", "url": model.url}}
    with running(tmp_path, swapped) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(epoch=2, serving="candidate"))
        gateway.await_acks()
    (row,) = logged(tmp_path, "exchanges")
    assert (row["production_version"], row["candidate_version"]) == ("2.0", "1.0")
    assert (row["epoch"], row["candidate_outcome"]) == (2, "ok")


def test_sync_a_call_starts_at_once_and_is_joined_when_production_is_done(tmp_path, model):
    request, dropped = a_request(), a_request()
    with running(tmp_path, document(model.url, mode="sync")) as socket, Gateway(socket) as gateway:
        gateway.call(request)
        gateway.call(dropped)
        wait_for(lambda: len(model.got) == 2)  # production has not finished
        gateway.drop(dropped)
        gateway.settle(request)
        gateway.await_acks()
    (row,) = logged(tmp_path)
    assert (row["id"], row["late"], row["state"]) == (request.id.hex(), False, "paired")
    assert ledger(tmp_path) == {"received": 1, "paired": 1}


def test_sync_a_settled_exchange_waits_for_its_call(tmp_path, model):
    model.delay = 0.3
    request = a_request()
    with running(tmp_path, document(model.url, mode="sync")) as socket, Gateway(socket) as gateway:
        gateway.call(request)
        gateway.settle(request)
        gateway.await_acks()
    assert [row["candidate_outcome"] for row in logged(tmp_path)] == ["ok"]


def test_sync_calls_of_a_lost_connection_come_again_whole_and_late(tmp_path, model):
    with running(tmp_path, document(model.url, mode="sync")) as socket:
        request, gateway = a_request(), Gateway(socket)
        with gateway:
            gateway.call(request)
            wait_for(lambda: model.got)
        with gateway:
            gateway.exchange(request, late=True)
            gateway.await_acks()
    assert [(row["id"], row["late"]) for row in logged(tmp_path)] == [(request.id.hex(), True)]


def test_repeats_are_acknowledged_and_ignored_even_when_the_first_is_logged(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket:
        gateway = Gateway(socket)
        with gateway:
            frames = [gateway.exchange(a_request(number)) for number in range(5)]
            gateway.await_acks()
        wait_for(lambda: len(logged(tmp_path)) == 5)
        gateway.acknowledged = 0
        with gateway:
            gateway.send(*frames)
            gateway.await_acks(5)
            gateway.exchange(a_request(6))
            gateway.await_acks(6)
    assert len(logged(tmp_path)) == 6
    assert ledger(tmp_path)["received"] == 6


def test_a_frame_that_is_none_of_ours_ends_the_connection_and_nothing_else(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket:
        for junk in (b"\x00\x00\x00\x01\xc1", b"\xff" * 8, b"\x00\x00\x00\x02\x92\x07"):
            with Gateway(socket) as gateway:
                gateway.socket.sendall(junk)
                while gateway.read_acks():
                    assert gateway.acknowledged == 0
        with Gateway(socket) as gateway:
            gateway.exchange(a_request())
            gateway.await_acks()
    assert len(logged(tmp_path)) == 1


def test_a_gateway_of_another_trial_is_refused_before_anything_of_it_is_taken(tmp_path, model):
    with running(tmp_path, document(model.url, mode="sync")) as socket:
        for trial in ("t.2", ""):
            gateway = Gateway(socket, "left-over")
            gateway.greet = False
            with gateway:  # all in one write: it is refused while there is more to read
                exchange = Exchange(1, a_request(), an_answer(), late=False)
                call, repented = Call(a_request()), Hello("left-over", 1, "t.1")
                gateway.send(Hello("left-over", 1, trial), call, repented, exchange)
                assert gateway.read_acks() is False
        with Gateway(socket, "ours") as gateway:
            gateway.exchange(a_request())
            gateway.await_acks()
    assert ledger(tmp_path) == {"received": 1, "paired": 1}
    assert Inbox(tmp_path / "inbox.db", trial="t.1").numbers() == {"ours": 1}
    assert len(model.got) == 1


def test_a_connection_that_does_not_say_who_it_is_is_refused(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket:
        gateway = Gateway(socket)
        gateway.greet = False
        with gateway:
            gateway.exchange(a_request())
            assert gateway.read_acks() is False
    assert logged(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("error", "5xx"),
        ("reset", "reset"),
        ("garbage", "reset"),
        ("html", "unreadable"),
        ("shapeless", "wrong_shape"),
        ("flood", "too_large"),
        ("hang", "timeout"),
    ],
)
def test_a_candidate_that_fails_is_a_pair_with_its_outcome(tmp_path, model, path, outcome):
    with running(tmp_path, document(model.url, timeout="500ms")) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(target=f"/{path}"))
        gateway.exchange(a_request())
        gateway.await_acks()
    first, second = sorted(logged(tmp_path), key=lambda row: row["candidate_outcome"] == "ok")
    assert (first["candidate_outcome"], first["state"], first["output_label_agree"]) == (outcome, "paired", None)
    assert second["output_label_agree"] is True


def test_no_more_calls_are_in_flight_than_the_plan_allows(tmp_path, model):
    model.delay = 0.05
    with running(tmp_path, document(model.url, in_flight=3)) as socket, Gateway(socket) as gateway:
        for number in range(15):
            gateway.exchange(a_request(number))
        gateway.await_acks()
    assert model.connections == 3
    assert len(logged(tmp_path)) == 15


def test_what_waited_too_long_is_not_called_and_counts_as_expired(tmp_path, model):
    old = now_us() - 3_000_000
    with running(tmp_path, document(model.url, expires="2s")) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(time_us=old))
        gateway.exchange(a_request())
        gateway.await_acks()
    rows = sorted(logged(tmp_path), key=lambda row: row["time_us"])
    assert [(row["state"], row["candidate_outcome"]) for row in rows] == [("expired", None), ("paired", "ok")]
    assert [row["absent"] for row in sorted(logged(tmp_path, "exchanges"), key=lambda row: row["time_us"])] == [
        "expired",
        None,
    ]
    assert ledger(tmp_path) == {"received": 2, "paired": 1, "expired": 1}
    assert len(model.got) == 1


def test_a_long_backlog_stays_on_the_disk_and_is_worked_off(tmp_path, model, monkeypatch):
    monkeypatch.setattr("gnomon.shadow.queue.WINDOW", 8)
    model.delay = 0.005
    with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
        for number in range(200):
            gateway.exchange(a_request(number))
        gateway.await_acks()
    assert len({row["id"] for row in logged(tmp_path)}) == len(logged(tmp_path)) == 200


def test_what_a_drain_does_not_reach_is_done_after_the_next_start(tmp_path, model):
    model.delay = 0.2
    with (
        running(tmp_path, document(model.url, mode="sync", in_flight=1), patience=0.3) as socket,
        Gateway(socket) as gateway,
    ):
        for number in range(6):
            gateway.exchange(a_request(number))
        gateway.await_acks()
    assert 0 < len(logged(tmp_path)) < 6
    model.delay = 0
    with running(tmp_path, document(model.url, mode="sync")):
        wait_for(lambda: len(logged(tmp_path)) == 6)
    rows = logged(tmp_path)
    assert len({row["id"] for row in rows}) == 6
    assert any(row["late"] for row in rows)
    assert ledger(tmp_path) == {"received": 6, "paired": 6}


# the ledger and the watermark --------------------------------------------------------------------------------------


def test_the_watermark_waits_for_the_oldest_exchange_in_the_inbox(tmp_path, model):
    request = a_request(target="/hang")
    with running(tmp_path, document(model.url, timeout="1s")) as socket, Gateway(socket) as gateway:
        gateway.exchange(request)
        gateway.exchange(a_request())
        gateway.await_acks()
        wait_for(lambda: len(logged(tmp_path)) == 1)
        wait_for(lambda: read.watermark(str(tmp_path / "log")) is not None)
        assert read.watermark(str(tmp_path / "log")) <= request.time_us
        wait_for(lambda: len(logged(tmp_path)) == 2)
        wait_for(lambda: read.watermark(str(tmp_path / "log")) > request.time_us)


def test_the_watermark_waits_for_the_frontier_of_a_living_gateway_and_not_for_a_dead_one(tmp_path, model):
    start = now_us()
    log = str(tmp_path / "log")
    with running(tmp_path, document(model.url)) as socket:
        with (
            counter_file(
                tmp_path / "counters", "g1", frontier_us=start - 5, seen=3, handed_over=1, unsampled=1
            ) as write,
            Gateway(socket, "g1") as gateway,
        ):
            gateway.exchange(a_request())
            gateway.await_acks()
            wait_for(lambda: ledger(tmp_path).get("paired") == 1)
            assert read.watermark(log) == start - 5
            write(frontier_us=start + 7, seen=3, handed_over=1, unsampled=1)
            wait_for(lambda: read.watermark(log) == start + 7)
            assert "unaccounted" not in ledger(tmp_path)
        wait_for(lambda: read.watermark(log) > start + 7)
    assert ledger(tmp_path) == {
        "seen": 3,
        "handed_over": 1,
        "unsampled": 1,
        "received": 1,
        "paired": 1,
        "unaccounted": 1,
    }


def test_a_dead_gateway_is_waited_for_until_all_it_sent_is_read(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket, Gateway(socket, "g1") as gateway:
        with counter_file(tmp_path / "counters", "g1", frontier_us=5, seen=1):
            pass
        gateway.call(a_request())  # its connection is still open
        gateway.exchange(a_request())
        gateway.await_acks()
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
        assert read.watermark(str(tmp_path / "log")) == 5


def test_the_ledger_is_written_when_something_changed_and_ever_more_rarely_when_only_time_goes_on(tmp_path, model):
    log = str(tmp_path / "log")
    with running(tmp_path, document(model.url), flush_us=10_000) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request())
        gateway.await_acks()
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
        first = read.snapshot(log).versions["ledger"]
        before = read.watermark(log)
        wait_for(lambda: read.watermark(log) > before)
        threading.Event().wait(0.3)
        assert read.snapshot(log).versions["ledger"] <= first + 2


def test_the_ledger_never_goes_backward_over_restarts(tmp_path, model):
    for round_ in range(3):
        with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
            for number in range(3):
                gateway.exchange(a_request(number))
            gateway.await_acks()
        assert ledger(tmp_path) == {"received": 3 * round_ + 3, "paired": 3 * round_ + 3}


# faults of the log -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["nothing", "exchanges", "comparisons", "ledger"])
def test_a_batch_that_was_cut_off_is_finished_with_the_same_content(tmp_path, model, monkeypatch, after):
    """As if the process had been killed between two tables: what was appended is not appended again."""
    order = ["nothing", "exchanges", "comparisons", "ledger"]
    real = batches.append
    done = []

    def cut(url, table, rows, **transaction):
        if len(done) >= order.index(after):
            raise DeltaError("the disk is gone")
        done.append(table)
        return real(url, table, rows, **transaction)

    requests = [a_request(number) for number in range(20)]
    with monkeypatch.context() as patch:
        patch.setattr(batches, "append", cut)
        patch.setattr("gnomon.shadow.ledger.append", cut)
        with running(tmp_path, document(model.url), flush_us=60_000_000) as socket, Gateway(socket) as gateway:
            for request in requests:
                gateway.exchange(request)
            gateway.await_acks()
    assert done == order[1 : order.index(after) + 1]
    with running(tmp_path, document("http://127.0.0.1:8")):  # nobody is called again
        wait_for(lambda: ledger(tmp_path).get("paired") == 20)
    for table in ("comparisons", "exchanges"):
        assert sorted(row["id"] for row in logged(tmp_path, table)) == sorted(request.id.hex() for request in requests)
    assert {row["candidate_outcome"] for row in logged(tmp_path)} == {"ok"}
    assert ledger(tmp_path) == {"received": 20, "paired": 20}


def test_a_log_that_cannot_be_written_is_tried_again_and_loses_nothing(tmp_path, model, monkeypatch, capsys):
    real, fail = batches.append, threading.Event()
    fail.set()

    def sometimes(*arguments, **transaction):
        if fail.is_set():
            raise OSError(28, "No space left on device")
        return real(*arguments, **transaction)

    monkeypatch.setattr(batches, "append", sometimes)
    with running(tmp_path, document(model.url), flush_us=10_000) as socket, Gateway(socket) as gateway:
        for number in range(10):
            gateway.exchange(a_request(number))
        gateway.await_acks()  # the hand-over does not need the log
        wait_for(lambda: "No space left" in capsys.readouterr().err)
        assert logged(tmp_path) == []
        fail.clear()
        wait_for(lambda: len(logged(tmp_path)) == 10)
    assert ledger(tmp_path) == {"received": 10, "paired": 10}


@pytest.mark.parametrize(("owner", "name"), [(batches, "append"), (Inbox, "commit")])
def test_a_fault_of_ours_is_said_and_neither_the_log_nor_the_inbox_stops(
    tmp_path, model, monkeypatch, capsys, owner, name
):
    real, fail, tries, words = getattr(owner, name), threading.Event(), [], "planted"
    fail.set()

    def sometimes(*arguments, **transaction):
        if fail.is_set():
            tries.append(1)
            raise pa.ArrowInvalid(words)  # a ValueError, in neither list of what is expected
        return real(*arguments, **transaction)

    monkeypatch.setattr(owner, name, sometimes)
    with running(tmp_path, document(model.url), flush_us=10_000) as socket, Gateway(socket) as gateway:
        for number in range(10):
            gateway.exchange(a_request(number))
        wait_for(lambda: len(tries) >= 3)
        said = capsys.readouterr().err
        assert said.count("Traceback") == said.count("ArrowInvalid (") == 1
        assert "planted" not in said  # its words may quote a value
        fail.clear()
        gateway.await_acks()
        wait_for(lambda: len(logged(tmp_path)) == 10)
    assert ledger(tmp_path) == {"received": 10, "paired": 10}


@pytest.mark.parametrize(
    ("method", "outcomes"), [("agree", ("ok", "unreadable")), ("stored", ("unreadable", "unreadable"))]
)
def test_a_comparator_that_raises_costs_its_pair_and_leaves_nothing_behind(
    tmp_path, model, monkeypatch, capsys, method, outcomes
):
    def boom(*_):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Exact, method, boom)
    with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
        for number in range(5):
            gateway.exchange(a_request(number))
        gateway.await_acks()
    rows = logged(tmp_path)
    assert {(row["production_outcome"], row["candidate_outcome"]) for row in rows} == {outcomes}
    assert {row["output_label_agree"] for row in rows} == {None}
    assert ledger(tmp_path) == {"received": 5, "paired": 5}
    assert Inbox(tmp_path / "inbox.db", trial="t.1").times() == []
    assert capsys.readouterr().err.count("Traceback") == 1


def test_a_batch_is_appended_before_its_time_when_it_is_large(tmp_path, model, monkeypatch):
    monkeypatch.setattr(flush, "ROWS", 10)
    with running(tmp_path, document(model.url), flush_us=60_000_000) as socket, Gateway(socket) as gateway:
        for number in range(25):
            gateway.exchange(a_request(number))
        wait_for(lambda: len(logged(tmp_path)) >= 10)


def test_nothing_of_a_body_is_left_in_the_inbox_once_it_is_logged(tmp_path, model):
    with running(tmp_path, document(model.url)) as socket, Gateway(socket) as gateway:
        for _ in range(30):
            gateway.exchange(a_request(body=b'{"card": "4111-1111", "country": "DE"}'))
        gateway.await_acks()
        wait_for(lambda: len(logged(tmp_path)) == 30)

        def clean():
            return all(b"4111-1111" not in path.read_bytes() for path in Path(tmp_path).glob("inbox.db*"))

        wait_for(clean)
