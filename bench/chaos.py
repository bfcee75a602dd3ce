"""Production's latency while the candidate hangs, drips, floods or is dead, against the shadow switched off.

Gateway and production share core 0; runner, candidate and load have core 1 (the load goes first there, where we may say
so: else a flooded core would be measured as a slow answer). All gateways run all the time, and take their turns within
each round. "off" and "off again" are two gateways whose shadow rate is 0: what differs between them is the machine's
noise, and what a fault must not exceed.

Latency is timed from the scheduled moment of an open loop, at one rate for all.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import load
import meter
from arms import PROXY_CORE, backend
from gateway import ALWAYS, Gateway, end, gateway
from rounds import spread
from scipy.stats import mannwhitneyu
from whole import document, runner

from gnomon.records import counters

FAULTY = Path(__file__).parent.parent / "tests/path/faulty.py"
OFF = ("off", "off again")
FAULTS = {"sound": "well", "hangs": "hangs", "drips": "drips", "floods": "floods", "fails": "fails", "dead": "refuses"}
PAUSE_SECONDS = 1.2
"""After each turn: calls that hang reach their time limit of a second, and the core is quiet again."""
RESULTS = Path(__file__).parent / "results" / "chaos.json"


@dataclass(frozen=True)
class Arm:
    """A gateway, and the runner behind it where its shadow is on."""

    name: str
    gateway: Gateway
    runner_pid: int | None


@contextlib.contextmanager
def candidate(behaviour: str) -> Iterator[int]:
    """A candidate that behaves like this, on the load's core; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "-c", str(load.CORE), sys.executable, str(FAULTY), str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(behaviour + "\n")
        process.stdin.flush()
        process.stdout.readline()
        yield port
    finally:
        end(process)


@contextlib.contextmanager
def arms(folder: Path) -> Iterator[list[Arm]]:
    """Everything that is compared, running."""
    with contextlib.ExitStack() as ends:
        model = ends.enter_context(backend(folder, "production", core=PROXY_CORE))  # beside the gateway
        made = []
        for name in (*OFF, *FAULTS):
            own = folder / name.replace(" ", "-")
            (own / "gateway").mkdir(parents=True)
            pid = None
            if name in FAULTS:
                plan = document(model.port, ends.enter_context(candidate(FAULTS[name])))
                plan["candidate"]["timeout"] = "1s"
                pid = ends.enter_context(runner(own, plan)).pid
            running = ends.enter_context(
                gateway(
                    own / "gateway",
                    model=model.port,
                    runner_socket=own / "runner.sock",
                    shadow_rate=ALWAYS if name in FAULTS else 0,
                    core=PROXY_CORE,
                )
            )
            made.append(Arm(name, running, pid))
        yield made


def turn(arm: Arm, *, rate: float, seconds: float, connections: int) -> dict[str, float]:
    """One arm's turn in a round."""
    before = meter.cpu_seconds(arm.gateway.pid)
    row = load.open_loop(arm.gateway.port, rate=rate, seconds=seconds, connections=connections, first=os.getuid() == 0)
    row["gateway_cpu_us"] = 1e6 * (meter.cpu_seconds(arm.gateway.pid) - before) / max(1, row["requests"])
    row["gateway_mib"] = meter.memory_mib(arm.gateway.pid)
    time.sleep(PAUSE_SECONDS)
    return row


def judged(rows: dict[str, list[dict[str, float]]], name: str, of: str) -> dict[str, object]:
    """An arm's ratios to the mean of the two rounds without a shadow, and whether they stand out of the noise."""
    base = [(a[of] * b[of]) ** 0.5 for a, b in zip(rows["off"], rows["off again"], strict=True)]
    ratios = [row[of] / without for row, without in zip(rows[name], base, strict=True)]
    noise = [row[of] / without for other in OFF for row, without in zip(rows[other], base, strict=True)]
    p = float(mannwhitneyu(ratios, noise, alternative="greater").pvalue)
    return {"ratio": spread(ratios), "p": p}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    meter.end_in_order()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in (*OFF, *FAULTS)}
    with tempfile.TemporaryDirectory() as name, arms(Path(name)) as running:
        for number in range(options.rounds):
            order = running[number % len(running) :] + running[: number % len(running)]
            for arm in order:
                rows[arm.name].append(
                    turn(arm, rate=options.rate, seconds=options.seconds, connections=options.connections)
                )
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        ledgers = {arm.name: totals(arm) for arm in running}
    found = {each: {of: judged(rows, each, of) for of in ("p50_us", "p99_us")} for each in rows}
    show(rows, found)
    RESULTS.parent.mkdir(exist_ok=True)
    result = {"options": vars(options), "arms": found, "ledgers": ledgers, "rounds": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if any(row["errors"] for each in rows.values() for row in each) else 0


def totals(arm: Arm) -> dict[str, int]:
    """The gateway's ledger."""
    counted = counters.read_all(arm.gateway.folder)
    states: dict[str, int] = {"seen": sum(each.seen for each in counted)}
    states["handed_over"] = sum(each.handed_over for each in counted)
    for each in counted:
        for state, count in each.states.items():
            states[state] = states.get(state, 0) + count
    return states


def show(rows: dict[str, list[dict[str, float]]], found: dict[str, dict[str, dict[str, object]]]) -> None:
    """A line for each arm."""
    print(f"{'candidate':12}{'p50 us':>10}{'ratio':>26}{'p':>8}{'p99 us':>10}{'ratio':>26}{'p':>8}{'errors':>8}")
    for name, each in rows.items():
        line = f"{name:12}"
        for of in ("p50_us", "p99_us"):
            ratio, p = found[name][of]["ratio"], found[name][of]["p"]
            line += f"{statistics.median(row[of] for row in each):10,.0f}"
            line += f"{ratio['median']:12.3f} ({ratio['least']:.2f} to {ratio['most']:.2f}){p:8.3f}"
        print(line + f"{sum(row['errors'] for row in each):8.0f}")


if __name__ == "__main__":
    sys.exit(main())
