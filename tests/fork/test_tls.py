"""TLS to a model: by the standard library, with the certificates the system (or SSL_CERT_FILE) trusts."""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gnomon.records import frames
from gnomon.records.process import Upstream

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture
def secure(tmp_path):
    """A model behind TLS: its URL and the certificate to trust."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=model"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *options], check=True, capture_output=True)

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
    context.load_cert_chain(certificate, key)
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


def test_a_model_with_a_certificate_nobody_trusts_is_not_spoken_to(secure, around):
    url, _ = secure
    arm = Upstream(url=url, version="1", timeout_us=None, authorization_env=None)
    _, gateway, receiver = around(production=arm)
    got = gateway.talk(POST)
    assert got.startswith(b"HTTP/1.1 502 ")
    assert gateway.settled().handed_over == 1
    assert [settled.answer.outcome for settled in receiver.of(frames.Settled)] == ["refused"]
