"""The other ends of the proxies in `bench/fork.py`: a model that answers at once, and a receiver that acknowledges.

    python fork_backend.py COUNTS_SOCKET [RUNNER_SOCKET]

Prints the model's port, then serves until it is terminated. The model counts the requests that came whole, the receiver
the exchanges it acknowledged; whoever connects to COUNTS_SOCKET is told both as a line of JSON. One process of this
stands for production. Another one is the shadow's end of all proxies alike: peers mirror to its model, a gateway hands
over to its receiver, which stands in the runner's place and only decodes and acknowledges.
"""

import asyncio
import contextlib
import json
import sys

import msgspec
import uvloop

from gnomon.records.frames import Ack, Exchange, Frame, Hello, Settled

ANSWER = b'{"label": "good", "score": 0.97, "pad": "' + b"x" * 180 + b'"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
DECODER = msgspec.msgpack.Decoder(Frame)
ENCODER = msgspec.msgpack.Encoder()
COUNTS = {"requests": 0, "request_bytes": 0, "acknowledged": 0}


class Model(asyncio.Protocol):
    """Answers each POST at a fixed size. Knows only the requests of this bench: each has a Content-Length."""

    def connection_made(self, transport):
        self.transport = transport
        self.left = b""

    def data_received(self, data):
        data = self.left + data
        answers = 0
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower() + b"\r\n"
            at = head.find(b"\r\ncontent-length: ")
            if at < 0:  # a mirror that loses the body has lost the request
                self.transport.abort()
                return
            length = int(head[at + 18 : head.find(b"\r\n", at + 2)])
            if len(data) < end + 4 + length:
                break
            data = data[end + 4 + length :]
            COUNTS["request_bytes"] += length
            answers += 1
        self.left = data
        if answers:
            COUNTS["requests"] += answers
            self.transport.write((HEAD + ANSWER) * answers)


class Receiver(asyncio.Protocol):
    """Takes frames and acknowledges the highest number of each read."""

    def connection_made(self, transport):
        self.transport = transport
        self.left = b""

    def data_received(self, data):
        data = self.left + data
        at, number, greeted = 0, 0, False
        while len(data) - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > len(data):
                break
            frame = DECODER.decode(data[at + 4 : end])
            if isinstance(frame, Settled | Exchange):
                number = frame.number
                COUNTS["acknowledged"] += 1
            greeted = greeted or isinstance(frame, Hello)
            at = end
        self.left = data[at:]
        if number or greeted:
            ack = ENCODER.encode(Ack(number))
            self.transport.write(len(ack).to_bytes(4, "big") + ack)


class Counts(asyncio.Protocol):
    """Says what was counted, and hangs up."""

    def connection_made(self, transport):
        transport.write(json.dumps(COUNTS).encode() + b"\n")
        transport.close()


async def main(counts_socket, runner_socket=None):
    loop = asyncio.get_running_loop()
    servers = [  # kept: uvloop closes a server that nobody holds
        await loop.create_server(Model, "127.0.0.1", 0, backlog=4096),
        await loop.create_unix_server(Counts, counts_socket),
    ]
    if runner_socket:
        servers.append(await loop.create_unix_server(Receiver, runner_socket))
    print(servers[0].sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(*sys.argv[1:]))
