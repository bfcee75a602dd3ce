"""Ids and coins: unique, in order, and fair at any rate."""

from hypothesis import given
from hypothesis import strategies as st

from gnomon.fork.sampling import Bucket, Ids, coin


@given(times=st.lists(st.integers(0, 2**48 * 1000 - 1), min_size=1, max_size=50))
def test_an_id_is_a_uuid_of_version_7_with_its_time_in_front(times):
    ids = Ids()
    made = [ids.new(time_us) for time_us in times]
    assert len(set(made)) == len(made)
    for id_, time_us in zip(made, times, strict=True):
        assert len(id_) == 16
        assert int.from_bytes(id_[:6], "big") == time_us // 1000
        assert id_[6] >> 4 == 7
        assert id_[8] >> 6 == 2


def test_ids_stay_unique_over_many_refills():
    ids = Ids()
    assert len({ids.new(1_700_000_000_000_000) for _ in range(20_000)}) == 20_000


@given(key=st.binary(min_size=32, max_size=32), share=st.sampled_from([0.01, 0.1, 0.5, 0.9]))
def test_a_rate_is_kept_within_what_chance_allows(key, share):
    count, rate = 2000, int(share * (1 << 32))
    hits = sum(coin(key, number.to_bytes(16, "big")) < rate for number in range(count))
    deviation = (count * share * (1 - share)) ** 0.5
    assert abs(hits - count * share) < 5.5 * deviation


@given(key=st.binary(min_size=1, max_size=64), id_=st.binary(min_size=16, max_size=16))
def test_a_coin_falls_the_same_way_again_and_its_number_fits_the_rate(key, id_):
    assert coin(key, id_) == coin(key, id_)
    assert 0 <= coin(key, id_) < 1 << 32


def test_a_higher_rate_keeps_what_a_lower_one_took():
    key = b"k" * 32
    tossed = [coin(key, number.to_bytes(16, "big")) for number in range(5000)]
    few, many = ({n for n, value in enumerate(tossed) if value < rate << 29} for rate in (1, 3))
    assert few < many


@given(per_second=st.integers(1, 50), steps=st.lists(st.floats(0, 0.5), max_size=200))
def test_no_window_of_time_sees_more_than_the_rate_and_one_burst(per_second, steps):
    now = 0.0
    bucket = Bucket(per_second, lambda: now)
    taken = 0
    for step in steps:
        now += step
        taken += bucket.take()
        assert taken <= per_second + now * per_second + 1e-6


def test_a_quiet_time_fills_no_more_than_one_burst():
    now = 0.0
    bucket = Bucket(5, lambda: now)
    now = 1000.0
    assert sum(bucket.take() for _ in range(50)) == 5
