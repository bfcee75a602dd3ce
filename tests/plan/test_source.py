"""The YAML of a plan: what is read as what, and where it stops being a plan's."""

import pytest

from gnomon.plan import source
from tests.plan.builders import TEXT, problems_of


def test_words_that_older_yaml_took_for_numbers_and_truth_values_are_words() -> None:
    read = source.parse("countries: [NO, on, yes, 12:30, 2024-01-01, 0o17, 1e3, .5]\n")
    assert read.document == {"countries": ["NO", "on", "yes", "12:30", "2024-01-01", 15, 1000.0, 0.5]}
    assert read.findings == []


def test_every_value_knows_its_line() -> None:
    read = source.parse("a: 1\nb:\n  c: [x,\n    y]\n")
    assert {path: place.line for path, place in read.places.items()} == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
    }


def test_a_key_that_stands_twice_names_both_lines() -> None:
    (problem,) = problems_of(TEXT + "alpha: 1%\n")
    assert (problem.line, problem.key, problem.found) == (31, "alpha", "stands twice: first in line 29")


def test_the_first_of_two_keys_is_still_checked() -> None:
    assert [p.line for p in problems_of(TEXT.replace("alpha: 5%", "alpha: 70%") + "alpha: 1%\n")] == [29, 31]


def test_each_line_with_a_tab_is_named() -> None:
    problems = problems_of("gnomon: 1\nfork:\n\tmode: sync\n\tshadow_rate: 5%\n")
    assert [(p.line, p.found, p.do) for p in problems] == [
        (3, "is indented with a tab", "indent with spaces"),
        (4, "is indented with a tab", "indent with spaces"),
    ]


def test_an_alias_is_a_copy() -> None:
    text = TEXT.replace("timeout: 2s}", "timeout: &limit 2s}", 1).replace("timeout: 2s,", "timeout: *limit,", 1)
    assert source.parse(text).document == source.parse(TEXT).document


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: [1\n", 2, "is not YAML: while parsing a flow sequence"),
        ("a: b: c\n", 1, "is not YAML: mapping values are not allowed here"),
        ("a: 1\t# one\n", 1, "cannot start any token"),
        ("a: *nobody\n", 1, "found undefined alias 'nobody'"),
        ("a: 1\n---\nb: 2\n", 2, "holds more than one document"),
        ("a: 'x\n", 2, "found unexpected end of stream"),
        ("a: \x00\n", 0, "is not YAML"),
        ("a: &a [*a]\n", 1, "is nested deeper than 30 levels"),
        ("a: !python/object 3\n", 1, "has a tag: found !python/object"),
        ("b: 1\n<<: {c: 2}\n", 2, "is a merge key"),
        ("1: a\n", 1, "is a key that is not text: found 1"),
        ("? [a]\n: 1\n", 1, "has a key that is a list or a mapping"),
        ("a: .inf\n", 1, "is not a number that a plan can hold: found .inf"),
        ("a: 9007199254740993\n", 1, "is not a number that a plan can hold"),
        ("a: 010\n", 1, "is not a number that a plan can hold: found 010"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_its_line(text: str, line: int, found: str) -> None:
    findings = source.parse(text).findings
    assert [finding for finding in findings if found in finding.found], findings
    assert any(problem.line == line and found in problem.found for problem in problems_of(text))


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    """Ten levels of ten copies each are ten billion values."""
    levels = "".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]\n" for level in range(1, 11))
    (problem,) = problems_of("l0: &l0 [a]\n" + levels)
    assert "is too large: more than 20,000 values once aliases are copied" in problem.found
