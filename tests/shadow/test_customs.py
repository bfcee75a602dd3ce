"""Custom gates through a whole runner: their numbers, and what they may not do to it."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from gnomon.errors import GnomonError
from gnomon.records.judging import Ask, Begin
from gnomon.records.plan import Custom
from gnomon.shadow import customs
from gnomon.shadow.customs import Customs
from tests.shadow import gates
from tests.shadow.parts import Gateway, Model, a_plan, a_request, an_answer, ledger, logged, running, wait_for

ROOT = Path(__file__).parents[2]
DIGEST = hashlib.sha256(Path(gates.__file__).read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    """The functions can be imported by any process."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def model():
    with Model() as started:
        yield started


def planned(model, *functions, **settings):
    declared = [
        {"custom": {"function": f"tests.shadow.gates:{each}", "digest": DIGEST, "better_than": "production"}}
        for each in functions
    ]
    return a_plan(model.url, gates=declared, **settings)


def asking(number=0, how=None, **changes):
    body = {"id": f"r{number}", "country": "DE"} | ({} if how is None else {"how": how})
    return a_request(number, body=json.dumps(body).encode(), **changes)


def served(folder, plan, *exchanges, **settings):
    """What the custom gates said, by exchange, in their order."""
    with running(folder, {}, plan=plan, patience=20.0, **settings) as path, Gateway(path) as gateway:
        for request, answer in exchanges:
            gateway.exchange(request, answer)
        gateway.await_acks()
    rows = {row["id"]: row for row in logged(folder)}
    assert len(rows) == len(logged(folder)) == len(exchanges)
    names = [f"custom_{number}" for number in range(len(plan.customs))]
    return [tuple(rows[request.id.hex()][name] for name in names) for request, _ in exchanges]


def test_each_gate_says_its_number_of_each_pair(tmp_path, model):
    plan = planned(model, "label", "seen")
    same, other = (asking(), an_answer()), (asking(), an_answer(b'{"label": "b"}'))
    assert served(tmp_path, plan, same, other) == [(1.0, 1.0), (-1.0, 1.0)]
    assert ledger(tmp_path) == {"received": 2, "paired": 2}


def test_no_gate_sees_what_another_one_did_to_the_pair(tmp_path, model):
    assert served(tmp_path, planned(model, "spoils", "label"), (asking(), an_answer())) == [(0.0, 1.0)]


def test_many_pairs_stay_in_order_and_each_gets_its_own_number(tmp_path, model, monkeypatch):
    monkeypatch.setattr("gnomon.shadow.runner.JUDGED", 4)
    exchanges = [(asking(n), an_answer(b'{"label": "%s"}' % (b"a" if n % 3 else b"b"))) for n in range(200)]
    said = served(tmp_path, planned(model, "label"), *exchanges)
    assert said == [(1.0 if n % 3 else -1.0,) for n in range(200)]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "raised ValueError at "),
        ("nan", "returned no finite number"),
        ("infinite", "returned no finite number"),
        ("large", "returned a number that is not in [-1, 1]"),
        ("text", "returned str, which is no number"),
        ("true", "returned bool, which is no number"),
        ("nothing", "returned NoneType, which is no number"),
        ("leaves", "raised SystemExit"),
    ],
)
def test_what_is_no_number_in_bounds_is_null_and_said_once(tmp_path, model, capsys, how, words):
    exchanges = [(asking(n, each), an_answer()) for n, each in enumerate((how, "whole", how))]
    assert served(tmp_path, planned(model, "unkind"), *exchanges) == [(None,), (-1.0,), (None,)]
    said = capsys.readouterr().err
    assert said.count(words) == 1
    assert "custom gate tests.shadow.gates:unkind" in said
    assert "secret" not in said
    assert "country" not in said


@pytest.mark.parametrize("how", ["sleeps", "busy", "crashes"])
def test_a_gate_that_hangs_or_crashes_costs_its_own_number_of_that_pair_and_nothing_else(
    tmp_path, model, monkeypatch, capsys, how
):
    monkeypatch.setattr(customs, "LIMIT", 0.5)
    plan = planned(model, "label", "unkind", "seen")
    exchanges = [(asking(n, each), an_answer()) for n, each in enumerate(("well", how, "well", "well"))]
    assert served(tmp_path, plan, *exchanges) == [
        (1.0, 0.5, 1.0),
        (1.0, None, 1.0),
        (1.0, 0.5, 1.0),
        (1.0, 0.5, 1.0),
    ]
    assert ledger(tmp_path) == {"received": 4, "paired": 4}
    words = "ended the process that it was asked in" if how == "crashes" else "did not come to an end within 0.5 s"
    assert capsys.readouterr().err.count(words) == 1


def test_a_gate_that_always_hangs_is_asked_no_more_and_holds_up_nothing(tmp_path, model, monkeypatch, capsys):
    monkeypatch.setattr(customs, "LIMIT", 0.3)
    exchanges = [(asking(n, "busy"), an_answer()) for n in range(50)]
    assert served(tmp_path, planned(model, "unkind", "label"), *exchanges) == [(None, 1.0)] * 50
    assert "was ended 3 times and is asked no more until the runner starts again" in capsys.readouterr().err
    assert ledger(tmp_path) == {"received": 50, "paired": 50}


def test_a_hanging_gate_keeps_the_runner_from_nothing_else(tmp_path, model, monkeypatch):
    monkeypatch.setattr(customs, "LIMIT", 60.0)
    with running(tmp_path, {}, plan=planned(model, "unkind"), patience=0.1) as path, Gateway(path) as gateway:
        gateway.exchange(asking(0, "busy"))
        for number in range(20):
            gateway.exchange(asking(number))
        gateway.await_acks()  # the intake and the inbox go on
        wait_for(lambda: len(model.got) == 21)  # and so do the calls
    assert logged(tmp_path) == []  # the row waits for its number: what is not judged is done after the next start
    monkeypatch.setattr(customs, "LIMIT", 0.3)
    with running(tmp_path, {}, plan=planned(model, "unkind")):
        wait_for(lambda: ledger(tmp_path).get("paired") == 21)
    assert sorted(row["custom_0"] for row in logged(tmp_path) if row["custom_0"] is not None) == [0.5] * 20


def test_no_gate_is_asked_about_an_arm_that_failed(tmp_path, model, capsys):
    plan = planned(model, "label")
    exchanges = [
        (asking(target="/error"), an_answer()),
        (asking(target="/shapeless"), an_answer()),
        (asking(), an_answer(b"", outcome="5xx", status=500)),
        (asking(), an_answer()),
    ]
    assert served(tmp_path, plan, *exchanges) == [(None,), (None,), (None,), (1.0,)]


def test_what_a_gate_said_does_not_change_over_a_restart(tmp_path, model, monkeypatch):
    def never(*_, **__):
        raise OSError(28, "No space left on device")

    asked = threading.Event()
    plan = planned(model, "label")
    with monkeypatch.context() as patch:
        patch.setattr("gnomon.shadow.batches.append", never)
        real = Customs.answered
        patch.setattr(Customs, "answered", lambda self, said: (real(self, said), asked.set()))
        with running(tmp_path, {}, plan=plan) as path, Gateway(path) as gateway:
            gateway.exchange(asking(), an_answer())
            gateway.await_acks()
            assert asked.wait(20)
    assert logged(tmp_path) == []
    with running(tmp_path, {}, plan=plan):
        wait_for(lambda: ledger(tmp_path).get("paired") == 1)
    assert [row["custom_0"] for row in logged(tmp_path)] == [1.0]
    assert len(model.got) == 1


# starting and ending -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("custom", "words"),
    [
        (Custom(function="tests.shadow.gates:label", digest="0" * 64), "is not what was sealed"),
        (Custom(function="tests.shadow.gates:gone", digest=DIGEST), "gone"),
        (Custom(function="tests.shadow.nowhere:label", digest=DIGEST), "cannot be imported"),
    ],
)
def test_a_runner_whose_gate_is_not_the_sealed_one_does_not_start(custom, words):
    async def start():
        made = Customs([custom])
        try:
            await made.start()
        finally:
            made.stop()

    with pytest.raises(GnomonError, match=words) as raised:
        asyncio.run(start())
    assert str(raised.value).startswith("the custom gates cannot be asked: ")


def test_the_process_of_the_gates_ends_when_the_runner_is_gone_even_in_a_function_that_does_not_end():
    """The runner's side of the socket closes without a word, as after kill -9; the kernel's alarm does the rest."""
    for how, code in (("well", 0), ("busy", -signal.SIGALRM)):
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "gnomon.processes.customs", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL)
        theirs.close()
        gate = Custom(function="tests.shadow.gates:unkind", digest=DIGEST)
        for message in (Begin((gate,), 0.2), Ask((0,), asking(0, how), an_answer(), an_answer())):
            body = msgspec.msgpack.encode(message)
            ours.sendall(len(body).to_bytes(4, "big") + body)
        assert ours.recv(1)  # it has begun
        ours.close()
        assert process.wait(30) == code
