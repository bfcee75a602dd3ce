"""Probes: known-answer exchanges through the real path, from each gateway to the log. What is lost is lost at a step.

Promises  a probe never reaches a model, the evidence or the ledger's sums; nothing here hangs or ends the supervisor
"""

import asyncio
import contextlib
import http.client
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gnomon import clock
from gnomon.files import put
from gnomon.records.facts import ProbeKind, ProbeResult, ProbeStep
from gnomon.shadow import peek
from gnomon.status import KINDS
from gnomon.supervisor.echo import PREFIX, SLOW_SECONDS, answer

PATIENCE_S: Final = 10.0
"""For an answer through the gateway."""
AGAIN_S: Final = 5.0
"""A probe that is lost is sent once more after this time, before it is believed."""
_POLL_S: Final = 0.25
_CALLED: Final = frozenset({"ok", "wrong_shape", "unreadable"})
"""Outcomes of a call that was answered: a probe's answer has not the shape that the plan reads."""
_NEW_GATEWAY_S: Final = 2.0
"""How often it is looked whether there is a gateway that was never probed."""


@dataclass(frozen=True)
class Route:
    """Where a trial's probes go."""

    run_dir: Path
    log_url: str
    inbox: Path
    file: Path
    """Where the results are kept."""
    flush_s: float
    large: int
    """Bytes of the large answer: a copy must have room for it."""
    sockets: str = "gateway-*.probe"
    """Those of the gateways that count: predecessors that only drain ask an echo arm that is gone."""


@dataclass(slots=True)
class _Gateway:
    """A gateway that listens for probes."""

    path: Path
    born: tuple[int, int]
    """Of its socket: a gateway that was started again under its name has another one."""
    due: float = 0.0
    task: asyncio.Task[None] | None = None


Loss = tuple[ProbeStep, str] | None
"""The step at which a probe was lost, and why; None: it was not."""


def _fields(lost: Loss) -> dict[str, Any]:
    return {} if lost is None else {"lost_at": lost[0], "detail": lost[1]}


class Probes:
    """The loop that probes."""

    def __init__(
        self, path: Route, *, every_s: float, paused: Callable[[], bool], say: Callable[[str], None],
        arrival_s: float, again_s: float = AGAIN_S,
    ) -> None:  # fmt: skip
        self._path = path
        self._every_s = every_s
        self._paused = paused
        self._say = say
        self._arrival_s = arrival_s + 3 * path.flush_s
        self._again_s = again_s
        self._found: dict[tuple[str, ProbeKind], ProbeResult] = {}
        self._gateways: dict[str, _Gateway] = {}
        self._complaint = ""

    async def run(self) -> None:
        """Probe each gateway at its start and at intervals, until cancelled. None of them waits for another."""
        self._keep()  # what an earlier supervisor found says nothing about the path of now
        try:
            while True:
                await self._tried(self._round())
                await asyncio.sleep(min(_NEW_GATEWAY_S, self._every_s))
        finally:
            for name in list(self._gateways):
                self._forget(name)

    async def _tried(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is: the supervisor has users to serve
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._say(f"a fault of the probes, trying on: {error!r}")
        else:
            self._complaint = ""

    async def _round(self) -> None:
        alive = await asyncio.to_thread(_listening, self._path)
        known = {name: (each.path, each.born) for name, each in self._gateways.items()}
        gone = [name for name, found in known.items() if alive.get(name) != found]
        for name in gone:
            self._forget(name)
        for name, (path, born) in alive.items():
            self._gateways.setdefault(name, _Gateway(path, born))
        now = time.monotonic()
        due = {name: each for name, each in self._gateways.items() if each.due <= now and _idle(each)}
        if self._paused():
            due = {}
        for name, each in due.items():
            each.due = now + self._every_s
            for kind in KINDS:
                first = ProbeResult(kind=kind, gateway=name, time_us=clock.now_us(), pending=True)
                self._found.setdefault((name, kind), first)
            each.task = asyncio.create_task(self._tried(self._gateway(name, each.path)))
        if due or gone:
            self._keep()

    def _forget(self, name: str) -> None:
        task = self._gateways.pop(name).task
        if task is not None:
            task.cancel()
        self._found = {key: result for key, result in self._found.items() if key[0] != name}

    async def _gateway(self, gateway: str, path: Path) -> None:
        """One probe of each kind; what is lost is sent again before it is believed."""
        results = await self._sent(gateway, path, KINDS)
        lost = tuple(each.kind for each in results if each.lost_at is not None)
        if lost:
            await asyncio.sleep(self._again_s)
            if self._paused() or not await asyncio.to_thread(path.exists):
                return  # the gateway has ended, or nothing is shadowed: no word about the path
            results = [each for each in results if each.lost_at is None] + await self._sent(gateway, path, lost)
        for result in results:
            self._take(result)
        self._keep()

    def _take(self, result: ProbeResult) -> None:
        """Keep a result, and say what is new about it."""
        before = self._found.get((result.gateway, result.kind))
        self._found[result.gateway, result.kind] = result
        was = before.lost_at if before is not None else None
        if result.lost_at is not None and was is None:
            self._say(f"probe {result.kind} through {result.gateway} was lost at {result.lost_at}: {result.detail}")
        elif result.lost_at is None and was is not None:
            self._say(f"probe {result.kind} through {result.gateway} comes through again")

    async def _sent(self, gateway: str, path: Path, kinds: tuple[ProbeKind, ...]) -> list[ProbeResult]:
        """Send one of each kind, and wait until the log has them or had time enough."""
        nonces = {kind: f"{secrets.token_hex(8)}-{self._path.large}" for kind in kinds}
        made = {kind: ProbeResult(kind=kind, gateway=gateway, time_us=clock.now_us()) for kind in kinds}
        answers = await asyncio.gather(*(asyncio.to_thread(_asked, path, kind, nonces[kind]) for kind in kinds))
        open_: dict[str, ProbeKind] = {}
        for kind, (id_, lost) in zip(kinds, answers, strict=True):
            made[kind] = msgspec.structs.replace(made[kind], id=id_, **_fields(lost))
            if lost is None:
                open_[id_] = kind
        end = time.monotonic() + self._arrival_s
        while open_:
            for id_, row in (await asyncio.to_thread(_logged, self._path.log_url, list(open_))).items():
                kind = open_.pop(id_)
                wrong = _wrong(row, kind, nonces[kind])
                made[kind] = msgspec.structs.replace(made[kind], **_fields(wrong))
            if open_ and time.monotonic() > end:
                for id_, kind in open_.items():
                    where = await asyncio.to_thread(_where, self._path.inbox, id_)
                    made[kind] = msgspec.structs.replace(made[kind], **_fields(where))
                break
            if open_:
                await asyncio.sleep(min(max(_POLL_S, self._path.flush_s / 2), self._arrival_s / 10))
        return list(made.values())

    def _keep(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: status will say that no probe came through for so long
            put(self._path.file, msgspec.json.encode(list(self._found.values())))


def _idle(gateway: _Gateway) -> bool:
    return gateway.task is None or gateway.task.done()


def _listening(route: Route) -> dict[str, tuple[Path, tuple[int, int]]]:
    """The gateways that listen for probes, by name: the socket, and which one it is."""
    found = {}
    for path in sorted(route.run_dir.glob(route.sockets)):
        with contextlib.suppress(FileNotFoundError):
            facts = path.stat()
            if _listens(path):
                found[path.stem] = (path, (facts.st_ino, facts.st_ctime_ns))
    return found


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
    except OSError:
        return False
    return True


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("probe", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _asked(path: Path, kind: ProbeKind, nonce: str) -> tuple[str, Loss]:
    """Send one through the gateway and check its answer; the exchange id."""
    connection = _Unix(path)
    try:
        body = msgspec.json.encode({"nonce": nonce})
        connection.request("POST", f"{PREFIX}{kind}", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read()
    except (OSError, http.client.HTTPException) as error:
        return "", ("gateway", f"no answer: {error!r}")
    finally:
        connection.close()
    id_ = response.getheader("x-gnomon-id", "")
    if response.status != http.HTTPStatus.OK or said != answer(kind, nonce, shadow=False):
        return id_, ("gateway", f"a wrong answer: {response.status}, {len(said)} bytes")
    return id_, None


def _logged(log_url: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    """The rows of `exchanges`, of those ids that `comparisons` has too."""
    from gnomon.errors import GnomonError
    from gnomon.log import read

    try:
        compared = {row["id"] for row in read.rows_of(log_url, "comparisons", ids)}
        return {row["id"]: row for row in read.exchanges(log_url, sorted(compared))}
    except (GnomonError, OSError):  # a log that cannot be read has not got it
        return {}


def _wrong(row: dict[str, Any], kind: ProbeKind, nonce: str) -> Loss:
    """What the log says that is not as it was."""
    for arm, shadow in (("production", False), ("candidate", True)):
        outcome, status = row[f"{arm}_outcome"], row[f"{arm}_status"]
        if outcome not in _CALLED or status != http.HTTPStatus.OK:
            return "call", f"{arm}'s side is {outcome}, status {status}"
        if row[f"{arm}_body"] != answer(kind, nonce, shadow=shadow):
            return "answer", f"the log has another answer of {arm}'s side ({len(row[f'{arm}_body'] or b'')} bytes)"
        if kind == "slow" and (row[f"{arm}_latency_us"] or 0) < 0.9e6 * SLOW_SECONDS:
            return "answer", f"the log says that {arm}'s side took {row[f'{arm}_latency_us']} us"
    return None


def _where(inbox: Path, id_: str) -> tuple[ProbeStep, str]:
    """The step that a probe did not get past, when the log has not got it."""
    key = bytes.fromhex(id_)
    try:
        found = peek.waiting(inbox, [key], timeout_s=1.0).get(key)
    except sqlite3.Error as error:
        return "hand-over", f"the inbox cannot be read: {error}"
    if found is None:
        return "hand-over", "the inbox has not got it, nor has the log both of its rows"
    if found.aside:
        return "log", f"the log can never take it: {found.aside}"
    if found.answered:
        return "log", "its answers are in the inbox, and not in the log"
    return "call", "it waits in the inbox for its call"
