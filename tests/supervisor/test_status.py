"""Status says what is known, whatever is damaged; readiness is the processes' alone."""

import json
import random
from pathlib import Path

import httpx
import msgspec
import pytest

from gnomon import clock, pipeline
from gnomon.cli import views
from gnomon.errors import StateError
from gnomon.log import read
from gnomon.log.append import append
from gnomon.records import counters, slices
from gnomon.records.facts import ProbeResult, RunnerFacts, TwinFacts
from gnomon.settings import Settings
from gnomon.state import open_state
from gnomon.status import KINDS, arms, equalities
from gnomon.status import status as report
from gnomon.supervisor import admin
from tests.log.builders import ledger
from tests.path.conftest import free_port
from tests.plan.builders import DOCUMENT
from tests.state.builders import register

DAMAGE = {
    "emptied": lambda was: b"",
    "cut": lambda was: was[: len(was) // 2],
    "noise": lambda was: random.Random(1).randbytes(len(was)),
    "a list": lambda was: b"[1, 2]\n",
    "another mapping": lambda was: b'{"trial": 5}\n',
}
FACTS = RunnerFacts(
    time_us=0, inbox=4, oldest_us=None, in_flight=1, calls=20, failed={"timeout": 2, "refused": 1},
    last_failure="candidate: timeout", last_failure_us=5,
)  # fmt: skip


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A data folder with a file of each kind that status reads."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(data=tmp_path / "data")
    settings.prepare()
    with open_state(settings.state_url) as state:
        trial = register(state, **DOCUMENT)
        folder = settings.trial_dir(trial.id) / "counters"
        folder.mkdir(parents=True)
        header = counters.header({"instance": "g", "pid": 1, "trial": trial.id, "epoch": 1, "stratum": "all"}, ["all"])
        slots = {"seen": 5, "handed_over": 3, "passed": 2}
        numbers = [slots.get(name, 0) for name in counters.names(["all"])]
        (folder / counters.file_name("g", 1)).write_bytes(header + b"".join(n.to_bytes(8, "little") for n in numbers))
        (folder / f"g{slices.SUFFIX}").write_bytes(slices.header(["all"]) + bytes(8 * slices.PER_STRATUM))
        facts = msgspec.structs.replace(FACTS, time_us=clock.now_us())
        settings.facts_file(trial.id).write_bytes(msgspec.json.encode(facts))
        found = [ProbeResult(kind=kind, gateway="g", time_us=clock.now_us()) for kind in KINDS]
        settings.probes_file(trial.id).write_bytes(msgspec.json.encode(found))
        rows = [{"instance": "runner-1", "epoch": 1, "state": name, "count": 3} for name in ("received", "paired")]
        rows.append({"instance": "runner-1", "epoch": -1, "state": "paired", "count": 5})
        append(settings.log_url(trial.id), "ledger", ledger(*rows), application="a", number=1)
        yield settings, state, trial


def files_of(settings, trial):
    folder = settings.trial_dir(trial.id)
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_whole_folder_adds_up_without_its_probes(served):
    now = pipeline.status(*served)
    assert now["ledger"]["states"] == {"passed": 2, "paired": 3}
    assert now["ledger"]["open"] == 0
    assert now["problems"] == []


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_costs_only_what_it_would_have_said(served, how, capsys):
    settings, state, trial = served
    damaged = files_of(settings, trial)
    assert len({path.suffix for path in damaged}) >= 4
    for path in damaged:
        was = path.read_bytes()
        path.write_bytes(DAMAGE[how](was))
        now = pipeline.status(settings, state, trial)
        views.status(json.loads(json.dumps(now)))
        assert now["serving"] == "production"
        if "log" in path.parts and path.suffix == ".parquet":
            assert path.name in now["problems"][0]
            assert now["ledger"]["open"] is None
            assert now["ledger"]["states"] == {"passed": 2}
            assert now["equalities"]["runner"]["holds"] is None
        path.write_bytes(was)
    said = capsys.readouterr().out
    assert "open      not known" in said
    assert "nothing yet" not in said


def test_a_log_that_cannot_be_read_is_unknown_and_its_file_is_named(served, monkeypatch):
    settings, state, trial = served
    (file,) = read.data_files(settings.log_url(trial.id), "ledger", read.opened(settings.log_url(trial.id), "ledger"))
    Path(file).write_bytes(b"")
    monkeypatch.setattr(counters, "read_all", lambda folder, one_moment=False: [alive()])
    now = pipeline.status(settings, state, trial)
    assert now["health"].startswith("UNKNOWN: the data file")
    assert Path(file).name in now["health"]


def alive():
    return counters.Counters(
        instance="g", pid=1, trial="fraud-v2.1", epoch=1, stratum="all", alive=True, seen=0, handed_over=0,
        invalid_head=0, frontier_us=0, states={},
    )  # fmt: skip


def test_a_paused_trial_says_the_whole_command_that_ends_the_pause(served, monkeypatch):
    settings, state, trial = served
    monkeypatch.setattr(counters, "read_all", lambda folder, one_moment=False: [alive()])
    pipeline.pause(state, trial, reason="peak hour")
    said = report(settings, state, trial, pipeline.plan_of(trial), runner=True)
    assert said["health"] == f"PAUSED: nothing is shadowed until gnomon resume {trial.id}"


def test_a_ledger_that_cannot_be_read_is_no_broken_equality():
    assert equalities(None, [])["runner"]["holds"] is None
    assert equalities([], [])["runner"]["holds"] is True


def test_an_arm_says_its_failures_by_outcome():
    found = arms(1, "production", [], FACTS)["candidate"]
    assert found["failed"] == 3
    assert "20 calls, 3 failed (refused 1, timeout 2)" in views.arm_line(found)


class Port:
    """The admin port over a status of the test's own."""

    def __init__(self):
        self.address = f"127.0.0.1:{free_port()}"
        self.now, self.processes = {}, [{"name": "gateway 0", "ready": True}]
        self.stop = admin.start(self.address, self.status, lambda: self.processes)

    def status(self):
        if self.now is None:
            raise StateError("the state database is down; mend it")
        return self.now

    def get(self, path):
        return httpx.get(f"http://{self.address}{path}", timeout=10)


@pytest.fixture
def port():
    made = Port()
    yield made
    made.stop()


def test_a_gateway_stays_ready_when_status_cannot_be_had(port, capfd):
    port.now = None
    assert port.get("/readyz").json() == {"ready": True, "processes": port.processes}
    assert port.get("/healthz").status_code == 200
    for path in ("/status", "/metrics"):
        refused = port.get(path)
        assert refused.status_code == 503
        assert refused.json() == {"error": "the state database is down; mend it"}
    assert "Traceback" not in capfd.readouterr().err
    port.processes = [*port.processes, {"name": "runner", "ready": False}]
    assert port.get("/readyz").status_code == 503
    port.processes = []  # before the first is started
    assert port.get("/readyz").status_code == 503


def test_the_metrics_say_failures_by_outcome_and_nothing_of_what_is_not_known(port, served):
    settings, state, trial = served
    now = pipeline.status(settings, state, trial)
    port.now = now | {"arms": arms(1, "production", [], FACTS)}
    said = port.get("/metrics").text
    assert 'gnomon_call_failures_total{arm="candidate",outcome="timeout",trial="fraud-v2.1"} 2.0' in said
    assert 'gnomon_call_failures_total{arm="production",outcome="",trial="fraud-v2.1"} 0.0' in said
    assert 'gnomon_open_requests{trial="fraud-v2.1"} 0.0' in said
    assert 'gnomon_ledger_balanced{side="runner",trial="fraud-v2.1"} 1.0' in said
    assert "gnomon_twins_total{" not in said
    now["equalities"]["runner"]["holds"], now["ledger"]["open"] = None, None
    said = port.get("/metrics").text
    assert "gnomon_open_requests{" not in said
    assert 'gnomon_ledger_balanced{side="runner"' not in said
    assert 'gnomon_ledger_balanced{side="gateways"' in said


def test_twins_that_were_not_made_failed_or_came_from_a_cache_are_said(port, served, monkeypatch):
    settings, state, trial = served
    monkeypatch.setattr(pipeline, "_runner_of", lambda *_: True)
    assert pipeline.status(settings, state, trial)["twins"] is None
    twins = TwinFacts(drawn=1_200, missed=4, failed=3, repeated=2)
    facts = msgspec.structs.replace(FACTS, time_us=clock.now_us(), twins=twins)
    settings.facts_file(trial.id).write_bytes(msgspec.json.encode(facts))
    port.now = pipeline.status(settings, state, trial)
    assert port.now["twins"] == {"drawn": 1_200, "made": 1_196, "missed": 4, "failed": 3, "repeated": 2}
    assert views.twins_line(port.now["twins"]) == (
        "1,196 of 1,200 drawn were made; 4 found no room in the budget, which is no random choice; 3 failed; "
        "2 came from a cache and say nothing about noise"
    )
    assert 'gnomon_twins_total{result="missed",trial="fraud-v2.1"} 4.0' in port.get("/metrics").text
