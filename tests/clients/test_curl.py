"""curl through the gateway prints what it prints directly."""

import contextlib
import json
import shutil
import subprocess

import pytest

from tests.clients.language_model import KEY

OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "x-gnomon-id"}
"""Headers that may differ: they speak of one connection, of the time, or are the gateway's own."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n"


@pytest.fixture(scope="module")
def curl():
    program = shutil.which("curl")
    if program is None:
        pytest.fail("this test needs curl: apt-get install -y curl (make test does it when it runs as root)")
    return [program, "-q", "-sS", "--max-time", "60"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upload")
    (folder / "small").write_text("a small file\n")
    # more than what is captured, and more than what curl sends without asking first (Expect: 100-continue)
    (folder / "large").write_bytes(bytes(range(256)) * 5000)
    return folder


def run(curl, arguments, server, files):
    """What it printed, without what may differ: exit code, status line, headers, body."""
    places = {"{url}": server.url, "{small}": str(files / "small"), "{large}": str(files / "large")}
    for mark, place in places.items():
        arguments = [each.replace(mark, place) for each in arguments]
    done = subprocess.run([*curl, "-i", *arguments], input=b"from a pipe", capture_output=True, timeout=90, check=False)
    said = done.stdout.removeprefix(CONTINUE + b"\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [line for line in lines if line.split(":")[0].lower() not in OF_ONE_HOP]
    return done.returncode, status, sorted(headers), body


KEYED = ["-H", f"Authorization: Bearer {KEY}"]

TO_THE_MODEL = {
    "JSON": ([*KEYED, "--json", '{"content": "Grüße"}', "{url}/tokenize"], 0, "ok"),
    "chunked JSON": (
        [*KEYED, "-H", "Transfer-Encoding: chunked", "--json", '{"content": "hi"}', "{url}/tokenize"],
        0,
        "ok",
    ),
    "no JSON": ([*KEYED, "--fail-with-body", "--json", "{", "{url}/tokenize"], 22, "4xx"),
    "no key": (["--fail-with-body", "--json", '{"content": "hi"}', "{url}/tokenize"], 22, "4xx"),
}


@pytest.mark.parametrize(("arguments", "code", "outcome"), TO_THE_MODEL.values(), ids=TO_THE_MODEL)
def test_curl_prints_what_the_model_says(curl, files, arguments, code, outcome, model, model_front):
    expected = run(curl, arguments, model, files)

    with model_front.counts(handed_over=1):
        found = run(curl, arguments, model_front, files)

    assert found == expected
    assert found[0] == code
    [answer] = model_front.answers()
    assert (answer.outcome, answer.body) == (outcome, found[3])


WAYS = {
    "a form": (["--data-urlencode", "text=a b&c", "{url}/digest"], "handed_over"),
    "a multipart form": (["-F", "text=hello;type=text/plain", "-F", "file=@{small}", "{url}/digest"], "handed_over"),
    "a query": (["-G", "--data-urlencode", "q=a b/ü", "{url}/digest?x=%2F#fragment"], "passed"),
    "PUT": (["-T", "{small}", "{url}/digest"], "handed_over"),
    "PUT of a pipe": (["-T", "-", "{url}/digest"], "handed_over"),
    "a large PUT": (["-T", "{large}", "{url}/digest"], "guarded_too_large"),
    "a large chunked POST": (
        ["-H", "Transfer-Encoding: chunked", "--data-binary", "@{large}", "{url}/digest"],
        "guarded_too_large",
    ),
    "HEAD": (["-I", "{url}/digest"], "passed"),
    "DELETE": (["-X", "DELETE", "{url}/digest"], "passed"),
    "OPTIONS": (["-X", "OPTIONS", "{url}/digest"], "passed"),
    "HTTP/1.0": (["--http1.0", "--json", "{}", "{url}/digest"], "handed_over"),
    "a compressed answer": (["--compressed", "--json", "{}", "{url}/digest"], "handed_over"),
    "a condition": (["-H", 'If-None-Match: "1"', "{url}/page"], "passed"),
    "as if to a proxy": (
        ["--noproxy", "", "-x", "{url}", "--json", "{}", "http://127.0.0.1/digest?a=1"],
        "handed_over",
    ),
}


@pytest.mark.parametrize(("arguments", "state"), WAYS.values(), ids=WAYS)
def test_whatever_curl_sends_arrives_as_it_does_directly(curl, files, arguments, state, events, events_front):
    expected = run(curl, arguments, events, files)

    with events_front.counts(**{state: 1}):
        found = run(curl, arguments, events_front, files)

    assert found == expected
    assert found[0] == 0


def test_an_offer_of_http_2_is_answered_in_http_1_with_the_whole_body_read(curl, events_front):
    written = ["-w", "\n%{http_version}", "--http2", "--json", '{"a": 1}', f"{events_front.url}/digest"]

    with events_front.counts(handed_over=1):
        said, version = subprocess.check_output([*curl, *written], timeout=90).decode().rsplit("\n", 1)

    assert (json.loads(said)["bytes"], version) == (8, "1.1")


def test_curl_that_asks_first_is_told_to_continue(curl, files, events_front):
    asked = ["-i", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T", str(files / "small")]

    with events_front.counts(handed_over=1):
        said = subprocess.check_output([*curl, *asked, f"{events_front.url}/digest"], timeout=90)

    assert said.startswith(CONTINUE)


def test_curl_keeps_its_connection_for_the_next_url(curl, events_front):
    urls = [f"{events_front.url}/digest?{number}" for number in range(5)]

    with events_front.counts(handed_over=5):
        said = subprocess.check_output([*curl, "-w", "%{num_connects}\n", "-d", "x", *urls], timeout=90).decode()

    assert [line[-1] for line in said.splitlines()] == ["1", "0", "0", "0", "0"]


@contextlib.contextmanager
def listening(curl, url, *arguments):
    with subprocess.Popen([*curl, "-N", *arguments, url], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_prints_each_event_before_the_next_is_sent(curl, version, events, events_front):
    with events_front.counts(handed_over=1), listening(curl, f"{events_front.url}/events", version) as process:
        stream = events.stream()
        for number in range(5):
            stream.say(b"data: %d\n\n" % number)
            assert process.stdout.readline() + process.stdout.readline() == b"data: %d\n\n" % number
        stream.say(None)
        assert process.wait(30) == 0

    assert events_front.answers()[0].body == b"".join(b"data: %d\n\n" % number for number in range(5))


def test_a_stream_that_curl_leaves_ends_at_the_model(curl, events, events_front):
    with events_front.counts(cancelled=1):
        with listening(curl, f"{events_front.url}/events") as process:
            stream = events.stream()
            stream.say(b"data: 1\n")
            assert process.stdout.readline() == b"data: 1\n"
        assert stream.left.wait(20)


def test_curl_that_waits_no_longer_says_so_and_ends_the_stream_at_the_model(curl, events, events_front):
    with events_front.counts(cancelled=1):
        with listening(curl, f"{events_front.url}/events", "--max-time", "1.5") as process:
            stream = events.stream()
            assert process.wait(30) == 28
        assert stream.left.wait(20)


def test_curl_knows_when_a_stream_breaks_off(curl, events, events_front):
    def ask(server):
        with listening(curl, f"{server.url}/events") as process:
            stream = events.stream()
            stream.say(b"data: 1\n")
            assert process.stdout.readline() == b"data: 1\n"
            stream.break_off()
            return process.wait(30)

    expected = ask(events)
    with events_front.counts(handed_over=1):
        found = ask(events_front)

    assert found == expected == 18
    assert events_front.answers()[0].outcome == "reset"
