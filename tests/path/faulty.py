"""A model server that misbehaves on demand: each line on its standard input is the behaviour from then on.

python faulty.py PORT     It says `listens` at the start, and repeats each line once it holds.
"""

import asyncio
import contextlib
import json
import sys

SLOW, LATE, DRIP = 0.15, 10.0, 1.0
"""Seconds: an answer that is slow but in time, one that is far too late, and between two bytes of a drip."""
_HELD: list[asyncio.StreamWriter] = []


def answer_to(request: bytes) -> bytes:
    """What a good answer says: its request's id tells a test that it was not given to another call."""
    number = json.loads(request)["id"]
    return json.dumps({"label": "good", "id": number}).encode()


def message(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Model:
    def __init__(self, port: int) -> None:
        self.port = port
        self.behaviour = "well"
        self.server: asyncio.Server | None = None
        self.open: set[asyncio.StreamWriter] = set()

    async def behave(self, behaviour: str) -> None:
        """From now on; what is open from before is ended, so that the next call meets the new behaviour."""
        self.behaviour = behaviour
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in [*self.open, *_HELD]:
            writer.transport.abort()
        _HELD.clear()
        if behaviour != "refuses":
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            while await self.one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):  # the other side left
            pass
        finally:
            self.open.discard(writer)
            if self.behaviour == "never closes":
                _HELD.append(writer)
            else:
                writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if not body:  # a question for the server's health
            writer.write(message(b"{}"))
            return True
        match self.behaviour:
            case "resets":
                writer.write(message(answer_to(body), length=5000))
                await writer.drain()
                writer.transport.abort()
                return False
            case "hangs":
                await reader.read()
                return False
            case "drips":
                for at in range(256):
                    writer.write(message(answer_to(body))[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(DRIP)
            case "floods":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                    await writer.drain()
            case "floods trailers":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-endless: ")
                while True:
                    writer.write(b"x" * 0x10000)
                    await writer.drain()
            case "speaks no HTTP":
                writer.write(b"\x16\x03\x01 SSH-2.0 what?\r\n\r\n")
            case "speaks no JSON":
                writer.write(message(b'{"label": "goo\xff'))
            case "has a wrong schema":
                writer.write(message(b'{"labels": ["good"]}'))
            case "fails":
                writer.write(message(b'{"error": "out of memory"}', status="500 Internal Server Error"))
            case "takes 10 s":
                await asyncio.sleep(LATE)
                writer.write(message(answer_to(body)))
            case "is slow":
                await asyncio.sleep(SLOW)
                writer.write(message(answer_to(body)))
            case "never closes":  # whatever either side has said about it
                writer.write(message(answer_to(body), "connection: close", "keep-alive: timeout=1"))
                await reader.read()
                return False
            case "dies now and then" if json.loads(body)["amount"] % 5 == 0:
                writer.write(message(answer_to(body), length=5000))
                await writer.drain()
                writer.transport.abort()
                return False
            case _:
                writer.write(message(answer_to(body)))
        await writer.drain()
        return True


async def main() -> None:
    model = Model(int(sys.argv[1]))
    await model.behave("well")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    while line := await reader.readline():
        await model.behave(line.decode().strip())
        sys.stdout.write(line.decode())
        sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
