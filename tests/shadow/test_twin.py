"""Production's second answer: who gets one, what is kept of it, and what it may cost."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import GnomonError
from gnomon.fork import sampling
from gnomon.records.facts import RunnerFacts, TwinFacts
from gnomon.records.plan import Plan
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow import batches, twin
from tests.shadow.parts import (
    LABEL,
    Gateway,
    Model,
    a_plan,
    a_request,
    an_answer,
    document,
    ledger,
    logged,
    now_us,
    reply,
    running,
    wait_for,
)

KEY = "5a" * 32
ALL = 1 << 32
OTHER = b'{"label": "b"}'


class Production(Model):
    """A model with an answer of its own."""

    def __init__(self, answer=LABEL, headers=b"", delay=0.0):
        super().__init__(delay)
        self.answer, self.headers = answer, headers

    async def _predict(self, writer):
        writer.write(reply(self.answer, headers=b"Content-Type: application/json\r\n" + self.headers))


@pytest.fixture
def candidate():
    with Model() as started:
        yield started


@pytest.fixture
def production():
    with Production() as started:
        yield started


def with_twin(candidate, production, *, rate=ALL, credentials=None, timeout_us=None, **settings) -> Plan:
    plan = a_plan(candidate.url, **settings)
    arm = msgspec.structs.replace(
        plan.production, url=production.url, authorization_env=credentials, timeout_us=timeout_us
    )
    return msgspec.structs.replace(plan, production=arm, fork=msgspec.structs.replace(plan.fork, twin=rate))


def served(folder, plan, *exchanges, **settings):
    """The rows of these (request, answer) pairs, in their order."""
    with running(folder, {}, plan=plan, sampling_key=KEY, **settings) as socket, Gateway(socket) as gateway:
        for request, answer in exchanges:
            gateway.exchange(request, answer)
        gateway.await_acks()
    rows = {row["id"]: row for row in logged(folder)}
    assert len(rows) == len(logged(folder))
    return [rows[request.id.hex()] for request, _ in exchanges if request.id.hex() in rows]


def facts(folder) -> TwinFacts | None:
    return msgspec.json.decode((folder / "facts.json").read_bytes(), type=RunnerFacts).twins


def of_twin(row):
    assert row["twin_drawn"] or row["twin_outcome"] is None
    return row["twin_outcome"], row["twin_repeat"], row["output_label_twin_agree"]


# the coin ------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_the_coin_is_the_same_whoever_tosses_it_and_within_its_range(id_, key):
    assert twin.coin(key, id_) == twin.coin(key, id_)
    assert 0 <= twin.coin(key, id_) < ALL


def test_the_coin_has_its_rate_whatever_the_sampling_coin_said():
    """Of 40,000 ids, those that a 20 % sample drew and the others: 5 % twins each, within five standard deviations."""
    key = bytes.fromhex(KEY)
    ids = [number.to_bytes(16, "big") for number in range(40_000)]
    for wanted in (True, False):
        mine = [each for each in ids if (sampling.coin(key, each) < ALL // 5) is wanted]
        drawn = sum(twin.coin(key, each) < ALL // 20 for each in mine)
        assert abs(drawn - len(mine) / 20) < 5 * (len(mine) * 0.05 * 0.95) ** 0.5


def test_the_same_exchanges_have_a_twin_in_every_version_of_the_program():
    assert [twin.coin(bytes.fromhex(KEY), bytes([number]) * 16) for number in range(3)] == [
        2338594961,
        663892001,
        271551276,
    ]


def test_a_runner_that_has_no_key_for_the_coin_does_not_start():
    plan = a_plan("http://127.0.0.1:8")
    assert twin.drawing(plan, "") is None
    plan = msgspec.structs.replace(plan, fork=msgspec.structs.replace(plan.fork, twin=1))
    with pytest.raises(GnomonError, match="no sampling key"):
        twin.drawing(plan, "")


# what is kept --------------------------------------------------------------------------------------------------------


def test_a_drawn_exchange_goes_to_production_as_it_came_and_the_row_says_whether_it_agrees_with_itself(
    tmp_path, candidate, production, monkeypatch
):
    monkeypatch.setenv("PRODUCTION_TOKEN", "Bearer production's")
    plan = with_twin(candidate, production, credentials="PRODUCTION_TOKEN")
    rewrite = msgspec.structs.replace(plan.candidate.rewrite, headers=(("x-for", "candidate"),))
    plan = msgspec.structs.replace(plan, candidate=msgspec.structs.replace(plan.candidate, rewrite=rewrite))
    same, differs = a_request(0), a_request(1)

    rows = served(tmp_path, plan, (same, an_answer()), (differs, an_answer(OTHER)))

    assert [of_twin(row) for row in rows] == [("ok", False, True), ("ok", False, False)]
    assert [row["output_label_agree"] for row in rows] == [True, False]
    assert sorted(body for _, body in production.got) == sorted([same.body, differs.body])
    for head, _ in production.got:
        assert b"x-gnomon-shadow: 1\r\n" in head
        assert b"authorization: Bearer production's\r\n" in head
        assert b"x-for" not in head
    assert len(candidate.got) == 2
    assert all(b"authorization" not in head and b"x-for: candidate" in head for head, _ in candidate.got)
    assert ledger(tmp_path) == {"received": 2, "paired": 2}


def test_only_what_the_coin_draws_goes_twice_and_the_others_are_pairs_without(tmp_path, candidate, production):
    plan = with_twin(candidate, production, rate=ALL // 4)
    requests = [a_request(number) for number in range(40)]
    rows = served(tmp_path, plan, *((each, an_answer()) for each in requests))
    drawn = [twin.coin(bytes.fromhex(KEY), each.id) < ALL // 4 for each in requests]
    assert [row["twin_outcome"] == "ok" for row in rows] == drawn
    assert {of_twin(row) for row, was in zip(rows, drawn, strict=True) if not was} <= {(None, None, None)}
    assert [row["twin_drawn"] for row in rows] == drawn
    assert len(production.got) == sum(drawn)
    assert {row["state"] for row in rows} == {"paired"}


@pytest.mark.parametrize(
    ("path", "outcome"), [("error", "5xx"), ("html", "unreadable"), ("shapeless", "wrong_shape"), ("hang", "timeout")]
)
def test_a_twin_that_fails_is_kept_with_its_outcome_and_its_pair_is_whole(tmp_path, path, outcome):
    with Model() as production, Production() as candidate:
        candidate.__dict__[f"_{path}"] = candidate._predict  # only production fails
        plan = with_twin(candidate, production, timeout_us=400_000)
        (row,) = served(
            tmp_path, plan, (a_request(target=f"/{path}"), an_answer()), facts_file=str(tmp_path / "facts.json")
        )
    assert of_twin(row) == (outcome, False, None)
    assert (row["state"], row["candidate_outcome"], row["output_label_agree"]) == ("paired", "ok", True)
    failed = int(outcome in {"5xx", "timeout"})  # what was read, and was of no use, is found out with the row
    assert facts(tmp_path) == TwinFacts(drawn=1, failed=failed)


def test_a_twin_of_an_answer_that_failed_agrees_with_nothing(tmp_path, candidate, production):
    failed = an_answer(b"", outcome="5xx", status=500)
    (row,) = served(tmp_path, with_twin(candidate, production), (a_request(), failed))
    assert of_twin(row) == ("ok", False, None)


@pytest.mark.parametrize("header", [b"Age: 12\r\n", b"X-Cache: HIT\r\n"])
def test_an_answer_that_a_cache_gave_is_marked_and_counted(tmp_path, candidate, header):
    with Production(headers=header) as production:
        plan = with_twin(candidate, production)
        (row,) = served(tmp_path, plan, (a_request(), an_answer()), facts_file=str(tmp_path / "facts.json"))
    assert of_twin(row) == ("ok", True, True)
    assert facts(tmp_path) == TwinFacts(drawn=1, repeated=1)


# who gets one --------------------------------------------------------------------------------------------------------


def test_after_a_promotion_and_for_a_probe_there_is_no_twin(tmp_path, candidate, production):
    plan = with_twin(candidate, production)
    promoted = a_request(epoch=2, serving="candidate")
    rows = served(
        tmp_path,
        plan,
        (promoted, an_answer()),
        (a_request(epoch=PROBE_EPOCH), an_answer()),
        probe_url=candidate.url,
        facts_file=str(tmp_path / "facts.json"),
    )
    assert [of_twin(row) for row in rows] == [(None, None, None)] * 2
    assert [row["twin_drawn"] for row in rows] == [False, False]
    assert len(production.got) == 1  # it is the shadow of the promoted candidate
    assert facts(tmp_path) == TwinFacts()


def test_a_lost_pair_says_whether_it_was_drawn_so_that_it_can_count_against_the_candidate(
    tmp_path, candidate, production
):
    plan = with_twin(candidate, production, rate=ALL // 2)
    lost = [a_request(number, time_us=now_us() - 120_000_000) for number in range(30)]
    rows = served(tmp_path, plan, *((each, an_answer()) for each in lost))
    assert {(row["state"], of_twin(row)) for row in rows} == {("expired", (None, None, None))}
    drawn = [twin.coin(bytes.fromhex(KEY), each.id) < ALL // 2 for each in lost]
    assert [row["twin_drawn"] for row in rows] == drawn
    assert 0 < sum(drawn) < 30
    assert production.got == []


def test_what_is_not_called_has_no_twin(tmp_path, candidate, production):
    guards = {"context": ["body:/thread"]}
    plan = with_twin(candidate, production, guards=guards)
    leans = a_request(body=json.dumps({"thread": "t1"}).encode())
    (row,) = served(tmp_path, plan, (leans, an_answer()))
    assert (row["state"], of_twin(row)) == ("guarded:context", (None, None, None))
    assert production.got == candidate.got == []


# the budget ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [1, 3])
def test_both_calls_stay_inside_the_budget(tmp_path, in_flight):
    with Model(delay=0.02) as both:  # the two arms are one server, which sees all calls
        plan = with_twin(both, both, in_flight=in_flight)
        rows = served(tmp_path, plan, *((a_request(number), an_answer()) for number in range(12)))
    assert both.most == in_flight
    assert len(both.got) == 24
    assert [of_twin(row) for row in rows] == [("ok", False, True)] * 12


def test_a_twin_without_room_until_its_exchange_expires_is_not_made_and_counted(tmp_path, production):
    with Model(delay=0.7) as slow:
        plan = with_twin(slow, production, in_flight=1, expires="500ms", timeout="2s")
        (row,) = served(tmp_path, plan, (a_request(), an_answer()), facts_file=str(tmp_path / "facts.json"))
    assert (row["state"], row["candidate_outcome"]) == ("paired", "ok")
    assert (row["twin_drawn"], of_twin(row)) == (True, (None, None, None))
    assert production.got == []
    assert facts(tmp_path) == TwinFacts(drawn=1, missed=1)


def test_production_that_closes_a_kept_connection_is_asked_once_more_and_has_not_failed(tmp_path, candidate):
    with Model() as production:
        plan = with_twin(candidate, production, in_flight=1)
        candidate.__dict__["_once"] = candidate._predict
        rows = served(tmp_path, plan, *((a_request(n, target="/once"), an_answer()) for n in range(6)))
    assert [of_twin(row) for row in rows] == [("ok", False, True)] * 6


# sync mode, and restarts ---------------------------------------------------------------------------------------------


def test_sync_both_calls_begin_with_the_users_and_end_when_the_client_leaves(tmp_path, candidate, production):
    plan = with_twin(candidate, production, mode="sync", in_flight=2)
    request, dropped = a_request(), a_request(target="/hang")
    with running(tmp_path, {}, plan=plan, sampling_key=KEY) as socket, Gateway(socket) as gateway:
        gateway.call(dropped)
        wait_for(lambda: production.busy and candidate.busy)  # the budget is used up
        gateway.call(request)
        gateway.drop(dropped)
        wait_for(lambda: len(production.got) == len(candidate.got) == 2)  # and free again
        gateway.settle(request)
        gateway.await_acks()
    (row,) = logged(tmp_path)
    assert (row["id"], row["late"], of_twin(row)) == (request.id.hex(), False, ("ok", False, True))
    assert ledger(tmp_path) == {"received": 1, "paired": 1}


def test_sync_the_row_waits_for_the_slowest_of_the_three(tmp_path, candidate, production):
    production.delay = 0.3
    plan = with_twin(candidate, production, mode="sync")
    request = a_request()
    with running(tmp_path, {}, plan=plan, sampling_key=KEY) as socket, Gateway(socket) as gateway:
        gateway.call(request)
        gateway.settle(request)
        gateway.await_acks()
    (row,) = logged(tmp_path)
    assert of_twin(row) == ("ok", False, True)


def test_what_a_twin_said_does_not_change_over_a_restart(tmp_path, candidate, production, monkeypatch):
    """The log cannot be written; afterwards production says something else, and nobody is asked again."""
    plan = with_twin(candidate, production)

    def never(*_, **__):
        raise OSError(28, "No space left on device")

    request = a_request()
    with monkeypatch.context() as patch:
        patch.setattr(batches, "append", never)
        with running(tmp_path, {}, plan=plan, sampling_key=KEY) as socket, Gateway(socket) as gateway:
            gateway.exchange(request)
            gateway.await_acks()
            wait_for(lambda: production.got)
    assert logged(tmp_path) == []
    production.answer = OTHER
    with running(tmp_path, {}, plan=plan, sampling_key=KEY):
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
    (row,) = logged(tmp_path)
    assert of_twin(row) == ("ok", False, True)
    assert (len(production.got), len(candidate.got)) == (1, 1)


def test_a_twin_that_was_under_way_at_the_end_is_made_after_the_next_start(tmp_path, candidate, production):
    production.delay = 0.6
    plan = with_twin(candidate, production)
    request = a_request()
    with (
        running(tmp_path, {}, plan=plan, sampling_key=KEY, patience=0.1) as socket,
        Gateway(socket) as gateway,
    ):
        gateway.exchange(request)
        gateway.await_acks()
        wait_for(lambda: production.got)
    assert logged(tmp_path) == []
    production.delay = 0
    with running(tmp_path, {}, plan=plan, sampling_key=KEY):
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
    (row,) = logged(tmp_path)
    assert (row["id"], of_twin(row)) == (request.id.hex(), ("ok", False, True))


def test_a_plan_without_a_twin_has_no_columns_and_no_facts_of_it(tmp_path, candidate):
    facts_file = tmp_path / "facts.json"
    with running(tmp_path, document(candidate.url), facts_file=str(facts_file)) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request())
        gateway.await_acks()
    (row,) = logged(tmp_path)
    assert not [name for name in row if "twin" in name]
    assert facts(tmp_path) is None
