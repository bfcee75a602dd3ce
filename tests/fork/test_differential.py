"""The gateway does with every input what nginx does, or the table says why it does not."""

import contextlib

import pytest

from tests.fork.differential import Model, Nginx, Side
from tests.fork.differential_answers import ASKING
from tests.fork.differential_bodies import BODIES
from tests.fork.differential_requests import REQUESTS
from tests.fork.differential_table import DIFFERENCES, KINDS, Difference
from tests.fork.harness import Gateway, Receiver

INPUTS = REQUESTS | BODIES | ASKING


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """`(gateway process, its side, nginx's side)`, for all inputs."""
    folder = tmp_path_factory.mktemp("sides")
    with contextlib.ExitStack() as stack:
        ours, theirs = Model(), Model()
        for model in (ours, theirs):
            stack.callback(model.close)
        receiver = Receiver(folder / "runner.sock")
        stack.callback(receiver.close)
        gateway = Gateway(folder, ours.port, {"routes": (("POST", "/p"),)}).start()
        stack.callback(gateway.stop)
        nginx = Nginx(folder, theirs.port)
        stack.callback(nginx.stop)
        pair = Side(gateway.port, ours), Side(nginx.port, theirs)
        for side in pair:
            stack.callback(side.close)
        yield gateway, *pair


def fault(listed, ours, theirs):
    """What is wrong with two outcomes, by what the table says of them; None: nothing."""
    if listed is None:
        return None if ours == theirs else f"a difference that is not in the table:\n  {ours}\n  {theirs}"
    if ours == theirs:
        return f"the table lists a difference that there is no more: {ours}"
    if (ours, theirs) != (listed.ours, listed.theirs):
        return f"it differs in another way than the table says ({listed.reason}):\n  {ours}\n  {theirs}"
    return None


@pytest.mark.parametrize("name", INPUTS)
def test_the_gateway_does_what_nginx_does_or_the_table_says_why_not(sides, name):
    gateway, ours, theirs = sides
    errors = gateway.errors()
    outcome = ours.outcome(INPUTS[name])

    assert "INVALID" not in outcome, "nothing ill-formed leaves the gateway, in either direction"
    wrong = fault(DIFFERENCES.get(name), outcome, theirs.outcome(INPUTS[name]))
    assert wrong is None, wrong
    assert gateway.errors() == errors


def test_every_difference_is_of_an_input_and_has_a_reason():
    assert not DIFFERENCES.keys() - INPUTS.keys()
    assert {each.kind for each in DIFFERENCES.values()} == set(KINDS)
    assert all(each.reason and each.ours != each.theirs for each in DIFFERENCES.values())
    assert len(INPUTS) == len(REQUESTS) + len(BODIES) + len(ASKING)


@pytest.mark.parametrize(
    ("listed", "ours", "theirs", "right"),
    [
        (None, "200 M | GET /p, M", "200 M | GET /p, M", True),
        (None, "200 M | GET /p, M", "(400) |", False),
        (Difference("RFC", "why", "(400) |", "200"), "(400) |", "200", True),
        (Difference("RFC", "why", "(400) |", "200"), "200", "200", False),
        (Difference("RFC", "why", "(400) |", "200"), "(400) |", "(400) |", False),
        (Difference("RFC", "why", "(400) |", "200"), "(501) |", "200", False),
    ],
)
def test_a_difference_that_is_not_listed_or_no_longer_there_is_a_fault(listed, ours, theirs, right):
    assert (fault(listed, ours, theirs) is None) == right


def test_the_model_sees_what_is_ill_formed_or_smuggled():
    """Without a proxy before it: the comparison is no better than what the model notices."""
    model = Model()
    side = Side(model.port, model)
    try:
        smuggled = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
        assert side.outcome(smuggled) == "200 x2 M... | POST /p 'abc', GET /hidden, M"
        both = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert side.outcome(both) == "| INVALID framing ['3', 'chunked']"
        assert side.outcome(b"GET /p HTTP/1.1\nHost: x\n\n").startswith("| INVALID start line")
    finally:
        side.close()
        model.close()
