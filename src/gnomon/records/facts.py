"""What the runner and the supervisor write into files for `gnomon status`, which asks no process."""

from typing import Literal

from gnomon.records import Record
from gnomon.records.plan import ArmName

ProbeKind = Literal["equal", "different", "large", "streaming", "slow"]
ProbeStep = Literal["gateway", "hand-over", "call", "log", "answer"]
"""Where a probe was lost: no answer came through the gateway; the runner did not get it; the echo arm was not called;
it is not in the log; what is in the log is not the known answer."""


class TwinFacts(Record, frozen=True, kw_only=True):
    """Exchanges that were to go to production a second time, since the runner started, once they are over."""

    drawn: int = 0
    missed: int = 0
    """Of them: not sent, since there was no room in the budget before they expired. Not random: it should be rare."""
    failed: int = 0
    """Of those sent: production's second call failed."""
    repeated: int = 0
    """Of those sent: the answer says that a cache gave it."""

    @property
    def made(self) -> int:
        """Sent, and over."""
        return self.drawn - self.missed


class RunnerFacts(Record, frozen=True, kw_only=True):
    """How the runner is, after a flush."""

    time_us: int
    inbox: int
    """Exchanges in the inbox that are not in the log."""
    oldest_us: int | None
    """Request time of the oldest of them; None: it is empty."""
    in_flight: int
    calls: int
    """Calls of the shadowed arm that ended since the runner started."""
    failed: dict[str, int]
    """Of them, by outcome."""
    last_failure: str
    """The newest failure in words, with what failed; empty: none."""
    last_failure_us: int | None
    problems: tuple[str, ...] = ()
    """What keeps it from working, in words: the inbox or the log cannot be written."""
    twins: TwinFacts | None = None
    """None: the plan has no twin."""


class ProbeResult(Record, frozen=True, kw_only=True):
    """The newest probe of one kind through one gateway."""

    kind: ProbeKind
    gateway: str
    time_us: int
    """When it was sent."""
    id: str = ""
    lost_at: ProbeStep | None = None
    """None: it is in the log as it should be, or `pending`."""
    pending: bool = False
    detail: str = ""


class Reading(Record, frozen=True, kw_only=True):
    """What a model said it is, from `time_us` on. Only changes are kept."""

    arm: ArmName
    time_us: int
    digest: str
    """SHA-256 of what identifies it."""
    shown: str
    """The same, short and for people."""
