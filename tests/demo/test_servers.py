"""The demo's processes: none is left behind, and one that does not start says why."""

import os
import sys
from pathlib import Path

import pytest
import servers


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def sleeper(processes, name, folder):
    """A process that prints its own id and waits."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    log = folder / f"{name}.log"
    processes.start(name, [sys.executable, "-c", code], log=log, env={}, cwd=folder)
    while not log.read_text().strip():
        pass
    return int(log.read_text())


def test_an_exception_leaves_no_process_behind(tmp_path):
    pids = []

    def story():
        with servers.Processes() as processes:
            pids.extend(sleeper(processes, name, tmp_path) for name in ("production", "candidate"))
            raise RuntimeError("the story broke")

    with pytest.raises(RuntimeError, match="the story broke"):
        story()

    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_process_that_does_not_end_politely_is_ended_by_force(tmp_path):
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    log = tmp_path / "stubborn.log"
    with servers.Processes() as processes:
        processes.start("stubborn", [sys.executable, "-c", code], log=log, env={}, cwd=tmp_path)
        while not log.read_text().strip():
            pass
        processes.end("stubborn", patience=0.1)

    assert not alive(int(log.read_text()))


def test_a_process_that_ends_at_its_start_says_why_in_one_line(tmp_path):
    log = tmp_path / "model.log"
    with servers.Processes() as processes:
        command = [sys.executable, "-c", "raise FileNotFoundError('no model here')"]
        processes.start("candidate", command, log=log, env={}, cwd=tmp_path)
        with pytest.raises(servers.DemoError) as caught:
            processes.wait_until_ready("candidate", f"http://127.0.0.1:{servers.free_port()}/", log=log)

    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("candidate ended at its start: FileNotFoundError: no model here")
    assert str(log) in message


def test_the_model_server_listens_on_this_machine_alone():
    settings = servers.server_settings(4711, Path("folder"))

    assert settings["host"] == "127.0.0.1"
    assert settings["http_port"] == 4711
    assert settings["metrics_endpoint"] is None
