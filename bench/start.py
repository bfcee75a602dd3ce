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

from gateway import gateway
from meter import memory_mib

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


def started(idle_connections: int) -> tuple[float, float]:
    """Milliseconds until a gateway says `ready`, and its resident memory in MiB with idle connections."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gateway(folder, model=9, runner_socket=folder / "runner.sock") as one:
            clients = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(idle_connections)]
            time.sleep(0.5)
            resident = memory_mib(one.pid)
            for client in clients:
                client.close()
        return one.ready_ms, resident


def main() -> None:
    python = sys.executable
    binary = str(Path(python).parent / "gnomon")
    floor = milliseconds([python, "-c", "pass"])
    imported = milliseconds([python, "-c", "import gnomon"])
    helped = milliseconds([binary, "--help"])
    starts = [started(1000) for _ in range(5)]
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
