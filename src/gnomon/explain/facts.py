"""What one asks about an exchange, and what is answered."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

from gnomon.explain.coin import sampler_of
from gnomon.fork.strata import Sampler
from gnomon.records import Record
from gnomon.records.plan import Plan, Selector
from gnomon.records.trial import Pause, Trial

Place = Literal["log", "inbox", "gateway", "nowhere"]


@dataclass(frozen=True)
class About:
    """What is known of a trial, whichever exchange is asked about."""

    trial: Trial
    plan: Plan
    now_us: int
    pauses: tuple[Pause, ...] = ()
    redacted: frozenset[Selector] = frozenset()
    """Places that the log does not hold."""
    slice_us: int = 0
    """As of the gateways: in one of each `slices` slices of this length the shadow is off; 0: never."""
    slices: int = 50

    @cached_property
    def sampler(self) -> Sampler:
        """The rates and the key."""
        return sampler_of(self.trial, self.plan)


class Explanation(Record, frozen=True, kw_only=True):
    """Why a request was or was not shadowed, and what became of it."""

    id: str
    trial: str
    time_us: int
    """From the log, else from the id: to the millisecond."""
    place: Place
    """Where it was found."""
    state: str | None
    """A state of the ledger; None: not final, or not known."""
    sampled: bool | None
    """What its coin said; None: that cannot be known."""
    stratum: str | None
    probability: int | None
    """Over 2**32; of what is not known to be copied: None where strata differ."""
    coin: int | None
    """Over 2**32; None: it is that of a sticky value which is not known."""
    agrees: bool | None
    """Whether the coin, tossed again, agrees with what is recorded; None: it cannot be tossed again, or nothing is."""
    sentences: tuple[str, ...]


def when(time_us: int) -> str:
    """A time for people, to the millisecond."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
