"""The planner's table as records."""

from gnomon.plan.outlook import Counts
from gnomon.records import Record

Three = tuple[float | None, float | None, float | None]
"""For each of POWERS; None: never."""


class Sized(Record, frozen=True, kw_only=True):
    """What one test takes, for 50, 80 and 90 % power of promotion. None in a place: never; in place of all: unknown."""

    gate: str
    cell: str
    soft: bool
    """A target: it blocks nothing."""
    share: float | None
    """Of the requests that fall into the cell; None: unknown."""
    per_day: float | None
    """Units a day; None: unknown."""
    units: Counts
    """Settled units, `samples` included."""
    requests: Counts | None
    """Requests of the cell that bring so many units; None: how many become units is unknown."""
    labels: Counts | None
    """Truths that are needed for them; None: no truth is needed."""
    days: Three | None
    """To the decision: whole cycles, the least duration and the wait for truth included; None: unknown."""
    sampling: Three | None
    """Days until the last request that counts; None: unknown."""
    share_needed: float | None
    """The share of the traffic that the cell must have for 80 % by the deadline, where its share is unknown."""
    finds: float | None
    """The mean of D of the smallest harm that is rejected with 80 % by then (below minus the margin); None: none, or
    not known."""
    catches_all: bool
    """`other`, `missing`, `below`: no obstacle as long as no request falls there."""
    state: str
    """`reached`, `late` (not by the deadline with 80 %), `never`, `empty` (no traffic), or `unknown`."""
    approximate: bool = False
    """The forecast of this kind of gate is rougher than the others."""


class Load(Record, frozen=True, kw_only=True):
    """What shadowing adds a day. None: the traffic is unknown."""

    context: str
    side_effects: str
    candidate_calls: float | None
    twin_calls: float | None
    cost_per_day: str | None
    """As the plan declares it."""
    priced: float | None
    """By the price of a call."""


class Sizing(Record, frozen=True, kw_only=True):
    """The planner's table and what is said under it."""

    trial: str
    requests_per_day: float | None
    deadline_days: float | None
    horizon_days: float | None
    """When `finds` is meant: the deadline, or the 80 % of all tests together."""
    wait_days: float
    """For truth, after the last request."""
    tests: tuple[Sized, ...]
    together: Three | None
    """Days for all hard tests together; None: unknown."""
    each_power: float
    """What each of the hard tests needs, for 80 % together."""
    load: Load
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    reachable: bool
    """False: no hard test can be reached by the deadline."""
