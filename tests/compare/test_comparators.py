"""When two answers count as equal, and how far apart they are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon import plugins
from gnomon.ports import WrongShape
from gnomon.records.plan import Output, Selector

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)


def a_comparator(name, **settings):
    return plugins.comparator(Output(name="x", of=Selector(where="body", name="/x"), compare=name, **settings))


def compared(name, production, candidate, **settings):
    comparator = a_comparator(name, **settings)
    ours, theirs = comparator.stored(production), comparator.stored(candidate)
    return comparator.agree(ours, theirs), comparator.distance(ours, theirs)


@pytest.mark.parametrize(
    ("production", "candidate", "agree"),
    [
        ("a", "a", True),
        ("a", "A", False),
        (1, 1.0, True),
        (1, "1", False),
        (1, True, False),
        (None, None, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (2**63, 2**63 + 1, False),
        ("\u00e9", "e\u0301", False),
    ],
)
def test_exact_is_equality_of_json_values(production, candidate, agree):
    assert compared("exact", production, candidate) == (agree, 0.0 if agree else 1.0)


@pytest.mark.parametrize(
    ("production", "candidate", "agree", "distance"),
    [
        (0.5, 0.5, True, 0),
        (0.5, 0.75, True, 0.25),
        (0.5, 0.7501, False, 0.2501),
        (1, 1.25, True, 0.25),
        (-1, 1, False, 2),
    ],
)
def test_number_has_an_absolute_tolerance_that_belongs_to_it(production, candidate, agree, distance):
    found, far = compared("number", production, candidate, tolerance=0.25)
    assert found is agree
    assert far == pytest.approx(distance)


@pytest.mark.parametrize("value", ["1", True, None, [1], {}, math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_a_wrong_shape(value):
    with pytest.raises(WrongShape):
        a_comparator("number").stored(value)


FORM = {"id": 1, "total": 10.0, "who": {"name": "Ann", "city": "Bonn"}, "lines": [{"n": 1, "at": 5}]}


@pytest.mark.parametrize(
    ("change", "distance"),
    [
        ({}, 0),
        ({"id": 2}, 0),  # ignored
        ({"total": 10.05}, 0),  # inside the tolerance
        ({"total": 11}, 1 / 4),
        ({"total": "10.0"}, 1 / 4),
        ({"who": {"name": "Ann", "city": "Köln"}}, 1 / 4),
        ({"who": {"city": "Bonn"}}, 1 / 4),
        ({"who": {}}, 3 / 5),  # name and city are gone, and an empty object has come
        ({"who": None}, 3 / 5),
        ({"lines": [{"n": 1, "at": 6}]}, 0),  # ignored inside a list
        ({"lines": [{"n": 2, "at": 5}]}, 1 / 4),
        ({"lines": []}, 1 / 4),
        ({"more": 1}, 1 / 5),
    ],
)
def test_json_fields_counts_fields(change, distance):
    agree, found = compared("json_fields", FORM, FORM | change, tolerance=0.1, ignore=("/id", "/lines/0/at", "/none/x"))
    assert found == pytest.approx(distance)
    assert agree is (distance == 0)


def test_json_fields_stores_what_is_compared():
    comparator = a_comparator("json_fields", ignore=("/id", "/who/city"))
    assert comparator.stored({"who": {"city": 1, "name": "A"}, "id": 3, "t": 1.0}) == '{"t":1,"who":{"name":"A"}}'
    assert a_comparator("json_fields", ignore=("",)).stored({"a": 1}) == "null"


def test_json_fields_takes_what_is_no_object_as_one_field():
    assert compared("json_fields", [1, 2], [1, 2.05], tolerance=0.1) == (True, 0.0)
    assert compared("json_fields", "a", {"a": 1}) == (False, 1.0)
    assert compared("json_fields", {}, {}) == (True, 0.0)


@given(VALUES)
def test_every_value_agrees_with_itself(value):
    for name in ("exact", "json_fields"):
        assert compared(name, value, value) == (True, 0.0)


@given(VALUES, VALUES, st.sampled_from([0.0, 0.5]))
def test_agreement_has_no_side(one, other, tolerance):
    for name in ("exact", "json_fields"):
        assert compared(name, one, other, tolerance=tolerance) == compared(name, other, one, tolerance=tolerance)


@given(VALUES, VALUES)
def test_the_distance_of_fields_is_a_share_and_zero_means_agreement(one, other):
    agree, distance = compared("json_fields", one, other)
    assert 0 <= distance <= 1
    assert agree is (distance == 0)
    assert agree is compared("exact", one, other)[0]
