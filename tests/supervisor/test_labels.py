"""Ground truth over HTTP: for who has the token, by the rules of the import, and nothing of a body with a mistake."""

import socket

import httpx
import pytest

from gnomon import pipeline
from gnomon.errors import GnomonError
from gnomon.log import read
from gnomon.settings import Settings, load
from gnomon.state import open_state
from gnomon.supervisor import admin
from tests.path.conftest import free_port
from tests.plan.builders import DOCUMENT
from tests.state.builders import register

TOKEN = "correct-horse-battery"
CSV = {"content-type": "text/csv"}


class Port:
    """The admin port of a trial that has no traffic."""

    def __init__(self, folder, token):
        self.settings = Settings(data=folder / "data")
        self.settings.prepare()
        with open_state(self.settings.state_url) as state:
            self.trial = register(state, **DOCUMENT)
        plan = pipeline.plan_of(self.trial)
        self.address = f"127.0.0.1:{free_port()}"

        def import_(content, kind):
            return {"rows": pipeline.import_labels(self.settings, self.trial, plan, content, kind).rows}

        self.stop = admin.start(self.address, dict, list, token=token, import_=import_)

    def post(self, content, headers=CSV, *, token=TOKEN):
        authorization = {} if token is None else {"authorization": f"Bearer {token}"}
        url = f"http://{self.address}/labels"
        return httpx.post(url, content=content, headers={**headers, **authorization}, timeout=20)

    def held(self):
        table = read.column(self.settings.log_url(self.trial.id), "truths", ["key", "output", "value", "source"])
        return [] if table is None else sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.fixture
def port(tmp_path):
    made = Port(tmp_path, TOKEN)
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"transaction_id,label\nk1,fraud\nk2,ok\n", "text/csv; charset=utf-8"),
        (b'{"transaction_id":"k1","label":"fraud"}\n{"transaction_id":"k2","label":"ok"}\n', "application/x-ndjson"),
        (b'[{"transaction_id":"k1","label":"fraud"},\n {"transaction_id":"k2","label":"ok"}]', "application/json"),
    ],
)
def test_truths_that_are_sent_are_in_the_log_once(port, content, media_type):
    first = port.post(content, {"content-type": media_type})
    assert (first.status_code, first.json()) == (200, {"rows": 2})
    assert port.held() == [("k1", "label", '"fraud"', "http"), ("k2", "label", '"ok"', "http")]
    assert port.post(content, {"content-type": media_type}).json() == {"rows": 0}
    assert len(port.held()) == 2


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x"])
def test_without_the_token_nothing_is_taken(port, token):
    refused = port.post(b"transaction_id,label\nk1,fraud\n", token=token)
    assert refused.status_code == 401
    assert "GNOMON_TOKEN" in refused.json()["error"]
    assert port.held() == []


def test_where_no_token_is_set_labels_are_off(tmp_path):
    made = Port(tmp_path, None)
    try:
        refused = made.post(b"transaction_id,label\nk1,fraud\n", token="anything")
        assert (refused.status_code, made.held()) == (403, [])
        assert "set GNOMON_TOKEN" in refused.json()["error"]
    finally:
        made.stop()


def test_a_body_with_a_mistake_imports_nothing_and_says_the_line(port):
    wrong = port.post(b"transaction_id,label\nk1,fraud\nk2\n")
    assert wrong.status_code == 422
    assert wrong.json()["error"] == "http:3 has 1 cells, the header 2; nothing was imported"
    columns = port.post(b"id_of_it,label\nk1,fraud\n")
    assert columns.status_code == 422
    assert "needs the columns transaction_id or id, and label" in columns.json()["error"]
    assert port.post(b"{", {"content-type": "application/json"}).status_code == 422
    assert port.held() == []


def test_what_is_no_label_is_refused_before_it_is_read(port):
    assert httpx.get(f"http://{port.address}/labels", timeout=10).status_code == 405
    assert port.post(b"x", {"content-type": "image/png"}).status_code == 415
    assert raw(port, f"Content-Length: {1 << 40}\r\n") == 413
    assert raw(port, "") == 411


def raw(port, more):
    """The status of a request with a head of its own."""
    host, _, number = port.address.partition(":")
    with socket.create_connection((host, int(number)), timeout=10) as connection:
        head = f"POST /labels HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}{more}\r\n".encode())
        return int(connection.recv(200).split()[1])


def test_a_token_that_is_too_short_is_not_repeated(monkeypatch):
    monkeypatch.setenv("GNOMON_TOKEN", "hush")
    with pytest.raises(GnomonError, match="GNOMON_TOKEN") as refused:
        load()
    assert "hush" not in str(refused.value)
