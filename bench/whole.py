"""Gateway, real runner and candidate, end to end: the highest rate at which every exchange is paired in the log.

The gateway has core 0 as in the other rows; runner, model, candidate and load share core 1. A rate holds when the load
could keep it without an error, the candidate was called for the last exchange right after it ended, so that no backlog
was growing, nothing was shed, and all are paired in the log one flush later.
"""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import load
import meter
import msgspec
from arms import PROXY_CORE, backend, ledger
from gateway import end, gateway

from gnomon.log import read
from gnomon.records.process import RunnerConfig

SLOWEST, FASTEST = 500.0, 8000.0
SLACK_SECONDS = 0.5
"""After the last scheduled request: its answer, and the candidate's."""
COMMIT_SECONDS = 1.0
"""After the flush's interval: the commit of the last batch."""


def document(model: int, candidate: int) -> dict:
    """A plan with a segment, two compared fields, a truth key and a gate."""
    return {
        "gnomon": 1,
        "trial": "bench",
        "question": "How fast?",
        "production": {"version": "1", "url": f"http://127.0.0.1:{model}"},
        "candidate": {"version": "2", "url": f"http://127.0.0.1:{candidate}", "timeout": "5s"},
        "protocol": "json",
        "routes": ["POST /predict"],
        "suitability": {"context": "stateless", "side_effects": "none"},
        "fork": {"mode": "sync", "shadow_rate": "100%", "expires_after": "10m", "budget": {"in_flight": 64}},
        "segments": {"id": {"from": "body:/id", "values": ["1", "2"]}},
        "output": {"label": "body:/label", "score": {"from": "body:/score", "compare": "number", "tolerance": 0.01}},
        "truth": {"key": "body:/id", "expected_within": "1d"},
        "unit": {"independent": True},
        "gates": [{"error_rate": {"no_worse_than": "production", "margin": "4pp"}}],
        "samples": {"overall": 100, "every_segment": 10},
        "expect": {"disagreement": "10%"},
        "alpha": "5%",
    }


@dataclass(frozen=True)
class Runner:
    """A running runner process."""

    pid: int
    config: RunnerConfig

    def paired(self) -> int:
        rows = read.ledger(self.config.log_url)
        return sum(row.count for row in rows if row.state == "paired")


@contextlib.contextmanager
def runner(folder: Path, plan: dict) -> Iterator[Runner]:
    """Start one on the load's core. It is killed at the end: its backlog is of no interest any more."""
    config = RunnerConfig(
        trial="bench.1",
        data=str(folder),
        plan_document=json.dumps(plan),
        first_epoch=1,
        started_us=time.time_ns() // 1000,
        runner_socket=str(folder / "runner.sock"),
        counters_dir=str(folder / "gateway"),
        inbox_url=f"sqlite:///{folder}/inbox.db",
        log_url=str(folder / "log"),
    )
    path = folder / "runner.json"
    path.write_bytes(msgspec.json.encode(config))
    command = ["taskset", "-c", str(load.CORE), sys.executable, "-P", "-m", "gnomon.processes.runner"]
    process = subprocess.Popen([*command, "--config", str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("the runner did not start")
        yield Runner(process.pid, config)
    finally:
        process.kill()
        end(process)


def one_rate(rate: float, *, seconds: float, connections: int) -> dict[str, float]:
    """A new gateway and a new runner at this rate."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        model = ends.enter_context(backend(folder, "model"))
        candidate = ends.enter_context(backend(folder, "candidate"))
        (folder / "gateway").mkdir()
        receiving = ends.enter_context(runner(folder, document(model.port, candidate.port)))
        sending = ends.enter_context(
            gateway(
                folder / "gateway",
                model=model.port,
                candidate=candidate.port,
                runner_socket=folder / "runner.sock",
                core=PROXY_CORE,
            )
        )
        row = load.open_loop(sending.port, rate=rate, seconds=seconds, connections=connections)
        left = SLACK_SECONDS - row["overrun_s"]
        kept_up = waited(lambda: candidate.counts()["requests"] >= row["requests"], left)
        flushed = receiving.config.flush_us / 1e6 + COMMIT_SECONDS
        waited(lambda: receiving.paired() >= row["requests"], flushed if kept_up else 0)
        paired = receiving.paired()
        states = ledger(sending)
        row |= {
            "rate": rate,
            "seen": states["seen"],
            "handed_over": states["handed_over"],
            "paired": paired,
            "shed": sum(count for state, count in states.items() if state.startswith("shed")),
            "gateway_cpu_us_per_request": 1e6 * meter.cpu_seconds(sending.pid) / states["seen"],
            "runner_cpu_us_per_request": 1e6 * meter.cpu_seconds(receiving.pid) / states["seen"],
        }
        row["kept_up"] = kept_up
    row["holds"] = (
        kept_up and not row["errors"] and row["paired"] == row["handed_over"] == row["seen"] == row["requests"]
    )
    return row


def waited(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time; looked at once at least."""
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def highest(*, steps: int, seconds: float, connections: int) -> list[dict[str, float]]:
    """Halve the logarithm of the range, `steps` times; every row that was measured."""
    low, high, rows = SLOWEST, FASTEST, []
    for _ in range(steps):
        rate = math.sqrt(low * high)
        rows.append(one_rate(rate, seconds=seconds, connections=connections))
        low, high = (rate, high) if rows[-1]["holds"] else (low, rate)
    return rows
