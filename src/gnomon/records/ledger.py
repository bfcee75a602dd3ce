"""The ledger's states. Every request that the fork saw ends in exactly one of them.

`seen` counts every request whose head was valid. The gateway's final states plus what it handed over plus what is
open are `seen`; the runner's final states plus what is open is what it received.
"""

from typing import Final

from gnomon.records import Record

GATEWAY_STATES: Final = (
    "passed",  # not on a shadowed route
    "refused:invalid",  # answered by the gateway itself, never sent
    "refused:too_large",
    "refused:unsupported",
    "refused:timeout",
    "refused:overloaded",
    "unsampled",  # the coin said no
    "shed:budget",  # over the declared rate, decided before either arm was called: counts as unsampled
    "guarded:too_large",
    "guarded:unreadable_coding",
    "guarded:invalid_body",
    "guarded:upgrade",
    "cancelled",  # the client left before production's answer was complete
    "shed:memory",  # the byte budget of captured and unacknowledged data was full
    "shed:unavailable",  # the runner was down and nothing could be kept
    "shed:paused",
    "shed:bug",  # an exception in Gnomon's own shadow code
    "guarded:answered_early",  # production answered, and the client never sent the rest of its request
    "shed:off_slice",  # the shadow was off for a moment, to measure what it costs: counts as unsampled
)
"""Final states that a gateway counts, in the order of their slots in the counter file. Append only."""

RUNNER_STATES: Final = (
    "paired",
    "expired",
    "guarded:context",  # the request leans on what production alone holds
    "guarded:side_effects",  # it would be carried out twice
    "guarded:rewrite",  # what the candidate needs changed cannot be changed in it
    "unaccounted",  # open in a gateway that died, or a row that the log can never take
)
"""Final states that the runner counts."""

RUNNER_INSTANCE: Final = "runner-"
"""How the instance of a runner begins, in the ledger table."""

LOGGED_STATES: Final = frozenset(RUNNER_STATES) - {"unaccounted"}
"""States of rows of `comparisons`."""

LOST_STATES: Final = frozenset({"expired", "unaccounted", "shed:memory", "shed:unavailable", "shed:bug"})
"""Sampled, and no pair: the worst case is assumed (statistics: rule 6)."""

ATTRIBUTED: Final = frozenset({"expired"})
"""Lost states whose exchange stands in `comparisons`, so that its segment is known. The others count in every cell."""


class LedgerRow(Record, frozen=True, kw_only=True):
    """The cumulative counts of one process instance in one epoch, at one flush."""

    time_us: int
    instance: str
    epoch: int
    stratum: str
    state: str
    """A state, or `seen`, `handed_over`, `received`, `invalid_head`, `open`; by stratum also `drawn` (its coin was
    tossed) and `sampled` (it said yes)."""
    count: int
    watermark_us: int
    """Every sampled exchange with an earlier request time is in the log or final without a row."""
