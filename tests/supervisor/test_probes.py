"""The echo arm answers what is known; each way of losing a probe has its step."""

import asyncio
import contextlib
import json
import sqlite3

import httpx
import pytest

from gnomon.records.facts import ProbeResult
from gnomon.status import KINDS, doubted
from gnomon.supervisor import echo, probes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shadow", [False, True])
def test_the_echo_arm_gives_the_known_answer(kind, shadow):
    async def ask():
        headers = {"x-gnomon-shadow": "1"} if shadow else {}
        async with echo.echoing() as url, httpx.AsyncClient(base_url=url) as client:
            return [
                (await client.post(f"/probe/{kind}", json={"nonce": nonce}, headers=headers)).content
                for nonce in ("ab", "cd")  # over one connection
            ]

    assert asyncio.run(ask()) == [echo.answer(kind, nonce, shadow=shadow) for nonce in ("ab", "cd")]


def test_only_the_kind_different_differs_between_the_arms():
    different = {kind for kind in KINDS if echo.answer(kind, "x", shadow=False) != echo.answer(kind, "x", shadow=True)}
    assert different == {"different"}


def test_the_large_answer_has_the_size_that_is_asked_for_and_never_more():
    sizes = {ask: len(echo.answer("large", ask, shadow=False)) for ask in ("x-1000", "x-0", "x-9999999", "x-many", "x")}
    assert 1000 < sizes["x-1000"] < 1100
    assert sizes["x-0"] < 100
    assert all(echo.LARGE < sizes[ask] < echo.LARGE + 100 for ask in ("x-9999999", "x-many", "x"))


def test_what_is_no_probe_is_refused_by_the_echo_arm():
    async def ask():
        async with echo.echoing() as url, httpx.AsyncClient(base_url=url) as client:
            return (await client.post("/predict", content=b"no JSON")).status_code

    assert asyncio.run(ask()) == 400


def row(kind, **changes):
    made = {}
    for arm, shadow in (("production", False), ("candidate", True)):
        made |= {
            f"{arm}_outcome": "wrong_shape",
            f"{arm}_status": 200,
            f"{arm}_body": echo.answer(kind, "n", shadow=shadow),
            f"{arm}_latency_us": 310_000,
        }
    return made | changes


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_says_what_was_is_whole(kind):
    assert probes._wrong(row(kind), kind, "n") is None


@pytest.mark.parametrize(
    ("kind", "changes", "step"),
    [
        ("equal", {"candidate_body": b"{}"}, "answer"),
        ("equal", {"production_body": None}, "answer"),
        ("different", {"candidate_body": echo.answer("different", "n", shadow=False)}, "answer"),
        ("large", {"production_body": echo.answer("large", "n", shadow=False)[:-1]}, "answer"),
        ("slow", {"candidate_latency_us": 1000}, "answer"),
        ("slow", {"candidate_latency_us": None}, "answer"),
        ("equal", {"candidate_outcome": "refused", "candidate_status": 0}, "call"),
        ("equal", {"candidate_outcome": None, "candidate_status": None}, "call"),
    ],
)
def test_a_row_that_says_something_else_is_lost_at_its_step(kind, changes, step):
    found = probes._wrong(row(kind, **changes), kind, "n")
    assert (found and found[0]) == step


def test_what_is_not_in_the_log_is_looked_for_in_the_inbox(tmp_path):
    path, ids = tmp_path / "inbox.db", [bytes([n] * 16).hex() for n in range(3)]
    assert probes._where(path, ids[0])[0] == "hand-over"
    with contextlib.closing(sqlite3.connect(path)) as inbox:
        inbox.execute("CREATE TABLE exchanges (seq INTEGER PRIMARY KEY, id BLOB, frame BLOB)")
        inbox.execute("CREATE TABLE results (place INTEGER PRIMARY KEY, seq INTEGER)")
        inbox.executemany(
            "INSERT INTO exchanges (seq, id) VALUES (?, ?)", [(1, bytes.fromhex(ids[0])), (2, bytes.fromhex(ids[1]))]
        )
        inbox.execute("INSERT INTO results VALUES (1, 2)")
        inbox.execute("CREATE TABLE aside (number INTEGER PRIMARY KEY, id BLOB, reason TEXT, frame BLOB)")
        inbox.execute("INSERT INTO aside (id, reason) VALUES (?, 'column x cannot hold it')", (b"a" * 16,))
        inbox.commit()
    assert [probes._where(path, each)[0] for each in ids] == ["call", "log", "hand-over"]
    assert probes._where(path, (b"a" * 16).hex()) == ("log", "the log can never take it: column x cannot hold it")


def route_of(tmp_path, **changes):
    made = {
        "run_dir": tmp_path, "log_url": str(tmp_path / "log"), "inbox": tmp_path / "i.db",
        "file": tmp_path / "probes.json", "flush_s": 0.01, "large": 1000,
    }  # fmt: skip
    return probes.Route(**(made | changes))


async def hang_up(_, writer):
    writer.close()


@contextlib.asynccontextmanager
async def probing(route, said, *, every_s, again_s):
    loop = probes.Probes(
        route, every_s=every_s, paused=lambda: False, say=said.append, arrival_s=0.05, again_s=again_s
    ).run()
    task = asyncio.create_task(loop)
    try:
        async with asyncio.timeout(20):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.02)


def kept(route):
    if not route.file.exists():
        return {}
    return {(each["gateway"], each["kind"]): each for each in json.loads(route.file.read_bytes())}


def test_a_gateway_that_never_answers_loses_each_probe_at_the_gateway_and_is_said_once(tmp_path):
    said, route = [], route_of(tmp_path)

    async def probed():
        server = await asyncio.start_unix_server(hang_up, tmp_path / "gateway-1-0.probe")
        async with probing(route, said, every_s=0.05, again_s=0.01):
            await until(lambda: len(said) == len(KINDS))
            await asyncio.sleep(0.3)
        server.close()

    asyncio.run(probed())
    assert len(said) == len(KINDS)
    assert all("was lost at gateway: no answer" in each for each in said)
    assert {(kind, each["lost_at"]) for (_, kind), each in kept(route).items()} == {(kind, "gateway") for kind in KINDS}
    assert route.file.stat().st_mode & 0o777 == 0o600


def test_a_new_gateway_waits_for_no_other_ones_probes(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "_NEW_GATEWAY_S", 0.02)
    route = route_of(tmp_path)

    async def probed():
        first = await asyncio.start_unix_server(hang_up, tmp_path / "gateway-1-0.probe")
        async with probing(route, [], every_s=3600, again_s=3600):
            await until(lambda: ("gateway-1-0", "equal") in kept(route))
            second = await asyncio.start_unix_server(hang_up, tmp_path / "gateway-1-1.probe")
            await until(lambda: {name for name, _ in kept(route)} == {"gateway-1-0", "gateway-1-1"})
            assert all(each["pending"] for each in kept(route).values())
            first.close()
            (tmp_path / "gateway-1-0.probe").unlink(missing_ok=True)
            await until(lambda: {name for name, _ in kept(route)} == {"gateway-1-1"})
        second.close()

    asyncio.run(probed())


def test_a_gateway_that_was_started_again_is_probed_anew_and_a_predecessor_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "_NEW_GATEWAY_S", 0.02)
    said, route = [], route_of(tmp_path, sockets="gateway-1-*.probe")

    async def probed():
        await asyncio.start_unix_server(hang_up, tmp_path / "gateway-7-0.probe")  # of a supervisor that died
        await asyncio.start_unix_server(hang_up, tmp_path / "gateway-1-0.probe")
        async with probing(route, said, every_s=3600, again_s=0.01):
            await until(lambda: len(said) == len(KINDS))
            assert {name for name, _ in kept(route)} == {"gateway-1-0"}
            (tmp_path / "gateway-1-0.probe").unlink()
            await asyncio.start_unix_server(hang_up, tmp_path / "gateway-1-0.probe")
            await until(lambda: len(said) == 2 * len(KINDS))

    asyncio.run(probed())


@pytest.mark.parametrize("content", [b'{"nonce": "' + b"x" * echo.LIMIT + b'"}', b"[" * echo.LIMIT])
def test_whoever_sends_the_echo_arm_more_than_a_probe_is_refused(content):
    async def ask():
        async with echo.echoing() as url, httpx.AsyncClient(base_url=url) as client:
            return (await client.post("/probe/equal", content=content)).status_code

    assert asyncio.run(ask()) == 400


def results(**changes):
    return tuple(ProbeResult(**({"kind": kind, "gateway": "g", "time_us": 100} | changes)) for kind in KINDS)


def test_the_path_is_proven_by_every_kind_through_every_gateway_and_not_for_ever():
    assert doubted(results(), every_s=10, now_us=1_000_000) == ""
    assert doubted((), every_s=10, now_us=0) == "probes are under way"
    assert doubted(results()[1:], every_s=10, now_us=0) == "probes are under way"
    assert doubted(results(pending=True), every_s=10, now_us=0) == "probes are under way"
    assert doubted((*results(), *results(gateway="h")[:2]), every_s=10, now_us=0) == "probes are under way"
    assert "no probe came through for 1,000 s" in doubted(results(), every_s=10, now_us=1_000_000_100)
    lost = results(lost_at="call", detail="it waits in the inbox for its call")
    assert doubted((*results()[1:], lost[0]), every_s=10, now_us=0) == (
        "probe equal through g was lost at call: it waits in the inbox for its call"
    )
