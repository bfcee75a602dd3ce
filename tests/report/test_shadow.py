"""What a report says of the shadow itself, in all its forms."""

import json
import re

import jsonschema
import msgspec
import pytest
from msgspec import structs

from gnomon import report
from gnomon.records.evidence import LedgerSide
from gnomon.records.facts import ProbeResult
from gnomon.records.plan import Selector, Strata
from gnomon.records.tax import Tax
from gnomon.report import shadow
from tests.report import reports
from tests.report.pages import Page
from tests.report.test_html import HOSTILE
from tests.report.test_markdown import shown, tables

MADE = reports.shadowed()
TAX = MADE.tax


def text_of(made, form):
    if form == "html":
        return Page(report.html(made)).text
    return " ".join(shown(report.markdown(made)).split())


@pytest.mark.parametrize("form", ["html", "markdown"])
@pytest.mark.parametrize(
    "sentence",
    [
        "Gateways: 15,790 requests seen; 7,966 ended there, 7,824 handed over, 0 open. This adds up.",
        "Runner: 7,824 exchanges received; 7,816 paired, 8 expired, 0 open. This adds up.",
        "The declared rate lies OUTSIDE the 95 % interval of the realised one for 1 of 2 strata: otherwise.",
        "8 exchanges of 7,824 in the log are no pair (8 expired). They DIFFER from the pairs: the request's size has",
        "the request's size has a median of 9,120 bytes against 212 bytes.",
        "No difference was found in production's latency. Too few to say: segment source.",
        "With the shadow on, production's median latency was 0.12 ms higher (95 % interval 0.05 to 0.19 ms), measured",
        "0.05 to 0.19 ms), measured in random slices of time without the shadow.",
        "Production's p99 latency: no cost was found; it is between −0.05 and 0.70 ms (95 % interval).",
        "1 of 3 probes did not come through: the shadow's health is UNKNOWN.",
        "LOST: the echo arm was not called (refused)",
        "CHANGED while the trial ran: candidate (1 time).",
    ],
)
def test_every_form_says_it(form, sentence):
    assert sentence in text_of(MADE, form)


def test_the_tables_stand_in_both_forms_for_people():
    page, markdown = text_of(MADE, "html"), report.markdown(MADE)

    assert "otherwise 50 % 15,270 7,424 48.62 % 47.82 % to 49.41 % OUTSIDE" in page
    assert "| otherwise | 50 % | 15,270 | 7,424 | 48.62 % | 47.82 % to 49.41 % | OUTSIDE |" in markdown
    assert "the request's size 9,120 bytes (median of 8) 212 bytes (median of 7,816) 0.0004 DIFFERENT" in page
    assert "source=tweets 3 (37.5 %) 2,510 (32.1 %)" in page
    assert tables(markdown) == [[9] * 10, [7] * 3, [4] * 4, [4] * 4]


def test_the_json_holds_it_and_stays_valid_by_its_schema():
    document = json.loads(report.json(MADE))

    jsonschema.Draft202012Validator(report.report_schema()).validate(document)
    assert msgspec.json.decode(report.json(MADE), type=report.Report) == MADE
    assert document["tax"]["p50_us"] == 120.4
    assert document["description"]["sampling"][1]["inside"] is False
    assert [each["lost_at"] for each in document["probes"]] == [None, "call", None]


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_without_any_of_it_the_report_says_that_it_is_not_known(form):
    text = text_of(reports.empty(), form)

    for sentence in ("No coin has been tossed yet.", "Not looked at.", "Not measured yet."):
        assert sentence in text
    assert "Probes" not in text


def test_hostile_text_is_shown_and_neither_obeyed_nor_a_cell_of_its_own():
    made = reports.shadowed(f"|{HOSTILE}")

    page, markdown = Page(report.html(made)), report.markdown(made)

    assert page.all("script") == page.all("img") == []
    assert page.text.count("<script>window.hacked=1</script>") == 4
    assert tables(markdown) == [[9] * 10, [7] * 3, [4] * 4, [4] * 4]
    assert not re.search("<script|\\u202e", markdown)


# single sentences --------------------------------------------------------------------------------------------------


def a_side(**changes):
    side = LedgerSide(side="gateway", came=10, ended={"unsampled": 4}, handed_over=3, open=3)
    return structs.replace(side, **changes)


@pytest.mark.parametrize(
    ("side", "received", "said"),
    [
        (a_side(), 3, "3 open. This adds up."),
        (a_side(open=1), 5, "1 open; 2 more came to the runner, from gateways that died before they knew."),
        (a_side(open=1), 4, "1 open. This does NOT add up: 2 missing."),
        (a_side(open=4), 9, "4 open. This does NOT add up: 1 too many."),
        (a_side(open=None), 3, "3 handed over. An earlier version of Gnomon wrote this log"),
    ],
)
def test_the_gateways_equality_is_said_as_it_is(side, received, said):
    runner = LedgerSide(side="runner", came=received, ended={}, handed_over=0, open=received)

    gateways, of_runner = shadow.sides([side, runner])

    assert said in gateways
    assert of_runner == f"Runner: {received} exchanges received; none ended, {received} open. This adds up."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "0.12 ms higher (95 % interval 0.05 to 0.19 ms)"),
        (
            {"p50_us": -120.0, "p50_lower_us": -190.0, "p50_upper_us": -50.0},
            "0.12 ms lower (95 % interval 0.05 to 0.19 ms)",
        ),
        (
            {"p50_us": 1.2, "p50_lower_us": 0.4, "p50_upper_us": 2.0},
            "0.0012 ms higher (95 % interval 0.0004 to 0.0020 ms)",
        ),
        ({"p50_lower_us": -1.0}, "no cost was found; it is between −0.0010 and 0.19 ms"),
        ({"p50_us": None, "p50_lower_us": None, "p50_upper_us": None}, "median latency: not measured yet"),
    ],
)
def test_the_cost_is_said_with_its_interval(changes, said):
    assert said in shadow.tax(structs.replace(TAX, **changes))[0]


def test_a_cost_with_nothing_measured_is_not_zero():
    nothing = Tax(**dict.fromkeys(name for name in Tax.__struct_fields__ if name.endswith("_us")), on=0, off=0)

    assert [sentence.count("not measured yet") for sentence in shadow.tax(nothing)] == [1, 1, 0]
    assert shadow.tax(None) == ["Not measured yet."]


def test_coins_that_are_shared_have_no_interval():
    coins = [structs.replace(each, lower=None, upper=None, inside=None) for each in MADE.description.sampling]

    assert shadow.sampling(coins, sticky=True).startswith("Requests with the same sticky value share one coin")
    assert [row[5:] for row in shadow.sampling_rows(coins)] == [("none", "not tested")] * 2


@pytest.mark.parametrize(
    ("sampled", "realised"),
    [(0, "0 %"), (1, "0.001 %"), (99_999, "> 99.99 %"), (100_000, "100.00 %"), (5_000, "5.00 %")],
)
def test_a_realised_rate_is_neither_rounded_to_nothing_nor_to_everything(sampled, realised):
    coin = structs.replace(MADE.description.sampling[0], drawn=100_000, sampled=sampled)

    assert shadow.sampling_rows([coin])[0][4] == realised


def test_losses_that_do_not_differ_are_said_so_and_no_loss_too():
    losses = MADE.description.losses
    alike = structs.replace(losses, factors=tuple(structs.replace(each, p=0.4) for each in losses.factors))

    assert "No difference was found in the request's size, production's latency and segment source." in shadow.losses(
        alike
    )
    assert shadow.losses(structs.replace(losses, states={})) == "Every sampled exchange in the log is a pair."
    assert shadow.losses(structs.replace(losses, states={}, pairs=0)) == "Nothing is in the log yet."


def test_probes_that_are_under_way_are_not_lost():
    well = ProbeResult(kind="equal", gateway="0", time_us=reports.START)

    assert shadow.probes([well]) == "All 1 are in the log as they should be."
    assert shadow.probes([well, structs.replace(well, pending=True)]) == "2 probes: 1 under way, none lost."
    assert shadow.models(MADE.identities[:2]) == "Neither changed."


STRATA = Strata(by=Selector(where="header", name="x-tier"), rates=(("gold", 1 << 32),), otherwise=1 << 30)
AS_SAMPLED = "s sampled, not weighted: a stratum with a higher rate stands here more often than in the traffic."


def with_strata(strata: Strata | None) -> str:
    fork = structs.replace(MADE.declared.fork, strata=strata)
    return text_of(structs.replace(MADE, declared=structs.replace(MADE.declared, fork=fork)), "html")


def test_strata_of_different_rates_are_named_and_what_is_not_weighted_says_so():
    text = with_strata(STRATA)

    assert "sync, shadow rate by header:x-tier: gold 100 %, otherwise 25 %; routes POST /predict" in text
    assert "weigh each unit by its stratum's rate" in text
    for section, ends in (("Segments", "Segment Pairs"), ("Latency", "From the first"), ("Agreement", "Both models")):
        assert AS_SAMPLED in text.split(f" {section} ")[-1].split(ends)[0]


@pytest.mark.parametrize("strata", [None, structs.replace(STRATA, otherwise=1 << 32)])
def test_under_one_rate_nothing_is_said_of_weights(strata):
    text = with_strata(strata)

    assert "s sampled, not weighted" not in text
    assert "weigh each unit" not in text
    assert ("shadow rate 50 %" in text) == (strata is None)
