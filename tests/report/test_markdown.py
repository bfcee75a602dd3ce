"""The Markdown report: a comment for a pull request."""

import string

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec import structs

from gnomon import report
from gnomon.report import comment, words
from tests.report import reports
from tests.report.test_html import HOSTILE, hostile_report

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def tables(markdown: str) -> list[list[int]]:
    """For each table the number of cells of each row."""
    found: list[list[int]] = []
    for token in MARKDOWN.parse(markdown):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append(0)
        elif token.type in {"th_open", "td_open"}:
            found[-1][-1] += 1
    return found


def shown(markdown: str) -> str:
    """The text a reader sees, without the signs of no width."""
    texts = [child.content for token in MARKDOWN.parse(markdown) for child in token.children or []]
    return "".join(texts).replace("\u200b", "")


def test_every_verdict_has_its_word_its_table_its_ledger_and_its_digest():
    for name, made in reports.VERDICTS.items():
        text = report.markdown(made())

        assert name.upper() in text.splitlines()[0]
        assert tables(text) == [[9] * 10]
        assert "The ledger adds up." in text
        assert reports.DIGEST[:16] in text
        assert "`gnomon verify sentiment-lr.1`" in text


def test_an_empty_trial_has_words_for_what_is_not_known():
    text = report.markdown(reports.empty())

    assert "log up to nothing yet" in text
    assert text.count("no data") == 7
    assert text.count("no request fell here") == 2


def test_a_hostile_name_neither_breaks_the_table_nor_becomes_markup():
    made = hostile_report()
    value = "a|b\n| c | `x` [l](javascript:1) @someone #12 $x$ " + HOSTILE
    tests = tuple(structs.replace(test, value=value) for test in made.verdict.tests)

    text = report.markdown(structs.replace(made, verdict=structs.replace(made.verdict, tests=tests)))

    assert tables(text) == [[9] * 10]
    kinds = {child.type for token in MARKDOWN.parse(text) for child in token.children or []}
    assert kinds <= {"text", "code_inline", "strong_open", "strong_close", "softbreak", "text_special"}
    assert "@someone" not in text
    assert "#12" not in text


def test_no_answer_and_no_request_is_in_a_comment():
    text = report.markdown(reports.rejected())

    assert "never dull" not in text
    assert "Not exactly the service" not in text


def test_a_long_table_shows_what_does_not_pass_first_and_says_what_it_leaves_out():
    made = reports.rejected()
    good = [test for test in made.verdict.tests if test.result == "pass" and test.gate == "accuracy"]
    bad = next(test for test in made.verdict.tests if test.result == "fail")
    many = (*(structs.replace(good[0], segment="s", value=f"v{n}") for n in range(200)), bad)

    text = report.markdown(structs.replace(made, verdict=structs.replace(made.verdict, tests=many)))

    assert tables(text) == [[9] * (comment.MOST_ROWS + 1)]
    assert "source=tweets | ✕ fail" in text
    assert "141 more tests are in the JSON and HTML reports." in text


@given(st.text(alphabet=string.printable + "é漢\u202e", max_size=60))
def test_escaped_text_is_shown_as_it_was_written(text):
    """Whatever the text, a reader of the Markdown sees it, on one line."""
    line = " ".join(words.clean(text).split())

    assert shown(f"x {comment.escape(text)} x") == f"x {line} x" if line else True


@given(st.text(alphabet=string.printable + "é漢", max_size=60))
def test_escaped_text_stays_in_its_cell(text):
    assert tables(f"| a | b |\n| --- | --- |\n| {comment.escape(text)} | y |\n") == [[2, 2]]


def test_why_there_is_no_estimate_targets_noise_and_attempts_are_in_the_comment():
    text = shown(report.markdown(reports.every_kind()))

    for sentence in (
        "latency:p50 overall: No estimate: the candidate starts more than 1 s after production in 3.2 % of the pairs",
        "precision:fraud overall: No interval: an interval of two ratios is not made.",
        "Noise floor of label: production agrees with its own twin on 99.0 % of 400 pairs, the candidate",
        "Attempt 2 against this production on these routes; shared over all attempts, alpha would be 0.76 % here",
        "Targets (soft: reported, never blocking)",
    ):
        assert sentence in text
    assert tables(report.markdown(reports.every_kind()))[:2] == [[9] * 19, [9] * 2]


def test_a_test_nothing_has_settled_for_has_no_line_of_its_own_without_a_reason():
    made = reports.every_kind()
    name = "recall:fraud"
    empty = {"units": 0, "estimate": None, "lower": None, "upper": None, "no_estimate": "no settled pairs"}
    tests = tuple(
        structs.replace(test, **empty, cell=structs.replace(test.cell, low=(), high=())) if test.gate == name else test
        for test in made.verdict.tests
    )
    text = report.markdown(structs.replace(made, verdict=structs.replace(made.verdict, tests=tests)))

    assert "| recall:fraud | overall | ○ inconclusive | 0 / 1,000 | no data | none |" in text
    assert [line for line in text.splitlines() if line.startswith("- recall:fraud")] == []
    assert [line for line in text.splitlines() if line.startswith("- ") and line.endswith(": ")] == []
    assert "- precision:fraud overall: No interval" in text


def test_while_a_trial_goes_on_the_last_date_is_in_the_comment_as_an_estimate():
    made = reports.every_kind()
    tests = tuple(test for test in made.verdict.tests if test.estimate is not None and test.result != "fail")
    verdict = structs.replace(made.verdict, tests=tests, targets=())
    built = report.build(reports.a_trial(), reports.a_plan(gates=made.declared.gates), verdict, made.description)

    assert "Expected (an estimate): the last test, accuracy overall, about 2026-09-28." in shown(report.markdown(built))
    assert "Expected" not in report.markdown(reports.promoted())
