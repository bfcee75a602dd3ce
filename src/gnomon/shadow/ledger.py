"""The ledger: cumulative counts of all gateways and of the runner, and the watermark, written after what they count."""

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from gnomon.log import read, tables
from gnomon.log.append import append
from gnomon.records.counters import Counters
from gnomon.records.ledger import RUNNER_INSTANCE, RUNNER_STATES
from gnomon.shadow.inbox import Sums

_IDLE_US: Final = 60_000_000
"""The longest time between two flushes of a watermark when nothing else changes."""

Key = tuple[str, int, str, str]
"""Instance, epoch, stratum, state."""


class Ledger:
    """What the ledger table says last, so that only changes are written."""

    def __init__(self, log_url: str, *, identity: str) -> None:
        self._log_url = log_url
        self._application = f"ledger {identity}"
        self._instance = f"{RUNNER_INSTANCE}{identity[:12]}"
        self._written: dict[Key, int] = {}
        self._last_us = 0
        self._pause_us = 0
        self.watermark_us = 0

    def open(self) -> None:
        """Read what was written before. An append that failed may be in the table all the same."""
        self._written.clear()
        for row in read.ledger(self._log_url):
            self._written[row.instance, row.epoch, row.stratum, row.state] = row.count
            self._last_us = max(self._last_us, row.time_us)
        self.watermark_us = read.watermark(self._log_url) or 0

    def counts(
        self,
        gateways: Iterable[Counters],
        sums: Sums,
        appended: dict[tuple[int, str], int],
        *,
        dead: set[str],
    ) -> dict[Key, int]:
        """The counts as they are now.

        `appended`: what is in the log and, in `sums`, still open, by epoch and state; `dead`: instances that will send
        nothing more.
        """
        now: dict[Key, int] = {}
        for gateway in gateways:
            facts = {
                "seen": gateway.seen,
                "handed_over": gateway.handed_over,
                "invalid_head": gateway.invalid_head,
                "open": gateway.open,
                **gateway.states,
            }
            if gateway.instance in dead:
                handed = sums.received.get((gateway.instance, gateway.epoch), 0)
                facts["unaccounted"] = max(0, gateway.seen - gateway.final - handed)
                facts["open"] = 0
            for state, count in facts.items():
                now[gateway.instance, gateway.epoch, gateway.stratum, state] = count
            for state, counts in (("drawn", gateway.drawn), ("sampled", gateway.sampled)):
                for stratum, count in counts.items():
                    now[gateway.instance, gateway.epoch, stratum, state] = count
        mine: dict[tuple[int, str], int] = dict(sums.ended)
        for (_, epoch), count in sums.received.items():
            _add(mine, (epoch, "received"), count)
        for epoch, count in sums.open.items():
            _add(mine, (epoch, "open"), count)
        for (epoch, state), count in appended.items():
            _add(mine, (epoch, state), count)
            _add(mine, (epoch, "open"), -count)
        # what was written as open and is not counted any more is 0 now
        gone = {(key[1], "open"): 0 for key in self._written if key[0] == self._instance and key[3] == "open"}
        for (epoch, state), count in (gone | mine).items():
            now[self._instance, epoch, "all", state] = count
        return now

    def flush(self, counts: dict[Key, int], watermark_us: int, *, now_us: int) -> None:
        """Append what changed, and the watermark. When only time went on, ever more rarely, up to once a minute.

        Raises OSError or deltalake's DeltaError; then it is safe to call again.
        """
        watermark_us = max(watermark_us, self.watermark_us)
        # a count of 0 that was never written says nothing
        changed = {key: count for key, count in counts.items() if count != self._written.get(key, 0)}
        if changed:
            self._pause_us = 0
        elif not counts or watermark_us == self.watermark_us or now_us - self._last_us < self._pause_us:
            return
        else:
            self._pause_us = min(_IDLE_US, max(1_000_000, 2 * self._pause_us))
            changed = dict([next(iter(counts.items()))])
        time_us = max(now_us, self._last_us + 1)
        rows = [
            dict(zip(tables.LEDGER.names, (time_us, *key, count, watermark_us), strict=True))
            for key, count in changed.items()
        ]
        append(
            self._log_url,
            "ledger",
            pa.Table.from_pylist(rows, schema=tables.LEDGER),
            application=self._application,
            number=time_us,
        )
        self._written.update(changed)
        self._last_us = time_us
        self.watermark_us = watermark_us


def problems(sums: Sums) -> list[str]:
    """Where the runner's equality does not hold: received = its final states + open, in every epoch."""
    received: dict[int, int] = {}
    for (_, epoch), count in sums.received.items():
        received[epoch] = received.get(epoch, 0) + count
    epochs = sorted({*received, *sums.open, *(epoch for epoch, _ in sums.ended)})
    found = []
    for epoch in epochs:
        ended = sum(sums.ended.get((epoch, state), 0) for state in RUNNER_STATES)
        got, still_open = received.get(epoch, 0), sums.open.get(epoch, 0)
        if got != ended + still_open:
            found.append(
                f"the inbox does not add up in epoch {epoch}: {got} received, {ended} ended and {still_open} open"
            )
    return found


def _add(counts: dict[tuple[int, str], int], key: tuple[int, str], count: int) -> None:
    counts[key] = counts.get(key, 0) + count
