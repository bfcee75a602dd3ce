"""The built-in echo arm: answers probes, as production and as the shadowed arm. Its answers are known beforehand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Final, cast

import httptools

from gnomon.records.facts import ProbeKind

PREFIX: Final = "/probe/"
LARGE: Final = 512 * 1024
"""Bytes of the large answer, where a copy may have as many."""
SLOW_SECONDS: Final = 0.3
LIMIT: Final = 4096
"""Bytes of a target and of a body, each. A probe's are some dozens; anybody on the machine may connect."""
_BETWEEN_EVENTS: Final = 0.02
_EVENTS: Final = 4


def answer(kind: ProbeKind, nonce: str, *, shadow: bool) -> bytes:
    """The body of the answer to a probe. `shadow`: to the copy of it; `nonce`: any text, with `-SIZE` at its end."""
    if kind == "streaming":
        events = [f"data: {json.dumps({'nonce': nonce, 'n': n})}\n\n" for n in range(_EVENTS)]
        return "".join([*events, "data: [DONE]\n\n"]).encode()
    said = {"nonce": nonce, "kind": kind}
    if kind == "different":
        said["arm"] = "shadow" if shadow else "user"
    if kind == "large":
        size = nonce.rpartition("-")[2]
        said["pad"] = "x" * min(LARGE, int(size) if size.isascii() and size.isdigit() and len(size) < 8 else LARGE)
    return json.dumps(said).encode()


def _nonce(body: bytes) -> str | None:
    """What a probe's answer repeats; None: it is no probe."""
    try:
        return str(json.loads(body)["nonce"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class _Connection(asyncio.Protocol):
    """Answers one request after another; probes are not pipelined."""

    def __init__(self, tasks: set[asyncio.Task[None]]) -> None:
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body, self._shadow = b"", b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        """The target, in pieces."""
        self._url = (self._url + url)[: LIMIT + 1]

    def on_header(self, name: bytes, value: bytes) -> None:
        """The mark of a shadow call."""
        if name.lower() == b"x-gnomon-shadow":
            self._shadow = value == b"1"

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body = (self._body + data)[: LIMIT + 1]

    def on_message_complete(self) -> None:
        """The request is whole."""
        path, body, shadow = self._url.decode("latin-1"), self._body, self._shadow
        self._url, self._body, self._shadow = b"", b"", False
        task = asyncio.get_running_loop().create_task(self._answer(path.partition("?")[0], body, shadow=shadow))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, path: str, body: bytes, *, shadow: bool) -> None:
        kind = cast("ProbeKind", path.removeprefix(PREFIX))
        nonce = None if max(len(path), len(body)) > LIMIT else _nonce(body)
        if nonce is None:
            self._write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            return
        said = answer(kind, nonce, shadow=shadow)
        if kind == "streaming":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            for event in said.split(b"\n\n")[:-1]:
                self._write(head + b"%x\r\n%b\n\n\r\n" % (len(event) + 2, event))
                head = b""
                await asyncio.sleep(_BETWEEN_EVENTS)
            self._write(b"0\r\n\r\n")
            return
        if kind == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
        self._write(head + said)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """Serve on a free port of 127.0.0.1 while the block runs; the URL."""
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(tasks), "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
