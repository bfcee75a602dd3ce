"""Exchanges per second through the runner: socket, inbox, the candidate's call, comparison, durable log.

The runner is one process pinned to one core. A feeder (the gateway's side of the socket) and a quick candidate share
the other one. The clock runs from the first frame sent until the last row is in the Delta table: when the candidate has
answered the last call the runner is told to end, which it does when all is appended, so that no time passes in which it
waits for its next flush. A round counts only when every exchange is there, once, and paired.

With --minutes one runner gets a steady rate for so long, and its memory is looked at on the way; a run counts only when
it kept up.

    python bench/runner.py [--exchanges 60000] [--rounds 3] [--body 1024] [--in-flight 64]
    python bench/runner.py --minutes 10 [--rate 4000]
"""

import argparse
import contextlib
import json
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Self

import msgspec

from gnomon.log import read
from gnomon.records.facts import RunnerFacts
from gnomon.records.frames import Ack, Answer, Exchange, Hello, Request
from gnomon.records.process import RunnerConfig

RESULTS = Path(__file__).parent / "results" / "runner.json"
RUNNER_CORE, OTHER_CORE = 0, 1
ANSWER = b'{"label": "ham", "score": 0.25}'

CANDIDATE = """
import asyncio, sys, uvloop
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 31\\r\\n\\r\\n"
ANSWER = HEAD + b'{"label": "ham", "score": 0.25}'
left = int(sys.argv[1])
class Model(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""
    def data_received(self, data):
        global left
        data = self.rest + data
        while True:
            end = data.find(b"\\r\\n\\r\\n")
            if end < 0: break
            at = data.find(b"content-length: ", 0, end)
            size = end + 4 + int(data[at + 16 : data.find(b"\\r", at)])
            if len(data) < size: break
            self.transport.write(ANSWER)
            data = data[size:]
            left -= 1
            if not left: print("all", flush=True)
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


def again(made: list[bytes], total: int) -> Iterator[bytes]:
    """The same exchanges over and over, each time with an id and a number of its own."""
    decoder, encode = msgspec.msgpack.Decoder(Exchange), msgspec.msgpack.Encoder().encode
    for number in range(1, total + 1):
        frame = decoder.decode(made[number % len(made)][4:])
        now = time.time_ns() // 1000
        request = msgspec.structs.replace(
            frame.request, id=((now // 1000) << 80 | number).to_bytes(16, "big"), time_us=now
        )
        payload = encode(Exchange(number, request, frame.answer, frame.late))
        yield len(payload).to_bytes(4, "big") + payload


def feed(
    path: Path,
    made: Iterable[bytes],
    *,
    rate: float | None = None,
    look: Callable[[float], None] | None = None,
) -> float:
    """Send everything, at most 10,000 unacknowledged; seconds until the last acknowledgement.

    `rate`: exchanges per second; None: as fast as it goes. `look` is called all the while with the seconds so far.
    """
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))
    hello = msgspec.msgpack.encode(Hello(uuid.uuid4().hex, os.getpid(), "bench.1"))
    link.sendall(len(hello).to_bytes(4, "big") + hello)
    link.settimeout(0)
    decoder = msgspec.msgpack.Decoder(Ack)
    source = iter(made)
    start = time.perf_counter()
    sent = acknowledged = 0
    ended = False
    rest, out = b"", memoryview(b"")
    while not ended or out or acknowledged < sent:
        seconds = time.perf_counter() - start
        if look is not None:
            look(seconds)
        due = 64 if rate is None else min(64, int(seconds * rate) - sent)
        if not out and not ended and due > 0 and sent - acknowledged < 10_000:
            batch = list(islice(source, due))
            ended = len(batch) < due
            out = memoryview(b"".join(batch))
            sent += len(batch)
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


class Sides:
    """A runner and its candidate, started and pinned; ended with the block."""

    def __init__(self, options: argparse.Namespace, count: int, profile: Path | None = None) -> None:
        self.ends = contextlib.ExitStack()
        name = self.ends.enter_context(tempfile.TemporaryDirectory())
        self.folder = Path(name)
        self.candidate = subprocess.Popen(
            [sys.executable, "-c", CANDIDATE, str(count)], stdout=subprocess.PIPE, text=True
        )
        self.ends.callback(self.candidate.kill)
        os.sched_setaffinity(self.candidate.pid, {OTHER_CORE})
        port = int(self.candidate.stdout.readline())
        self.config = RunnerConfig(
            trial="bench.1", data=name, plan_document=json.dumps(document(port, options.in_flight)), first_epoch=1,
            started_us=0, runner_socket=f"{name}/runner.sock", counters_dir=f"{name}/counters",
            inbox_url=f"sqlite:///{name}/inbox.db", log_url=f"{name}/log", facts_file=f"{name}/facts.json",
        )  # fmt: skip
        path = self.folder / "runner.json"
        path.write_bytes(msgspec.json.encode(self.config))
        command = [sys.executable, "-m", "gnomon.processes.runner", "--config", str(path)]
        if profile:
            command[1:1] = ["-m", "cProfile", "-o", str(profile)]
        os.sched_setaffinity(0, {RUNNER_CORE})  # the child inherits it
        self.runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(0, {OTHER_CORE})
        self.ends.callback(self.runner.kill)
        assert self.runner.stdout.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.ends.close()

    def memory(self, name: str) -> int:
        """VmRSS (now) or VmHWM (at most) of the runner, in MiB."""
        lines = Path(f"/proc/{self.runner.pid}/status").read_text().splitlines()
        return round(int(next(line for line in lines if name in line).split()[1]) / 1024)

    def cpu(self) -> float:
        """Seconds of the runner's."""
        fields = Path(f"/proc/{self.runner.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.runner.send_signal(signal.SIGTERM)
        assert self.runner.wait(60) == 0

    def check(self, count: int) -> None:
        rows = read.column(self.config.log_url, "comparisons", ["id", "candidate_outcome"])
        assert len(set(rows["id"].to_pylist())) == rows.num_rows == count
        assert set(rows["candidate_outcome"].to_pylist()) == {"ok"}


def one_round(options: argparse.Namespace, made: list[bytes], profile: Path | None) -> dict:
    with Sides(options, len(made), profile) as sides:
        idle, start = sides.cpu(), time.perf_counter()
        acknowledged = feed(sides.folder / "runner.sock", made)
        assert sides.candidate.stdout.readline() == "all\n"
        peak, cpu = sides.memory("VmHWM"), sides.cpu() - idle
        sides.end()
        seconds = time.perf_counter() - start
        sides.check(len(made))
        size = sum(file.stat().st_size for file in (sides.folder / "log").rglob("*.parquet"))
    return {
        "exchanges_per_second": round(len(made) / seconds),
        "acknowledged_per_second": round(len(made) / acknowledged),
        "cpu_us_per_exchange": round(cpu / len(made) * 1e6, 1),
        "peak_memory_mib": peak,
        "log_bytes_per_exchange": round(size / len(made)),
    }


def hold(options: argparse.Namespace) -> dict:
    """A steady rate for some minutes: whether memory is flat, and the runner keeps up."""
    total = round(options.rate * options.minutes * 60)
    made = frames(min(total, 20_000), options.body)
    facts = msgspec.json.Decoder(RunnerFacts)
    with Sides(options, total) as sides:
        seen: list[dict] = []
        looked, every = 0.0, min(60.0, options.minutes * 60 / 10)

        def look(seconds: float) -> None:
            nonlocal looked
            if seconds >= looked and Path(sides.config.facts_file).exists():  # after its first second
                looked += every
                state = facts.decode(Path(sides.config.facts_file).read_bytes())
                minute, memory = round(seconds / 60, 2), sides.memory("VmRSS")
                seen.append({"minute": minute, "memory_mib": memory, "inbox": state.inbox})
                print(seen[-1], flush=True)

        start = time.perf_counter()
        feed(sides.folder / "runner.sock", again(made, total), rate=options.rate, look=look)
        seconds = time.perf_counter() - start
        assert sides.candidate.stdout.readline() == "all\n"
        behind = time.perf_counter() - start - seconds
        peak = sides.memory("VmHWM")
        sides.end()
        sides.check(total)
    warm = seen[len(seen) // 5]  # what is allocated once is allocated by then
    return {
        "minutes": options.minutes, "rate": options.rate, "exchanges": total,
        "held_per_second": round(total / seconds), "behind_at_the_end_seconds": round(behind, 2),
        "memory_warm_mib": warm["memory_mib"], "memory_end_mib": seen[-1]["memory_mib"], "peak_memory_mib": peak,
        "looks": seen,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--body", type=int, default=1024)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--profile", type=Path, help="write a cProfile of one round's runner here; writes no result")
    parser.add_argument("--minutes", type=float, help="hold --rate for so long and look at the memory")
    parser.add_argument("--rate", type=float, default=4000)
    options = parser.parse_args()
    if options.minutes:
        os.sched_setaffinity(0, {OTHER_CORE})
        held = RESULTS.with_name("runner-held.json")
        held.parent.mkdir(exist_ok=True)
        held.write_text(json.dumps(hold(options), indent=2) + "\n")
        print(f"written to {held}")
        return
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
