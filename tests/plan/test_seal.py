"""The digest covers what moves the inference, and nothing else."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.plan import load, seal
from tests.plan.builders import DOCUMENT, FORKED, LEFT_OUT, PATH, TEXT, edited
from tests.plan.every_kind import KINDS

DIGEST = seal.seal(DOCUMENT).digest


def _shuffled(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        draw.shuffle(keys)
        return {key: _shuffled(value[key], draw) for key in keys}
    return [_shuffled(item, draw) for item in value] if isinstance(value, list) else value


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_move_it(draw: random.Random) -> None:
    shuffled = _shuffled(DOCUMENT, draw)
    assert seal.seal(shuffled) == seal.seal(DOCUMENT)
    assert seal.seal(json.loads(json.dumps(shuffled, indent=3))).digest == DIGEST


def test_comments_white_space_and_style_do_not_move_it() -> None:
    text = TEXT.replace("alpha: 5%", "alpha:    '5%'   # not 10%\n\n").replace("[POST /predict]", "\n  - POST /predict")
    assert seal.seal(load.parse(text, PATH).document).digest == DIGEST


OPERATION = [
    (("production", "url"), "http://10.0.0.1:80"),
    (("candidate", "url"), "https://10.0.0.1"),
    (("production", "authorization_env"), "OTHER"),
    (("candidate", "authorization_env"), LEFT_OUT),
    (("fork", "budget"), {"in_flight": 1}),
    (("fork", "budget"), LEFT_OUT),
    (("fork", "budget", "per_second"), 7),
]


@pytest.mark.parametrize(("path", "value"), OPERATION)
def test_operation_settings_do_not_move_it(path: tuple[str, ...], value: Any) -> None:
    assert seal.seal(edited(path, value)).digest == DIGEST
    assert seal.operations(edited(path, value)) != seal.operations(DOCUMENT)


def test_a_budget_alone_is_as_if_fork_were_left_out() -> None:
    assert seal.seal(edited(("fork",), {"budget": {"in_flight": 3}})) == seal.seal(edited(("fork",), LEFT_OUT))


RECORD: list[dict[str, Any]] = [
    {"drop": ["body:/other"]},
    {"drop": ["body:/a"], "mask": ["query:a"]},
    {"digest": ["header:x"]},
    {"keep_bodies": "1d"},
]


@pytest.mark.parametrize("record", RECORD, ids=str)
def test_what_the_log_keeps_is_operation(record: dict[str, Any]) -> None:
    """What was compared was compared before it is redacted."""
    assert seal.seal(edited(("record",), record)).digest == DIGEST
    assert seal.operations(edited(("record",), record))["record"] == record
    assert seal.changes(FORKED, edited(("record",), record, of=FORKED)) == []
    assert seal.seal(edited(("record",), LEFT_OUT, of=FORKED)) == seal.seal(FORKED)


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, item in items for leaf in _leaves(item, (*path, key))]
    return found or [path]


SEALED = [
    leaf
    for leaf in _leaves(DOCUMENT)
    if leaf[1:2] not in {("url",), ("authorization_env",)} and leaf[:2] != ("fork", "budget")
]


FORK = [
    leaf
    for leaf in _leaves(FORKED)
    if leaf[:2] in {("production", "identity"), ("candidate", "identity"), ("candidate", "rewrite")}
    or leaf[0] in {"fork", "guards"}
]


@pytest.mark.parametrize("path", FORK, ids=str)
def test_who_is_copied_and_what_the_candidate_gets_moves_it(path: tuple[str | int, ...]) -> None:
    before = seal.seal(FORKED).digest
    assert seal.seal(edited(path, "something else", of=FORKED)).digest != before
    assert seal.seal(edited(path, LEFT_OUT, of=FORKED)).digest != before


@pytest.mark.parametrize("path", SEALED, ids=str)
def test_any_other_value_moves_it(path: tuple[str | int, ...]) -> None:
    assert seal.seal(edited(path, "something else")).digest != DIGEST


DECISION = [leaf for leaf in _leaves(KINDS) if leaf[-1] not in {"url", "cost_per_day"}]


@pytest.mark.parametrize("path", DECISION, ids=str)
def test_everything_that_moves_the_decision_moves_it(path: tuple[str | int, ...]) -> None:
    """Margins, forms, costs, scales, digests of code, policies, capacity, twin, top and its names, targets too."""
    assert seal.seal(edited(path, "something else", of=KINDS)).digest != seal.seal(KINDS).digest


@pytest.mark.parametrize("path", [leaf for leaf in SEALED if isinstance(leaf[-1], str)], ids=str)
def test_a_key_left_out_moves_it_even_if_it_said_the_default(path: tuple[str | int, ...]) -> None:
    """Keys left out stay out: the digest is over what was declared, not over what this version makes of it."""
    assert seal.seal(edited(path, LEFT_OUT)).digest != DIGEST


def test_the_digest_is_sha_256_of_the_canonical_text() -> None:
    """By hand: RFC 8785 sorts keys, takes the spaces out, writes 1.0 as 1; the digest is sha256sum's."""
    sealed = seal.seal({"b": [1.0, "é"], "a": {"d": False, "c": 0.01}})
    assert sealed.canonical == '{"a":{"c":0.01,"d":false},"b":[1,"é"]}'.encode()
    assert sealed.digest == "c782601e2517097986a1267caffad8dedba4ecbd1404fd647690dec2c75999f3"


def test_a_known_plan_keeps_its_digest() -> None:
    """Sealed by the first version of the program: a newer one, whatever it can declare besides, seals it the same."""
    assert DIGEST == "e8dfa90653d0201410d7a5e63d4db7b1c225f7f3b86c06ab68e4d99cb3a84531"


def test_a_known_plan_with_strata_guards_and_rewrites_keeps_its_digest() -> None:
    assert seal.seal(FORKED).digest == "00b5b95b112252e5717f34659d8a419105c438bbbf2a5923494ca8596c146f09"


def test_a_repeatable_route_is_sealed_as_it_stands() -> None:
    assert seal.changes(DOCUMENT, edited(("routes", 0), "POST /predict repeatable")) == [
        "routes[0]: 'POST /predict', now 'POST /predict repeatable'"
    ]


def test_sealing_changes_no_document() -> None:
    before = copy.deepcopy(DOCUMENT)
    seal.seal(DOCUMENT)
    seal.operations(DOCUMENT)
    assert before == DOCUMENT


def test_what_changed_is_said_by_key() -> None:
    after = edited(("gates", 0, "accuracy", "margin", "overall"), "2pp") | {"alpha": "1%"}
    del after["integrity"]
    after["production"]["url"] = "http://elsewhere"
    assert seal.changes(DOCUMENT, after) == [
        "gates[0].accuracy.margin.overall: '1pp', now '2pp'",
        "integrity: {'lost': '1%'}, now left out",
        "alpha: '5%', now '1%'",
    ]
