"""Lost pairs: what blocks, what invalidates, and that looking at it often invalidates nothing by chance."""

import numpy as np
import pytest
from scipy import special

from gnomon.decide.lost import over_limit, shown_over_limit
from gnomon.records.plan import OVERALL, Duration
from tests.decide.parts import DAY, EQUAL, HARMED, TWEETS, WHOLE, a_cell, accuracy, some_evidence, verdict_on
from tests.evidence.trial_log import START, a_plan


@pytest.mark.parametrize(
    ("lost", "sampled", "expected"),
    [
        (0, 4_000, "promote"),
        (40, 4_000, "promote"),  # 1.0 % is not over 1 %
        (41, 4_000, "continue"),  # over it, not shown to be
        (59, 4_000, "continue"),
        (60, 4_000, "invalid"),  # e against "at most 1 %" is 20
        (1, 3, "continue"),
        (5, 100, "continue"),
        (6, 100, "invalid"),
        (0, 0, "promote"),  # nothing was sampled there
    ],
)
def test_a_lost_share_over_the_limit_blocks_and_when_shown_invalidates(lost: int, sampled: int, expected: str) -> None:
    """Blocks at once; invalidates when the e-value against "at most the limit" has reached 1/alpha."""
    evidence = some_evidence(a_cell(EQUAL), sampled={OVERALL: (lost, sampled)})
    assert verdict_on(a_plan(accuracy()), evidence).verdict == expected


def test_a_share_in_any_segment_counts_and_more_cells_need_more_evidence() -> None:
    plan = a_plan(accuracy())
    fine = {f"source={number}": (0, 4_000) for number in range(20)}
    alone = some_evidence(a_cell(EQUAL), sampled={"source=tweets": (60, 4_000)})
    one_of_many = some_evidence(a_cell(EQUAL), sampled={"source=tweets": (60, 4_000), **fine})
    assert verdict_on(plan, alone).verdict == "invalid"
    assert verdict_on(plan, one_of_many).verdict == "continue"
    worse = some_evidence(a_cell(EQUAL), sampled={"source=tweets": (75, 4_000), **fine})
    verdict = verdict_on(plan, worse)
    assert verdict.verdict == "invalid"
    assert verdict.sentence == "Invalid: 75 of 4,000 sampled exchanges on source=tweets were lost, more than 1 %."


def test_a_limit_of_nothing_is_broken_by_the_first_lost_pair() -> None:
    plan = a_plan(accuracy(), lost_ppm=0)
    assert verdict_on(plan, some_evidence(a_cell(EQUAL), sampled={OVERALL: (0, 9)})).verdict == "promote"
    assert verdict_on(plan, some_evidence(a_cell(EQUAL), sampled={OVERALL: (1, 9_000)})).verdict == "invalid"


def test_past_the_deadline_the_plain_share_of_lost_pairs_decides() -> None:
    plan = a_plan(accuracy(), duration=Duration(deadline_us=5 * DAY))
    evidence = some_evidence(a_cell(EQUAL), sampled={"source=news": (41, 4_000)}, as_of_us=START + 30 * DAY)
    verdict = verdict_on(plan, evidence)
    assert verdict.verdict == "invalid"
    assert verdict.sentence == "Invalid: 41 of 4,000 sampled exchanges on source=news were lost, more than 1 %."


TURNS = "came after their cluster was closed (unit.closes_after) and are not counted; a longer closes_after counts them"


def test_exchanges_after_their_cluster_was_closed_hold_a_promotion_up_where_they_are_many() -> None:
    """Users who return, when only their first visit is read: 1 % may be left out, as 1 % may be lost."""
    plan = a_plan(accuracy(), duration=Duration(deadline_us=20 * DAY))
    few = a_cell(EQUAL, seen=4_040, left_out=40)
    assert verdict_on(plan, some_evidence(few)).verdict == "promote"
    many = a_cell(EQUAL, seen=26_957, left_out=22_957)
    verdict = verdict_on(plan, some_evidence(many))
    assert verdict.sentence == f"Continue: every test passes, but 22,957 of 26,957 exchanges overall {TURNS}."
    assert verdict.reasons[0] == f"22,957 of 26,957 exchanges overall {TURNS}"
    assert verdict.reasons[1].endswith("(22,957 after their cluster was closed and not counted)")
    assert verdict.would_change.startswith("A smaller share of exchanges after their cluster was closed")
    late = verdict_on(plan, some_evidence(many, as_of_us=START + 60 * DAY))
    assert late.verdict == "inconclusive"
    harmed = a_cell(HARMED, seen=4_000, left_out=3_000)
    assert verdict_on(plan, some_evidence(harmed)).verdict == "reject"


def test_what_is_left_out_of_one_segment_holds_a_promotion_up_too() -> None:
    plan = a_plan(accuracy(WHOLE, TWEETS))
    evidence = some_evidence(a_cell(EQUAL), a_cell(EQUAL, at=TWEETS, seen=4_100, left_out=100))
    assert f"100 of 4,100 exchanges on source=tweets {TURNS}" in verdict_on(plan, evidence).reasons


def test_what_holds_a_promotion_up_is_said() -> None:
    verdict = verdict_on(a_plan(accuracy()), some_evidence(a_cell(EQUAL), sampled={OVERALL: (41, 4_000)}))
    assert verdict.sentence == (
        "Continue: every test passes, but 41 of 4,000 sampled exchanges overall were lost, more than 1 %."
    )
    assert verdict.would_change == "Fewer lost pairs: the share falls as exchanges are paired."


def test_a_share_at_the_limit_invalidates_in_at_most_five_percent_of_trials_however_often_one_looks() -> None:
    """Three cells at exactly 1 %, 60 looks, 400 trials. The exact bound for one look (Clopper-Pearson), taken at every
    look of every cell instead, invalidates half of them.
    """
    rng = np.random.default_rng(51)
    plan, trials, step = a_plan(accuracy()), 400, 100
    sampled = step * np.arange(1, 61)[:, None]
    names = (OVERALL, "source=tweets", "source=news")
    invalid = blocked = naive = 0
    for _ in range(trials):
        lost = rng.binomial(step, 0.01, size=(60, 3)).cumsum(axis=0)
        looks = [
            some_evidence(sampled={name: (int(n), step * (look + 1)) for name, n in zip(names, row, strict=True)})
            for look, row in enumerate(lost)
        ]
        invalid += any(shown_over_limit(plan, look) for look in looks)
        naive += bool((special.betaincinv(lost, sampled - lost + 1, 0.05) > 0.01).any())
        blocked += any(over_limit(plan, look) for look in looks)
    assert invalid / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
    assert naive / trials > 0.4
    assert blocked == trials  # the plain share is over its limit at some look in every one of them
