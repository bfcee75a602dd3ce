"""Rehearse: draw the counts that a plan would see, under an equal candidate, the planned one, and planted regressions.

Requests are a Poisson process. In the segment where a regression is planted each cell has its own distribution of D and
`overall` is their sum; the cells of other segments share in what `overall` had. What is drawn are the counts of each
cell, value of D and sampling rate, which is all that a gate reads; who decides on them is not this module's business.

Promises  the same seed gives the same counts; a cell in which a regression is planted has exactly that mean
Assumes   units independent, nothing lost, no truth missing; gates independent of each other
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from gnomon.errors import GnomonError
from gnomon.plan import cells
from gnomon.plan.outlook import Outcomes, expected, kept, units_per_request
from gnomon.plan.traffic import Traffic, mixture, sampled
from gnomon.plan.units import DURATIONS, ONE, show_duration
from gnomon.records import Record
from gnomon.records.plan import OVERALL, Gate, Plan, Test
from gnomon.stats import planning
from gnomon.stats.betting import Claim

LOOKS: Final = 40
"""At most so many looks are made in a trial."""

_HARMS: Final = (2, 3)  # margins
_THOUSANDTHS: Final = 1e-3

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Kind = Literal["equal", "planned", "margin", "worse"]


class Case(Record, frozen=True, kw_only=True):
    """What became of the trials of one kind of candidate: shares of them."""

    name: str
    kind: Kind
    gate: str
    """The gate that is violated; empty: none."""
    cell: str
    promoted: float
    rejected: float
    undecided: float
    """At the end of the last look."""
    median_days: float | None
    """Of the trials that were decided; None: none was."""
    limit: float | None
    """What the wrong decision may happen at most: promotion of a candidate at or over a margin, rejection of an equal
    one. None: neither decision is wrong."""
    holds: bool | None
    """Whether the wrong decision stayed within the limit and three standard errors of the simulation."""


class Rehearsal(Record, frozen=True, kw_only=True):
    """The very plan, on drawn counts."""

    trials: int
    seed: int
    looks: int
    days: float
    """Of request time, to the last look."""
    cases: tuple[Case, ...]
    ended: int
    """Trials that were promoted or rejected, over all cases."""
    confirmed: int
    """Of them: by the decision itself, on evidence. The e-values of the others say the same, as they did of these."""
    left_out: tuple[str, ...]
    """Gates that are not rehearsed, because they are not about counts of one D."""
    notes: tuple[str, ...]

    def error(self, share: float) -> float:
        """One standard error of a share of the trials, at least that of a half trial."""
        near = min(max(share, 0.5 / self.trials), 1 - 0.5 / self.trials)
        return float(np.sqrt(near * (1 - near) / self.trials))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of candidate: the distribution of D of each test, by gate and cell."""

    name: str
    kind: Kind
    truth: dict[tuple[str, str], Outcomes]
    gate: str = ""
    test: Test | None = None


@dataclass(slots=True)
class Drawn:
    """The counts of one gate in many trials, growing look by look."""

    gate: Gate
    values: tuple[int, ...]
    """D in steps of the claim's grid."""
    rates: tuple[int, ...]
    """Sampling probabilities over 2**32, ascending."""
    grid: int
    counts: dict[str, Counts]
    """By cell of a test: shape (trials, rates, values)."""
    _lead: Floats = field(repr=False)
    """Units a day, of shape (cells of the leading segment, rates, values)."""
    _leading: dict[str, int] = field(repr=False)
    """Row of the lead by tested cell."""
    _shared: list[tuple[Floats, dict[str, int]]] = field(repr=False)
    """For each other segment: the shares of its cells at each rate and value, and the column of each tested cell."""

    def advance(self, rng: np.random.Generator, trials: int, days: float) -> None:
        """Let so many days pass in every trial."""
        came = rng.poisson(self._lead * days, size=(trials, *self._lead.shape))
        for cell, row in self._leading.items():
            self._add(cell, came[:, row])
        every = came.sum(axis=1)
        if OVERALL in self.counts:
            self._add(OVERALL, every)
        for shares, columns in self._shared:
            parts = rng.multinomial(every, shares)
            for cell, column in columns.items():
                self._add(cell, parts[..., column])

    def _add(self, cell: str, more: Counts) -> None:
        self.counts[cell] = self.counts[cell] + more


def rehearsed(plan: Plan, claims: Sequence[Claim | None]) -> tuple[Plan, tuple[Claim, ...], tuple[str, ...]]:
    """The plan with the gates that can be rehearsed, their claims, and the ids of the others. Targets block nothing.

    Raises GnomonError when nothing is left.
    """
    gates, kept_claims, out = [], list[Claim](), list[str]()
    place = 0
    for gate in plan.gates:
        mine = [claim for claim in claims[place : place + len(gate.tests)] if claim is not None]
        place += len(gate.tests)
        if len(mine) == len(gate.tests):
            gates.append(gate)
            kept_claims += mine
        else:
            out.append(gate.id)
    if not gates:
        raise GnomonError(
            f"--simulate draws counts, and {', '.join(out)} compares quantiles or two precisions; leave --simulate out"
        )
    return structs.replace(plan, gates=tuple(gates), targets=()), tuple(kept_claims), tuple(out)


def look_days(plan: Plan, horizon: float) -> tuple[float, ...]:
    """When one looks: at the ends of cycles, or more and more rarely up to the horizon (days)."""
    if plan.duration.cycle_us is not None:
        cycle = plan.duration.cycle_us / DURATIONS["d"]
        closed = max(1, int(horizon / cycle + 1e-9))
        ends = sorted({max(1, round(closed * each / LOOKS)) for each in range(1, LOOKS + 1)})
        return tuple(cycle * end for end in ends)
    return tuple(horizon * (each / LOOKS) ** 2 for each in range(1, LOOKS + 1))


def scenarios(plan: Plan, known: Traffic, claims: Sequence[Claim]) -> list[Scenario]:
    """An equal candidate, the planned one, and for each gate three that violate it in its smallest cell.

    They stand at its limit, at two and at three times of it, and are as planned everywhere else.
    """
    every = [(gate, test) for gate in plan.gates for test in gate.tests]
    about = {
        (gate.id, test.cell): _about(claim, known, test) for (gate, test), claim in zip(every, claims, strict=True)
    }
    planned = {place: expected(claim, None) for place, claim in about.items()}
    equal = {place: _moved(claim, _equal(claim), planned[place]) for place, claim in about.items()}
    found = [Scenario("equal to production", "equal", equal), Scenario("as planned", "planned", planned)]
    for gate in plan.gates:
        test = smallest(gate, known)
        claim = about[gate.id, test.cell]
        for times in (1, *_HARMS):
            mean = _worse(gate, claim, times)
            if mean <= claim.bottom * (1 - _THOUSANDTHS):
                continue
            truth = planned | {
                place: _moved(about[place], mean, each)
                for place, each in planned.items()
                if _planted(place, gate, test)
            }
            how = "at the limit" if times == 1 else f"{times} x the limit"
            found.append(
                Scenario(f"{gate.id}, {test.cell}: {how}", "margin" if times == 1 else "worse", truth, gate.id, test)
            )
    return found


def smallest(gate: Gate, known: Traffic) -> Test:
    """The test of a gate with the least traffic, of those that have any."""
    alive = [test for test in gate.tests if known.share(test)]
    return min(alive, key=lambda test: (known.share(test) or 0.0, test.cell))


def draw(plan: Plan, known: Traffic, scenario: Scenario, gate: Gate, claims: dict[str, Claim], trials: int) -> Drawn:
    """The empty counts of one gate, ready to grow. `claims` are by cell."""
    first = next(iter(claims.values()))
    truth = {cell: outcomes for (id_, cell), outcomes in scenario.truth.items() if id_ == gate.id}
    values = sorted({round(value * first.grid) for outcomes in truth.values() for value, p in outcomes if p > 0})
    chances = {cell: _chances(outcomes, values, first.grid) for cell, outcomes in truth.items()}
    segments = list(dict.fromkeys(test.segment for test in gate.tests if test.segment != OVERALL))
    if scenario.gate == gate.id and scenario.test is not None and scenario.test.segment in segments:
        segments.remove(scenario.test.segment)
        segments.insert(0, scenario.test.segment)
    default = chances.get(OVERALL, next(iter(chances.values())))
    rates, joint, names = _joint(plan, known, segments[0] if segments else OVERALL)
    speed = (known.per_day or 0.0) * kept(plan, known) * _thinned(plan, known, gate)
    drawn = joint * np.array(rates) / ONE * speed  # units a day by cell and rate
    lead = drawn[:, :, None] * np.stack([chances.get(name, default) for name in names])[:, None, :]
    whole = lead.sum(axis=0)
    shared = []
    for segment in segments[1:]:
        _, mine, others = _joint(plan, known, segment, rates)
        weight = np.einsum("cr,cv->rvc", mine, np.stack([chances.get(name, default) for name in others]))
        totals = weight.sum(axis=-1, keepdims=True)
        fallback = mine.sum(axis=1) / mine.sum()
        shares = np.where(totals > 0, weight / np.where(totals > 0, totals, 1.0), fallback)
        shared.append((shares, {name: index for index, name in enumerate(others) if name in chances}))
    return Drawn(
        gate=gate,
        values=tuple(values),
        rates=rates,
        grid=first.grid,
        counts={cell: np.zeros((trials, *whole.shape), dtype=np.int64) for cell in chances},
        _lead=lead,
        _leading={name: index for index, name in enumerate(names) if name in chances and name != OVERALL},
        _shared=shared,
    )


def ready(plan: Plan, known: Traffic) -> None:
    """Raise GnomonError when something is unknown without which nothing can be drawn."""
    tested = {test.segment for test in plan.tests}
    for segment in plan.segments:
        if segment.name in tested and segment.top is not None and not segment.values:
            raise GnomonError(
                f"--simulate draws every cell, and the values of {segment.name} are not known yet "
                f"(top: {segment.top}): write values: [...] beside top, or leave --simulate out"
            )
    pilot = ", or --pilot TRIAL" if known.pilot is None else ""  # one that was given did not know it
    if known.per_day is None:
        raise GnomonError(f"--simulate needs to know how much comes: add --rate 5/s{pilot}")
    for test in plan.tests:
        if known.share(test) is None:
            raise GnomonError(
                f"--simulate needs the share of every cell, and that of {test.cell} is not known: add "
                f"--share {test.cell}:20% for each, or --share equal{pilot}"
            )
    for gate in plan.gates:
        if any(units_per_request(plan, known, gate, test) is None for test in gate.tests):
            raise GnomonError(
                f"--simulate needs to know how often {gate.label} occurs, which {gate.id} is about: add "
                f"--share {gate.output}={(gate.label or '').strip(chr(34))}:1%{pilot}"
            )


def _planted(place: tuple[str, str], gate: Gate, test: Test) -> bool:
    """Whether a cell has the planted regression: the test's own, or all where it is planted overall."""
    return place[0] == gate.id and (test.segment == OVERALL or place[1] == test.cell)


def _about(claim: Claim, known: Traffic, test: Test) -> Claim:
    """The claim, expecting what the pilot saw."""
    seen = known.seen(test)
    return claim if seen is None else replace(claim, outcomes=tuple(expected(claim, seen)))


def _equal(claim: Claim) -> float | None:
    """The mean of D of an equal candidate; None: what is expected already is one (a ratio of rates, a rate)."""
    return 0.0 if claim.bottom == -1 and claim.top else None


def _worse(gate: Gate, claim: Claim, times: int) -> float:
    """The mean of D so many margins from production; at 1 it is just not acceptable any more."""
    if gate.ratio is not None:
        rate = sum(p for x, p in claim.outcomes if x > 0)  # production's own, with and without the candidate
        ratio = -1 / claim.bottom
        return rate * (1 - (1 + times * (ratio - 1)) / ratio) if times > 1 else 0.0
    if claim.margin == 0:
        return -(times - 1) * max(abs(claim.difference), claim.disagreement / 4)
    return -times * claim.margin


def _moved(claim: Claim, mean: float | None, otherwise: Outcomes) -> Outcomes:
    found = None if mean is None else planning.moved(claim, mean)
    return otherwise if found is None else found


def _chances(outcomes: Outcomes, values: Sequence[int], grid: int) -> Floats:
    chances = np.zeros(len(values))
    for value, chance in outcomes:
        if chance > 0:
            chances[values.index(round(value * grid))] += chance
    return np.asarray(chances / chances.sum())


def _joint(
    plan: Plan, known: Traffic, segment: str, rates: tuple[int, ...] = ()
) -> tuple[tuple[int, ...], Floats, list[str]]:
    """Shares of the requests by cell of a segment and sampling rate, the rates, and the cells' names."""
    declared = next((each for each in plan.segments if each.name == segment), None)
    places = [cells.ALL] if declared is None else list(cells.cells_of(declared))
    names = [cells.name_of(place) for place in places]
    lowest = min(plan.fork.rates.values())
    mixes = [mixture(plan, known, *place) or [(lowest, 1.0)] for place in places]
    found = rates or tuple(sorted({rate for mix in mixes for rate, _ in mix}))
    joint = np.zeros((len(places), len(found)))
    for row, (name, mix) in enumerate(zip(names, mixes, strict=True)):
        share = 1.0 if declared is None else known.shares.get(name, 0.0)
        for rate, part in mix:
            if rate in found:
                joint[row, found.index(rate)] += share * part
    return found, joint / max(joint.sum(), 1e-12), names


def _thinned(plan: Plan, known: Traffic, gate: Gate) -> float:
    """Units for each sampled exchange."""
    test = gate.tests[0]
    return (units_per_request(plan, known, gate, test) or 0.0) / sampled(plan, known, test.segment, test.value)


def notes(plan: Plan, known: Traffic, left_out: Sequence[str], *, alpha: float) -> list[str]:
    """What the rehearsal is, and what it is not."""
    wrong = "Wrong are promotions of a candidate at or beyond a limit, and rejections of an equal one"
    found = [f"{wrong}: at most {100 * alpha:g} % each, whatever is expected."]
    if plan.truth is not None and any(gate.needs_truth for gate in plan.gates):
        late = show_duration(plan.truth.expected_within_us)
        found.append(f"Medians are request time of the trials that ended; truth takes up to {late} more.")
    if left_out:
        found.append(f"Left out, as no counts of one D are behind them: {', '.join(left_out)}.")
    if mixture(plan, known, OVERALL, "") is None:
        found.append("All requests are drawn at the lowest rate, as the shares of the strata are not known.")
    if len(plan.gates) > 1:
        found.append("Gates are drawn independently of each other; nothing is lost and no truth is missing.")
    return found
