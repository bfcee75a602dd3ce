"""Two precisions of which neither is known: against exact enumeration, and by what must hold."""

from math import comb

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gnomon.stats import betting
from gnomon.stats.precision import SCAN, Flags, flags, precision_e, precision_e_reject, precision_interval

CLAIMS = (betting.Claim(margin=0.15, disagreement=0.1, top=0), betting.Claim(margin=0.1, disagreement=0.1, top=0))
ALPHA = 0.05


def arm(*counts: tuple[int, int]) -> Flags:
    """For each test (wrong, right)."""
    return flags([[(1.0, [(-40, wrong), (0, right)])] for wrong, right in counts])


def mean_of(evidence: np.ndarray, n: int, wrong: float) -> float:
    """The exact expectation over a binomial number of wrong flags, summed term by term."""
    return sum(comb(n, k) * wrong**k * (1 - wrong) ** (n - k) * float(evidence[k]) for k in range(n + 1))


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("margin", [0.02, 0.1, 0.4])
def test_at_the_bound_the_evidence_has_a_mean_of_four_fifths(n: int, margin: float) -> None:
    """Production flagged nothing, so its precision may be 1: the candidate's is 1 - margin, and the bet is fair."""
    every = [(k, n - k) for k in range(n + 1)]
    e = precision_e(arm(*every), arm(*[(0, 0)] * (n + 1)), [margin] * (n + 1), [CLAIMS] * (n + 1), ALPHA)
    assert mean_of(e, n, margin) == pytest.approx(SCAN, rel=1e-9)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_so_has_the_evidence_for_harm_at_the_lower_end_of_productions_precision(n: int) -> None:
    production, margin = (50, 950), 0.05
    counts = np.array([[50, 950]])
    lower = float(betting.lower_bounds(counts, (-40, 0), [CLAIMS[1]], (1 - SCAN) * ALPHA)[0])
    every = [(k, n - k) for k in range(n + 1)]
    e = precision_e_reject(arm(*every), arm(*[production] * (n + 1)), [margin] * (n + 1), [CLAIMS] * (n + 1), ALPHA)
    assert mean_of(e, n, margin - lower) == pytest.approx(SCAN, rel=1e-6)


@given(st.integers(0, 500), st.integers(0, 5_000), st.integers(0, 500), st.integers(0, 5_000))
@example(1, 0, 44, 0)  # production is so bad that nothing can be worse by more than the margin
@settings(deadline=None)
def test_the_interval_ends_where_the_evidence_does(wrong: int, right: int, wrong_a: int, right_a: int) -> None:
    b, a = arm((wrong, right)), arm((wrong_a, right_a))
    lower, upper = precision_interval(b, a, [CLAIMS], ALPHA)
    assert -1 <= lower[0] <= 1
    assert -1 <= upper[0] <= 1
    for margin, found in ((0.02, precision_e), (0.05, precision_e), (0.2, precision_e)):
        e = float(found(b, a, [margin], [CLAIMS], ALPHA)[0])
        assert np.isfinite(e)
        if wrong + right == 0:  # a candidate that flags nothing has shown nothing, whatever production's precision is
            assert e < 1 / ALPHA
        elif abs(lower[0] + margin) > 1e-6:
            assert (e >= 1 / ALPHA) == (lower[0] > -margin)


def test_many_tests_stand_beside_each_other_without_touching() -> None:
    both = precision_e(arm((10, 990), (90, 910)), arm((10, 990), (10, 990)), [0.05] * 2, [CLAIMS] * 2, ALPHA)
    alone = [
        float(precision_e(arm(each), arm((10, 990)), [0.05], [CLAIMS], ALPHA)[0]) for each in ((10, 990), (90, 910))
    ]
    assert both.tolist() == alone
    assert precision_e(arm(), arm(), [], [], ALPHA).shape == (0,)
