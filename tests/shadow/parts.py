"""Real parts around a runner: a model that misbehaves on demand, a gateway's side of the socket, a counter file."""

import asyncio
import fcntl
import json
import os
import socket
import struct
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop

from gnomon import clock
from gnomon.compare import Comparing
from gnomon.log import read
from gnomon.plan import load
from gnomon.records import counters
from gnomon.records.frames import Ack, Answer, Call, Dropped, Exchange, Hello, Request, Settled
from gnomon.records.ledger import GATEWAY_STATES
from gnomon.records.process import RunnerConfig
from gnomon.shadow.inbox import Inbox
from gnomon.shadow.runner import Runner

LABEL = b'{"label": "a"}'


def document(url, *, mode="async", timeout="2s", in_flight=8, expires="60s", arm=None, **more):
    return {
        "gnomon": 1,
        "trial": "t",
        "question": "Is it as good?",
        "production": {"version": "1.0", "url": "http://127.0.0.1:9"},
        "candidate": {"version": "2.0", "url": url, "timeout": timeout} | (arm or {}),
        "protocol": "json",
        "routes": ["POST /predict"],
        "suitability": {"context": "stateless", "side_effects": "none"},
        "fork": {"mode": mode, "shadow_rate": "100%", "expires_after": expires, "budget": {"in_flight": in_flight}},
        "segments": {"country": {"from": "body:/country", "values": ["DE", "FR"]}},
        "output": {"label": "body:/label"},
        "truth": {"key": "body:/id", "expected_within": "1d"},
        "unit": {"independent": True},
        "gates": [{"error_rate": {"no_worse_than": "production", "margin": "4pp"}}],
        "samples": {"overall": 100, "every_segment": 10},
        "expect": {"disagreement": "10%"},
        "alpha": "5%",
    } | more  # fmt: skip


def a_plan(url, **settings):
    return load.from_document(document(url, **settings))


def now_us():
    return time.time_ns() // 1000


def new_id():
    """A UUIDv7."""
    tail = uuid.uuid4().int & ((1 << 80) - 1)
    return ((time.time_ns() // 1_000_000) << 80 | tail).to_bytes(16, "big")


def a_request(number=0, *, time_us=None, epoch=1, serving="production", **changes):
    body = json.dumps({"id": f"r{number}", "country": ("DE", "FR")[number % 2]}).encode()
    return Request(
        **{
            "id": new_id(), "time_us": now_us() if time_us is None else time_us, "method": "POST", "target": "/predict",
            "headers": (("content-type", "application/json"),), "body": body, "route": "POST /predict",
            "stratum": "all", "probability": 1 << 32, "epoch": epoch, "serving": serving,
        }
        | changes
    )  # fmt: skip


def an_answer(body=LABEL, *, outcome="ok", status=200):
    return Answer(outcome, status, (("content-type", "application/json"),), body, 1_000, now_us())


# the model ---------------------------------------------------------------------------------------------------------


def reply(body, *, status=b"200 OK", headers=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


class Model:
    """A candidate on a raw socket: answers by the request's path, and remembers what it got."""

    def __init__(self, delay=0.0):
        self.delay = delay
        self.got = []
        self.connections = 0
        self.busy = self.most = 0
        """Requests that it has and has not answered; the most at one time."""
        self._served = threading.Event()

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = start.result(5)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_):
        async def end():
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                self.got.append((head, body))
                self.busy += 1
                self.most = max(self.most, self.busy)
                try:
                    if self.delay:
                        await asyncio.sleep(self.delay)
                    path = head.split(b" ", 2)[1].partition(b"?")[0].rpartition(b"/")[2].decode()
                    if await getattr(self, f"_{path}", self._predict)(writer):
                        break
                finally:
                    self.busy -= 1
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _predict(self, writer):
        writer.write(reply(LABEL, headers=b"Content-Type: application/json\r\nSet-Cookie: secret=1\r\n"))

    async def _error(self, writer):
        writer.write(reply(b"oops", status=b"500 Internal Server Error"))

    async def _missing(self, writer):
        writer.write(reply(b"what?", status=b"404 Not Found"))

    async def _redirect(self, writer):
        writer.write(reply(LABEL, status=b"302 Found", headers=b"Location: /error\r\n"))

    async def _html(self, writer):
        writer.write(reply(b"<html>"))

    async def _shapeless(self, writer):
        writer.write(reply(b"{}"))

    async def _hang(self, writer):
        await asyncio.sleep(60)

    async def _drip(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await asyncio.sleep(0.02)

    async def _flood(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()

    async def _headers(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-header: " + b"a" * 4096 + b"\r\n")
            await writer.drain()

    async def _garbage(self, writer):
        writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")

    async def _upgrade(self, writer):
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")

    async def _reset(self, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return True

    async def _cut(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        return True

    async def _until_close(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LABEL)
        await writer.drain()
        return True

    async def _interim(self, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(LABEL))

    async def _chunked(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + LABEL[:7] + b"\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"7\r\n" + LABEL[7:] + b"\r\n0\r\nx-trailer: 1\r\n\r\n")

    async def _once(self, writer):
        """Every connection answers once, says that it stays open, and closes when the next request has come."""
        if self.connections not in self.__dict__.setdefault("answered", set()):
            self.answered.add(self.connections)
            writer.write(reply(LABEL))
            return False
        return True

    async def _more(self, writer):
        writer.write(reply(LABEL) + b"HTTP/1.1 200 OK\r\n")

    async def _nothing(self, writer):
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def _keep(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")  # the answer to HEAD has no body


# the gateway's side ------------------------------------------------------------------------------------------------


class Gateway:
    """A gateway's link: frames out, acknowledgements in."""

    def __init__(self, path, instance=None):
        self.path = path
        self.greet = True
        self.instance = instance or uuid.uuid4().hex
        self.number = 0
        self.acknowledged = 0
        self._rest = b""

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(self.path))
        self._rest = b""
        if self.greet:
            self.send(Hello(self.instance, os.getpid(), "t.1"))
        return self

    def __enter__(self):
        return self.connect()

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        bodies = [msgspec.msgpack.encode(frame) for frame in frames]
        self.socket.sendall(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))

    def exchange(self, request, answer=None, *, late=False):
        self.number += 1
        frame = Exchange(self.number, request, answer or an_answer(), late)
        self.send(frame)
        return frame

    def call(self, request):
        self.send(Call(request))

    def settle(self, request, answer=None):
        self.number += 1
        self.send(Settled(self.number, request.id, answer or an_answer()))

    def drop(self, request):
        self.send(Dropped(request.id))

    def read_acks(self):
        """Wait for the next bytes; False when the runner is gone."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return False
        self._rest += data
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4], "big")
            if len(self._rest) < end:
                break
            self.acknowledged = msgspec.msgpack.decode(self._rest[4:end], type=Ack).number
            self._rest = self._rest[end:]
        return bool(data)

    def await_acks(self, number=None):
        while self.acknowledged < (self.number if number is None else number):
            assert self.read_acks(), "the runner closed the connection"


@contextmanager
def counter_file(folder, instance, *, epoch=1, frontier_us=0, **counts):
    """A living gateway's counter file; the block gets a function that writes counts into it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / counters.file_name(instance, epoch)
    header = {"instance": instance, "pid": os.getpid(), "trial": "t.1", "epoch": epoch, "stratum": "all"}
    with path.open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def write(*, frontier_us, **counts):
            fixed = {"frontier_us": frontier_us} | {name.replace("__", ":"): count for name, count in counts.items()}
            slots = [fixed.get(name, 0) for name in (*counters.SLOTS, *GATEWAY_STATES)]
            file.seek(0)
            file.write(json.dumps(header).encode().ljust(counters.PAGE) + struct.pack(f"<{len(slots)}q", *slots))
            file.flush()

        write(frontier_us=frontier_us, **counts)
        yield write


@contextmanager
def running(folder, plan_document, *, flush_us=50_000, patience=5.0, plan=None, now=None, **settings):
    """A runner in a thread, drained at the end."""
    plan = plan or load.from_document(plan_document)
    ready, stop, failures = threading.Event(), threading.Event(), []

    async def serve():
        runner = Runner(
            plan,
            Inbox(folder / "inbox.db", trial="t.1"),
            Comparing(plan).rows,
            a_config(folder, plan_document, flush_us=flush_us, **settings),
            clock=now or clock.steady(),
        )
        await runner.start(folder / "runner.sock")
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.01)
        await runner.drain(patience=patience)

    def run():
        try:
            uvloop.run(serve())
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield folder / "runner.sock"
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert failures == []


# what came of it ---------------------------------------------------------------------------------------------------


def a_config(folder: Path, plan_document, *, flush_us=100_000, **settings) -> RunnerConfig:
    return RunnerConfig(
        trial="t.1",
        data=str(folder),
        plan_document=json.dumps(plan_document),
        first_epoch=1,
        started_us=0,
        runner_socket=str(folder / "runner.sock"),
        counters_dir=str(folder / "counters"),
        inbox_url=f"sqlite:///{folder / 'inbox.db'}",
        log_url=str(folder / "log"),
        flush_us=flush_us,
        **settings,
    )


def logged(folder, table="comparisons"):
    """The rows of a table of the log."""
    url = str(folder / "log")
    there = read.opened(url, table)
    if there is None:
        return []
    import pyarrow.parquet as pq

    return pq.ParquetDataset(read.data_files(url, table, there)).read().to_pylist()


def ledger(folder):
    """Sums of the ledger's latest counts, by state; what has come down to 0 is left out."""
    sums = {}
    for row in read.ledger(str(folder / "log")):
        sums[row.state] = sums.get(row.state, 0) + row.count
    return {state: count for state, count in sums.items() if count}


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come true")
