"""What a report shows beside the verdict, from Delta tables on disk."""

import gzip
import json

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from gnomon.evidence.describe import EXCERPT, describe
from gnomon.log import tables
from gnomon.log.read import snapshot
from gnomon.records.plan import Duration
from gnomon.records.process import PROBE_EPOCH
from tests.evidence.trial_log import (
    SECOND,
    START,
    TrialLog,
    a_log,
    a_plan,
    a_truth,
    an_exchange,
    differs,
    fails,
)


def described(log: TrialLog, **options):
    return describe(log.plan, snapshot(str(log.folder)), log_url=str(log.folder), first_epoch=1, **options)


def write_bodies(log: TrialLog, bodies: dict[int, bytes], headers: str = "[]") -> None:
    empty = {
        field.name: None if field.nullable else (0 if pa.types.is_integer(field.type) else "")
        for field in tables.EXCHANGES
    }
    found = [
        empty | {"id": f"{number:032x}", "request_body": body, "request_headers": headers}
        for number, body in bodies.items()
    ]
    write_deltalake(log.folder / "exchanges", pa.Table.from_pylist(found, schema=tables.EXCHANGES), mode="append")


def test_a_log_that_is_not_there_yet_is_described_by_zeros_and_none(tmp_path):
    found = described(TrialLog(tmp_path, a_plan()))

    assert [(arm.calls, arm.p50_us, arm.p99_us, arm.failed) for arm in found.latency] == [(0, None, None, {})] * 2
    assert [(each.cell, each.pairs, each.matrix) for each in found.agreements] == [("overall", 0, ())]
    assert found.disagreements == ()
    assert found.segments == {"source": {"tweets": 0, "news": 0}}


def test_a_quantile_that_falls_on_a_failed_call_is_none(tmp_path):
    """Ten calls of which two failed: the median is finite, the 90 % and 99 % quantiles are not."""
    rows = [an_exchange(n, candidate_latency_us=1_000 * n) for n in range(1, 9)]
    rows += [fails(n, "candidate", candidate_latency_us=5) for n in (9, 10)]

    production, candidate = described(a_log(tmp_path, a_plan(), rows)).latency

    assert (production.calls, production.p50_us, production.p99_us, production.failed) == (10, 1_000, 1_000, {})
    assert (candidate.p50_us, candidate.p90_us, candidate.p99_us) == (5_000, None, None)
    assert (candidate.calls, candidate.failed) == (10, {"5xx": 2})


def test_an_expired_exchange_is_a_call_of_production_only_and_no_pair(tmp_path):
    rows = [an_exchange(1), an_exchange(2, state="expired")]

    found = described(a_log(tmp_path, a_plan(), rows))

    assert [arm.calls for arm in found.latency] == [2, 1]
    assert found.agreements[0].pairs == 1


def test_rows_after_the_watermark_or_of_another_epoch_are_not_read(tmp_path):
    rows = [an_exchange(1), an_exchange(2, epoch=2), an_exchange(30)]

    assert described(a_log(tmp_path, a_plan(), rows, watermark=10)).agreements[0].pairs == 1


def test_guarded_exchanges_and_probes_are_not_described(tmp_path):
    """Production answered them too; its latency is shown over what both arms were meant to get."""
    rows = [an_exchange(1), an_exchange(2, state="guarded:context"), an_exchange(3, epoch=PROBE_EPOCH)]

    found = described(a_log(tmp_path, a_plan(), [*rows, differs(4, epoch=PROBE_EPOCH)]))

    assert [arm.calls for arm in found.latency] == [1, 1]
    assert (found.agreements[0].pairs, found.segments["source"]["tweets"], found.disagreements) == (1, 1, ())


def test_the_matrix_counts_what_each_arm_said_and_failures_apart(tmp_path):
    rows = [an_exchange(1), an_exchange(2), differs(3, segment_source="news"), fails(4, "candidate")]

    overall, tweets, news = described(a_log(tmp_path, a_plan(), rows)).agreements

    assert (overall.cell, overall.pairs, overall.agree) == ("overall", 4, 2)
    assert overall.matrix == (('"a"', '"a"', 2), ('"a"', '"b"', 1), ('"a"', "failed", 1))
    assert (tweets.cell, tweets.pairs, tweets.agree) == ("source=tweets", 3, 2)
    assert (news.cell, news.matrix) == ("source=news", (('"a"', '"b"', 1),))


def test_rare_values_are_folded_into_other_which_no_value_can_be_mistaken_for(tmp_path):
    frequent = [value for number in range(8) for value in [f'"{number}"'] * 3]
    values = [*frequent, '"rare"', '"other"']
    rows = [an_exchange(n, output_label_production=v, output_label_candidate=v) for n, v in enumerate(values, 1)]

    matrix = described(a_log(tmp_path, a_plan(), rows)).agreements[0].matrix

    assert matrix[-1] == ("other", "other", 2)
    assert [row[2] for row in matrix[:-1]] == [3] * 8


def test_many_different_numbers_have_an_agreement_but_no_matrix(tmp_path):
    plan = a_plan(compare="number", tolerance=0.1)
    rows = [
        an_exchange(n, output_label_production=float(n), output_label_candidate=n + 0.05, output_label_agree=True)
        for n in range(1, 20)
    ]

    overall = described(a_log(tmp_path, plan, rows)).agreements[0]

    assert (overall.pairs, overall.agree, overall.matrix) == (19, 19, (("other", "other", 19),))


def test_disagreements_come_harm_first_then_help_then_unknown_then_both_wrong(tmp_path):
    rows = [differs(n) for n in (1, 2, 3, 4)]
    truths = [a_truth(1, '"z"'), a_truth(3, '"b"'), a_truth(4, '"a"')]

    found = described(a_log(tmp_path, a_plan(), rows, truths)).disagreements

    assert [int(each.id, 16) for each in found] == [4, 3, 2, 1]
    assert [each.truth for each in found] == ['"a"', '"b"', None, '"z"']
    assert {each.weight for each in found} == {1.0}


def test_disagreements_of_one_kind_take_turns_over_the_segments(tmp_path):
    rows = [differs(n) for n in range(1, 9)] + [differs(9, segment_source="news")]

    found = described(a_log(tmp_path, a_plan(), rows), limit=3).disagreements

    assert sorted(each.segments["source"] for each in found) == ["news", "tweets", "tweets"]


def test_the_weight_is_one_over_the_probability_and_grows_with_a_numbers_distance(tmp_path):
    plan = a_plan(compare="number", tolerance=0.1)

    def apart(number: int, distance: float):
        return differs(number, output_label_production=1.0, output_label_candidate=1.0 + distance, probability=1 << 31)

    rows = [apart(1, 0.5), apart(2, 4.0), fails(3, "candidate", output_label_production=1.0, probability=1 << 31)]

    found = described(a_log(tmp_path, plan, rows)).disagreements

    assert [(int(each.id, 16), each.weight) for each in found] == [(3, 8.0), (2, 8.0), (1, 1.0)]
    assert found[0].candidate == "failed: 5xx"


def test_the_request_is_an_excerpt_of_at_most_600_characters(tmp_path):
    log = a_log(tmp_path, a_plan(), [differs(1), differs(2), differs(3, output_label_candidate='"' + "b" * 900 + '"')])
    write_bodies(log, {1: "é".encode() * 2_000, 2: b"\xff{}"})

    third, second, first = described(log).disagreements

    assert first.request == "é" * (EXCERPT - 1) + "…"
    assert second.request == "\ufffd{}"
    assert third.request == ""
    assert len(third.candidate) == EXCERPT


@pytest.mark.parametrize(
    ("body", "shown"), [(gzip.compress(b'{"a":1}', mtime=0), '{"a":1}'), (b"xx", "(2 bytes, content")]
)
def test_a_compressed_request_is_read_or_named(tmp_path, body, shown):
    log = a_log(tmp_path, a_plan(), [differs(1)])
    write_bodies(log, {1: body}, headers=json.dumps([["content-encoding", "gzip"]]))

    assert described(log).disagreements[0].request.startswith(shown)


def test_nothing_after_the_deadline_is_described(tmp_path):
    plan = a_plan(duration=Duration(deadline_us=5 * SECOND))
    log = a_log(tmp_path, plan, [an_exchange(1), an_exchange(9)])

    assert described(log, started_us=START).agreements[0].pairs == 1
