"""Strata with different rates, rows that are no evidence, and what contradicts the sealed rates."""

from pathlib import Path
from typing import Any

import pytest

from gnomon.records.evidence import AtRate, Cell
from gnomon.records.plan import OTHERWISE, OVERALL, Duration, Plan, Selector, Unit
from gnomon.records.process import PROBE_EPOCH
from tests.evidence.trial_log import ALWAYS, SECOND, START, TrialLog, a_gate, a_log, a_plan, an_exchange, differs, fails

TWENTIETH = ALWAYS // 20
RATES = {"at": ALWAYS, OTHERWISE: TWENTIETH}
EVERYWHERE = ((OVERALL, ""), ("source", "tweets"), ("source", "news"))


def often(number: int, **changes: Any) -> dict[str, Any]:
    """What is different about an exchange of the stratum that is drawn always."""
    return an_exchange(number, stratum="at", **changes)


def seldom(number: int, **changes: Any) -> dict[str, Any]:
    return an_exchange(number, **{"stratum": OTHERWISE, "probability": TWENTIETH} | changes)


def a_weighted_plan(*gates: Any, **changes: Any) -> Plan:
    return a_plan(*(gates or (a_gate("error_rate", where=EVERYWHERE),)), rates=RATES, **changes)


def failed(row: dict[str, Any], arm: str = "candidate") -> dict[str, Any]:
    fields = (f"{arm}_outcome", f"output_label_{arm}", "output_label_agree")
    return row | {field: fails(1, arm)[field] for field in fields}


def test_counts_stand_by_rate_where_strata_have_different_ones(tmp_path: Path) -> None:
    rows = [often(1), failed(often(2)), often(3, segment_source="news"), failed(seldom(4), "production"), seldom(5)]
    overall, tweets, news = a_log(tmp_path, a_weighted_plan(), rows).gather().cells

    assert overall.low == overall.high == ((-40, 1), (0, 3), (40, 1))
    assert (overall.units, overall.exchanges, overall.seen) == (5, 5, 5)
    assert overall.by_rate == (
        AtRate(
            probability=TWENTIETH,
            low=((0, 1), (40, 1)),
            high=((0, 1), (40, 1)),
            known=2,
            production_good=1,
            candidate_good=2,
        ),
        AtRate(
            probability=ALWAYS,
            low=((-40, 1), (0, 2)),
            high=((-40, 1), (0, 2)),
            known=3,
            production_good=3,
            candidate_good=2,
        ),
    )
    assert [part.probability for part in tweets.by_rate] == [TWENTIETH, ALWAYS]
    assert [(part.probability, part.low) for part in news.by_rate] == [(ALWAYS, ((0, 1),))]


def test_strata_of_one_rate_give_the_records_of_a_plan_without_strata(tmp_path: Path) -> None:
    rows = [an_exchange(1), fails(2, "candidate"), an_exchange(3, state="expired")]
    plain = a_log(tmp_path / "plain", a_plan(a_gate("error_rate")), rows).gather()
    strata = a_plan(a_gate("error_rate"), rates={"at": ALWAYS, OTHERWISE: ALWAYS})
    divided = a_log(tmp_path / "divided", strata, [row | {"stratum": "at"} for row in rows]).gather()
    assert plain.cells == divided.cells
    assert plain.cells[0].by_rate == ()
    assert divided.anomalies == ()


@pytest.mark.parametrize(
    ("gate", "low", "high"),
    [
        (a_gate("error_rate"), -40, -40),
        (a_gate("error_rate", "at_most"), -40, -40),
        (a_gate("agreement", "at_least", margin_ppm=100_000), -40, -40),
        (a_gate("latency", "at_most", margin_ppm=10_000, limit_us=5_000), -40, -40),
        (a_gate("accuracy"), -40, 0),  # no truth in time: the failed candidate cannot be right
    ],
    ids=lambda value: f"{value.kind}-{value.form}" if not isinstance(value, int) else "",
)
def test_every_kind_of_gate_counts_by_rate(tmp_path: Path, gate: Any, low: int, high: int) -> None:
    plan = a_weighted_plan(gate, expected_within_us=SECOND)
    cell = a_log(tmp_path, plan, [often(1), failed(seldom(2))]).gather(as_of=10).cells[0]
    assert [(part.probability, part.low, part.high) for part in cell.by_rate] == [
        (TWENTIETH, ((low, 1),), ((high, 1),)),
        (ALWAYS, ((0, 1),), ((0, 1),)),
    ]


def test_an_expired_exchange_is_lost_at_its_own_rate(tmp_path: Path) -> None:
    cell = a_log(tmp_path, a_weighted_plan(), [often(1, state="expired"), seldom(2)]).gather().cells[0]
    assert [(part.probability, part.low) for part in cell.by_rate] == [(TWENTIETH, ((0, 1),)), (ALWAYS, ((-40, 1),))]
    assert [part.high for part in cell.by_rate] == [((0, 1),), ((40, 1),)]


def test_a_lost_exchange_without_a_row_weighs_as_much_as_one_can(tmp_path: Path) -> None:
    log = a_log(tmp_path, a_weighted_plan(), [often(1), seldom(2, segment_source="news")])
    log.flush(watermark=3, instance="gateway-0", unaccounted=2)
    overall, tweets, _ = log.gather().cells
    assert overall.by_rate[0].low == ((-40, 2), (0, 1))
    assert overall.by_rate[0].high == ((0, 1), (40, 2))
    assert [(part.probability, part.low) for part in tweets.by_rate] == [(TWENTIETH, ((-40, 2),)), (ALWAYS, ((0, 1),))]
    assert (tweets.units, tweets.lost) == (3, 2)


def test_the_frontier_and_the_cycle_are_those_of_the_cell_whatever_the_rate(tmp_path: Path) -> None:
    plan = a_weighted_plan(a_gate(), duration=Duration(cycle_us=10 * SECOND))
    waits = differs(25, stratum="at")
    cell = a_log(tmp_path, plan, [often(1), seldom(2), seldom(15), often(22), waits, seldom(26)]).gather().cells[0]
    assert (cell.units, cell.waiting, cell.frontier_us) == (3, 2, START + 25 * SECOND)
    assert [(part.low, part.high) for part in cell.by_rate] == [(((0, 2),), ((0, 2),)), (((0, 1),), ((0, 2),))]


# what is no evidence -----------------------------------------------------------------------------------------------

GUARDED = ("guarded:context", "guarded:side_effects", "guarded:rewrite")


def counted(cells: tuple[Cell, ...]) -> list[tuple[int, ...]]:
    return [(cell.units, cell.exchanges, cell.seen, cell.lost, cell.waiting) for cell in cells]


@pytest.mark.parametrize("state", GUARDED)
def test_a_guarded_exchange_enters_no_cell_and_no_lost_share(tmp_path: Path, state: str) -> None:
    plan = a_plan(a_gate(where=EVERYWHERE), a_gate("latency", "at_most", margin_ppm=10_000, limit_us=5_000))
    pairs = [an_exchange(1), an_exchange(3)]
    alone = a_log(tmp_path / "alone", plan, pairs).gather()
    beside = a_log(tmp_path / "beside", plan, [*pairs, an_exchange(2, state=state)]).gather()
    assert alone.cells == beside.cells
    assert alone.sampled == beside.sampled
    assert beside.sampled[OVERALL] == (0, 2)
    assert beside.anomalies == ()
    assert beside.rows["comparisons"] == 3
    assert alone.digest != beside.digest


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"guarded:context": 2}, "counts 2 guarded:context exchanges, the log holds 1: rows are missing"),
        ({"guarded:side_effects": 1}, "counts 1 guarded:side_effects exchanges, the log holds 0: rows are missing"),
        ({"paired": 0}, "holds 1 guarded:context exchanges before the watermark, the ledger counts 0: rows were added"),
    ],
)
def test_guarded_rows_are_held_against_the_ledger(tmp_path: Path, counts: dict[str, int], said: str) -> None:
    log = TrialLog(tmp_path, a_plan())
    log.append("comparisons", [an_exchange(1, state="guarded:context")])
    log.flush(watermark=5, **counts)
    assert any(said in anomaly for anomaly in log.gather().anomalies)


def test_a_state_that_there_is_not_is_an_anomaly_and_no_evidence(tmp_path: Path) -> None:
    evidence = a_log(tmp_path, a_plan(a_gate("error_rate")), [an_exchange(1), an_exchange(2, state="dropped")]).gather()
    assert evidence.cells[0].low == ((0, 1),)
    assert evidence.anomalies == ("1 exchanges of the log are in a state that there is not: dropped",)


def test_probes_enter_no_cell_and_no_count_but_their_own(tmp_path: Path) -> None:
    """They carry the rates of no plan, too."""
    probes = [
        fails(2, "candidate", epoch=PROBE_EPOCH, probability=0, stratum="probe"),
        an_exchange(3, epoch=PROBE_EPOCH, state="expired"),
    ]
    rows = [an_exchange(1), an_exchange(4)]
    alone = a_log(tmp_path / "alone", a_plan(a_gate("error_rate", where=EVERYWHERE)), rows, watermark=9)
    beside = a_log(tmp_path / "beside", alone.plan, [*rows, *probes], watermark=9)
    beside.flush(watermark=9, epoch=PROBE_EPOCH, instance="gateway-0", seen=50, passed=40, unaccounted=7, shed__bug=3)
    one, two = (log.gather(digest="rows") for log in (alone, beside))
    assert one.cells == two.cells
    assert (one.ledger, one.sampled, one.digest) == (two.ledger, two.sampled, two.digest)
    assert (one.probes, two.probes) == (0, 1)
    assert one.anomalies == two.anomalies == ()
    assert two.rows["comparisons"] == 2


# against the sealed rates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (often(9, probability=TWENTIETH), "1 exchanges were sampled at another rate than the sealed one"),
        (seldom(9, probability=ALWAYS), "1 exchanges were sampled at another rate than the sealed one"),
        (seldom(9, probability=TWENTIETH - 1), "1 exchanges were sampled at another rate than the sealed one"),
        (seldom(9, probability=0), "1 exchanges were sampled at another rate than the sealed one"),
        (often(9) | {"stratum": "de"}, "1 exchanges are of a stratum that the sealed plan does not have"),
        (often(9) | {"stratum": "all"}, "1 exchanges are of a stratum that the sealed plan does not have"),
    ],
)
def test_a_row_of_another_rate_or_stratum_than_sealed_is_an_anomaly(tmp_path: Path, row: Any, said: str) -> None:
    evidence = a_log(tmp_path, a_weighted_plan(), [often(1), seldom(2), row]).gather()
    assert evidence.anomalies == (said,)
    assert all(part.probability >= TWENTIETH for part in evidence.cells[0].by_rate)


def test_a_cluster_that_was_sampled_at_two_rates_is_an_anomaly(tmp_path: Path) -> None:
    sessions = Unit(cluster=Selector(where="header", name="x-session"), closes_after_us=10 * SECOND)
    rows = [often(1, cluster="s"), seldom(2, cluster="s"), seldom(3, cluster="t"), often(4, cluster="u")]
    evidence = a_log(tmp_path, a_weighted_plan(unit=sessions), rows, watermark=50).gather()
    assert evidence.anomalies == ("1 clusters hold exchanges that were sampled at different rates",)
    assert [(part.probability, part.low) for part in evidence.cells[0].by_rate] == [
        (TWENTIETH, ((0, 2),)),
        (ALWAYS, ((0, 1),)),
    ]
