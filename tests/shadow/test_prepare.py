"""Before the call: what is not shadowed, and what goes out."""

import gzip
import json

import msgspec
import pytest

from gnomon.protocols.json import Json
from gnomon.records.plan import Guards, Rewrite
from gnomon.records.process import PROBE_EPOCH
from gnomon.shadow.prepare import UNTOUCHED, preparing
from tests.protocols.builders import at
from tests.shadow.parts import a_plan, a_request

PLAN = a_plan("http://127.0.0.1:8")


def guarding(*, context=(), side_effects=()):
    guards = Guards(context=tuple(map(at, context)), side_effects=tuple(map(at, side_effects)))
    return preparing(msgspec.structs.replace(PLAN, guards=guards), probes=True)


def changing(**rewrite):
    candidate = msgspec.structs.replace(PLAN.candidate, rewrite=Rewrite(**rewrite))
    return preparing(msgspec.structs.replace(PLAN, candidate=candidate), probes=True)


@pytest.mark.parametrize("value", ["x", 0, 1, 0.0, True, [0], {"a": None}, " "])
def test_something_at_a_guarded_place_is_not_called(value):
    request = a_request(body=json.dumps({"thread": value}).encode())
    assert guarding(context=["body:/thread"])(request).absent == "guarded:context"
    assert guarding(side_effects=["body:/x", "body:/thread"])(request).absent == "guarded:side_effects"
    assert guarding(context=["body:/thread"], side_effects=["body:/thread"])(request).absent == "guarded:context"


@pytest.mark.parametrize(
    "body",
    [b'{"thread": %s}' % value for value in (b"null", b"false", b'""', b"[]", b"{}")] + [b"{}", b"", b"<html>", b"[1"],
)
def test_nothing_there_and_a_body_that_cannot_be_read_hold_nothing(body):
    prepare = guarding(context=["body:/thread"], side_effects=["header:x-tool", "query:store"])
    assert prepare(a_request(body=body, target="/predict?store=&x=1", headers=(("x-tool", ""),))).absent is None


def test_a_repeated_header_or_parameter_is_looked_at_every_time():
    prepare = guarding(side_effects=["header:x-tool", "query:store"])
    assert prepare(a_request(target="/predict?store=&st%6fre=1")).absent == "guarded:side_effects"
    assert prepare(a_request(headers=(("x-tool", ""), ("x-tool", "y")))).absent == "guarded:side_effects"


def test_a_guard_that_fails_lets_nothing_through(monkeypatch, capsys):
    def boom(*_):
        raise ZeroDivisionError("4111")

    monkeypatch.setattr(Json, "read_request", boom)
    assert guarding(context=["body:/a"])(a_request()).absent == "guarded:context"
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "4111" not in said.replace('ZeroDivisionError("4111")', "")  # the line of code is no value


def test_without_a_rewrite_the_request_goes_out_as_it_came():
    request = a_request()
    assert guarding()(request).request is request
    assert guarding()(request).rewritten == UNTOUCHED == "{}"
    other = changing(paths=(("/other", "/x"),))(request)
    assert (other.request, other.rewritten) == (request, "{}")


def test_path_headers_and_body_are_changed_and_the_query_stays():
    prepare = changing(
        paths=(("/predict", "/v2/predict"),), headers=(("x-model", "b"),), body=(("/model", '"b"'), ("/o/n", "1.50"))
    )
    request = a_request(
        target="/predict?a=%20b", body=b'{"n": 1.10, "model": "a"}', headers=(("x-model", "a"), ("accept", "*/*"))
    )
    found = prepare(request)
    assert found.arm == "candidate"
    assert (found.request.target, found.request.headers, found.request.body) == (
        "/v2/predict?a=%20b",
        (("accept", "*/*"), ("x-model", "b")),
        b'{"n":1.10,"model":"b","o":{"n":1.50}}',
    )
    assert json.loads(found.rewritten) == {
        "path": "/v2/predict",
        "headers": ["x-model"],
        "body": ["/model", "/o/n"],
    }
    assert request.body == b'{"n": 1.10, "model": "a"}'


def test_a_compressed_body_is_sent_plain():
    request = a_request(body=gzip.compress(b'{"a": 1}'), headers=(("content-encoding", "gzip"), ("accept", "*/*")))
    found = changing(body=(("/a", "2"),))(request).request
    assert (found.body, found.headers) == (b'{"a":2}', (("accept", "*/*"),))
    assert changing(paths=(("/predict", "/x"),))(request).request.body == request.body


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>", ()),
        (b"", ()),
        (b'{"a": [1]}', ()),
        (b'{"a": 7}', ()),
        (b'{"a": {}}', (("content-encoding", "br"),)),
        (b'{"a": {}}', (("content-encoding", "gzip"),)),
    ],
)
def test_what_cannot_be_changed_is_guarded(body, headers):
    prepare = changing(body=(("/a/1", "2"),))
    assert prepare(a_request(body=body, headers=headers)).absent == "guarded:rewrite"


def test_production_as_the_shadow_gets_what_the_client_sent():
    prepare = changing(paths=(("/predict", "/x"),), body=(("/a", "2"),))
    request = a_request(serving="candidate", body=b"<html>")
    found = prepare(request)
    assert (found.arm, found.request, found.rewritten, found.absent) == ("production", request, "{}", None)


def test_a_probe_is_neither_guarded_nor_changed():
    guards = Guards(context=(at("body:/id"),))
    candidate = msgspec.structs.replace(PLAN.candidate, rewrite=Rewrite(headers=(("x-model", "b"),)))
    plan = msgspec.structs.replace(PLAN, guards=guards, candidate=candidate)
    probe = a_request(epoch=PROBE_EPOCH)
    found = preparing(plan, probes=True)(probe)
    assert (found.arm, found.request, found.rewritten, found.absent) == ("probe", probe, "{}", None)
    assert preparing(plan, probes=False)(probe).absent == "expired"
    assert preparing(plan, probes=True)(a_request()).absent == "guarded:context"
