"""A gateway process between a raw backend and raw clients, and a receiving end in the runner's place."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from gnomon.records import counters, frames
from gnomon.records.process import Epoch, GatewayConfig, Upstream

DECODER = msgspec.msgpack.Decoder(frames.Frame)
ENCODER = msgspec.msgpack.Encoder()


def wait_for(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not true within {seconds} s: {condition}")


class Backend:
    """A real TCP server that says exactly the bytes it is told to, and keeps exactly the bytes it got.

    `script(head, body) -> bytes | list[bytes | float]`: pieces are written one by one, numbers are pauses in seconds,
    None closes the connection, "reset" aborts it.
    """

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)

        async def start():
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                lower = head.lower()
                if b"transfer-encoding: chunked" in lower:
                    while size := int(await reader.readuntil(b"\r\n"), 16):
                        body += (await reader.readexactly(size + 2))[:-2]
                    while await reader.readuntil(b"\r\n") != b"\r\n":
                        pass
                elif b"content-length:" in lower:
                    body = await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
                self.requests.append((head, body))
                said = self.script(head, body)
                for piece in said if isinstance(said, list) else [said]:
                    if piece is None:
                        writer.close()
                        return
                    if piece == "reset":
                        writer.transport.abort()
                        return
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                        continue
                    writer.write(piece)
                    await writer.drain()
        writer.close()

    def close(self):
        async def stop():
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.call_soon(self._loop.stop)

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(stop(), self._loop)
            self._thread.join(5)
            self._loop.close()


class Receiver:
    """The runner's place: takes frames, and acknowledges those that `acknowledge` says yes to.

    Closes a connection whose Hello does not name `trial`.
    """

    def __init__(self, path, acknowledge=lambda frame: True, *, trial="t.1"):
        self.path, self.acknowledge, self.trial = path, acknowledge, trial
        self.frames = []
        self._listener = socket.socket(socket.AF_UNIX)
        Path(path).unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._open = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        with contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while size := stream.read(4):
                frame = DECODER.decode(stream.read(int.from_bytes(size, "big")))
                self.frames.append(frame)
                if isinstance(frame, frames.Hello):
                    if frame.trial != self.trial:
                        time.sleep(0.1)  # long enough to be taken for a runner that is there
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    self._ack(connection, 0)
                if isinstance(frame, frames.Settled | frames.Exchange) and self.acknowledge(frame):
                    self._ack(connection, frame.number)

    def _ack(self, connection, number):
        data = ENCODER.encode(frames.Ack(number))
        connection.sendall(len(data).to_bytes(4, "big") + data)

    def say(self, data):
        """Send these bytes on the newest connection."""
        self._open[-1].sendall(data)

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def close(self):
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@dataclass
class Gateway:
    """A gateway process and what it was told."""

    folder: Path
    backend: int
    settings: dict = field(default_factory=dict)
    patch: str = ""
    """Python that runs in the gateway's process before it starts: a fault to inject."""

    def start(self):
        arm = Upstream(url=f"http://127.0.0.1:{self.backend}", version="1", timeout_us=None, authorization_env=None)
        made = {
            "trial": "t.1",
            "production": arm,
            "candidate": arm,
            "routes": (("POST", "/predict"),),
            "mode": "sync",
            "shadow_rate": 1 << 32,
            "sampling_key": "ab" * 32,
            "per_second": None,
            "capture_headers": ("content-type", "content-encoding"),
            "epoch": Epoch(number=1, serving="production"),
            "runner_socket": str(self.folder / "runner.sock"),
            "control_socket": str(self.folder / "gateway-0.sock"),
            "counters_dir": str(self.folder),
            "epoch_file": str(self.folder / "epoch.json"),
        } | self.settings
        path = self.folder / "gateway.json"
        path.write_text(json.dumps(msgspec.to_builtins(GatewayConfig(**made))))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        fd = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-P", *self._program(), "--config", str(path), "--listen-fd", str(fd)],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "gateway.err").open("ab"),
            pass_fds=[fd],
        )
        assert self.process.stdout.readline() == b"ready\n", self.errors()
        return self

    def _program(self):
        if not self.patch:
            return ["-m", "gnomon.fork"]
        return ["-c", f"{self.patch}\nimport sys\nfrom gnomon.fork.__main__ import main\nmain(sys.argv[1:])"]

    def errors(self):
        return (self.folder / "gateway.err").read_text()

    def epoch(self, number, serving, **changes):
        """Tell it who serves."""
        return self.control({"epoch": {"number": number, "serving": serving}, "trial": "t.1"} | changes)

    def control(self, message):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.folder / "gateway-0.sock"))
            connection.sendall(json.dumps(message).encode() + b"\n")
            return json.loads(connection.makefile("rb").readline())

    def counters(self):
        """The sums over this folder's counter files."""
        found = counters.read_all(self.folder)
        states = {}
        for each in found:
            for state, count in each.states.items():
                states[state] = states.get(state, 0) + count
        return replace(
            Sums(0, 0, 0, {}),
            seen=sum(c.seen for c in found),
            handed_over=sum(c.handed_over for c in found),
            invalid_head=sum(c.invalid_head for c in found),
            states=states,
        )

    def settled(self):
        """The sums once nothing is open."""

        def balanced():
            sums = self.counters()
            return sums if sums.seen == sums.handed_over + sum(sums.states.values()) else None

        return wait_for(balanced)

    def talk(self, *pieces, pause=0.0, seconds=10.0, half_close=False):
        """Send these bytes on a new connection and return all that comes until the gateway closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as client:
            for piece in pieces:
                client.sendall(piece)
                if pause:
                    time.sleep(pause)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while data := client.recv(1 << 16):
                    got += data
            return got

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)
        self.listener.close()
        return self.process.returncode


@dataclass(frozen=True)
class Sums:
    seen: int
    handed_over: int
    invalid_head: int
    states: dict
