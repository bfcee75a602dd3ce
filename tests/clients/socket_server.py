"""A real WebSocket server (the package websockets), in a thread of its own. It echoes, or does what it is told."""

import asyncio
import json
import threading

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.fork.harness import wait_for


class SocketServer:
    def __init__(self):
        self._closes = {}
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(20)

    def _run(self, started):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._start(started))

    async def _start(self, started):
        async with serve(
            self._serve, "127.0.0.1", 0, process_request=_admit, select_subprotocol=_choose, max_size=1 << 24
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            self._over = asyncio.Event()
            started.set()
            await self._over.wait()

    def closed(self, path):
        """Code and reason with which the client of this path closed, as seen from here."""
        return wait_for(lambda: self._closes.get(path))

    def close(self):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)

    async def _serve(self, connection):
        try:
            async for message in connection:
                await _answer(connection, message)
        except ConnectionClosed:
            pass
        self._closes[connection.request.path] = (connection.close_code, connection.close_reason)


async def _answer(connection, message):
    if message == "tell":
        await connection.send(_told(connection))
    elif message == "fragments":
        await connection.send(iter(["one ", "two ", "", "three"]))
    elif message == "ping":
        await (await connection.ping(b"are you there"))
        await connection.send("pong")
    elif message == "leave":
        await connection.close(4001, "I have to go: ünïcode")
    elif message == "die":
        connection.transport.abort()
    else:
        await connection.send(message)


def _admit(connection, request):
    if request.path.startswith("/socket"):
        return None
    return connection.respond(403, "not here\n")


def _choose(connection, offered):
    return "v1.chat" if "v1.chat" in offered else None


def _told(connection):
    request = connection.request
    return json.dumps(
        {
            "path": request.path,
            "origin": request.headers.get("Origin"),
            "token": request.headers.get("X-Token"),
            "host": request.headers["Host"].split(":")[0],
            "subprotocol": connection.subprotocol,
        }
    )
