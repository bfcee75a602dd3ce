"""Ten minutes at half load while parts are killed at random: the ledger at the end, and whether it adds up.

Starts a production and a candidate, `gnomon serve` with two gateways, and clients that ask at half of what this machine
answers. Every few seconds one of candidate, runner, a gateway or the supervisor is killed with SIGKILL (the order
follows --seed). Then everything drains, and the ledger is printed with its two equalities. Exit code 1 when one does
not hold, when an exchange is in the log twice or not at all, or when clients got more errors than were in flight at
gateway kills.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import deltalake
import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.path.conftest import Place, body, free_port, listens, wait_for  # the same system as the tests'

from gnomon.records import counters

MODEL = Path(__file__).parent.parent / "tests/path/model.py"
CLIENTS = 4
VICTIMS = ("candidate", "runner", "gateway 0", "gateway 1", "supervisor")


class Clients:
    """Ask at a steady rate; `saturate` asks as fast as answers come, to find what half of it is."""

    def __init__(self, url: str) -> None:
        self.url, self.asked, self.errors, self.interval = url, 0, [], 0.0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def _run(self, offset: int, first: int) -> None:
        number = first + offset * 100_000_000
        due = time.monotonic()
        # Kept connections all end up at the gateway that was killed last but one: every other client opens new ones, so
        # that each gateway has work when it is killed.
        kept = httpx.Limits(max_keepalive_connections=0 if offset % 2 else None)
        with httpx.Client(base_url=self.url, timeout=30, limits=kept) as client:
            while not self._stop.is_set():
                number += 1
                try:
                    status = client.post("/predict", json=body(number)).status_code
                    error = None if status == 200 else str(status)
                except httpx.HTTPError as problem:
                    error = repr(problem)
                with self._lock:
                    self.asked += 1
                    if error:
                        self.errors.append(error)
                due = max(due + self.interval, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))

    @contextlib.contextmanager
    def asking(self):
        self._stop.clear()
        threads = [threading.Thread(target=self._run, args=(n, self.asked)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


class Soak:
    """The system, and what kills its parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.place = Place(folder, gateways=2)
        self.chance = random.Random(seed)
        self.kills = dict.fromkeys(VICTIMS, 0)
        production = self.place.model("old")
        self.port = free_port()
        self.candidate = self._candidate()
        self.plan = self.place.plan(production, self.port)
        self.process = self.place.serve(self.plan)

    def _candidate(self) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, str(MODEL), str(self.port), "new"], cwd=self.place.folder)
        self.place.processes.append(process)
        wait_for(lambda: listens(self.port), what="the candidate")
        return process

    def kill(self, victim: str) -> None:
        """Kill one part, and wait until it is back."""
        self.kills[victim] += 1
        if victim == "candidate":
            self.candidate.kill()
            self.candidate.wait()
            self.candidate = self._candidate()
        elif victim == "supervisor":
            self.process.kill()
            self.process.wait()
            self.process = self.place.serve(self.plan)
        else:
            pid = wait_for(lambda: self.place.pids()[victim], what=victim)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.place.pids()[victim] not in (None, pid), what=f"another {victim}")

    def run(self, minutes: float, between: tuple[float, float]) -> Clients:
        clients = Clients(self.place.url)
        with clients.asking():
            time.sleep(3)
        rate = clients.asked / 3 / 2
        clients.interval = CLIENTS / rate
        print(f"half load: {rate:.0f} requests/s from {CLIENTS} clients, {minutes:g} minutes")
        end = time.monotonic() + 60 * minutes
        with clients.asking():
            while time.monotonic() < end:
                time.sleep(self.chance.uniform(*between))
                victim = self.chance.choice(VICTIMS)
                self.kill(victim)
                print(f"{end - time.monotonic():6.0f} s left: killed {victim}; {clients.asked} asked", flush=True)
        return clients

    def judge(self, clients: Clients) -> list[str]:
        """What does not hold."""
        self.place.stop(self.process)
        trial = self.place.folder / "data/trials/fraud.1"
        ledger = self.place.read("status")["ledger"]
        ids = {
            table: deltalake.DeltaTable(trial / "log" / table).to_pyarrow_table(columns=["id"])["id"].to_pylist()
            for table in ("exchanges", "comparisons")
        }
        states = ledger["states"]
        in_flight = CLIENTS * (self.kills["gateway 0"] + self.kills["gateway 1"])
        logged = states.get("paired", 0) + states.get("expired", 0)
        print(json.dumps({"ledger": ledger, "kills": self.kills, "asked": clients.asked}, indent=2))
        gateways = counters.read_all(trial / "counters")
        final = sum(each.final for each in gateways)
        seen, handed = sum(each.seen for each in gateways), sum(each.handed_over for each in gateways)
        lost = states.get("unaccounted", 0)
        facts = {
            f"gateways: seen {seen} = final {final} + handed over and received {logged} + unaccounted {lost}": (
                seen == final + logged + lost and handed <= logged
            ),
            f"runner: received = final {logged} + open {ledger['open']}, and nothing is open": ledger["open"] == 0,
            f"all final states {sum(states.values())} = seen {ledger['seen']}": (
                sum(states.values()) == ledger["seen"] == seen
            ),
            f"asked {clients.asked} - errors {len(clients.errors)} <= seen <= asked": (
                clients.asked - len(clients.errors) <= seen <= clients.asked
            ),
            f"log: {len(ids['comparisons'])} rows, each exchange once": all(
                len(found) == len(set(found)) == logged for found in ids.values()
            )
            and set(ids["exchanges"]) == set(ids["comparisons"]),
            f"clients' errors {len(clients.errors)} <= {in_flight} in flight at gateway kills": (
                len(clients.errors) <= in_flight
            ),
        }
        for fact, holds in facts.items():
            print(f"{'holds ' if holds else 'BROKEN'}  {fact}")
        return [fact for fact, holds in facts.items() if not holds]

    def end(self) -> None:
        for process in reversed(self.place.processes):
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--between", type=float, nargs=2, default=(1.0, 6.0), help="seconds between two kills")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gnomon-soak-"))
    soak = Soak(folder, options.seed)
    try:
        broken = soak.judge(soak.run(options.minutes, tuple(options.between)))
    finally:
        soak.end()
    if broken:
        print(f"{len(broken)} broken; everything is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
