"""The ledger's two equalities, at every flush: what breaks one makes the trial invalid, and nothing else does."""

import ibis
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.evidence.integrity import flushed, read_ledger
from gnomon.log import tables
from gnomon.records.counters import Counters
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow.inbox import Sums
from gnomon.shadow.ledger import Ledger
from tests.evidence.trial_log import START, a_log, a_plan, an_exchange

Flush = dict[str, dict[str, int]]
"""What is written at one flush: counts by instance and state."""


def anomalies(*flushes: Flush, epoch: int = 1) -> tuple[str, ...]:
    """What a ledger of these flushes, a second apart, gives for epoch 1."""
    rows = [
        {
            "time_us": START + number * 1_000_000,
            "instance": instance,
            "epoch": epoch,
            "stratum": "all",
            "state": state,
            "count": count,
            "watermark_us": START,
        }
        for number, flush in enumerate(flushes)
        for instance, counts in flush.items()
        for state, count in counts.items()
    ]
    ledger = ibis.memtable(pa.Table.from_pylist(rows, schema=tables.LEDGER))
    return read_ledger(ledger, flushed(ledger), epoch=1).anomalies


def gateway(**counts: int) -> Flush:
    return {"a1": counts}


def runner(**counts: int) -> Flush:
    return {"runner-1": counts}


HONEST: list[Flush] = [
    gateway(seen=10, unsampled=4, handed_over=3, open=3) | runner(received=4, paired=1, open=3),
    gateway(seen=12, open=5),
    gateway(handed_over=8, open=0) | runner(received=8, paired=7, expired=1, open=0),
]


def test_a_ledger_that_adds_up_at_every_flush_has_no_anomaly():
    assert anomalies(*HONEST) == ()


@pytest.mark.parametrize("number", range(len(HONEST)))
@pytest.mark.parametrize("off", [-1, 1])
def test_one_exchange_too_many_or_too_few_in_the_runner_is_found_at_its_flush(number, off):
    flushes = [dict(flush) for flush in HONEST]
    flushes[number]["runner-1"] = {"open": 0} | flushes[number].get("runner-1", {"open": 3})
    flushes[number]["runner-1"]["open"] += off
    flushes.append(runner(open=0))

    found = next(each for each in anomalies(*flushes) if "runner-1" in each)

    assert f"at 1970-01-01T00:16:{40 + number}Z: " in found
    assert "exchanges received, but" in found


@pytest.mark.parametrize(
    ("flush", "said"),
    [
        (
            gateway(seen=10, unsampled=4, handed_over=3, open=2),
            "10 requests seen, but 4 ended, 3 handed over and 2 open",
        ),
        (
            gateway(seen=10, unsampled=4, handed_over=3, open=4),
            "10 requests seen, but 4 ended, 3 handed over and 4 open",
        ),
    ],
)
def test_a_gateway_with_something_open_has_to_add_up_exactly(flush, said):
    (found,) = anomalies(flush | runner(received=9, paired=9), gateway(handed_over=6, open=0))

    assert found == f"the ledger does not add up: a1 in epoch 1 at 1970-01-01T00:16:40Z: {said}"


def test_a_gateway_that_goes_on_may_miss_nothing_with_nothing_open():
    found = anomalies(
        HONEST[0] | {},
        gateway(seen=12, open=0) | runner(received=9, paired=9, open=0),
        gateway(seen=13, handed_over=9),
    )

    assert len(found) == 1
    assert "a1 in epoch 1 at 1970-01-01T00:16:41Z" in found[0]


def test_numbers_that_were_read_while_they_moved_are_no_anomaly():
    """Without a copy of one moment more can have ended than was seen; the next flush knows better."""
    moved = gateway(seen=12, handed_over=9, open=0) | runner(received=9, open=8)

    assert anomalies(HONEST[0], moved, gateway(seen=14, open=1)) == ()


def test_a_dead_gateway_whose_acknowledgements_were_lost_is_no_anomaly():
    """Three are open when it dies: two had come to the runner, one is lost for good."""
    died = gateway(open=0, unaccounted=1) | runner(received=5, open=4)

    assert anomalies(HONEST[0], died, runner(paired=5, open=0)) == ()


def test_what_a_dead_gateway_handed_over_has_to_have_been_received():
    found = anomalies(HONEST[0], gateway(open=0) | runner(received=5, open=4))

    (sentence,) = found
    assert sentence == (
        "the ledger does not add up: at 1970-01-01T00:16:41Z the gateways had seen 10 requests in epoch 1, of which 4 "
        "had ended there, 0 were open and 5 had come to the runner"
    )


def test_a_log_of_an_earlier_version_is_not_checked():
    flushes = [{name: {s: n for s, n in c.items() if s != "open"} for name, c in flush.items()} for flush in HONEST]

    assert anomalies(*flushes) == ()


def test_a_log_is_checked_from_the_flush_on_that_wrote_what_is_open():
    before = gateway(seen=9, handed_over=3) | runner(received=4, paired=1)

    assert anomalies(before, *HONEST) == ()


def test_probes_are_not_checked():
    broken = [HONEST[0], runner(open=1)]

    assert len(anomalies(*broken)) == 1
    assert anomalies(*broken, epoch=PROBE_EPOCH) == ()


def test_a_broken_equality_makes_the_look_say_so(tmp_path):
    log = a_log(tmp_path, a_plan(), [an_exchange(1), an_exchange(2)])
    log.flush(watermark=3, instance="runner-1", open=1)

    (found,) = log.gather().anomalies

    assert "runner-1 in epoch 1 at 1970-01-01T00:16:43Z: 2 exchanges received, but 2 ended and 1 open" in found


counts = st.integers(0, 20)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(counts, counts, counts, counts, counts), min_size=1, max_size=5),
    st.integers(0, 20),
    st.booleans(),
)
def test_what_the_runner_writes_adds_up_whatever_happens(tmp_path_factory, moves, received_late, dies):
    """The real writer, over any sequence of requests: seen, unsampled, sent, acknowledged, paired. In the end the
    gateway may die with acknowledgements under way."""
    url = str(tmp_path_factory.mktemp("log"))
    ledger = Ledger(url, identity="0123456789abcdef")
    ledger.open()
    seen = unsampled = handed = received = ended = 0
    for number, (more, left_out, sent, acknowledged, finished) in enumerate([*moves, (0, 0, received_late, 0, 0)]):
        seen += more
        unsampled += min(left_out, seen - unsampled - received)
        received += min(sent, seen - unsampled - received)
        handed += min(acknowledged, received - handed)
        ended += min(finished, received - ended)
        dead = dies and number == len(moves)
        one = Counters(
            instance="a1", pid=1, trial="t", epoch=1, stratum="all", alive=not dead, seen=seen, handed_over=handed,
            invalid_head=0, frontier_us=0, states={"unsampled": unsampled}, open=seen - unsampled - handed,
        )  # fmt: skip
        sums = Sums({("a1", 1): received}, {(1, "paired"): ended}, {1: received - ended})
        now = ledger.counts([one], sums, {}, dead={"a1"} if dead else set())
        ledger.flush(now, START + number, now_us=START + number)
    if not DeltaTable.is_deltatable(f"{url}/ledger"):
        return
    rows = DeltaTable(f"{url}/ledger").to_pyarrow_table()

    ledger_rows = ibis.memtable(rows)
    assert read_ledger(ledger_rows, flushed(ledger_rows), epoch=1).anomalies == ()
