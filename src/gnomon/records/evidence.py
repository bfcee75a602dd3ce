"""Evidence: the few dozen integers that a gate reads, and what people look at beside them."""

from typing import Final

from msgspec import field

from gnomon.records import Record

GRID: Final = 40
"""D in [-1, 1] is counted in steps of 1/GRID: rounded down for promotion, up for rejection."""

Histogram = tuple[tuple[int, int], ...]
"""(value in steps of 1/GRID, number of units), ascending by value."""


class AtRate(Record, frozen=True, kw_only=True):
    """The part of a cell's evidence that was sampled at one rate; see Cell for the fields."""

    probability: int
    """Over 2**32. The weight of a unit is the plan's lowest rate over this."""
    low: Histogram
    high: Histogram
    known: int = 0
    production_good: int = 0
    candidate_good: int = 0


class Cell(Record, frozen=True, kw_only=True):
    """The evidence of one test. Zero units is a result too: no data."""

    gate: str
    segment: str
    value: str
    low: Histogram
    """Promotion: settled units on closed cycles, the unknown taken as worst for the candidate, D rounded down."""
    high: Histogram
    """Rejection: settled units, the unknown taken as best for the candidate, D rounded up."""
    exchanges: int
    """Settled exchanges behind `high`, lost ones included."""
    lost: int
    """Of them: sampled, and no pair."""
    imputed: int
    """Of them: truth did not come in time."""
    waiting: int
    """In the log, but not settled, or after one that is not."""
    seen: int
    """Sampled exchanges of the cell in the log up to the watermark, plus the lost ones without a row."""
    frontier_us: int
    """Request time before which evidence was read (that of the first unsettled exchange, or the watermark)."""
    known: int = 0
    """Of the settled exchanges: both arms were observed, and judged by truth where the gate needs it."""
    production_good: int = 0
    """Of the known: production was right (accuracy), did not fail, or kept the limit."""
    candidate_good: int = 0
    """Of the known: the candidate was right, agreed, did not fail, or kept the limit."""
    by_rate: tuple[AtRate, ...] = ()
    """The same once more by sampling rate, ascending, where the plan's strata have different ones: what is drawn more
    often is in the counts above more often than in the traffic. Empty under one rate: every unit has weight 1.
    Lost exchanges without a row stand at the lowest rate, where they weigh most."""

    @property
    def units(self) -> int:
        """Units that can promote."""
        return sum(count for _, count in self.low)


class Evidence(Record, frozen=True, kw_only=True):
    """Everything a verdict rests on, and nothing that needs a body."""

    trial: str
    as_of_us: int
    """The time of the look; truth is imputed by it."""
    watermark_us: int
    versions: dict[str, int]
    """Pinned version of each table that was read; -1: the table is not there yet."""
    rows: dict[str, int]
    """Rows read from each."""
    digest: str
    """SHA-256 over the sorted rows of `comparisons` that were read, all columns: compaction keeps it, an altered value
    does not. In blocks: over the lines `block count sha256(rows)`, a block being the rows whose ids have the same first
    8 characters, a row being its id and an MD5 of its columns."""
    cells: tuple[Cell, ...]
    """One for each test, in the plan's order."""
    lost_share_ppm: dict[str, int]
    """By cell name: lost of sampled."""
    sampled: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The same, exactly: lost and sampled exchanges. Lost ones without a row count in `overall` only."""
    ledger: dict[str, int]
    """Sums by state over all process instances, with `seen`, `handed_over`, `received`, `open`, `invalid_head`."""
    anomalies: tuple[str, ...] = ()
    """Sentences: why the log cannot be trusted. Any makes the trial invalid."""
    notes: tuple[str, ...] = ()
    """Sentences worth knowing that invalidate nothing."""


class LatencySummary(Record, frozen=True, kw_only=True):
    """Quantiles of one arm's latency; a failed call is infinite (None)."""

    arm: str
    calls: int
    p50_us: int | None
    p90_us: int | None
    p99_us: int | None
    failed: dict[str, int]
    """Calls by outcome, without `ok`."""


class Agreement(Record, frozen=True, kw_only=True):
    """How often production said one thing and the candidate another."""

    output: str
    cell: str
    pairs: int
    agree: int
    matrix: tuple[tuple[str, str, int], ...]
    """(production's value, candidate's value, pairs); rare values are folded into `other`."""


class Disagreement(Record, frozen=True, kw_only=True):
    """One exchange to look at, both answers side by side."""

    id: str
    time_us: int
    segments: dict[str, str]
    output: str
    production: str
    candidate: str
    truth: str | None
    weight: float
    """How much it moves the gate: 1 for an exchange drawn with certainty, times the distance."""
    request: str
    """Excerpt of the (redacted) request body."""


class Description(Record, frozen=True, kw_only=True):
    """What a report shows beside the verdict."""

    latency: tuple[LatencySummary, ...]
    agreements: tuple[Agreement, ...]
    disagreements: tuple[Disagreement, ...]
    segments: dict[str, dict[str, int]]
    """Pairs by segment name and value."""
