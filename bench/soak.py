"""Ten minutes at half load while parts are killed at random: the ledger at the end, and whether it adds up.

Starts a production and a candidate, `gnomon serve` with two gateways, and a load of half of what wrk gets through.
Every few seconds one of candidate, runner, a gateway or the supervisor is killed with SIGKILL (the order follows
--seed). Then everything drains, and the ledger is printed with its equalities. Exit code 1 when one does not hold, when
an exchange is in the log twice or not at all, or when clients got more errors than were in flight at gateway kills.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import deltalake
import load

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.path.conftest import Place, free_port, listens, wait_for  # the same system as the tests'
from tests.path.rig import FAULTY

from gnomon.log import read
from gnomon.records import counters
from gnomon.records.ledger import RUNNER_STATES

CONNECTIONS = 32
FRESH_AFTER = 100
"""Requests on one connection: kept ones would all end up at the gateway that was killed last but one."""
VICTIMS = ("candidate", "runner", "gateway 0", "gateway 1", "supervisor")
PROBE_SECONDS = 5


class Client(load.Client):
    """Connects again after an error, and now and then."""

    def __init__(self, port: int, rate: float, seconds: float, connections: int) -> None:
        self.port, self.used = port, {}
        super().__init__(port, rate, seconds, connections)

    def drop(self, connection) -> None:
        super().drop(connection)
        self.connect()

    def connect(self) -> None:
        try:
            made = load.socket.create_connection(("127.0.0.1", self.port), timeout=30)
        except OSError:  # a gateway died with it in its queue
            self.errors += 1
            made = load.socket.create_connection(("127.0.0.1", self.port), timeout=30)
        made.settimeout(0)
        made.setsockopt(load.socket.IPPROTO_TCP, load.socket.TCP_NODELAY, 1)
        self.poll.register(made, load.select.EPOLLIN)
        self.idle.append(made)

    def receive(self, number, clock, begun) -> None:
        if number not in self.busy:  # closed while idle: that is no error, but there is one less
            super().receive(number, clock, begun)
            self.connect()
            return
        connection = self.busy[number][0]
        super().receive(number, clock, begun)
        if self.idle and self.idle[-1] is connection:
            self.used[number] = self.used.get(number, 0) + 1
            if self.used[number] >= FRESH_AFTER:
                del self.used[number]
                self.idle.pop()
                self.poll.unregister(connection)
                connection.close()
                self.connect()


class Soak:
    """The system, and what kills its parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.place = Place(folder, gateways=2)
        self.chance = random.Random(seed)
        self.kills = dict.fromkeys(VICTIMS, 0)
        production, self.port = free_port(), free_port()
        self._model(production)
        self.candidate = self._model(self.port)
        self.plan = self.place.plan(production, self.port)
        self.process = self.place.serve(self.plan)

    def _model(self, port: int) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(FAULTY), str(port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.place.processes.append(process)
        wait_for(lambda: listens(port), what="a model")
        return process

    def kill(self, victim: str) -> None:
        """Kill one part, and wait until it is back."""
        self.kills[victim] += 1
        if victim == "candidate":
            self.candidate.kill()
            self.candidate.wait()
            self.candidate = self._model(self.port)
        elif victim == "supervisor":
            self.process.kill()
            self.process.wait()
            self.process = self.place.serve(self.plan)
        else:
            pid = wait_for(lambda: self.place.pids()[victim], what=victim)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.place.pids()[victim] not in (None, pid), what=f"another {victim}")

    def run(self, minutes: float, between: tuple[float, float]) -> dict[str, float]:
        most = load.closed_loop(self.place.listen, self.place.folder, connections=CONNECTIONS, seconds=PROBE_SECONDS)
        self.before = int(most["requests"])
        rate = most["per_second"] / 2
        print(f"half load: {rate:.0f} requests/s over {CONNECTIONS} connections, {minutes:g} minutes", flush=True)
        command = [sys.executable, __file__, "--client", *map(str, (self.place.listen, rate, 60 * minutes))]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 60 * minutes
        while client.poll() is None and time.monotonic() < end - between[1]:
            time.sleep(self.chance.uniform(*between))
            victim = self.chance.choice(VICTIMS)
            self.kill(victim)
            print(f"{end - time.monotonic():6.0f} s left: killed {victim}", flush=True)
        out, _ = client.communicate(timeout=300)
        return json.loads(out)

    def judge(self, asked: dict[str, float]) -> list[str]:
        """What does not hold."""
        self.place.stop(self.process)
        trial = self.place.folder / "data/trials/fraud.1"
        ledger = self.place.read("status")["ledger"]
        ids = {
            table: [
                row["id"]
                for row in deltalake.DeltaTable(trial / "log" / table)
                .to_pyarrow_table(columns=["id", "epoch"])
                .to_pylist()
                if row["epoch"] > 0
            ]
            for table in ("exchanges", "comparisons")
        }
        states = ledger["states"]
        in_flight = CONNECTIONS * (self.kills["gateway 0"] + self.kills["gateway 1"])
        print(json.dumps({"ledger": ledger, "kills": self.kills, "client": asked}, indent=2))
        gateways = [each for each in counters.read_all(trial / "counters") if each.epoch > 0]
        rows = [row for row in read.ledger(str(trial / "log")) if row.epoch > 0 and row.instance.startswith("runner")]
        runner = {}
        for row in rows:
            runner[row.state] = runner.get(row.state, 0) + row.count
        final = sum(each.final for each in gateways)
        seen, handed = sum(each.seen for each in gateways), sum(each.handed_over for each in gateways)
        lost = sum(count for state, count in states.items() if state == "unaccounted")
        ended = sum(runner.get(state, 0) for state in RUNNER_STATES)
        requests, errors = int(asked["requests"]), int(asked["errors"])
        received, open_, of_load = runner.get("received", 0), runner.get("open"), seen - self.before
        facts = {
            f"gateways: seen {seen} = final {final} + received {received} + unaccounted {lost}": (
                seen == final + received + lost and handed <= received
            ),
            f"runner: received {received} = final {ended} + open {open_}, and nothing is open": (
                received == ended and open_ == 0
            ),
            f"all final states {sum(states.values())} = seen {ledger['seen']}": (
                sum(states.values()) == ledger["seen"] == seen
            ),
            f"answered {requests} <= seen {of_load} of the load <= answered + errors {requests + errors}": (
                requests <= of_load <= requests + errors + CONNECTIONS
            ),
            f"log: {len(ids['comparisons'])} rows, each exchange once": all(
                len(found) == len(set(found)) == ended for found in ids.values()
            )
            and set(ids["exchanges"]) == set(ids["comparisons"]),
            f"clients' errors {errors} <= {in_flight} in flight at gateway kills": errors <= in_flight,
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
    if sys.argv[1:2] == ["--client"]:
        port, rate, seconds = sys.argv[2:]
        client = Client(int(port), float(rate), float(seconds), CONNECTIONS)
        client.run()
        print(json.dumps(client.result()))
        return 0
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
