"""The planner's table: units, labels and days of every test, and what is said where something is not known."""

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnomon import forecast
from gnomon.errors import GnomonError
from gnomon.plan import load, size_words, source, traffic
from gnomon.plan.outlook import units_per_request
from gnomon.plan.sized import Sized, Sizing
from gnomon.plan.traffic import Pilot, Seen
from gnomon.records.plan import Plan
from gnomon.stats import precision
from gnomon.stats.betting import Claim

TEXT = """\
gnomon: 1
trial: fraud-v2
question: Is fraud 2.0 as good as 1.4?
production: {version: "1.4", url: "http://127.0.0.1:9001", timeout: 2s}
candidate: {version: "2.0", url: "http://127.0.0.1:9002", timeout: 2s}
routes: [POST /predict]
suitability: {context: stateless, side_effects: none}
segments: {country: {from: body:/country, values: [DE, FR]}}
output: {label: body:/label, score: {from: body:/score, compare: number}}
truth: {key: body:/id, expected_within: 14d}
gates:
  - accuracy: {of: label, no_worse_than: production, margin: 2pp, expect: {disagreement: 10%}}
"""
DOCUMENT: dict[str, Any] = source.parse(TEXT).document
SHARES = ["country=DE:20%", "country=FR:80%"]


def plan_of(*gates: dict[str, Any], **changes: Any) -> Plan:
    """The plan with other gates, and whole top-level keys replaced."""
    document = copy.deepcopy(DOCUMENT) | changes
    if gates:
        document["gates"] = list(gates)
    return load.from_document(document)


def sized(plan: Plan, rate: str = "", shares: list[str] | None = None, pilot: Pilot | None = None) -> Sizing:
    per_day = traffic.rate(rate) if rate else None
    return forecast.size(plan, traffic.traffic(plan, per_day=per_day, shares=shares or [], pilot=pilot))


def row(sizing: Sizing, cell: str = "overall", gate: str | None = None) -> Sized:
    return next(each for each in sizing.tests if each.cell == cell and gate in {None, each.gate})


def accuracy(**changes: Any) -> dict[str, Any]:
    fields = {"of": "label", "no_worse_than": "production", "margin": "2pp", "where": "overall"}
    return {"accuracy": fields | {"expect": {"disagreement": "10%"}} | changes}


@pytest.mark.parametrize(
    ("disagreement", "margin", "simulated"),
    [("10%", "2pp", (1522, 2801, 3781)), ("5%", "1pp", (3015, 5565, 7128)), ("2%", "1pp", (1302, 2299, 2988))],
)
def test_units_are_those_that_were_simulated_for_the_methods(disagreement, margin, simulated) -> None:
    """The simulated quantiles of statistics.md, section 2, were made before this program."""
    gate = accuracy(margin=margin, expect={"disagreement": disagreement})
    assert row(sized(plan_of(gate))).units == pytest.approx(simulated, rel=0.1)


def test_a_limit_is_nearly_as_quick_as_the_fixed_size_says() -> None:
    """statistics.md, section 2: 1 990 for a limit of 1 %, true .5 %, times 1.7 at 80 %."""
    assert row(sized(plan_of({"error_rate": {"at_most": "1%", "where": "overall"}}))).units[1] == pytest.approx(
        1.7 * 1990, rel=0.1
    )


def test_days_are_units_over_what_the_cell_gets_in_whole_cycles_and_the_wait_for_truth() -> None:
    plan = plan_of(fork={"shadow_rate": "50%"}, duration={"cycle": "7d", "at_least": "7d", "deadline": "70d"})
    germany = row(sized(plan, "1000/d", SHARES), "country=DE")
    assert germany.per_day == 100
    assert germany.units[1] is not None
    assert 26 < germany.units[1] / 100 < 28
    assert germany.sampling is not None
    assert germany.sampling[1] == 28
    assert germany.days is not None
    assert germany.days[1] == 28 + 14
    assert germany.requests is not None
    assert germany.requests[1] == 2 * germany.units[1]


def test_a_gate_without_truth_waits_for_none() -> None:
    found = row(sized(plan_of({"error_rate": {"at_most": "1%", "where": "overall"}}), "100k/d"))
    assert found.labels is None
    assert found.days == found.sampling


def test_samples_and_the_least_duration_count() -> None:
    plan = plan_of(accuracy(), samples={"overall": 9000}, duration={"at_least": "10d"})
    found = row(sized(plan, "1M/d"))
    assert found.units == (9000, 9000, 9000)
    assert found.sampling == (10.0, 10.0, 10.0)


def test_labels_are_needed_where_the_arms_differ_and_for_recall_everywhere() -> None:
    recall = {"recall": {"of": "fraud", "output": "label", "no_worse_than": "production", "margin": "5pp"}}
    recall["recall"]["where"] = "overall"
    sizing = sized(plan_of(accuracy(), recall), "1M/d", ["label=fraud:2%"])
    mine, theirs = row(sizing, gate="accuracy"), row(sizing, gate="recall")
    assert mine.labels == tuple(math.ceil(0.1 * units) for units in mine.units)
    assert theirs.labels is not None
    assert theirs.labels[1] == pytest.approx(theirs.units[1] / 0.02, rel=1e-3)
    assert theirs.requests == theirs.labels


def test_a_wider_difference_of_the_arms_takes_longer_and_a_better_candidate_less() -> None:
    plain = row(sized(plan_of(accuracy()))).units[1]
    more = row(sized(plan_of(accuracy(expect={"disagreement": "20%"})))).units[1]
    better = row(sized(plan_of(accuracy(expect={"disagreement": "10%", "difference": "1pp"})))).units[1]
    assert plain is not None
    assert more == pytest.approx(2 * plain, rel=0.1)
    assert better is not None
    assert better < plain / 1.8


def test_without_a_rate_there_are_units_and_no_days() -> None:
    sizing = sized(plan_of())
    assert all(each.days is None and each.units[1] for each in sizing.tests)
    assert sizing.together is None
    assert sizing.reachable
    assert any("add --rate 5/s, or --pilot TRIAL" in warning for warning in sizing.warnings)


def test_a_cell_of_unknown_share_shows_the_share_that_it_needs() -> None:
    sizing = sized(plan_of(duration={"deadline": "28d"}), "1000/d")
    germany = row(sizing, "country=DE")
    assert (germany.share, germany.days, germany.state) == (None, None, "unknown")
    assert germany.requests is not None
    assert germany.share_needed == pytest.approx(germany.requests[1] / 28_000, rel=1e-4)
    assert any("country=DE 9.6 %" in warning and "--share country=DE:20%" in warning for warning in sizing.warnings)
    assert any("country=other 9.6 %" in warning and "or none" in warning for warning in sizing.warnings)


def test_what_the_named_values_leave_falls_into_other_and_is_said() -> None:
    sizing = sized(plan_of(), "1000/d", ["country=DE:20%", "country=FR:50%"])
    assert row(sizing, "country=other").share == pytest.approx(0.3)
    assert row(sizing, "country=missing").state == "empty"
    assert "country=other is taken to have what the named values leave: 30 %." in sizing.assumptions


def test_equal_shares_have_to_be_asked_for() -> None:
    sizing = sized(plan_of(), "1000/d", ["equal"])
    assert row(sizing, "country=DE").share == 0.5
    assert row(sizing, "country=other").share == 0


def test_a_cell_that_cannot_be_reached_is_named_with_its_days() -> None:
    plan = plan_of(fork={"shadow_rate": "50%"}, duration={"cycle": "7d", "deadline": "28d"})
    sizing = sized(plan, "5000/d", ["country=DE:98%", "country=FR:2%"])
    assert sizing.warnings == (
        "accuracy will be inconclusive in country=FR: needs 56 d, the deadline is 28 d.",
        f"{size_words.REMEDY}.",
    )
    assert row(sizing, "country=FR").state == "late"
    assert row(sizing, "country=DE").state == "reached"
    assert sizing.reachable


def test_where_nothing_can_be_reached_the_table_says_so() -> None:
    sizing = sized(plan_of(accuracy(), duration={"deadline": "2d"}), "100/d")
    assert not sizing.reachable


def test_what_is_expected_outside_of_a_gate_never_passes() -> None:
    """The pilot's own error rate is over the limit."""
    plan = plan_of({"error_rate": {"at_most": "1%", "where": "overall"}})
    pilot = a_pilot(Seen(units=1000, sampled=1000, histogram=((-40, 30), (0, 970)), grid=40), "error_rate overall")
    found = row(sized(plan, pilot=pilot))
    assert found.units == (None, None, None)
    assert found.state == "never"


def a_pilot(seen: Seen, of: str = "accuracy overall", **changes: Any) -> Pilot:
    fields: dict[str, Any] = {"trial": "fraud-v1.1", "days": 3.0, "per_day": 1000.0, "shares": {}, "tests": {of: seen}}
    return Pilot(**fields | changes)


def test_a_pilot_says_how_much_comes_where_and_how_often_the_arms_differ() -> None:
    """Twice the planned disagreement takes twice the units."""
    seen = Seen(units=4000, sampled=4000, histogram=((-40, 500), (0, 3200), (40, 300)), grid=40)
    pilot = a_pilot(seen, shares={"country=DE": 0.3, "country=FR": 0.6, "country=other": 0.1, "country=missing": 0.0})
    sizing = sized(plan_of(), pilot=pilot)
    overall, germany = row(sizing), row(sizing, "country=DE")
    assert sizing.requests_per_day == 1000
    assert germany.share == 0.3
    assert overall.units[1] == pytest.approx(2 * germany.units[1], rel=0.1)
    assert "How often the arms differ is what fraud-v1.1 saw in 3 d" in sizing.assumptions[0]


def test_what_is_said_replaces_what_the_pilot_saw_of_a_segment() -> None:
    seen = Seen(units=10, sampled=10, histogram=((0, 10),), grid=40)
    sizing = sized(plan_of(), "5/min", SHARES, a_pilot(seen, shares={"country=DE": 0.5, "country=other": 0.5}))
    assert sizing.requests_per_day == 7200
    assert [row(sizing, f"country={value}").share for value in ("DE", "FR", "other")] == [0.2, 0.8, 0]


def test_units_of_several_requests_take_as_many_more_requests() -> None:
    seen = Seen(units=250, sampled=1000, histogram=((-10, 20), (0, 210), (10, 20)), grid=40)
    plan = plan_of(accuracy())
    known = traffic.traffic(plan, per_day=None, pilot=a_pilot(seen))
    assert units_per_request(plan, known, plan.gates[0], plan.tests[0]) == 0.25
    # D of a quarter where it is not 0, and 40 of 250 units move: as little as a disagreement of one percent
    alike = row(sized(plan_of(accuracy(expect={"disagreement": "1%"})))).units[1]
    assert alike is not None
    assert row(forecast.size(plan, known)).units[1] == pytest.approx(alike, rel=0.35)


def test_a_class_that_never_occurs_is_refused() -> None:
    share = {"share": {"of": "fraud", "output": "label", "within": "1pp of production", "where": "overall"}}
    plan = plan_of(share)
    with pytest.raises(GnomonError, match=r"--share says that it is 0% of the traffic.*cannot be proven"):
        sized(plan, "1000/d", ["label=fraud:0%"])
    none = Seen(units=5000, sampled=5000, histogram=((0, 5000),), grid=40, flagged=0)
    with pytest.raises(GnomonError, match=r"the pilot saw none in 5,000 exchanges; what does not occur"):
        sized(plan, pilot=a_pilot(none, f"{plan.gates[0].id} overall"))
    few = Seen(units=50, sampled=50, histogram=((0, 50),), grid=40, flagged=0)
    assert sized(plan, pilot=a_pilot(few, f"{plan.gates[0].id} overall")).tests[0].state == "reached"


def test_how_often_a_class_occurs_has_to_be_known_for_its_days() -> None:
    recall = {"recall": {"of": "fraud", "output": "label", "no_worse_than": "production", "margin": "5pp"}}
    plan = plan_of({"recall": recall["recall"] | {"where": "overall"}})
    unknown, known = row(sized(plan, "1M/d")), row(sized(plan, "1M/d", ["label=fraud:1%"]))
    assert (unknown.requests, unknown.days, unknown.state) == (None, None, "unknown")
    assert known.per_day == 10_000


STRATA = {"strata": {"by": "body:/country", "rates": {"FR": "100%"}, "otherwise": "10%"}}


def test_a_cell_that_is_sampled_more_often_needs_more_units_and_fewer_requests() -> None:
    sizing = sized(plan_of(fork=STRATA), "1000/d", SHARES)
    germany, france = row(sizing, "country=DE"), row(sizing, "country=FR")
    assert germany.per_day == pytest.approx(20)
    assert france.per_day == pytest.approx(800)
    assert germany.units[1] is not None
    assert france.units[1] is not None
    assert 1.5 * germany.units[1] < france.units[1] < 10 * germany.units[1]
    assert france.requests is not None
    assert germany.requests is not None
    assert france.requests[1] < germany.requests[1] / 4


def test_unknown_strata_are_taken_at_the_lowest_rate_and_that_is_said() -> None:
    sizing = sized(plan_of(accuracy(), fork=STRATA), "1000/d")
    assert row(sizing).per_day == pytest.approx(100)
    assert any("all are taken at the lowest rate" in each for each in sizing.assumptions)
    better = sized(plan_of(accuracy(), fork=STRATA), "1000/d", ["stratum=FR:50%"])
    assert row(better).per_day == pytest.approx(550)
    assert better.tests[0].days is not None
    assert sizing.tests[0].days is not None
    assert better.tests[0].days[1] < sizing.tests[0].days[1]


def test_the_load_is_calls_to_the_candidate_and_to_the_twin() -> None:
    plan = plan_of(fork={"shadow_rate": "20%", "twin": "5%"})
    load_ = forecast.size(plan, traffic.traffic(plan, per_day=traffic.rate("10/s")), price=0.002).load
    assert load_.candidate_calls == pytest.approx(864_000 * 0.2, rel=1e-6)
    assert load_.twin_calls == pytest.approx(864_000 * 0.01, rel=1e-6)
    assert load_.priced == pytest.approx(0.002 * 864_000 * 0.21, rel=1e-6)


def test_a_budget_under_the_mean_rate_takes_longer_and_is_said() -> None:
    plan = plan_of(accuracy(), fork={"budget": {"per_second": 1}})
    sizing = sized(plan, "4/s")
    assert row(sizing).per_day == pytest.approx(86_400)
    assert any("budget of 1 copies a second" in warning for warning in sizing.warnings)


def test_all_tests_together_take_longer_than_the_slowest() -> None:
    sizing = sized(plan_of(), "1000/d", ["equal"])
    slowest = max(each.days[1] for each in sizing.tests if each.days)
    assert sizing.together is not None
    assert sizing.together[1] > slowest
    assert sizing.each_power == pytest.approx(0.8 ** (1 / 3))  # catch-alls without traffic are no obstacle
    alone = sized(plan_of(accuracy()), "1000/d")
    assert alone.together == pytest.approx(alone.tests[0].days, rel=1e-3)


def test_harm_is_found_beyond_the_margin_and_the_sooner_the_larger_it_is() -> None:
    short, long = (sized(plan_of(accuracy(), duration={"deadline": days}), "1000/d") for days in ("7d", "70d"))
    assert short.tests[0].finds is not None
    assert long.tests[0].finds is not None
    assert short.tests[0].finds < long.tests[0].finds < -0.02


def test_a_latency_ratio_is_planned_from_the_spread_of_the_pilot() -> None:
    """statistics.md, section 1.3: true 1.0, bound 1.25, sigma .566: 50 % after 4,000 pairs, 80 % after 5,000."""
    plan = plan_of({"latency": {"quantile": "99%", "at_most": "1.25 x production", "where": "overall"}})
    seen = Seen(units=1000, sampled=1000, histogram=((0, 1000),), grid=40, sigma=0.566)
    half, most, _ = row(sized(plan, pilot=a_pilot(seen, "latency overall"))).units
    assert half == pytest.approx(4000, rel=0.2)
    assert most == pytest.approx(5000, rel=0.2)


def test_precision_is_planned_within_a_fifth_of_a_simulation() -> None:
    """Flags of both arms wrong with the same chance, apart from each other, through the public test."""
    wrong, margin, trials = 0.1, 0.05, 200
    gate = {"of": "fraud", "output": "label", "no_worse_than": "production", "margin": "5pp", "where": "overall"}
    plan = plan_of({"precision": gate | {"expect": {"disagreement": "10%"}}})
    planned = row(sized(plan)).units
    claims = (Claim(margin=wrong + margin, disagreement=wrong, top=0), Claim(margin=wrong, disagreement=wrong, top=0))
    rng, step = np.random.default_rng(5), 50
    mine, theirs = np.zeros((trials, 2), dtype=np.int64), np.zeros((trials, 2), dtype=np.int64)
    ended = np.full(trials, np.inf)
    for look in range(1, 100):
        for counts in (mine, theirs):
            bad = rng.binomial(step, wrong, size=trials)
            np.add(counts, np.stack([bad, step - bad], axis=1), out=counts)
        flags = [precision.Flags(counts, (-40, 0), (1.0, 1.0)) for counts in (mine, theirs)]
        e_values = precision.precision_e(flags[0], flags[1], [margin] * trials, [claims] * trials, 0.05)
        ended[(e_values >= 20) & np.isinf(ended)] = look * step
    assert planned == pytest.approx(np.quantile(ended, [0.5, 0.8, 0.9], method="inverted_cdf"), rel=0.2)


def test_a_hybrid_test_bets_at_half_of_alpha_and_has_one_more_chance_at_the_deadline() -> None:
    """About (1.96 + 0.84)^2 psi / delta^2 = 1,962 pairs, the quick formula of statistics.md, section 2."""
    plan = plan_of(accuracy(), duration={"deadline": "21d"})

    def with_size(n_max: int | None, rate: str) -> Sized:
        (gate,) = plan.gates
        made = structs.replace(gate, tests=(structs.replace(gate.tests[0], n_max=n_max),))
        return row(sized(structs.replace(plan, gates=(made,)), rate))

    alone, hybrid = with_size(None, "100/d"), with_size(2000, "100/d")
    assert alone.units[1] is not None
    assert hybrid.units[1] is not None
    assert hybrid.units[1] > 1.1 * alone.units[1]
    assert alone.state == "late"
    assert hybrid.sampling is not None
    assert hybrid.sampling[1] == 21
    assert hybrid.state == "reached"
    assert with_size(2200, "100/d").state == "late"  # the sealed size is not there by then
    assert with_size(1000, "90/d").state == "late"  # it is, and the power is not


def test_a_segment_whose_values_are_still_to_be_found_has_no_shares() -> None:
    plan = plan_of(accuracy(), segments={"country": {"from": "body:/country", "top": 2, "learn": 500}})
    sizing = sized(plan, "1000/d")
    assert any(each.startswith("The values of country are found when") for each in sizing.assumptions)


@pytest.mark.parametrize(
    ("text", "per_day"),
    [("5/s", 432_000), ("300/min", 432_000), ("1000/h", 24_000), ("20k/d", 20_000), ("1.5M / day", 1.5e6)],
)
def test_a_rate_is_a_number_and_a_time(text, per_day) -> None:
    assert traffic.rate(text) == per_day


@pytest.mark.parametrize("text", ["5", "5/x", "/s", "-1/s", "0/s", "1e9/s", "five/s", "", "9999999M/s", "5/s/s"])
def test_anything_else_is_no_rate_and_one_clear_message(text) -> None:
    with pytest.raises(GnomonError, match=r"^--rate .*write a number and a time, such as --rate 5/s") as caught:
        traffic.rate(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (["country=DE"], ["not a share of a cell", "country=DE:20%"]),
        (["DE:20%"], ["not a share of a cell"]),
        (["country=DE:20"], ["has no unit", "20"]),
        (["country=DE:lots"], ["'lots'", "not a share"]),
        (["country=DE:-5%"], ["negative"]),
        (["country=DR:5%"], ["'DR' is not declared", "declared are DE, FR, other, missing"]),
        (["country=mising:5%"], ["'mising' is not declared", "did you mean missing?"]),
        (["contry=DE:5%"], ["'contry' is no segment and no output", "did you mean country?"]),
        (["country=DE:60%", "country=FR:50%"], ["110%", "cannot be over 100%"]),
        (["label=fraud:5%"], ["no gate looks at label being 'fraud'"]),
        (["stratum=FR:5%"], ["'stratum' is no segment"]),
    ],
)
def test_a_share_that_does_not_fit_is_one_clear_message(shares, words) -> None:
    with pytest.raises(GnomonError) as caught:
        traffic.traffic(plan_of(), per_day=None, shares=shares)
    for word in words:
        assert word in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(
    disagreement=st.integers(1, 60),
    margin=st.integers(1, 20),
    per_day=st.integers(10, 10**7),
    cycle=st.sampled_from(["1d", "7d"]),
)
def test_more_traffic_or_a_wider_margin_never_takes_longer(disagreement, margin, per_day, cycle) -> None:
    def days(width: int, coming: int) -> tuple[float | None, ...]:
        gate = accuracy(margin=f"{width}pp", expect={"disagreement": f"{disagreement}%"})
        found = row(sized(plan_of(gate, duration={"cycle": cycle}), f"{coming}/d")).sampling
        assert found is not None
        return found

    now = days(margin, per_day)
    whole = {"1d": 1, "7d": 7}[cycle]
    for here, wider, busier in zip(now, days(margin + 1, per_day), days(margin, 2 * per_day), strict=True):
        if here is not None:
            assert here % whole == 0
            assert wider is not None
            assert wider <= here
            assert busier is not None
            assert busier <= here
    given_ = [each for each in now if each is not None]
    assert given_ == sorted(given_)
