"""Redaction: a planted secret is found nowhere in what the log may hold."""

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.protocols.redact import Redactor
from gnomon.records.plan import Redaction
from tests.protocols.builders import at

KEY = bytes(range(32))
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)


def a_redactor(*, drop=(), mask=(), digest=(), key=KEY):
    ways = {"drop": drop, "mask": mask, "digest": digest}
    return Redactor(Redaction(**{way: tuple(map(at, each)) for way, each in ways.items()}), key)


def body_of(redactor, body, headers=JSON):
    return redactor.answer(headers, body)[1]


def test_each_way_leaves_what_it_says():
    redactor = a_redactor(drop=["body:/card"], mask=["body:/users/*/name"], digest=["body:/user"])
    body = b'{"card": "4111", "users": [{"name": "Ann", "n": 1.50}, {"name": "Bob"}], "user": {"id": 7}}'
    found = json.loads(body_of(redactor, body))
    assert found["users"] == [{"name": "***", "n": 1.5}, {"name": "***"}]
    assert "card" not in found
    assert len(found["user"]) == 32
    assert found["user"] == json.loads(body_of(redactor, b'{"user": {"id": 7.0}}'))["user"]
    assert found["user"] != json.loads(body_of(redactor, b'{"user": {"id": 8}}'))["user"]
    other = a_redactor(digest=["body:/user"], key=b"another")
    assert found["user"] != json.loads(body_of(other, b'{"user": {"id": 7}}'))["user"]


def test_digests_need_a_key():
    with pytest.raises(ValueError, match="needs a key"):
        a_redactor(digest=["header:x-user"], key=b"")


def test_headers_and_query_parameters():
    redactor = a_redactor(
        drop=["header:x-card", "query:card"], mask=["header:x-name", "query:na me"], digest=["query:user"]
    )
    headers = (("x-card", "1"), ("accept", "*/*"), ("x-name", "Ann"), ("x-card", "2"), ("x-name", "Bob"))
    query = "card=1&q=%20x&na%20me=Ann&c%61rd=2&na+me=Bob&user=7&user=%37"
    target, kept, body = redactor.request(f"/p?{query}", headers, b"raw")
    assert kept == (("accept", "*/*"), ("x-name", "***"), ("x-name", "***"))
    digest = target.rpartition("=")[2]
    assert target == f"/p?q=%20x&na%20me=***&na+me=***&user={digest}&user={digest}"
    assert len(digest) == 32
    assert body == b"raw"
    assert redactor.request("/p?card=1", (), b"") == ("/p", (), b"")


def test_without_a_place_in_the_body_a_body_stays_byte_for_byte():
    redactor = a_redactor(drop=["header:x-card"])
    packed = gzip.compress(b'{"card": 1}')
    headers = (("content-encoding", "gzip"), *JSON)
    assert redactor.answer(headers, packed) == (headers, packed)
    assert not a_redactor()
    assert a_redactor(mask=["query:q"])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>4111</html>", JSON),
        (b'{"card": "4111"} 4111', JSON),
        (b'{"card": "4111"', JSON),
        (b'{"x": "\\ud800", "card": "4111"}', JSON),
        ('{"card": "4111"}'.encode("utf-16"), JSON),
        (b'{"card": "4111"}', (("content-encoding", "br"), *JSON)),
        (b'{"card": "4111"}', (("content-encoding", "gzip"), *JSON)),
        (b"[" * 4000 + b'{"card": "4111"}' + b"]" * 4000, JSON),
        (b'data: {"card": "4111"}\n\n', JSON),
        (b'data: {"a":\ndata: 1}\n\n', EVENTS),
        (b"data: 4111 card\n\n", EVENTS),
    ],
)
def test_a_body_that_cannot_be_searched_is_left_out(body, headers):
    redactor = a_redactor(drop=["body:/card"])
    assert redactor.answer(headers, body)[1] is None
    assert redactor.request("/", headers, body)[2] is None


def test_an_empty_body_holds_nothing_and_stays():
    assert body_of(a_redactor(drop=["body:/card"]), b"") == b""


def test_indexes_count_the_elements_as_they_came():
    redactor = a_redactor(drop=["body:/0", "body:/1"], mask=["body:/2"])
    assert body_of(redactor, b'["a", "b", "c", "d"]') == b'["***","d"]'


def test_the_whole_body():
    assert body_of(a_redactor(drop=["body:"]), b'{"a": 1}') is None
    assert body_of(a_redactor(mask=["body:"]), b'{"a": 1}') == b'"***"'


def test_a_value_that_came_twice_in_an_object_does_not_stay_beside_the_one_that_counts():
    redactor = a_redactor(mask=["body:/a/card"])
    assert body_of(redactor, b'{"a": {"card": "4111"}, "a": 1}') == b'{"a":1}'
    assert body_of(redactor, b'{"a": {"card": "4111", "c\\u0061rd": "4112"}}') == b'{"a":{"card":"***"}}'


def test_events_are_searched_one_by_one_and_comments_do_not_stay():
    redactor = a_redactor(mask=["body:/card"])
    stream = (
        b'\xef\xbb\xbf: 4111\r\nevent: delta\r\nid: 4\r\nevent: {"card"}\r\n'
        b'data:{"card": "4111", "n": 1.0}\r\n\r\ndata: [DONE]\r\n\r\n'
    )
    assert body_of(redactor, stream, EVENTS) == b'event: delta\nid: 4\ndata: {"card":"***","n":1.0}\n\ndata: [DONE]\n\n'


SECRET = "4111-1111"
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
KEYS = st.sampled_from(["card", "a/b", "~", "0", "é", "*x", "", "\n"])
CODINGS = {
    "": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "gzip, deflate": lambda body: zlib.compress(gzip.compress(body)),
}


def escaped(text, chance):
    """A JSON string in which some characters are written as \\uXXXX."""

    def one(character):
        if ord(character) < 0x10000 and chance.random() < 0.4:
            return f"\\u{ord(character):04x}"
        return json.dumps(character, ensure_ascii=False)[1:-1]

    return f'"{"".join(map(one, text))}"'


@settings(max_examples=150, deadline=None)
@given(
    way=st.sampled_from(["drop", "mask", "digest"]),
    path=st.lists(st.tuples(st.booleans(), KEYS, st.booleans()), min_size=1, max_size=5),
    secret=st.sampled_from([SECRET, [SECRET], {SECRET: 1}, {"x": [1, {"y": SECRET}]}]),
    beside=VALUE,
    coding=st.sampled_from(sorted(CODINGS)),
    events=st.booleans(),
    twice=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
def test_a_secret_under_a_declared_pointer_is_found_nowhere(way, path, secret, beside, coding, events, twice, chance):
    """Whatever the nesting, the escapes, the coding, and a key that comes twice."""
    content = json.dumps(secret)
    if secret == SECRET:
        content = escaped(SECRET, chance)
    pointer = ""
    for in_array, key, wildcard in reversed(path):
        other = json.dumps(beside)
        if in_array:
            content = f"[{other}, {content}]"
            token = "*" if wildcard else "1"
        else:
            again = f"{escaped(key, chance)}: {content}, " if twice else ""
            content = f'{{"beside": {other}, {again}{escaped(key, chance)}: {content}}}'
            token = "*" if wildcard else key.replace("~", "~0").replace("/", "~1")
        pointer = f"/{token}{pointer}"
    body = f"data: {content}\n\n" if events else content
    redactor = a_redactor(**{way: [f"body:{pointer}"]})
    headers = (("content-type", "text/event-stream"),) if events else JSON
    if coding:
        headers = (*headers, ("content-encoding", coding))
    kept, found = redactor.answer(headers, CODINGS[coding](body.encode("utf-8")))
    assert found is not None
    assert SECRET.encode() not in found
    assert all(name != "content-encoding" for name, _ in kept)
    for line in found.split(b"\n") if events else [found]:
        if line:
            json.loads(line.removeprefix(b"data: "))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,card41\\u0 \n', max_size=60).map(str.encode), st.booleans())
def test_whatever_the_body_is_redaction_never_raises(body, events):
    redactor = a_redactor(drop=["body:/card", "body:/*/card"], mask=["body:/*"], digest=["body:/1"])
    redactor.answer(EVENTS if events else JSON, body)
    redactor.request("/?" + body.decode("latin-1"), JSON, body)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["card", "CARD", "c a", "x"]), max_size=5), st.randoms(use_true_random=False))
def test_a_secret_in_a_query_parameter_is_found_nowhere_however_its_name_is_written(names, chance):
    def written(text):
        return "".join(f"%{ord(each):02x}" if chance.random() < 0.5 else each for each in text.replace(" ", "+"))

    query = "&".join(f"{written(name).replace('%2b', '+')}={'4111' if name == 'card' else 'v'}" for name in names)
    for way in ("drop", "mask", "digest"):
        target, _, _ = a_redactor(**{way: ["query:card"]}).request(f"/p?{query}", (), b"")
        assert "4111" not in target
        assert target.count("=v") == len([name for name in names if name != "card"])
