"""TLS to a model: by the standard library, with the certificates that the system, SSL_CERT_FILE or a setting trusts."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

from gnomon.records import frames
from gnomon.records.process import Upstream

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture
def secure(tmp_path):
    """A model behind TLS: its URL and the authority to trust."""
    authority, certificate = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(certificate)

    class Model(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = HTTPServer(("127.0.0.1", 0), Model)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", certificate
    server.shutdown()
    server.server_close()


def test_a_model_behind_tls_is_reached(secure, around, monkeypatch):
    url, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None)
    _, gateway, _ = around(production=arm)
    for _ in range(2):
        got = gateway.talk(POST)
        assert got.startswith(b"HTTP/1.1 200 ")
        assert got.endswith(b"\r\n\r\n{}")
    assert gateway.settled().handed_over == 2


def test_a_model_whose_authority_is_named_is_reached(secure, around):
    url, authority = secure
    arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None, ca_file=str(authority))
    _, gateway, _ = around(production=arm)
    assert gateway.talk(POST).endswith(b"\r\n\r\n{}")
    assert gateway.settled().handed_over == 1


def test_an_authority_that_is_named_is_trusted_beside_the_systems(secure, around, monkeypatch, tmp_path):
    url, authority = secure
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None, ca_file=str(other))
    _, gateway, _ = around(production=arm)
    assert gateway.talk(POST).endswith(b"\r\n\r\n{}")


def test_a_model_with_a_certificate_nobody_trusts_is_not_spoken_to(secure, around):
    url, _ = secure
    arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None)
    _, gateway, receiver = around(production=arm)
    got = gateway.talk(POST)
    assert got.startswith(b"HTTP/1.1 502 ")
    assert gateway.settled().handed_over == 1
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["refused"]
