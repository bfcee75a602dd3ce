"""The trial: one candidate under one sealed plan, and what the state database keeps about it."""

from typing import Any

from gnomon.records import Record
from gnomon.records.plan import ArmName


class Sealed(Record, frozen=True, kw_only=True):
    """What may not change within a trial, in the one way of writing it."""

    digest: str
    """SHA-256 of `canonical`, 64 hex digits."""
    canonical: bytes
    """The sealed part of the document by RFC 8785, UTF-8."""


class Trial(Record, frozen=True, kw_only=True):
    """One candidate under one plan. A change in what the seal covers is another trial."""

    id: str
    """``<name>.<number>``."""
    name: str
    number: int
    """1 for the first trial of that name."""
    digest: str
    """SHA-256 over `canonical`."""
    canonical: str
    """The sealed part of the plan by RFC 8785."""
    document: str
    """The whole plan as JSON text, with the operation settings last registered."""
    plan_path: str
    """The file it was read from, for people; the sealed copy is here."""
    parent: str | None
    """The trial that this one amends."""
    attempt: int
    """1 and one more for each earlier trial of the same production version on the same routes, whatever its name."""
    registered_us: int
    program: str
    """gnomon's version at the registration."""
    first_epoch: int
    """Evidence is of this epoch only."""


class EpochRow(Record, frozen=True, kw_only=True):
    """One change of who serves, as it was recorded."""

    trial: str
    number: int
    serving: ArmName
    since_us: int
    reason: str
    actor: str
    verdict_id: int | None
    """The verdict it rests on; None: the registration, a rollback or an override."""


class Pause(Record, frozen=True, kw_only=True):
    """A time in which nothing is shadowed. It is no epoch: the evidence goes on when it ends."""

    since_us: int
    actor: str
    """Who paused."""
    reason: str
    until_us: int | None = None
    """None: it lasts."""
    ended_by: str | None = None
    ended_because: str | None = None


class OperationRow(Record, frozen=True, kw_only=True):
    """Operation settings, which are not sealed, from one time on."""

    trial: str
    time_us: int
    actor: str
    settings: dict[str, Any]


class AuditRow(Record, frozen=True, kw_only=True):
    """One link of the audit chain."""

    number: int
    """1, 2, 3, ... without a gap."""
    time_us: int
    actor: str
    action: str
    """`register`, `operation`, `promote`, `override`, `rollback`, `pause`, `resume`, `identity` or
    `verdict`."""
    trial: str
    detail: dict[str, Any]
    previous: str
    """Digest of the row before; 64 zeros for the first."""
    digest: str
    """SHA-256 of `previous` and the canonical JSON of all the rest."""
