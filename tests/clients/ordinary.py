"""The HTTP clients that people have, each with its own pool, behind one face."""

import asyncio
import contextlib
import http.client
import json
from urllib.parse import urlsplit

import aiohttp
import httpx
import requests
import urllib3

JSON = {"Content-Type": "application/json"}


class Httpx:
    def __init__(self):
        self._client = httpx.Client(timeout=30)
        self._addresses = set()

    def post(self, url, body, headers):
        answer = self._client.post(url, content=body, headers=headers)
        self._addresses.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        return answer.status_code, answer.content

    @contextlib.contextmanager
    def lines(self, url):
        with self._client.stream("GET", url) as answer:
            yield (line for line in answer.iter_lines() if line)

    def connections(self, url):
        return len(self._addresses)

    def close(self):
        self._client.close()


class Requests:
    def __init__(self):
        self._session = requests.Session()

    def post(self, url, body, headers):
        answer = self._session.post(url, data=body, headers=headers, timeout=30)
        return answer.status_code, answer.content

    @contextlib.contextmanager
    def lines(self, url):
        with self._session.get(url, stream=True, timeout=30) as answer:
            yield (line.decode() for line in answer.iter_lines(chunk_size=1) if line)

    def connections(self, url):
        pools = self._session.get_adapter(url).poolmanager.pools
        keys = pools.keys()  # which cannot be iterated over itself
        return sum(pools[key].num_connections for key in keys if key.key_port == urlsplit(url).port)

    def close(self):
        self._session.close()


class Urllib3:
    def __init__(self):
        self._pools = urllib3.PoolManager(timeout=30)

    def post(self, url, body, headers):
        answer = self._pools.request("POST", url, body=body, headers=headers)
        return answer.status, answer.data

    @contextlib.contextmanager
    def lines(self, url):
        answer = self._pools.request("GET", url, preload_content=False)
        try:
            yield (chunk.decode().strip() for chunk in answer.stream())
        finally:
            answer.close()

    def connections(self, url):
        return self._pools.connection_from_url(url).num_connections

    def close(self):
        self._pools.clear()


class StandardLibrary:
    """http.client keeps one connection, and its user opens it again when it was closed."""

    def __init__(self):
        self._connection = None
        self._addresses = set()

    def _to(self, url):
        parts = urlsplit(url)
        if self._connection is None or self._connection.port != parts.port:
            self.close()
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        return self._connection, parts.path

    def post(self, url, body, headers):
        connection, path = self._to(url)
        connection.request("POST", path, body, headers, encode_chunked=not isinstance(body, bytes))
        self._addresses.add(connection.sock.getsockname())
        answer = connection.getresponse()
        return answer.status, answer.read()

    @contextlib.contextmanager
    def lines(self, url):
        connection, path = self._to(url)
        connection.request("GET", path)
        try:
            yield (line.decode().strip() for line in connection.getresponse() if line.strip())
        finally:
            connection.close()

    def connections(self, url):
        return len(self._addresses)

    def close(self):
        if self._connection is not None:
            self._connection.close()


class Aiohttp:
    def __init__(self):
        self._runner = asyncio.Runner()
        self._made = 0
        self._session = self._runner.run(self._open())

    async def _open(self):
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._count)
        return aiohttp.ClientSession(trace_configs=[trace], timeout=aiohttp.ClientTimeout(30))

    async def _count(self, *_):
        self._made += 1

    def post(self, url, body, headers):
        async def ask():
            async with self._session.post(url, data=_slowly(body), headers=headers) as answer:
                return answer.status, await answer.read()

        return self._runner.run(ask())

    @contextlib.contextmanager
    def lines(self, url):
        answer = self._runner.run(self._session.get(url).__aenter__())
        try:
            yield self._lines(answer)
        finally:
            answer.close()
            self._runner.run(asyncio.sleep(0))

    def _lines(self, answer):
        while line := self._runner.run(answer.content.readline()):
            if line.strip():
                yield line.decode().strip()

    def connections(self, url):
        return self._made

    def close(self):
        self._runner.run(self._session.close())
        self._runner.close()


def _slowly(body):
    if isinstance(body, bytes):
        return body

    async def pieces():
        for piece in body:
            yield piece
            await asyncio.sleep(0)

    return pieces()


CLIENTS = {
    "httpx": Httpx,
    "requests": Requests,
    "urllib3": Urllib3,
    "http.client": StandardLibrary,
    "aiohttp": Aiohttp,
}


def text(content):
    """A request to the model's tokenizer."""
    return json.dumps({"content": content}).encode()
