"""A server that says the next piece of an answer only when the test tells it to: uvicorn, in a thread of its own.

/events and /v1/chat/completions   an event stream, piece by piece
/digest                            what came of the request's body, as JSON, compressed where the client accepts it
/page                              an empty page with an ETag
"""

import asyncio
import gzip
import hashlib
import json
import queue
import socket
import threading

import uvicorn

STREAMED = {"/events", "/v1/chat/completions"}
_BREAK = object()
PAGE = b'<!doctype html><title>page</title><link rel="icon" href="data:,">'
ANYONE = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-expose-headers", b"x-gnomon-id"),
]


class Stream:
    """An answer on its way to one client."""

    def __init__(self, headers):
        self.headers = headers
        self.left = threading.Event()
        """The client went before the end."""
        self._loop = asyncio.get_running_loop()
        self._pieces = asyncio.Queue()

    def say(self, piece):
        """Send these bytes now. None: that was all."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def break_off(self):
        """Close the connection in the middle of the answer."""
        self.say(_BREAK)

    async def run(self, receive, send):
        leaving = asyncio.create_task(receive())
        while True:
            coming = asyncio.create_task(self._pieces.get())
            await asyncio.wait({leaving, coming}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                coming.cancel()
                self.left.set()
                return
            piece = coming.result()
            if piece is _BREAK:
                raise ConnectionAbortedError
            await send({"type": "http.response.body", "body": piece or b"", "more_body": piece is not None})
            if piece is None:
                leaving.cancel()
                return


class EventServer:
    def __init__(self):
        self._streams = queue.Queue()
        self._running = set()
        self.unchanged = 0
        """How often a client was told that it has the page."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            log_level="critical",
            access_log=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()

    def stream(self):
        """The next stream that a client has asked for."""
        return self._streams.get(timeout=20)

    def hang_up(self):
        """End what a test left open, so that the next one begins with nothing."""
        while not self._streams.empty():
            self._streams.get()
        for stream in self._running.copy():
            stream.break_off()

    def close(self):
        self._server.should_exit = True
        self._thread.join(10)

    async def _app(self, scope, receive, send):
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope["path"]
        if scope["method"] == "OPTIONS":
            await _answer(send, 204)
        elif path in STREAMED:
            await self._stream(headers, receive, send)
        elif path == "/page":
            tag = (b"etag", b'"1"')
            if headers.get("if-none-match") == '"1"':
                self.unchanged += 1
                await _answer(send, 304, [tag])
            else:
                await _answer(send, 200, [tag, (b"content-type", b"text/html")], PAGE)
        else:
            await _digest(send, scope, headers, body)

    async def _stream(self, headers, receive, send):
        if headers.get("last-event-id") == "last":
            await _answer(send, 204)  # so an EventSource is told not to ask again
            return
        start = [*ANYONE, (b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        stream = Stream(headers)
        self._running.add(stream)
        self._streams.put(stream)
        try:
            await stream.run(receive, send)
        finally:
            self._running.discard(stream)


async def _digest(send, scope, headers, body):
    kind, _, boundary = headers.get("content-type", "").partition("; boundary=")
    if boundary:
        body = body.replace(boundary.encode(), b"")  # which the client made up
    found = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "host": headers.get("host", "").split(":")[0],
        "type": kind,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    said = json.dumps(found).encode()
    more = [(b"content-type", b"application/json")]
    if "gzip" in headers.get("accept-encoding", ""):
        said = gzip.compress(said, mtime=0)
        more.append((b"content-encoding", b"gzip"))
    await _answer(send, 200, more, said, head=scope["method"] == "HEAD")


async def _answer(send, status, headers=(), body=b"", *, head=False):
    length = [(b"content-length", b"%d" % len(body))] if status == 200 else []
    await send({"type": "http.response.start", "status": status, "headers": [*ANYONE, *headers, *length]})
    await send({"type": "http.response.body", "body": b"" if head else body})
