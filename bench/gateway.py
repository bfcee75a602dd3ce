"""A gateway as a user gets it, for the benches: every setting that has a default keeps it."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gnomon.records import counters
from gnomon.records.process import Epoch, GatewayConfig, Upstream

ALWAYS = 1 << 32
"""Shadow rate of 100 %."""


@dataclass(frozen=True)
class Gateway:
    """A running gateway process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    ready_ms: float
    """From its start to its `ready`."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def counts(self) -> counters.Counters:
        return counters.read_all(self.folder)[0]


def write_config(folder: Path, *, model: int, runner_socket: Path, shadow_rate: int, candidate: int | None) -> Path:
    """The file that a supervisor would write."""
    config = GatewayConfig(
        trial="bench.1",
        production=Upstream(url=f"http://127.0.0.1:{model}", version="1", timeout_us=None, authorization_env=None),
        candidate=Upstream(
            url=f"http://127.0.0.1:{candidate or model}", version="2", timeout_us=None, authorization_env=None
        ),
        routes=(("POST", "/predict"),),
        mode="sync",
        shadow_rate=shadow_rate,
        sampling_key="5a" * 32,
        per_second=None,
        capture_headers=("content-type", "content-encoding"),
        epoch=Epoch(number=1, serving="production"),
        runner_socket=str(runner_socket),
        control_socket=str(folder / "gateway.sock"),
        counters_dir=str(folder),
        epoch_file=str(folder / "epoch.json"),
        pause_file=str(folder / "paused"),
    )
    path = folder / "gateway.json"
    path.write_text(json.dumps(msgspec.to_builtins(config)))
    return path


@contextlib.contextmanager
def gateway(
    folder: Path, *, model: int, runner_socket: Path, shadow_rate: int = ALWAYS, core: int | None = None,
    candidate: int | None = None, python: Path | str = sys.executable,
) -> Iterator[Gateway]:  # fmt: skip
    """Start one, wait for its `ready`, and end it. `python`: of the environment in which Gnomon is installed."""
    folder.mkdir(exist_ok=True)
    path = write_config(folder, model=model, runner_socket=runner_socket, shadow_rate=shadow_rate, candidate=candidate)
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        fd = listener.fileno()
        command = [*pinned, str(python), "-P", "-m", "gnomon.fork", "--config", str(path), "--listen-fd", str(fd)]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[fd])
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise SystemExit("the gateway did not start")
            ready_ms = 1000 * (time.perf_counter() - begun)
            yield Gateway(process, listener.getsockname()[1], folder, ready_ms)
        finally:
            end(process)
            process.stdout.close()


def end(process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
