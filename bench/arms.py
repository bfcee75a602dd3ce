"""The arms of `bench/fork.py`: what is measured, where it listens, and how it is known that no copy was lost."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import load
import meter
from gateway import ALWAYS, Gateway, end, gateway
from peers import PEERS, peer

PROXY_CORE = 0
COMPILED = "compiled"
"""The gateway as "fork on", from the wheel that `make wheel` builds; `make bench-fork` installs it beside the peers."""
SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class Backend:
    """A running `fork_backend.py`."""

    port: int
    counts_socket: Path

    def counts(self) -> dict[str, int]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.counts_socket))
            return json.loads(connection.makefile("rb").readline())


@contextlib.contextmanager
def backend(folder: Path, name: str, runner_socket: Path | None = None, *, core: int = load.CORE) -> Iterator[Backend]:
    """Start one, and end it."""
    counts_socket = folder / f"{name}.counts"
    program = Path(__file__).parent / "fork_backend.py"
    sockets = [str(counts_socket), *([str(runner_socket)] if runner_socket else [])]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), sys.executable, str(program), *sockets], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield Backend(int(process.stdout.readline()), counts_socket)
    finally:
        end(process)


@dataclass(frozen=True)
class Arm:
    """A way to the model, and its copies' way to the shadow's end."""

    name: str
    port: int
    shadow: Backend
    pid: int | None = None
    """None: there is no proxy."""
    gateway: Gateway | None = None
    copies: bool = False
    """Whether each request must arrive at the shadow's end too."""
    version: str = ""

    def saturated(self, folder: Path, *, connections: int, seconds: int) -> dict[str, float]:
        """A round of as many requests as it takes."""
        with Round(self) as done:
            row = load.closed_loop(self.port, folder, connections=connections, seconds=seconds)
        return row | done.cost(int(row["requests"]))

    def at(self, rate: float, *, connections: int, seconds: float) -> dict[str, float]:
        """A round at a rate."""
        with Round(self) as done:
            row = load.open_loop(self.port, rate=rate, seconds=seconds, connections=connections)
        return row | done.cost(int(row["requests"]))


@dataclass
class Round:
    """What an arm spent and lost in a block, its copies' way included."""

    arm: Arm
    cpu: float = 0.0
    others: float = 0.0
    """Share of the proxies' core that somebody else took, in percent: a row with much of it says little."""
    begun: float = 0.0
    copies: int = 0
    lost: int | None = None
    """None: it is the gateway's ledger that says."""
    rss_mib: float = 0.0
    shadow_before: dict[str, int] = field(default_factory=dict)
    ledger_before: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        arm = self.arm
        self.shadow_before = arm.shadow.counts()
        if arm.gateway is not None:
            self.ledger_before = ledger(arm.gateway)
        if arm.pid is not None:
            self.cpu = meter.cpu_seconds(arm.pid)
        self.others, self.begun = meter.core_seconds(PROXY_CORE), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        arm = self.arm
        if arm.pid is not None:
            self.rss_mib = meter.memory_mib(arm.pid)
        after = settled(arm)
        if arm.pid is not None:
            self.cpu = meter.cpu_seconds(arm.pid) - self.cpu
        taken = meter.core_seconds(PROXY_CORE) - self.others - self.cpu
        self.others = max(0.0, 100 * taken / (time.monotonic() - self.begun))
        name = "acknowledged" if arm.gateway is not None else "requests"
        self.copies = after[name] - self.shadow_before[name]
        if arm.gateway is not None and arm.copies:
            now = ledger(arm.gateway)
            gone = {name: now[name] - self.ledger_before.get(name, 0) for name in now}
            # the load generator leaves in the middle of its last requests: those are the client's doing
            handed_over = gone["seen"] - gone.get("cancelled", 0)
            self.lost = handed_over - min(self.copies, gone["handed_over"])

    def cost(self, answered: int) -> dict[str, float]:
        """By request that was answered."""
        arm, row = self.arm, {"others_percent": self.others}
        if arm.pid is not None:
            row["cpu_us_per_request"] = 1e6 * self.cpu / answered
            row["per_second_per_core"] = answered / self.cpu
            row["rss_mib"] = self.rss_mib
        if arm.copies:
            row["copies"] = self.copies
            # an answered request whose copy did not come; copies of requests that wrk gave up may be more than those
            row["lost"] = max(0, answered - self.copies) if self.lost is None else self.lost
        return row


def ledger(found: Gateway) -> dict[str, int]:
    counts = found.counts()
    return {"seen": counts.seen, "handed_over": counts.handed_over} | counts.states


def settled(arm: Arm) -> dict[str, int]:
    """The shadow's counts once they stand still and nothing is open in the gateway."""
    until = time.monotonic() + SETTLE_SECONDS
    last = arm.shadow.counts()
    while True:
        time.sleep(0.15)
        now = arm.shadow.counts()
        still = now == last
        if still and arm.gateway is not None:
            counts = arm.gateway.counts()
            still = counts.seen == counts.handed_over + counts.final
        if still or time.monotonic() > until:
            return now
        last = now


@contextlib.contextmanager
def all_arms(folder: Path, home: Path) -> Iterator[list[Arm]]:
    """One model and one shadow's end for all; each proxy is alone on its core while the others wait."""
    runner_socket = folder / "runner.sock"
    with contextlib.ExitStack() as ends:
        model = ends.enter_context(backend(folder, "model"))
        shadow = ends.enter_context(backend(folder, "shadow", runner_socket))
        arms = [Arm("direct", model.port, shadow)]
        kinds = (("fork off", 0, sys.executable), ("fork on", ALWAYS, sys.executable))
        for name, rate, python in (*kinds, (COMPILED, ALWAYS, home / "bin" / "python")):
            made = gateway(
                folder / name,
                model=model.port,
                runner_socket=runner_socket,
                shadow_rate=rate,
                core=PROXY_CORE,
                python=python,
            )
            one = ends.enter_context(made)
            arms.append(Arm(name, one.port, shadow, one.pid, one, copies=rate > 0))
        for name in PEERS:
            other = ends.enter_context(
                peer(name, home=home, folder=folder / name, model=model.port, shadow=shadow.port, core=PROXY_CORE)
            )
            arms.append(Arm(name, other.port, shadow, other.pid, copies=True, version=other.version))
        yield arms
