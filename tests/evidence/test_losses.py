"""Whether lost exchanges differ from pairs, and what the ledger says of both sides and of the coins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.evidence.counts import sampling, sides
from gnomon.evidence.losses import independence
from gnomon.records.plan import Selector, Strata
from tests.evidence.test_describe import described, write_bodies
from tests.evidence.trial_log import ALWAYS, TrialLog, a_log, a_plan, an_exchange


def losses(tmp_path, rows, bodies=None):
    log = a_log(tmp_path, a_plan(), rows)
    if bodies:
        write_bodies(log, bodies)
    found = described(log).losses
    return found, {each.name: each for each in found.factors}


def lost(number, **changes):
    return an_exchange(number, **{"state": "expired"} | changes)


def test_without_a_loss_nothing_is_compared(tmp_path):
    found, factors = losses(tmp_path, [an_exchange(n) for n in range(1, 9)])

    assert (found.states, found.pairs, factors) == ({}, 8, {})


def test_lost_exchanges_that_are_larger_and_slower_than_pairs_are_found(tmp_path):
    """Forty pairs of 10 bytes and 1 ms; twelve lost ones of 500 bytes and 9 ms, in the same segments."""
    rows = [an_exchange(n, segment_source=("tweets", "news")[n % 2]) for n in range(1, 41)]
    rows += [
        lost(n, production_latency_us=9_000, segment_source=("tweets", "news")[n % 2], state=state)
        for n, state in [*((n, "expired") for n in range(41, 49)), *((n, "guarded:context") for n in range(49, 53))]
    ]
    bodies = {n: b"x" * (10 if n < 41 else 500) for n in range(1, 53)}

    found, factors = losses(tmp_path, rows, bodies)

    assert (found.states, found.pairs) == ({"expired": 8, "guarded:context": 4}, 40)
    size, latency, source = (factors[n] for n in ("request_size", "production_latency", "segment:source"))
    assert (size.lost, size.pairs, size.lost_median, size.pairs_median) == (12, 40, 500, 10)
    assert (latency.lost_median, latency.pairs_median) == (9_000, 1_000)
    assert max(size.p, latency.p) < 1e-6
    assert (source.values, source.p) == ({"news": (6, 20), "tweets": (6, 20)}, 1.0)


def test_lost_exchanges_of_one_segment_are_found(tmp_path):
    rows = [an_exchange(n) for n in range(1, 31)] + [lost(n, segment_source="news") for n in range(31, 41)]

    _, factors = losses(tmp_path, rows)

    assert factors["segment:source"].values == {"news": (10, 0), "tweets": (0, 30)}
    assert factors["segment:source"].p < 1e-6
    assert factors["production_latency"].p == 1.0


def test_a_body_that_is_gone_is_left_out_and_a_few_are_too_few_to_say(tmp_path):
    rows = [an_exchange(n) for n in range(1, 31)] + [lost(n) for n in range(31, 41)]
    bodies = dict.fromkeys(range(1, 35), b"abc") | dict.fromkeys(range(35, 41))

    _, factors = losses(tmp_path, rows, bodies)

    size = factors["request_size"]
    assert (size.lost, size.pairs, size.lost_median, size.p) == (4, 30, 3, None)
    assert factors["production_latency"].p is not None


def test_the_smallest_p_is_multiplied_by_the_number_of_tests(tmp_path):
    """Two factors are tested, as no body is there: Holm doubles the smaller p, which is Fisher's."""
    rows = [an_exchange(n) for n in range(1, 31)] + [lost(n, segment_source="news") for n in range(31, 41)]

    _, factors = losses(tmp_path, rows)

    assert factors["request_size"].p is None
    assert factors["segment:source"].p == pytest.approx(2 * independence([(10, 0), (0, 30)]), rel=1e-5)


def test_rare_values_are_tested_together():
    rare = [(1, 1), (0, 2), (2, 0), (1, 2)]

    assert independence([(20, 200), (25, 210), *rare]) == independence([(20, 200), (25, 210), (4, 5)])
    assert independence([(20, 200)]) is None
    assert independence([(4, 200), (0, 300)]) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 400)), max_size=6))
def test_any_table_has_a_p_or_is_too_small(table):
    p = independence(table)

    assert p is None or 0 <= p <= 1
    assert (p is None) or min(sum(lost for lost, _ in table), sum(pairs for _, pairs in table)) >= 5


# the ledger --------------------------------------------------------------------------------------------------------


def a_stratified_plan(**changes):
    plan = a_plan()
    strata = Strata(by=Selector(where="header", name="x-kind"), rates=(("rare", ALWAYS),), otherwise=ALWAYS // 4)
    return structs.replace(plan, fork=structs.replace(plan.fork, strata=strata, **changes))


COINS = {
    ("a1", "rare", "drawn"): 300,
    ("a2", "rare", "drawn"): 100,
    ("a1", "rare", "sampled"): 300,
    ("a2", "rare", "sampled"): 99,
    ("a1", "otherwise", "drawn"): 4_000,
    ("a1", "otherwise", "sampled"): 1_020,
    ("a1", "all", "seen"): 4_400,
}


def test_each_stratum_has_its_realised_rate_with_an_exact_interval():
    rare, otherwise = sampling(a_stratified_plan(), COINS)

    assert (rare.stratum, rare.declared, rare.drawn, rare.sampled, rare.inside) == ("rare", ALWAYS, 400, 399, False)
    assert (rare.lower, rare.upper) == (pytest.approx(0.98615, abs=1e-5), pytest.approx(0.999937, abs=1e-6))
    assert (otherwise.drawn, otherwise.sampled, otherwise.inside) == (4_000, 1_020, True)
    assert otherwise.lower < 0.255 < otherwise.upper


def test_a_stratum_without_a_coin_and_sticky_coins_have_no_interval():
    nothing = sampling(a_stratified_plan(), {})
    shared = sampling(a_stratified_plan(sticky=Selector(where="header", name="x-user")), COINS)

    assert [(each.drawn, each.lower, each.upper, each.inside) for each in nothing] == [(0, None, None, None)] * 2
    assert [(each.drawn, each.lower, each.upper, each.inside) for each in shared] == [
        (400, None, None, None),
        (4_000, None, None, None),
    ]


def test_both_equalities_are_read_from_the_last_flush(tmp_path):
    log = TrialLog(tmp_path, a_plan())
    log.flush(watermark=1, instance="a1", seen=9, unsampled=2, handed_over=3, open=4)
    log.flush(watermark=1, instance="runner-1", received=4, paired=1, open=3)
    log.flush(watermark=2, instance="a1", handed_over=6, open=1)
    log.flush(watermark=2, instance="runner-1", received=7, paired=6, expired=1, open=0)
    log.flush(watermark=3, instance="a1", epoch=2, seen=50)

    gateway, runner = described(log).ledger

    assert (gateway.came, gateway.ended, gateway.handed_over, gateway.open) == (9, {"unsampled": 2}, 6, 1)
    assert (runner.came, runner.ended, runner.open) == (7, {"paired": 6, "expired": 1}, 0)
    assert (gateway.missing, runner.missing) == (0, 0)


def test_what_an_earlier_version_did_not_count_is_not_known():
    gateway, runner = sides({("a1", "all", "seen"): 9, ("r", "all", "received"): 3, ("r", "all", "paired"): 3})

    assert (gateway.open, runner.open) == (None, 0)
