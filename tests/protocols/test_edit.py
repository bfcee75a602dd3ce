"""Bodies that are changed: what a pointer does not name stays as it was, digit by digit."""

import pytest

from gnomon.ports import Unreadable
from gnomon.protocols import edit


@pytest.mark.parametrize(
    ("before", "pointer", "after"),
    [
        (b'{"a": 1}', "/a", b'{"a":"v"}'),
        (b'{"a": 1}', "/b", b'{"a":1,"b":"v"}'),
        (b"{}", "/a/b/c", b'{"a":{"b":{"c":"v"}}}'),
        (b'{"a": [1, {"b": 2}]}', "/a/1/b", b'{"a":[1,{"b":"v"}]}'),
        (b"[1, 2]", "/0", b'["v",2]'),
        (b'{"a/b": 1, "~": 2}', "/a~1b", b'{"a/b":"v","~":2}'),
        (b'{"a/b": 1, "~": 2}', "/~0", b'{"a/b":1,"~":"v"}'),
        (b'{"0": 1}', "/0", b'{"0":"v"}'),
        (b"7", "", b'"v"'),
        (b'{"n": 1.10, "m": 1E400, "o": 123456789012345678901, "a": 1}', "/a",
         b'{"n":1.10,"m":1E400,"o":123456789012345678901,"a":"v"}'),
        (b'{"a": 1, "a": 2}', "/b", b'{"a":2,"b":"v"}'),
    ],
)  # fmt: skip
def test_a_value_is_put_where_the_pointer_points(before, pointer, after):
    assert edit.written(edit.put(edit.read(before), pointer, "v")) == after


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (b'{"a": 1}', "/a/b"),
        (b'{"a": null}', "/a/b"),
        (b'{"a": "text"}', "/a/0"),
        (b'{"a": [1]}', "/a/1"),
        (b'{"a": [1]}', "/a/-"),
        (b'{"a": [1]}', "/a/01"),
        (b'{"a": [1]}', "/a/3/b"),
        (b"7", "/a"),
    ],
)
def test_what_cannot_be_reached_is_said(document, pointer):
    with pytest.raises(edit.Unreachable):
        edit.put(edit.read(document), pointer, "v")


@pytest.mark.parametrize("body", [b"", b"{", b"{} {}", b"\xff\xfe{", b'"\\ud800"', b"[" * 5000, b"NaN", b"<html>"])
def test_what_is_not_json_is_not_read(body):
    with pytest.raises(Unreadable) as error:
        edit.read(body)
    assert str(error.value) == "the body is not JSON"


def test_lenient_keeps_what_many_servers_write():
    assert edit.written(edit.read(b'\xef\xbb\xbf{"a": [NaN, -Infinity, 1.50]}', lenient=True)) == (
        b'{"a":[NaN,-Infinity,1.50]}'
    )


def test_places_with_wildcards_and_removal_in_any_order():
    document = edit.read(b'{"items": [{"a": 1}, {"b": 2}, {"a": 3}], "x": {"a": 4}}')
    assert [container[key] for container, key in edit.places(document, "/items/*/a")] == [1, 3]
    assert [container[key] for container, key in edit.places(document, "/*/a")] == [4]
    assert edit.places(document, "/items/3") == edit.places(document, "/none/*") == edit.places(document, "") == []
    edit.remove([place for pointer in ("/items/0", "/items/1", "/x") for place in edit.places(document, pointer)])
    assert edit.written(document) == b'{"items":[{"a":3}]}'
