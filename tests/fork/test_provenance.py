"""What the model is told about who asks: proxies by two conventions, and the trace."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.fork.provenance import is_trace, proxied
from gnomon.records import frames

POST = b"POST /predict HTTP/1.1\r\nHost: shop:80\r\nConnection: close\r\nContent-Length: 0\r\n"
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def headers(head):
    return [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:] if line]


def told(around, lines=b"", **settings):
    """What a request with these header lines makes the model see, as a dict that refuses repeats."""
    backend, gateway, receiver = around(**settings)
    gateway.talk(POST + lines + b"\r\n")
    gateway.settled()
    found = headers(backend.requests[0][0])
    names = [name.lower() for name, _ in found]
    assert len(set(names)) == len(names)
    return {name.lower().decode(): value.decode() for name, value in found}, receiver


def test_a_client_without_a_proxy_is_named_by_both_conventions(around):
    seen, _ = told(around)
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "shop:80"
    assert seen["forwarded"] == 'for=127.0.0.1;host="shop:80";proto=http'


def test_a_forwarded_header_is_carried_on(around):
    lines = b"Forwarded: for=192.0.2.60;proto=https\r\nForwarded: for=198.51.100.17\r\nX-Forwarded-For: 192.0.2.60\r\n"
    seen, _ = told(around, lines)
    assert seen["forwarded"] == (
        'for=192.0.2.60;proto=https, for=198.51.100.17, for=127.0.0.1;host="shop:80";proto=http'
    )
    assert seen["x-forwarded-for"] == "192.0.2.60, 127.0.0.1"


def test_what_only_the_older_headers_say_is_said_by_the_newer_one_too(around):
    lines = (
        b"X-Forwarded-For: 192.0.2.43, 2001:db8:cafe::17\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n"
    )
    seen, _ = told(around, lines)
    assert seen["forwarded"] == 'for=192.0.2.43, for="[2001:db8:cafe::17]", for=127.0.0.1;host="shop.test";proto=https'
    assert seen["x-forwarded-proto"] == "https"


@given(
    before=st.binary(max_size=40).map(lambda b: re.sub(rb"[\r\n\x00]", b"", b)),
    proto=st.binary(max_size=10),
    host=st.binary(max_size=10),
)
def test_nothing_that_a_client_writes_adds_a_parameter_to_forwarded(before, proto, host):
    lines = proxied(b"127.0.0.1", b"shop", before=before, forwarded=b"", proto=proto, first_host=host)
    value = lines.rpartition(b"Forwarded: ")[2].removesuffix(b"\r\n")
    *earlier, ours = value.split(b", ")
    assert all(re.fullmatch(rb'for=(?:[A-Za-z0-9._-]+|"[A-Za-z0-9._:\[\]-]+")', each) for each in earlier)
    assert re.fullmatch(rb'for=127\.0\.0\.1;host="[A-Za-z0-9._:\[\]-]+";proto=[A-Za-z][A-Za-z0-9.+-]*', ours)


def test_a_trace_goes_on_as_it_came(around):
    seen, receiver = told(
        around, b"traceparent: " + TRACE + b"\r\ntracestate: a=1\r\n", capture_headers=("traceparent",)
    )
    assert (seen["traceparent"], seen["tracestate"]) == (TRACE.decode(), "a=1")
    assert [call.request.headers for call in receiver.of(frames.Call)] == [(("traceparent", TRACE.decode()),)]


@pytest.mark.parametrize(("new_traces", "flags"), [("sampled", "03"), ("unsampled", "02")])
def test_a_request_without_a_trace_begins_one_with_the_exchanges_id(around, new_traces, flags):
    seen, receiver = told(around, new_traces=new_traces)
    version, trace, parent, found = seen["traceparent"].split("-")
    assert (version, found) == ("00", flags)
    assert trace == seen["x-gnomon-id"] == receiver.of(frames.Call)[0].request.id.hex()
    assert is_trace(seen["traceparent"].encode())
    assert parent != "0" * 16


def test_no_trace_begins_where_that_was_asked_for(around):
    seen, _ = told(around, new_traces="none")
    assert "traceparent" not in seen


@pytest.mark.parametrize(
    "lines",
    [
        b"traceparent: 00-" + b"0" * 32 + b"-00f067aa0ba902b7-01\r\n",
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01\r\n",
        b"traceparent: ff" + TRACE[2:] + b"\r\n",
        b"traceparent: " + TRACE.upper() + b"\r\n",
        b"traceparent: " + TRACE + b"-more\r\n",
        b"traceparent: x\r\n",
        b"traceparent: " + TRACE + b"\r\ntraceparent: " + TRACE + b"\r\n",
        b"Connection: traceparent\r\ntraceparent: " + TRACE + b"\r\n",
    ],
    ids=["no trace", "no parent", "version ff", "upper case", "too long", "nonsense", "twice", "for one hop"],
)
def test_a_trace_that_cannot_go_on_is_replaced_and_its_state_dropped(around, lines):
    seen, _ = told(around, lines + b"tracestate: a=1\r\n")
    assert seen["traceparent"].split("-")[1] == seen["x-gnomon-id"]
    assert "tracestate" not in seen


def test_a_later_version_of_the_trace_header_may_say_more(around):
    seen, _ = told(around, b"traceparent: 01" + TRACE[2:] + b"-more\r\n")
    assert seen["traceparent"] == "01" + TRACE[2:].decode() + "-more"
