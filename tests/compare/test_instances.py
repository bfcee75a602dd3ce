"""The rows of a batch: one for each instance, whatever the arms made of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon import plugins
from gnomon.compare import Comparing, instances
from gnomon.compare.instances import LIMIT
from gnomon.errors import GnomonError
from gnomon.log import tables
from gnomon.plan import load
from gnomon.ports import CannotCompare
from tests.protocols.builders import a_request, an_answer

DOCUMENT = {
    "gnomon": 1,
    "trial": "t",
    "question": "Is it as good?",
    "production": {"version": "1.0", "url": "http://127.0.0.1:1"},
    "candidate": {"version": "2.0", "url": "http://127.0.0.1:2", "timeout": "2s"},
    "protocol": "json",
    "routes": ["POST /predict"],
    "suitability": {"context": "stateless", "side_effects": "none"},
    "fork": {"mode": "sync", "shadow_rate": "100%", "twin": "5%"},
    "segments": {"country": {"from": "body:/country", "values": ["DE", "FR"]}},
    "output": {
        "label": "body:/predictions/*/label",
        "score": {"from": "body:/predictions/*/score", "compare": "number", "tolerance": 0.1},
    },
    "truth": {"key": "body:/instances/*/id", "expected_within": "1d"},
    "unit": {"instances": "body:/instances"},
    "gates": [{"accuracy": {"of": "label", "no_worse_than": "production", "margin": "4pp"}}],
    "samples": {"overall": 100, "every_segment": 10},
    "alpha": "5%",
}
TENSORS = DOCUMENT | {
    "protocol": "open_inference",
    "routes": ["POST /v2/models/m/infer"],
    "segments": {},
    "output": {"label": "output:label"},
    "truth": {"key": "input:id", "expected_within": "1d"},
    "unit": {"instances": "input:x"},
}


def rows(request, production, candidate, *, document=DOCUMENT, **more):
    plan = load.from_document(document)
    made = Comparing(plan).rows(request, production, candidate, late=False, **more)
    return [dict(zip(tables.comparisons(plan).names, row, strict=True)) for row in made]


def a_batch(*ids, **more):
    return a_request({"country": "DE", "instances": [{"id": each} for each in ids]} | more)


def said(*labels, score=0.5):
    return an_answer({"predictions": [{"label": each, "score": score} for each in labels]})


def of(name, made):
    return [row[name] for row in made]


def test_each_instance_has_a_row_with_its_own_key_and_answers():
    made = rows(a_batch("i0", 7, "i2"), said("a", "b", "c"), said("a", "x", "c", score=0.55), twin=said("a", "b", "y"))
    assert of("instance", made) == [0, 1, 2]
    assert of("truth_key", made) == ["i0", "7", "i2"]
    assert of("output_label_production", made) == ['"a"', '"b"', '"c"']
    assert of("output_label_candidate", made) == ['"a"', '"x"', '"c"']
    assert of("output_label_agree", made) == [True, False, True]
    assert of("output_score_agree", made) == [True, True, True]
    assert of("output_label_twin_agree", made) == [True, True, False]
    same = {"id", "time_us", "segment_country", "production_outcome", "candidate_outcome", "candidate_latency_us"}
    assert {name: set(of(name, made)) for name in same} == {
        "id": {"00" * 16},
        "time_us": {1_000_000},
        "segment_country": {"DE"},
        "production_outcome": {"ok"},
        "candidate_outcome": {"ok"},
        "candidate_latency_us": {1_000},
    }


@pytest.mark.parametrize(
    "theirs",
    [
        said("a"),
        said("a", "b", "c"),
        an_answer({"predictions": []}),
        an_answer({"predictions": {"label": "a"}}),
        an_answer({"predictions": [{"label": "a", "score": 1}, {"score": 1}]}),
        an_answer({"predictions": [{"label": "a", "score": 1}, "b"]}),
        an_answer({"predictions": [{"label": "a", "score": 1}, {"label": "b", "score": "high"}]}),
        an_answer({}),
    ],
)
def test_an_arm_that_does_not_answer_for_each_instance_has_failed_for_all(theirs):
    made = rows(a_batch(1, 2), said("a", "b"), theirs)
    assert of("candidate_outcome", made) == ["wrong_shape"] * 2
    assert of("output_label_candidate", made) == of("output_label_agree", made) == [None] * 2
    assert of("output_label_production", made) == ['"a"', '"b"']
    turned = rows(a_batch(1, 2), theirs, said("a", "b"), twin=said("a", "b"))
    assert of("production_outcome", turned) == ["wrong_shape"] * 2
    assert of("output_label_twin_agree", turned) == [None] * 2


def test_an_arm_that_failed_and_a_candidate_that_was_not_called_have_a_row_for_each_instance_too():
    failed = an_answer(b"", outcome="timeout", status=0)
    assert of("candidate_outcome", rows(a_batch(1, 2, 3), said("a", "b", "c"), failed)) == ["timeout"] * 3
    lost = rows(a_batch(1, 2, 3), said("a", "b", "c"), None)
    assert of("state", lost) == ["expired"] * 3
    assert of("output_label_production", lost) == ['"a"', '"b"', '"c"']


@pytest.mark.parametrize("body", [{"country": "DE"}, {"instances": []}, {"instances": "many"}, b"junk"])
def test_a_request_without_instances_is_a_batch_of_one_without_a_key(body):
    (row,) = rows(a_request(body), said("a"), an_answer({"predictions": []}))
    assert (row["instance"], row["truth_key"]) == (0, None)
    assert (row["production_outcome"], row["candidate_outcome"]) == ("ok", "wrong_shape")


def test_keys_that_are_not_one_for_each_instance_are_none():
    document = DOCUMENT | {"truth": {"key": "body:/ids/*", "expected_within": "1d"}}
    assert of("truth_key", rows(a_batch(1, 2, ids=["x", "y"]), said("a", "b"), None, document=document)) == ["x", "y"]
    for ids in (["x"], ["x", "y", "z"], "xy", {}):
        made = rows(a_batch(1, 2, ids=ids), said("a", "b"), None, document=document)
        assert of("truth_key", made) == [None, None]
    made = rows(a_batch(1, 2, ids=["x", None]), said("a", "b"), None, document=document)
    assert of("truth_key", made) == ["x", None]


def test_a_batch_that_is_too_long_cannot_be_compared(monkeypatch):
    assert LIMIT == 10_000
    monkeypatch.setattr(instances, "LIMIT", 2)
    assert len(rows(a_batch(1, 2), said("a", "b"), None)) == 2
    with pytest.raises(CannotCompare, match="holds 3 instances, more than 2"):
        rows(a_batch(1, 2, 3), said("a", "b", "c"), None)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1, max_size=20))
def test_what_an_instance_says_stays_with_it(pairs):
    ours, theirs = zip(*pairs, strict=True)
    made = rows(a_batch(*range(len(pairs))), said(*ours), said(*theirs))
    assert of("instance", made) == list(range(len(pairs)))
    assert of("output_label_production", made) == [json.dumps(each, ensure_ascii=False) for each in ours]
    assert of("output_label_agree", made) == [one == other for one, other in pairs]


# tensors -------------------------------------------------------------------------------------------------------------


def a_tensor(name, data, shape):
    return {"name": name, "datatype": "FP32", "data": data} | ({} if shape is None else {"shape": shape})


def asked(x, ids=None, shape=None):
    inputs = [a_tensor("x", x, shape)] + ([] if ids is None else [a_tensor("id", ids, [len(ids)])])
    return a_request({"inputs": inputs}, target="/v2/models/m/infer")


def answered(data, shape):
    return an_answer({"outputs": [a_tensor("label", data, shape)]})


@pytest.mark.parametrize(
    ("x", "shape"), [([1, 2, 3, 4, 5, 6], [3, 2]), ([[1, 2], [3, 4], [5, 6]], [3, 2]), ([[1, 2], [3, 4], [5, 6]], None)]
)
def test_a_tensor_is_read_along_its_first_dimension(x, shape):
    made = rows(
        asked(x, ["i", "j", "k"], shape), answered(["a", "b", "c"], [3, 1]), answered(["a", "b", "x"], [3]),
        document=TENSORS,
    )  # fmt: skip
    assert of("truth_key", made) == ["i", "j", "k"]
    assert of("output_label_production", made) == ['"a"', '"b"', '"c"']
    assert of("output_label_agree", made) == [True, True, False]
    wide = rows(asked(x, None, shape), answered([1, 2, 3, 4, 5, 6], [3, 2]), None, document=TENSORS)
    assert of("output_label_production", wide) == ["[1,2]", "[3,4]", "[5,6]"]
    assert of("truth_key", wide) == [None] * 3


def test_a_tensor_of_another_length_fails_its_arm():
    for theirs in (answered(["a"], [1]), answered([], [0, 2]), answered(["a", "b"], []), answered(["a", "b"], [3])):
        made = rows(asked([1, 2], None, [2]), answered(["a", "b"], [2]), theirs, document=TENSORS)
        assert of("candidate_outcome", made) == ["wrong_shape"] * 2


def test_one_row_of_a_tensor_is_a_batch_of_one():
    (row,) = rows(asked([1, 2], ["i"], [1, 2]), answered([1, 2], [1, 2]), answered([1, 2], [1, 2]), document=TENSORS)
    assert (row["truth_key"], row["output_label_production"], row["output_label_agree"]) == ("i", "[1,2]", True)


def test_a_protocol_that_cannot_take_tensors_apart_says_so(monkeypatch):
    class Plain:
        read_request = read_answer = None

    monkeypatch.setattr(plugins, "protocol", lambda _: Plain())
    with pytest.raises(GnomonError, match="input:x cannot be read as a batch"):
        Comparing(load.from_document(TENSORS))
