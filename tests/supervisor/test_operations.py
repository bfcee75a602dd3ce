"""What a running supervisor is asked for, over its socket and by signals."""

import asyncio
import os
import signal
import stat

import pytest

from gnomon.errors import GnomonError, NotFound
from gnomon.settings import Settings
from gnomon.supervisor import control, operations


@pytest.fixture
def settings(tmp_path):
    made = Settings(data=tmp_path / "data")
    made.prepare()
    return made


def replacing(facts):
    async def replace():
        if isinstance(facts, Exception):
            raise facts
        return facts

    return replace


def asked(settings, facts):
    """The answer to the command, and what was said."""
    said = []

    async def story():
        async with operations.taken(settings, replacing(facts), say=said.append):
            path = settings.run_dir / control.SUPERVISOR
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            return await asyncio.to_thread(operations.ask_to_replace, settings)

    return asyncio.run(story()), said


def test_whoever_asks_waits_for_the_result(settings):
    answer, said = asked(settings, {"replaced": 2, "needs_start": []})
    assert (answer["replaced"], answer["needs_start"]) == (2, [])
    assert said == ["2 gateways replaced; what the old ones have open, they finish"]


def test_what_takes_a_new_start_is_named(settings):
    _, said = asked(settings, {"replaced": 1, "needs_start": ["listen", "flush"]})
    assert said[0].endswith("they finish. Not taken up before gnomon serve is started again: listen, flush")


def test_a_replacement_that_fails_is_one_message_on_both_sides(settings):
    with pytest.raises(GnomonError, match=r"^gateway 0 was not replaced$"):
        asked(settings, GnomonError("gateway 0 was not replaced"))


def test_nobody_to_ask_is_said(settings):
    with pytest.raises(NotFound, match=r"no gnomon serve runs in .*; start one with"):
        operations.ask_to_replace(settings)
    (settings.run_dir / control.SUPERVISOR).touch()  # as one that was killed leaves it
    with pytest.raises(NotFound, match="does not answer, or ended meanwhile"):
        operations.ask_to_replace(settings)


def test_a_socket_that_a_dead_supervisor_left_is_replaced_and_gone_afterwards(settings):
    (settings.run_dir / control.SUPERVISOR).touch()
    assert asked(settings, {"replaced": 0, "needs_start": []})[0]["ok"]
    assert not (settings.run_dir / control.SUPERVISOR).exists()


def test_any_other_message_is_refused(settings):
    async def story():
        async with operations.taken(settings, replacing({}), say=[].append):
            path = settings.run_dir / control.SUPERVISOR
            return [await asyncio.to_thread(control.ask, path, message) for message in ({"stop": True}, [1], "x")]

    assert [answer["ok"] for answer in asyncio.run(story())] == [False, False, False]


def test_a_hang_up_replaces_and_a_termination_ends(settings):
    async def story():
        said = []
        async with operations.taken(settings, replacing({"replaced": 3, "needs_start": []}), say=said.append) as ending:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(20):
                while not said:
                    await asyncio.sleep(0.01)
            assert not ending.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(20):
                await ending.wait()

    asyncio.run(story())
