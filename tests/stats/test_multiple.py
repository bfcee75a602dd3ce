"""Multiplicity against R, statsmodels and sums."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

import gnomon.stats as gs


def test_holm_names_what_r_names() -> None:
    """R 4.2.2: p.adjust(c(.01, .04, .03, .005), "holm") is .03 .06 .06 .02."""
    assert gs.holm([0.01, 0.04, 0.03, 0.005], 0.05) == (0, 3)
    assert gs.holm([0.01, 0.04, 0.03, 0.005], 0.0601) == (0, 1, 2, 3)
    assert gs.holm([], 0.05) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_holm_names_what_statsmodels_names(p_values, alpha: float) -> None:
    with mock.patch("gc.collect"):  # multipletests collects garbage once a call
        expected = multipletests(p_values, alpha=alpha, method="holm")[0]
    borderline = any(math.isclose(p * k, alpha, rel_tol=1e-9) for p in p_values for k in range(1, 10))
    if not borderline:
        assert gs.holm(p_values, alpha) == tuple(np.flatnonzero(expected))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
@settings(deadline=None)
def test_holm_on_e_values_is_holm_on_their_p_values(e_values) -> None:
    p_values = gs.anytime_p(e_values).tolist()
    borderline = any(math.isclose(e * 0.05, k, rel_tol=1e-9) for e in e_values for k in range(1, 10))
    if not borderline:
        assert gs.e_holm(e_values, 0.05) == gs.holm(p_values, 0.05)


@given(st.lists(st.floats(0, 1e300), min_size=0, max_size=9))
@settings(deadline=None)
def test_the_mean_of_e_values_is_one_and_none_is_no_evidence(e_values) -> None:
    found = float(gs.e_mean(e_values))
    assert math.isfinite(found)
    assert found == pytest.approx(sum(e / len(e_values) for e in e_values) if e_values else 1.0)
    assert gs.e_mean([[1.0, 3.0], [20.0, 0.0]]).tolist() == [2.0, 10.0]


def test_a_p_value_is_one_over_e_and_at_most_one() -> None:
    assert gs.anytime_p([0.0, 0.5, 1.0, 20.0, 1e300]).tolist() == [1.0, 1.0, 1.0, 0.05, 1e-300]


def test_all_attempts_to_come_cost_alpha_together() -> None:
    assert gs.attempt_alpha(0.05, 1) == pytest.approx(0.05 * 6 / math.pi**2)
    assert sum(gs.attempt_alpha(0.05, k) for k in range(1, 200_000)) == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gs.holm([1.5], 0.05),
        lambda: gs.holm([float("nan")], 0.05),
        lambda: gs.holm([0.5], 0),
        lambda: gs.e_mean([-1.0]),
        lambda: gs.e_mean([float("nan")]),
        lambda: gs.attempt_alpha(0.05, 0),
    ],
)
def test_what_cannot_be_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"must|counted"):
        call()
