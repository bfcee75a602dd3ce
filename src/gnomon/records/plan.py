"""The plan as the program uses it: units parsed, names resolved, every test enumerated."""

from typing import Literal

from gnomon.records import Record

ArmName = Literal["production", "candidate"]
Where = Literal["body", "header", "query", "path", "input", "output", "parameter"]
GateKind = Literal[
    "accuracy", "agreement", "share", "error_rate", "latency", "recall", "precision", "loss", "numeric", "field",
    "refusal_rate", "cost", "custom",
]  # fmt: skip
GateForm = Literal["no_worse_than", "better_than", "at_least", "at_most", "not_above", "not_below"]
"""`within` is two gates, `not_above` and `not_below`: two one-sided claims."""
TRUTH_KINDS = frozenset({"accuracy", "recall", "precision", "loss", "numeric", "field"})
"""Gates that look at ground truth."""

OVERALL = "overall"
"""The name of the cell that holds every unit; a segment's cell is named ``segment=value``."""

OTHER = "other"
MISSING = "missing"
BELOW = "below"
ALL = "all"
"""The stratum of a plan without strata."""
OTHERWISE = "otherwise"
"""The stratum of what no declared value names."""


class Selector(Record, frozen=True, kw_only=True):
    """Where a value stands in a request or an answer: ``body:/label``, ``header:x-country``, ``output:predict``."""

    where: Where
    name: str
    """A JSON pointer (RFC 6901) for ``body``, a lower-case header name, a query key, a tensor or parameter name."""

    def __str__(self) -> str:
        return f"{self.where}:{self.name}"


class Rewrite(Record, frozen=True, kw_only=True):
    """What a request looks like when it goes to the candidate, where that differs from what the client sent."""

    paths: tuple[tuple[str, str], ...] = ()
    """A request's path, and the path that the candidate gets; the query stays."""
    headers: tuple[tuple[str, str], ...] = ()
    """Lower-case name and value: set in place of the client's."""
    body: tuple[tuple[str, str], ...] = ()
    """JSON pointer (RFC 6901) and the JSON text of the value that is put there. `promote` refuses it (fork.md, 20)."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.headers or self.body)


class Identity(Record, frozen=True, kw_only=True):
    """Where a model says which model it is: the answer to a GET, or one header of it."""

    path: str
    header: str | None = None
    """Lower-case; None: the body is read."""


class Arm(Record, frozen=True, kw_only=True):
    """One of the two models and where it is reached."""

    version: str
    url: str
    timeout_us: int | None = None
    """Total time limit of one call; None: as long as production takes."""
    authorization_env: str | None = None
    """Name of the environment variable with this arm's own Authorization header (the user's is never captured)."""
    identity: Identity | None = None
    """None: a model that is exchanged behind its address is not noticed."""
    rewrite: Rewrite = Rewrite()
    """The candidate's alone."""
    capacity_ppm: int | None = None
    """The candidate's declared capacity as a share of production's: the load statement of a latency ratio."""


class Route(Record, frozen=True, kw_only=True):
    """A method and a path that are shadowed. Everything else passes."""

    method: str
    path: str
    repeatable: bool = False
    """Production may get a request once more, when a kept connection closed before any byte of the answer."""


class Strata(Record, frozen=True, kw_only=True):
    """Sampling classes: the text of a value in the request decides which rate its coin is held against."""

    by: Selector
    """In the path, the query, a header or the body (up to 64 KiB, as it came: a compressed body has no value)."""
    rates: tuple[tuple[str, int], ...]
    """Value and probability over 2**32; the value is the stratum's name."""
    otherwise: int
    """Of every other value, and of none: stratum `otherwise`."""


class Fork(Record, frozen=True, kw_only=True):
    """How requests are copied."""

    mode: Literal["sync", "async"]
    shadow_rate: int
    """Probability over 2**32, where there are no strata."""
    expires_after_us: int
    """A copy that has waited this long for the candidate is not called any more: it is ``expired``, a lost pair."""
    in_flight: int
    per_second: int | None
    strata: Strata | None = None
    sticky: Selector | None = None
    """Requests with the same value share one coin; None, or no value: each has its own."""
    headers: tuple[str, ...] = ()
    """Lower-case names of further headers that a copy carries, to the candidate and into the log."""
    twin: int = 0
    """Probability over 2**32 that a copy goes to production a second time; 0: there is no twin."""

    @property
    def rates(self) -> dict[str, int]:
        """Probability over 2**32 by stratum: every one that a copy can be of."""
        if self.strata is None:
            return {ALL: self.shadow_rate}
        return {**dict(self.strata.rates), OTHERWISE: self.strata.otherwise}


class Guards(Record, frozen=True, kw_only=True):
    """What a request must not hold to be shadowed honestly: something else than null, false or emptiness there."""

    context: tuple[Selector, ...] = ()
    """What it leans on is held by production alone: `guarded:context`."""
    side_effects: tuple[Selector, ...] = ()
    """It would be carried out twice: `guarded:side_effects`."""


class Redaction(Record, frozen=True, kw_only=True):
    """What the log never holds. Applies to requests and to both arms' answers."""

    drop: tuple[Selector, ...] = ()
    """`body:` (a JSON pointer in which `*` stands for every member or element), `header:` or `query:`."""
    mask: tuple[Selector, ...] = ()
    """Replaced by `***`."""
    digest: tuple[Selector, ...] = ()
    """Replaced by a digest keyed with a secret of the data folder: equal values stay equal."""
    keep_bodies_us: int | None = None
    """Bodies are removed from the log after this time; None: never."""


class Segment(Record, frozen=True, kw_only=True):
    """A declared way to divide the requests. The value comes from the request alone."""

    name: str
    of: Selector
    values: tuple[str, ...] = ()
    """Declared values; every other value is ``other``, none is ``missing``."""
    edges: tuple[float, ...] = ()
    """Bin edges: [e0, e1), [e1, e2), ..., [ek, inf); under e0 is ``below``."""
    top: int | None = None
    """`values` are (or are to become, while they are empty) the so many most frequent ones."""
    learn: int = 0
    """Requests whose values are looked at before any is shadowed, to find the `top`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every declared value's name, without ``other``, ``missing`` and ``below``; none before `top` is resolved."""
        if self.values or not self.edges:
            return self.values
        shown = [f"{edge:g}" for edge in self.edges]
        return tuple(f"{low}-{high}" for low, high in zip(shown, [*shown[1:], "inf"], strict=True))


class Output(Record, frozen=True, kw_only=True):
    """A named value in both answers and how two of them are compared."""

    name: str
    of: Selector
    compare: str
    """The comparator's name: ``exact``, ``number`` or ``json_fields``, or an installed plugin's."""
    tolerance: float = 0.0
    """Absolute; for ``number`` and for numbers inside ``json_fields``."""
    ignore: tuple[str, ...] = ()
    """JSON pointers that ``json_fields`` leaves out."""


class Available(Record, frozen=True, kw_only=True):
    """Truth exists only where production said one of these: the estimand of truth gates is restricted to it."""

    output: str
    values: tuple[str, ...]
    """Canonical JSON texts of production's values."""


class Truth(Record, frozen=True, kw_only=True):
    """How ground truth finds its request, and how long it may take."""

    key: Selector | None
    """None: truth names the exchange id."""
    expected_within_us: int
    policy: Literal["first", "last", "error"] = "first"
    """Which of contradicting truths counts; `error`: an import that contradicts is refused."""
    covers: Literal["all", "disagreements"] = "all"
    """What gets a truth. Recall and precision need one on agreements too."""
    available: tuple[Available, ...] = ()
    """All must hold; empty: truth may come for everything."""


class Unit(Record, frozen=True, kw_only=True):
    """What counts once. None: each exchange, by explicit assertion or because nothing was said."""

    cluster: Selector | None = None
    closes_after_us: int = 0
    """A cluster is closed when none of its requests came for this long; later ones are not counted."""
    independent: bool = False
    instances: Selector | None = None
    """The batch in a request: each element is an instance, and the exchange's instances are averaged into one unit."""

    @property
    def alone(self) -> bool:
        """Whether each row of the log is a unit of its own."""
        return self.cluster is None and self.instances is None


class Custom(Record, frozen=True, kw_only=True):
    """A function of a user's that maps a pair to a number in [-1, 1], positive where the candidate is better."""

    function: str
    """``module:function``, or the name of an entry point of `gnomon.gates`."""
    digest: str
    """SHA-256 of its source file, 64 hex digits: it stands in the plan, so it is sealed."""


class Test(Record, frozen=True, kw_only=True):
    """One gate in one cell: the smallest thing that passes or fails."""

    gate: str
    """The gate's id, unique in the plan."""
    segment: str
    """``overall`` or the segment's name."""
    value: str
    """The segment's value; empty for ``overall``."""
    margin_ppm: int
    """delta: the null is mean D <= -delta (promote) and mean D >= -delta (reject); D is defined by the gate's kind."""
    disagreement_ppm: int
    """Expected P(D != 0); tunes the bets, cannot weaken them."""
    difference_ppm: int
    """Expected mean of D."""
    min_units: int
    """Settled units below which this test is inconclusive."""
    n_max: int | None = None
    """Hybrid: the sealed number of units at which one Tango test at alpha/2 is made; None: the e-process alone."""

    @property
    def cell(self) -> str:
        """``overall`` or ``segment=value``."""
        return self.segment if self.segment == OVERALL else f"{self.segment}={self.value}"


class Gate(Record, frozen=True, kw_only=True):
    """A criterion. Every test of every hard gate must pass; targets are gates that are reported and block nothing."""

    id: str
    kind: GateKind
    form: GateForm
    output: str | None
    """The output that it looks at; None: it looks at none, or at several."""
    quantile_ppm: int | None
    limit_us: int | None
    """For latency: P(candidate's latency > limit) must be below 1 - quantile."""
    sentence: str
    """The criterion in plain words, for people."""
    tests: tuple[Test, ...]
    ratio: tuple[int, int] | None = None
    """Numerator and denominator in lowest terms, at least 1: latency `at_most: 1.2 x production`, error rate
    `margin: 1.5 x production`."""
    label: str | None = None
    """The named output of share, recall, precision and refusal rate: canonical JSON text."""
    costs: tuple[tuple[str, str, int], ...] = ()
    """Loss: truth's text, answer's text, and the cost in parts per million of the largest one."""
    cost_otherwise_ppm: int = 1_000_000
    """Loss: of a wrong answer that `costs` does not name. A right one costs 0 if not named, a failed arm the most."""
    scale: tuple[float, float] | None = None
    """Numeric and cost: the sealed bounds; what is outside is clipped."""
    limit: float | None = None
    """Cost and numeric `at_most`: in the unit of the output."""
    outputs: tuple[str, ...] = ()
    """Field: the outputs that make up one document."""
    custom: Custom | None = None
    against_twin: bool = False
    """Agreement `no_worse_than: production`: against how often production agrees with its own twin; a unit is an
    exchange whose twin was drawn."""
    steps: int = 1
    """D of one exchange is counted in steps of 1/(GRID * steps), GRID being that of `records.evidence`: for an error
    ratio the numerator, for fields their number, so that D is exact."""

    @property
    def needs_truth(self) -> bool:
        return self.kind in TRUTH_KINDS

    @property
    def top(self) -> int:
        """The largest D there can be: 0 where the candidate alone is measured, and D falls with each bad outcome."""
        alone = self.kind in {"agreement", "latency", "precision"} or self.form == "at_most"
        return 0 if alone and not self.against_twin else 1

    def bottom(self, grid: int) -> int:
        """The smallest D there can be, in steps of 1/grid: -1, but for a ratio of error rates."""
        num, den = self.ratio if self.kind == "error_rate" and self.ratio is not None else (1, 1)
        return -(den * grid // num)


class Duration(Record, frozen=True, kw_only=True):
    at_least_us: int = 0
    cycle_us: int | None = None
    """A whole period of traffic; promotion is decided only on closed ones."""
    deadline_us: int | None = None


class Plan(Record, frozen=True, kw_only=True):
    """What was declared before the first request."""

    trial: str
    question: str
    production: Arm
    candidate: Arm
    protocol: str
    routes: tuple[Route, ...]
    fork: Fork
    segments: tuple[Segment, ...]
    outputs: tuple[Output, ...]
    truth: Truth | None
    unit: Unit
    gates: tuple[Gate, ...]
    duration: Duration
    lost_ppm: int
    """A larger share of lost pairs in any cell makes the trial invalid."""
    start_lag_us: int = 1_000_000
    """Load match: no latency ratio holds when the candidate starts later than this after production in 1 % of pairs."""
    probes_required: bool = False
    """Nothing is promoted before known answers went through the real path into the log."""
    alpha_ppm: int
    guards: Guards = Guards()
    record: Redaction = Redaction()
    targets: tuple[Gate, ...] = ()
    """Soft: tested after the gates with Holm's correction, reported, never blocking."""
    cost_per_day: str | None = None
    """What shadowing adds in inference cost, in the plan's own words (suitability)."""

    @property
    def tests(self) -> tuple[Test, ...]:
        """Every test of every hard gate, in the plan's order."""
        return tuple(test for gate in self.gates for test in gate.tests)

    @property
    def judged(self) -> tuple[Gate, ...]:
        """Gates, then targets: what evidence is gathered for, in its order."""
        return (*self.gates, *self.targets)

    @property
    def customs(self) -> tuple[Gate, ...]:
        """The custom ones of `judged`: the number of one in here names its column in the log."""
        return tuple(gate for gate in self.judged if gate.custom is not None)
