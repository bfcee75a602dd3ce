"""No trial yet: nobody serves, or `gnomon serve` is still learning what it will seal."""

import socket
from pathlib import Path

import pytest

from gnomon.settings import Settings
from gnomon.state import open_state
from gnomon.supervisor.learn import SOCKET
from tests.cli.conftest import Run
from tests.plan.builders import DOCUMENT
from tests.state.builders import register

LEARNS = (
    "gnomon serve is learning the top values of segments before it seals the plan; "
    "http://127.0.0.1:8081/status says how far it is\n"
)


@pytest.fixture
def settings(run: Run, tmp_path: Path) -> Settings:
    """A data folder without a trial."""
    _ = run
    found = Settings(data=tmp_path / "data")
    found.prepare()
    with open_state(found.state_url):
        pass
    return found


def test_what_is_being_learned_is_said_to_be_and_a_dead_one_is_not(run: Run, settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as learner:
        learner.bind(str(settings.run_dir / SOCKET))
        learner.listen()
        assert run("status").err == f"gnomon: no trial is sealed in {settings.root} yet: {LEARNS}"
        assert run("decide", "fraud").err == f"gnomon: trial 'fraud' is not sealed yet: {LEARNS}"
    assert (settings.run_dir / SOCKET).exists()  # as after kill -9
    for words in (["status"], ["decide", "fraud"]):
        done = run(*words)
        assert done.code == 2
        assert done.err.endswith("start one with: gnomon serve plan.yaml\n")


def test_an_earlier_trial_is_shown_while_the_next_is_learned(run: Run, settings: Settings) -> None:
    with open_state(settings.state_url) as state:
        trial = register(state, **DOCUMENT)
    with socket.socket(socket.AF_UNIX) as learner:
        learner.bind(str(settings.run_dir / SOCKET))
        learner.listen()
        assert trial.id in run("status").out
        assert run("status", "another").err == f"gnomon: trial 'another' is not sealed yet: {LEARNS}"
