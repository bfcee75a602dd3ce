"""Pushes: what is wanted reaches every gateway that answers, whatever the others do."""

import asyncio
import contextlib
import json
from pathlib import Path

from gnomon.errors import StateError
from gnomon.records.process import Epoch
from gnomon.records.trial import Pause
from gnomon.supervisor import control, push
from gnomon.supervisor.push import Pushes, Wanted

PRODUCTION = Wanted(Epoch(number=1, serving="production"), None)
CANDIDATE = Wanted(Epoch(number=2, serving="candidate"), None)
PAUSED = Wanted(Epoch(number=2, serving="candidate"), Pause(since_us=1, actor="ada", reason="peak hour"))


class Socket:
    """A gateway's side of a control socket: it keeps what it was told, or never answers."""

    def __init__(self, folder: Path, name: str, *, stuck: bool = False) -> None:
        self.path = folder / f"gateway-{name}.sock"
        self.stuck = stuck
        self.epoch = 0
        self.paused = False
        self.told = 0

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, path=self.path)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                assert message["trial"] == "fraud.1"
                self.told += 1
                if self.stuck:
                    continue
                if "epoch" in message:
                    self.epoch = message["epoch"]["number"]
                else:
                    self.paused = message["pause"]
                writer.write(b'{"ok": true}\n')
        writer.close()

    def has(self, wanted: Wanted) -> bool:
        return self.epoch == wanted.epoch.number and self.paused == (wanted.pause is not None)


@contextlib.asynccontextmanager
async def pushing(folder, wanted, said=None):
    pushes = Pushes(folder, "fraud.1", wanted, (said if said is not None else []).append)
    task = asyncio.create_task(pushes.run())
    try:
        yield pushes
    finally:
        assert not task.done(), task
        task.cancel()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_gateway_that_hangs_delays_no_other(tmp_path, monkeypatch):
    """With a patience that outlasts the test, everything that the other is told is told beside the one that hangs."""
    monkeypatch.setattr(control, "PUSH_TIMEOUT", 600)

    async def story():
        now = [PRODUCTION]
        async with (
            Socket(tmp_path, "1", stuck=True) as stuck,
            Socket(tmp_path, "2") as good,
            pushing(tmp_path, lambda: now[0]),
        ):
            for wanted in (PRODUCTION, CANDIDATE, PAUSED, CANDIDATE):
                now[0] = wanted
                await until(lambda wanted=wanted: good.has(wanted))
            assert stuck.told == 1

    asyncio.run(story())


def test_a_gateway_that_hung_is_told_what_is_wanted_then(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "PUSH_TIMEOUT", 0.1)

    async def story():
        now, said = [PRODUCTION], []
        async with Socket(tmp_path, "1") as gateway, pushing(tmp_path, lambda: now[0], said):
            await until(lambda: gateway.has(PRODUCTION))
            gateway.stuck, now[0] = True, CANDIDATE
            seen = gateway.told
            await until(lambda: gateway.told > seen)
            assert said == []
            gateway.stuck, now[0] = False, PAUSED
            await until(lambda: gateway.has(PAUSED) and len(said) == 2)
        assert said == [
            "epoch 2: candidate serves now",
            "paused by ada: peak hour; nothing is shadowed until gnomon resume fraud.1",
        ]

    asyncio.run(story())


def test_a_gateway_that_forgot_is_told_again(tmp_path, monkeypatch):
    """As one that hung and then acts on an older message."""
    monkeypatch.setattr(push, "AGAIN_SECONDS", 0.1)

    async def story():
        async with Socket(tmp_path, "1") as gateway, pushing(tmp_path, lambda: PAUSED):
            await until(lambda: gateway.has(PAUSED))
            gateway.paused = False
            await until(lambda: gateway.has(PAUSED))

    asyncio.run(story())


def test_a_gateway_that_comes_later_is_told(tmp_path):
    async def story():
        async with pushing(tmp_path, lambda: PAUSED), Socket(tmp_path, "1") as first:
            await until(lambda: first.has(PAUSED))
            async with Socket(tmp_path, "2") as second:
                await until(lambda: second.has(PAUSED))

    asyncio.run(story())


def test_a_database_that_cannot_be_asked_is_said_once_and_asked_again(tmp_path):
    async def story():
        asked, said = [], []

        def wanted():
            asked.append(1)
            if 1 < len(asked) < 5:
                raise StateError("the disk is gone")
            return PRODUCTION if len(asked) == 1 else CANDIDATE

        async with Socket(tmp_path, "1") as gateway, pushing(tmp_path, wanted, said):
            await until(lambda: gateway.has(CANDIDATE) and len(said) == 2)
        assert said == [
            "who serves cannot be asked or pushed, trying on: the disk is gone",
            "epoch 2: candidate serves now",
        ]

    asyncio.run(story())


def test_telling_one_says_whether_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "PUSH_TIMEOUT", 0.1)

    async def story():
        pushes = Pushes(tmp_path, "fraud.1", lambda: PAUSED, [].append)
        async with Socket(tmp_path, "1") as gateway, Socket(tmp_path, "2", stuck=True) as stuck:
            assert await pushes.tell(gateway.path)
            assert gateway.has(PAUSED)
            assert not await pushes.tell(stuck.path)
        assert not await pushes.tell(gateway.path)

    asyncio.run(story())
