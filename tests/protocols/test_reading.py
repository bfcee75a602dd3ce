"""What each protocol reads from requests and answers, and what it says when it cannot."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon import plugins
from gnomon.errors import GnomonError
from gnomon.ports import MISSING, Unreadable, WrongShape
from gnomon.protocols import message, segment_value
from gnomon.records.plan import Segment
from tests.protocols.builders import a_request, an_answer, at

JSON = plugins.protocol("json")
V2 = plugins.protocol("open_inference")

HEADERS = (("x-country", "DE"), ("x-country", "FR"))
BODY = {"a": {"b": [10, {"c": None}]}, "x/y": 1, "m~n": 2, "": 3, "0": "zero"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("body:", BODY),
        ("body:/a/b/0", 10),
        ("body:/a/b/1/c", None),
        ("body:/a/b/2", MISSING),
        ("body:/a/b/00", MISSING),
        ("body:/a/b/-", MISSING),
        ("body:/a/b/+0", MISSING),
        ("body:/a/b/0/deeper", MISSING),
        ("body:/x~1y", 1),
        ("body:/m~0n", 2),
        ("body:/", 3),
        ("body:/0", "zero"),
        ("header:x-country", "DE"),
        ("header:x-other", MISSING),
        ("query:lang", "de"),
        ("query:empty", ""),
        ("query:none", MISSING),
        ("path:0", "v 2"),
        ("path:1", "models"),
        ("path:2", MISSING),
        ("input:x", MISSING),
    ],
)
def test_a_request_is_read_at_every_place(selector, expected):
    request = a_request(BODY, headers=HEADERS, target="/v%202/models?lang=de&lang=fr&empty=")
    assert JSON.read_request(at(selector), request) == expected or expected is MISSING
    assert (JSON.read_request(at(selector), request) is MISSING) == (expected is MISSING)


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 100_000, b'{"a": "\\ud800"}', b"1 2"])
def test_a_request_that_is_not_json_holds_nothing_and_an_answer_is_unreadable(body):
    assert JSON.read_request(at("body:/a"), a_request(body)) is MISSING
    with pytest.raises(Unreadable):
        JSON.read_answer(at("body:/a"), an_answer(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1, "a": 2}', 2),  # the last one counts
        (b'\xef\xbb\xbf{"a": 1}', 1),
        (b'{"other": NaN, "a": 3}', 3),  # no JSON, but the output can be read
        (b'{"other": 1e999, "a": 3}', 3),
        (b'{"a": 18446744073709551616}', 2**64),
    ],
)
def test_bodies_at_the_edge_of_json(body, expected):
    assert JSON.read_answer(at("body:/a"), an_answer(body)) == expected


@pytest.mark.parametrize("body", [b"{}", b"[]", b"1", b'{"b": 1}'])
def test_an_answer_without_the_output_is_a_wrong_shape(body):
    with pytest.raises(WrongShape):
        JSON.read_answer(at("body:/a"), an_answer(body))


PLAIN = b'{"label": "spam"}'


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(PLAIN, mtime=0)),
        ("x-gzip", gzip.compress(PLAIN[:5], mtime=0) + gzip.compress(PLAIN[5:], mtime=0)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
        ("deflate, gzip", gzip.compress(zlib.compress(PLAIN), mtime=0)),
        ("identity", PLAIN),
    ],
)
def test_a_compressed_body_is_read(coding, body):
    answer = an_answer(body, headers=[("content-encoding", coding)])
    assert JSON.read_answer(at("body:/label"), answer) == "spam"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", PLAIN),
        ("gzip", PLAIN),
        ("gzip", gzip.compress(PLAIN, mtime=0)[:-4]),
        ("deflate", b"\x00\x01"),
    ],
)
def test_a_coding_that_cannot_be_undone_is_unreadable(coding, body):
    with pytest.raises(Unreadable):
        JSON.read_answer(at("body:/label"), an_answer(body, headers=[("content-encoding", coding)]))


def test_a_bomb_is_not_unpacked():
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(80)) + packer.flush()
    with pytest.raises(Unreadable, match="64 MiB"):
        message.decoded(bomb, (("content-encoding", "gzip"),))


def test_a_body_is_parsed_once_for_all_selectors(monkeypatch):
    calls = []
    monkeypatch.setattr(message, "parsed", lambda body: calls.append(body) or json.loads(body))
    protocol = plugins.protocol("json")
    request, answer = a_request({"a": 1, "b": 2}), an_answer({"a": 3})
    for name in ("a", "b", "a"):
        protocol.read_request(at(f"body:/{name}"), request)
    assert protocol.read_answer(at("body:/a"), answer) == 3
    assert len(calls) == 2


# open inference ----------------------------------------------------------------------------------------------------


def tensor(name, data, **more):
    return {"name": name, "datatype": "FP32", "data": data} | more


V2_ANSWER = {
    "model_name": "m",
    "parameters": {"tier": "gold", "a/b": 1},
    "outputs": [
        tensor("one", [0.5], shape=[1, 1]),
        tensor("many", [[1, 2], [3, 4]], shape=[2, 2]),
        tensor("text", ["spam"], shape=[1]),
        tensor("none", [], shape=[0]),
        tensor("short", [1], shape=[2]),
        {"name": "raw", "shape": [1], "parameters": {"binary_data_size": 4}},
    ],
}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("output:one", 0.5),
        ("output:many", [1, 2, 3, 4]),
        ("output:text", "spam"),
        ("output:none", []),
        ("parameter:tier", "gold"),
        ("parameter:a/b", 1),
        ("body:/model_name", "m"),
        ("body:/outputs/0/data/0", 0.5),
    ],
)
def test_named_tensors_and_parameters_of_an_answer(selector, expected):
    assert V2.read_answer(at(selector), an_answer(V2_ANSWER)) == expected


@pytest.mark.parametrize(
    "selector", ["output:nothing", "output:short", "output:raw", "parameter:none", "input:one", "body:/none"]
)
def test_what_is_not_in_an_answer_is_a_wrong_shape(selector):
    with pytest.raises(WrongShape):
        V2.read_answer(at(selector), an_answer(V2_ANSWER))


@pytest.mark.parametrize("body", [[], {"outputs": {}}, {"outputs": [1]}, {"error": "no such model"}])
def test_an_answer_of_another_kind_is_a_wrong_shape(body):
    with pytest.raises(WrongShape):
        V2.read_answer(at("output:one"), an_answer(body))


def test_a_request_of_tensors():
    request = a_request(
        {"inputs": [tensor("amount", [7.0], shape=[1])], "parameters": {"tier": "gold"}}, headers=HEADERS
    )
    assert V2.read_request(at("input:amount"), request) == 7.0
    assert V2.read_request(at("parameter:tier"), request) == "gold"
    assert V2.read_request(at("header:x-country"), request) == "DE"
    assert V2.read_request(at("input:other"), request) is MISSING
    assert V2.read_request(at("input:amount"), a_request(b"junk")) is MISSING


def test_raw_tensors_after_the_json_do_not_hide_it():
    head = json.dumps({"outputs": [tensor("one", [1])], "model_name": "m"}).encode()
    answer = an_answer(head + b"\x00\x01", headers=[("inference-header-content-length", str(len(head)))])
    assert V2.read_answer(at("output:one"), answer) == 1


# segments ----------------------------------------------------------------------------------------------------------

COUNTRY = Segment(name="country", of=at("body:/c"), values=("DE", "7", "true"))
AMOUNT = Segment(name="amount", of=at("body:/c"), edges=(0.0, 100.0, 1000.0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DE", "DE"), ("de", "other"), (7, "7"), (7.0, "7"), ("7", "7"), (True, "true"), ("", "other"), ([7], "other"),
        (None, "missing"), (7.5, "other"),
    ],
)  # fmt: skip
def test_a_declared_value_is_matched_by_its_text(value, expected):
    assert segment_value(JSON, COUNTRY, a_request({"c": value})) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.1, "below"), (0, "0-100"), (99.9, "0-100"), (100, "100-1000"), (1000, "1000-inf"), (10**400, "other"),
        ("250", "100-1000"), ("many", "other"), ("nan", "other"), ("1_0", "other"), (True, "other"), (None, "missing"),
        ([], "other"),
    ],
)  # fmt: skip
def test_bins_are_closed_below_and_open_above(value, expected):
    assert segment_value(JSON, AMOUNT, a_request({"c": value})) == expected


def test_nothing_is_missing():
    assert segment_value(JSON, COUNTRY, a_request({})) == "missing"
    assert segment_value(JSON, AMOUNT, a_request(b"not json")) == "missing"


# pointers ----------------------------------------------------------------------------------------------------------

TREES = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def places(value, pointer=""):
    yield pointer, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")


@given(TREES)
def test_every_place_has_a_pointer_that_finds_it(tree):
    for pointer, value in places(tree):
        assert message.at(tree, pointer) is value


@given(TREES, st.text())
def test_a_pointer_never_raises(tree, noise):
    message.at(tree, "/" + noise)


# plugins -----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_names_what_is_near():
    with pytest.raises(GnomonError, match="open_inference"):
        plugins.protocol("open_inferense")
    with pytest.raises(GnomonError, match="json, open_inference"):
        plugins.protocol("grpc")
