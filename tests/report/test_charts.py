"""Charts: Altair objects that draw offline as SVG and PNG."""

import re
import xml.etree.ElementTree as ET

import altair as alt
import pytest
from msgspec import structs

from gnomon.records.evidence import Agreement
from gnomon.report import charts
from tests.report import reports

ARROW = r'd="M-?3\.354,0'  # the tip of the triangle at an interval's end


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
    assert "&lt;/text&gt;&lt;script" in drawn


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
