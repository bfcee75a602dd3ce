"""Strata, sticky keys and slices: which requests are copied, and that anybody can find it out again."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from gnomon.fork.strata import Sampler, draw_key, is_off
from gnomon.fork.values import LIMIT
from gnomon.records import counters, frames, slices, trail
from gnomon.records.plan import OTHERWISE, Selector, Strata
from tests.fork.harness import wait_for

KEY = bytes.fromhex("ab" * 32)
ALWAYS = 1 << 32
QUARTER = 1 << 30
BODY, HEADER = Selector(where="body", name="/country"), Selector(where="header", name="x-country")
QUERY, PATH = Selector(where="query", name="c"), Selector(where="path", name="1")


def strata(by, *, otherwise=QUARTER, **rates):
    return Strata(by=by, rates=tuple(rates.items()), otherwise=otherwise)


def request(id_=bytes(16), *, body=b"", headers=(), target="/predict"):
    return frames.Request(
        id=id_, time_us=0, method="POST", target=target, headers=headers, body=body, route="", stratum="",
        probability=0, epoch=1, serving="production",
    )  # fmt: skip


def ids(count):
    return [number.to_bytes(16, "big") for number in range(count)]


@pytest.mark.parametrize(
    ("by", "made"),
    [
        (BODY, {"body": b'{"country": "BR"}'}),
        (HEADER, {"headers": (("x-country", "BR"),)}),
        (QUERY, {"target": "/predict?c=BR"}),
        (PATH, {"target": "/v1/BR?c=DE"}),
    ],
)
def test_a_stratum_is_named_by_a_value_of_body_header_query_or_path(by, made):
    sampler = Sampler(KEY, rate=0, strata=strata(by, BR=ALWAYS))
    assert sampler.names == ("BR", OTHERWISE)
    assert sampler.draw(request(**made))[:2] == (0, ALWAYS)
    assert sampler.draw(request())[:2] == (1, QUARTER)
    assert sampler.needs_body is (by is BODY)


@given(value=st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text()))
@settings(max_examples=60, deadline=None)
@example(value=7.0)
def test_a_value_is_matched_by_the_text_by_which_segments_match_it(value):
    from gnomon.protocols import text

    sampler = Sampler(KEY, rate=0, strata=strata(BODY, **{text(value): ALWAYS}))
    assert sampler.draw(request(body=json.dumps({"country": value}).encode())).stratum == 0


@given(body=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
@example(body=b"[" * 5000)
@example(body=b'{"country": NaN}')
@example(body=b'{"country": "\\ud800"}')
@example(body=b'{"country": null}')
@example(body=b'{"country": {"BR": [1e400]}}')
def test_a_body_that_is_no_json_or_has_no_value_is_of_the_stratum_otherwise(body):
    sampler = Sampler(KEY, rate=0, strata=strata(BODY, **{"\x00never": ALWAYS}))
    assert sampler.draw(request(body=body)).stratum == 1


def test_a_body_that_is_large_or_compressed_is_not_looked_into():
    sampler = Sampler(KEY, rate=0, strata=strata(BODY, BR=ALWAYS))
    small = b'{"country": "BR"}'
    assert sampler.draw(request(body=small.ljust(LIMIT))).stratum == 0
    assert sampler.draw(request(body=small.ljust(LIMIT + 1))).stratum == 1
    assert sampler.draw(request(body=small, headers=(("content-encoding", "gzip"),))).stratum == 1
    assert sampler.draw(request(body=small, headers=(("content-encoding", "Identity"),))).stratum == 0


def test_each_stratum_keeps_its_own_rate_within_what_chance_allows():
    rates = {"BR": 0.9, "DE": 0.05, OTHERWISE: 0.3}
    sampler = Sampler(
        KEY,
        rate=0,
        strata=strata(HEADER, otherwise=int(0.3 * ALWAYS), BR=int(0.9 * ALWAYS), DE=int(0.05 * ALWAYS)),
    )
    for name, rate in rates.items():
        sampled = sum(sampler.draw(request(id_, headers=(("x-country", name),))).sampled for id_ in ids(4000))
        assert binomtest(sampled, 4000, rate).pvalue > 1e-4, (name, sampled)


@given(keys=st.lists(st.text(max_size=20), min_size=1, max_size=20, unique=True))
@settings(max_examples=30, deadline=None)
def test_requests_with_the_same_sticky_key_share_one_coin_and_others_do_not(keys):
    sampler = Sampler(KEY, rate=QUARTER, sticky=BODY)
    coins = {}
    for key in keys:
        body = json.dumps({"country": key}).encode()
        (coins[key],) = {sampler.draw(request(id_, body=body)).coin for id_ in ids(5)}
    assert len(set(coins.values())) == len(keys)
    assert len({sampler.draw(request(id_, body=b"{}")).coin for id_ in ids(5)}) == 5


def test_a_sticky_key_is_never_taken_for_an_id():
    assert draw_key(None, bytes(16)) == bytes(16)
    assert len({draw_key(text, bytes(16)) for text in ("", "\0" * 16, "\ud800")} | {bytes(16)}) == 4


@given(block=st.integers(0, 10**6), many=st.integers(5, 100))
@settings(max_examples=60, deadline=None)
def test_the_shadow_is_off_in_exactly_one_slice_of_each_block(block, many):
    begin = block * many * 1_000_000
    off = [is_off(KEY, begin + place * 1_000_000, slice_us=1_000_000, slices=many) for place in range(many)]
    assert sum(off) == 1
    end = begin + off.index(True) * 1_000_000 + 999_999
    assert is_off(KEY, end, slice_us=1_000_000, slices=many)


@given(latency=st.integers(0, slices.lower_edge(slices.BUCKETS - 1) - 1))
@settings(max_examples=200, deadline=None)
def test_a_latency_is_counted_within_an_eighth_of_itself(latency, tmp_path_factory):
    from gnomon.fork.slices import OffSlices

    folder = tmp_path_factory.mktemp("slices")
    measured = OffSlices(folder, KEY, instance="i", slice_us=10**6, slices=10, strata=["all"])
    measured.off(0)
    place = measured.place(0)
    measured.add(place, latency)
    (found,) = slices.read_all(folder)
    (bucket,) = [index % slices.BUCKETS for index, count in enumerate(found.counts) if count]
    low, high = slices.lower_edge(bucket), slices.lower_edge(bucket + 1)
    assert low <= latency < high
    assert high - low <= max(1, low / 8)


# through a gateway -------------------------------------------------------------------------------------------------


def post(country, path="/predict", **headers):
    body = json.dumps({"country": country}).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


LAST = b"GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(("by", "mode"), [(BODY, "sync"), (BODY, "async"), (HEADER, "sync")])
def test_the_log_says_of_each_request_why_it_was_copied_and_the_coin_agrees(around, by, mode):
    rates = strata(by, otherwise=int(0.4 * ALWAYS), BR=ALWAYS, DE=int(0.1 * ALWAYS))
    _, gateway, receiver = around(
        strata=rates, mode=mode, capture_headers=("content-type", "content-encoding", "x-country")
    )
    sent = ["BR", "DE", "FR"] * 60
    for at in range(0, len(sent), 30):
        part = sent[at : at + 30]
        got = gateway.talk(b"".join(post(country, **{"X-Country": country}) for country in part) + LAST)
        assert got.count(b"HTTP/1.1 200 OK") == 31
    sums = gateway.settled()
    assert sums.seen == len(sent) + 6
    copied = receiver.of(frames.Call) if mode == "sync" else receiver.of(frames.Exchange)
    copies = [each.request for each in copied]
    sampler = Sampler(bytes.fromhex("ab" * 32), rate=0, strata=rates)
    for copy in copies:
        draw = sampler.draw(copy)
        assert draw.sampled
        name = json.loads(copy.body)["country"]
        assert copy.stratum == sampler.names[draw.stratum] == (OTHERWISE if name == "FR" else name)
        assert copy.probability == draw.rate
    (counted,) = counters.read_all(gateway.folder)
    assert counted.drawn == {"BR": 60, "DE": 60, OTHERWISE: 60}
    by_name = {name: sum(copy.stratum == name for copy in copies) for name in sampler.names}
    assert counted.sampled == by_name
    assert by_name["BR"] == 60
    assert sums.states == {"passed": 6, "unsampled": len(sent) - len(copies)}


def test_sticky_users_are_copied_always_or_never(around):
    sticky = Selector(where="header", name="x-country")
    _, gateway, receiver = around(shadow_rate=1 << 31, sticky=sticky, capture_headers=("x-country",))
    users = [f"user-{number}" for number in range(20)]
    for _ in range(2):
        gateway.talk(b"".join(post("x", **{"X-Country": user}) for user in users) + LAST)
    gateway.settled()
    seen = {}
    for call in receiver.of(frames.Call):
        user = dict(call.request.headers)["x-country"]
        seen[user] = seen.get(user, 0) + 1
    assert set(seen.values()) == {2}
    assert 2 <= len(seen) <= 18


def test_what_its_body_keeps_out_of_the_sample_is_not_held_any_longer(around):
    _, gateway, receiver = around(strata=strata(BODY, otherwise=1, BR=1), capture_budget=1 << 20)
    assert gateway.talk(post("BR") * 25 + LAST).count(b"200 OK") == 26
    assert gateway.settled().states == {"passed": 1, "unsampled": 25}
    # which of them the coin left out follows from their bodies, which are gone
    assert [entry.state for entry in trail.read_all(gateway.folder).values()] == ["unsampled"] * 25
    assert gateway.control({"status": True})["held_bytes"] == 0
    assert receiver.of(frames.Call) == []


def test_in_off_slices_nothing_is_copied_and_latency_is_measured_in_and_out_of_them(around):
    many = 2
    _, gateway, receiver = around(slice_us=200_000, slices=many)
    end = time.monotonic() + 10
    states = {}
    while time.monotonic() < end and not (states.get("shed:off_slice", 0) > 20 and gateway.counters().handed_over > 20):
        gateway.talk(post("BR") * 5 + LAST)
        states = gateway.counters().states
    sums = gateway.settled()
    assert set(sums.states) == {"passed", "shed:off_slice"}
    for call in receiver.of(frames.Call):
        assert not is_off(KEY, call.request.time_us, slice_us=200_000, slices=many)
    (found,) = slices.read_all(gateway.folder)
    on = off = 0
    for at in range(0, len(found.counts), 2 * slices.BUCKETS):
        on += sum(found.counts[at : at + slices.BUCKETS])
        off += sum(found.counts[at + slices.BUCKETS : at + 2 * slices.BUCKETS])
    assert (on, off) == (sums.handed_over, sums.states["shed:off_slice"])


def test_the_trail_holds_what_ended_in_the_gateway_and_why(around):
    _, gateway, _ = around(body_cap=30)
    got = gateway.talk(post("B" * 100) + post("BR") + LAST)
    gateway.settled()
    first = got.split(b"x-gnomon-id: ")[1][:32]
    entries = wait_for(lambda: trail.read_all(gateway.folder))
    assert [(id_.hex().encode(), entry.state) for id_, entry in entries.items()] == [(first, "guarded:too_large")]
    assert abs(entries[bytes.fromhex(first.decode())].time_us / 1e6 - time.time()) < 60


def test_a_trail_keeps_the_newest_and_old_trails_make_room(tmp_path):
    from gnomon.fork.trail import Trail

    for number in range(20):
        made = Trail(tmp_path, instance=f"{number:032x}")
    for number in range(trail.ENTRIES + 3):
        made.add(number.to_bytes(16, "big"), "cancelled")
    found = trail.read_all(tmp_path)
    assert len(list(tmp_path.glob("*.trail"))) == 16
    assert len(found) == trail.ENTRIES
    assert (2).to_bytes(16, "big") not in found
    assert (trail.ENTRIES + 2).to_bytes(16, "big") in found
