"""A running Gnomon between a sound production and a candidate that misbehaves on demand, and what must hold of it."""

import collections
import contextlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deltalake
import httpx

from gnomon.supervisor import control
from tests.path.conftest import Place, free_port, wait_for

FAULTY = Path(__file__).parent / "faulty.py"
BUDGET = 512 << 10
"""Bytes of copies that a gateway may hold: little, so that a fault fills it."""
GROWTH = 24 << 20
"""Bytes by which a gateway may grow under a fault: the budget, encoded too, buffers, and what an allocator keeps."""
PAD = "x" * 1500
CLIENTS = 3


class Faulty:
    """A model of `faulty.py` in a process of its own."""

    def __init__(self, place: Place) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, str(FAULTY), str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        place.processes.append(self.process)
        assert self.process.stdout.readline() == "listens\n"

    def behave(self, how: str) -> None:
        self.process.stdin.write(how + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == how

    @contextlib.contextmanager
    def behaving(self, how: str):
        self.behave(how)
        try:
            yield
        finally:
            self.behave("well")


def resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    return 0


class Rig:
    """`seen` counts what a gateway has taken, `failures` what its clients did not get."""

    def __init__(self, place: Place, *, mode: str = "sync", gateways: int = 1, edit=lambda text: text) -> None:
        self.place = place
        place.gateways = gateways
        place.settings["GNOMON_CAPTURE_BUDGET"] = str(BUDGET)
        self.production, self.candidate = Faulty(place), Faulty(place)
        self.plan = place.plan(
            self.production.port,
            self.candidate.port,
            mode=mode,
            edit=lambda text: edit(text.replace("timeout: 5s", "timeout: 400ms")),
        )
        self.process = place.serve(self.plan)
        self.asked = 0
        self.failures: list[str] = []
        self._memory: dict[int, int] = {}
        self.held = 0
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self.ask(30)  # what an import or a first connection costs is no growth
        self._watch.start()

    def close(self) -> None:
        self._stop.set()
        self._watch.join()

    def ask(self, count: int, *, clients: int = CLIENTS) -> dict[str, int]:
        """Ask so many times; the amount by exchange id of what was answered. Failures are kept."""
        first, self.asked = self.asked, self.asked + count
        answered: dict[str, int] = {}

        def run(offset: int) -> None:
            with httpx.Client(base_url=self.place.url, timeout=20) as client:
                for number in range(first + offset, first + count, clients):
                    words = {"id": f"r{number}", "country": ("DE", "FR")[number % 2], "amount": number, "pad": PAD}
                    try:
                        response = client.post("/predict", json=words)
                    except httpx.HTTPError as error:
                        self.failures.append(repr(error))
                        continue
                    if response.status_code == 200:
                        answered[response.headers["x-gnomon-id"].replace("-", "")] = number
                    else:
                        self.failures.append(f"{response.status_code} {response.text}")

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(run, range(clients)))
        return answered

    @contextlib.contextmanager
    def asking(self):
        """Ask without end while the block runs; the ids come afterwards."""
        stop, answered = threading.Event(), {}

        def run() -> None:
            while not stop.is_set():
                answered.update(self.ask(30))

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(run)
            try:
                yield answered
            finally:
                stop.set()
                asked.result()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            for path in control.sockets(self.place.folder / "data/run"):
                status = control.ask(path, {"status": True})
                if status is None:
                    continue
                memory = resident(status["pid"])
                first = self._memory.setdefault(status["pid"], memory)
                self.held = max(self.held, status["held_bytes"])
                assert memory - first < GROWTH, f"a gateway grew from {first} to {memory} bytes"

    # what must hold --------------------------------------------------------------------------------------------------

    def ledger(self) -> dict:
        return httpx.get(f"http://127.0.0.1:{self.place.admin}/status", timeout=20).json()["ledger"]

    def adds_up(self, *, lost: int = 0) -> dict:
        """The ledger once nothing is open. `lost`: requests that may never have come to a gateway's sight."""

        def settled():
            with contextlib.suppress(httpx.HTTPError, ValueError):
                ledger = self.ledger()
                return ledger if ledger["open"] == 0 and ledger["seen"] else None

        ledger = wait_for(settled, what="an end of everything that is open")
        assert sum(ledger["states"].values()) == ledger["seen"], ledger
        assert self.asked - lost <= ledger["seen"] <= self.asked, (self.asked, ledger)
        assert ledger["states"].get("shed:bug", 0) == 0, ledger
        assert self._watch.is_alive(), "see the thread's exception: a gateway's memory"
        assert self.held <= BUDGET
        in_log = self.rows()
        ids = [row["id"] for row in in_log]
        assert len(ids) == len(set(ids)) == ledger["states"].get("paired", 0) + ledger["states"].get("expired", 0)
        assert sorted(ids) == sorted(row["id"] for row in self.rows("exchanges", ["id"]))
        return ledger

    def rows(self, table: str = "comparisons", columns=("id", "candidate_outcome", "production_outcome", "late")):
        path = self.place.folder / "data/trials/fraud.1/log" / table
        return deltalake.DeltaTable(path).to_pyarrow_table(columns=list(columns)).to_pylist()

    def outcomes(self, ids, column: str = "candidate_outcome") -> dict[str, int]:
        return dict(collections.Counter(row[column] for row in self.rows() if row["id"] in ids))

    def recovers(self, *, lost: int = 0) -> None:
        """New requests become pairs, and each candidate's answer belongs to its own request."""
        seen = self.ask(30)
        assert len(seen) == 30, self.failures[-3:]
        self.adds_up(lost=lost)
        if self.outcomes(seen) != {"ok": 30}:  # the first after a fault may have been shed, or met its end
            seen = self.ask(30)
            self.adds_up(lost=lost)
        assert self.outcomes(seen) == {"ok": 30}
        for row in self.rows("exchanges", ["request_body", "candidate_outcome", "candidate_body"]):
            if row["candidate_outcome"] == "ok":
                assert json.loads(row["request_body"])["id"] == json.loads(row["candidate_body"])["id"]
