"""Bytes that nobody thought of, on the request's and on the answer's side.

Inputs of the corpus are broken by a seeded hand, sent, and cut anywhere. Whatever comes of them: nothing ill-formed
leaves the gateway in either direction, no other client's connection notices, nothing is raised, and every request that
was seen has one state in the end. `GNOMON_FUZZ=20000` tries more than the tests do.
"""

import contextlib
import os
import random

import pytest

from tests.fork.differential import Model, Side
from tests.fork.harness import Gateway, Receiver, wait_for
from tests.fork.test_differential import INPUTS

ROUNDS = int(os.environ.get("GNOMON_FUZZ", "400"))
SEEDS = range(4)
SMALL = {name: data for name, data in INPUTS.items() if len(data) < 5_000 and b"HEAD" not in data}
"""Whoever reads the answers has to know which of them is to HEAD: that is for the table."""
ODD = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\x7f",
    b"\xff",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"-1",
    b"ffffffffff",
]
WORDS = [
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: y\r\n",
    b"0\r\n\r\n",
    b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 100 Continue\r\n\r\n",
]


def broken(chance, data):
    """The bytes with one to four things done to them."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([1, 1, 2, 5, 20]))
        what = chance.randrange(7)
        if what == 0 and data:
            place = chance.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
        elif what == 1:
            data = data[:at] + chance.choice(ODD) + data[at:]
        elif what == 2:
            data = data[:at] + chance.choice(WORDS) + data[at:]
        elif what == 3:
            data = data[:at] + data[end:]
        elif what == 4:
            data = data[:end] + data[at:]
        elif what == 5:
            lines = data.split(b"\r\n")
            chance.shuffle(lines)
            data = b"\r\n".join(lines)
        else:
            data = data[:at] if chance.random() < 0.3 else data[:at] + data[at:].swapcase()
    return data


def anywhere(chance, data):
    """Cut at a few places."""
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
    return [part for a, b in zip([0, *places], [*places, len(data)], strict=True) if (part := data[a:b])] or [b""]


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    with contextlib.ExitStack() as stack:
        model = Model()
        stack.callback(model.close)
        receiver = Receiver(folder / "runner.sock")
        stack.callback(receiver.close)
        gateway = Gateway(folder, model.port, {"routes": (("POST", "/p"),), "repeatable": (("POST", "/p"),)}).start()
        stack.callback(gateway.stop)
        side = Side(gateway.port, model)
        stack.callback(side.close)
        yield gateway, side


def check(around, outcome, what):
    gateway, _ = around
    assert "INVALID" not in outcome, what
    assert gateway.process.poll() is None, what
    assert gateway.errors() == "", what


@pytest.mark.parametrize("seed", SEEDS)
def test_no_request_gets_anything_ill_formed_out_of_the_gateway(around, seed):
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        data = broken(chance, SMALL[chance.choice(sorted(SMALL))])
        outcome = around[1].outcome(data or b"\r\n", lambda each: anywhere(chance, each))
        check(around, outcome, data)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_answer_gets_anything_ill_formed_out_of_the_gateway(around, seed):
    chance = random.Random(1000 + seed)
    for _ in range(ROUNDS):
        name = chance.choice(sorted(name for name in SMALL if name.startswith("answer")))
        said = []

        def cut(data, said=said):
            if data.startswith((b"POST ", b"GET ", b"HEAD ")):
                return [data]
            said.append(broken(chance, data))
            return said[-1:]  # whole: what a model says late is taken for its next answer, by every HTTP/1.1 client

        outcome = around[1].outcome(SMALL[name], cut)
        check(around, outcome, (name, said))


def test_afterwards_every_request_has_one_state_and_the_gateway_serves(around):
    gateway, side = around
    assert side.outcome(INPUTS["start: GET"]) == "200 M | GET /p, M"
    gateway.settled()
    wait_for(lambda: gateway.control({"status": True})["held_bytes"] == 0)
