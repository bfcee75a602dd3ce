"""The P99 of latency against production's, and what happens when the arms do not run at the same time (B8, B9)."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import binom
from table import ALPHA, Flags, Floats, Row, at_least, at_most, false_rate
from trials import quantile

import gnomon.stats as gs

Q, STEP, PLANNED = 0.99, 500, 10_000
SCALE = 10_000
"""Microseconds of a latency of 1."""
SIDE = 0.1
"""The share of alpha that the scan spends on either end of production's confidence sequence."""
LEAST, MOST = 5_000, 2_000_000
"""Where the edges begin and end: under the median, over everything that is drawn."""

Latencies = NDArray[np.int64]


def edges() -> Latencies:
    """The lower edges of the buckets of the log, ascending, in microseconds."""
    found = [gs.latency_edge(LEAST)]
    while found[-1] < MOST:
        found.append(gs.next_edge(found[-1]))
    return np.array(found)


EDGES = edges()


def reached(at: Latencies) -> NDArray[np.int64]:
    """How many pairs reach each edge, [trial, edge], from the last edge that each reaches, [trial, pair]; -1: none."""
    trials, width = len(at), len(EDGES) + 1
    flat = (np.maximum(at, -1) + 1 + width * np.arange(trials)[:, None]).ravel()
    histogram = np.bincount(flat, minlength=trials * width).reshape(trials, width)
    return histogram[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def counted(a: Latencies, b: Latencies, bound: float) -> NDArray[np.int64]:
    """What a look reads: pairs with A >= x, B > bound x, and the two mixed counts of the bucket. [trial, 4, edge]."""
    of_a = np.searchsorted(EDGES, a, side="right") - 1
    of_b = np.searchsorted(EDGES * bound, b, side="left") - 1
    both, cross = np.minimum(of_a - 1, of_b), np.minimum(of_a, of_b - 1)
    return np.stack([reached(at) for at in (of_a, of_b, both, cross)], axis=1)


Pairs = Callable[[int], tuple[Latencies, Latencies]]
"""The look, from 1, to the new latencies of both arms in microseconds: each [trial, pair]; 0: left out."""
Gate = Callable[[Latencies, NDArray[np.int64], NDArray[np.int64]], Flags]
"""Edges, counts [trial, 4, edge] and pairs of each trial to which trials pass."""


def ends(pairs: Pairs, looks: int, bound: float, *gates: Gate, step: int = STEP) -> list[Floats]:
    """The pairs after which each trial first passes each gate; infinite where it never does."""
    found: list[Floats] = []
    counts: NDArray[np.int64] | None = None
    kept: NDArray[np.int64] | None = None
    for look in range(1, looks + 1):
        a, b = pairs(look)
        new, new_n = counted(a, b, bound), (a > 0).sum(axis=1)
        counts = new if counts is None else counts + new
        kept = new_n if kept is None else kept + new_n
        part = relevant(counts, kept)
        if not found:
            found = [np.full(len(counts), math.inf) for _ in gates]
        for gate, ended in zip(gates, found, strict=True):
            open_ = np.flatnonzero(np.isinf(ended))
            if open_.size:
                passes = gate(EDGES[part], counts[open_, :, part], kept[open_])
                ended[open_[passes]] = look * step
        if all(np.isfinite(ended).all() for ended in found):
            break
    return found


def relevant(counts: NDArray[np.int64], n: NDArray[np.int64]) -> slice:
    """The edges that can matter: under them a tenth of A lies beyond and of B more than may, over them nothing of A."""
    a, b = counts[:, 0], counts[:, 1]
    low = (a >= n[:, None] / 10).all(axis=0).sum() - 1
    possible = (b <= (1 - Q) * n[:, None]).any(axis=0)
    if possible.any():
        low = min(low, int(possible.argmax()))
    return slice(max(low, 0), int((a.max(axis=0) > 0).sum()) + 1)


def ratio(_: Latencies, counts: NDArray[np.int64], n: NDArray[np.int64]) -> Flags:
    """Two confidence sequences: the product's gate for bounds of 1.2 and more.

    Only edges that A reaches at least, and B at most, as often as the quantile says can let anything through: at all
    others one of the two has no evidence. They stand side by side.
    """
    a, b, most = counts[:, 0], counts[:, 1], (1 - Q) * n[:, None]
    start, stop = (b > most).sum(axis=1), (a >= most).sum(axis=1)
    width = max(1, int((stop - start).max()))
    window = np.minimum(start[:, None] + np.arange(width), a.shape[1] - 1)
    a, b = (np.take_along_axis(each, window, axis=1) for each in (a, b))
    return np.asarray(gs.ratio_e(a, b, n, Q, PLANNED) >= 1 / ALPHA)


def scan(at: Latencies, counts: NDArray[np.int64], n: NDArray[np.int64]) -> Flags:
    """The scan over the quantiles that production may have: the product's gate for tighter bounds.

    Edges beyond both ends of every trial's confidence sequence are left out: nothing is scanned there.
    """
    low, high = (rank(int(n[0]), Q, SIDE * ALPHA, PLANNED) for rank in (gs.lower_rank, gs.upper_rank))
    if low >= 0 and high >= 0:
        start = int((counts[:, 0] >= low).sum(axis=1).min()) - 1
        stop = int((counts[:, 0] > high).sum(axis=1).max()) + 1
        at, counts = at[max(start, 0) : stop], counts[:, :, max(start, 0) : stop]
    a, b, both = counts[:, 0], counts[:, 1], counts[:, 2]
    return np.asarray(gs.scan_e(at, a, b, both, n, Q, ALPHA, PLANNED) >= 1 / ALPHA)


def gate_of(bound: float) -> Gate:
    return scan if gs.uses_scan(bound) else ratio


def point_estimate(_: Latencies, counts: NDArray[np.int64], n: NDArray[np.int64]) -> Flags:
    """The naive arm: the sample's P99 of the candidate is at most the bound times production's."""
    most = (1 - Q) * n[:, None]
    return np.asarray((counts[:, 1] > most).sum(axis=1) <= (counts[:, 0] > most).sum(axis=1))


def microseconds(logarithms: Floats) -> Latencies:
    return np.rint(SCALE * np.exp(logarithms)).astype(np.int64)


def lognormal(rng: np.random.Generator, trials: int, true: float, step: int = STEP) -> Pairs:
    """Half of the (log) variance is the request's, the same for both arms."""

    def draw(_: int) -> tuple[Latencies, Latencies]:
        request, a, b = rng.normal(scale=0.4, size=(3, trials, step))
        return microseconds(request + a), microseconds(request + b + math.log(true))

    return draw


def b8_null(rng: np.random.Generator, bound: float) -> list[Row]:
    """The true ratio of the P99s is the bound; a look every 500 pairs to 40,000."""
    wrong, naive = ends(lognormal(rng, 400, bound), 80, bound, gate_of(bound), point_estimate)
    method = "scan" if gs.uses_scan(bound) else "two confidence sequences"
    name = f"P99 at the bound, {bound:g} x production ({method})"
    return [false_rate("B8", name, np.isfinite(wrong), np.isfinite(naive))]


def b8_soon(rng: np.random.Generator, true: float, bound: float, most: int) -> list[Row]:
    """How soon a candidate inside the bound passes."""
    (passed,) = ends(lognormal(rng, 400, true), 80, bound, gate_of(bound))
    return [
        at_most(
            "B8", f"P99 {true:g} x production, bound {bound:g}: 80 % quantile of pairs", quantile(passed, 0.8), most
        )
    ]


def b8_coverage(rng: np.random.Generator) -> list[Row]:
    """The confidence sequence of a P99, 2.5 % on each side. Naive: the binomial interval for a fixed sample."""
    trials, looks = 400, 80
    n = np.arange(STEP, looks * STEP + 1, STEP)
    true = math.exp(0.4 * math.sqrt(2) * NormalDist().inv_cdf(Q))
    x = np.exp(rng.normal(scale=0.4 * math.sqrt(2), size=(trials, looks, STEP)))
    beyond = (x > true).sum(axis=2).cumsum(axis=1)  # no ties: as many are at least the true quantile
    upper, lower = (rank(n, Q, ALPHA / 2, PLANNED) for rank in (gs.upper_rank, gs.lower_rank))
    missed = (beyond <= upper) | ((beyond >= lower) & (lower >= 0))
    fixed = (beyond <= binom.ppf(ALPHA / 2, n, 1 - Q) - 1) | (beyond >= binom.isf(ALPHA / 2, n, 1 - Q) + 1)
    return [false_rate("B8", "confidence sequence of a P99 ever misses it", missed.any(axis=1), fixed.any(axis=1))]


PER_SECOND = 10
"""Pairs of B9 in a second; its load then forgets itself in about 100 seconds."""
LOOKS, TRIALS, BOUND = 60, 200, 1.25
ONE_SECOND = 1.0


def b9(rng: np.random.Generator, spread: float, when: str) -> list[Row]:
    """Both arms under a load that comes and goes; the candidate is exactly at the bound.

    The product answers a ratio gate only if at most 1 % of the candidate's calls began more than a second after
    production's, and leaves those out.
    """
    pairs, hour = LOOKS * STEP, 3_600 * PER_SECOND
    white = rng.normal(scale=math.sqrt(1 - 0.999**2), size=(TRIALS, pairs + hour + 60 * PER_SECOND))
    white[:, 0] /= math.sqrt(1 - 0.999**2)
    load = lfilter([1.0], [1.0, -0.999], white, axis=1)
    lag = rng.exponential(0.002, size=(TRIALS, pairs))
    if when == "at once":  # but for two in a thousand that wait for up to 3 seconds
        lag = np.where(rng.random(lag.shape) < 0.002, rng.uniform(0, 3, lag.shape), lag)
    elif when == "as late as is let through":  # a second where there is most load, 30 seconds for the worst of it
        busy = load[:, :pairs] >= np.quantile(load[:, :pairs], 0.992, axis=1, keepdims=True)
        lag = np.where(busy, 30.0, 0.9)
    else:
        lag += 3_600.0
    late = lag > ONE_SECOND
    answered = late.mean(axis=1) <= 0.01
    at = np.arange(pairs) + (lag * PER_SECOND).astype(np.int64)
    request, a, b = rng.normal(scale=0.3, size=(3, TRIALS, pairs))
    kept = ~late | ~answered[:, None]
    of_a = kept * microseconds(spread * load[:, :pairs] + request + a)
    of_b = kept * microseconds(spread * np.take_along_axis(load, at, axis=1) + request + b + math.log(BOUND))

    def draw(look: int) -> tuple[Latencies, Latencies]:
        part = slice((look - 1) * STEP, look * STEP)
        return of_a[:, part], of_b[:, part]

    passed, naive = ends(draw, LOOKS, BOUND, ratio, point_estimate)
    wrong = np.isfinite(passed)
    name = f"P99 at the bound, load sd {spread:g}, candidate {when}"
    if answered.any():
        return [false_rate("B9", name, wrong & answered, np.isfinite(naive))]
    return [
        false_rate("B9", f"{name}; naive: without the check", wrong & answered, wrong),
        at_least("B9", f"{name}: trials that are refused", float(1 - answered.mean()), 1.0),
    ]
