"""Charts: Altair objects that draw offline as SVG and PNG."""

import itertools
import re
import xml.etree.ElementTree as ET

import altair as alt
import pytest
from msgspec import structs

from gnomon.records.evidence import Agreement
from gnomon.report import charts, figures, scales, words
from gnomon.report.history import History
from tests.report import reports

ARROW = r'd="M-?3\.354,0'  # the tip of the triangle at an interval's end


def rows_of(chart, key: str) -> list[dict]:
    """The rows that hold `key`, each data set once."""
    found = {
        id(layer): [row for row in layer["data"]["values"] if key in row]
        for panel in chart.to_dict()["vconcat"]
        for layer in panel["layer"]
    }
    return [row for rows in found.values() for row in rows]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", [*reports.VERDICTS, "empty"])
def test_the_forest_names_every_cell_with_its_result_and_draws_the_margin(name):
    made = {**reports.VERDICTS, "empty": reports.empty}[name]()

    chart = charts.forest(made.verdict, made.declared.gates)
    drawn = texts(charts.svg(chart))

    assert isinstance(chart, alt.VConcatChart)
    assert {"accuracy", "error_rate", "latency", "margin −4 pp", "at most 1 %"} <= set(drawn)
    for test in made.verdict.tests:
        assert (f"source={test.value}" if test.value else "overall") in drawn
    assert sum(text.startswith(("pass: ", "fail: ", "inconclusive: ")) for text in drawn) == len(made.verdict.tests)


def test_a_forest_without_the_plan_still_draws():
    drawn = texts(charts.svg(charts.forest(reports.rejected().verdict)))

    assert "fail: -15.7 pp" in drawn


def test_an_interval_that_goes_on_ends_in_an_arrow():
    made = reports.continuing()
    wide = tuple(
        structs.replace(test, lower=-0.9, upper=0.9) for test in made.verdict.tests if test.estimate is not None
    )

    arrows = charts.svg(charts.forest(structs.replace(made.verdict, tests=wide), made.declared.gates))
    none = charts.svg(charts.forest(reports.promoted().verdict, made.declared.gates))

    assert len(re.findall(ARROW, arrows)) == 2 * len(wide)
    assert not re.findall(ARROW, none)


def test_values_of_models_are_text_in_a_chart_and_never_markup():
    hostile = '</text><script>alert(1)</script>"&'
    agreement = Agreement(output="label", cell="overall", pairs=3, agree=3, matrix=((hostile, hostile, 3),))

    drawn = charts.inline(charts.agreement(reports.a_description(agreements=(agreement,)), "label"))

    assert "<script" not in drawn
    assert "&lt;/text&gt;&lt;" in drawn


def test_two_values_with_the_same_beginning_keep_their_own_row():
    long = ['"' + "x" * 40 + end + '"' for end in "ab"]
    agreement = Agreement(
        output="label", cell="overall", pairs=5, agree=2, matrix=((long[0], long[0], 2), (long[0], long[1], 3))
    )

    drawn = texts(charts.svg(charts.agreement(reports.a_description(agreements=(agreement,)), "label")))

    assert len([text for text in drawn if text.startswith("xxx")]) == 4


def test_the_string_other_is_not_the_folded_rest():
    matrix = (('"other"', '"other"', 2), ("other", "other", 3), ('"a"', "failed", 1))
    agreement = Agreement(output="label", cell="overall", pairs=6, agree=5, matrix=matrix)

    drawn = texts(charts.svg(charts.agreement(reports.a_description(agreements=(agreement,)), "label")))

    assert {"other", "(other)", "(failed)"} <= set(drawn)


def test_an_output_that_was_not_described_is_an_error():
    with pytest.raises(KeyError, match="score"):
        charts.agreement(reports.a_description(), "score")


def test_charts_are_saved_as_svg_and_png(tmp_path):
    chart = charts.latency(reports.a_description(), limit_us=250_000)

    charts.save(chart, tmp_path / "latency.svg")
    charts.save(chart, tmp_path / "latency.png")

    assert "limit" in texts((tmp_path / "latency.svg").read_text())
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        charts.save(chart, tmp_path / "latency.gif")


def test_inline_charts_take_every_colour_from_the_page():
    made = reports.rejected()

    for chart in (
        charts.forest(made.verdict, made.declared.gates),
        charts.latency(made.description, 250_000),
        charts.agreement(made.description, "label"),
    ):
        drawn = charts.inline(chart)
        visible = re.sub(r'fill="#4c78a8" fill-opacity="0"', "", drawn)
        assert not re.findall(r'(?:fill|stroke)="(#[0-9a-f]+|white|black|grey|gray)"', visible)
        assert 'fill="var(--' in drawn


def test_a_panel_of_each_kind_has_its_own_scale_and_its_margin():
    made = reports.every_kind()

    drawn = texts(charts.svg(figures.forest(made)))

    for line in (
        "margin −1 pp",
        "at most 10 %",
        "bound 1.2 x",
        "margin −2 %",
        "at most 40 %",
        "margin −0.05",
        "margin 0",
    ):
        assert line in drawn
    for axis in (
        "← worse  ·  agreement: candidate minus production's twin, percentage points  ·  better →",
        "← worse  ·  share of fraud: production minus candidate, percentage points  ·  better →",
        "← worse  ·  error rate: production minus candidate / 1.5, percentage points  ·  better →",
        "← worse  ·  p99 latency: the candidate's over production's  ·  better →",
        "← worse  ·  loss: production minus candidate, percent of the largest cost  ·  better →",
        "← worse  ·  the candidate's mean tokens, percent of the scale  ·  better →",
        "← worse  ·  mean of the custom function, −1 to 1  ·  better →",
    ):
        assert axis in drawn
    assert "inconclusive: 1.08 x" in drawn
    assert "faster  ·  target, soft: it blocks nothing" in drawn


def test_a_ratio_is_drawn_with_less_on_the_right():
    made = reports.every_kind()
    gate = next(gate for gate in made.declared.gates if gate.id == "latency")
    test = next(test for test in made.verdict.tests if test.gate == "latency")

    chart = charts.forest(structs.replace(made.verdict, tests=(test,), targets=()), [gate])
    row = rows_of(chart, "cell")[0]

    assert (row["margin"], row["estimate"], row["lower"], row["upper"]) == (-1.2, -1.08, -1.26, -0.97)
    assert row["zone"] < row["margin"]


def test_a_test_without_an_estimate_says_why_in_its_row():
    made = reports.every_kind()

    drawn = texts(charts.svg(figures.forest(made)))

    assert "inconclusive: no estimate" in drawn
    assert any(text.startswith("No estimate: the candidate starts more than 1 s after production") for text in drawn)


def test_sixty_cells_with_long_names_keep_sixty_different_rows():
    made = reports.many()

    drawn = texts(charts.svg(figures.forest(made)))

    cells = {text for text in drawn if text.startswith("merchant_c")}
    assert len(cells) == 57
    assert {cell[-7:] for cell in cells} == {f"name-{number:02d}" for number in range(57)}


def test_progress_draws_every_test_with_its_words_and_its_date():
    made = reports.every_kind()

    drawn = texts(charts.svg(charts.progress(made.progress)))

    assert [text for text in drawn if " of 1,000 units; e " in text] == [words.progress(each) for each in made.progress]
    assert "5,000 of 1,000 units; e 3.1 of 20; about 2026-09-29" in drawn
    assert "faster  ·  target, soft" in drawn


def test_e_values_draw_both_thresholds_and_a_point_for_each_look():
    made = reports.every_kind()

    drawn = charts.svg(charts.e_values(made.history))

    assert {"threshold 20", "threshold 200"} <= set(texts(drawn))
    assert {"Evidence to promote: against “worse than the margin”"} <= set(texts(drawn))
    rows = rows_of(charts.e_values(made.history), "time")
    assert len(rows) == 12 * (19 + 18)  # the target is only in the upper panel: it rejects nothing


def test_where_names_have_no_room_those_that_do_not_pass_come_first_and_the_rest_is_counted():
    made = reports.many()

    drawn = texts(charts.svg(charts.e_values(made.history)))

    named = [text for text in drawn if text.startswith("accuracy ")]
    open_tests = [test for test in made.verdict.tests if test.result == "inconclusive"]
    assert len(open_tests) > 14
    assert len(named) == 2 * 14
    assert drawn.count("and 46 more without a name here") == 2


def test_names_at_the_ends_of_lines_never_cover_each_other():
    for made in (reports.many(), reports.every_kind(), reports.rejected()):
        drawn = ET.fromstring(charts.svg(charts.e_values(made.history)))
        for panel in drawn.iter("{http://www.w3.org/2000/svg}g"):
            if "mark-text" not in panel.get("class", ""):
                continue
            named = [each for each in panel if (each.text or "").startswith(("accuracy ", "latency ", "error_rate "))]
            heights = sorted(float(each.get("transform").split(",")[1].rstrip(")")) for each in named)
            assert all(after - before > 11 for before, after in itertools.pairwise(heights))


def test_no_look_one_look_and_a_look_without_data_are_drawn():
    one = reports.rejected().history
    empty = reports.empty().history

    assert "no look was kept yet" in texts(charts.svg(charts.e_values(History())))
    assert "time of the look (UTC)" in texts(charts.svg(charts.e_values(one)))
    assert "threshold 20" in texts(charts.svg(charts.e_values(empty)))


def test_the_ledger_is_drawn_with_every_state_and_says_what_was_lost():
    made = reports.rejected()

    drawn = texts(charts.svg(charts.ledger(made.verdict.ledger)))

    assert {"paired", "unsampled", "expired", "7,816 (49.5 %)", "8 (0.1 %), lost"} <= set(drawn)
    assert "no request yet" in texts(charts.svg(charts.ledger({"open": 0})))


def test_the_bound_of_a_ratio_stands_beside_the_latencies():
    made = reports.every_kind()

    drawn = texts(charts.svg(figures.latency(made)))

    assert "1.2 x production" in drawn
    assert "1.1 x production" not in drawn  # that test has no quantile of production


def test_every_figure_is_saved_under_a_plain_name(tmp_path):
    made = reports.every_kind()
    description = structs.replace(
        made.description,
        agreements=(structs.replace(made.description.agreements[0], output="a/b c"),),
    )

    written = figures.save(structs.replace(made, description=description), tmp_path / "new" / "folder")

    names = ["forest", "progress", "e_values", "agreement-a_b_c", "latency", "ledger"]
    assert [path.name for path in written] == [f"{name}.{suffix}" for name in names for suffix in ("svg", "png")]
    assert all(path.read_bytes().startswith((b"<svg", b"\x89PNG")) for path in written)


def test_scales_name_what_they_show_for_every_kind():
    said = {gate.id: scales.axis(gate) for gate, _ in reports.KINDS}

    assert len(set(said.values())) == len(said)
    assert said["refusal_rate"] == "share of the candidate's answers that refuse"
    assert said["precision:fraud"] == "precision of fraud: candidate minus production, percentage points"
    assert said["field"] == "share of right fields: candidate minus production, percentage points"


@pytest.mark.parametrize("name", reports.ALL)
def test_what_is_drawn_unchecked_is_valid_vega_lite(name):
    for chart in figures.figures(reports.ALL[name]()).values():
        chart.to_dict(validate=True)
