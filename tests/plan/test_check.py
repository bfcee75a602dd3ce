"""Check: the plan in sentences, and models that answer or do not."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import trustme

from gnomon.plan import check, load
from gnomon.records.plan import Plan
from tests.plan.builders import DOCUMENT, PATH, TEXT, edited

PLAN = load.parse(TEXT, PATH).plan


class Model(http.server.BaseHTTPRequestHandler):
    status: int
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def model(status: int, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    seen: list[tuple[str, str | None]] = []
    handler = type("Handler", (Model,), {"status": status, "seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mute(answer: bytes | None) -> Iterator[str]:
    """A socket that accepts, says `answer` and closes; None: keeps silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                if answer is None:
                    stop.wait(10)
                else:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def plan_with(production: str, candidate: str, *, protocol: str = "json", env: str | None = None) -> Plan:
    return msgspec.structs.replace(
        PLAN,
        protocol=protocol,
        production=msgspec.structs.replace(PLAN.production, url=production),
        candidate=msgspec.structs.replace(PLAN.candidate, url=candidate, authorization_env=env),
    )


def refused() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_named_authority_is_trusted(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with model(200) as (production, _), model(200, context) as (candidate, _):
        plan = plan_with(production, candidate)
        assert not check.call_endpoints(plan)[1].ok
        assert check.call_endpoints(plan, ca_file=tmp_path / "authority.pem")[1].ok


def test_any_http_answer_is_reachable() -> None:
    with model(404) as (production, _), model(500) as (candidate, _):
        reports = check.call_endpoints(plan_with(production, candidate))
    assert [(r.arm, r.ok, r.message) for r in reports] == [
        ("production", True, f"production {production} answers (GET / gave 404)"),
        ("candidate", True, f"candidate {candidate} answers (GET / gave 500)"),
    ]


def test_a_model_that_is_not_there_is_one_clear_line() -> None:
    nobody = refused()
    with model(200) as (production, _):
        reports = check.call_endpoints(plan_with(production, nobody))
    assert reports[0].ok
    assert reports[1].message == (
        f"candidate {nobody} does not answer: connection refused; start it or correct candidate.url"
    )
    assert not reports[1].ok


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "accepts the connection, and does not answer with HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "accepts the connection, and does not answer with HTTP"),
        (None, "does not answer within 0.2 s"),
    ],
)
def test_a_socket_that_is_no_model_says_why(answer: bytes | None, reason: str) -> None:
    with model(200) as (production, _), mute(answer) as candidate:
        report = check.call_endpoints(plan_with(production, candidate), patience_s=0.2)[1]
    assert report.message == f"candidate {candidate} {reason}; start it or correct candidate.url"


def test_a_server_without_tls_behind_https_says_so() -> None:
    with model(200) as (production, _):
        report = check.call_endpoints(plan_with(production, production.replace("http:", "https:")), patience_s=2)[1]
    assert "does not speak TLS as it should" in report.message
    assert ssl.OPENSSL_VERSION  # the reason's wording is OpenSSL's own, and not ours to fix


def test_an_open_inference_server_must_be_ready() -> None:
    with model(200) as (production, seen), model(400) as (candidate, _):
        reports = check.call_endpoints(plan_with(production, candidate, protocol="open_inference"))
    assert seen[0][0] == "/v2/health/ready"
    why = "GET /v2/health/ready gave 400; wait for its models or correct candidate.url"
    assert [(r.ok, r.message) for r in reports] == [
        (True, f"production {production} is ready"),
        (False, f"candidate {candidate} is not ready: {why}"),
    ]


def test_the_candidates_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(200) as (production, _), model(200) as (candidate, seen):
        plan = plan_with(production, candidate, env="GNOMON_TEST_AUTHORIZATION")
        monkeypatch.delenv("GNOMON_TEST_AUTHORIZATION", raising=False)
        missing = check.call_endpoints(plan)[1]
        monkeypatch.setenv("GNOMON_TEST_AUTHORIZATION", "Bearer abc")
        given = check.call_endpoints(plan)[1]
    assert missing.message.endswith("needs GNOMON_TEST_AUTHORIZATION, which is not set; export it before the start")
    assert not missing.ok
    assert given.ok
    assert seen == [("/", "Bearer abc")]


def test_the_plan_is_explained_in_sentences() -> None:
    sentences = check.explain(PLAN)
    assert "it is called for 20% of POST /predict, as the request comes." in sentences[2]
    assert "All of 6 gates must pass, in 37 tests:" in sentences
    assert "Sampling ends after 42d; what is not settled then is inconclusive." in sentences
    assert not any("correctness is not measured" in sentence for sentence in sentences)


def test_a_repeatable_route_is_said_and_no_other() -> None:
    assert not any("once more" in sentence for sentence in check.explain(PLAN))
    sentences = check.explain(load.from_document(edited(("routes",), ["POST /predict repeatable", "POST /score"])))
    assert (
        "POST /predict may be sent to production once more when a kept-alive connection closed before any byte of the "
        "answer." in sentences
    )
    assert any("of POST /predict, POST /score, as the request comes" in sentence for sentence in sentences)


def test_a_plan_without_truth_says_that_correctness_is_not_measured() -> None:
    document = {key: value for key, value in DOCUMENT.items() if key not in {"truth", "unit", "duration"}}
    document["gates"] = DOCUMENT["gates"][2:]
    sentences = check.explain(load.from_document(document))
    assert any("correctness is not measured" in sentence for sentence in sentences)
    assert any("If requests belong together" in sentence for sentence in sentences)
    assert "There is no deadline: the trial goes on until it is decided." in sentences
