"""What starting costs: `import gnomon`, `gnomon --help`, and a gateway's time to ready and memory.

Each figure is the median of several runs in new processes, beside `python -c pass` as the floor of the machine.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from gnomon.records.process import Epoch, GatewayConfig, Upstream

RUNS = 15
RESULTS = Path(__file__).parent / "results" / "start.json"


def milliseconds(command: list[str]) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def gateway(idle_connections: int) -> tuple[float, float]:
    """Milliseconds until a gateway says `ready`, and its resident memory in MiB with idle connections."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        arm = Upstream(url="http://127.0.0.1:9", version="1", timeout_us=None, authorization_env=None)
        config = GatewayConfig(
            trial="bench.1",
            production=arm,
            candidate=arm,
            routes=(("POST", "/predict"),),
            mode="sync",
            shadow_rate=1 << 32,
            sampling_key="00" * 32,
            per_second=None,
            capture_headers=("content-type",),
            epoch=Epoch(number=1, serving="production"),
            runner_socket=f"{folder}/runner.sock",
            control_socket=f"{folder}/gateway.sock",
            counters_dir=folder,
            epoch_file=f"{folder}/epoch.json",
        )
        path = Path(folder) / "gateway.json"
        path.write_text(json.dumps(msgspec.to_builtins(config)))
        fd = listener.fileno()
        command = [sys.executable, "-P", "-m", "gnomon.fork", "--config", str(path), "--listen-fd", str(fd)]
        begun = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[fd]) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"ready"
            ready = 1000 * (time.perf_counter() - begun)
            clients = [socket.create_connection(listener.getsockname()) for _ in range(idle_connections)]
            time.sleep(0.5)
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
            for client in clients:
                client.close()
            process.terminate()
        return ready, resident / 1024


def main() -> None:
    python = sys.executable
    binary = str(Path(python).parent / "gnomon")
    floor = milliseconds([python, "-c", "pass"])
    imported = milliseconds([python, "-c", "import gnomon"])
    helped = milliseconds([binary, "--help"])
    starts = [gateway(1000) for _ in range(5)]
    results = {
        "python_ms": floor,
        "import_gnomon_ms": imported - floor,
        "help_ms": helped,
        "gateway_ready_ms": statistics.median(ready for ready, _ in starts),
        "gateway_rss_mib_1000_idle": statistics.median(rss for _, rss in starts),
        "cpus": os.cpu_count(),
    }
    limits = {"import_gnomon_ms": 50, "help_ms": 300, "gateway_ready_ms": 300, "gateway_rss_mib_1000_idle": 60}
    for name, value in results.items():
        limit = limits.get(name)
        print(f"{name:28} {value:8.1f}" + (f"   (to stay under {limit})" if limit else ""))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
