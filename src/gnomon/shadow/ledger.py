"""The ledger: cumulative counts of all gateways and of the runner, and the watermark, written after what they count."""

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from gnomon.log import read, tables
from gnomon.log.append import append
from gnomon.records.counters import Counters

_IDLE_US: Final = 60_000_000
"""The longest time between two flushes of a watermark when nothing else changes."""

Key = tuple[str, int, str, str]
"""Instance, epoch, stratum, state."""


class Ledger:
    """What the ledger table says last, so that only changes are written."""

    def __init__(self, log_url: str, *, identity: str) -> None:
        self._log_url = log_url
        self._application = f"ledger {identity}"
        self._instance = f"runner-{identity[:12]}"
        self._written: dict[Key, int] = {}
        self._last_us = 0
        self._pause_us = 0
        self.watermark_us = 0

    def open(self) -> None:
        """Read what was written before."""
        for row in read.ledger(self._log_url):
            self._written[row.instance, row.epoch, row.stratum, row.state] = row.count
            self._last_us = max(self._last_us, row.time_us)
        self.watermark_us = read.watermark(self._log_url) or 0

    def counts(
        self,
        gateways: Iterable[Counters],
        received: dict[tuple[str, int], int],
        logged: dict[tuple[int, str], int],
        *,
        dead: set[str],
    ) -> dict[Key, int]:
        """The counts as they are now. `dead`: instances that will send nothing more."""
        now: dict[Key, int] = {}
        for gateway in gateways:
            facts = {
                "seen": gateway.seen,
                "handed_over": gateway.handed_over,
                "invalid_head": gateway.invalid_head,
                **gateway.states,
            }
            if gateway.instance in dead:
                handed = received.get((gateway.instance, gateway.epoch), 0)
                facts["unaccounted"] = max(0, gateway.seen - gateway.final - handed)
            for state, count in facts.items():
                now[gateway.instance, gateway.epoch, gateway.stratum, state] = count
        by_epoch: dict[int, int] = {}
        for (_, epoch), count in received.items():
            by_epoch[epoch] = by_epoch.get(epoch, 0) + count
        for epoch, count in by_epoch.items():
            now[self._instance, epoch, "all", "received"] = count
        for (epoch, state), count in logged.items():
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
