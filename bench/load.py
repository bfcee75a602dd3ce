"""Load: wrk for what an arm can do at most, and a client that holds a rate whatever the arm does.

wrk is a closed loop: it sends when an answer came, so it cannot hold a rate and leaves out the waiting of those it did
not send. h2load and k6 hold a rate, but time a request from when it was really sent. The client below has a schedule
(Poisson arrivals of a fixed seed, the same for every arm) and times each request from its *scheduled* moment to the
last byte of its answer: what waits because all connections are busy, or because the arm stalls, counts.

    python load.py PORT RATE SECONDS CONNECTIONS      prints a line of JSON
"""

import gc
import json
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

CORE = 1
BODY = b'{"id": "1", "text": "' + b"x" * 1000 + b'"}'
HEAD = b"POST /predict HTTP/1.1\r\nHost: model.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
REQUEST = HEAD % len(BODY) + BODY
WARM_UP = 0.3
"""Seconds at the beginning that are not counted: connections to the arm and from it to the model are made."""
PATIENCE = 3.0
"""Seconds after the last scheduled moment in which answers may still come."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

SCRIPT = f"""\
wrk.method = "POST"
wrk.body = '{BODY.decode()}'
wrk.headers["Content-Type"] = "application/json"
"""


def closed_loop(port: int, folder: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """As many requests as the arm answers, from wrk."""
    script = folder / "post.lua"
    script.write_text(SCRIPT)
    command = ["taskset", "-c", str(CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    text = subprocess.run(
        [*command, "-s", str(script), f"http://127.0.0.1:{port}/predict"], check=True, capture_output=True, text=True
    ).stdout
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}
    quantile = {
        name: float(value) * units[unit]
        for name, value, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    }
    if len(quantile) != 2:
        raise SystemExit(f"wrk said something unexpected: {text}")
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    return {
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50_ms": quantile["50"],
        "p99_ms": quantile["99"],
        "errors": errors,
    }


def open_loop(port: int, *, rate: float, seconds: float, connections: int, first: bool = False) -> dict[str, float]:
    """Requests at this rate, from a process of its own. `first`: it runs before the others of its core (needs root)."""
    command = ["taskset", "-c", str(CORE), sys.executable, "-P", __file__]
    if first:
        command = ["nice", "-n", "-15", *command]
    text = subprocess.check_output([*command, *map(str, (port, rate, seconds, connections))], text=True)
    return json.loads(text)


def missing() -> str | None:
    """What to install, if wrk is not there."""
    return None if shutil.which("wrk") else "wrk, the load generator, is missing: apt-get install wrk"


class Client:
    """A schedule of requests over some connections, each with one request at a time."""

    def __init__(self, port: int, rate: float, seconds: float, connections: int) -> None:
        chance = random.Random(7)
        self.due, moment = [], 0.0
        while (moment := moment + chance.expovariate(rate)) < WARM_UP + seconds:
            self.due.append(moment)
        self.idle: deque[socket.socket] = deque()
        self.busy: dict[int, tuple[socket.socket, float, bytes]] = {}
        self.poll = select.epoll()
        self.latencies: list[float] = []
        self.answers = self.errors = self.next = 0
        self.overrun = 0.0
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.settimeout(0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.poll.register(connection, select.EPOLLIN)
            self.idle.append(connection)

    def run(self) -> None:
        """Until every scheduled request is answered, or patience ends."""
        due, clock = self.due, time.perf_counter
        begun = clock() + 0.01
        last = due[-1] + PATIENCE
        while self.next < len(due) or self.busy:
            now = clock() - begun
            while self.next < len(due) and due[self.next] <= now and self.idle:
                self.send(self.idle.popleft(), due[self.next])
                self.next += 1
            if now > last or not (self.idle or self.busy):
                break
            wait = due[self.next] - (clock() - begun) if self.next < len(due) and self.idle else last - now
            # the poll's own time limit is in whole milliseconds, select's is not
            if wait > 0 and not select.select([self.poll], [], [], wait)[0]:
                continue
            for number, _ in self.poll.poll(0):
                self.receive(number, clock, begun)
        self.overrun = clock() - begun - due[-1]
        self.errors += len(due) - self.next + len(self.busy)

    def send(self, connection: socket.socket, due: float) -> None:
        self.busy[connection.fileno()] = (connection, due, b"")
        try:
            if connection.send(REQUEST) != len(REQUEST):
                raise BlockingIOError
        except OSError:
            self.drop(connection)

    def receive(self, number: int, clock, begun: float) -> None:
        if number not in self.busy:  # closed while idle
            for connection in [each for each in self.idle if each.fileno() == number]:
                self.idle.remove(connection)
                self.poll.unregister(connection)
                connection.close()
            return
        connection, due, data = self.busy[number]
        try:
            more = connection.recv(65536)
        except OSError:
            more = b""
        if not more:
            self.drop(connection)
            return
        data += more
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + int(LENGTH.search(data, 0, end + 2)[1]):
            self.busy[number] = (connection, due, data)
            return
        del self.busy[number]
        self.idle.append(connection)
        if not data.startswith(b"HTTP/1.1 200"):
            self.errors += 1
            return
        self.answers += 1
        if due >= WARM_UP:
            self.latencies.append(clock() - begun - due)

    def drop(self, connection: socket.socket) -> None:
        """A connection that broke in the middle of a request."""
        self.errors += 1
        del self.busy[connection.fileno()]
        self.poll.unregister(connection)
        connection.close()

    def result(self) -> dict[str, float]:
        ordered = sorted(self.latencies)
        return {
            "requests": self.answers,
            "errors": self.errors,
            "p50_us": 1e6 * ordered[len(ordered) // 2],
            "p99_us": 1e6 * ordered[len(ordered) * 99 // 100],
            "max_us": 1e6 * ordered[-1],
            "overrun_s": self.overrun,
        }


def main() -> None:
    port, rate, seconds, connections = sys.argv[1:]
    client = Client(int(port), float(rate), float(seconds), int(connections))
    gc.disable()
    client.run()
    print(json.dumps(client.result()))


if __name__ == "__main__":
    main()
