"""The rehearsal: counts that are what they are drawn to be, and decisions about them that are the public ones."""

from typing import Any

import numpy as np
import pytest

from gnomon import forecast
from gnomon.errors import GnomonError
from gnomon.forecast import rehearsal
from gnomon.plan import rehearse as drawing
from gnomon.plan import traffic
from gnomon.plan.rehearse import Case, Drawn, Rehearsal
from gnomon.plan.traffic import Pilot, Traffic
from gnomon.records.plan import Plan
from tests.plan.test_size import STRATA, accuracy, plan_of

SHARES = ["country=DE:20%", "country=FR:50%"]
TWO = {
    "country": {"from": "body:/country", "values": ["DE", "FR"]},
    "amount": {"from": "body:/amount", "bins": [0, 100]},
}
TWO_SHARES = [*SHARES, "amount=0-100:70%", "amount=100-inf:30%"]
QUICK = {"duration": {"deadline": "20d"}}


def known_of(plan: Plan, shares: list[str] | None = None, per_day: float = 1000) -> Traffic:
    return traffic.traffic(plan, per_day=per_day, shares=SHARES if shares is None else shares)


def rehearsed(plan: Plan, known: Traffic, *, trials: int = 100, seed: int = 1) -> Rehearsal:
    return forecast.rehearse(plan, known, forecast.size(plan, known), trials=trials, seed=seed)


def case(found: Rehearsal, kind: str, gate: str = "") -> list[Case]:
    return [each for each in found.cases if each.kind == kind and each.gate == gate]


def drawn(plan: Plan, known: Traffic, kind: str, *, trials: int = 200, days: float = 30.0, which: int = 0) -> Drawn:
    """The counts of the first gate after some days under one kind of candidate."""
    part, bets, _ = drawing.rehearsed(plan, forecast.claims(plan))
    scenario = [each for each in drawing.scenarios(part, known, bets) if each.kind == kind][which]
    gate = part.gates[0]
    claims = dict(zip((test.cell for test in gate.tests), bets, strict=False))
    found = drawing.draw(part, known, scenario, gate, claims, trials)
    rng = np.random.default_rng(7)
    for _ in range(3):
        found.advance(rng, trials, days / 3)
    return found


def mean(found: Drawn, cell: str) -> float:
    """The mean of D over the traffic of a cell, all trials together."""
    counts = found.counts[cell].sum(axis=0) / np.array(found.rates)[:, None]
    return float((counts.sum(axis=0) @ np.array(found.values)) / counts.sum() / found.grid)


def test_the_cells_of_every_segment_add_up_to_overall_at_every_rate() -> None:
    plan = plan_of({"accuracy": accuracy()["accuracy"] | {"where": "overall and every segment"}}, segments=TWO)
    found = drawn(plan, known_of(plan, TWO_SHARES), "margin")
    for segment in ("country", "amount"):
        cells = [counts for cell, counts in found.counts.items() if cell.startswith(segment)]
        assert np.array_equal(sum(cells), found.counts["overall"])


def test_cells_get_their_share_of_the_traffic() -> None:
    plan = plan_of()
    found = drawn(plan, known_of(plan), "planned")
    whole = found.counts["overall"].sum()
    assert whole == pytest.approx(200 * 30 * 1000, rel=0.01)
    for cell, share in (("country=DE", 0.2), ("country=FR", 0.5), ("country=other", 0.3), ("country=missing", 0.0)):
        assert found.counts[cell].sum() == pytest.approx(share * whole, rel=0.02)


def test_a_regression_is_planted_in_the_smallest_cell_exactly_at_the_margin() -> None:
    plan = plan_of()
    known = known_of(plan)
    at, double, triple = (
        drawn(plan, known, kind, which=which) for kind, which in (("margin", 0), ("worse", 0), ("worse", 1))
    )
    assert mean(at, "country=DE") == pytest.approx(-0.02, abs=0.001)
    assert mean(double, "country=DE") == pytest.approx(-0.04, abs=0.001)
    assert mean(triple, "country=DE") == pytest.approx(-0.06, abs=0.001)
    assert mean(at, "country=FR") == pytest.approx(0, abs=0.001)
    assert mean(at, "overall") == pytest.approx(-0.004, abs=0.001)


def test_weighted_by_their_rates_the_strata_have_the_planted_mean() -> None:
    """Drawn ten times as often, the harmed cell would look ten times as large without weights."""
    plan = plan_of({"accuracy": accuracy()["accuracy"] | {"where": "overall and every segment"}}, fork=STRATA)
    found = drawn(plan, known_of(plan, ["country=DE:80%", "country=FR:20%"]), "margin")
    assert found.rates == (round(0.1 * 2**32), 2**32)
    assert mean(found, "country=FR") == pytest.approx(-0.02, abs=0.001)
    assert mean(found, "overall") == pytest.approx(-0.004, abs=0.0015)


def test_an_error_ratio_is_drawn_exactly_at_its_bound() -> None:
    gate = {"no_worse_than": "production", "margin": "1.5 x production", "where": "overall"}
    plan = plan_of({"error_rate": gate | {"expect": {"disagreement": "6%"}}})
    found = drawn(plan, known_of(plan), "margin", trials=1000)
    counts = dict(zip(found.values, found.counts["overall"].sum(axis=(0, 1)), strict=True))
    both, alone, others = counts[40], counts[120], counts[-80]  # D = (3 A - 2 B) / 3 in steps of 1/120
    assert (both + others) / (both + alone) == pytest.approx(1.5, rel=0.02)


KINDS: dict[str, tuple[dict[str, Any], float]] = {
    "accuracy": ({"of": "label", "better_than": "production"}, 0.0),
    "agreement": ({"of": "label", "at_least": "90%"}, -0.1),
    "share": ({"of": "fraud", "output": "label", "within": "1pp of production"}, -0.01),
    "error_rate": ({"at_most": "2%"}, -0.02),
    "recall": ({"of": "fraud", "output": "label", "no_worse_than": "production", "margin": "5pp"}, -0.05),
    "loss": (
        {
            "output": "label", "costs": {"fraud": {"fine": 10}, "fine": {"fraud": 1}}, "otherwise": 10,
            "no_worse_than": "production", "margin": "3%",
        },
        -0.03,
    ),
    "numeric": ({"of": "score", "scale": [0, 10], "no_worse_than": "production", "margin": "2%"}, -0.02),
    "field": ({"of": ["label", "score"], "no_worse_than": "production", "margin": "3pp"}, -0.03),
    "refusal_rate": (
        {"of": "none", "output": "label", "no_worse_than": "production", "margin": "1pp"}, -0.01,
    ),
    "cost": ({"of": "score", "scale": [0, 100], "no_worse_than": "production", "margin": "2%"}, -0.02),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gate_that_counts_is_rehearsed_at_its_limit(kind: str) -> None:
    gate, limit = KINDS[kind]
    plan = plan_of({kind: gate | {"where": "overall"}}, **QUICK)
    known = known_of(plan, [*SHARES, *(["label=fraud:10%"] if kind == "recall" else [])], per_day=5000)
    assert mean(drawn(plan, known, "margin"), "overall") == pytest.approx(limit, abs=0.0015)
    found = rehearsed(plan, known, trials=60)
    assert found.left_out == ()
    assert all(each.promoted <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5 for each in found.cases if each.gate)


def test_against_the_twin_only_what_the_twin_was_drawn_for_counts() -> None:
    gate = {"of": "label", "no_worse_than": "production", "margin": "2pp", "where": "overall"}
    plan = plan_of({"agreement": gate}, fork={"twin": "5%"})
    found = drawn(plan, known_of(plan), "margin")
    assert found.counts["overall"].sum() == pytest.approx(200 * 30 * 1000 * 0.05, rel=0.02)
    assert mean(found, "overall") == pytest.approx(-0.02, abs=0.002)


def test_the_same_seed_gives_the_same_rehearsal_and_another_one_does_not() -> None:
    plan = plan_of(accuracy(), **QUICK)
    known = known_of(plan)
    found = rehearsed(plan, known, trials=40)
    assert found == rehearsed(plan, known, trials=40)
    assert found.cases != rehearsed(plan, known, trials=40, seed=2).cases


def test_wrong_decisions_stay_under_alpha_and_clear_harm_is_found() -> None:
    agreement = {"agreement": {"of": "label", "at_least": "90%", "where": "overall"}}
    error = {"error_rate": {"no_worse_than": "production", "margin": "1pp", "where": "overall"}}
    plan = plan_of(source_gate(), error, agreement, duration={"cycle": "7d", "deadline": "42d"})
    found = rehearsed(plan, known_of(plan), trials=200)
    assert found.looks == 6
    assert found.days == 42
    assert all(each.holds for each in found.cases if each.limit is not None)
    assert {each.gate for each in found.cases} == {"", "accuracy", "error_rate", "agreement"}
    for gate in ("accuracy", "error_rate", "agreement"):
        assert case(found, "margin", gate)[0].promoted <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
        assert case(found, "worse", gate)[-1].rejected > 0.95
    assert case(found, "equal")[0].promoted > 0.8
    assert rehearsal.CONFIRMED <= found.confirmed < found.ended  # the others' e-values say the same


def source_gate() -> dict[str, Any]:
    return {"accuracy": accuracy()["accuracy"] | {"where": "overall and every segment"}}


def test_e_values_end_a_trial_exactly_where_the_decision_does() -> None:
    """Every look of every trial is given to the decision, and the ends are the same."""
    plan = plan_of(
        source_gate(), samples={"overall": 3000}, duration={"at_least": "4d", "deadline": "20d"}, fork=STRATA
    )
    known = known_of(plan, ["country=DE:80%", "country=FR:20%"], per_day=4000)
    part, bets, _ = drawing.rehearsed(plan, forecast.claims(plan))
    looks, seen = [2.0, 5.0, 8.0, 12.0, 16.0, 20.0], set[str]()
    for scenario in drawing.scenarios(part, known, bets)[1:4]:
        quick = rehearsal._Stage.of(part, known, bets, scenario, 15)
        quick.decided = rehearsal.CONFIRMED  # e-values alone
        slow = rehearsal._Stage.of(part, known, bets, scenario, 15)
        rng, before, ends = np.random.default_rng(3), 0.0, dict[int, tuple[str, float]]()
        for days in looks:
            for each in slow.drawn:
                each.advance(rng, 15, days - before)
            before = days
            for trial in range(15):
                verdict = slow._decide(trial, days)
                if trial not in ends and verdict in {"promote", "reject"}:
                    ends[trial] = (verdict, days)
        found = quick.run(np.random.default_rng(3), looks)
        assert {trial: (end.verdict, end.days) for trial, end in enumerate(found) if end.verdict} == ends
        seen |= {verdict for verdict, _ in ends.values()}
    assert seen == {"promote", "reject"}


@pytest.mark.parametrize(
    ("gate", "fork"),
    [
        (accuracy(), {}),
        ({"error_rate": {"at_most": "1%", "where": "overall"}}, {}),
        (accuracy(where=["country=FR"]), STRATA),
        (accuracy(), STRATA),
    ],
    ids=["difference", "limit", "a cell of weight 1/10", "two weights"],
)
def test_the_planner_is_within_a_tenth_of_trials_that_are_decided(gate, fork) -> None:
    plan = plan_of(gate, fork=fork)
    known = known_of(plan, ["country=DE:70%", "country=FR:30%"], per_day=10_000)
    sampling = forecast.size(plan, known).tests[0].sampling
    assert sampling is not None
    part, bets, _ = drawing.rehearsed(plan, forecast.claims(plan))
    planned = next(each for each in drawing.scenarios(part, known, bets) if each.kind == "planned")
    stage = rehearsal._Stage.of(part, known, bets, planned, 600)
    ends = stage.run(np.random.default_rng(11), [sampling[2] * look / 100 for look in range(1, 261)])
    days = [end.days if end.verdict == "promote" else np.inf for end in ends]
    found = np.quantile(days, [0.5, 0.8, 0.9], method="inverted_cdf")
    assert sampling == pytest.approx(found, rel=0.12)  # 10 %, and two standard errors of a quantile
    assert stage.trusted


def test_the_smallest_harm_of_the_table_is_rejected_in_four_of_five_trials() -> None:
    plan = plan_of(accuracy(), duration={"deadline": "20d"})
    known = known_of(plan, per_day=100)
    finds = forecast.size(plan, known).tests[0].finds
    assert finds is not None
    (claim,) = forecast.claims(plan)
    assert claim is not None
    part, bets, _ = drawing.rehearsed(plan, [claim])
    scenario = drawing.Scenario("found", "worse", {("accuracy", "overall"): drawing.planning.moved(claim, finds) or ()})
    stage = rehearsal._Stage.of(part, known, bets, scenario, 400)
    ends = stage.run(np.random.default_rng(2), [20 * look / 60 for look in range(1, 61)])
    assert sum(end.verdict == "reject" for end in ends) / 400 == pytest.approx(0.8, abs=0.08)


def test_what_is_not_about_counts_is_left_out_by_name() -> None:
    latency = {"latency": {"quantile": "99%", "at_most": "1.25 x production", "where": "overall"}}
    plan = plan_of(accuracy(), latency, **QUICK)
    found = rehearsed(plan, known_of(plan), trials=20)
    assert found.left_out == ("latency",)
    assert "Left out, as no counts of one D are behind them: latency." in found.notes
    alone = plan_of(latency, **QUICK)
    with pytest.raises(GnomonError, match="--simulate draws counts, and latency compares quantiles"):
        rehearsed(alone, known_of(alone), trials=20)


def test_what_has_to_be_known_is_asked_for() -> None:
    plan = plan_of(**QUICK)
    with pytest.raises(GnomonError, match="--simulate needs to know how much comes: add --rate 5/s"):
        rehearsed(plan, traffic.traffic(plan, per_day=None, shares=SHARES))
    with pytest.raises(GnomonError, match=r"share of every cell, and that of country=FR is not known: add --share"):
        rehearsed(plan, known_of(plan, ["country=DE:20%"]))
    recall = {"of": "fraud", "output": "label", "no_worse_than": "production", "margin": "5pp", "where": "overall"}
    rare = plan_of({"recall": recall}, **QUICK)
    with pytest.raises(GnomonError, match='how often "fraud" occurs, which recall is about: add --share label=fraud'):
        rehearsed(rare, known_of(rare))


def test_values_that_are_still_to_be_found_cannot_be_rehearsed() -> None:
    """Nothing would be drawn; a trial that stays empty makes no wrong decision, and would look as if the plan held."""
    segments = {"country": {"from": "body:/country", "top": 8, "learn": 1000}}
    plan = plan_of(accuracy(where="overall and every segment"), segments=segments, **QUICK)
    pilot = Pilot(trial="pilot.1", days=3, per_day=1000, shares={"country=other": 0.0, "country=missing": 0.0})
    for known in (known_of(plan, ["equal"]), traffic.traffic(plan, per_day=None, pilot=pilot)):
        with pytest.raises(GnomonError) as refused:
            rehearsed(plan, known, trials=20)
        assert str(refused.value) == (
            "--simulate draws every cell, and the values of country are not known yet (top: 8): "
            "write values: [...] beside top, or leave --simulate out"
        )
    overall = plan_of(accuracy(where="overall"), segments=segments, **QUICK)
    assert rehearsed(overall, known_of(overall, []), trials=20).ended > 0


def test_a_pilot_that_was_given_is_not_asked_for_again() -> None:
    plan = plan_of(**QUICK)
    pilot = Pilot(trial="pilot.1", days=3, per_day=1000, shares={})
    with pytest.raises(GnomonError, match=r"or --share equal$"):
        rehearsed(plan, traffic.traffic(plan, per_day=None, pilot=pilot))
    with pytest.raises(GnomonError, match=r"or --share equal, or --pilot TRIAL$"):
        rehearsed(plan, known_of(plan, []))


def test_a_plan_without_an_end_needs_a_deadline() -> None:
    never = plan_of(accuracy(expect={"disagreement": "10%", "difference": "-1.99pp"}))
    with pytest.raises(GnomonError, match=r"--simulate has no end.*add duration\.deadline"):
        rehearsed(never, known_of(never))


def test_looks_are_the_ends_of_cycles_and_forty_at_most() -> None:
    assert drawing.look_days(plan_of(duration={"cycle": "7d"}), 30) == (7, 14, 21, 28)
    many = drawing.look_days(plan_of(duration={"cycle": "1d"}), 400)
    assert len(many) == 40
    assert many[-1] == 400
    assert all(day == int(day) for day in many)
    assert len(drawing.look_days(plan_of(), 10)) == 40
