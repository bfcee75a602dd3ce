"""A trial with a twin and a custom gate, through the whole of Gnomon: what the log says of them, and what survives."""

import hashlib
import os
import signal

import deltalake
import httpx
import pytest

from gnomon.shadow import twin
from tests.path.conftest import body, wait_for
from tests.path.model import share
from tests.path.test_verdicts import stream

CODE = '''\
"""A gate of the tests' own."""


def kept(pair):
    """How the candidate's label compares with production's; the amount says how much that matters."""
    same = pair.candidate.json["label"] == pair.production.json["label"]
    return 0.0 if same else -(pair.request.json["amount"] % 10 + 1) / 10
'''
GATES = """\
  - agreement: {{of: label, no_worse_than: production, margin: 10pp}}
  - custom: {{function: "own_gates:kept", digest: "{digest}", no_worse_than: production, margin: 10pp}}
"""


def planned(text):
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    text = text.replace("shadow_rate: 100%", "shadow_rate: 100%, twin: 50%")
    return text.replace("samples:", GATES.format(digest=digest) + "samples:", 1)


@pytest.fixture
def started(place):
    """Production contradicts itself in 30 % of its second answers."""
    (place.folder / "own_gates.py").write_text(CODE)
    place.warm = None  # each command has to find the module
    place.settings["PYTHONPATH"] = os.pathsep.join([str(place.folder), os.environ.get("PYTHONPATH", "")])
    plan = place.plan(place.model("old", "--noisy", "0.3"), place.model("new", "--wrong", "0.3"), edit=planned)
    process = place.serve(plan)
    yield place
    place.stop(process)


def rows(place):
    table = deltalake.DeltaTable(place.folder / "data/trials/fraud.1/log/comparisons").to_pyarrow_table()
    return {row["truth_key"]: row for row in table.to_pylist()}


def test_twins_and_numbers_are_in_the_log_once_whatever_was_killed(started):
    place = started
    stream(place.url, range(100))
    os.kill(place.pids()["runner"], signal.SIGKILL)
    stream(place.url, range(100, 200))
    wait_for(lambda: place.pids().get("runner"), what="another runner")
    ledger = place.drained(paired=200)
    assert sum(ledger["states"].values()) == ledger["seen"] == 200

    found = rows(place)
    key = bytes.fromhex(place.read("trials")[0]["digest"])
    assert set(found) == {f"r{number}" for number in range(200)}
    for number in range(200):
        row = found[f"r{number}"]
        drawn = twin.coin(key, bytes.fromhex(row["id"])) < 1 << 31
        agrees = share(f"noiser{number}") >= 0.3
        assert (row["twin_outcome"], row["twin_repeat"], row["output_label_twin_agree"]) == (
            ("ok", False, agrees) if drawn else (None, None, None)
        )
        assert row["custom_0"] == (0.0 if row["output_label_agree"] else -(number % 10 + 1) / 10)
    assert any(row["custom_0"] < 0 for row in found.values())
    assert {row["output_label_twin_agree"] for row in found.values()} == {True, False, None}
    now = place.read("status", "fraud")["twins"]
    assert now["drawn"] == now["made"] > 0
    assert now["missed"] == now["failed"] == now["repeated"] == 0
    assert "drawn were made" in place.gnomon("status", "fraud").stdout


def test_a_gate_whose_code_changed_stops_the_shadow_and_never_production(started):
    place = started
    stream(place.url, range(20))
    place.drained(paired=20)
    module = place.folder / "own_gates.py"
    runner = place.pids()["runner"]
    module.write_text(CODE.replace("-(pair", "(pair"))
    os.kill(runner, signal.SIGKILL)
    log = place.folder / "data/logs/runner.log"
    wait_for(lambda: "own_gates:kept" in log.read_text(), what="the runner's refusal")
    with httpx.Client(base_url=place.url, timeout=20) as client:
        for number in range(20, 30):
            assert client.post("/predict", json=body(number)).json()["by"] == "old"
    module.write_text(CODE)
    wait_for(lambda: place.read("status", "fraud")["ledger"]["open"] == 0, what="a runner that has the sealed code")
    states = place.read("status", "fraud")["ledger"]["states"]
    assert sum(states.values()) == 30
    assert len(rows(place)) == states["paired"] >= 20
    assert all(row["custom_0"] <= 0 for row in rows(place).values())
