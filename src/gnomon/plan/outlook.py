"""Outlook: when one test is shown, and what harm it finds, in its own units.

The evidence of a test is about a random walk; `gnomon.stats.planning` says when it reaches its threshold. The truth is
what the plan expects or what a pilot saw, the stakes are the plan's in either case. Nothing here moves a decision: a
wrong forecast costs time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from scipy import special

from gnomon.plan.traffic import Seen, Traffic, mean_rate, mixture, sampled
from gnomon.plan.units import ONE, PPM
from gnomon.records.plan import OVERALL, Gate, Plan, Test
from gnomon.stats import paired, planning
from gnomon.stats.betting import Claim, planned_outcomes

POWERS: Final = (0.5, 0.8, 0.9)
"""Chances of a promotion that the table shows."""

SIGMA: Final = 0.6
"""Standard deviation of the logarithm of a latency, where no pilot measured it."""

_UNPLANNED: Final = 1.85  # nats that a mixture without a plan costs (statistics of the first passage)
_OFF: Final = math.log(2) ** 2 / (2 * 0.7**2)  # and stakes that are twice what would be best, on top

_CURVE: Final = (0.05, 0.2, 0.5, 0.8, 0.9, 0.97)

Outcomes = Sequence[tuple[float, float]]
"""The distribution of D as (value, probability)."""
Counts = tuple[int | None, int | None, int | None]
"""For each of POWERS; None: never."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When one test is shown, in its own units."""

    test: Test
    shown: Callable[[float], float]
    """Probability that promotion was shown by so many units."""
    units: Counts
    per_request: float | None
    """Units for each request of the cell; None: unknown."""
    per_day: float | None
    """Units a day."""
    labels_each: float | None
    """Labels for each unit; None: no truth."""
    found: Callable[[float], float | None]
    """The smallest harm that so many units find."""
    approximate: bool = False
    fixed: Counts | None = None
    """Hybrid: units with which the one test at the deadline passes; None: there is none."""


def forecast(
    plan: Plan, known: Traffic, gate: Gate, test: Test, claim: Claim | None, *, tests: int, family: int = 1
) -> Forecast:
    """When promotion of one test is shown, and what harm it finds.

    `tests` is the number of those that may reject, `family` that of the targets that Holm's correction tests together.
    """
    seen = known.seen(test)
    per_request = units_per_request(plan, known, gate, test)
    share = known.share(test)
    per_day = None
    if known.per_day is not None and share is not None and per_request is not None:
        per_day = known.per_day * share * per_request * kept(plan, known)
    alpha = plan.alpha_ppm / PPM
    if claim is None:
        curve = _ratio(gate, seen, alpha) if gate.kind == "latency" else _precision(test, seen, alpha)
        return Forecast(
            test=test,
            shown=lambda units: _interpolated(curve, units),
            units=_with_samples(test, tuple(dict(curve)[power] for power in POWERS)),
            per_request=per_request,
            per_day=per_day,
            labels_each=1.0 if gate.needs_truth else None,
            found=lambda _units: None,
            approximate=True,
        )
    threshold = (2 if test.n_max else family) / alpha
    true = expected(claim, seen)
    drawn = weighted(plan, known, test, claim, true)
    found = _harm(plan, known, test, claim, seen, tests / alpha)
    return Forecast(
        test=test,
        shown=lambda units: planning.promotion_probability(units, claim, drawn, threshold),
        units=_with_samples(test, planning.promotion_units(claim, drawn, threshold, POWERS)),
        per_request=per_request,
        per_day=per_day,
        labels_each=_labels_each(gate, true, plan, known, test),
        found=found,
        fixed=_fixed(test, claim, true, alpha / 2),
    )


def _fixed(test: Test, claim: Claim, true: Outcomes, alpha: float) -> Counts | None:
    """Units for the one test of a hybrid gate: Nam's size of a difference, the normal approximation for a rate."""
    if test.n_max is None:
        return None
    mean = sum(value * chance for value, chance in true)
    moved = sum(chance for value, chance in true if value)
    if mean <= -claim.margin:
        return None, None, None
    if claim.top == 0:
        spread = math.sqrt(claim.margin * (1 - claim.margin)), math.sqrt(-mean * (1 + mean))
        z = -float(special.ndtri(alpha))
        sizes = [((z * spread[0] + float(special.ndtri(p)) * spread[1]) / (claim.margin + mean)) ** 2 for p in POWERS]
        return _with_samples(test, [max(size, test.n_max) for size in sizes])
    sizes = [paired.nam_sample_size(moved, mean, claim.margin, alpha, power) for power in POWERS]
    return _with_samples(test, [max(size, test.n_max) for size in sizes])


def expected(claim: Claim, seen: Seen | None) -> Outcomes:
    """The distribution of D that is expected of one unit, as (value, probability).

    The plan's, or with a pilot the pilot's disagreement and the plan's difference: the next candidate is not the last
    one, but moves about as much. A rate of bad outcomes is the pilot's.
    """
    if seen is None:
        return planned_outcomes(claim)
    units = sum(count for _, count in seen.histogram)
    values = [(value / seen.grid, count) for value, count in seen.histogram]
    if claim.top == 0:
        bad = [(value, count / (units + 1)) for value, count in values if value < 0]
        return [*bad, (claim.bottom, 0.5 / (units + 1)), (0.0, 1 - sum(p for _, p in bad) - 0.5 / (units + 1))]
    if claim.bottom != -1:  # an error ratio: equal rates, and as many joint failures as the pilot had
        joint_at = 1 + claim.bottom
        joint = sum(count for value, count in values if abs(value - joint_at) < 1e-9) / (units + 1)
        alone = (sum(count for value, count in values if value < 0 or value == 1) + 1) / 2 / (units + 1)
        return [(joint_at, joint), (1.0, alone), (claim.bottom, alone), (0.0, 1 - joint - 2 * alone)]
    apart = sum(count for value, count in values if value)
    square = sum(value * value * count for value, count in values)
    step = math.sqrt(square / apart) if apart else 1.0  # how far D is from 0 where it is not
    step = max(1, round(step * claim.grid)) / claim.grid
    moved = min(1.0, max((apart + 0.5) / (units + 1), abs(claim.difference) / step))
    return [
        (step, (moved + claim.difference / step) / 2),
        (0.0, 1 - moved),
        (-step, (moved - claim.difference / step) / 2),
    ]


def weighted(plan: Plan, known: Traffic, test: Test, claim: Claim, outcomes: Outcomes) -> Outcomes:
    """The same as the weighted bet sees it: a unit of weight w moves it as D' = w (D + margin) - margin would.

    Strata whose share is unknown are taken at the lowest rate, where everything takes longest.
    """
    mix = mixture(plan, known, test.segment, test.value)
    lowest = min(plan.fork.rates.values())
    if mix is None or (len(mix) == 1 and mix[0][0] == lowest):
        return outcomes
    drawn = mean_rate(mix) * ONE
    return [
        (lowest / probability * (value + claim.margin) - claim.margin, chance * probability * share / drawn)
        for probability, share in mix
        for value, chance in outcomes
    ]


def units_per_request(plan: Plan, known: Traffic, gate: Gate, test: Test) -> float | None:
    """Units that a request of the cell brings on average; None: unknown."""
    drawn = sampled(plan, known, test.segment, test.value)
    if gate.against_twin:
        return drawn * plan.fork.twin / ONE
    seen = known.seen(test)
    if gate.kind in {"recall", "precision"}:
        said = known.classes.get((gate.output or "", gate.label or ""))
        if said is not None:
            return drawn * said
        return drawn * seen.units / seen.sampled if seen else None
    if seen is not None and seen.sampled:
        return drawn * min(1.0, seen.units / seen.sampled)
    return drawn


def kept(plan: Plan, known: Traffic) -> float:
    """The share of the copies that the budget lets through at an even rate."""
    if known.per_day is None or plan.fork.per_second is None:
        return 1.0
    mix = mixture(plan, known, OVERALL, "")
    drawn = max(plan.fork.rates.values()) / ONE if mix is None else mean_rate(mix)
    return min(1.0, plan.fork.per_second * 86_400 / max(1e-9, known.per_day * drawn))


def _labels_each(gate: Gate, true: Outcomes, plan: Plan, known: Traffic, test: Test) -> float | None:
    """Truths for each unit: of disagreements, or of everything where agreeing answers can both be wrong."""
    if not gate.needs_truth:
        return None
    if gate.kind == "recall":
        mine = units_per_request(plan, known, gate, test)
        return 1.0 if not mine else sampled(plan, known, test.segment, test.value) / mine
    if gate.kind in {"numeric", "precision"}:
        return 1.0
    return min(1.0, sum(chance for value, chance in true if value != 0))


def _harm(
    plan: Plan, known: Traffic, test: Test, claim: Claim, seen: Seen | None, threshold: float
) -> Callable[[float], float | None]:
    """The smallest harm that so many units reject with 80 %, as the mean of D."""
    about = claim if seen is None or claim.top == 0 else replace(claim, outcomes=tuple(expected(claim, seen)))

    def caught(drop: float, units: float) -> bool:
        moved = planning.moved(about, -drop)
        if moved is None:
            return False
        drawn = weighted(plan, known, test, claim, moved)
        return planning.rejection_probability(units, claim, drawn, threshold) >= POWERS[1]

    def found(units: float) -> float | None:
        low, high = claim.margin, -claim.bottom
        if not caught(high, units):
            return None
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if caught(middle, units) else (middle, high)
        return -high

    return found


Curve = tuple[tuple[float, float | None], ...]


def _ratio(gate: Gate, seen: Seen | None, alpha: float) -> Curve:
    """Latency against a ratio: an equally fast candidate whose latencies do not hang together with production's."""
    num, den = gate.ratio or (1, 1)
    sigma = seen.sigma if seen is not None and seen.sigma else SIGMA
    quantile = (gate.quantile_ppm or 990_000) / PPM
    return tuple((power, planning.ratio_units(num / den, 1.0, sigma, quantile, alpha, power)) for power in _CURVE)


def _precision(test: Test, seen: Seen | None, alpha: float) -> Curve:
    """Precision of an equal candidate, on flags that do not hang together with production's.

    Two confidence sequences for shares of wrong flags with variance v, at alpha/5 and at 4/5 alpha, must fit into the
    margin with room for the noise of both: n = 2 v (sqrt h_A + sqrt h_B + z)^2 / margin^2, h being the height that the
    wealth must reach. Production's bets have no plan, the candidate's are about twice as far off as where they are
    made. Against simulation: up to 15 % too few for shares under a third.
    """
    wrong = min(max(test.disagreement_ppm / PPM, 1e-6), 0.5)
    if seen is not None:
        units = sum(count for _, count in seen.histogram)
        wrong = (sum(-value / seen.grid * count for value, count in seen.histogram) + 0.5) / (units + 1)
    heights = (math.log(5 / alpha) + _UNPLANNED, math.log(1.25 / alpha) + planning.KAPPA + _OFF)
    width = sum(math.sqrt(height) for height in heights)
    room = (test.margin_ppm + max(0, test.difference_ppm)) / PPM
    unit = 2 * wrong * (1 - wrong) / room**2 if room else math.inf
    return tuple(
        (power, math.ceil(unit * max(0.0, width + float(special.ndtri(power))) ** 2) if unit < math.inf else None)
        for power in _CURVE
    )


def _interpolated(curve: Curve, units: float) -> float:
    """The power at so many units: probits are about linear in the logarithm of the units."""
    points = [(math.log(count), float(special.ndtri(power))) for power, count in curve if count]
    if len(points) < 2 or units < 1:
        return 0.0
    x = math.log(units)
    if x < points[0][0]:
        return 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1 and x1 > x0:
            return float(special.ndtr(y0 + (y1 - y0) * (x - x0) / (x1 - x0)))
    return curve[-1][0]


def _with_samples(test: Test, units: Sequence[float | None]) -> Counts:
    half, most, nearly = (None if each is None else max(math.ceil(each), test.min_units) for each in units)
    return half, most, nearly
