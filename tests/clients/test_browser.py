"""A browser through the gateway: EventSource, fetch, WebSocket, caching and requests from another origin."""

import hashlib

import pytest

from tests.clients.event_server import PAGE

LISTEN = """
globalThis.seen = [];
globalThis.source = new EventSource("/events");
source.onopen = () => seen.push(["open"]);
source.onerror = () => seen.push(["error", source.readyState]);
for (const kind of ["message", "token"])
  source.addEventListener(kind, event => seen.push([kind, event.data, event.lastEventId]));
"""
EVENTS = {
    b"data: one\n\n": ["message", "one", ""],
    b"event: token\ndata: two\nid: 2\n\n": ["token", "two", "2"],
    "data: drei, ünïcode ☃\r\n\r\n".encode(): ["message", "drei, ünïcode ☃", "2"],
    b": a comment, to keep it alive\n\ndata: four\ndata: in two lines\n\n": ["message", "four\nin two lines", "2"],
    b"retry: 20\ndata\n\n": ["message", "", "2"],
    b"id: fifth\ndata: %s\n\n" % (b"x" * 100_000): ["message", "x" * 100_000, "fifth"],
}


def listen(chromium, events, server):
    """What an EventSource tells its page until the server says that there is no more."""
    chromium.open(f"{server.url}/page")
    chromium.run(LISTEN)
    stream = events.stream()
    assert "last-event-id" not in stream.headers
    for number, event in enumerate(EVENTS, start=2):
        stream.say(event)
        chromium.until(f"seen.length == {number}")  # before the next is sent
    stream.say(None)

    again = events.stream()  # a browser whose stream has ended asks for the rest
    assert again.headers["last-event-id"] == "fifth"
    again.say(b"id: last\ndata: the rest\n\n")
    again.say(None)
    chromium.until("source.readyState == EventSource.CLOSED")
    return chromium.run("seen")


def test_an_event_source_gets_each_event_before_the_next_is_sent_and_asks_for_the_rest(chromium, events, events_front):
    expected = listen(chromium, events, events)

    with events_front.counts(passed=1, handed_over=3):
        found = listen(chromium, events, events_front)

    assert found == expected
    reopened = [["error", 0], ["open"], ["message", "the rest", "last"], ["error", 0], ["error", 2]]
    assert found == [["open"], *EVENTS.values(), *reopened]
    streamed, rest, no_more = events_front.answers(3)
    assert streamed.body == b"".join(EVENTS)
    assert (rest.status, no_more.status) == (200, 204)


def test_an_event_source_that_is_closed_ends_its_stream_at_the_model(chromium, events, events_front):
    chromium.open(f"{events_front.url}/page")

    with events_front.counts(cancelled=1):
        chromium.run(LISTEN)
        stream = events.stream()
        stream.say(b"data: one\n\n")
        chromium.until("seen.length == 2")
        chromium.run("source.close()")
        assert stream.left.wait(20)


READ = """
globalThis.read = [];
globalThis.controller = new AbortController();
globalThis.ended = fetch("/events", {signal: controller.signal}).then(async answer => {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part; !(part = await reader.read()).done;) read.push(part.value);
  return "whole";
}).catch(error => error.name);
0
"""


def read(chromium, events, server, ending):
    """What a page reads of a stream with fetch, and how that ends."""
    chromium.open(f"{server.url}/page")
    chromium.run(READ)
    stream = events.stream()
    for number in range(1, 6):
        stream.say(f"data: {number} ☃\n\n".encode())
        chromium.until(f"read.length == {number}")
    ending(stream)
    return chromium.run("read"), chromium.run("ended")


def test_a_page_reads_a_stream_chunk_by_chunk(chromium, events, events_front):
    expected = read(chromium, events, events, lambda stream: stream.say(None))

    with events_front.counts(passed=1, handed_over=1):
        found = read(chromium, events, events_front, lambda stream: stream.say(None))

    assert found == expected == ([f"data: {number} ☃\n\n" for number in range(1, 6)], "whole")


def test_a_page_that_aborts_its_request_ends_the_stream_at_the_model(chromium, events, events_front):
    def abort(stream):
        chromium.run("controller.abort()")
        assert stream.left.wait(20)

    expected = read(chromium, events, events, abort)
    with events_front.counts(passed=1, cancelled=1):
        found = read(chromium, events, events_front, abort)

    assert found == expected
    assert found[1] == "AbortError"


def test_a_page_learns_that_a_stream_broke_off(chromium, events, events_front):
    expected = read(chromium, events, events, lambda stream: stream.break_off())

    with events_front.counts(passed=1, handed_over=1):
        found = read(chromium, events, events_front, lambda stream: stream.break_off())

    assert found == expected
    assert found[1] == "TypeError"
    assert events_front.answers()[0].outcome == "reset"


def test_a_page_leaves_and_its_stream_ends_at_the_model(chromium, events, events_front):
    chromium.open(f"{events_front.url}/page")

    with events_front.counts(cancelled=1, passed=1):
        chromium.run(LISTEN)
        stream = events.stream()
        chromium.open(f"{events_front.url}/page?next")
        assert stream.left.wait(20)


POST = """
(async () => {
  const body = new Uint8Array(%d).map((_, at) => at %% 251);
  const answer = await fetch("%s/digest?q=ü", {method: "POST", body, headers: {"content-type": "application/json"}});
  return [answer.status, answer.headers.get("x-gnomon-id") !== null, await answer.json()];
})()
"""


@pytest.mark.parametrize(
    ("size", "state"), [(0, "handed_over"), (200_000, "handed_over"), (3 << 20, "guarded_too_large")]
)
def test_a_page_posts_and_reads_a_compressed_answer(size, state, chromium, events, events_front):
    def post(server):
        chromium.open(f"{server.url}/page")
        return chromium.run(POST % (size, ""))

    expected = post(events)
    with events_front.counts(**{"passed": 1, state: 1}):
        status, named, found = post(events_front)

    assert [status, False, found] == expected
    assert named
    assert found["sha256"] == hashlib.sha256(bytes(at % 251 for at in range(size))).hexdigest()


def test_a_page_of_another_origin_is_asked_for_its_permission_first(chromium, events, events_front):
    chromium.open(f"{events.url}/page")

    with events_front.counts(passed=1, handed_over=1):  # the question (OPTIONS) and the request
        status, named, found = chromium.run(POST % (10, events_front.url))

    assert (status, named, found["method"], found["bytes"]) == (200, True, "POST", 10)


def test_a_page_that_has_not_changed_comes_from_the_browsers_cache(chromium, events, events_front):
    def again(server):
        chromium.open(f"{server.url}/page")
        before = events.unchanged
        said = chromium.run('fetch("/page", {cache: "no-cache"}).then(async a => [a.status, await a.text()])')
        return said, events.unchanged - before

    expected = again(events)
    with events_front.counts(passed=2):
        found = again(events_front)

    assert found == expected == ([200, PAGE.decode()], 1)


CONVERSE = """
new Promise(done => {
  const said = [], socket = new WebSocket("ws://127.0.0.1:%d/socket?page", "v1.chat");
  const messages = ["hello ☃", new Uint8Array(1 << 20).fill(7), "fragments", "ping", "leave"];
  const next = () => socket.send(messages.shift());
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { said.push(socket.protocol, socket.extensions); next(); };
  socket.onmessage = ({data}) => {
    said.push(typeof data == "string" ? data : [data.byteLength, new Uint8Array(data).every(each => each == 7)]);
    next();
  };
  socket.onclose = ({code, reason, wasClean}) => done([...said, code, reason, wasClean]);
})
"""


def test_a_page_talks_over_a_websocket(chromium, events, sockets, sockets_front):
    chromium.open(f"{events.url}/page")
    expected = chromium.run(CONVERSE % sockets.port)

    with sockets_front.counts(guarded_upgrade=1):
        found = chromium.run(CONVERSE % sockets_front.port)

    assert found == expected
    assert found[0] == "v1.chat"
    assert found[1].startswith("permessage-deflate")
    talk = ["hello ☃", [1 << 20, True], "one two three", "pong"]
    assert found[2:] == [*talk, 4001, "I have to go: ünïcode", True]
