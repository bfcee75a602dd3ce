"""The other ends of the gateway in `bench/fork.py`: a model that answers at once, and a receiver that acknowledges.

python fork_backend.py RUNNER_SOCKET: prints the model's port, then serves until it is terminated.
"""

import asyncio
import sys

import msgspec
import uvloop

from gnomon.records.frames import Ack, Exchange, Frame, Hello, Settled

ANSWER = b'{"label": "good", "score": 0.97, "pad": "' + b"x" * 180 + b'"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
DECODER = msgspec.msgpack.Decoder(Frame)
ENCODER = msgspec.msgpack.Encoder()


class Model(asyncio.Protocol):
    """Answers each POST of a fixed size. Knows only the requests of this bench."""

    def connection_made(self, transport):
        self.transport = transport
        self.left = b""

    def data_received(self, data):
        data = self.left + data
        answers = 0
        while (end := data.find(b"\r\n\r\n")) >= 0:
            at = data.lower().find(b"content-length: ")
            length = int(data[at + 16 : data.find(b"\r\n", at)])
            if len(data) < end + 4 + length:
                break
            data = data[end + 4 + length :]
            answers += 1
        self.left = data
        if answers:
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
            greeted = greeted or isinstance(frame, Hello)
            at = end
        self.left = data[at:]
        if number or greeted:
            ack = ENCODER.encode(Ack(number))
            self.transport.write(len(ack).to_bytes(4, "big") + ack)


async def main(runner_socket):
    loop = asyncio.get_running_loop()
    await loop.create_unix_server(Receiver, runner_socket)
    server = await loop.create_server(Model, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
