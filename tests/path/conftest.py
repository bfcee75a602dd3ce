"""The whole path as a user has it: real model servers, `gnomon serve` as a process, the command line."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.path.warm import Warm

MODEL = Path(__file__).parent / "model.py"
GNOMON = Path(sys.executable).parent / "gnomon"
PORTS = range(20_000, 32_000)

PLAN = """\
gnomon: 1
trial: {trial}
question: Is the candidate as good as production in every country?
production: {{version: "1.4", url: "http://127.0.0.1:{production}"}}
candidate: {{version: "2.0", url: "http://127.0.0.1:{candidate}", timeout: 5s}}
protocol: json
routes: [POST /predict]
suitability: {{context: stateless, side_effects: none}}
fork: {{mode: {mode}, shadow_rate: 100%}}
segments: {{country: {{from: body:/country, values: [DE, FR]}}}}
output: {{label: body:/label}}
truth: {{key: body:/id, expected_within: 14d}}
unit: {{independent: true}}
gates:
  - accuracy: {{no_worse_than: production, margin: 10pp}}
  - error_rate: {{no_worse_than: production, margin: 10pp}}
  - latency: {{quantile: 90%, at_most: 3s, where: overall}}
samples: {{overall: 100, every_segment: 40}}
alpha: 5%
expect: {{disagreement: 6%}}
"""


def free_port() -> int:
    """One that nobody listens on, and that the system will not give to a connection in the meantime."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def wait_for(condition, seconds=30.0, what="the condition"):
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        found = condition()
        if found:
            return found
        time.sleep(max(0.05, time.monotonic() - began))  # to ask takes no more than half of a processor
    raise AssertionError(f"{what} did not come true in {seconds} s")


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Place:
    """One data folder, the models, and the command line."""

    folder: Path
    listen: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    processes: list = field(default_factory=list)
    gateways: int = 1
    settings: dict = field(default_factory=dict)
    warm: Warm | None = None
    """Commands are run in its forks; None: in new processes."""

    @property
    def env(self):
        return (
            os.environ
            | {
                "GNOMON_DATA": str(self.folder / "data"),
                "GNOMON_LISTEN": f"127.0.0.1:{self.listen}",
                "GNOMON_ADMIN": f"127.0.0.1:{self.admin}",
                "GNOMON_GATEWAYS": str(self.gateways),
                "GNOMON_FLUSH": "0.3",
                # every request is to be a pair, and nothing else in the log, where a test does not say otherwise
                "GNOMON_PROBE_EVERY": "none",
                "GNOMON_OFF_SLICES": "0",
            }
            | self.settings
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listen}"

    def model(self, name, *options, port=None) -> int:
        port = port or free_port()
        process = subprocess.Popen([sys.executable, str(MODEL), str(port), name, *options], cwd=self.folder)
        self.processes.append(process)
        wait_for(lambda: listens(port), what=f"model {name}")
        return port

    def plan(self, production, candidate, *, trial="fraud", mode="sync", edit=lambda text: text) -> Path:
        path = self.folder / f"{trial}.yaml"
        path.write_text(edit(PLAN.format(trial=trial, production=production, candidate=candidate, mode=mode)))
        return path

    def gnomon(self, *words, code=0, stdin=None):
        words = [*map(str, words)]
        if self.warm is not None:
            done = self.warm.run(words, env=self.env, cwd=self.folder, stdin=stdin)
        else:
            done = subprocess.run(
                [str(GNOMON), *words],
                env=self.env,
                cwd=self.folder,
                capture_output=True,
                text=True,
                input=stdin,
                check=False,
            )
        if code is not None:
            assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, *words, code=0):
        return json.loads(self.gnomon(*words, "--json", code=code).stdout)

    def serve(self, plan) -> subprocess.Popen:
        errors = (self.folder / "serve.err").open("ab")
        process = subprocess.Popen(
            [str(GNOMON), "serve", str(plan)],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.processes.append(process)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                return process
        raise AssertionError("".join(lines) + (self.folder / "serve.err").read_text())

    def stop(self, process):
        process.terminate()
        assert process.wait(60) == 0

    def pids(self):
        """Name and pid of each child of the supervisor."""
        status = httpx.get(f"http://127.0.0.1:{self.admin}/status", timeout=10).json()
        return {child["name"]: child["pid"] for child in status["processes"]}

    def drained(self, trial="fraud", *, paired=None):
        """The status once every request is final and the log has it."""

        def settled():
            ledger = self.read("status", trial)["ledger"]
            return ledger if ledger["open"] == 0 and ledger["seen"] else None

        ledger = wait_for(settled, what="an empty inbox")
        if paired is not None:
            assert ledger["states"].get("paired") == paired, ledger
        return ledger


def body(number: int) -> dict:
    return {"id": f"r{number}", "country": ("DE", "FR")[number % 2], "amount": number}


class Load:
    """Clients that send without pause until told to stop; every failure is kept.

    The first `fresh` of them open a connection for each request, the others keep theirs.
    """

    def __init__(self, url, threads=3, pause=0.004, fresh=0):
        self.url, self.pause, self.fresh = url, pause, fresh
        self.sent, self.failures, self.failed_at, self.by = 0, [], [], []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def _run(self, offset):
        number = offset * 1_000_000
        kept = httpx.Limits(max_keepalive_connections=0 if offset < self.fresh else None)
        with httpx.Client(base_url=self.url, timeout=20, limits=kept) as client:
            while not self._stop.is_set():
                number += 1
                began = time.monotonic()
                try:
                    response = client.post("/predict", json=body(number))
                    problem = None if response.status_code == 200 else f"{response.status_code} {response.text}"
                    by = response.headers.get("x-model")
                except httpx.HTTPError as error:
                    problem, by = repr(error), None
                with self._lock:
                    self.sent += 1
                    self.by.append((began, by))
                    if problem:
                        self.failures.append(problem)
                        self.failed_at.append(began)
                if self.pause:
                    time.sleep(self.pause)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def stream(url, numbers, *, extra=lambda number: {}):
    """Send these requests one after another; each must be answered 200."""
    with httpx.Client(base_url=url, timeout=20) as client:
        for number in numbers:
            response = client.post("/predict", json=body(number) | extra(number))
            assert response.status_code in (200, 500), response.text


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    made = Warm(tmp_path_factory.mktemp("warm"))
    yield made
    made.close()


@pytest.fixture
def place(tmp_path, warm):
    made = Place(tmp_path, warm=warm)
    yield made
    # the newest first: a supervisor drains its own children; whatever is left is killed by its pid
    for process in reversed(made.processes):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
