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
