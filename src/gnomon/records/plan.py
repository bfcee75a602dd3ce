"""The plan as the program uses it: units parsed, names resolved, every test enumerated."""

from typing import Literal

from gnomon.records import Record

ArmName = Literal["production", "candidate"]
Where = Literal["body", "header", "query", "path", "input", "output", "parameter"]
GateKind = Literal["accuracy", "agreement", "error_rate", "latency"]
GateForm = Literal["no_worse_than", "better_than", "at_least", "at_most"]

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

    @property
    def labels(self) -> tuple[str, ...]:
        """Every declared value's name, without ``other``, ``missing`` and ``below``."""
        if self.values:
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


class Truth(Record, frozen=True, kw_only=True):
    """How ground truth finds its request, and how long it may take."""

    key: Selector | None
    """None: truth names the exchange id."""
    expected_within_us: int


class Unit(Record, frozen=True, kw_only=True):
    """What counts once. None: each exchange, by explicit assertion or because nothing was said."""

    cluster: Selector | None = None
    closes_after_us: int = 0
    """A cluster is closed when none of its requests came for this long; later ones are not counted."""
    independent: bool = False


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

    @property
    def cell(self) -> str:
        """``overall`` or ``segment=value``."""
        return self.segment if self.segment == OVERALL else f"{self.segment}={self.value}"


class Gate(Record, frozen=True, kw_only=True):
    """A hard criterion. Every one of its tests must pass."""

    id: str
    kind: GateKind
    form: GateForm
    output: str | None
    """The output that accuracy and agreement look at."""
    quantile_ppm: int | None
    limit_us: int | None
    """For latency: P(candidate's latency > limit) must be below 1 - quantile."""
    sentence: str
    """The criterion in plain words, for people."""
    tests: tuple[Test, ...]


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
    alpha_ppm: int
    guards: Guards = Guards()
    record: Redaction = Redaction()

    @property
    def tests(self) -> tuple[Test, ...]:
        """Every test of every gate, in the plan's order."""
        return tuple(test for gate in self.gates for test in gate.tests)
