"""Traffic: how much comes and of what, as the person who plans says it or as an earlier trial's log shows it.

Promises  nothing is assumed silently: what nobody said stays unknown, and is shown as what would be needed
"""

import difflib
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import field

from gnomon.errors import GnomonError
from gnomon.plan import cells
from gnomon.plan.units import ONE, PPM, UnitError, share_ppm, show_share
from gnomon.records import Record
from gnomon.records.evidence import Histogram
from gnomon.records.plan import OTHER, OTHERWISE, OVERALL, Plan, Segment, Test

EQUAL: Final = "equal"
"""The share that is asserted of every value that has none yet: each the same part of what is left."""

STRATUM: Final = "stratum"
"""What stands before the name of a stratum in a share, as a segment's name does before its value."""

_RATE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kM]?)\s*/\s*([a-z]+)", re.ASCII)
_PER_DAY: Final = {
    **dict.fromkeys(("s", "sec", "second"), 86_400),
    **dict.fromkeys(("m", "min", "minute"), 1_440),
    **dict.fromkeys(("h", "hour"), 24),
    **dict.fromkeys(("d", "day"), 1),
}
_MANY: Final = {"": 1, "k": 1_000, "M": 1_000_000}
_MOST: Final = 1e12  # a day


class Seen(Record, frozen=True, kw_only=True):
    """What a pilot's log holds for one test."""

    units: int
    """Settled units."""
    sampled: int
    """Sampled exchanges of the cell."""
    histogram: Histogram
    """D of the units, the unknown taken as worst for the candidate."""
    grid: int
    flagged: int | None = None
    """Share: pairs in which one of the arms said the named value; recall and precision: units. None: not known."""
    sigma: float | None = None
    """Latency ratio: standard deviation of the logarithm, from the quantile and the median."""


class Pilot(Record, frozen=True, kw_only=True):
    """What an earlier trial's log says about the traffic, in the cells and gates of the plan that is checked."""

    trial: str
    days: float
    """Of request time, from the first to the last row."""
    per_day: float
    """Requests that the coins were tossed for."""
    shares: dict[str, float]
    """By cell: the share of the requests, weighted by sampling rate."""
    strata: dict[str, float] = field(default_factory=dict)
    """By stratum; empty: the strata of the two plans are not the same."""
    tests: dict[str, Seen] = field(default_factory=dict)
    """By gate and cell, as `key` has it."""
    notes: tuple[str, ...] = ()
    """What the pilot cannot say, and why."""


class Traffic(Record, frozen=True, kw_only=True):
    """Everything that is known; what is not there is unknown."""

    per_day: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    """By cell of a segment."""
    classes: dict[tuple[str, str], float] = field(default_factory=dict)
    """By output and canonical JSON text: the share of the requests of which the truth is so."""
    strata: dict[str, float] = field(default_factory=dict)
    pilot: Pilot | None = None

    def share(self, test: Test) -> float | None:
        """The share of the requests that fall into the test's cell; None: unknown."""
        return 1.0 if test.segment == OVERALL else self.shares.get(test.cell)

    def looked(self, test: Test) -> Seen | None:
        """What the pilot's log holds of this test, if anything was looked at."""
        return self.pilot.tests.get(key(test)) if self.pilot else None

    def seen(self, test: Test) -> Seen | None:
        """The same, if there is a unit."""
        found = self.looked(test)
        return found if found is not None and found.units else None


def key(test: Test) -> str:
    """A test's name: ``accuracy country=DE``."""
    return f"{test.gate} {test.cell}"


def rate(text: str) -> float:
    """``5/s``, ``300/min``, ``1000/h`` or ``20k/d`` as requests a day.

    Raises GnomonError.
    """
    do = "write a number and a time, such as --rate 5/s, 300/min, 1000/h or 20k/d"
    match = _RATE.fullmatch(text.strip()) if len(text) < 40 else None
    if match is None or match[3] not in _PER_DAY:
        raise GnomonError(f"--rate is not a rate of requests: found {text!r}; {do}")
    found = float(Decimal(match[1]) * _MANY[match[2]] * _PER_DAY[match[3]])
    if not 0 < found <= _MOST:
        raise GnomonError(f"--rate must be above 0 and at most a million million a day: found {text!r}; {do}")
    return found


def traffic(plan: Plan, *, per_day: float | None, shares: Sequence[str] = (), pilot: Pilot | None = None) -> Traffic:
    """What is said, over what the pilot saw.

    `shares` are texts such as ``country=DE:20%`` (a segment's value), ``label=fraud:1%`` (an output's true value),
    ``stratum=BR:5%`` and ``equal``. Raises GnomonError with the first that does not fit.
    """
    by_cell = dict(pilot.shares) if pilot else {}
    said: dict[str, float] = {}
    classes: dict[tuple[str, str], float] = {}
    strata = dict(pilot.strata) if pilot else {}
    named: dict[str, float] = {}
    for text in shares:
        if text.strip() == EQUAL:
            continue
        name, value, share = _split(text)
        segment = next((each for each in plan.segments if each.name == name), None)
        if segment is not None:
            said[f"{name}={_known(text, value, [v for _, v in cells.cells_of(segment)])}"] = share
        elif name in {output.name for output in plan.outputs}:
            classes[name, _class(text, name, value, plan)] = share
        elif name == STRATUM and plan.fork.strata is not None:
            named[_known(text, value, list(plan.fork.rates))] = share
        else:
            raise _nothing(text, name, plan)
    for segment in plan.segments:
        mine = {cell: share for cell, share in said.items() if cell.partition("=")[0] == segment.name}
        if mine:  # what is said of a segment replaces what the pilot saw of it
            by_cell = {cell: each for cell, each in by_cell.items() if cell.partition("=")[0] != segment.name} | mine
        _complete(segment, by_cell, equal=any(text.strip() == EQUAL for text in shares))
    if named:
        strata = _whole(STRATUM, named, list(plan.fork.rates))
    elif plan.fork.strata is not None and not strata:
        strata = _derived(plan, by_cell)
    return Traffic(
        per_day=per_day if per_day is not None else (pilot.per_day if pilot else None),
        shares=by_cell,
        classes=classes,
        strata=strata,
        pilot=pilot,
    )


def mixture(plan: Plan, known: Traffic, segment: str, value: str) -> list[tuple[int, float]] | None:
    """(probability over 2**32, share of the cell's requests that are sampled so); None: which strata is unknown."""
    rates = plan.fork.rates
    if len(set(rates.values())) == 1:
        return [(next(iter(rates.values())), 1.0)]
    stratum = _stratum_of(plan, segment, value)
    if stratum is not None:
        return [(rates[stratum], 1.0)]
    if not known.strata:
        return None
    # of a segment that the strata are not made of, every cell is taken to hold the strata as the traffic does
    shares: dict[int, float] = {}
    for name, share in known.strata.items():
        shares[rates[name]] = shares.get(rates[name], 0.0) + share
    return sorted((probability, share) for probability, share in shares.items() if share > 0)


def sampled(plan: Plan, known: Traffic, segment: str, value: str) -> float:
    """The share of a cell's requests that is sampled; at the lowest rate, where their strata are unknown."""
    mix = mixture(plan, known, segment, value)
    return min(plan.fork.rates.values()) / ONE if mix is None else mean_rate(mix)


def mean_rate(mix: Sequence[tuple[int, float]]) -> float:
    """The share of the requests that is sampled."""
    return sum(probability / ONE * share for probability, share in mix)


def _stratum_of(plan: Plan, segment: str, value: str) -> str | None:
    """The stratum that all requests of a cell are of, where segment and strata look at the same place."""
    declared = next((each for each in plan.segments if each.name == segment), None)
    strata = plan.fork.strata
    if declared is None or strata is None or declared.of != strata.by or not declared.values:
        return None
    if value in dict(strata.rates):
        return value
    outside = set(dict(strata.rates)) - set(declared.values)
    return None if value == OTHER and outside else OTHERWISE


def _derived(plan: Plan, by_cell: dict[str, float]) -> dict[str, float]:
    """The strata's shares, where a segment of the same place has them all."""
    for segment in plan.segments:
        places = cells.cells_of(segment)
        shares = {value: by_cell.get(f"{segment.name}={value}") for _, value in places}
        found: dict[str, float] = {}
        for value, share in shares.items():
            stratum = _stratum_of(plan, segment.name, value)
            if share is None or (stratum is None and share > 0):
                break
            if stratum is not None:
                found[stratum] = found.get(stratum, 0.0) + share
        else:
            return found
    return {}


def _complete(segment: Segment, by_cell: dict[str, float], *, equal: bool) -> None:
    """Fill in what follows: nothing is left for the others, or all of what is left is `other`'s."""
    if not segment.labels:  # its values are still to be found
        return
    places = [f"{segment.name}={value}" for _, value in cells.cells_of(segment)]
    declared = [f"{segment.name}={label}" for label in segment.labels]
    total = sum(by_cell.get(cell, 0.0) for cell in places)
    if total > 1 + 1e-9:
        raise GnomonError(
            f"the shares of {segment.name} are {show_share(round(total * PPM))} together; they cannot be over 100%"
        )
    open_ = [cell for cell in declared if cell not in by_cell]
    if open_ and equal:
        by_cell |= dict.fromkeys(open_, (1 - total) / len(open_))
        open_, total = [], 1.0
    if open_:
        return
    rest = max(0.0, 1 - total)
    for cell in places:
        takes = rest if cell == f"{segment.name}={OTHER}" and rest > 1e-9 else 0.0
        by_cell.setdefault(cell, takes)


def _whole(name: str, shares: dict[str, float], every: Sequence[str]) -> dict[str, float]:
    """Shares that add up to 1, what is left being `otherwise`."""
    total = sum(shares.values())
    missing = [each for each in every if each not in shares and each != OTHERWISE]
    if total > 1 + 1e-9:
        raise GnomonError(f"the shares of {name} are {show_share(round(total * PPM))} together; 100% is all there is")
    if missing:
        raise GnomonError(
            f"--share has no {name}={missing[0]}; give all of them, or none: --share {name}={missing[0]}:5%"
        )
    return {**shares, OTHERWISE: shares.get(OTHERWISE, 1 - total)}


def _split(text: str) -> tuple[str, str, float]:
    do = "write NAME=VALUE:SHARE, such as --share country=DE:20%, or --share equal"
    place, colon, amount = text.rpartition(":")
    name, equals, value = place.partition("=")
    if not (colon and equals and name.strip() and value.strip()):
        raise GnomonError(f"--share is not a share of a cell: found {text!r}; {do}")
    try:
        ppm = share_ppm(amount.strip()) if amount.strip()[-1:] == "%" else share_ppm(float(amount))
    except UnitError as error:
        raise GnomonError(f"--share {text}: {amount.strip()!r} {error.found}; {do}") from None
    except ValueError:
        raise GnomonError(f"--share {text}: {amount.strip()!r} is not a share; {do}") from None
    if ppm < 0:
        raise GnomonError(f"--share {text} is negative; {do}")
    return name.strip(), value.strip(), ppm / PPM


def _known(text: str, value: str, values: Sequence[str]) -> str:
    if value in values:
        return value
    near = difflib.get_close_matches(value, values, n=1)
    do = f"did you mean {near[0]}?" if near else f"declared are {', '.join(values[:12])}"
    raise GnomonError(f"--share {text}: {value!r} is not declared in the plan; {do}")


def _class(text: str, output: str, value: str, plan: Plan) -> str:
    """The class that a gate names, with or without JSON's quotes."""
    labels = [gate.label for gate in plan.judged if gate.label is not None and gate.output in {None, output}]
    for label in labels:
        if value in {label, label.strip('"')}:
            return label
    named = f"gates name {', '.join(dict.fromkeys(labels))}" if labels else "no gate names a value of it"
    raise GnomonError(f"--share {text}: no gate looks at {output} being {value!r}; {named}")


def _nothing(text: str, name: str, plan: Plan) -> GnomonError:
    names = [*(segment.name for segment in plan.segments), *(output.name for output in plan.outputs)]
    names += [STRATUM] if plan.fork.strata is not None else []
    near = difflib.get_close_matches(name, names, n=1)
    do = f"did you mean {near[0]}?" if near else f"declared are {', '.join(names) or 'no segments'}"
    return GnomonError(f"--share {text}: {name!r} is no segment and no output of the plan; {do}")
