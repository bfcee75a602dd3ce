"""Error rates of the kinds that are more than one bet, on simulated trials that are looked at many times.

Trials stand beside each other as the segments of one plan, so that a look at it is a look at each of them: whether a
test passes does not depend on the others. Every candidate is exactly at its bound: at most alpha of them may pass, and
three standard errors.
"""

from typing import Any

import numpy as np
import pytest

from gnomon.decide import assess
from gnomon.decide.claims import claim, flagged_wrongly
from gnomon.records.evidence import Histogram
from gnomon.records.plan import Duration, Gate, Plan
from gnomon.records.verdict import TestResult as Outcome
from gnomon.stats import betting, precision, quantiles
from tests.decide.parts import DAY, a_cell, a_tail, gate_of, some_evidence
from tests.evidence.trial_log import START, a_plan

ALPHA = 0.05


def at_most_alpha(found: float, trials: int, alpha: float = ALPHA) -> bool:
    return found <= alpha + 3 * (alpha * (1 - alpha) / trials) ** 0.5


def three_cells(losses: int, ties: int, wins: int) -> Histogram:
    return ((-40, int(losses)), (0, int(ties)), (40, int(wins)))


def trials_of(count: int) -> list[tuple[str, str]]:
    """Where trials stand: each is a value of a segment."""
    return [("source", str(number)) for number in range(count)]


def share_gates(margin_ppm: int, trials: int) -> tuple[Gate, Gate]:
    above, below = (
        gate_of(
            "share",
            form,
            where=trials_of(trials),
            label='"x"',
            margin_ppm=margin_ppm,
            disagreement_ppm=60_000,
            id=form,
        )
        for form in ("not_above", "not_below")
    )
    return above, below


def both_pass(plan: Plan, counts: Any) -> Any:
    """Of each trial with (more, even, fewer) flags of the candidate: whether it passes on both sides."""
    cells = [
        a_cell(
            three_cells(*(row if gate.form == "not_above" else row[::-1])), at=(test.segment, test.value), gate=gate.id
        )
        for gate in plan.gates
        for test, row in zip(gate.tests, counts, strict=True)
    ]
    results = [test.result == "pass" for test in assess(plan, some_evidence(*cells), started_us=START)]
    return np.array(results).reshape(2, len(counts)).all(axis=0)


@pytest.mark.parametrize("chances", [[0.04, 0.94, 0.02], [0.02, 0.94, 0.04]], ids=["above", "below"])
def test_a_share_at_either_end_of_its_margin_is_passed_in_at_most_five_percent(chances: list[float]) -> None:
    """6 % of the answers differ, and the share is 2 pp above production's, or below; 25 looks."""
    rng, trials = np.random.default_rng(61), 200
    plan, passed = a_plan(*share_gates(20_000, trials)), np.zeros(trials, dtype=bool)
    counts = np.zeros((trials, 3), dtype=np.int64)
    for _ in range(25):
        counts += rng.multinomial(200, chances, size=trials)
        passed |= both_pass(plan, counts)
    assert at_most_alpha(passed.mean(), trials)


def test_an_equal_share_passes_on_both_sides() -> None:
    counts = np.random.default_rng(62).multinomial(5_000, [0.03, 0.94, 0.03], size=50)
    assert both_pass(a_plan(*share_gates(20_000, 50)), counts).all()


@pytest.mark.parametrize("joint", [0.0, 0.006])
def test_an_error_rate_at_its_ratio_passes_in_at_most_five_percent(joint: float) -> None:
    """1 % against 1.5 %, bound 1.5, errors in common or not; 500 trials of 80 looks, all trials in one table."""
    rng, trials, looks, step = np.random.default_rng(63), 500, 80, 250
    gate = gate_of("error_rate", output=None, ratio=(3, 2), steps=3, margin_ppm=0, disagreement_ppm=20_000)
    chances = [joint, 0.010 - joint, 0.015 - joint, 1 - 0.025 + joint]
    counts = np.zeros((trials, 4), dtype=np.int64)
    reached = np.zeros(trials, dtype=bool)
    values = (40, 120, -80, 0)  # both failed, production alone, the candidate alone, none: in steps of 1/120
    for _ in range(looks):
        counts += rng.multinomial(step, chances, size=trials)
        reached |= betting.e_promote(counts, values, [claim(gate, gate.tests[0])]) >= 1 / ALPHA
    assert at_most_alpha(reached.mean(), trials)
    assert reached.any()  # it has teeth: some of the candidates at the bound do pass


@pytest.mark.parametrize(("production", "candidate"), [(0.90, 0.85), (0.60, 0.55)])
def test_a_precision_at_its_margin_passes_in_at_most_five_percent_and_fails_in_none(
    production: float, candidate: float
) -> None:
    """Both arms flag mostly the same; 5 pp worse at a margin of 5 pp. 300 trials of 30 looks."""
    rng, trials, looks, step = np.random.default_rng(64), 300, 30, 100
    (test,) = gate_of("precision", label='"x"', margin_ppm=50_000).tests
    wrong, right, wrong_a, right_a = np.zeros((4, trials), dtype=np.int64)
    passed = failed = np.zeros(trials, dtype=bool)
    for _ in range(looks):
        both = rng.binomial(step, 0.7, size=trials)
        common = rng.binomial(both, 1 - production)
        more = rng.binomial(both - common, 1 - candidate / production)
        alone_a, alone_b = rng.binomial(step - both, 1 - production), rng.binomial(step - both, 1 - candidate)
        wrong, right = wrong + common + more + alone_b, right + step - common - more - alone_b
        wrong_a, right_a = wrong_a + common + alone_a, right_a + step - common - alone_a
        arms = [
            precision.Flags(np.stack(each, axis=1), (-40, 0), (1.0, 1.0))
            for each in ((wrong, right), (wrong_a, right_a))
        ]
        asked = ([0.05] * trials, [flagged_wrongly(test)] * trials, ALPHA)
        passed = passed | (precision.precision_e(*arms, *asked) >= 1 / ALPHA)
        failed = failed | (precision.precision_e_reject(*arms, *asked) >= 1 / ALPHA)
    assert at_most_alpha(passed.mean(), trials)
    assert at_most_alpha(failed.mean(), trials)


def test_an_equal_precision_passes() -> None:
    rng, plan = np.random.default_rng(65), a_plan(gate_of("precision", label='"x"', margin_ppm=50_000))
    for _ in range(20):
        b, a = rng.binomial(4_000, 0.1, size=2)
        cells = [
            a_cell(flags(b), reference_low=flags(a), reference_high=flags(a)),
        ]
        assert only(plan, cells).result == "pass"


def flags(wrong: int) -> Histogram:
    return ((-40, int(wrong)), (0, 4_000 - int(wrong)))


def only(plan: Any, cells: list[Any], **changes: Any) -> Outcome:
    (test,) = assess(plan, some_evidence(*cells, **changes), started_us=START)
    return test


@pytest.mark.parametrize("ratio", [(5, 4), (11, 10)])
def test_a_latency_ratio_at_its_bound_passes_in_at_most_five_percent(ratio: tuple[int, int]) -> None:
    """P99 of lognormal latencies that are correlated by half, 40 trials of 6 looks up to 12,000 pairs."""
    rng, trials = np.random.default_rng(66), 40
    bound = ratio[0] / ratio[1]
    gate = gate_of("latency", "at_most", output=None, quantile_ppm=990_000, ratio=ratio, margin_ppm=0)
    plan, passed = a_plan(gate), 0
    for _ in range(trials):
        shared, mine, theirs = 0.4 * rng.normal(size=(3, 12_000))
        a, b = 100_000 * np.exp(shared + mine), 100_000 * bound * np.exp(shared + theirs)
        for pairs in range(2_000, 12_001, 2_000):
            tail = a_tail(a[:pairs], b[:pairs], ratio)
            cell = a_cell(((0, pairs),), tail=tail, closed_tail=tail)
            if only(plan, [cell], lagging=(0, pairs)).result == "pass":
                passed += 1
                break
    assert at_most_alpha(passed / trials, trials)


def test_an_interval_of_a_latency_ratio_holds_it_in_ninety_percent() -> None:
    """Each end misses at most 5 %, at any of 5 looks; the true ratio is 1.15."""
    rng, trials = np.random.default_rng(67), 40
    gate = gate_of("latency", "at_most", output=None, quantile_ppm=990_000, ratio=(5, 4), margin_ppm=0)
    plan, missed = a_plan(gate), 0
    for _ in range(trials):
        a, b = np.exp(0.5 * rng.normal(size=(2, 10_000))) * np.array([[100_000], [115_000]])
        for pairs in range(2_000, 10_001, 2_000):
            tail = a_tail(a[:pairs], b[:pairs], (5, 4))
            test = only(plan, [a_cell(((0, pairs),), tail=tail, closed_tail=tail)], lagging=(0, pairs))
            if not (test.lower or 0) <= 1.15 <= (test.upper or np.inf):
                missed += 1
                break
    assert at_most_alpha(missed / trials, trials, 0.10)
    assert quantiles.uses_scan(1.1)
    assert not quantiles.uses_scan(1.25)


def hybrid_passes(chances: list[float], trials: int, n_max: int | None, seed: int) -> Any:
    """Of each trial: whether it passes at any of 12 looks before the deadline and three after it.

    After the deadline truth comes late: 30 exchanges are imputed as losses first, of which one half were ties and the
    other wins.
    """
    rng = np.random.default_rng(seed)
    gate = gate_of("accuracy", where=trials_of(trials), n_max=n_max)
    plan = a_plan(gate, duration=Duration(deadline_us=12 * DAY), expected_within_us=2 * DAY)
    counts, passed = np.zeros((trials, 3), dtype=np.int64), np.zeros(trials, dtype=bool)

    def look(now: Any, settled: int, day: int) -> Any:
        cells = [
            a_cell(three_cells(*row), at=place, frontier_us=START + settled * DAY)
            for row, place in zip(now, trials_of(trials), strict=True)
        ]
        evidence = some_evidence(*cells, as_of_us=START + day * DAY)
        return np.array([test.result == "pass" for test in assess(plan, evidence, started_us=START)])

    for day in range(1, 13):
        counts += rng.multinomial(250, chances, size=trials)
        passed |= look(counts, day, day)
    for missing, day in ((30, 15), (12, 18), (0, 25)):
        passed |= look(counts + np.array([missing, -missing // 2, -missing // 2]), 12, day)
    return passed


def test_a_hybrid_gate_at_the_margin_passes_in_at_most_five_percent() -> None:
    passed = hybrid_passes([0.08, 0.86, 0.06], 400, 3_000, seed=68)
    assert at_most_alpha(passed.mean(), 400)
    assert passed.any()


def test_where_traffic_is_short_a_hybrid_gate_finds_more_equal_candidates_than_the_e_value_alone() -> None:
    hybrid, alone = (hybrid_passes([0.15, 0.70, 0.15], 150, n_max, seed=69).mean() for n_max in (3_000, None))
    assert hybrid >= alone + 0.1
