"""The usual HTTP clients through the gateway: pools, uploads without a length, event streams, clients that leave."""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import select

import aiohttp
import httpx
import pytest
import requests

from tests.clients.language_model import KEY
from tests.clients.ordinary import CLIENTS, JSON, text

KEYED = JSON | {"Authorization": f"Bearer {KEY}"}
WORDS = [f"word {number} of the ünïcode list" for number in range(12)]


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS)
def client(request):
    with contextlib.closing(request.param()) as made:
        yield made


def test_a_client_asks_again_over_the_connection_it_has(client, model, model_front):
    def ask(server):
        return [client.post(f"{server.url}/tokenize", text(word), KEYED) for word in WORDS]

    expected = ask(model)
    before = client.connections(f"{model_front.url}/tokenize")
    with model_front.counts(handed_over=len(WORDS)):
        found = ask(model_front)

    assert found == expected
    assert {status for status, _ in found} == {200}
    assert len({body for _, body in found}) == len(WORDS)
    assert client.connections(f"{model_front.url}/tokenize") - before == 1
    assert [answer.body for answer in model_front.answers(len(WORDS))] == [body for _, body in found]


def test_an_upload_without_a_length_arrives_whole(client, events, events_front):
    pieces = [bytes([number]) * (number * 997) for number in range(1, 40)]

    def ask(server):
        status, body = client.post(f"{server.url}/digest", iter(pieces), JSON)
        return status, json.loads(body)

    expected = ask(events)
    with events_front.counts(handed_over=1):
        found = ask(events_front)

    whole = b"".join(pieces)
    assert found == expected
    assert (found[1]["bytes"], found[1]["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert events_front.requests()[0].body == whole


def test_a_client_reads_each_event_before_the_next_is_sent(client, events, events_front):
    with events_front.counts(handed_over=1), client.lines(f"{events_front.url}/events") as lines:
        stream = events.stream()
        for number in range(5):
            stream.say(b"data: %d\n\n" % number)
            assert next(lines) == f"data: {number}"
        stream.say(None)
        assert list(lines) == []


def test_a_stream_that_a_client_leaves_ends_at_the_model(client, events, events_front):
    with events_front.counts(cancelled=1):
        with client.lines(f"{events_front.url}/events") as lines:
            stream = events.stream()
            stream.say(b"data: 1\n\n")
            assert next(lines) == "data: 1"
        assert stream.left.wait(20)


def ask_with_threads(url):
    with requests.Session() as session, concurrent.futures.ThreadPoolExecutor(8) as pool:

        def ask(word):
            return session.post(url, data=word.encode(), timeout=30).json()["sha256"]

        return list(pool.map(ask, WORDS * 5))


def ask_with_httpx(url):
    async def ask_all():
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=8), timeout=30) as client:
            answers = await asyncio.gather(*[client.post(url, content=word.encode()) for word in WORDS * 5])
            return [answer.json()["sha256"] for answer in answers]

    return asyncio.run(ask_all())


def ask_with_aiohttp(url):
    async def ask_all():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8)) as session:

            async def ask(word):
                async with session.post(url, data=word.encode()) as answer:
                    return (await answer.json())["sha256"]

            return await asyncio.gather(*[ask(word) for word in WORDS * 5])

    return asyncio.run(ask_all())


@pytest.mark.parametrize(
    "ask_all", [ask_with_threads, ask_with_httpx, ask_with_aiohttp], ids=lambda each: each.__name__
)
def test_each_of_many_requests_at_once_gets_its_own_answer(ask_all, events_front):
    with events_front.counts(handed_over=60):
        found = ask_all(f"{events_front.url}/digest")

    assert found == [hashlib.sha256(word.encode()).hexdigest() for word in WORDS * 5]


def test_a_model_that_answers_before_the_body_came_is_an_answer_all_the_same(model, model_front):
    """llama.cpp looks at the key first. Clients that send head and body apart get that answer, and it is compared."""

    def ask(server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        body = text("hello")
        connection.putrequest("POST", "/tokenize")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        assert select.select([connection.sock], [], [], 20)[0]  # the answer is there
        connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    expected = ask(model)
    with model_front.counts(handed_over=1):
        found = ask(model_front)

    assert found == expected
    assert found[0] == 401
