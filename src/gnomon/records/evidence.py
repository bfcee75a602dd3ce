"""Evidence: the few dozen integers that a gate reads, and what people look at beside them."""

from typing import Final, Literal

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
    reference_low: Histogram = ()
    reference_high: Histogram = ()


class Tail(Record, frozen=True, kw_only=True):
    """The slow end of both arms' latencies, for a ratio of quantiles: counts at ascending bucket edges.

    Pairs that were lost, or late and failed, are in `pairs` and in no count: a test puts them where they hurt it most.
    """

    pairs: int
    """Settled units, lost ones included."""
    lost: int
    """Of them: lost, or late and failed."""
    edges: tuple[int, ...]
    """Lower edges of buckets of production's latency, microseconds (`stats.latency_edge`). They reach from where about
    four times as many are over as the quantile leaves, to the slowest."""
    production: tuple[int, ...]
    """At each edge x: production's latencies at or over x. A failed call is infinite."""
    candidate: tuple[int, ...]
    """The candidate's latencies over (ratio times x)."""
    both: tuple[int, ...]
    """Pairs with production at or over the NEXT edge (the last: infinite) and the candidate over (ratio times x)."""
    cross: tuple[int, ...]
    """Pairs with production at or over x and the candidate over (ratio times the next edge)."""
    production_us: int | None = None
    """The quantile of the pairs, nearest rank; None: infinite, or no pairs."""
    candidate_us: int | None = None


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
    """Of them: truth did not come in time; of latency: the candidate's call was late, and failed."""
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
    grid: int = GRID
    """Steps in which the histograms count D: GRID times the gate's `steps`."""
    reference_low: Histogram = ()
    """Precision: production's own D (-1 for each thing it flagged wrongly, over what it flagged), read for promotion:
    the unknown taken as best for production. `low` and `high` are the candidate's, over what the candidate flagged."""
    reference_high: Histogram = ()
    """The same for rejection: the unknown taken as worst for production."""
    tail: Tail | None = None
    """Latency against a ratio: in place of the histograms, which then count pairs alone. All settled pairs."""
    closed_tail: Tail | None = None
    """The same of the pairs on closed cycles, for promotion; `tail` again where no cycle is declared."""
    truths: int = 0
    """Settled exchanges whose truth was needed and came."""
    left_out: int = 0
    """Of the seen: they came after their cluster was closed, and are in none of the counts above."""

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
    """`files:` and the SHA-256 over the sorted lines `table sha256` of all pinned files' contents: one altered byte
    changes it. Of an earlier program: 64 hex digits over the sorted rows of `comparisons` that were read."""
    cells: tuple[Cell, ...]
    """One for each test of the gates, then of the targets, in the plan's order."""
    lost_share_ppm: dict[str, int]
    """By cell name: lost of sampled."""
    sampled: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The same, exactly: lost and sampled exchanges. Lost ones without a row count in `overall` only."""
    unplaced: tuple[int, int] = (0, 0)
    """Lost exchanges without a row, which may have been of any cell, and all sampled exchanges, those included."""
    ledger: dict[str, int]
    """Sums by state over all process instances, with `seen`, `handed_over`, `received`, `open`, `invalid_head`."""
    anomalies: tuple[str, ...] = ()
    """Sentences: why the log cannot be trusted. Any makes the trial invalid."""
    notes: tuple[str, ...] = ()
    """Sentences worth knowing that invalidate nothing."""
    probes: int = 0
    """Known answers that stand in the log."""
    lagging: tuple[int, int] = (0, 0)
    """Settled pairs whose candidate started later after production than the plan's `start_lag`, and all of them."""
    twins: tuple[int, int] = (0, 0)
    """Exchanges that went to production twice, and those of them whose second answer looks like a cache's."""
    closed_cycles: int = 0
    """Whole cycles that are settled in every cell that saw a request; 0 where no cycle is declared."""


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


class NoiseFloor(Record, frozen=True, kw_only=True):
    """How often production agrees with its own twin, on pairs whose twin was drawn."""

    output: str
    cell: str
    drawn: int
    repeats: int
    """Of them: the second answer looks like a cache's, and counts in neither number below."""
    agree: int
    """Production's second answer agrees with its first."""
    candidate_agree: int
    """On the same pairs: the candidate's answer agrees with production's first."""


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


class LedgerSide(Record, frozen=True, kw_only=True):
    """One of the ledger's two equalities, summed over the instances: came = ended + handed over + open."""

    side: Literal["gateway", "runner"]
    came: int
    """Seen by the gateways, or received by the runner."""
    ended: dict[str, int]
    """By final state, of the side's own; `unaccounted` stands where it was counted."""
    handed_over: int
    """Acknowledged by the runner; 0 for the runner."""
    open: int | None
    """None: an earlier version wrote the log, which did not count it."""

    @property
    def missing(self) -> int:
        """What the equality lacks; of a gateway that died: received, and the acknowledgement was lost."""
        return self.came - sum(self.ended.values()) - self.handed_over - (self.open or 0)


class Sampling(Record, frozen=True, kw_only=True):
    """What one stratum's coin did."""

    stratum: str
    declared: int
    """Probability over 2**32."""
    drawn: int
    """Coins tossed, what was kept out afterwards (budget, pause, off-slices) included."""
    sampled: int
    """Of them: yes."""
    lower: float | None
    """The exact (Clopper-Pearson) 95 % interval of the realised rate. None: nothing drawn, or coins are shared."""
    upper: float | None
    inside: bool | None
    """Whether the declared rate lies in the interval."""


class LossFactor(Record, frozen=True, kw_only=True):
    """Whether lost exchanges differ from pairs in one thing."""

    name: str
    """`request_size` (bytes of the body), `production_latency` (microseconds), or `segment:` and its name."""
    lost: int
    """Exchanges behind it, those without a value left out."""
    pairs: int
    lost_median: int | None = None
    """None: a segment, or no values."""
    pairs_median: int | None = None
    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of a segment: lost exchanges and pairs by value."""
    p: float | None
    """Mann-Whitney; for segments Fisher's exact test, or chi-square with more than two values. Adjusted by Holm over
    all factors. None: too few to say."""


class Losses(Record, frozen=True, kw_only=True):
    """Sampled exchanges that are no pair and stand in the log, held against the pairs."""

    states: dict[str, int]
    """How many, by state; every one that is not `paired`."""
    pairs: int
    factors: tuple[LossFactor, ...]
    """Segments over all rows, size and latency over the newest lost ones and pairs of the same time, 20,000 at most."""


class Description(Record, frozen=True, kw_only=True):
    """What a report shows beside the verdict."""

    latency: tuple[LatencySummary, ...]
    agreements: tuple[Agreement, ...]
    disagreements: tuple[Disagreement, ...]
    segments: dict[str, dict[str, int]]
    """Pairs by segment name and value."""
    ledger: tuple[LedgerSide, ...] = ()
    """Both equalities, as of the pinned ledger."""
    sampling: tuple[Sampling, ...] = ()
    """Every stratum that a copy can be of, in the plan's order."""
    losses: Losses | None = None
    noise: tuple[NoiseFloor, ...] = ()
    """By output and cell; empty without a twin."""
