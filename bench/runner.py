"""Exchanges per second through the runner: socket, inbox, the candidate's call, comparison, durable log.

The runner is one process pinned to one core. A feeder (the gateway's side of the socket) and a quick candidate share
the other one. The clock runs from the first frame sent until the last row is in the Delta table; a round counts only
when every exchange is there, once, and paired.

    python bench/runner.py [--exchanges 60000] [--rounds 3] [--body 1024] [--in-flight 64]
"""

import argparse
import contextlib
import json
import os
import platform
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import msgspec

from gnomon.log import read
from gnomon.records.frames import Ack, Answer, Exchange, Hello, Request
from gnomon.records.process import RunnerConfig

RESULTS = Path(__file__).parent / "results" / "runner.json"
RUNNER_CORE, OTHER_CORE = 0, 1
ANSWER = b'{"label": "ham", "score": 0.25}'

CANDIDATE = """
import asyncio, sys, uvloop
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 31\\r\\n\\r\\n"
ANSWER = HEAD + b'{"label": "ham", "score": 0.25}'
class Model(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""
    def data_received(self, data):
        data = self.rest + data
        while True:
            end = data.find(b"\\r\\n\\r\\n")
            if end < 0: break
            at = data.find(b"content-length: ", 0, end)
            size = end + 4 + int(data[at + 16 : data.find(b"\\r", at)])
            if len(data) < size: break
            self.transport.write(ANSWER)
            data = data[size:]
        self.rest = data
async def main():
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""


def document(port: int, in_flight: int) -> dict:
    return {
        "gnomon": 1, "trial": "bench", "question": "How fast?",
        "production": {"version": "1.0", "url": "http://127.0.0.1:9"},
        "candidate": {"version": "2.0", "url": f"http://127.0.0.1:{port}", "timeout": "5s"},
        "protocol": "json", "routes": ["POST /predict"],
        "suitability": {"context": "stateless", "side_effects": "none"},
        "fork": {"mode": "async", "shadow_rate": "100%", "expires_after": "10m", "budget": {"in_flight": in_flight}},
        "segments": {
            "country": {"from": "body:/country", "values": ["DE", "FR"]},
            "amount": {"from": "body:/amount", "bins": [0, 100]},
        },
        "output": {"label": "body:/label", "score": {"from": "body:/score", "compare": "number", "tolerance": 0.01}},
        "truth": {"key": "body:/id", "expected_within": "1d"},
        "unit": {"independent": True},
        "gates": [{"error_rate": {"no_worse_than": "production", "margin": "4pp"}}],
        "samples": {"overall": 100, "every_segment": 10}, "expect": {"disagreement": "10%"}, "alpha": "5%",
    }  # fmt: skip


def frames(count: int, body: int) -> list[bytes]:
    """Encoded frames; ids are UUIDv7-shaped, bodies are made-up text that compresses like text."""
    encode = msgspec.msgpack.Encoder().encode
    now = time.time_ns() // 1000
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(3000)]
    made = []
    late = False
    for number in range(1, count + 1):
        content = {"id": f"tx-{number}", "country": ("DE", "FR", "IT")[number % 3], "amount": number % 200, "text": ""}
        text = " ".join(chance.choices(words, k=body // 6))
        content["text"] = text[: max(0, body - len(json.dumps(content)))]
        request = Request(
            ((now // 1000) << 80 | number).to_bytes(16, "big"), now, "POST", "/predict",
            (("content-type", "application/json"), ("accept", "*/*")), json.dumps(content).encode(), "POST /predict",
            "all", 1 << 32, 1, "production",
        )  # fmt: skip
        answer = Answer("ok", 200, (("content-type", "application/json"),), ANSWER, 900, now)
        payload = encode(Exchange(number, request, answer, late))
        made.append(len(payload).to_bytes(4, "big") + payload)
    return made


def feed(path: Path, made: list[bytes]) -> float:
    """Send everything, at most 16 MiB unacknowledged like a gateway; seconds until the last acknowledgement."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))
    hello = msgspec.msgpack.encode(Hello(uuid.uuid4().hex, os.getpid(), "bench.1"))
    link.sendall(len(hello).to_bytes(4, "big") + hello)
    link.settimeout(0)
    decoder = msgspec.msgpack.Decoder(Ack)
    start = time.perf_counter()
    sent = acknowledged = 0
    rest, out = b"", memoryview(b"")
    while acknowledged < len(made):
        if not out and sent < len(made) and sent - acknowledged < 10_000:
            out = memoryview(b"".join(made[sent : sent + 64]))
            sent = min(len(made), sent + 64)
        moved = False
        with contextlib.suppress(BlockingIOError):
            if out:
                out = out[link.send(out) :]
                moved = True
        with contextlib.suppress(BlockingIOError):
            data = link.recv(65536)
            if not data:
                raise SystemExit("the runner closed the connection")
            rest += data
            while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
                end = 4 + int.from_bytes(rest[:4], "big")
                acknowledged = decoder.decode(rest[4:end]).number
                rest = rest[end:]
            moved = True
        if not moved:
            time.sleep(0.0005)
    seconds = time.perf_counter() - start
    link.close()
    return seconds


def one_round(options: argparse.Namespace, made: list[bytes], profile: Path | None) -> dict:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        candidate = subprocess.Popen([sys.executable, "-c", CANDIDATE], stdout=subprocess.PIPE, text=True)
        ends.callback(candidate.kill)
        os.sched_setaffinity(candidate.pid, {OTHER_CORE})
        port = int(candidate.stdout.readline())
        config = RunnerConfig(
            trial="bench.1", data=name, plan_document=json.dumps(document(port, options.in_flight)), first_epoch=1,
            started_us=0, runner_socket=f"{name}/runner.sock", counters_dir=f"{name}/counters",
            inbox_url=f"sqlite:///{name}/inbox.db", log_url=f"{name}/log",
        )  # fmt: skip
        path = folder / "runner.json"
        path.write_bytes(msgspec.json.encode(config))
        command = [sys.executable, "-m", "gnomon.processes.runner", "--config", str(path)]
        if profile:
            command[1:1] = ["-m", "cProfile", "-o", str(profile)]
        os.sched_setaffinity(0, {RUNNER_CORE})  # the child inherits it
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(0, {OTHER_CORE})
        ends.callback(runner.kill)
        assert runner.stdout.readline() == "ready\n"
        start = time.perf_counter()
        acknowledged = feed(folder / "runner.sock", made)
        while True:
            ledger = {row.state: row.count for row in read.ledger(config.log_url)}
            if ledger.get("paired") == len(made):
                break
            assert ledger.get("expired", 0) == 0
            if time.perf_counter() - start > 300:
                raise SystemExit(f"not all in the log after 300 s: {ledger}")
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = int(
            next(
                line for line in Path(f"/proc/{runner.pid}/status").read_text().splitlines() if "VmHWM" in line
            ).split()[1]
        )
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(30) == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows = read.column(config.log_url, "comparisons", ["id", "candidate_outcome"])
        assert len(set(rows["id"].to_pylist())) == rows.num_rows == len(made)
        assert set(rows["candidate_outcome"].to_pylist()) == {"ok"}
        size = sum(file.stat().st_size for file in (folder / "log").rglob("*.parquet"))
    return {
        "exchanges_per_second": round(len(made) / seconds),
        "acknowledged_per_second": round(len(made) / acknowledged),
        "cpu_us_per_exchange": round(cpu / len(made) * 1e6, 1),
        "peak_memory_mib": round(peak / 1024),
        "log_bytes_per_exchange": round(size / len(made)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--body", type=int, default=1024)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--profile", type=Path, help="write a cProfile of one round's runner here; writes no result")
    options = parser.parse_args()
    made = frames(options.exchanges, options.body)
    os.sched_setaffinity(0, {OTHER_CORE})
    if options.profile:
        print(one_round(options, made, options.profile))
        return
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(options, made, None))
        print(f"round {number + 1}: " + ", ".join(f"{name} {value}" for name, value in rounds[-1].items()), flush=True)
    median = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    result = {
        "what": "runner: inbox to durable log, the candidate's call and the comparison included, pinned to one core",
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "settings": {
            "exchanges": options.exchanges, "body_bytes": options.body, "in_flight": options.in_flight,
            "synchronous": "FULL",
        },
        "median": median,
        "rounds": rounds,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(f"median: {median['exchanges_per_second']} exchanges/s; written to {RESULTS}")


if __name__ == "__main__":
    main()
