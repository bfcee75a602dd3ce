"""Wrong plans: every problem at once, each with its line, its key, what was found and what would do."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import PlanError
from gnomon.plan import load
from gnomon.records.plan import Plan
from tests.plan.builders import DOCUMENT, FORKED, LEFT_OUT, TEXT, edited, problems_in, problems_of


def test_all_problems_come_at_once_with_their_lines() -> None:
    text = (
        TEXT.replace('version: "1.4"', "version: 1.10")
        .replace("shadow_rate: 20%", "shadow_rat: 20%")
        .replace("margin: 0.5pp", "margin: 0pp")
        .replace("overall: 2000", "overall: many")
        .replace("of: score", "of: scoer")
        .replace("alpha: 5%", "alpha: 70%")
    )
    assert [(p.line, p.key, p.found, p.do) for p in problems_of(text)] == [
        (
            4,
            "production.version",
            "must be text, found the number 1.10",
            'put it in quotes: "1.10" (YAML reads it as 1.1)',
        ),
        (9, "fork.shadow_rat", "is not a key of a plan here", "did you mean shadow_rate?"),
        (
            22,
            "gates[2].agreement.of",
            "is not an output: found 'scoer', declared are label, score, fields",
            "did you mean score?",
        ),
        (
            23,
            "gates[3].error_rate.margin",
            "is zero, which can never be shown: an equal candidate fails it too, however much data comes",
            "write how much worse is acceptable, such as 1pp, or better_than: production",
        ),
        (26, "samples.overall", "must be a whole number, found 'many'", "write it as overall: 2000"),
        (29, "alpha", "must be above 0% and below 50%: found 70%", "write 5%, or less for a stricter promise"),
    ]


def test_the_error_shows_file_line_key_and_the_next_command() -> None:
    with pytest.raises(PlanError) as caught:
        load.parse(TEXT.replace("alpha: 5%", "alhpa: 5%"), Path("trials/plan.yaml"))
    assert str(caught.value) == (
        "trials/plan.yaml has 1 problem:\n"
        "  trials/plan.yaml:29  alhpa  is not a key of a plan here; did you mean alpha?\n"
        "Fix, then run: gnomon check trials/plan.yaml"
    )


CASES: list[tuple[tuple[str | int, ...], Any, str, str]] = [
    # shape
    (("gnomon",), 2, "gnomon", "must be 1, found the number 2"),
    (("gnomon",), True, "gnomon", "must be 1, found true"),
    (("trial",), "Fraud V2", "trial", "must be 1 to 63 of a-z, 0-9 and -"),
    (("trial",), "a.b", "trial", "must be 1 to 63 of a-z, 0-9 and -"),
    (("question",), LEFT_OUT, "question", "is missing"),
    (("question",), None, "question", "is empty"),
    (("production",), "http://x", "production", "must be a mapping, found 'http://x'"),
    (("production", "version"), LEFT_OUT, "production.version", "is missing"),
    (("production", "version"), 2, "production.version", "must be text, found the number 2"),
    (("production", "timeout"), 2, "production.timeout", "has no unit: found the number 2"),
    (("production", "timeout"), "0s", "production.timeout", "must be above 0"),
    (("candidate", "url"), "127.0.0.1:9002", "candidate.url", "is not an http or https URL"),
    (("candidate", "url"), "http://", "candidate.url", "is not an http or https URL"),
    (("candidate", "url"), "http://h:99999", "candidate.url", "is not a URL"),
    (("candidate", "url"), "http://h:1/v2", "candidate.url", "has more than scheme, host and port"),
    (("candidate", "url"), "http://me:pw@h:1", "candidate.url", "carries a user name or password"),
    (
        ("candidate", "authorization_env"),
        "Bearer abc",
        "candidate.authorization_env",
        "is not the name of an environment",
    ),
    (("protocol",), "grpc", "protocol", "must be json or open_inference, found 'grpc'"),
    (("routes",), [], "routes", "is empty"),
    (("routes",), "POST /a", "routes", "must be a list, found 'POST /a'"),
    (("routes", 0), "/predict", "routes[0]", "is not a route"),
    (("routes", 0), "FETCH /predict", "routes[0]", "is not a route"),
    (("routes", 0), "POST /v1/*", "routes[0]", "is not a path: found '/v1/*' (paths are compared exactly"),
    (("routes", 0), "POST /a?b=1", "routes[0]", "is not a path"),
    (("routes", 0), "POST", "routes[0]", "is not a path: found ''"),
    (("routes", 0), "POST /a repeatabel", "routes[0]", "says 'repeatabel' after the path"),
    (("routes", 0), "POST /a repeatable twice", "routes[0]", "says 'repeatable twice' after the path"),
    (("suitability",), LEFT_OUT, "suitability", "is missing"),
    (("suitability", "context"), LEFT_OUT, "suitability.context", "is missing"),
    (("suitability", "context"), "unknown", "suitability.context", "compares nothing"),
    (("suitability", "context"), "stateful", "suitability.context", "production alone holds"),
    (("suitability", "side_effects"), "emails", "suitability.side_effects", "carried out twice"),
    (("suitability", "side_effects"), "unknown", "suitability.side_effects", "carried out twice"),
    (("fork", "mode"), "mirror", "fork.mode", "must be sync or async, found 'mirror'"),
    (("fork", "shadow_rate"), "0%", "fork.shadow_rate", "must be above 0"),
    (("fork", "budget", "in_flight"), 0, "fork.budget.in_flight", "must be greater than or equal to 1"),
    (("samples", "overall"), True, "samples.overall", "must be a whole number, found true"),
    (("samples", "overall"), 1.5, "samples.overall", "must be a whole number"),
    (("gates",), [], "gates", "is empty"),
    (("gates", 0), "accuracy", "gates[0]", "must be a mapping"),
    (("truth", "expected_within"), LEFT_OUT, "truth.expected_within", "is missing"),
    (("unit", "independent"), 1, "unit.independent", "must be true"),
    # between the parts
    (("candidate", "url"), "http://127.0.0.1:9001/", "candidate.url", "is production's address"),
    (("routes",), ["POST /a", "POST /a"], "routes[1]", "repeats routes[0]"),
    (("routes",), ["POST /a", "POST /a repeatable"], "routes[1]", "repeats routes[0]"),
    (("segments", "source", "from"), "header:Authorization", "segments.source.from", "is never captured"),
    (("segments", "source", "from"), "header:cookie", "segments.source.from", "is never captured"),
    (("segments", "source", "from"), "header:X-Gnomon-Id", "segments.source.from", "is removed from every request"),
    (("segments", "source", "from"), "output:predict", "segments.source.from", "which a request does not have"),
    (("segments", "source", "from"), "input:text", "segments.source.from", "which protocol json does not have"),
    (("segments", "source", "from"), "body:source", "segments.source.from", "is not a JSON pointer"),
    (("segments", "source", "from"), "source", "segments.source.from", "is not a selector"),
    (("segments", "source", "values"), ["a", "a"], "segments.source.values[1]", "stands twice"),
    (
        ("segments", "source", "values"),
        ["tweets", "amazon", "other"],
        "segments.source.values[2]",
        "is a reserved word",
    ),
    (("segments", "source", "values"), LEFT_OUT, "segments.source", "declares neither values nor bins"),
    (("segments", "source", "values", 0), 1, "segments.source.values[0]", "must be text, found the number 1"),
    (("segments", "source", "bins"), [1, 2], "segments.source", "declares both values and bins"),
    (("segments", "amount", "bins"), [0, 100, 100], "segments.amount.bins", "must rise"),
    (("segments", "amount", "bins"), [1e9, 1e9 + 1], "segments.amount.bins", "read the same with six digits"),
    (("segments", "overall"), {"from": "body:/a", "values": ["b"]}, "segments.overall", "has a reserved name"),
    (("segments", "My Segment"), {"from": "body:/a", "values": ["b"]}, 'segments["My Segment"]', "cannot be a column"),
    (("output", "label"), "header:x", "output.label", "reads header, which an answer does not have"),
    (("output", "label"), 3, "output.label", "must be a mapping, found the number 3"),
    (
        ("output", "label"),
        {"from": "body:/l", "tolerance": 1.0},
        "output.label.tolerance",
        "no meaning for compare: exact",
    ),
    (
        ("output", "label"),
        {"from": "body:/l", "ignore": ["/a"]},
        "output.label.ignore",
        "no meaning for compare: exact",
    ),
    (("output", "fields", "ignore"), ["id"], "output.fields.ignore[0]", "is not a JSON pointer"),
    (("unit", "closes_after"), LEFT_OUT, "unit.closes_after", "is missing"),
    (("unit", "cluster"), LEFT_OUT, "unit.closes_after", "has no meaning without a cluster"),
    (("unit", "independent"), True, "unit.independent", "contradict each other"),
    (("truth",), LEFT_OUT, "gates[0].accuracy", "needs ground truth"),
    (
        ("gates", 0, "accuracy", "of"),
        LEFT_OUT,
        "gates[0].accuracy",
        "does not say of which output: label, score, fields",
    ),
    (("gates", 0, "accuracy", "margin"), LEFT_OUT, "gates[0].accuracy.margin", "is missing"),
    (("gates", 0, "accuracy", "margin"), "-1pp", "gates[0].accuracy.margin", "must be above 0: found -1pp"),
    (("gates", 0, "accuracy", "margin"), 0, "gates[0].accuracy.margin", "is zero, which can never be shown"),
    (("gates", 0, "accuracy", "margin"), "100pp", "gates[0].accuracy.margin", "allows everything"),
    (("gates", 0, "accuracy", "margin"), {}, "gates[0].accuracy.margin", "is an empty map"),
    (
        ("gates", 0, "accuracy", "margin", "source=tweets"),
        "0%",
        'gates[0].accuracy.margin["source=tweets"]',
        "is zero, which can never be shown",
    ),
    (
        ("gates", 0, "accuracy", "margin", "source=twets"),
        "1pp",
        'gates[0].accuracy.margin["source=twets"]',
        "is not a declared cell: found 'source=twets'",
    ),
    (
        ("gates", 0, "accuracy", "margin", "otherwise"),
        LEFT_OUT,
        "gates[0].accuracy.margin",
        "has nothing for source=amazon, source=other, source=missing, amount=0-100 and 5 more",
    ),
    (("gates", 0, "accuracy", "better_than"), "production", "gates[0].accuracy", "says no_worse_than and better_than"),
    (("gates", 1, "accuracy", "better_than"), LEFT_OUT, "gates[1].accuracy", "does not say what is to be shown"),
    (("gates", 1, "accuracy", "margin"), "1pp", "gates[1].accuracy.margin", "has no meaning for better_than"),
    (("gates", 1, "accuracy", "where"), "everywhere", "gates[1].accuracy.where", "is not a place: found 'everywhere'"),
    (
        ("gates", 1, "accuracy", "where"),
        ["sauce"],
        "gates[1].accuracy.where[0]",
        "is not a declared cell: found 'sauce'",
    ),
    (("gates", 1, "accuracy", "where"), ["source=x"], "gates[1].accuracy.where[0]", "is not a declared cell"),
    (("gates", 1, "accuracy", "where"), ["overall"] * 2, "gates[1].accuracy.where[1]", "stands twice"),
    (("gates", 1, "latency"), {"quantile": "99%", "at_most": "1s"}, "gates[1]", "names accuracy and latency"),
    (("gates", 1), {}, "gates[1]", "names no gate"),
    (("gates", 2, "agreement", "at_least"), "100%", "gates[2].agreement.at_least", "must be above 0% and below 100%"),
    (("gates", 2, "agreement", "at_least"), 0, "gates[2].agreement.at_least", "must be above 0% and below 100%"),
    (("gates", 4, "error_rate", "at_most"), "0%", "gates[4].error_rate.at_most", "must be above 0% and below 100%"),
    (("gates", 5, "latency", "quantile"), "50%", "gates[5].latency.quantile", "must be above 50% and below 100%"),
    (("gates", 5, "latency", "quantile"), "100%", "gates[5].latency.quantile", "must be above 50% and below 100%"),
    (
        ("gates", 5, "latency", "at_most"),
        "1.2 production",
        "gates[5].latency.at_most",
        "is no multiple of production's",
    ),
    (("gates", 5, "latency", "at_most"), "soon", "gates[5].latency.at_most", "is not a duration"),
    (("duration", "deadline"), "7d", "duration.deadline", "must be later than at_least (7d): found 7d"),
    (("duration", "cycle"), "49d", "duration.cycle", "is longer than the deadline (42d)"),
    (("duration", "at_least"), "10d", "duration.at_least", "is not whole cycles of 7d: found 10d"),
    (("integrity", "lost"), "100%", "integrity.lost", "must be from 0% to below 100%"),
    (("alpha",), 0, "alpha", "must be above 0% and below 50%"),
    (("expect", "disagreement"), "0%", "expect.disagreement", "must be above 0%"),
    (("expect", "where", "source=twets"), "1%", 'expect.where["source=twets"]', "is not a declared cell"),
    (("expect", "difference"), "-1pp", "expect", "lets gates[0].accuracy fail at overall: -1pp is expected"),
    (("expect", "difference"), "9pp", "expect", "contradicts itself at source=tweets"),
    (
        ("gates", 4, "error_rate", "expect"),
        {"difference": "0pp"},
        "gates[4].error_rate.expect.difference",
        "has no meaning against a fixed limit",
    ),
    (
        ("gates", 4, "error_rate", "expect"),
        {"disagreement": "1%"},
        "gates[4].error_rate.expect",
        "lets gates[4].error_rate fail at overall: -1pp is expected, above -1pp must be shown",
    ),
]


@pytest.mark.parametrize(("path", "value", "key", "found"), CASES, ids=[f"{c[2]}: {c[3][:40]}" for c in CASES])
def test_what_is_wrong_is_named(path: tuple[str | int, ...], value: Any, key: str, found: str) -> None:
    matching = [p for p in problems_in(edited(path, value)) if p.key == key and found in p.found]
    assert matching, "\n".join(str(p) for p in problems_in(edited(path, value)))
    assert all(p.do for p in matching)


def test_a_tolerance_cannot_be_judged_against_truth() -> None:
    document = edited(("output", "fields", "tolerance"), 0.5)
    document["gates"][0]["accuracy"]["of"] = "fields"
    assert [(p.key, p.found) for p in problems_in(document)] == [
        ("gates[0].accuracy", "looks at fields, whose tolerance makes two different answers both equal to one truth")
    ]


def test_every_segment_needs_segments() -> None:
    document = {key: value for key, value in DOCUMENT.items() if key not in {"segments", "expect"}} | {
        "gates": [{"error_rate": {"at_most": "1%", "where": "every segment"}}]
    }
    assert [(p.key, p.found) for p in problems_in(document)] == [
        ("gates[0].error_rate.where", "says every segment, and none is declared")
    ]


def test_a_broken_part_hides_no_problem_of_another_and_makes_none_up() -> None:
    """The outputs cannot be read, so nothing is said about a gate that names one; the margin is still wrong."""
    text = TEXT.replace("label: body:/label", "label: {frm: body:/label}").replace("margin: 0.5pp", "margin: -1pp")
    assert [(p.line, p.key) for p in problems_of(text)] == [
        (14, "output.label.from"),
        (14, "output.label.frm"),
        (23, "gates[3].error_rate.margin"),
    ]


def test_an_unknown_key_without_a_near_one_lists_the_keys() -> None:
    (problem,) = problems_in(edited(("fork", "zebra"), 1))
    keys = "budget, expires_after, headers, mode, shadow_rate, sticky, strata, twin"
    assert problem.do == f"take it out; the keys here are {keys}"


def test_a_key_of_a_later_version_is_an_error_too() -> None:
    """Accepting what is not acted on would be a promise that nobody keeps."""
    (problem,) = problems_in(edited(("monitor",), {"for": "7d"}))
    assert (problem.key, problem.found) == ("monitor", "is not a key of a plan here")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: None, "is not there"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b"gnomon: 1\ntrial: \xff\n"), "is not UTF-8: byte 0xff in line 2"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.write_text("- a\n"), "is not a mapping of keys"),
        (lambda path: path.write_text("#" * (2 << 20)), "has 2,097,152 bytes"),
    ],
)
def test_a_file_that_is_no_plan_is_one_clear_line(tmp_path: Path, make, found: str) -> None:
    path = tmp_path / "plan.yaml"
    make(path)
    with pytest.raises(PlanError) as caught:
        load.read(path)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert found in problem.found
    assert problem.do


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["0%", "5%", "1d", "production", "body:/a", "source=tweets", "overall", "every segment"]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=3),
    st.dictionaries(
        st.sampled_from(["from", "of", "values", "where", "margin", "by", "rates", "drop", "/predict", "x"]),
        st.text(max_size=5),
        max_size=3,
    ),
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


EDITS = [
    st.tuples(st.just(whole), st.lists(st.tuples(st.sampled_from(_paths(whole)[1:]), values), min_size=1, max_size=3))
    for whole in (DOCUMENT, FORKED)
]


@settings(max_examples=400, deadline=None)
@given(st.one_of(EDITS))
def test_any_edit_is_a_plan_or_a_list_of_problems(drawn: tuple[Any, list[tuple[tuple[str | int, ...], Any]]]) -> None:
    """No other exception, and every problem says what to do."""
    whole, edits = drawn
    document: Any = edited(*edits[0], of=whole)
    for path, value in edits[1:]:
        holder = document
        for part in path[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[path[-1]] = value
    problems = ()
    try:
        assert isinstance(load.from_document(document), Plan)
    except PlanError as error:
        problems = error.problems
    assert all(problem.found and problem.do for problem in problems)
