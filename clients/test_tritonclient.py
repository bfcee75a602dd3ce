"""tritonclient (HTTP, JSON tensors) through the gateway to MLServer: it gets what it gets directly.

Not in `make test`, because MLServer's environment has half a gigabyte: `make clients` makes it, as the demo does.
"""

import contextlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.clients.front import Front
from tests.fork.harness import wait_for

HERE = Path(__file__).resolve().parent
THEIRS = HERE.parent / ".venv-demo" / "bin"
ROUTES = (
    ("POST", "/v2/models/iris/infer"),
    ("POST", "/v2/models/sentiment/infer"),
    ("POST", "/v2/models/nothing/infer"),
)


class ModelServer:
    """MLServer with both models."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {
            "host": "127.0.0.1",
            "http_port": self.port,
            "grpc_port": 0,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "environments_dir": str(folder / "environments"),
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        for model in ("Sentiment", "Iris"):
            place = folder / model.lower()
            place.mkdir()
            described = {"name": place.name, "implementation": f"models.{model}", "parameters": {"version": "v1"}}
            (place / "model-settings.json").write_text(json.dumps(described))
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [THEIRS / "mlserver", "start", folder],
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"},
            )
        wait_for(self._ready, 60)

    def _ready(self):
        assert self._process.poll() is None, self._log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def close(self):
        self._process.terminate()
        self._process.wait(30)


class User:
    """The process of triton_user.py."""

    def __init__(self, server):
        self._process = subprocess.Popen(
            [THEIRS / "python", HERE / "triton_user.py", f"127.0.0.1:{server.port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def does(self, step):
        self._process.stdin.write(step + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    """A user of the server itself, one who comes through the gateway, and the gateway."""
    assert (THEIRS / "mlserver").exists(), "MLServer is missing: run this by `make clients`"
    with contextlib.ExitStack() as stack:

        def running(part):
            return stack.enter_context(contextlib.closing(part))

        server = running(ModelServer(tmp_path_factory.mktemp("mlserver")))
        front = running(Front(tmp_path_factory.mktemp("front"), server.port, ROUTES))
        yield running(User(server)), running(User(front)), front


ANSWERED = {
    "live": {"passed": 1},
    "ready": {"passed": 1},
    "model ready": {"passed": 1},
    "unknown model ready": {"passed": 1},
    "metadata": {"passed": 1},
    "model metadata": {"passed": 1},
    "texts": {"handed_over": 1},
    "flowers": {"handed_over": 1},
    "large": {"handed_over": 1},
    "with headers and a query": {"handed_over": 1},
    "compressed answer": {"handed_over": 1},
    "compressed request": {"handed_over": 1},
    "many at once": {"handed_over": 20},
    "awaited": {"passed": 1, "handed_over": 3},
}


@pytest.mark.parametrize(("step", "states"), ANSWERED.items(), ids=ANSWERED)
def test_tritonclient_gets_the_same_through_the_gateway(step, states, around):
    direct, through, front = around
    expected = direct.does(step)

    with front.counts(**states):
        found = through.does(step)

    assert found == expected
    assert "gave" in found


REFUSED = {
    "repository": ("passed", "422"),  # tritonclient asks without a body, MLServer wants one
    "deflated request": ("handed_over", "422"),
    "wrong shape": ("handed_over", "400"),
    "unknown model": ("handed_over", "404"),
    "binary tensors": ("handed_over", "422"),
}


@pytest.mark.parametrize(("step", "said"), REFUSED.items(), ids=REFUSED)
def test_tritonclient_raises_the_same_through_the_gateway(step, said, around):
    direct, through, front = around
    state, status = said
    expected = direct.does(step)

    with front.counts(**{state: 1}):
        found = through.does(step)

    assert found == expected
    assert found["raised"][0] == status


def test_the_answers_are_those_of_the_models_and_so_are_the_copies(around):
    _, through, front = around

    texts = through.does("texts")["gave"]["outputs"]
    flowers = through.does("flowers")["gave"]["outputs"]

    assert texts["label"] == ["object", [["positive"], ["not positive"], ["not positive"], ["not positive"]]]
    assert flowers["species"] == ["int64", [[0], [2], [1]]]
    copied = {output["name"]: output["data"] for output in json.loads(front.answers()[0].body)["outputs"]}
    assert copied["species"] == [0, 2, 1]
