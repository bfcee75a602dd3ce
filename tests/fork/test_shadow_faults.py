"""An exception at every single line of the gateway's shadow code: it costs the copy, and never the answer.

A trace function in the gateway's process raises at the first line of shadow code that a request executes, at the second
for the next request, and so on, until a request passes with no line left to fail at.
"""

import pytest

from gnomon.records import counters, frames
from gnomon.records.plan import Selector, Strata
from tests.fork.harness import wait_for

PLANT = """
import gnomon.fork.link as link
link._PATIENCE = 0.3
import sys
import gnomon.fork.exchange as exchange
FILES = {f"fork/{name}.py" for name in ("capture", "link", "sampling", "strata", "slices", "trail", "values")}
FUNCTIONS = {("fork/gateway.py", name) for name in ("decide", "taken", "kept_out", "allowed")}
FUNCTIONS |= {("fork/exchange.py", name) for name in ("_fork", "_is_off", "_head_alone")}
NOT_YET_SHADOW = {"new"}  # the id is the answer's, too
aim = at = 0
def watched(code):
    name = code.co_filename.split("gnomon/")[-1]
    return (name in FILES or (name, code.co_name) in FUNCTIONS) and code.co_name not in NOT_YET_SHADOW
def line(frame, event, arg):
    global at
    if event == "line":
        at += 1
        if at == aim:
            sys.stderr.write(f"[planted at {frame.f_code.co_name}:{frame.f_lineno}]\\n")
            sys.stderr.flush()
            raise RuntimeError("planted")
    return line
def call(frame, event, arg):
    return line if watched(frame.f_code) else None
right = exchange.Exchange.__init__
def begin(self, gateway, client, head):
    global aim, at
    if head.path == b"/predict":
        aim, at = aim + 1, 0
        sys.settrace(call)
    right(self, gateway, client, head)
exchange.Exchange.__init__ = begin
"""
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
CHUNKS = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
)
SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
CODED = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok"
ALWAYS = 1 << 32
BY_HEADER = Strata(by=Selector(where="header", name="content-type"), rates=(("a/b", ALWAYS),), otherwise=ALWAYS)
BY_BODY = Strata(by=Selector(where="body", name="/x"), rates=(("1", ALWAYS),), otherwise=ALWAYS)
WAYS = {
    "sync": (POST, SMALL, {}, set()),
    "async": (POST, SMALL, {"mode": "async"}, set()),
    "in pieces": (CHUNKS, SMALL, {}, set()),
    "a budget": (POST, SMALL, {"per_second": 100_000, "shadow_rate": (1 << 32) - 1}, {"unsampled"}),
    "strata of the head": (POST, SMALL, {"strata": BY_HEADER}, set()),
    "strata of the body, and slices": (POST, SMALL, {"strata": BY_BODY, "slice_us": 10**6}, {"shed:off_slice"}),
    "too large": (POST, LARGE, {"body_cap": 1000}, {"guarded:too_large"}),
    "an unreadable answer": (POST, CODED, {}, {"guarded:unreadable_coding"}),
    "no room": (POST, SMALL, {"capture_budget": 100}, {"shed:memory", "shed:unavailable"}),
}


@pytest.mark.interpreted
@pytest.mark.parametrize("way", WAYS)
def test_an_exception_at_any_line_of_shadow_code_costs_the_copy_alone(around, way):
    request, answer, settings, others = WAYS[way]
    _, gateway, receiver = around(lambda head, body: answer, patch=PLANT, **settings)
    body = answer.partition(b"\r\n\r\n")[2]
    asked = 0
    quiet = 0
    while quiet < 5 and asked < 300:  # this many requests in a row that had no line left to fail at
        before = gateway.errors().count("[planted")
        got = gateway.talk(request)
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got.endswith(b"\r\n\r\n" + body)
        asked += 1
        quiet = quiet + 1 if gateway.errors().count("[planted") == before else 0
    sums = gateway.settled()
    assert sums.seen == asked
    assert set(sums.states) <= {"shed:bug"} | others
    assert sums.states["shed:bug"] > 10
    wait_for(lambda: gateway.control({"status": True})["held_bytes"] == 0)
    settled = {getattr(f, "request", f).id for f in receiver.frames if isinstance(f, frames.Settled | frames.Exchange)}
    assert len(settled) == sums.handed_over
    functions = {part.split(":")[0] for part in gateway.errors().split("[planted at ")[1:]}
    assert len(functions) >= 10, functions


@pytest.mark.interpreted
def test_a_fault_of_a_timer_ends_no_timer(around):
    patch = """
import gnomon.fork.counters as m
right, tries = m.Ledger.tick, iter(range(1000))
def tick(self, now):
    if next(tries) < 3: raise RuntimeError("planted")
    right(self, now)
m.Ledger.tick = tick
"""
    _, gateway, _ = around(patch=patch)
    begun = gateway.control({"status": True})
    assert begun["ok"]
    (first,) = counters.read_all(gateway.folder)
    wait_for(lambda: counters.read_all(gateway.folder)[0].frontier_us > first.frontier_us)
    assert gateway.errors().count("planted") == 1
