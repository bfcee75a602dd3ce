"""Guards, rewrites, redaction, probes and rows that no log takes, through a whole runner."""

import gzip
import json
import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from gnomon.compare import Comparing
from gnomon.compare.comparators.exact import Exact
from gnomon.log import read, tables
from gnomon.records import counters
from gnomon.records.facts import RunnerFacts
from gnomon.records.ledger import RUNNER_STATES
from gnomon.records.plan import Guards, Redaction, Rewrite
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow import batches, flush
from gnomon.shadow.inbox import Inbox
from tests.protocols.builders import at
from tests.shadow.parts import (
    Gateway,
    Model,
    a_plan,
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

SECRET = b"4111-1111-1111"


@pytest.fixture
def model():
    with Model() as started:
        yield started


def planned(model, *, rewrite=None, **changes):
    plan = msgspec.structs.replace(a_plan(model.url, mode=changes.pop("mode", "async")), **changes)
    if rewrite is None:
        return plan
    return msgspec.structs.replace(plan, candidate=msgspec.structs.replace(plan.candidate, rewrite=rewrite))


def served(folder, model, plan, requests, *, sync=False, answer=None, **settings):
    """Everything through a runner, once; the program's log is the test's standard error."""
    with running(folder, document(model.url), plan=plan, **settings) as socket, Gateway(socket) as gateway:
        for request in requests:
            if sync:
                gateway.call(request)
                gateway.settle(request, answer)
            else:
                gateway.exchange(request, answer)
        gateway.await_acks()


# guards and rewrites -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_guarded_request_is_not_called_and_is_counted_and_logged_as_such(tmp_path, model, mode):
    guards = Guards(context=(at("body:/thread"),), side_effects=(at("body:/tool"),))
    bodies = (b'{"country": "DE", "thread": "t1"}', b'{"country": "FR", "tool": [1]}', b'{"country": "DE"}')
    requests = [a_request(body=body) for body in bodies]
    served(tmp_path, model, planned(model, guards=guards, mode=mode), requests, sync=mode == "sync")
    assert [body for _, body in model.got] == [bodies[2]]
    rows = {row["id"]: row for row in logged(tmp_path)}
    wanted = ["guarded:context", "guarded:side_effects", "paired"]
    assert [rows[request.id.hex()]["state"] for request in requests] == wanted
    first = rows[requests[0].id.hex()]
    assert (first["segment_country"], first["production_outcome"], first["output_label_production"]) == (
        "DE", "ok", '"a"',
    )  # fmt: skip
    shadow = ("candidate_outcome", "candidate_latency_us", "start_lag_us", "output_label_candidate")
    assert [first[name] for name in (*shadow, "output_label_agree")] == [None] * 5
    exchanges = {row["id"]: row for row in logged(tmp_path, "exchanges")}
    assert [exchanges[request.id.hex()]["absent"] for request in requests] == [*wanted[:2], None]
    assert ledger(tmp_path) == {"received": 3, "paired": 1, "guarded:context": 1, "guarded:side_effects": 1}


def test_what_waited_too_long_is_expired_whatever_it_holds(tmp_path, model):
    plan = planned(model, guards=Guards(context=(at("body:/id"),)))
    served(tmp_path, model, plan, [a_request(time_us=now_us() - 120_000_000), a_request()])
    assert ledger(tmp_path) == {"received": 2, "expired": 1, "guarded:context": 1}


def test_the_candidate_gets_what_the_plan_changes_and_the_log_says_so(tmp_path, model):
    rewrite = Rewrite(paths=(("/predict", "/v2/predict"),), headers=(("x-model", "b"),), body=(("/model", '"b"'),))
    headers = (("content-type", "application/json"), ("x-model", "a"), ("content-encoding", "gzip"))
    body = gzip.compress(b'{"model": "a", "country": "DE", "n": 1.10}')
    request = a_request(target="/predict?q=1", headers=headers, body=body)
    served(tmp_path, model, planned(model, rewrite=rewrite), [request, a_request(body=b"<html>"), a_request()])
    sent = {body: head for head, body in model.got}
    head = sent[b'{"model":"b","country":"DE","n":1.10}'].decode()
    assert head.startswith("POST /v2/predict?q=1 HTTP/1.1\r\n")
    assert "\r\nx-model: b\r\n" in head
    assert "content-length: 37\r\n" in head
    assert "content-encoding" not in head
    assert "x-model: a" not in head
    assert len(sent) == 2
    row = next(row for row in logged(tmp_path, "exchanges") if row["id"] == request.id.hex())
    assert json.loads(row["rewritten"]) == {"path": "/v2/predict", "headers": ["x-model"], "body": ["/model"]}
    assert (row["target"], row["request_body"]) == ("/predict?q=1", body)
    assert sorted(row["rewritten"] == "{}" for row in logged(tmp_path, "exchanges")) == [False, False, True]
    assert ledger(tmp_path) == {"received": 3, "paired": 2, "guarded:rewrite": 1}


# redaction ---------------------------------------------------------------------------------------------------------


def test_a_planted_secret_is_in_no_table_no_program_log_and_once_logged_in_no_inbox(
    tmp_path, model, capsys, monkeypatch
):
    def quoting(_, value):
        raise ValueError(f"cannot store {value}")

    async def echo(self, writer):
        _, body = self.got[-1]
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    monkeypatch.setattr(Exact, "stored", quoting)  # a plugin whose error quotes what it could not take
    monkeypatch.setattr(Model, "_predict", echo)
    record = Redaction(
        drop=(at("body:/card"), at("header:x-card"), at("query:card")),
        mask=(at("body:/label"),),
        digest=(at("body:/items/*/card"),),
    )
    body = b'{"card": "%s", "items": [{"card": "%s"}], "label": "%s", "country": "DE"}' % (SECRET, SECRET, SECRET)
    requests = [
        a_request(
            body=content, target=f"/predict?c%61rd={SECRET.decode()}", headers=(("x-card", SECRET.decode()), *more)
        )
        for content, more in (
            (body, ()),
            (gzip.compress(body), (("content-encoding", "gzip"),)),
            (b"<html>" + SECRET, ()),
            (body.replace(b"card", b"c\\u0061rd"), ()),
        )
    ]
    answer = an_answer(b'{"label": "%s"}' % SECRET)
    served(tmp_path, model, planned(model, record=record), requests, answer=answer, redaction_key="ab" * 32)
    exchanges, comparisons = logged(tmp_path, "exchanges"), logged(tmp_path)
    assert len(exchanges) == len(comparisons) == 4
    assert SECRET.decode() not in repr(exchanges) + repr(comparisons)
    assert SECRET.decode() not in capsys.readouterr().err
    files = [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert {"inbox.db"} <= {path.name for path in files}
    assert [path for path in files if SECRET in path.read_bytes()] == []
    kept = [row["request_body"] for row in exchanges]
    assert kept.count(None) == 1
    (first,) = {content for content in kept if content is not None}  # compressed, escaped or plain: the same
    assert json.loads(first)["label"] == "***"
    assert len(json.loads(first)["items"][0]["card"]) == 32
    assert {row["target"] for row in exchanges} == {"/predict"}
    assert any(SECRET in body for _, body in model.got)  # the candidate gets what the client sent


def test_no_secret_stays_in_the_inbox_while_its_queue_is_never_empty(tmp_path, model, monkeypatch):
    monkeypatch.setattr(flush, "SCRUB_US", 50_000)
    with (
        running(tmp_path, document(model.url, in_flight=60, timeout="50s"), flush_us=20_000, patience=0.1) as socket,
        Gateway(socket) as gateway,
    ):
        gateway.exchange(a_request(target="/hang"))  # to the end of the test: the queue is never empty
        for number in range(300):
            gateway.exchange(a_request(body=b'{"card": "%s", "n": %d}' % (SECRET, number)))
        gateway.await_acks()
        wait_for(lambda: len(logged(tmp_path)) >= 300)

        def clean():
            return all(SECRET not in path.read_bytes() for path in Path(tmp_path).glob("inbox.db*"))

        wait_for(clean)
        assert Inbox(tmp_path / "inbox.db", trial="t.1").sums().open == {1: 1}


# probes ------------------------------------------------------------------------------------------------------------


def test_a_probe_goes_to_the_echo_arm_and_stands_in_the_log_as_one(tmp_path, model):
    with Model() as echo:
        plan = planned(
            model,
            guards=Guards(context=(at("body:/id"),)),
            rewrite=Rewrite(headers=(("x-model", "b"),)),
            record=Redaction(drop=(at("body:/id"),)),
        )
        probe = a_request(epoch=PROBE_EPOCH)
        served(tmp_path, model, plan, [probe, a_request(body=b"{}")], probe_url=echo.url)
        assert [body for _, body in echo.got] == [probe.body]
        assert len(model.got) == 1
    rows = {row["epoch"]: row for row in logged(tmp_path, "exchanges")}
    row = rows[PROBE_EPOCH]
    assert (row["source"], row["production_version"], row["candidate_version"]) == ("probe",) * 3
    assert (row["request_body"], row["candidate_body"], row["rewritten"]) == (probe.body, b'{"label": "a"}', "{}")
    assert (rows[1]["source"], rows[1]["candidate_version"]) == ("http", "2.0")
    assert Inbox(tmp_path / "inbox.db", trial="t.1").sums().ended == {(PROBE_EPOCH, "paired"): 1, (1, "paired"): 1}


# rows that no log takes --------------------------------------------------------------------------------------------


def bad_rows(monkeypatch, where, value, *, only=b"FR"):
    """Some rows hold what their column cannot."""
    real = Comparing.rows

    def rows(self, request, *arguments, **settings):
        made = real(self, request, *arguments, **settings)
        if only in request.body:
            made[0][tables.comparisons(self._plan).names.index(where)] = value
        return made

    monkeypatch.setattr(Comparing, "rows", rows)


@pytest.mark.parametrize(
    ("where", "value"),
    [("cluster", 7), ("epoch", 1 << 40), ("segment_country", None), ("cluster", "\ud800"), ("cluster", object())],
)
def test_a_row_that_no_log_takes_is_set_aside_and_holds_up_nothing(tmp_path, model, monkeypatch, capsys, where, value):
    bad_rows(monkeypatch, where, value)
    requests = [a_request(number) for number in range(9)]  # every second one is bad
    served(tmp_path, model, a_plan(model.url), requests, facts_file=str(tmp_path / "facts.json"))
    good = sorted(request.id.hex() for request in requests[::2])
    assert sorted(row["id"] for row in logged(tmp_path)) == good
    assert sorted(row["id"] for row in logged(tmp_path, "exchanges")) == good
    assert ledger(tmp_path) == {"received": 9, "paired": 5, "unaccounted": 4}
    inbox = Inbox(tmp_path / "inbox.db", trial="t.1")
    aside = inbox.aside()
    assert {id_ for id_, _, _, _ in aside} == {request.id for request in requests[1::2]}
    assert all(frame is not None for *_, frame in aside)
    assert (inbox.times(), inbox.sums().open) == ([], {})
    said = capsys.readouterr().err
    assert said.count("set aside") == 1
    assert aside[0][2] in said
    assert "FR" not in said
    facts = msgspec.json.decode((tmp_path / "facts.json").read_bytes(), type=RunnerFacts)
    assert (facts.inbox, facts.problems) == (0, ())


@pytest.mark.parametrize(("where", "value"), [("output_label_candidate", 7), ("output_label_agree", "yes")])
def test_a_row_that_fits_once_an_answer_counts_as_unreadable_is_logged_so(tmp_path, model, monkeypatch, where, value):
    bad_rows(monkeypatch, where, value)
    served(tmp_path, model, a_plan(model.url), [a_request(number) for number in range(4)])
    found = [row for row in logged(tmp_path) if row["segment_country"] == "FR"]
    assert [(row["candidate_outcome"], row["output_label_agree"]) for row in found] == [("unreadable", None)] * 2
    assert [row["candidate_outcome"] for row in logged(tmp_path, "exchanges")].count("unreadable") == 2
    assert ledger(tmp_path) == {"received": 4, "paired": 4}


def test_what_was_set_aside_stays_out_of_its_batch_over_a_restart(tmp_path, model, monkeypatch):
    """The first table is appended, the second fails, the process ends: no exchange is in one table only."""
    real, tried = batches.append, []

    def cut(url, table, rows, **transaction):
        tried.append(table)
        if table == "comparisons":
            raise OSError(28, "No space left on device")
        return real(url, table, rows, **transaction)

    requests = [a_request(number) for number in range(9)]
    with monkeypatch.context() as patch:
        bad_rows(patch, "cluster", 7)
        patch.setattr(batches, "append", cut)
        served(tmp_path, model, a_plan(model.url), requests, flush_us=60_000_000)
        assert tried == ["exchanges", "comparisons"]
        assert logged(tmp_path) == []
    with running(tmp_path, document("http://127.0.0.1:8")):  # a program that would take the bad rows, too
        wait_for(lambda: ledger(tmp_path).get("paired") == 5)
    assert sorted(row["id"] for row in logged(tmp_path)) == sorted(row["id"] for row in logged(tmp_path, "exchanges"))
    assert ledger(tmp_path) == {"received": 9, "paired": 5, "unaccounted": 4}


def test_a_batch_of_bad_rows_alone_is_no_batch(tmp_path, model, monkeypatch):
    bad_rows(monkeypatch, "cluster", 7, only=b"id")
    served(tmp_path, model, a_plan(model.url), [a_request(number) for number in range(3)])
    monkeypatch.undo()
    served(tmp_path, model, a_plan(model.url), [a_request()])
    assert len(logged(tmp_path)) == 1
    assert ledger(tmp_path) == {"received": 4, "paired": 1, "unaccounted": 3}


# the equality and the facts ----------------------------------------------------------------------------------------


def test_what_is_open_is_in_the_ledger_and_gateways_say_what_they_drew(tmp_path, model, monkeypatch):
    with counter_file(tmp_path / "counters", "g1", frontier_us=now_us(), seen=2, handed_over=2):
        real = counters.read_all

        def drawn(folder, **settings):
            return [
                msgspec.structs.replace(each, open=3, drawn={"DE": 5, "otherwise": 7}, sampled={"DE": 4})
                for each in real(folder, **settings)
            ]

        monkeypatch.setattr(counters, "read_all", drawn)
        with running(tmp_path, document(model.url, timeout="1s")) as socket, Gateway(socket, "g1") as gateway:
            gateway.exchange(a_request(target="/hang"))
            gateway.exchange(a_request())
            gateway.await_acks()
            wait_for(lambda: ledger(tmp_path).get("paired") == 1)
            assert ledger(tmp_path) == {
                "seen": 2, "handed_over": 2, "received": 2, "paired": 1, "open": 3 + 1, "drawn": 12, "sampled": 4,
            }  # fmt: skip
            rows = {(row.stratum, row.state): row.count for row in read.ledger(str(tmp_path / "log"))}
            assert (rows["DE", "drawn"], rows["otherwise", "drawn"], rows["DE", "sampled"]) == (5, 7, 4)
            wait_for(lambda: ledger(tmp_path).get("paired") == 2)
    assert ledger(tmp_path)["open"] == 3  # the gateway's


def test_an_inbox_that_does_not_add_up_is_said_once_and_stands_in_the_facts(tmp_path, model, capsys):
    path = tmp_path / "facts.json"
    inbox = Inbox(tmp_path / "inbox.db", trial="t.1")
    inbox._db.execute("INSERT INTO received VALUES ('g0', 1, 5)")
    inbox.close()

    def facts():
        return msgspec.json.decode(path.read_bytes(), type=RunnerFacts)

    with (
        running(tmp_path, document(model.url), flush_us=10_000, facts_file=str(path)) as socket,
        Gateway(socket) as gateway,
    ):
        gateway.exchange(a_request())
        gateway.await_acks()
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
        wait_for(lambda: path.exists() and facts().problems and facts().inbox == 0)
    words = "the inbox does not add up in epoch 1: 6 received, 1 ended and 0 open"
    assert facts().problems == (words,)
    assert capsys.readouterr().err.count("does not add up") == 1


def test_the_facts_say_what_is_there_and_what_failed(tmp_path, model):
    path = tmp_path / "run" / "facts.json"
    requests = [a_request(target="/error"), a_request(target="/reset"), a_request()]
    served(tmp_path, model, a_plan(model.url), requests, facts_file=str(path))
    facts = msgspec.json.decode(path.read_bytes(), type=RunnerFacts)
    assert (facts.inbox, facts.oldest_us, facts.in_flight, facts.calls, facts.problems) == (0, None, 0, 3, ())
    assert facts.failed == {"5xx": 1, "reset": 1}
    assert facts.last_failure.startswith("candidate: ")
    assert facts.last_failure_us <= facts.time_us
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["facts.json"]


@pytest.mark.parametrize(
    ("owner", "name", "error", "words"),
    [
        (batches, "append", OSError(28, "full"), "the log cannot be written: [Errno 28] full"),
        (Inbox, "commit", sqlite3.OperationalError("full"), "the inbox cannot be written: full"),
    ],
)
def test_the_facts_name_what_cannot_be_written_and_forget_it_afterwards(
    tmp_path, model, monkeypatch, owner, name, error, words
):
    path, fail, real = tmp_path / "facts.json", threading.Event(), getattr(owner, name)
    fail.set()

    def sometimes(*arguments, **transaction):
        if fail.is_set():
            raise error
        return real(*arguments, **transaction)

    def facts():
        return msgspec.json.decode(path.read_bytes(), type=RunnerFacts)

    monkeypatch.setattr(owner, name, sometimes)
    with (
        running(tmp_path, document(model.url), flush_us=10_000, facts_file=str(path)) as socket,
        Gateway(socket) as gateway,
    ):
        request = a_request()
        gateway.exchange(request)
        wait_for(lambda: path.exists() and words in " ".join(facts().problems))
        assert (facts().inbox, facts().oldest_us) == (1, request.time_us)
        fail.clear()
        gateway.await_acks()
        wait_for(lambda: facts().problems == () and facts().inbox == 0)


def test_the_runner_knows_every_state_that_it_counts():
    assert set(RUNNER_STATES) == {
        "paired", "expired", "guarded:context", "guarded:side_effects", "guarded:rewrite", "unaccounted",
    }  # fmt: skip
