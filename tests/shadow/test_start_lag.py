"""How long after production the candidate's call began: the true lag in both modes, or none."""

import msgspec
import pytest

from tests.shadow.parts import Gateway, Model, a_plan, a_request, an_answer, logged, now_us, running, wait_for


class Hand:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.us = now_us()

    def __call__(self):
        return self.us


@pytest.fixture
def model():
    with Model() as started:
        yield started


@pytest.fixture
def hand():
    return Hand()


def began(us):
    return msgspec.structs.replace(an_answer(), started_us=us)


def lags(folder):
    return [(row["start_lag_us"], row["late"]) for row in sorted(logged(folder), key=lambda row: row["id"])]


def test_sync_it_is_the_time_between_the_first_bytes_of_both_calls(tmp_path, model, hand):
    plan = a_plan(model.url, mode="sync")
    with running(tmp_path, {}, plan=plan, now=hand) as socket, Gateway(socket) as gateway:
        request = a_request()
        gateway.call(request)
        wait_for(lambda: model.got)
        hand.us += 700_000  # production takes its time, and the lag is what it was
        gateway.settle(request, began(hand.us - 701_500))
        gateway.await_acks()
    assert lags(tmp_path) == [(1_500, False)]


def test_sync_a_call_that_waits_for_the_budget_begins_late_and_its_lag_says_so(tmp_path, hand):
    """It is not marked: to leave out what the budget held up would leave out the requests of a busy time."""
    with Model(delay=0.3) as model:
        plan = a_plan(model.url, mode="sync", in_flight=1)
        with running(tmp_path, {}, plan=plan, now=hand) as socket, Gateway(socket) as gateway:
            first, second = a_request(), a_request()
            gateway.call(first)
            wait_for(lambda: model.got)
            start = hand.us
            gateway.call(second)
            gateway.settle(second, began(start))
            hand.us += 3_000_000
            gateway.settle(first, began(start))
            gateway.await_acks()
    assert sorted(lags(tmp_path)) == [(0, False), (3_000_000, False)]


def test_async_it_is_the_time_that_the_copy_waited(tmp_path, model, hand):
    with running(tmp_path, {}, plan=a_plan(model.url), now=hand) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(), began(hand.us - 5_000_000))
        gateway.await_acks()
    assert lags(tmp_path) == [(5_000_000, False)]


def test_sync_what_could_not_begin_with_production_is_marked_late_with_its_true_lag(tmp_path, model, hand):
    plan = a_plan(model.url, mode="sync")
    with running(tmp_path, {}, plan=plan, now=hand) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(), began(hand.us - 2_000_000), late=True)
        gateway.await_acks()
    assert lags(tmp_path) == [(2_000_000, True)]


def test_sync_what_waited_over_a_restart_is_late(tmp_path, model, hand):
    plan = a_plan(model.url, mode="sync")
    model.delay = 0.5
    with running(tmp_path, {}, plan=plan, now=hand, patience=0.05) as socket, Gateway(socket) as gateway:
        request = a_request()
        gateway.call(request)
        gateway.settle(request, began(hand.us))
        gateway.await_acks()
    assert logged(tmp_path) == []
    model.delay = 0
    hand.us += 4_000_000
    with running(tmp_path, {}, plan=plan, now=hand):
        wait_for(lambda: logged(tmp_path))
    assert lags(tmp_path) == [(4_000_000, True)]


def test_a_call_that_never_began_has_no_lag(tmp_path, hand):
    plan = a_plan("http://127.0.0.1:1")
    with running(tmp_path, {}, plan=plan, now=hand) as socket, Gateway(socket) as gateway:
        gateway.exchange(a_request(), began(hand.us))  # nobody listens
        gateway.exchange(a_request(time_us=hand.us - 120_000_000), began(hand.us))  # it has expired
        gateway.await_acks()
    assert lags(tmp_path) == [(None, False)] * 2
    assert sorted(row["candidate_outcome"] or row["state"] for row in logged(tmp_path)) == ["expired", "refused"]


def test_a_call_that_is_made_again_over_a_new_connection_has_the_lag_of_the_second(tmp_path, model, hand):
    plan = a_plan(model.url, mode="sync")
    with running(tmp_path, {}, plan=plan, now=hand) as socket, Gateway(socket) as gateway:
        for _ in range(2):  # the second one meets a connection that closes
            request = a_request(target="/once")
            got = len(model.got)
            gateway.call(request)
            wait_for(lambda got=got: len(model.got) > got)
            gateway.settle(request, began(hand.us - 10))
            gateway.await_acks()
    assert lags(tmp_path) == [(10, False)] * 2
    assert len(model.got) == 3
