"""Every input of the corpus, on the request's and the answer's side, comes out as its row says, however it is cut."""

import contextlib
import random
import re
import zlib

import pytest

from tests.fork.corpus_outcomes import OUTCOMES
from tests.fork.differential import Model, Side, whole
from tests.fork.differential_table import DIFFERENCES
from tests.fork.harness import Gateway, Receiver
from tests.fork.test_differential import INPUTS

SAME = {name: outcome for outcome, names in OUTCOMES.items() for name in names}
EXPECTED = SAME | {name: difference.ours for name, difference in DIFFERENCES.items()}
_HEAD = 400
"""Bytes at each end of an input that are cut; between them are the insides of bodies and of lines that are too long."""


def by_bytes(data):
    """Byte by byte."""
    if len(data) <= 2 * _HEAD:
        return [data[at : at + 1] for at in range(len(data))]
    return [*by_bytes(data[:_HEAD]), data[_HEAD:-_HEAD], *by_bytes(data[-_HEAD:])]


def at_random(seed):
    """Anywhere, but for the same bytes always at the same places."""

    def cut(data):
        chance = random.Random(zlib.crc32(data) + seed)
        places = sorted(chance.sample(range(len(data) + 1), min(len(data), chance.randint(1, 12))))
        return [part for a, b in zip([0, *places], [*places, len(data)], strict=True) if (part := data[a:b])]

    return cut


CUTS = {"whole": whole, "byte by byte": by_bytes, "random": at_random(1), "random again": at_random(2)}


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuts")
    with contextlib.ExitStack() as stack:
        model = Model()
        stack.callback(model.close)
        receiver = Receiver(folder / "runner.sock")
        stack.callback(receiver.close)
        gateway = Gateway(folder, model.port, {"routes": (("POST", "/p"),)}).start()
        stack.callback(gateway.stop)
        side = Side(gateway.port, model)
        stack.callback(side.close)
        yield gateway, side


def settled(outcome):
    """What of an outcome may not depend on how the bytes came.

    A head goes to the model before its body is known to be invalid, if it came before it: the model then sees a message
    without an end. How many pipelined requests are too many depends on how many were answered meanwhile. And bytes that
    a client sends after the gateway closed the connection reset it.
    """
    outcome = outcome.replace("! |", " |")
    return re.sub(r"x\d\d\b.*", "x many", re.sub(r"(\|.*) ~[A-Z]+ [^,]*", r"\1", outcome))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_the_outcome_of_its_row_however_it_is_cut(around, name, cut):
    gateway, side = around
    errors = gateway.errors()
    outcome = side.outcome(INPUTS[name], CUTS[cut])
    if cut == "whole":
        assert outcome == EXPECTED[name]
    assert settled(outcome) == settled(EXPECTED[name])
    assert gateway.errors() == errors


def test_after_all_of_them_every_request_has_one_state_and_nothing_is_held(around):
    gateway, side = around
    side.outcome(INPUTS["start: GET"])
    gateway.settled()
    status = gateway.control({"status": True})
    assert status["held_bytes"] == 0


def test_every_input_has_a_row_and_every_row_an_input():
    assert EXPECTED.keys() == INPUTS.keys()
    assert sum(map(len, OUTCOMES.values())) + len(DIFFERENCES) == len(EXPECTED)
    assert sum("answer" in name for name in INPUTS) > 100
    assert len(INPUTS) > 500
