"""The verdict and the results it is made of."""

from typing import Literal

from gnomon.records import Record
from gnomon.records.evidence import Cell

Result = Literal["pass", "fail", "inconclusive"]
VerdictName = Literal["promote", "reject", "continue", "inconclusive", "invalid"]

EXIT_CODES: dict[str, int] = {"promote": 0, "continue": 10, "inconclusive": 11, "reject": 20, "invalid": 30}


class TestResult(Record, frozen=True, kw_only=True):
    """What one test says now."""

    gate: str
    segment: str
    value: str
    result: Result
    reason: str
    """A sentence."""
    margin_ppm: int
    units: int
    needed: int
    estimate: float | None
    """Mean of D over settled units, the unknown taken as worst (before the first closed cycle: as best); None: no data.
    9 digits."""
    lower: float | None
    """Lower end of the anytime-valid interval at alpha (one-sided)."""
    upper: float | None
    e_promote: float
    """e-value against mean D <= -margin; 1: no evidence. 9 significant digits."""
    e_reject: float
    """e-value against mean D >= -margin."""
    promote_at: float
    """1/alpha."""
    reject_at: float
    """m/alpha over the m tests of the plan."""
    cell: Cell
    """The exact counts."""
    soft: bool = False
    """A target: it blocks nothing."""
    hybrid_p: float | None = None
    """The one fixed-size test of a hybrid gate, at its sealed size; None: not declared, or not reached."""
    no_estimate: str | None = None
    """Why there is no estimate, or no interval; None: there is one."""
    production: float | None = None
    """Production's own rate, mean or quantile (microseconds), where the gate has one; weighted by sampling rates."""
    candidate: float | None = None

    @property
    def name(self) -> str:
        """``gate overall`` or ``gate segment=value``."""
        return f"{self.gate} {self.segment}" if not self.value else f"{self.gate} {self.segment}={self.value}"


class Verdict(Record, frozen=True, kw_only=True):
    """One look's answer, with all that recomputes it."""

    trial: str
    plan_digest: str
    verdict: VerdictName
    sentence: str
    reasons: tuple[str, ...]
    would_change: str
    """What would change it."""
    tests: tuple[TestResult, ...]
    alpha_ppm: int
    as_of_us: int
    watermark_us: int
    started_us: int
    versions: dict[str, int]
    rows: dict[str, int]
    digest: str
    ledger: dict[str, int]
    program: str
    """gnomon's version."""
    targets: tuple[TestResult, ...] = ()
    """Soft: tested by Holm after the gates."""
    attempt: int = 1
    """The how-many-eth candidate against this production on these routes."""
    closed_cycles: int = 0
