"""The candidate's call: what goes out, what comes back, and how each way to fail is named."""

import asyncio
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
import uvloop

from gnomon import clock
from gnomon.shadow.candidate import BODY_LIMIT, Caller
from tests.shadow.parts import LABEL, Model, a_request


@pytest.fixture
def model():
    with Model() as started:
        yield started


def called(url, *requests, timeout_us=5_000_000, authorization=None, together=False, ca_file=None):
    """The answers to calls made one after another, or together."""

    async def main():
        caller = Caller(url, timeout_us=timeout_us, clock=clock.steady(), authorization=authorization, ca_file=ca_file)

        async def one(request):
            done = asyncio.get_running_loop().create_future()
            caller.call(request, done.set_result)
            return await done

        answers = await asyncio.gather(*map(one, requests)) if together else [await one(each) for each in requests]
        caller.close()
        return answers

    return uvloop.run(main())


@pytest.mark.parametrize(
    ("path", "outcome", "status"),
    [
        ("predict", "ok", 200),
        ("redirect", "ok", 302),  # not followed
        ("error", "5xx", 500),
        ("missing", "4xx", 404),
        ("html", "ok", 200),  # what the body means is the reader's business
        ("until_close", "ok", 200),
        ("interim", "ok", 200),
        ("chunked", "ok", 200),
        ("more", "ok", 200),
        ("nothing", "ok", 204),
        ("hang", "timeout", 0),
        ("drip", "timeout", 200),
        ("flood", "too_large", 200),
        ("headers", "too_large", 0),
        ("garbage", "reset", 0),
        ("upgrade", "reset", 0),
        ("reset", "reset", 0),
        ("cut", "reset", 200),
    ],
)
def test_every_end_of_a_call_has_its_outcome(model, path, outcome, status):
    (answer,) = called(model.url, a_request(target=f"/{path}"), timeout_us=400_000)
    assert (answer.outcome, answer.status) == (outcome, status), answer.detail
    assert answer.started_us > 0
    assert len(model.got) == 1
    if outcome == "ok" and path not in {"html", "nothing"}:
        assert answer.body == LABEL


def test_a_candidate_behind_tls_needs_an_authority_that_is_trusted(tmp_path):
    authority, other, context = trustme.CA(), trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, each in (("authority.pem", authority), ("other.pem", other)):
        each.cert_pem.write_to_path(tmp_path / name)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    class Secure(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(LABEL)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Secure)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}"
    (trusted,) = called(url, a_request(), ca_file=str(tmp_path / "authority.pem"))
    (unknown,) = called(url, a_request(), ca_file=str(tmp_path / "other.pem"))
    (unnamed,) = called(url, a_request())
    server.shutdown()
    thread.join()
    server.server_close()

    assert (trusted.outcome, trusted.body) == ("ok", LABEL)
    assert (unknown.outcome, unnamed.outcome) == ("refused", "refused")
    assert "certificate verify failed" in unknown.detail


def test_a_dead_candidate_refuses():
    with Model() as gone:
        url = gone.url
    (answer,) = called(url, a_request())
    assert (answer.outcome, answer.status, answer.latency_us, answer.started_us) == ("refused", 0, 0, 0)
    assert "cannot be reached" in answer.detail
    assert called("http://no-such-host.invalid", a_request())[0].outcome == "refused"


def test_the_request_goes_out_as_it_came_with_two_headers_of_ours_and_nothing_else(model):
    headers = (
        ("accept", "application/json"), ("content-type", "application/json"), ("host", "user.example"),
        ("connection", "keep-alive"), ("content-length", "7"), ("cookie", "a=b"), ("authorization", "Bearer user"),
        ("x-gnomon-id", "forged"), ("x-two", "1"), ("x-two", "2"),
    )  # fmt: skip
    request = a_request(target='/a/../v1/predict?x="|{}', headers=headers, body=b'{"a": 1}', id=bytes(range(16)))
    called(model.url + "/base/", request, authorization="Bearer ours")
    ((head, body),) = model.got
    assert head == (
        b'POST /base/a/../v1/predict?x="|{} HTTP/1.1\r\n'
        b"host: " + model.url.removeprefix("http://").encode() + b"\r\n"
        b"x-gnomon-shadow: 1\r\n"
        b"authorization: Bearer ours\r\n"
        b"accept: application/json\r\n"
        b"content-type: application/json\r\n"
        b"x-two: 1\r\n"
        b"x-two: 2\r\n"
        b"content-length: 8\r\n"
        b"x-gnomon-id: 000102030405060708090a0b0c0d0e0f\r\n"
        b"\r\n"
    )
    assert body == b'{"a": 1}'


def test_a_get_has_no_body_and_no_length(model):
    called(model.url, a_request(method="GET", body=b"", headers=()))
    assert b"content-length" not in model.got[0][0]


def test_the_answer_to_head_has_no_body(model):
    first, second = called(model.url, a_request(method="HEAD", target="/keep"), a_request())
    assert (first.outcome, first.body) == ("ok", b"")
    assert second.body == LABEL


def test_cookies_of_the_candidate_are_not_kept(model):
    (answer,) = called(model.url, a_request())
    assert answer.headers == (("content-type", "application/json"),)


def test_one_connection_serves_many_calls_in_turn_and_each_of_many_at_once_has_its_own(model):
    called(model.url, *[a_request() for _ in range(5)])
    assert model.connections == 1
    called(model.url, *[a_request(target="/drip") for _ in range(5)], together=True, timeout_us=200_000)
    assert model.connections == 6


def test_a_reused_connection_that_closes_before_an_answer_is_not_the_candidates_failure(model):
    answers = called(model.url, *[a_request(target="/once") for _ in range(3)])
    assert [answer.outcome for answer in answers] == ["ok"] * 3
    assert len(model.got) == 5  # the second and the third were asked twice
    assert model.connections == 3


def test_a_new_connection_that_closes_is(model):
    first, second = called(model.url, a_request(), a_request(target="/reset"))
    assert (first.outcome, second.outcome) == ("ok", "reset")
    assert len(model.got) == 3  # once over the reused connection, once over a new one


@pytest.mark.parametrize("path", ["more", "garbage", "until_close", "cut", "flood"])
def test_a_spoiled_connection_is_not_used_again(model, path):
    called(model.url, a_request(target=f"/{path}"), a_request())
    assert model.connections == 2


def test_latency_is_from_the_first_byte_out_to_the_last_byte_in(model):
    model.delay = 0.05
    before = clock.now_us()
    (answer,) = called(model.url, a_request())
    assert 50_000 <= answer.latency_us <= clock.now_us() - before
    assert before <= answer.started_us


def test_the_limit_of_an_answer_is_exact():
    async def main():
        async def serve(reader, writer):
            for size in (BODY_LIMIT, BODY_LIMIT + 1):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        caller = Caller(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_us=5_000_000, clock=clock.steady()
        )
        found = []
        for _ in range(2):
            done = asyncio.get_running_loop().create_future()
            caller.call(a_request(method="GET", body=b""), done.set_result)
            found.append((await done).outcome)
        caller.close()
        server.close()
        return found

    assert uvloop.run(main()) == ["ok", "too_large"]


def test_a_cancelled_call_says_nothing_and_frees_its_connection(model):
    async def main():
        caller = Caller(model.url, timeout_us=5_000_000, clock=clock.steady())
        said = []
        call = caller.call(a_request(target="/hang"), said.append)
        while not model.got:
            await asyncio.sleep(0.01)
        call.cancel()
        early = caller.call(a_request(), said.append)
        early.cancel()  # before its connection is made
        await asyncio.sleep(0.05)
        caller.close()
        return said

    assert uvloop.run(main()) == []
