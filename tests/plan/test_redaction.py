"""What is kept out of the log stands in none of its columns."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.plan import load, selectors
from gnomon.records.plan import Plan, Selector
from tests.plan.builders import FORKED, edited, problems_in

FIELDS = {"from": "body:/r", "compare": "json_fields"}


@pytest.mark.parametrize("pointer", ["/id", "", "/*"])
@pytest.mark.parametrize(("name", "does"), [("drop", "drops"), ("mask", "masks"), ("digest", "digests")])
def test_a_key_that_the_log_must_not_hold_is_refused(pointer: str, name: str, does: str) -> None:
    document = edited(("record",), {name: [f"body:{pointer}"]}, of=FORKED)
    document["output"] = {}
    document["gates"] = [{"error_rate": {"at_most": "1%"}}]
    assert [(p.key, p.found, p.do) for p in problems_in(document)] == [
        (
            "truth.key",
            f"reads what record {does} (body:{pointer}): its value stands in a column of the log",
            f"read another place, or take body:{pointer} out of record.{name}",
        )
    ]


@pytest.mark.parametrize(
    ("path", "value", "redacted", "key"),
    [
        (("unit",), {"cluster": "header:x-user-id", "closes_after": "1h"}, "header:X-User-ID", "unit.cluster"),
        (("unit",), {"cluster": "query:user", "closes_after": "1h"}, "query:user", "unit.cluster"),
        (("output", "label"), "body:/result", "body:/result/card", "output.label"),
        (("output", "label"), "body:/result/0/label", "body:/result/*/label", "output.label"),
        (("output", "label"), FIELDS | {"ignore": ["/b"]}, "body:/r/a", "output.label.from"),
        (("output", "label"), FIELDS | {"ignore": ["/a/b"]}, "body:/r/a", "output.label.from"),
        (("output", "label"), FIELDS | {"ignore": ["/0/b"]}, "body:/r/*/b", "output.label.from"),
        (("output", "label"), FIELDS | {"ignore": ["/*"]}, "body:/r/*", "output.label.from"),
    ],
)
def test_every_column_of_a_value_is_looked_at(path: tuple[str, ...], value: Any, redacted: str, key: str) -> None:
    document = edited(path, value, of=FORKED) | {"record": {"drop": [redacted]}}
    document["fork"] = {}
    assert [p.key for p in problems_in(document)] == [key]


@pytest.mark.parametrize(
    ("path", "value", "redacted"),
    [
        (("output", "label"), "body:/result/label", "body:/result/card"),
        (("output", "label"), "body:/items/0/label", "body:/items/*/card"),
        (("output", "label"), FIELDS | {"ignore": ["/a"]}, "body:/r/a/b"),
        (("output", "label"), FIELDS | {"ignore": ["/a"]}, "body:/*/a"),
        (("truth", "key"), "header:x-id", "query:x-id"),
        (("segments", "country", "from"), "body:/land", "body:/land"),
        (("fork", "strata", "by"), "header:x-tenant", "header:x-tenant"),
    ],
)
def test_what_stands_in_no_column_may_be_kept_out(path: tuple[str, ...], value: Any, redacted: str) -> None:
    document = FORKED | {"truth": {"expected_within": "14d"}, "record": {"drop": [redacted]}}
    assert isinstance(load.from_document(edited(path, value, of=document)), Plan)


@pytest.mark.parametrize(
    ("output", "redacted", "refused"),
    [
        ("output:label", "body:/outputs/*/data", True),
        ("output:label", "body:/outputs/0", True),
        ("output:label", "body:/outputs/0/name", False),
        ("output:label", "body:/inputs/*/data", False),
        ("parameter:a/b", "body:/parameters/a~1b", True),
        ("parameter:a", "body:/parameters/b", False),
    ],
)
def test_a_tensor_stands_in_a_body_too(output: str, redacted: str, refused: bool) -> None:
    document = edited(("output", "label"), output, of=FORKED) | {
        "protocol": "open_inference",
        "record": {"mask": [redacted]},
    }
    if refused:
        assert [p.key for p in problems_in(document)] == ["output.label"]
    else:
        assert isinstance(load.from_document(document), Plan)


TOKENS = st.sampled_from(["a", "b", "0", "1", "*", "~0", "~1"])
VALUES = st.recursive(
    st.just(0),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "0", "*", "~", "/"]), inner),
    max_leaves=12,
)


def _pointer(tokens: list[str]) -> str:
    return "".join(f"/{token}" for token in tokens)


def _places(value: Any, tokens: list[str], taken: tuple[str, ...] = ()) -> list[str]:
    """By the meaning of `*`: the pointers of all that a redaction takes out of a value."""
    if not tokens:
        return [_pointer(list(taken))]
    head, *rest = tokens
    found: list[str] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        token = str(key).replace("~", "~0").replace("/", "~1")
        if head in {"*", token}:
            found += _places(inner, rest, (*taken, token))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKENS, max_size=4), st.lists(TOKENS, max_size=4), VALUES)
def test_no_value_lets_a_redacted_place_into_a_column(redaction: list[str], read: list[str], value: Any) -> None:
    """Whatever the body is: where they do not overlap, what is read holds nothing of what is taken out."""
    of = Selector(where="body", name=_pointer(read))
    apart = not selectors.overlap(Selector(where="body", name=_pointer(redaction)), of)
    touching = [
        place
        for place in _places(value, redaction)
        if f"{place}/".startswith(f"{of.name}/") or f"{of.name}/".startswith(f"{place}/")
    ]
    assert not (apart and touching)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, max_size=4), st.lists(TOKENS, max_size=4), st.lists(TOKENS, max_size=3))
def test_overlap_is_equality_inside_and_above(one: list[str], other: list[str], more: list[str]) -> None:
    def overlap(redaction: list[str], read: list[str]) -> bool:
        made = [Selector(where="body", name=_pointer(tokens)) for tokens in (redaction, read)]
        return selectors.overlap(*made)

    assert overlap(one, one)
    assert overlap(one, [*one, *more])
    assert overlap([*one, *more], one)
    assert overlap(["*"] * len(one), [*one, *more])
    if overlap(one, [*other, *more]):  # a longer place is inside of the shorter one
        assert overlap(one, other)
