"""One body of 1 GiB through the gateway, each way: how much its memory grows.

Request and answer, with Content-Length and chunked, with readers that are quick and with one that is slow and stops
altogether in the middle: what is not read then must wait in the sender. The fork is on. Growth is the peak (VmHWM, set
back before each body) above what was resident before it. Ends with 1 when a body makes it grow by 10 MiB or more, or
does not arrive as it was sent.

    python bench/body.py [--mib 1024]
"""

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import meter
from arms import backend
from gateway import Gateway, gateway

RESULTS = Path(__file__).parent / "results" / "body.json"
LIMIT_MIB = 10
PIECE = 256 * 1024
PAUSE_EVERY = 64
"""Pieces after which a slow reader rests; in the middle of the body it rests long."""
SHORT_REST, LONG_REST = 0.05, 2.0
PATTERN = bytes(range(256)) * (PIECE // 256)


@dataclass(frozen=True)
class Case:
    """One body."""

    way: str
    framing: str
    reader: str
    pieces: int

    @property
    def name(self) -> str:
        return f"{self.way}, {self.framing}, {self.reader} reader"

    @property
    def header(self) -> bytes:
        length = b"Content-Length: %d" % (self.pieces * PIECE)
        return length if self.framing == "length" else b"Transfer-Encoding: chunked"


def send_body(connection: socket.socket, case: Case) -> None:
    chunked = case.framing == "chunked"
    piece = b"%x\r\n%b\r\n" % (PIECE, PATTERN) if chunked else PATTERN
    for _ in range(case.pieces):
        connection.sendall(piece)
    if chunked:
        connection.sendall(b"0\r\n\r\n")


def read_head(stream: BinaryIO) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            raise EOFError("the connection closed before a head was complete")
        head += line
    return head.lower()


def pieces_of(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """A body's bytes, whichever way it is framed."""
    if b"\r\ntransfer-encoding: chunked" in head:
        while size := int(stream.readline(), 16):
            yield stream.read(size)
            stream.readline()
        stream.readline()
    elif b"\r\ncontent-length: " in head:
        left = int(head.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0])
        while left:
            data = stream.read(min(PIECE, left))
            if not data:
                raise EOFError(f"the body ended {left} bytes early")
            yield data
            left -= len(data)


def read_body(stream: BinaryIO, head: bytes, case: Case | None) -> tuple[int, int]:
    """Its length and checksum."""
    count = check = 0
    rested = 0
    for data in pieces_of(stream, head):
        count += len(data)
        check = zlib.crc32(data, check)
        if case is not None and case.reader == "slow" and count // (PAUSE_EVERY * PIECE) > rested:
            rested = count // (PAUSE_EVERY * PIECE)
            halfway = rested == case.pieces // PAUSE_EVERY // 2
            time.sleep(LONG_REST if halfway else SHORT_REST)
    return count, check


class Model:
    """Reads requests and says what it got; sends a large answer when the case wants one."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.case: Case | None = None
        self.got: tuple[int, int] = (0, 0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection, connection.makefile("rb", PIECE) as stream:
            while True:
                head = read_head(stream)
                case = self.case
                upload = case is not None and case.way == "request"
                self.got = read_body(stream, head, case if upload else None)
                if case is not None and case.way == "answer":
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + case.header + b"\r\n\r\n")
                    send_body(connection, case)
                else:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def exchange(port: int, model: Model, case: Case) -> tuple[int, int]:
    """Send a request and read its answer; length and checksum of the large body where it arrived."""
    model.case = case
    upload = case.way == "request"
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb", PIECE) as stream:
        header = case.header if upload else b"Content-Length: 2"
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: model.example\r\n" + header + b"\r\n\r\n")
        if upload:
            send_body(connection, case)
        else:
            connection.sendall(b"{}")
        head = read_head(stream)
        got = read_body(stream, head, None if upload else case)
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(f"{case.name}: {head.decode()}")
    return model.got if upload else got


def measure(one: Gateway, model: Model, case: Case) -> dict[str, object]:
    """One body and the gateway's peak while it passed."""
    meter.reset_peak(one.pid)
    before, cpu, begun = meter.memory_mib(one.pid), meter.cpu_seconds(one.pid), time.perf_counter()
    count, check = exchange(one.port, model, case)
    seconds = time.perf_counter() - begun
    expected = 0
    for _ in range(case.pieces):
        expected = zlib.crc32(PATTERN, expected)
    whole = (count, check) == (case.pieces * PIECE, expected)
    growth = meter.memory_mib(one.pid, "VmHWM") - before
    return {
        "way": case.way,
        "framing": case.framing,
        "reader": case.reader,
        "before_mib": before,
        "growth_mib": growth,
        "seconds": seconds,
        "mib_per_second": count / seconds / (1 << 20),
        "cpu_seconds": meter.cpu_seconds(one.pid) - cpu,
        "whole": whole,
        "holds": whole and growth < LIMIT_MIB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    options = parser.parse_args()
    meter.end_in_order()
    pieces = options.mib * (1 << 20) // PIECE
    cases = [
        Case(way, framing, reader, pieces)
        for reader in ("quick", "slow")
        for way in ("request", "answer")
        for framing in ("length", "chunked")
    ]
    rows = []
    print(f"{options.mib} MiB each{'':24}{'growth MiB':>12}{'seconds':>10}{'MiB/s':>8}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        runner_socket = folder / "runner.sock"
        ends.enter_context(backend(folder, "shadow", runner_socket))
        model = Model()
        ends.callback(model.listener.close)
        one = ends.enter_context(gateway(folder / "gateway", model=model.port, runner_socket=runner_socket))
        for way in ("request", "answer"):  # small: the first request of a process makes what all others use
            exchange(one.port, model, Case(way, "length", "quick", 1))
        for case in cases:
            row = measure(one, model, case)
            rows.append(row)
            shown = (row["growth_mib"], row["seconds"], row["mib_per_second"], row["cpu_seconds"])
            figures = "{:12.1f}{:10.1f}{:8.0f}{:8.2f}".format(*shown)
            verdict = "" if row["holds"] else "   NOT AS SENT" if not row["whole"] else f"   over {LIMIT_MIB} MiB"
            print(f"{case.name:36}{figures}{verdict}", flush=True)
        states = one.counts().states
    RESULTS.parent.mkdir(exist_ok=True)
    result = {"machine": meter.machine(), "mib": options.mib, "limit_mib": LIMIT_MIB, "rows": rows, "states": states}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if not all(row["holds"] for row in rows):
        sys.exit(1)
    print(f"all under {LIMIT_MIB} MiB; copies: {states}")


if __name__ == "__main__":
    main()
