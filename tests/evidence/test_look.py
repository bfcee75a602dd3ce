"""What a look may read: order, settling, cycles, clusters, losses, truth, and what does not add up."""

import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon.records.evidence import Cell
from gnomon.records.plan import OVERALL, Duration, Plan, Selector, Unit
from tests.evidence.trial_log import (
    SECOND,
    START,
    TrialLog,
    a_gate,
    a_log,
    a_plan,
    a_truth,
    an_exchange,
    any_exchange,
    differs,
    fails,
)

EVERYWHERE = (
    (OVERALL, ""),
    ("source", "tweets"),
    ("source", "news"),
    ("source", "other"),
    ("source", "missing"),
)
SESSIONS = Unit(cluster=Selector(where="header", name="x-session"), closes_after_us=10 * SECOND)


def at(seconds: int) -> int:
    return START + seconds * SECOND


def by_cell(cells: tuple[Cell, ...]) -> dict[str, Cell]:
    return {f"{cell.segment}={cell.value}".rstrip("="): cell for cell in cells}


def test_an_empty_log_is_evidence_of_nothing(tmp_path: Path) -> None:
    evidence = TrialLog(tmp_path, a_plan(a_gate(where=EVERYWHERE), a_gate("error_rate"))).gather()

    assert len(evidence.cells) == 6
    assert all((cell.units, cell.seen, cell.low, cell.high) == (0, 0, (), ()) for cell in evidence.cells)
    assert evidence.watermark_us == 0
    assert evidence.rows == {"comparisons": 0, "ledger": 0, "truths": 0}


def test_an_unsettled_exchange_blocks_all_later_ones_of_its_cells(tmp_path: Path) -> None:
    """The first tweet without truth stops tweets and the overall cell, not the news."""
    rows = [an_exchange(1), differs(2), an_exchange(3), an_exchange(4, segment_source="news")]

    cells = by_cell(a_log(tmp_path, a_plan(a_gate(where=EVERYWHERE)), rows).gather().cells)

    assert (cells["overall"].units, cells["overall"].waiting, cells["overall"].frontier_us) == (1, 3, at(2))
    assert (cells["source=tweets"].units, cells["source=tweets"].waiting) == (1, 2)
    assert (cells["source=news"].units, cells["source=news"].frontier_us) == (1, at(5))


def test_truth_that_comes_first_for_the_easy_ones_lets_nothing_through(tmp_path: Path) -> None:
    """Labels enter in the order of the requests, not in their own."""
    rows = [differs(n) for n in range(1, 7)]
    wins = [a_truth(n, '"b"') for n in (2, 4, 5, 6)]
    log = a_log(tmp_path, a_plan(), rows, wins)
    assert log.gather().cells[0].units == 0

    log.append("truths", [a_truth(1, '"a"')])
    assert log.gather().cells[0].low == ((-40, 1), (40, 1))


def test_gates_that_need_no_truth_do_not_wait_for_it(tmp_path: Path) -> None:
    plan = a_plan(a_gate(), a_gate("agreement", "at_least", margin_ppm=100_000))
    accuracy, agreement = a_log(tmp_path, plan, [differs(1), an_exchange(2)]).gather().cells
    assert (accuracy.units, agreement.units) == (0, 2)


def test_overdue_truth_is_imputed_and_counted_and_replaced_when_it_comes_after_all(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(expected_within_us=100 * SECOND), [differs(1), differs(50)])
    assert log.gather(as_of=101).cells[0].units == 0

    cell = log.gather(as_of=102).cells[0]
    assert (cell.low, cell.high, cell.imputed, cell.waiting) == (((-40, 1),), ((40, 1),), 1, 1)

    log.append("truths", [a_truth(1, '"b"')])
    cell = log.gather(as_of=102).cells[0]
    assert (cell.low, cell.high, cell.imputed) == (((40, 1),), ((40, 1),), 0)


def test_the_first_imported_truth_wins_and_a_contradiction_is_said(tmp_path: Path) -> None:
    later = a_truth(1, '"b"', imported_us=at(9))
    log = a_log(tmp_path, a_plan(), [differs(1)], [later, a_truth(1, '"a"', imported_us=at(8))])
    evidence = log.gather()
    assert evidence.cells[0].low == ((-40, 1),)
    assert evidence.notes == ("1 exchange has contradicting truths; the first one imported counts",)
    assert evidence.anomalies == ()


def test_truth_finds_its_request_by_the_plans_key_or_by_the_exchange(tmp_path: Path) -> None:
    plan = a_plan(key=Selector(where="body", name="/id"))
    rows = [differs(1, truth_key='"k1"'), differs(2), differs(3, truth_key='"k3"'), differs(4, truth_key='"k4"')]
    # the third is named by its id although it has a key; the fourth by both, and the key's truth counts
    truths = [a_truth('"k1"', '"b"'), a_truth(2, '"b"'), a_truth(3, '"b"'), a_truth(4, '"b"'), a_truth('"k4"', '"a"')]
    cell = a_log(tmp_path, plan, rows, truths).gather().cells[0]
    assert (cell.low, cell.waiting) == (((-40, 1), (40, 3)), 0)


@pytest.mark.parametrize("changes", [{"candidate_latency_us": 2_001}, {"truth_key": "k"}, {"cluster": ""}])
def test_an_altered_value_changes_the_digest_even_if_it_moves_no_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    plan = a_plan(a_gate("error_rate"))
    as_written = a_log(tmp_path / "one", plan, [an_exchange(1), an_exchange(2)])
    again = a_log(tmp_path / "two", plan, [an_exchange(2), an_exchange(1)])
    altered = a_log(tmp_path / "three", plan, [an_exchange(1), an_exchange(2, **changes)])
    assert as_written.gather().cells == altered.gather().cells
    assert as_written.gather().digest != altered.gather().digest
    of_rows = [log.gather(digest="rows").digest for log in (as_written, again, altered)]
    assert of_rows[0] == of_rows[1] != of_rows[2]


def test_only_closed_cycles_promote_but_all_settled_units_reject(tmp_path: Path) -> None:
    plan = a_plan(a_gate("error_rate"), duration=Duration(cycle_us=10 * SECOND))
    log = a_log(tmp_path, plan, [an_exchange(n) for n in range(25)], watermark=25)
    cell = log.gather().cells[0]
    assert (cell.low, cell.high) == (((0, 20),), ((0, 25),))


def test_an_unsettled_exchange_keeps_its_cycle_open(tmp_path: Path) -> None:
    plan = a_plan(duration=Duration(cycle_us=10 * SECOND))
    rows = [differs(n) if n == 15 else an_exchange(n) for n in range(30)]
    cell = a_log(tmp_path, plan, rows, watermark=30).gather().cells[0]
    assert (cell.low, cell.high) == (((0, 10),), ((0, 15),))


def test_nothing_is_read_after_the_watermark_the_deadline_or_the_promotion(tmp_path: Path) -> None:
    rows = [an_exchange(n, epoch=2 if n == 3 else 1) for n in range(10)]
    log = a_log(tmp_path, a_plan(a_gate("error_rate")), rows, watermark=7)
    log.flush(watermark=7, time=8, instance="runner-1", paired=9)
    assert log.gather().cells[0].units == 6

    ended = a_plan(a_gate("error_rate"), duration=Duration(deadline_us=5 * SECOND))
    evidence = log.gather(plan=ended)
    assert (evidence.cells[0].units, evidence.cells[0].frontier_us) == (4, at(5))


def test_a_cluster_is_one_unit_rounded_against_the_claim(tmp_path: Path) -> None:
    """Three turns of one conversation, one of them lost to the candidate: -1/3 lies between -14/40 and -13/40."""
    rows = [fails(1, "candidate", cluster="s"), an_exchange(2, cluster="s"), an_exchange(3, cluster="s")]
    log = a_log(tmp_path, a_plan(a_gate("error_rate"), unit=SESSIONS), rows, watermark=13)
    cell = log.gather().cells[0]
    assert (cell.low, cell.high, cell.exchanges) == (((-14, 1),), ((-13, 1),), 3)


def test_a_cluster_waits_until_it_is_closed(tmp_path: Path) -> None:
    rows = [an_exchange(1, cluster="s"), an_exchange(3, cluster="s"), an_exchange(2)]
    log = a_log(tmp_path, a_plan(a_gate("error_rate"), unit=SESSIONS), rows, watermark=12)
    cell = log.gather().cells[0]
    assert (cell.units, cell.exchanges, cell.waiting) == (0, 0, 3)


def test_clusters_are_read_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """The long one is still open at second 22: what began after it waits, though it closed before."""
    rows = [an_exchange(1, cluster="r"), *(fails(n, "candidate", cluster="s") for n in (2, 8, 14, 20))]
    rows += [an_exchange(3, cluster="t"), an_exchange(4, cluster="u")]
    log = a_log(tmp_path, a_plan(a_gate("error_rate"), unit=SESSIONS), rows, watermark=22)
    cell = log.gather().cells[0]
    assert (cell.low, cell.high, cell.waiting, cell.frontier_us) == (((0, 1),), ((0, 1),), 6, START + 2 * SECOND)
    log.flush(watermark=30, paired=len(rows))
    cell = log.gather().cells[0]
    assert (cell.low, cell.waiting, cell.frontier_us) == (((-40, 1), (0, 3)), 0, START + 30 * SECOND)


def test_a_cluster_counts_in_the_cycle_in_which_it_began(tmp_path: Path) -> None:
    """The second cycle is not settled: what came at second 19 is open."""
    rows = [*(fails(n, "candidate", cluster="s") for n in (6, 12)), *(an_exchange(n) for n in (7, 11, 19))]
    plan = a_plan(a_gate("error_rate"), unit=SESSIONS, duration=Duration(cycle_us=10 * SECOND))
    cell = a_log(tmp_path, plan, rows, watermark=25).gather().cells[0]
    assert (cell.low, cell.high) == (((-40, 1), (0, 1)), ((-40, 1), (0, 2)))


def test_a_cluster_that_is_open_holds_its_cells_of_a_gate_that_sees_nothing_in_it_yet(tmp_path: Path) -> None:
    """Nobody flagged anything at second 1; what follows in the same cluster may be flagged."""
    flags = {"output_label_production": '"fraud"', "output_label_candidate": '"fraud"'}
    rows = [an_exchange(1, cluster="s"), an_exchange(3, **flags), an_exchange(9, cluster="s", **flags)]
    gate = structs.replace(a_gate("precision"), label='"fraud"', output="label")
    log = a_log(tmp_path, a_plan(gate, unit=SESSIONS), rows, [a_truth(n, '"fraud"') for n in (3, 9)], watermark=16)
    assert (log.gather().cells[0].units, log.gather().cells[0].waiting) == (0, 2)
    log.flush(watermark=20, paired=len(rows))
    assert (log.gather().cells[0].units, log.gather().cells[0].waiting) == (2, 0)


def test_what_comes_after_a_cluster_closed_is_not_counted(tmp_path: Path) -> None:
    rows = [an_exchange(1, cluster="s"), fails(12, "candidate", cluster="s"), an_exchange(30)]
    log = a_log(tmp_path, a_plan(a_gate("error_rate"), unit=SESSIONS), rows, watermark=50)
    cell = log.gather().cells[0]
    assert (cell.low, cell.exchanges, cell.seen, cell.waiting) == (((0, 2),), 2, 3, 0)
    assert cell.left_out == 1


def test_what_is_left_out_is_counted_in_each_segment(tmp_path: Path) -> None:
    rows = [an_exchange(n, cluster="s") for n in (1, 12)] + [an_exchange(15, cluster="s", segment_source="news")]
    plan = a_plan(a_gate("error_rate", where=EVERYWHERE), unit=SESSIONS)
    cells = by_cell(a_log(tmp_path, plan, rows, watermark=50).gather().cells)
    assert {name: cell.left_out for name, cell in cells.items() if cell.left_out} == {
        "overall": 2,
        "source=tweets": 1,
        "source=news": 1,
    }


def test_a_cluster_is_averaged_within_each_segment(tmp_path: Path) -> None:
    rows = [fails(1, "candidate", cluster="s"), an_exchange(2, cluster="s", segment_source="news")]
    plan = a_plan(a_gate("error_rate", where=EVERYWHERE), unit=SESSIONS)
    cells = by_cell(a_log(tmp_path, plan, rows, watermark=50).gather().cells)
    assert cells["overall"].low == ((-20, 1),)
    assert (cells["source=tweets"].low, cells["source=news"].low) == (((-40, 1),), ((0, 1),))


def test_lost_exchanges_without_a_row_count_as_worst_in_every_cell_that_saw_anything(tmp_path: Path) -> None:
    plan = a_plan(a_gate("error_rate", where=EVERYWHERE))
    log = a_log(tmp_path, plan, [an_exchange(1)])
    log.flush(watermark=2, instance="gateway-0", seen=4, handed_over=1, shed__memory=1, unaccounted=2)

    evidence = log.gather()
    cells = by_cell(evidence.cells)

    assert (cells["overall"].low, cells["overall"].high) == (((-40, 3), (0, 1)), ((0, 1), (40, 3)))
    assert (cells["overall"].lost, cells["overall"].seen) == (3, 4)
    assert cells["source=news"].low == ((-40, 3),)
    assert cells["source=other"].seen == 0
    assert evidence.sampled["overall"] == (3, 4)
    assert evidence.sampled["source=tweets"] == (0, 1)
    assert evidence.lost_share_ppm["overall"] == 750_000
    assert evidence.unplaced == (3, 4)


def test_from_its_first_exchange_on_a_catch_all_has_its_part_of_the_unknown_losses(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(a_gate("error_rate", where=EVERYWHERE)), [an_exchange(1, segment_source="other")])
    log.flush(watermark=2, instance="gateway-0", unaccounted=2)
    assert by_cell(log.gather().cells)["source=other"].low == ((-40, 2), (0, 1))


def test_expired_exchanges_are_lost_in_their_own_segment(tmp_path: Path) -> None:
    rows = [an_exchange(1), an_exchange(2, state="expired", segment_source="news")]
    evidence = a_log(tmp_path, a_plan(a_gate("error_rate", where=EVERYWHERE)), rows).gather()
    assert evidence.sampled["source=tweets"] == (0, 1)
    assert evidence.sampled["source=news"] == (1, 1)
    assert evidence.ledger == {"expired": 1, "open": 0, "paired": 1, "received": 2}


def test_shedding_by_the_declared_budget_is_no_loss(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(a_gate("error_rate")), [an_exchange(1)])
    log.flush(watermark=2, instance="gateway-0", seen=9, handed_over=1, shed__budget=8)
    assert log.gather().cells[0].low == ((0, 1),)


def test_the_ledger_is_summed_over_instances_by_their_latest_counts(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_plan(), [an_exchange(1), an_exchange(2)])
    log.flush(watermark=2, time=2, instance="gateway-0", seen=5, handed_over=1, unsampled=3)
    log.flush(watermark=2, time=3, instance="gateway-0", seen=6, handed_over=1, unsampled=4)
    log.flush(watermark=2, time=3, instance="gateway-1", seen=2, handed_over=1, passed=1)
    evidence = log.gather()
    assert evidence.ledger["seen"] == 8
    assert evidence.ledger["unsampled"] == 4
    assert evidence.ledger["open"] == 8 - 4 - 1 - 2
    assert evidence.anomalies == ()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda log: log.append("comparisons", [an_exchange(1)]), "repeat an exchange"),
        (lambda log: log.flush(watermark=9, time=20, paired=2), "goes backward: `paired` of runner-1 fell from 3 to 2"),
        (lambda log: log.flush(watermark=9, time=20, paired=5), "counts 5 paired exchanges, the log holds 3"),
        (lambda log: log.append("comparisons", [an_exchange(7)]), "holds 4 paired exchanges before the watermark"),
        (lambda log: log.append("comparisons", [an_exchange(9, probability=7)]), "another rate than the sealed"),
        (
            lambda log: [
                log.flush(watermark=9, time=time, instance="gateway-0", seen=5, passed=6) for time in (20, 21)
            ],
            "gateway-0 ended 6 requests and saw 5",
        ),
    ],
)
def test_what_does_not_add_up_is_said(tmp_path: Path, break_it: Any, said: str) -> None:
    log = a_log(tmp_path, a_plan(), [an_exchange(n) for n in (1, 2, 3)], watermark=9)
    assert log.gather().anomalies == ()
    break_it(log)
    assert any(said in anomaly for anomaly in log.gather().anomalies)


def test_a_batch_that_is_appended_while_one_looks_is_no_anomaly(tmp_path: Path) -> None:
    """Its rows are there and its ledger row is not yet."""
    log = a_log(tmp_path, a_plan(), [an_exchange(n) for n in (1, 2, 3)], watermark=4)
    log.append("comparisons", [an_exchange(4), an_exchange(5, state="expired")])
    evidence = log.gather()
    assert evidence.anomalies == ()
    assert evidence.rows["comparisons"] == 3


# against a literal computation -------------------------------------------------------------------------------------


def literal(plan: Plan, rows: list[dict[str, Any]], truths: dict[str, str], end: int, as_of: int) -> list[Any]:
    """Accuracy and error rate by plain loops over the rules."""
    rows = sorted((row for row in rows if row["time_us"] < end), key=lambda row: (row["time_us"], row["id"]))
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        key = row["cluster"] if plan.unit.cluster and row["cluster"] else row["id"]
        turns = sessions[key]
        if not turns or (turns[-1] and row["time_us"] - turns[-1]["time_us"] <= plan.unit.closes_after_us):
            turns.append(row)
        elif turns[-1]:
            turns.append({})  # ends the session for good
    units = {key: [turn for turn in turns if turn] for key, turns in sessions.items()}

    def accuracy(row: dict[str, Any]) -> tuple[int, int] | None:
        if row["state"] == "expired":
            return -1, 1
        a, b = row["output_label_production"], row["output_label_candidate"]
        if a == b:
            return 0, 0
        if row["id"] in truths:
            d = (b == truths[row["id"]]) - (a == truths[row["id"]])
            return d, d
        if row["time_us"] + plan.truth.expected_within_us >= as_of:
            return None
        return (0 if a is None else -1), (0 if b is None else 1)

    def errors(row: dict[str, Any]) -> tuple[int, int]:
        if row["state"] == "expired":
            return -1, 1
        d = (row["production_outcome"] != "ok") - (row["candidate_outcome"] != "ok")
        return d, d

    result = []
    for gate, judge in zip(plan.gates, (accuracy, errors), strict=True):
        for test in gate.tests:
            own = [row for row in rows if test.segment == OVERALL or row["segment_source"] == test.value]
            starts, stops = {}, [end]
            for key, turns in units.items():
                mine = [turn for turn in turns if turn in own]
                if not mine:
                    continue
                starts[key] = mine[0]["time_us"]
                ready = turns[-1]["time_us"] + max(1, plan.unit.closes_after_us)
                if ready > end or not all(judge(turn) for turn in mine):
                    stops.append(starts[key])
            frontier = min(stops)
            closed = frontier
            if plan.duration.cycle_us:
                closed = START + (frontier - START) // plan.duration.cycle_us * plan.duration.cycle_us
            low: Counter[int] = Counter()
            high: Counter[int] = Counter()
            for key, start in starts.items():
                if start >= frontier:
                    continue
                mine = [turn for turn in units[key] if turn in own]
                marks = [judge(turn) for turn in mine]
                high[-(-40 * sum(mark[1] for mark in marks) // len(marks))] += 1
                if start < closed:
                    low[40 * sum(mark[0] for mark in marks) // len(marks)] += 1
            result.append((tuple(sorted(low.items())), tuple(sorted(high.items())), frontier))
    return result


def random_exchange(rng: random.Random, number: int) -> dict[str, Any]:
    kind = any_exchange(rng, number)
    source = rng.choice(["tweets", "news", "other"])
    time = START + number * SECOND // rng.choice([1, 2])
    return kind | {"segment_source": source, "cluster": rng.choice([None, "s1", "s2", "s3"]), "time_us": time}


@given(
    seed=st.integers(0, 10**6),
    clustered=st.booleans(),
    cycle=st.sampled_from([None, 7 * SECOND]),
    as_of=st.sampled_from([10, 30, 60]),
)
@settings(max_examples=8, deadline=None)
def test_counts_are_those_of_a_literal_computation_in_any_order_and_any_batches(
    seed: int, clustered: bool, cycle: int | None, as_of: int
) -> None:
    rng = random.Random(seed)
    rows = [random_exchange(rng, n) for n in range(1, 41)]
    truths = {row["id"]: rng.choice(['"a"', '"b"', '"c"']) for row in rows if rng.random() < 0.8}
    plan = a_plan(
        a_gate(where=EVERYWHERE),
        a_gate("error_rate", where=EVERYWHERE),
        unit=Unit(cluster=SESSIONS.cluster, closes_after_us=4 * SECOND) if clustered else None,
        duration=Duration(cycle_us=cycle),
        expected_within_us=20 * SECOND,
    )
    watermark = rng.randrange(20, 45)
    tables = [a_truth(key, value) for key, value in truths.items()]
    before = [row["state"] for row in rows]
    counts = {state: before.count(state) for state in ("paired", "expired")}

    looks = []
    for batches in (1, rng.randrange(2, 5)):
        with tempfile.TemporaryDirectory() as folder:
            log = TrialLog(Path(folder), plan)
            rng.shuffle(rows)
            rng.shuffle(tables)
            for part in range(batches):
                log.append("comparisons", rows[part::batches])
                log.append("truths", tables[part::batches])
            log.flush(watermark=watermark, **counts)
            looks.append(log.gather(as_of=as_of, digest="rows"))

    one, many = (msgspec.json.encode(msgspec.structs.replace(look, versions={})) for look in looks)
    assert one == many
    expected = literal(plan, rows, truths, START + watermark * SECOND, START + as_of * SECOND)
    reached = [START + watermark * SECOND if not cell.seen else cell.frontier_us for cell in looks[0].cells]
    found = [(cell.low, cell.high, reach) for cell, reach in zip(looks[0].cells, reached, strict=True)]
    assert found == expected
