"""What shadowing costs, from slices of time: right where it is known, and as sure as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.records import slices
from gnomon.stats import switchback

EDGES = np.array([slices.lower_edge(bucket) for bucket in range(slices.BUCKETS + 1)], dtype=float)


def histogram(latencies):
    at = np.searchsorted(EDGES, latencies, side="right") - 1
    return np.bincount(at, minlength=slices.BUCKETS)[: slices.BUCKETS]


def experiment(random, *, groups=64, on=400, off=40, cost=1.0, spread=0.3):
    """Latencies around 1 ms; requests of one group are slow together."""
    counts = np.zeros((1, groups, 2, slices.BUCKETS), dtype=np.int64)
    for group in range(groups):
        load = random.normal(0, spread / 3)
        for kind, (size, factor) in enumerate(((on, cost), (off, 1.0))):
            # a slice is slow or fast as a whole: that is what makes requests poor units
            slice_ = random.normal(0, spread / 6)
            counts[0, group, kind] = histogram(1000 * factor * np.exp(load + slice_ + random.normal(0, spread, size)))
    return counts


@given(
    values=st.lists(st.integers(0, 10**7), min_size=50, max_size=300), quantile=st.sampled_from([0.1, 0.5, 0.9, 0.99])
)
@settings(max_examples=60, deadline=None)
def test_a_quantile_of_a_histogram_is_within_a_bucket_of_numpys(values, quantile):
    exact = np.quantile(values, quantile, method="inverted_cdf")
    found = float(switchback.quantile_of(histogram(np.array(values)), EDGES, quantile))
    at = np.searchsorted(EDGES, exact, side="right") - 1
    assert EDGES[at] <= found <= EDGES[at + 1]


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_the_interval_covers_what_shadowing_costs_about_as_often_as_it_says(quantile):
    random = np.random.default_rng(7)
    covered = {1.0: 0, 1.1: 0}
    trials = 60
    for cost in covered:
        # the true difference of quantiles, from many requests
        on, off = (1000 * factor * np.exp(np.sqrt(0.3**2 + 0.1**2 + 0.05**2) * random.normal(0, 1, 400_000))
                   for factor in (cost, 1.0))  # fmt: skip
        truth = np.quantile(on, quantile) - np.quantile(off, quantile)
        for _ in range(trials):
            found = switchback.differences(experiment(random, cost=cost), EDGES, [quantile])[0]
            covered[cost] += found.lower <= truth <= found.upper
    assert all(count / trials >= 0.84 for count in covered.values()), covered


def test_a_cost_that_is_there_is_found_and_an_equal_latency_is_not_called_a_cost():
    random = np.random.default_rng(3)
    dear = switchback.differences(experiment(random, cost=1.5), EDGES, [0.5])[0]
    assert dear.lower > 300
    free = switchback.differences(experiment(random, cost=1.0), EDGES, [0.5])[0]
    assert free.lower < 0 < free.upper


def test_strata_are_compared_within_themselves():
    """Off-slices happened to hold more of the slow stratum: the difference within each is nothing."""
    random = np.random.default_rng(5)
    fast = experiment(random, on=400, off=10, spread=0.05)
    slow = experiment(random, on=100, off=40, spread=0.05)
    slow = np.roll(slow, 24, axis=3)  # three doublings slower
    together = switchback.differences(np.concatenate([fast, slow]), EDGES, [0.5])[0]
    assert together.lower - 60 < 0 < together.upper + 60
    mixed = switchback.differences(fast + slow, EDGES, [0.5])[0]
    assert mixed.upper < -1000


@pytest.mark.parametrize(
    ("groups", "on", "off", "quantile"), [(8, 400, 400, 0.5), (64, 400, 0, 0.5), (64, 400, 4, 0.99)]
)
def test_too_little_gives_no_number(groups, on, off, quantile):
    counts = experiment(np.random.default_rng(1), groups=groups, on=on, off=off)
    assert switchback.differences(counts, EDGES, [quantile])[0] is None
