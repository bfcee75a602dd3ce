"""The processes of the demo: model servers and `gnomon serve`. Each is ended by its own id, whatever happens."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HERE: Final = Path(__file__).resolve().parent

ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""A model takes one thread: two arms, a gateway, a runner and a client share two cores."""


class DemoError(Exception):
    """One line: what went wrong and where to read more."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Processes:
    """Started in order, ended in reverse order when the block is left, by an exception or Ctrl-C too."""

    def __init__(self) -> None:
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, _ in reversed(self._running.copy()):
            self.end(name)

    def start(self, name: str, command: list[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
        """Start one process; its output goes to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            # Its own session: Ctrl-C at the terminal reaches this program alone, which then ends them in order.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                cwd=cwd,
                start_new_session=True,
            )
        self._running.append((name, process))

    def wait_until_ready(self, name: str, url: str, *, log: Path, seconds: float = 60) -> None:
        """Wait until `url` answers 200.

        Raises DemoError when the process ends or the time is over.
        """
        process = dict(self._running)[name]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                raise DemoError(f"{name} ended at its start: {_last_words(log)} (all of it: {log})")
            if answers(url):
                return
            time.sleep(0.1)
        raise DemoError(f"{name} was not ready after {seconds:.0f} s: {_last_words(log)} (all of it: {log})")

    def end(self, name: str, *, patience: float = 45) -> None:
        """End one process: politely, and if that does not help by force. Ctrl-C meanwhile does not leave it behind."""
        process = dict(self._running)[name]
        self._running = [each for each in self._running if each[0] != name]
        try:
            process.terminate()
            process.wait(patience)
        except BaseException as error:
            # The whole session that `start` made: what a killed supervisor would leave behind goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered 200 within a second."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing"])[-1][:200]


def start_model(processes: Processes, name: str, version: str, folder: Path, *, saved: Path | None = None) -> str:
    """Serve one model with MLServer and wait until it is ready. Returns its address."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    _write(folder / "settings.json", server_settings(port, folder))
    _write(folder / "model-settings.json", model_settings(version, saved))
    mlserver = Path(sys.executable).parent / "mlserver"
    # PYTHONPATH: MLServer imports the runtime, and joblib the features of the fair candidate, from this folder.
    env = {**ONE_THREAD, "PYTHONPATH": str(HERE)}
    processes.start(name, [str(mlserver), "start", str(folder)], log=log, env=env, cwd=folder)
    processes.wait_until_ready(name, f"http://127.0.0.1:{port}/v2/models/sentiment/ready", log=log)
    return f"http://127.0.0.1:{port}"


def server_settings(port: int, folder: Path) -> dict[str, Any]:
    """MLServer on 127.0.0.1 alone (its default is every address), in one process, on ports that are free."""
    return {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": 0,  # cannot be switched off; the system picks a free port
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
        "gzip_enabled": False,
        "environments_dir": str(folder / "environments"),
        "metrics_dir": str(folder / "metrics"),
    }


def model_settings(version: str, saved: Path | None) -> dict[str, Any]:
    """One model, under the same name on every server: the two arms answer the same path."""
    extra = {} if saved is None else {"extra": {"saved": str(saved)}}
    return {
        "name": "sentiment",
        "versions": [version],
        "platform": "vaderSentiment" if saved is None else "scikit-learn",
        "implementation": "sentiment_model.SentimentModel",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP64", "shape": [-1]},
        ],
        "parameters": {"version": version, **extra},
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
