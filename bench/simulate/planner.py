"""Whether the planner's units for 50, 80 and 90 % power are those that simulated trials need (B19)."""

import math
from collections.abc import Sequence

import numpy as np
from accuracy import LOOKS_IN_N80, draws_every
from latency import PLANNED, Q, ends, gate_of, lognormal
from table import ALPHA, Floats, Row, at_most
from trials import THREE, Rule, chances, e_values, first, promotes, quantile

import gnomon.stats as gs
from gnomon.stats import Claim, e_reject, relative_claim

POWERS = (0.5, 0.8, 0.9)
TRIALS = 6_000


def apart(predicted: Sequence[int | None], ends: Floats) -> float:
    """The largest relative error of the three."""
    found = [quantile(ends, power) for power in POWERS]
    return max(abs((units or np.inf) / real - 1) for units, real in zip(predicted, found, strict=True))


def simulated(rng: np.random.Generator, probabilities: list[float], n80: float, rule: Rule) -> Floats:
    """Units after which each trial ends, looked at every 1/150 of n80, to 8 n80."""
    step = n80 / LOOKS_IN_N80
    (ends,) = first(draws_every(rng, step, probabilities), TRIALS, 8 * LOOKS_IN_N80, rule)
    return np.where(np.isinf(ends), np.inf, np.rint(np.where(np.isinf(ends), 0, ends) * step))


def b19(rng: np.random.Generator, psi: float, delta: float, difference: float = 0.0) -> list[Row]:
    """Promotion of a paired difference. Naive: the sample size of a test with a single look."""
    claim = Claim(margin=delta, disagreement=psi, difference=difference)
    n80 = gs.nam_sample_size(psi, difference, delta, ALPHA, 0.8)
    ends = simulated(rng, chances(psi, difference), n80, promotes(claim))
    name = f"promotion, psi {psi:g}, delta {delta:g}" + (f", difference {difference:+g}" if difference else "")
    naive = abs(n80 / quantile(ends, 0.8) - 1)
    return [at_most("B19", name, apart(gs.planned_units(claim, ALPHA, POWERS), ends), 0.1, naive)]


def b19_ratio(rng: np.random.Generator, numerator: int, denominator: int) -> list[Row]:
    """An error rate against R times production's; 1 % fail, 0.6 % in both."""
    rate, joint = 0.01, 0.006
    claim = relative_claim(numerator, denominator, rate, joint)
    values = tuple(40 * step for step in (-denominator, 0, numerator - denominator, numerator))
    outcome = [rate - joint, 1 - 2 * rate + joint, joint, rate - joint]
    predicted = gs.planned_units(claim, ALPHA, POWERS)
    ends = simulated(rng, outcome, predicted[1] / 1.7, promotes(claim, values))
    return [at_most("B19", f"error rate at most {numerator / denominator:g} x production", apart(predicted, ends), 0.1)]


def b19_rate(rng: np.random.Generator, limit: float, true: float) -> list[Row]:
    """A rate of bad outcomes of one arm under an absolute limit."""
    claim = Claim(margin=limit, disagreement=true, top=0)
    predicted = gs.planned_units(claim, ALPHA, POWERS)
    ends = simulated(rng, [true, 1 - true, 0.0], predicted[1] / 1.7, promotes(claim))
    return [at_most("B19", f"rate {true:g}, limit {limit:g}", apart(predicted, ends), 0.1)]


def b19_reject(rng: np.random.Generator, tests: int) -> list[Row]:
    """Rejection of a candidate that is worse by three margins."""
    claim, true = Claim(margin=0.02, disagreement=0.10), -0.06
    predicted = gs.rejection_units(claim, ALPHA, POWERS, true_difference=true, tests=tests)
    ends = simulated(
        rng,
        chances(0.11, true),
        predicted[1] / 1.7,
        lambda counts, _: e_values(counts, claim, THREE, None, e_reject) >= tests / ALPHA,
    )
    name = f"rejection at -0.06, delta 0.02, one of {tests} tests"
    return [at_most("B19", name, apart(predicted, ends), 0.1)]


def ratio(rng: np.random.Generator, true: float, bound: float) -> list[Row]:
    """Pairs for a bound on the ratio of P99s; latencies as in B8, a look every 250 pairs."""
    step, sigma = 250, 0.4 * math.sqrt(2)
    predicted = [
        gs.ratio_units(bound, true, sigma, Q, ALPHA, power, planned_n=PLANNED, correlation=0.5) for power in POWERS
    ]
    (passed,) = ends(lognormal(rng, 600, true, step), 3 * predicted[1] // step, bound, gate_of(bound), step=step)
    return [at_most("ratio", f"P99 {true:g} x production, bound {bound:g}", apart(predicted, passed), 0.2)]
