"""The statistical promises, simulated: `make simulate`.

Each scenario runs many seeded trials through the public functions of `gnomon.stats` and, beside them, the obvious way
that is wrong (`naive`). A false rate holds when it is at most alpha and three standard errors; where a naive rate is
known to be above alpha it must come out above it, so that the scenario has teeth. Ends with 1 when a row does not hold.

    python bench/simulate [--only B4,B8] [--workers 2]

Every case has a generator of its own, so that some give the same figures as all. With all, the table is written to
docs/statistics/calibration.md and calibration.json.
"""

import argparse
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from zlib import crc32

import numpy as np
from page import write
from planner import TRIALS
from scenarios import ALONE, CASES
from table import HEADER, Row, text

SEED = 20_250_101


def run(name: str, number: int) -> tuple[list[Row], float]:
    """One case of one scenario: its rows and its CPU seconds."""
    begun = time.process_time()
    case = CASES[name][number]
    rows = case(np.random.default_rng([SEED, crc32(name.encode()), number]))
    return rows, time.process_time() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulate the statistical promises.")
    parser.add_argument("--only", help="scenarios, by comma: B4,B8 (then nothing is written)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    chosen = list(CASES) if options.only is None else options.only.split(",")
    if unknown := [name for name in chosen if name not in CASES]:
        parser.error(f"--only {','.join(unknown)}: no such scenario; there are {', '.join(CASES)}")
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    print(HEADER, flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        running: list[tuple[str, Future[tuple[list[Row], float]]]] = [
            (name, pool.submit(run, name, number))
            for name in chosen
            if name not in ALONE
            for number in range(len(CASES[name]))
        ]
        for name, future in running:
            found, used = future.result()
            report(rows, seconds, name, found, used)
    for name in ALONE:
        if name in chosen:
            for number in range(len(CASES[name])):
                report(rows, seconds, name, *run(name, number))
    used = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
    print(f"\nCPU seconds: {used}; together {sum(seconds.values()) / 60:.1f} minutes")
    if options.only is None:
        minutes = f"{sum(seconds.values()) / 60:.0f}"
        facts = {"seed": f"{SEED:_}", "numpy": np.__version__, "minutes": minutes, "trials": f"{TRIALS:,}"}
        write(rows, facts)
    failed = [row for row in rows if not row.holds]
    print(f"{len(rows) - len(failed)} of {len(rows)} rows hold")
    return 1 if failed else 0


def report(rows: list[Row], seconds: dict[str, float], name: str, found: list[Row], used: float) -> None:
    """Print and keep the rows of one case."""
    rows += found
    seconds[name] = seconds.get(name, 0.0) + used
    for row in found:
        print(text(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
