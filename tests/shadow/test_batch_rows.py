"""Batches of instances through a whole runner: an exchange is one thing in the inbox and the ledger, and many rows."""

import json

import pytest

from gnomon.compare import Comparing, instances
from gnomon.log import compact, read, tables
from gnomon.shadow import batches, flush
from gnomon.shadow.inbox import Inbox
from tests.shadow.parts import Gateway, Model, a_plan, a_request, an_answer, ledger, logged, reply, running, wait_for


class Batching(Model):
    """Says `a` of each instance; of those of a request to /short, of one less."""

    async def _predict(self, writer, less=0):
        count = len(json.loads(self.got[-1][1])["instances"]) - less
        writer.write(reply(json.dumps({"predictions": ["a"] * count}).encode()))

    async def _short(self, writer):
        await self._predict(writer, 1)


@pytest.fixture
def model():
    with Batching() as started:
        yield started


def planned(model):
    return a_plan(
        model.url,
        in_flight=1,  # the model answers the last request that it got
        output={"label": "body:/predictions/*"},
        truth={"key": "body:/instances/*/id", "expected_within": "1d"},
        unit={"instances": "body:/instances"},
    )


def a_batch(count, **changes):
    body = {"country": "DE", "instances": [{"id": f"i{number}"} for number in range(count)]}
    return a_request(body=json.dumps(body).encode(), **changes)


def said(count, label="a"):
    return an_answer(json.dumps({"predictions": [label] * count}).encode())


def test_a_batch_is_one_exchange_and_a_row_for_each_instance(tmp_path, model):
    three, short = a_batch(3), a_batch(2, target="/short")
    with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
        gateway.exchange(three, said(3))
        gateway.exchange(short, said(2))
        gateway.await_acks()
    rows = sorted(logged(tmp_path), key=lambda row: (row["id"], row["instance"]))
    assert [(row["id"], row["instance"], row["truth_key"], row["candidate_outcome"]) for row in rows] == sorted(
        [(three.id.hex(), number, f"i{number}", "ok") for number in range(3)]
        + [(short.id.hex(), number, f"i{number}", "wrong_shape") for number in range(2)]
    )
    assert sorted(row["id"] for row in logged(tmp_path, "exchanges")) == sorted([three.id.hex(), short.id.hex()])
    assert ledger(tmp_path) == {"received": 2, "paired": 2}
    (shown,) = read.rows_of(str(tmp_path / "log"), "comparisons", [three.id.hex()])
    assert shown["instance"] == 0


def test_a_batch_of_instances_that_was_cut_off_is_appended_once_and_the_same(tmp_path, model, monkeypatch):
    real, done = batches.append, []

    def cut(url, table, rows, **transaction):
        if table == "comparisons":
            raise OSError(28, "No space left on device")
        done.append(table)
        return real(url, table, rows, **transaction)

    requests = [a_batch(count) for count in (1, 4, 2)]
    with monkeypatch.context() as patch:
        patch.setattr(batches, "append", cut)
        with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
            for request, count in zip(requests, (1, 4, 2), strict=True):
                gateway.exchange(request, said(count))
            gateway.await_acks()
            wait_for(lambda: len(model.got) == 3 and done)
    assert logged(tmp_path) == []
    with running(tmp_path, {}, plan=planned(model)):
        wait_for(lambda: ledger(tmp_path).get("paired") == 3)
    found = sorted((row["id"], row["instance"]) for row in logged(tmp_path))
    assert found == sorted(
        (request.id.hex(), number)
        for request, count in zip(requests, (1, 4, 2), strict=True)
        for number in range(count)
    )
    assert len(logged(tmp_path, "exchanges")) == len(model.got) == 3
    assert Inbox(tmp_path / "inbox.db", trial="t.1").times() == []


def test_a_batch_that_is_too_long_is_a_lost_pair_and_holds_up_nothing(tmp_path, model, monkeypatch, capsys):
    monkeypatch.setattr(instances, "LIMIT", 3)
    with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_batch(4), said(4))
        gateway.exchange(a_batch(3), said(3))
        gateway.await_acks()
    assert len(logged(tmp_path)) == 3
    assert ledger(tmp_path) == {"received": 2, "paired": 1, "unaccounted": 1}
    assert "its request holds 4 instances, more than 3" in capsys.readouterr().err
    ((_, _, reason, frame),) = Inbox(tmp_path / "inbox.db", trial="t.1").aside()
    assert reason == "its request holds 4 instances, more than 3"
    assert frame is not None


def test_one_instance_that_no_log_takes_sets_its_whole_exchange_aside(tmp_path, model, monkeypatch):
    real = Comparing.rows

    def rows(self, request, *arguments, **settings):
        made = real(self, request, *arguments, **settings)
        if len(made) == 3:
            made[2][tables.comparisons(self._plan).names.index("cluster")] = 7
        return made

    monkeypatch.setattr(Comparing, "rows", rows)
    with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
        for count in (2, 3, 2):
            gateway.exchange(a_batch(count), said(count))
        gateway.await_acks()
    assert [row["instance"] for row in logged(tmp_path)] == [0, 1, 0, 1]
    assert ledger(tmp_path) == {"received": 3, "paired": 2, "unaccounted": 1}


def test_a_value_that_no_log_takes_makes_its_arm_unreadable_in_all_rows_of_the_exchange(tmp_path, model, monkeypatch):
    real = Comparing.rows

    def rows(self, *arguments, **settings):
        made = real(self, *arguments, **settings)
        made[1][tables.comparisons(self._plan).names.index("output_label_candidate")] = 7
        return made

    monkeypatch.setattr(Comparing, "rows", rows)
    with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_batch(2), said(2))
        gateway.await_acks()
    found = [
        (row["production_outcome"], row["output_label_production"], row["candidate_outcome"])
        for row in logged(tmp_path)
    ]
    assert found == [("ok", '"a"', "unreadable")] * 2
    assert {row["output_label_candidate"] for row in logged(tmp_path)} == {None}


def test_a_flush_comes_before_its_time_when_the_instances_are_many(tmp_path, model, monkeypatch):
    monkeypatch.setattr(flush, "ROWS", 10)
    with running(tmp_path, {}, plan=planned(model), flush_us=60_000_000) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_batch(9), said(9))
        gateway.exchange(a_batch(1), said(1))
        wait_for(lambda: len(logged(tmp_path)) == 10)


def test_merging_files_keeps_every_row_of_every_batch(tmp_path, model, monkeypatch):
    monkeypatch.setattr(compact, "MANY", 2)
    monkeypatch.setattr(flush, "ROWS", 3)
    with running(tmp_path, {}, plan=planned(model)) as socket, Gateway(socket) as gateway:
        for number in range(8):
            gateway.exchange(a_batch(3), said(3))
            gateway.await_acks()
            wait_for(lambda number=number: len(logged(tmp_path)) == 3 * (number + 1))
    before = sorted(logged(tmp_path), key=lambda row: (row["id"], row["instance"]))
    assert compact.compact(str(tmp_path / "log"), "comparisons") > 0
    assert sorted(logged(tmp_path), key=lambda row: (row["id"], row["instance"])) == before
    assert len(before) == 24
