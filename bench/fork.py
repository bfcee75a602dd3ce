"""The gateway's fork against the mirrors of nginx, Envoy and Traefik: requests per second per core, latency, losses.

Every proxy has one worker pinned to core 0 and is alone there while it is measured; model, shadow's end and load share
core 1. 1 KiB JSON POSTs. Rounds alternate in one run, in an order that rotates, and a ratio is of two rows of the same
round: the machine's own speed drifts, and both sides drift with it. `per core` is requests by CPU second of the proxy,
all its threads and processes, until its last copy has arrived; it holds also where the other core is the limit. The
gateway is as a user gets it (everything on, sync mode), from a checkout ("fork on") and from the compiled wheel
("compiled"); the peers do nothing but mirror.

A row counts only without loss: each of the gateway's exchanges acknowledged by the receiver, each of a peer's requests
mirrored with its body. Latency is compared at one absolute rate for all, half of what nginx's mirror took.

    python bench/fork.py [--rounds 10] [--seconds 1] [--latency-rounds 8] [--latency-seconds 2] [--runner-steps 5]
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import load
import meter
import whole
from arms import COMPILED, Arm, all_arms
from gateway import gateway
from peers import PEERS
from rounds import Rows, added, clean, more, quiet_rows, ratios
from table import latency_table, saturation_table, targets

RESULTS = Path(__file__).parent / "results" / "fork.json"
HOME = Path(__file__).parent.parent / ".venv-bench"
OURS = ("fork on", COMPILED)
CONNECTIONS = (16, 64)
LATENCY_CONNECTIONS = 64
IDLE = 1000


def rotated(arms: list[Arm], number: int) -> list[Arm]:
    """Nobody always follows the same one."""
    at = number % len(arms)
    return arms[at:] + arms[:at]


def saturation(arms: list[Arm], folder: Path, options: argparse.Namespace) -> dict[int, Rows]:
    """What each arm can do, by connections."""
    found: dict[int, Rows] = {}
    for connections in CONNECTIONS:
        rows: Rows = {arm.name: [] for arm in arms}
        while more(rows, options.rounds):
            for arm in rotated(arms, len(rows["direct"])):
                rows[arm.name].append(arm.saturated(folder, connections=connections, seconds=options.seconds))
        found[connections] = rows
        print(saturation_table(rows, connections), flush=True)
    return found


def latencies(arms: list[Arm], rate: float, options: argparse.Namespace) -> Rows:
    """The same rate for all; what a proxy adds is its row less the direct row of the same round."""
    rows: Rows = {arm.name: [] for arm in arms}
    while more(rows, options.latency_rounds):
        for arm in rotated(arms, len(rows["direct"])):
            row = arm.at(rate, connections=LATENCY_CONNECTIONS, seconds=options.latency_seconds)
            rows[arm.name].append(row)
    print(latency_table(rows, rate), flush=True)
    return rows


def idle_mib(arm: Arm) -> float:
    """Resident memory with many idle keep-alive connections that were used once."""
    assert arm.pid is not None
    clients = []
    try:
        for _ in range(IDLE):
            client = socket.create_connection(("127.0.0.1", arm.port), timeout=10)
            clients.append(client)
            client.sendall(load.REQUEST)
            answer = b""
            while not answer.endswith(b'"}'):
                answer += client.recv(1 << 16)
        return meter.memory_mib(arm.pid)
    finally:
        for client in clients:
            client.close()


def starting(folder: Path) -> dict[str, float]:
    """Medians of a gateway's time to `ready`, and of the import of all its code in a new process."""
    ready = []
    for number in range(5):
        with gateway(folder / f"start-{number}", model=9, runner_socket=folder / "nobody.sock", core=0) as one:
            ready.append(one.ready_ms)
    code = "import time; t = time.perf_counter(); import gnomon.fork.__main__; print(time.perf_counter() - t)"
    imports = [1000 * float(subprocess.check_output([sys.executable, "-P", "-c", code])) for _ in range(5)]
    return {"ready_ms": statistics.median(ready), "import_ms": statistics.median(imports)}


def run(options: argparse.Namespace) -> dict[str, object]:
    """Everything, in the order of the output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with all_arms(folder, options.home) as arms:
            found = saturation(arms, folder, options)
            nginx = quiet_rows(found[LATENCY_CONNECTIONS]["nginx"])
            rate = statistics.median(row["per_second"] for row in nginx) / 2
            delays = latencies(arms, rate, options)
            idle = {arm.name: idle_mib(arm) for arm in arms if arm.pid is not None}
            versions = {arm.name: arm.version for arm in arms if arm.version}
        start = starting(folder)
    end_to_end = whole.highest(steps=options.runner_steps, seconds=6, connections=LATENCY_CONNECTIONS)
    return {
        "machine": meter.machine(),
        "versions": versions,
        "options": {name: value for name, value in vars(options).items() if name != "home"},
        "ratio": ratios(found, "fork on", tuple(PEERS)),
        "ratio_compiled": ratios(found, COMPILED, tuple(PEERS)),
        "saturation": {str(connections): rows for connections, rows in found.items()},
        "latency": {
            "rate": rate,
            "connections": LATENCY_CONNECTIONS,
            "added": {name: added(delays, name) for name in ("p50_us", "p99_us")},
            "rows": delays,
        },
        "idle_mib": {"connections": IDLE} | idle,
        "start": start,
        "with_runner": {
            "highest_rate": max((row["rate"] for row in end_to_end if row["holds"]), default=0),
            "rows": end_to_end,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--latency-rounds", type=int, default=8)
    parser.add_argument("--latency-seconds", type=float, default=2)
    parser.add_argument("--runner-steps", type=int, default=5)
    parser.add_argument("--home", type=Path, default=HOME, help="the environment with the peers' packages")
    options = parser.parse_args()
    if load.missing():
        sys.exit(f"{load.missing()} (or: make bench-fork)")
    if not options.home.exists():
        sys.exit(f"nginx, Envoy and Traefik are missing at {options.home}: make bench-fork")
    meter.end_in_order()
    os.sched_setaffinity(0, {load.CORE})
    meter.allow_open_files(16384)
    result = run(options)
    print(targets(result))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    ours = [row for rows in result["saturation"].values() for arm in OURS for row in rows[arm]]
    if not all(map(clean, [*ours, *(row for arm in OURS for row in result["latency"]["rows"][arm])])):
        sys.exit("the gateway lost exchanges or had errors: those rows do not count")


if __name__ == "__main__":
    main()
