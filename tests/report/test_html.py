"""The HTML report: one offline file, readable, with hostile text shown and never obeyed."""

import itertools
import re

import pytest
from msgspec import structs

from gnomon import report
from gnomon.records.evidence import LatencySummary
from gnomon.records.ledger import GATEWAY_STATES, RUNNER_STATES
from gnomon.report import words
from tests.report import reports
from tests.report.pages import NAMES, Page, page

HOSTILE = (
    "<script>window.hacked=1</script>\"><img src=x onerror='window.hacked=1'>{{ 7*7 }}</pre></style></svg>\u202eabc\x00"
)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_asks_for_nothing_from_anywhere(name):
    found = page(name)

    references = [
        value
        for _, attributes in found.elements
        for key, value in attributes.items()
        if key
        in {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background", "formaction", "ping"}
    ]
    assert [value for value in references if not value.startswith("#")] == []
    assert found.all("script") == found.all("link") == found.all("img") == found.all("iframe") == []
    assert not re.search(r"@import|url\((?!#)|https?://|//cdn", found.source)
    assert any("default-src 'none'" in meta.get("content", "") for meta in found.all("meta"))


@pytest.mark.parametrize("name", list(reports.VERDICTS))
def test_the_verdict_comes_first_as_a_word_with_its_sentence(name):
    found, made = page(name), reports.VERDICTS[name]()

    assert made.verdict.verdict == name
    body = found.text.split("What would change it:")[0]
    assert name.upper() in body
    assert made.verdict.sentence.removeprefix(f"{name.capitalize()}: ")[1:] in body
    assert made.verdict.would_change in found.text


def test_a_version_at_the_head_of_the_sentence_keeps_its_letters():
    assert "PROMOTE logreg-2 passes all 7 tests" in page("promote").text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_has_words_and_never_a_placeholder(name):
    assert re.findall(r"\b(?:None|nan|NaN|null|inf|Infinity|undefined)\b", page(name).text) == []


def test_an_empty_trial_says_so_everywhere():
    text = page("empty").text

    for sentence in (
        "Nothing has been shadowed yet.",
        "UNKNOWN: the gateway has not written a ledger yet.",
        "There is no pair to compare yet.",
        "Nothing has been compared yet.",
        "no calls yet",
        "comparisons not there yet",
    ):
        assert sentence in text
    assert "0.0 %" not in text


def test_a_segment_without_requests_is_told_from_one_without_data():
    text = page("continue").text

    assert "source=other ✓ pass 0 / 200 no request fell here" in text
    assert "source=editorials ○ inconclusive 0 / 200 no data" in text


def test_a_quantile_on_a_failed_call_is_said():
    slow = LatencySummary(arm="candidate", calls=3, p50_us=1_500_000, p90_us=None, p99_us=None, failed={"timeout": 2})
    normal = reports.a_description().latency[0]

    text = Page(
        report.html(reports.a_report(reports.FAIR, description=reports.a_description(latency=(normal, slow))))
    ).text

    assert "1.5 s none (failed calls) none (failed calls) timeout 2" in text


@pytest.mark.parametrize("name", NAMES)
def test_headings_are_in_order_and_ids_are_unique(name):
    found = page(name)

    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = [attributes["aria-labelledby"] for _, attributes in found.elements if "aria-labelledby" in attributes]
    assert set(labelled) <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_caption_and_every_chart_a_text(name):
    found = page(name)

    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("figure")) == len(found.all("figcaption")) >= 2
    charts = [attributes for tag, attributes in found.elements if attributes.get("role") == "img"]
    assert len(charts) == len(found.all("svg")) == len(found.all("figure"))
    assert all(len(chart["aria-label"]) > 20 for chart in charts)
    tests = reports.ALL[name]().verdict.tests
    assert all(f"{test.name}: " in charts[0]["aria-label"] for test in tests)


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_charts_scroll_inside_their_own_box(name):
    found = page(name)

    boxes = [attributes for tag, attributes in found.elements if attributes.get("class") == "box"]
    assert len(boxes) == len(found.all("table"))
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def hostile_report():
    plan = reports.a_plan(question=HOSTILE)
    plan = structs.replace(plan, candidate=structs.replace(plan.candidate, version=HOSTILE))
    gates = tuple(structs.replace(gate, sentence=HOSTILE) for gate in plan.gates)
    description = reports.a_description(
        disagreements=(
            reports.a_disagreement(
                1,
                production=HOSTILE,
                candidate=f'"{"</pre>"}<script>"',
                truth=HOSTILE,
                request=HOSTILE,
                segments={"source": HOSTILE},
            ),
        ),
        agreements=(structs.replace(reports.a_description().agreements[0], matrix=((HOSTILE, HOSTILE, 3),)),),
        segments={"source": {HOSTILE: 3}},
    )
    made = reports.a_report(reports.BAD_ON_TWEETS, plan=structs.replace(plan, gates=gates), description=description)
    tests = tuple(structs.replace(test, value=HOSTILE, reason=HOSTILE) for test in made.verdict.tests)
    verdict = structs.replace(
        made.verdict, tests=tests, sentence=HOSTILE, would_change=HOSTILE, reasons=(HOSTILE, "another " + HOSTILE)
    )
    return structs.replace(made, verdict=verdict)


def test_text_of_models_and_users_is_shown_and_never_obeyed():
    made = hostile_report()

    found = Page(report.html(made))

    assert found.all("script") == found.all("img") == []
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
    assert "<script>window.hacked=1</script>" in found.text
    assert "{{ 7*7 }}" in found.text
    assert "\\u202eabc\\u0000" in found.text
    assert not re.search("[\u202e\x00]", found.source)


def test_no_address_and_no_name_of_a_secret_is_in_any_form():
    made = reports.rejected()

    for form in (page("reject").source, report.markdown(made), report.json(made).decode()):
        assert "internal:900" not in form
        assert "SECRET_NAME" not in form


def test_the_ledger_is_summed_in_words():
    assert "15,790 requests seen: 15,790 ended and 0 are open. The ledger adds up." in page("reject").text
    assert "15,804 requests seen: 15,790 ended and 14 are open. The ledger adds up." in page("continue").text
    apart = reports.a_report(reports.FAIR, ledger=reports.LEDGER | {"seen": 15_800})
    assert "10 apart. The ledger does NOT add up." in Page(report.html(apart)).text


def test_what_the_runner_ended_after_the_gateways_were_read_is_no_contradiction():
    found = {"seen": 4_730, "shed:off_slice": 100, "handed_over": 4_628, "received": 4_647, "paired": 4_631, "open": 0}
    summed = words.ledger_sum(found)
    assert summed["adds_up"] == "yes"
    assert "4,730 requests seen: all ended, and of 17 more requests that came since, 1 ended." in summed["sentence"]
    assert words.ledger_sum(found | {"paired": 4_648})["adds_up"] == "no"
    assert words.ledger_sum(found | {"received": 4_630})["adds_up"] == "no"


def test_anomalies_stand_before_the_numbers():
    text = page("invalid").text

    assert text.index("rows are missing") < text.index("Read this first") < text.index("Every test.")


def test_disagreements_stand_side_by_side_with_who_was_right():
    text = page("reject").text

    assert (
        "source=movies production was right ■ production said positive ● candidate said negative truth positive" in text
    )
    assert "truth not known" in text


def test_the_footer_says_how_to_recompute():
    text = page("promote").text

    assert "gnomon verify sentiment-lr.1" in text
    assert reports.DIGEST in text
    assert "ledger version 57, 912 rows" in text
    assert f"{reports.START + 3 * reports.DAY} µs" in text
    assert "2026-09-21T14:13:20Z" in text


def test_the_same_report_gives_the_same_bytes():
    assert report.html(reports.rejected()) == page("reject").source


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(scheme):
    light, dark = re.findall(r":root \{(.*?)\}", page("promote").style, re.DOTALL)[:2]
    colours = variables(light) if scheme == "light" else variables(light) | variables(dark)

    tones = ("pass", "fail", "inconclusive", "candidate", "production")
    for name in ("ink", "muted", *tones):
        for ground in ("page", "paper", "soft") if name in {"ink", "muted"} else ("page", "paper"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for tone in ("pass", "fail", "inconclusive", "candidate"):
        assert contrast(colours["on-tone"], colours[tone]) >= 4.5, tone


def test_every_final_state_of_the_ledger_has_words():
    assert set(words.STATES) == {*GATEWAY_STATES, *RUNNER_STATES}


def test_the_order_is_verdict_gates_progress_time_agreement_latency_ledger_disagreements():
    text = page("every_kind").text

    headings = (
        "CONTINUE", "What would change it:", "Gates All tests", "Targets Soft", "Progress The bar",
        "Evidence over time",
        "What each test rests on", "Segments Pairs", "Agreement label", "Noise floor", "Latency 3 10", "Ledger 15,790",
        "Disagreements to look at", "Attempts Attempt 2", "How to check this report",
    )  # fmt: skip
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)


def test_targets_stand_apart_and_reject_nothing():
    text = page("every_kind").text

    soft = text[text.index("Targets Soft") : text.index("Progress The bar")]
    assert "never blocking" in soft
    assert "faster The criterion of faster in words. overall ○ inconclusive 5,000 / 1,000 +0.20 pp" in soft
    assert "above 0 pp 3.1 0.32 none faster overall: the gates do not all pass yet" in soft
    assert "Targets Soft" not in page("promote").text


def test_a_test_says_what_its_numbers_rest_on():
    text = page("every_kind").text

    assert "accuracy overall 5,000 2026-09-24T14:13:20Z 8 (0.2 %) 21 (0.4 %) 140 4,979 91.2 % 91.4 %" in text
    assert "latency overall 5,000 2026-09-24T14:13:20Z 8 (0.2 %) 21 (0.4 %) 140 not asked 21.3 ms 23 ms" in text
    assert "Closed cycles of 1 d 3" in text
    assert "Declared cost of shadowing a day 40 EUR" in text


def test_why_there_is_no_estimate_no_interval_or_a_fixed_size_test_is_said():
    text = page("every_kind").text

    assert "no estimate below 1.1 x" in text
    assert "No estimate: the candidate starts more than 1 s after production in 3.2 % of the pairs" in text
    assert "No interval: an interval of two ratios is not made." in text
    assert "The one fixed-size test at its sealed size: p 0.031." in text


def test_the_noise_floor_stands_beside_the_agreement():
    text = page("every_kind").text

    assert "label overall 402 2 99.0 % 95.2 % −3.8 pp" in text
    assert "Noise floor" not in page("promote").text


def test_attempts_are_counted_with_the_alpha_that_each_would_have_had():
    text = page("every_kind").text

    assert "1 sentiment-svm.1 svm-1 2026-08-22T14:13:20Z 3 % reject" in text
    assert "this one would have 0.76 %, and every e-value would have to reach 132." in text
    assert "Of those that pass, error_rate overall would not. It is shown, not enforced." in text
    first = structs.replace(reports.promoted(), trial=structs.replace(reports.promoted().trial, attempt=1))
    assert "Attempt 1: no other candidate was tried" in Page(report.html(first)).text


def test_an_expected_date_is_called_an_estimate_and_stands_only_while_the_trial_goes_on():
    made = reports.every_kind()
    dated = [test for test in made.verdict.tests if test.estimate is not None and test.result != "fail"]
    verdict = structs.replace(made.verdict, tests=tuple(dated), targets=())
    shown = report.build(reports.a_trial(), reports.a_plan(), verdict, made.description)

    text = Page(report.html(structs.replace(shown, declared=made.declared))).text

    assert re.search(r"When: If it goes on as it did, the last test \(\S+ overall\) could pass about 2026-09-2\d", text)
    assert "This is an estimate." in text
    assert "When: There is no date yet at which every test could pass" in page("every_kind").text
    assert "When:" not in page("promote").text.split("Looked at")[0]


def test_thresholds_that_differ_are_all_named():
    made = reports.promoted()
    hybrid = structs.replace(made.verdict.tests[0], promote_at=40.0)
    verdict = structs.replace(made.verdict, tests=(hybrid, *made.verdict.tests[1:]))

    assert "e to promote (≥ 20 or 40)" in Page(report.html(structs.replace(made, verdict=verdict))).text
