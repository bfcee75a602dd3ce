"""WebSocket clients through the gateway: what passes directly passes through it, unshadowed."""

import asyncio
import contextlib
import json
import socket

import aiohttp
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

LARGE = bytes(range(256)) * 4096
"""1 MiB."""


def meet(server, path="/socket", **options):
    return connect(f"ws://127.0.0.1:{server.port}{path}", max_size=1 << 24, open_timeout=20, proxy=None, **options)


def both(converse, sockets, sockets_front, connections=1):
    """What the conversation gives through the gateway; the same as directly."""
    expected = converse(sockets)
    with sockets_front.counts(guarded_upgrade=connections):
        found = converse(sockets_front)
    assert found == expected
    return found


def echoed(client, message):
    client.send(message)
    return client.recv(timeout=30)


MESSAGES = {
    "text": "hello",
    "unicode": "ünïcode ☃ 🦙",
    "nothing": "",
    "no bytes": b"",
    "bytes": bytes(range(256)),
    "126 bytes": b"x" * 126,  # where the length takes another form
    "64 KiB": b"x" * 65536,
    "1 MiB": LARGE,
    "1 MiB of text": "Grüße, " * 116509,
}


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_comes_back_as_it_was_sent(message, compression, sockets, sockets_front):
    def converse(server):
        with meet(server, compression=compression) as client:
            return echoed(client, message), [type(each).__name__ for each in client.protocol.extensions]

    found, extensions = both(converse, sockets, sockets_front)

    assert found == message
    assert extensions == (["PerMessageDeflate"] if compression else [])


def test_many_messages_keep_their_order(sockets, sockets_front):
    def converse(server):
        with meet(server) as client:
            for number in range(200):
                client.send(f"message {number}")
            return [client.recv(timeout=30) for _ in range(200)]

    assert both(converse, sockets, sockets_front) == [f"message {number}" for number in range(200)]


def test_large_messages_pass_both_ways_at_once(sockets, sockets_front):
    def converse(server):
        async def talk():
            address = f"ws://127.0.0.1:{server.port}/socket"
            async with asyncio.timeout(60), connect_async(address, compression=None, max_size=1 << 24) as client:
                sending = asyncio.gather(*[client.send(LARGE) for _ in range(12)])
                came = [await client.recv() == LARGE for _ in range(12)]
                await sending
                return came

        return asyncio.run(talk())

    assert both(converse, sockets, sockets_front) == [True] * 12


@pytest.mark.parametrize("compression", ["deflate", None])
def test_fragments_stay_fragments_both_ways(compression, sockets, sockets_front):
    def converse(server):
        with meet(server, compression=compression) as client:
            sent = echoed(client, iter(["a ", "message", "", " in pieces"]))
            client.send("fragments")
            return sent, list(client.recv_streaming())

    assert both(converse, sockets, sockets_front) == ("a message in pieces", ["one ", "two ", "", "three", ""])


def test_a_ping_between_fragments_is_answered(sockets, sockets_front):
    def converse(server):
        with meet(server) as client:

            def pieces():
                yield "before "
                assert client.ping(b"\0 between").wait(20)
                yield "after"

            return echoed(client, pieces())

    assert both(converse, sockets, sockets_front) == "before after"


def test_pings_are_answered_from_both_sides(sockets, sockets_front):
    def converse(server):
        with meet(server) as client:
            return echoed(client, "ping"), client.ping().wait(20)

    assert both(converse, sockets, sockets_front) == ("pong", True)


CLOSES = {
    "normally": (1000, ""),
    "going away": (1001, "the page is closed"),
    "with a code of its own": (4321, "ünïcode ☃"),
    "with the longest reason": (3000, "x" * 123),
}


@pytest.mark.parametrize(("code", "reason"), CLOSES.values(), ids=CLOSES)
def test_the_server_learns_how_the_client_closed(code, reason, sockets, sockets_front):
    def converse(server):
        path = f"/socket?{code}-{server.port}"
        with meet(server, path) as client:
            client.close(code, reason)
            return sockets.closed(path)

    assert both(converse, sockets, sockets_front) == (code, reason)


def test_the_client_learns_how_the_server_closed(sockets, sockets_front):
    def converse(server):
        with meet(server) as client, pytest.raises(ConnectionClosedError) as closed:
            echoed(client, "leave")
        return closed.value.rcvd.code, closed.value.rcvd.reason

    assert both(converse, sockets, sockets_front) == (4001, "I have to go: ünïcode")


def test_a_server_that_dies_is_no_proper_end(sockets, sockets_front):
    def converse(server):
        with meet(server) as client, pytest.raises(ConnectionClosedError) as closed:
            echoed(client, "die")
        return closed.value.rcvd, client.close_code

    assert both(converse, sockets, sockets_front) == (None, 1006)


def test_a_client_that_dies_is_no_proper_end(sockets, sockets_front):
    def converse(server):
        path = f"/socket?dies-{server.port}"
        with meet(server, path) as client:
            echoed(client, "hello")
            client.socket.shutdown(socket.SHUT_RDWR)
            return sockets.closed(path)

    assert both(converse, sockets, sockets_front) == (1006, "")


def test_what_the_handshake_carries_arrives(sockets, sockets_front):
    def converse(server):
        more = {"X-Token": "abc", "Origin": "https://example.org"}
        with meet(server, "/socket?q=%2F&r=1", subprotocols=["v1.chat"], additional_headers=more) as client:
            return json.loads(echoed(client, "tell")), client.subprotocol

    told, subprotocol = both(converse, sockets, sockets_front)

    assert told == {
        "path": "/socket?q=%2F&r=1",
        "origin": "https://example.org",
        "token": "abc",
        "host": "127.0.0.1",
        "subprotocol": "v1.chat",
    }
    assert subprotocol == "v1.chat"


def test_a_handshake_that_is_refused_is_refused_in_the_servers_words(sockets, sockets_front):
    def refused(server):
        with pytest.raises(InvalidStatus) as error, meet(server, "/elsewhere"):
            pass
        return error.value.response.status_code, error.value.response.body

    expected = refused(sockets)
    with sockets_front.counts(passed=1):
        found = refused(sockets_front)

    assert found == expected == (403, b"not here\n")


def test_many_connections_at_once_are_each_their_own(sockets, sockets_front):
    def converse(server):
        with contextlib.ExitStack() as stack:
            open_ = [stack.enter_context(meet(server)) for _ in range(30)]
            for number, client in enumerate(open_):
                client.send(f"I am {number}")
            return [client.recv(timeout=30) for client in reversed(open_)]

    found = both(converse, sockets, sockets_front, connections=30)

    assert found == [f"I am {number}" for number in reversed(range(30))]


def test_another_client_talks_as_well(sockets, sockets_front):
    def converse(server):
        async def talk():
            address = f"{server.url}/socket"
            async with aiohttp.ClientSession() as session, session.ws_connect(address, compress=15) as client:
                await client.send_str("hello")
                await client.send_bytes(LARGE)
                await client.ping(b"?")
                said = [(await client.receive(30)).data for _ in range(2)]
                await client.send_str("leave")
                last = await client.receive(30)
                return said, last.type, last.data, last.extra

        return asyncio.run(talk())

    said, kind, code, reason = both(converse, sockets, sockets_front)

    assert said == ["hello", LARGE]
    assert (kind, code, reason) == (aiohttp.WSMsgType.CLOSE, 4001, "I have to go: ünïcode")


def test_a_client_that_closes_normally_ends_its_loop(sockets, sockets_front):
    def converse(server):
        with meet(server) as client:
            client.close()
            with pytest.raises(ConnectionClosedOK):
                client.recv(timeout=20)
            return client.close_code

    assert both(converse, sockets, sockets_front) == 1000
