"""Real servers and a gateway before each; one of each for all tests of a worker."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.chromium import Chromium
from tests.clients.event_server import EventServer
from tests.clients.front import Front
from tests.clients.socket_server import SocketServer

SHADOWED = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("POST", "/digest"),
    ("PUT", "/digest"),
    ("GET", "/events"),
    ("GET", "/socket"),
)


class LanguageModel:
    """The process of language_model.py."""

    def __init__(self, folder):
        with (folder / "model.err").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("language_model.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url, (folder / "model.err").read_text()
        self.port = int(self.url.rsplit(":", 1)[1])

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session", autouse=True)
def nothing_but_this_machine():
    """A proxy that the environment names is not asked: the clients keep their default settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


def _front(tmp_path_factory, server):
    return contextlib.closing(Front(tmp_path_factory.mktemp("front"), server.port, SHADOWED))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    with contextlib.closing(LanguageModel(tmp_path_factory.mktemp("model"))) as server:
        yield server


@pytest.fixture(scope="session")
def model_front(tmp_path_factory, model):
    with _front(tmp_path_factory, model) as front:
        yield front


@pytest.fixture(scope="session")
def event_server():
    with contextlib.closing(EventServer()) as server:
        yield server


@pytest.fixture(scope="session")
def events_front(tmp_path_factory, event_server):
    with _front(tmp_path_factory, event_server) as front:
        yield front


@pytest.fixture
def events(event_server):
    yield event_server
    event_server.hang_up()


@pytest.fixture(scope="session")
def sockets():
    with contextlib.closing(SocketServer()) as server:
        yield server


@pytest.fixture(scope="session")
def sockets_front(tmp_path_factory, sockets):
    with _front(tmp_path_factory, sockets) as front:
        yield front


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    with contextlib.closing(Chromium(tmp_path_factory.mktemp("chromium"))) as browser:
        yield browser
