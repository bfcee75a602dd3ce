"""One text for one value."""

import json
import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gnomon.ports import WrongShape
from gnomon.protocols import canonical, text

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(VALUES)
def test_the_text_is_rfc_8785s(value):
    assert canonical(value) == rfc8785.dumps(value).decode()


@given(VALUES)
def test_parsing_the_text_gives_the_value_back(value):
    assert canonical(json.loads(canonical(value))) == canonical(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (2**53, "9007199254740992"),
        (2**64 + 1, "18446744073709551617"),
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'),  # by UTF-16 units, as RFC 8785 asks
        ("\x01\u2028/", '"\\u0001\u2028/"'),
    ],
)
def test_known_texts(value, expected):
    assert canonical(value) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, [1, -math.inf], b"", object()])
def test_what_is_no_json_is_a_wrong_shape(value):
    with pytest.raises(WrongShape):
        canonical(value)


def test_people_name_a_string_by_itself_and_the_rest_by_its_json():
    assert [text(value) for value in ("7", 7, 7.0, True, [1])] == ["7", "7", "7", "true", "[1]"]
