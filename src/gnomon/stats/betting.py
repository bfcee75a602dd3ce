"""The count-based betting e-process: evidence about a bounded mean that stays valid however often one looks.

Units carry D in [bottom, top], counted in steps of 1/grid; a row of counts is all that is needed. With a fixed kappa

    against  mean D <= m :  W = prod over units of 1 + kappa (D - m) / (m - bottom)
    against  mean D >= m :  W = prod over units of 1 - kappa (D - m) / (top - m)

A unit that was drawn with a probability p where the lowest is q has the weight w = q/p, and bets w (D - m) in place of
D - m: over the coin its mean is q (D - m), the same multiple for every unit, so that units which are drawn more often
do not count for more. Equal probabilities are weight 1.

W is nonnegative with mean at most 1, so is every mixture E over a fixed list of stakes, and by Ville's inequality
P(E ever reaches 1/alpha) <= alpha. At m = -delta these are the promote and reject sides of the gate. Stakes and
weights depend on the sealed plan alone: never on the data, else a bad weekend after good weekdays could be promoted.

Source    Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS B 86(1), 2024;
          Ville 1939; e-Holm: Vovk & Wang, E-values, Ann. Stat. 49(3), 2021
          weights: Horvitz & Thompson, A generalization of sampling without replacement from a finite universe,
          JASA 47(260), 1952
Assumes   units are independent within a cycle of traffic; D at most `top`; the probabilities are what they were drawn
          with, and the lowest is sealed
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

GRID: Final = 40
"""Steps in which D is counted, unless the claim says otherwise."""

CAP: Final = 1e300
"""The largest e-value that is returned, so that it stays a finite JSON number."""

KAPPAS: Final = np.geomspace(0.002, 0.98, 64)
"""The stakes of the mixture, log-spaced; 1 would lose everything on one bad unit."""

_SPREAD: Final = 0.7  # standard deviation of log kappa around the planned stake
_PLANNED_SHARE: Final = 0.8  # of the mixture's weight; the rest is log-uniform and guards against a wrong plan
_BISECTIONS: Final = 40  # an end of an interval is a point of the grid of so many halvings
_HALVINGS: Final = 60
_CLOSE: Final = 1e-8  # a step of Newton's after which the next, about its square, is below the grid
_BLOCK: Final = 128  # rows that are worked on together
_CURVES: Final = 512  # the same where ends of intervals are searched: most steps of a search are for a few rows
_FEW: Final = 8
_NOTHING: Final = 1e-50  # a chance or a value under this is none
_STEPS: Final = 25  # more than the search for an end of an interval ever needed

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one test is about, and what its plan expects. All of it is sealed."""

    margin: float
    """delta >= 0: the nulls are mean D <= -delta and mean D >= -delta."""
    disagreement: float
    """Expected P(D != 0). Tunes the stakes; a wrong one costs time, not validity."""
    difference: float = 0.0
    """Expected mean of D; not used where `top` is 0, because there it is -disagreement."""
    top: float = 1
    """The largest D there can be: 1 for a difference, 0 for a rate of bad outcomes (D = -1 or 0)."""
    bottom: float = -1.0
    """The smallest D there can be."""
    grid: int = GRID
    """D is counted in steps of 1/grid."""
    outcomes: tuple[tuple[float, float], ...] = ()
    """Expected distribution of D as (value, probability); what is missing to 1 is D = 0. If given, it tunes the stakes
    in place of disagreement and difference."""

    def __post_init__(self) -> None:
        if not (0 <= self.margin < -self.bottom < math.inf and 0 <= self.top <= 1 and self.grid > 0):
            raise ValueError(
                "a claim needs 0 <= margin < -bottom, a top from 0 to 1 and a grid above 0, "
                f"got {self.margin}, {self.bottom}, {self.top} and {self.grid}"
            )
        if self.top == 0 and self.margin == 0:
            raise ValueError("a rate of bad outcomes needs a margin above 0: no data shows that it is exactly 0")
        slack = 1e-9
        if not all(self.bottom - slack <= x <= self.top + slack and p >= 0 for x, p in self.outcomes):
            raise ValueError(f"expected outcomes must lie in [bottom, top] and their chances be >= 0: {self.outcomes}")
        if not sum(p for _, p in self.outcomes) <= 1 + slack:
            raise ValueError(f"the chances of the expected outcomes are more than 1 together: {self.outcomes}")


def relative_claim(num: int, den: int, rate: float, joint: float) -> Claim:
    """The claim that the candidate's error rate is at most num/den times production's: p_B <= (num/den) p_A.

    D = (num 1[A errs] - den 1[B errs]) / num, so that mean D < 0 is the violation; its grid is GRID * num, in which
    D is the integer GRID * (num 1[A] - den 1[B]). `rate` is the rate that is expected of both arms, `joint` that at
    which both err on the same input: errors that the arms share say little about a ratio other than 1, and cost time.
    """
    if not (num > 0 and den > 0 and 0 <= joint <= rate and 2 * rate - joint <= 1):
        raise ValueError(f"needs a ratio above 0 and 0 <= joint <= rate, got {num}/{den}, {joint} and {rate}")
    alone = rate - joint
    return Claim(
        margin=0.0,
        disagreement=2 * alone,
        bottom=-den / num,
        grid=GRID * num,
        outcomes=(((num - den) / num, joint), (1.0, alone), (-den / num, alone)),
    )


def tabulate(histograms: Sequence[Sequence[tuple[int, int]]]) -> tuple[Counts, tuple[int, ...]]:
    """Rows of (value, count) as one table: counts of shape (tests, values) and the values in steps of 1/grid."""
    values = tuple(sorted({value for histogram in histograms for value, _ in histogram}))
    column = {value: index for index, value in enumerate(values)}
    counts = np.zeros((len(histograms), len(values)), dtype=np.int64)
    for row, histogram in enumerate(histograms):
        for value, count in histogram:
            counts[row, column[value]] += count
    return counts, values


def tabulate_weighted(
    groups: Sequence[Sequence[tuple[float, Sequence[tuple[int, int]]]]],
) -> tuple[Counts, tuple[int, ...], tuple[float, ...]]:
    """Rows of (weight, rows of (value, count)) as one table: counts, and the value and the weight of each column.

    The columns ascend by value, then by weight: with weight 1 alone it is the table of `tabulate`.
    """
    pairs = sorted({(value, weight) for row in groups for weight, histogram in row for value, _ in histogram})
    column = {pair: index for index, pair in enumerate(pairs)}
    counts = np.zeros((len(groups), len(pairs)), dtype=np.int64)
    for row, parts in enumerate(groups):
        for weight, histogram in parts:
            for value, count in histogram:
                counts[row, column[value, weight]] += count
    return counts, tuple(value for value, _ in pairs), tuple(weight for _, weight in pairs)


def e_promote(
    counts: Counts, values: Sequence[float], claims: Sequence[Claim], weights: Sequence[float] | None = None
) -> Floats:
    """E-values against mean D <= -margin, one for each row of counts. 1 without data, at most CAP.

    `counts` has shape (tests, values), `values` are in steps of 1/grid of the row's claim, `claims` has one for each
    row or one for all, `weights` has one in (0, 1] for each value; None: all are 1. ValueError for what cannot be
    counted or weighed so.
    """
    return _capped(_log_e(counts, values, claims, weights, _promoting))


def e_reject(
    counts: Counts, values: Sequence[float], claims: Sequence[Claim], weights: Sequence[float] | None = None
) -> Floats:
    """E-values against mean D >= -margin, one for each row of counts. 1 without data, at most CAP.

    Where `top` is 0 the stake may be as large as 1/margin, which makes this the likelihood-ratio test of a rate.
    """
    return _capped(_log_e(counts, values, claims, weights, _rejecting))


def lower_bounds(
    counts: Counts,
    values: Sequence[float],
    claims: Sequence[Claim],
    alpha: float,
    weights: Sequence[float] | None = None,
) -> Floats:
    """Lower ends of one-sided anytime-valid intervals for the mean of D; `bottom` without data.

    The largest m against which e_promote is at least 1/alpha: above -margin exactly when the test has passed.
    """
    return _crossing(counts, values, claims, weights, _promoting, alpha, falling=True)


def upper_bounds(
    counts: Counts,
    values: Sequence[float],
    claims: Sequence[Claim],
    alpha: float,
    weights: Sequence[float] | None = None,
) -> Floats:
    """Upper ends of one-sided anytime-valid intervals for the mean of D; `top` without data."""
    return _crossing(counts, values, claims, weights, _rejecting, alpha, falling=False)


def e_holm(e_values: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Indices of the hypotheses that can be rejected together: P(any of them is true) <= alpha at every look.

    Holm's step-down on 1/e, valid under any dependence. The first needs e >= m/alpha, the next (m-1)/alpha, and so on.
    """
    order = sorted(range(len(e_values)), key=lambda index: (-e_values[index], index))
    named: list[int] = []
    for rank, index in enumerate(order):
        if e_values[index] < (len(order) - rank) / alpha:
            break
        named.append(index)
    return tuple(sorted(named))


def kelly(outcomes: Sequence[tuple[float, float]]) -> float:
    """The stake l >= 0 that maximises sum p log(1 + l x) over outcomes (x, p); 0 if there is none.

    Infinite if nothing can be lost. Up to three outcomes the derivative's numerator is a polynomial of degree two, so
    the answer is a formula. Beyond, it is halved a fixed number of times with nothing but sums, products and quotients,
    which are the same on every machine: a search that ends a step away elsewhere would give weights that are no longer
    the sealed ones.
    """
    live = [(x, p) for x, p in outcomes if abs(x) > _NOTHING and p > _NOTHING]
    mean = sum(x * p for x, p in live)
    if mean <= 0:
        return 0.0
    if all(x > 0 for x, _ in live):
        return math.inf
    if len(live) == 2:
        (a, pa), (b, pb) = live
        return -mean / (a * b * (pa + pb))
    if len(live) > 3:
        return _halved(live)
    (a, pa), (b, pb), (c, pc) = live
    linear = pa * a * (b + c) + pb * b * (a + c) + pc * c * (a + b)
    square = a * b * c * (pa + pb + pc)
    # The root next to zero: the other one lies beyond the stake that can lose everything.
    return 2 * mean / (math.sqrt(max(0.0, linear * linear - 4 * square * mean)) - linear)


def _halved(live: Sequence[tuple[float, float]]) -> float:
    """Where the derivative of the growth, which falls, crosses zero."""
    low, high = 0.0, -0.999999 / min(x for x, _ in live)  # a stake of all has no slope, and none is ever taken
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = 0.0
        for x, p in live:
            slope += p * x / (1 + middle * x)
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low


Stakes = tuple[Floats, Floats]
"""(what each stake multiplies D + margin by, log weight of each stake), both of shape (64,)."""


@lru_cache(maxsize=4096)
def _promoting(claim: Claim) -> Stakes:
    """Stakes against mean D <= -margin, centred where the planned alternative grows fastest."""
    return KAPPAS / (-claim.margin - claim.bottom), log_weights(planned_kappa(claim))


def planned_kappa(claim: Claim) -> float | None:
    """The planned alternative's best kappa; None where the plan itself expects the null to be true."""
    delta = claim.margin
    stake = kelly([(x + delta, p) for x, p in planned_outcomes(claim)])
    return stake * (-delta - claim.bottom) if stake > 0 else None


def planned_outcomes(claim: Claim) -> tuple[tuple[float, float], ...]:
    """What the claim expects of D, as (value, probability): `outcomes`, or the extremes by disagreement and difference.

    The probabilities add up to 1; D = 0 has what the others leave.
    """
    if claim.outcomes:
        return (*claim.outcomes, (0.0, max(0.0, 1 - sum(p for _, p in claim.outcomes))))
    if claim.top == 0:
        bad, good = claim.disagreement, 0.0
    else:
        moved = max(claim.disagreement, abs(claim.difference))
        width = claim.top - claim.bottom
        bad = max(0.0, (claim.top * moved - claim.difference) / width)
        good = max(0.0, (claim.difference - claim.bottom * moved) / width)
    return (claim.top, good), (0.0, 1 - good - bad), (claim.bottom, bad)


@lru_cache(maxsize=4096)
def _rejecting(claim: Claim) -> Stakes:
    """Stakes against mean D >= -margin, centred on a clear harm, because that is what must be found quickly."""
    return -KAPPAS / (claim.top + claim.margin), log_weights(harm_kappa(claim))


def harm_kappa(claim: Claim) -> float | None:
    """The best kappa against the harm that the reject side is tuned to."""
    delta = claim.margin
    stake = kelly([(-x - delta, p) for x, p in harm_outcomes(claim)])
    return stake * (claim.top + delta) if stake > 0 else None


def harm_outcomes(claim: Claim) -> tuple[tuple[float, float], ...]:
    """The clear harm that the reject side is tuned to: worse by three margins; for a rate, twice the margin.

    With margin 0 harm is half of the planned disagreement. Of what is planned in the candidate's favour a half stays:
    a quarter of the planned disagreements. Measured at margin 4 pp, plan 8 %, truth 83 % against 94 %, threshold
    300 to 400: median 290 units (an oracle that knows the truth: 250); centred on two margins 340, on four 280, but
    mild harm takes longer.
    """
    delta = claim.margin
    if claim.outcomes:
        return _harmed(claim)
    if claim.top == 0:
        bad, good = min(1.0, 2 * delta / -claim.bottom), 0.0
    else:
        good = claim.disagreement / 4
        bad = min(good + max(3 * delta, claim.disagreement / 2) / -claim.bottom, 1 - good)
    return (claim.bottom, bad), (0.0, 1 - good - bad), (claim.top, good)


def _harmed(claim: Claim) -> tuple[tuple[float, float], ...]:
    """The same of any expected distribution: gains half as often, losses as much more often as it takes."""
    gains = [(x, p / 2) for x, p in claim.outcomes if x > 0]
    losses = [(x, p) for x, p in claim.outcomes if x < 0 and -x * p > _NOTHING]
    gained, lost = sum(x * p for x, p in gains), -sum(x * p for x, p in losses)
    worse = 2 * claim.margin if claim.top == 0 else max(3 * claim.margin, (2 * gained + lost) / 2)
    if not losses:
        losses, lost = [(claim.bottom, 1.0)], -claim.bottom
    room = 1 - sum(p for _, p in gains)
    factor = min((worse + gained) / lost, room / sum(p for _, p in losses))
    moved = [*((x, p * factor) for x, p in losses), *gains]
    return (*moved, (0.0, max(0.0, 1 - sum(p for _, p in moved))))


def log_weights(center: float | None) -> Floats:
    """Log weights of KAPPAS: 0.8 lognormal around the centre, sd 0.7, and 0.2 log-uniform, or that alone."""
    uniform = np.full(len(KAPPAS), 1 / len(KAPPAS))
    if center is None:
        return np.asarray(np.log(uniform))
    distance = (np.log(KAPPAS) - math.log(min(max(center, KAPPAS[0]), KAPPAS[-1]))) / _SPREAD
    planned = np.exp(-distance * distance / 2)
    return np.asarray(np.log(_PLANNED_SHARE * planned / planned.sum() + (1 - _PLANNED_SHARE) * uniform))


def _capped(log_e: Floats) -> Floats:
    return np.asarray(np.minimum(np.exp(np.minimum(log_e, 700.0)), CAP))  # e^700 is over the cap and still finite


class _Table:
    """Rows of counts with what their claims say about them, checked. ValueError for what a claim says cannot be."""

    def __init__(
        self, counts: Counts, values: Sequence[float], claims: Sequence[Claim], weights: Sequence[float] | None
    ) -> None:
        """Each distinct claim is looked at once; rows point to theirs."""
        self.counts = counts
        self.rows = len(counts)
        position: dict[Claim, int] = {}
        known = {id(claim): claim for claim in claims}  # each object is looked up once, not each row
        places = {key: position.setdefault(claim, len(position)) for key, claim in known.items()}
        of = [places[id(claim)] for claim in claims]
        self.of = np.array(of if len(of) == self.rows else of[:1] * self.rows, dtype=np.intp)
        self.claims = tuple(position)
        self.margin = np.array([claim.margin for claim in self.claims])
        self.top = np.array([claim.top for claim in self.claims], dtype=np.float64)
        self.bottom = np.array([claim.bottom for claim in self.claims])
        self.grid = np.array([claim.grid for claim in self.claims], dtype=np.int64)
        each = [1.0] * len(values) if weights is None else weights
        if len(each) != len(values) or not all(0 < weight <= 1 for weight in each):
            raise ValueError("each value needs one weight, above 0 and at most 1")
        self.columns = list(zip(values, each, strict=True))
        steps, slack = np.asarray(values, dtype=np.float64)[None, :], 1e-6
        outside = (steps > (self.top * self.grid)[:, None] + slack) | (
            steps < (self.bottom * self.grid)[:, None] - slack
        )
        if counts.min(initial=0) < 0 or (outside.any() and np.any(outside[self.of] & (counts > 0))):
            raise ValueError("counts must not be negative, and D must be in [bottom, top] of its claim")

    def blocks(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """All rows, some at a time, so that what is computed of them fits a cache; and their claims.

        Rows of one claim come together, and then that claim is given once; claims of a few rows come together too.
        """
        mixed: list[int] = []
        for claim, rows in _groups(self.of).items():
            if len(rows) < _FEW:
                mixed += rows
                continue
            for at in range(0, len(rows), _BLOCK):
                yield np.array(rows[at : at + _BLOCK], dtype=np.intp), np.array([claim], dtype=np.intp)
        for at in range(0, len(mixed), _BLOCK):
            some = np.array(mixed[at : at + _BLOCK], dtype=np.intp)
            yield some, self.of[some]


def _groups(of: NDArray[np.intp]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row, claim in enumerate(of.tolist()):
        found.setdefault(claim, []).append(row)
    return found


def _log_e(
    counts: Counts,
    values: Sequence[float],
    claims: Sequence[Claim],
    weights: Sequence[float] | None,
    stakes: Callable[[Claim], Stakes],
) -> Floats:
    """Log of the mixture, one for each row of counts; exactly 0 for a row without data."""
    table = _Table(counts, values, claims, weights)
    result = np.zeros(table.rows)
    for rows, of in table.blocks():
        part, margin, grid = counts[rows], table.margin[of], table.grid[of]
        pairs = [stakes(table.claims[claim]) for claim in of.tolist()]
        scale = np.stack([each for each, _ in pairs])
        wealth = np.broadcast_to(np.stack([each for _, each in pairs]), (len(rows), len(KAPPAS))).copy()
        # Summed value by value, in ascending order, and not by a matrix product: BLAS adds in an order that depends on
        # the shape, and a count of zero must change no bit.
        for column, (value, weight) in enumerate(table.columns):
            number = part[:, column, None]
            if number.any():
                wealth += number * _log1p(scale * (weight * (value / grid + margin))[:, None])
        result[rows] = _log_sum(wealth)
    result[counts.sum(axis=1) == 0] = 0.0
    return result


def _log1p(gain: Floats) -> Floats:
    """Log of 1 + gain. A stake never loses more than 0.98; what is clipped belongs to a value that another row has."""
    return np.asarray(np.log1p(np.maximum(gain, -0.99)))


def _log_sum(log_terms: Floats) -> Floats:
    """Log of the sum of exponentials over the last axis."""
    largest = log_terms.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(log_terms - largest[..., None]).sum(axis=-1)))


class _Curve:
    """The log of the mixture as a function of m, for the rows of one table.

    Against mean D <= m it falls in m and is convex: each factor is (m - bottom + kappa (D - m)) / (m - bottom), whose
    log has the second derivative 1/(m - bottom)^2 - (1 - kappa)^2/(m - bottom + kappa (D - m))^2 >= 0; weights only
    make kappa smaller, and a mixture of log-convex functions is log-convex. Against mean D >= m: the mirror image.
    """

    def __init__(
        self,
        table: _Table,
        rows: NDArray[np.intp],
        stakes: Callable[[Claim], Stakes],
        *,
        falling: bool,
    ) -> None:
        """`rows`: the rows of the table that are asked about; they are counted from 0 here."""
        of, part = table.of[rows], table.counts[rows]
        self.falling, self.bottom, self.top = falling, table.bottom[of], table.top[of]
        self.log_weights = np.stack([stakes(table.claims[claim])[1] for claim in of.tolist()])
        used = np.flatnonzero(part.any(axis=0))
        self.counts = part[:, used].astype(np.float64)
        self.weights = np.array([table.columns[column][1] for column in used])
        self.d = np.array([table.columns[column][0] for column in used]) / table.grid[of][:, None]

    def at(self, middle: Floats, rows: NDArray[np.intp], *, slope: bool = False) -> tuple[Floats, Floats]:
        """The log of the mixture at one m for each of the rows, and its derivative if it is asked for."""
        wealth, slopes = self.log_weights[rows], np.zeros((len(rows), len(KAPPAS)))
        counts, d = self.counts[rows], self.d[rows]
        span = middle - self.bottom[rows] if self.falling else self.top[rows] - middle
        distance = self.weights * (d - middle[:, None])
        gains = distance / span[:, None] if self.falling else -distance / span[:, None]
        if slope:
            # of (D - m)/(m - bottom): (bottom - D)/(m - bottom)^2; of (m - D)/(top - m): (top - D)/(top - m)^2
            ends = (self.bottom if self.falling else self.top)[rows]
            turns = counts * self.weights * (ends[:, None] - d) / (span * span)[:, None]
        for column in range(counts.shape[1]):
            gain = np.maximum(KAPPAS * gains[:, column, None], -0.99)
            wealth += counts[:, column, None] * np.log1p(gain)
            if slope:
                slopes += turns[:, column, None] / (1 + gain)
        total = _log_sum(wealth)
        if not slope:
            return total, total
        return total, np.asarray((np.exp(wealth - total[:, None]) * KAPPAS * slopes).sum(axis=-1))


def _crossing(
    counts: Counts,
    values: Sequence[float],
    claims: Sequence[Claim],
    weights: Sequence[float] | None,
    stakes: Callable[[Claim], Stakes],
    alpha: float,
    *,
    falling: bool,
) -> Floats:
    """The m at which the mixture crosses 1/alpha, on the side that is not excluded yet."""
    table = _Table(counts, values, claims, weights)
    result = np.zeros(table.rows)
    for at in range(0, table.rows, _CURVES):
        rows = np.arange(at, min(at + _CURVES, table.rows))
        result[rows] = _solved(_Curve(table, rows, stakes, falling=falling), -math.log(alpha))
    return result


def _solved(curve: _Curve, needed: float) -> Floats:
    """The crossings of one block.

    The answer is a point of the grid that halving [bottom, top] _BISECTIONS times ends on, so that it does not depend
    on the way to it. The way is Newton's, which a convex curve lets in from one side and never overshoots; the
    neighbouring points of the grid are tried, and where they do not enclose the crossing, halving goes on.
    """
    start = curve.bottom
    # A rate's lower end is looked for up to 1 as well: verdicts that were recorded so must recompute.
    end = np.maximum(curve.top, 1.0) if curve.falling else curve.top
    low, high = _narrowed(curve, needed, start.copy(), end.copy())
    steps = (end - start) / 2.0**_BISECTIONS
    first, last = np.zeros(len(start)), np.full(len(start), 2.0**_BISECTIONS)
    guess = np.clip(np.floor(((low if curve.falling else high) - start) / steps), 0, last - 1)
    for offset in (0.0, 1.0):
        at = guess + offset
        inside = np.flatnonzero((at > first) & (at < last))
        _halve(curve, needed, (start, steps), (first, last), inside, at[inside])
    while len(rows := np.flatnonzero(last - first > 1)):
        _halve(curve, needed, (start, steps), (first, last), rows, np.floor((first[rows] + last[rows]) / 2))
    return np.asarray(np.minimum(start + (first if curve.falling else last) * steps, end))


def _halve(
    curve: _Curve,
    needed: float,
    scale: tuple[Floats, Floats],
    bracket: tuple[Floats, Floats],
    rows: NDArray[np.intp],
    at: Floats,
) -> None:
    """Moves the lower or the upper end of the rows' brackets to the points `at`."""
    if not len(rows):
        return
    start, steps = scale
    excluded = curve.at(start[rows] + at * steps[rows], rows)[0] >= needed
    up = excluded == curve.falling
    bracket[0][rows[up]], bracket[1][rows[~up]] = at[up], at[~up]


def _narrowed(curve: _Curve, needed: float, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """A bracket of the crossing that is at most some steps of the grid wide; rows without data keep theirs."""
    rows = np.flatnonzero(curve.counts.sum(axis=1))
    guess = _normal_guess(curve, needed)
    for _ in range(_STEPS):
        if not len(rows):
            break
        m = guess[rows]
        log_e, slope = curve.at(m, rows, slope=True)
        log_e -= needed
        up = (log_e >= 0) == curve.falling
        low[rows[up]], high[rows[~up]] = m[up], m[~up]
        step = np.divide(-log_e, slope, out=np.full(len(rows), np.inf), where=slope != 0)
        following = m + step
        outside = ~((following > low[rows]) & (following < high[rows]))
        following[outside] = (low[rows][outside] + high[rows][outside]) / 2
        guess[rows] = following
        done = ~outside & (np.abs(step) < _CLOSE)
        for row in (low, high):
            row[rows[done]] = following[done]
        rows = rows[~done]
    return low, high


def _normal_guess(curve: _Curve, needed: float) -> Floats:
    """Where a normal approximation would have the crossing: a good place to start from, and no more than that."""
    d, part = curve.d, curve.counts * curve.weights
    total = np.maximum(part.sum(axis=1), 1e-9)
    mean = (part * d).sum(axis=1) / total
    variance = (part * (d - mean[:, None]) ** 2).sum(axis=1) / total + 1 / (total + 1)
    away = np.sqrt(2 * (needed + 1) * variance / total)
    span = curve.top - curve.bottom
    wanted = mean - away if curve.falling else mean + away
    return np.asarray(np.clip(wanted, curve.bottom + span / 256, curve.top - span / 256))
