"""`make demo`: set up what is missing, then tell the story (story.py) in the demo's own environment.

python demo/run.py [--seed N] [--rate N]
"""

import argparse
import os
import sys
import time
from pathlib import Path

from prepare import HERE, PYTHON, SetupFailed, prepare


def arguments(argv: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Two real candidates beside a real model, on real traffic.")
    parser.add_argument("--seed", type=int, default=1, help="another split of the data, another order of the traffic")
    parser.add_argument("--rate", type=float, default=100, help="requests per second (default 100)")
    given = parser.parse_args(argv)
    if not 1 <= given.rate <= 1000:
        parser.error("--rate must be from 1 to 1000")
    return given


def main(argv: list[str]) -> int:
    """Set up, then become the story; returns only when that is not possible."""
    given = arguments(argv)
    gnomon = Path(sys.executable).parent / "gnomon"
    if not gnomon.exists():
        print(f"{gnomon} is not there: run `make demo`, which installs it", file=sys.stderr)
        return 1
    began = time.monotonic()
    try:
        prepare(lambda line: print(line, flush=True))
    except SetupFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up stopped; the next run starts it again", file=sys.stderr)
        return 130
    if (took := time.monotonic() - began) > 2:
        print(f"set-up took {took:.0f} s; the next run skips it\n", flush=True)
    words = [str(PYTHON), str(HERE / "story.py"), "--gnomon", str(gnomon)]
    # The same process from here on: Ctrl-C and the exit code are the story's own.
    return os.execv(PYTHON, [*words, "--seed", str(given.seed), "--rate", str(given.rate)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
