"""Requests per second per core of the gateway: direct to the model, through it unforked, and forked.

One gateway on core 0; model, receiving end and load generator (wrk) on core 1; 1 KiB JSON POSTs over 16 connections,
rounds alternating in one run. `per core` is requests by CPU second of the gateway, which holds also where the other
core is the limit. A forked round counts only when every exchange was acknowledged and none was shed.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from gnomon.records import counters
from gnomon.records.process import Epoch, GatewayConfig, Upstream

RESULTS = Path(__file__).parent / "results" / "fork.json"
SCRIPT = """\
wrk.method = "POST"
wrk.body = '{"id": "1", "text": "' .. string.rep("x", 1000) .. '"}'
wrk.headers["Content-Type"] = "application/json"
"""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def import_ms() -> float:
    """Time to import all of the gateway's code in a new process, without the interpreter's own start."""
    code = "import time; t = time.perf_counter(); import gnomon.fork.__main__; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-P", "-c", code])) for _ in range(5)]
    return 1000 * min(times)


def wrk(port: int, script: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """One round of load."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/predict"], check=True, capture_output=True, text=True
    ).stdout
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    quantile = {
        name: float(value) * units[unit]
        for name, value, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)
    }
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    return {
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50_ms": quantile["50"],
        "p99_ms": quantile["99"],
        "errors": errors,
    }


class Gateway:
    """A gateway pinned to core 0."""

    def __init__(self, folder: Path, model: int, runner_socket: str, rate: int) -> None:
        folder.mkdir()
        arm = Upstream(url=f"http://127.0.0.1:{model}", version="1", timeout_us=None, authorization_env=None)
        config = GatewayConfig(
            trial="bench.1",
            production=arm,
            candidate=arm,
            routes=(("POST", "/predict"),),
            mode="sync",
            shadow_rate=rate,
            sampling_key="00" * 32,
            per_second=None,
            capture_headers=("content-type", "content-encoding"),
            epoch=Epoch(number=1, serving="production"),
            runner_socket=runner_socket,
            control_socket=str(folder / "gateway.sock"),
            counters_dir=str(folder),
            epoch_file=str(folder / "epoch.json"),
        )
        path = folder / "gateway.json"
        path.write_text(json.dumps(msgspec.to_builtins(config)))
        self.folder = folder
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        fd = self.listener.fileno()
        command = ["taskset", "-c", "0", sys.executable, "-P", "-m", "gnomon.fork"]
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--config", str(path), "--listen-fd", str(fd)], stdout=subprocess.PIPE, pass_fds=[fd]
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.ready_ms = 1000 * (time.perf_counter() - begun)

    def counts(self) -> counters.Counters:
        return counters.read_all(self.folder)[0]

    def round(self, script: Path, *, connections: int, seconds: int) -> dict[str, float]:
        """One round of load and what it cost."""
        before, begun = self.counts(), cpu_seconds(self.process.pid)
        row = wrk(self.port, script, connections=connections, seconds=seconds)
        row["cpu_us_per_request"] = 1e6 * (cpu_seconds(self.process.pid) - begun) / row["requests"]
        row["per_second_per_core"] = 1e6 / row["cpu_us_per_request"]
        row["rss_mib"] = resident_mib(self.process.pid)
        time.sleep(0.5)
        after = self.counts()
        row["handed_over"] = after.handed_over - before.handed_over
        # wrk leaves in the middle of its last requests: those are the client's doing
        decided = after.states.get("unsampled", 0) + after.states.get("cancelled", 0)
        row["lost"] = after.seen - after.handed_over - decided
        return row

    def idle_mib(self, connections: int) -> float:
        """Resident memory with this many idle keep-alive connections that were used once."""
        request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        clients = []
        for _ in range(connections):
            client = socket.create_connection(("127.0.0.1", self.port))
            client.sendall(request)
            client.recv(1 << 16)
            clients.append(client)
        mib = resident_mib(self.process.pid)
        for client in clients:
            client.close()
        return mib

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.listener.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk, the load generator, is missing: apt-get install wrk (or: make bench-fork)")
    load = {"connections": options.connections, "seconds": options.seconds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "post.lua"
        script.write_text(SCRIPT)
        runner_socket = str(folder / "runner.sock")
        backend = subprocess.Popen(
            ["taskset", "-c", "1", sys.executable, str(Path(__file__).parent / "fork_backend.py"), runner_socket],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert backend.stdout is not None
        model = int(backend.stdout.readline())
        off = Gateway(folder / "off", model, runner_socket, 0)
        on = Gateway(folder / "on", model, runner_socket, 1 << 32)
        rows: dict[str, list[dict[str, float]]] = {"direct": [], "fork off": [], "fork on": []}
        try:
            for _ in range(options.rounds):
                rows["direct"].append(wrk(model, script, **load))
                rows["fork off"].append(off.round(script, **load))
                rows["fork on"].append(on.round(script, **load))
            start = {
                "ready_ms": min(off.ready_ms, on.ready_ms),
                "import_ms": import_ms(),
                "rss_mib_1000_idle": on.idle_mib(1000),
            }
        finally:
            off.stop()
            on.stop()
            backend.terminate()
            backend.wait()
    report(rows, start, options)


def report(rows: dict[str, list[dict[str, float]]], start: dict[str, float], options: argparse.Namespace) -> None:
    """Print the table and write the file."""
    names = ("per_second", "per_second_per_core", "cpu_us_per_request", "p50_ms", "p99_ms", "rss_mib", "errors", "lost")
    medians = {
        arm: {name: statistics.median(row[name] for row in each) for name in names if name in each[0]}
        for arm, each in rows.items()
    }
    print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections, 1 KiB POST; medians")
    print(f"{'':10}" + "".join(f"{name:>21}" for name in names))
    for arm, values in medians.items():
        print(f"{arm:10}" + "".join(f"{values[name]:21,.2f}" if name in values else f"{'-':>21}" for name in names))
    lost = sum(row["lost"] for row in rows["fork on"])
    errors = sum(row["errors"] for each in rows.values() for row in each)
    ratio = medians["fork on"]["per_second_per_core"] / medians["fork off"]["per_second_per_core"]
    print(f"forked / unforked per core: {ratio:.2f}; exchanges lost: {lost:.0f}; errors: {errors:.0f}")
    print("; ".join(f"{name} {value:.1f}" for name, value in start.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
    result = {
        "machine": machine,
        "options": vars(options),
        "medians": medians,
        "start": start,
        "rows": rows,
        "lost": lost,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if lost or errors:
        sys.exit("a round lost exchanges or had errors: the figures do not count")


if __name__ == "__main__":
    main()
