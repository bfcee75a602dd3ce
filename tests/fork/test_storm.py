"""Many clients and a model that all misbehave at once: no answer goes to another request, and the ledger adds up."""

import asyncio
import contextlib
import random

from gnomon.records import frames
from tests.fork.harness import wait_for

CLIENTS, REQUESTS = 24, 60


def model(chance):
    """Says back what it was asked, in one of many framings, and breaks off now and then."""

    def script(head, body):
        name = head.split(b"X-Name: ")[1].split(b"\r\n")[0]
        told = name + b":" + body
        way = chance.random()
        length = b"HTTP/1.1 200 OK\r\nX-Name: %b\r\nContent-Length: %d\r\n\r\n" % (name, len(told))
        if way < 0.45:
            return [length + told]
        if way < 0.6:
            half = len(told) // 2
            return [length + told[:half], 0.001, told[half:]]
        if way < 0.75:
            start = b"HTTP/1.1 200 OK\r\nX-Name: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % name
            return [start + b"%x\r\n%b\r\n" % (len(told), told), b"0\r\n\r\n"]
        if way < 0.82:
            return [b"HTTP/1.1 200 OK\r\nX-Name: %b\r\n\r\n" % name + told, None]
        if way < 0.88:
            return [length + told, None]  # closes without having said so
        if way < 0.92:
            return [length + told + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"]
        if way < 0.95:
            return [length + told[:-1], None]
        if way < 0.97:
            return ["reset"]
        return [0.05, length + told]

    return script


def asked(name, chance):
    """A request, and whether the client keeps the connection after it."""
    body = name * chance.randrange(0, 300)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Name: " + name + b"\r\n"
    keep = chance.random() < 0.85
    if not keep:
        head += b"Connection: close\r\n"
    if chance.random() < 0.5:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body, keep
    cut = len(body) // 3
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body, keep


async def answer(reader):
    """One answer's head and body by its own framing. Raises IncompleteReadError when it is cut short."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"Transfer-Encoding: chunked" in head:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return head, body
    return head, await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))


async def client(port, number, chance, wrong):
    """Sends requests, some of them pipelined; leaves now and then; notes every answer that is not its own."""
    count = 0
    while count < REQUESTS:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            keep = True
            while keep and count < REQUESTS:
                batch = []
                for _ in range(chance.choice([1, 1, 1, 2, 6])):
                    count += 1
                    name = b"%d-%d" % (number, count)
                    data, body, keep = asked(name, chance)
                    batch.append((name, body))
                    cut = chance.randrange(len(data))
                    writer.write(data[:cut])
                    if chance.random() < 0.3:
                        await asyncio.sleep(0)
                    if chance.random() < 0.03:
                        writer.close()
                        raise ConnectionAbortedError
                    writer.write(data[cut:])
                    if not keep:
                        break
                for name, body in batch:
                    head, got = await answer(reader)
                    if head.startswith(b"HTTP/1.1 200"):
                        if b"X-Name: " + name + b"\r\n" not in head or got != name + b":" + body:
                            wrong.append((name, head, got[:100]))
                    elif not head.startswith(b"HTTP/1.1 502") or b"problem+json" not in head:
                        wrong.append((name, head, got[:100]))
                    if b"Connection: close" in head:
                        keep = False
                        break
        writer.close()


def test_a_storm_mixes_up_nothing_and_every_request_is_accounted_for(around):
    _, gateway, receiver = around(model(random.Random(7)))
    wrong = []

    async def storm():
        await asyncio.gather(*(client(gateway.port, n, random.Random(n), wrong) for n in range(CLIENTS)))

    asyncio.run(storm())

    assert wrong == []
    wait_for(lambda: gateway.control({"status": True})["connections"] == 0)
    sums = gateway.settled()
    assert sums.seen > CLIENTS * REQUESTS * 0.5
    assert sums.invalid_head == 0
    assert set(sums.states) <= {"cancelled", "guarded:invalid_body", "guarded:answered_early"}
    status = gateway.control({"status": True})
    assert (status["held_bytes"], status["open"], status["unacknowledged"]) == (0, 0, 0)
    assert gateway.errors() == ""
    settled = {frame.id for frame in receiver.of(frames.Settled)} | {f.request.id for f in receiver.of(frames.Exchange)}
    dropped = {frame.id for frame in receiver.of(frames.Dropped)}
    called = {frame.request.id for frame in receiver.of(frames.Call)}
    assert settled.isdisjoint(dropped)
    assert called <= settled | dropped  # each call is followed by its end
    assert len(settled) == sums.handed_over
