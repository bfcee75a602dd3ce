"""Gateways: real processes on one socket; a successor that does not get ready leaves its predecessor serving."""

import asyncio
import contextlib
import http.server
import os
import socket
import threading

import httpx
import msgspec
import pytest

from gnomon.errors import GnomonError
from gnomon.records.plan import Route
from gnomon.records.process import Epoch
from gnomon.settings import Settings
from gnomon.supervisor.configs import gateway_config_of
from gnomon.supervisor.gateways import Gateways
from tests.supervisor.test_configs import PLAN, TRIAL


class Model(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def model():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Place:
    """Gateways whose configuration and whose knowledge of who serves a test can break."""

    def __init__(self, folder, model, listener, count):
        self.settings = Settings(data=folder / "data", gateways=count)
        self.settings.prepare()
        (self.settings.trial_dir(TRIAL.id) / "counters").mkdir(parents=True)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arm = msgspec.structs.replace(PLAN.production, url=model)
        self.plan = msgspec.structs.replace(PLAN, production=arm, routes=(Route(method="POST", path="/predict"),))
        self.key, self.knows = TRIAL.digest, True
        self.said, self.told = [], []
        self.gateways = Gateways(self.settings, listener.fileno(), self.config, say=self.said.append, tell=self.tell)

    def config(self, path):
        epoch = Epoch(number=1, serving="production")
        made = gateway_config_of(self.settings, TRIAL, self.plan, epoch, socket_name=path.name)
        return msgspec.structs.replace(made, sampling_key=self.key)

    async def tell(self, path):
        self.told.append(path.name)
        return self.knows

    @property
    def pids(self):
        return [child.pid for child in self.gateways.serving]

    async def answers(self):
        async with httpx.AsyncClient() as client:
            return (await client.get(self.url + "/", timeout=10)).status_code == 204


@contextlib.asynccontextmanager
async def started(folder, model, count=1):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = Place(folder, model, listener, count)
        try:
            await place.gateways.start()
            yield place
        finally:
            listener.close()
            await place.gateways.stop()


async def gone(pid):
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


def test_each_is_replaced_told_who_serves_and_its_predecessor_drained(tmp_path, model):
    async def story():
        async with started(tmp_path, model, count=2) as place:
            before = place.pids
            assert await place.gateways.replace() == 2
            assert not set(before) & set(place.pids)
            assert place.told == [f"gateway-{os.getpid()}-2.sock", f"gateway-{os.getpid()}-3.sock"]
            assert await place.answers()
            for pid in before:
                await gone(pid)
            left = sorted(path.name for path in place.settings.run_dir.glob("gateway-*.sock"))
            assert left == place.told
            assert await place.answers()
        assert sorted(place.settings.run_dir.glob("gateway-*")) == []

    asyncio.run(story())


def test_a_successor_that_does_not_start_leaves_its_predecessor_serving(tmp_path, model):
    async def story():
        async with started(tmp_path, model, count=2) as place:
            before, place.key = place.pids, "no hex"
            with pytest.raises(
                GnomonError,
                match=r"(?s)^gateway 0 was not replaced and serves on: its successor does not start: .*non-hexadecimal"
                r".*; 0 of 2 were replaced$",
            ):
                await place.gateways.replace()
            assert place.pids == before
            assert await place.answers()
            place.key = TRIAL.digest
            assert await place.gateways.replace() == 2

    asyncio.run(story())


def test_a_successor_that_does_not_learn_who_serves_takes_nothing_over(tmp_path, model):
    async def story():
        async with started(tmp_path, model) as place:
            before, place.knows = place.pids, False
            with pytest.raises(GnomonError, match="does not answer on its control socket; 0 of 1 were replaced"):
                await place.gateways.replace()
            assert place.pids == before
            assert await place.answers()

    asyncio.run(story())


def test_one_that_cannot_be_configured_is_said_and_the_old_one_serves(tmp_path, model):
    async def story():
        async with started(tmp_path, model) as place:

            def full(_):
                raise OSError(28, "No space left on device")

            before, place.gateways._config = place.pids, full
            with pytest.raises(GnomonError, match=r"serves on: .*No space left on device"):
                await place.gateways.replace()
            assert place.pids == before

    asyncio.run(story())


def test_the_first_that_does_not_start_is_said_with_its_last_words(tmp_path, model):
    async def story():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            place = Place(tmp_path, model, listener, 1)
            log = place.settings.root / "logs" / "gateway-0.log"
            log.write_text("what an earlier process said\n")
            place.key = "no hex"
            with pytest.raises(GnomonError, match=r"(?s)^gateway 0 does not start: .*non-hexadecimal") as caught:
                await place.gateways.start()
            assert "earlier" not in str(caught.value)
            await place.gateways.stop()

    asyncio.run(story())


def test_a_replaced_gateway_is_watched_like_the_first(tmp_path, model):
    async def story():
        async with started(tmp_path, model) as place:
            await place.gateways.replace()
            (pid,) = place.pids
            place.gateways.serving[0].process.kill()
            async with asyncio.timeout(20):
                while place.pids[0] in (None, pid) or not place.gateways.serving[0].ready:
                    await asyncio.sleep(0.01)
            assert await place.answers()
            assert "gateway 0 ended with code -9 and is started again" in place.said[0]

    asyncio.run(story())
