"""Kappa against a printed example and statsmodels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

import gnomon.stats as gs

tables = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.integers(0, 200), min_size=k * k, max_size=k * k).map(lambda c: np.array(c).reshape(k, k))
)


def test_the_diagnoses_of_fleiss_levin_and_paik() -> None:
    """Statistical Methods for Rates and Proportions, 3rd ed. (2003), table 18.1: kappa .68, errors .087 and .076."""
    found = gs.cohen_kappa([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    assert isinstance(found, gs.Kappa)
    assert found.value == pytest.approx(0.68, abs=5e-3)
    assert found.error == pytest.approx(0.087, abs=1e-3)
    assert found.error_without == pytest.approx(0.076, abs=1e-3)
    assert found.agreement == 0.89
    assert found.interval.lower == pytest.approx(found.value - 1.959964 * found.error, abs=1e-6)


def test_rare_classes_make_kappa_small_however_often_raters_agree() -> None:
    found = gs.cohen_kappa([[910, 28], [27, 35]])
    assert isinstance(found, gs.Kappa)
    assert found.agreement == pytest.approx(0.945)
    assert found.value < 0.57


@given(tables)
@settings(deadline=None)
def test_it_is_that_of_statsmodels(table: np.ndarray) -> None:
    found = gs.cohen_kappa(table)
    if isinstance(found, gs.NoEstimate):
        return
    other = cohens_kappa(table)
    assert found.value == pytest.approx(other.kappa, abs=1e-9)
    assert found.error == pytest.approx(math.sqrt(max(0.0, other.var_kappa)), abs=1e-6)
    assert found.error_without == pytest.approx(math.sqrt(max(0.0, other.var_kappa0)), abs=1e-6)
    assert -1 <= found.interval.lower <= found.value + 1e-12
    assert found.value - 1e-12 <= found.interval.upper <= 1


@given(tables)
@settings(deadline=None)
def test_raters_and_classes_may_change_places(table: np.ndarray) -> None:
    one, two, three = (gs.cohen_kappa(t) for t in (table, table.T, table[::-1, ::-1]))
    if isinstance(one, gs.NoEstimate):
        assert one == two == three
    else:
        assert isinstance(two, gs.Kappa)
        assert isinstance(three, gs.Kappa)
        assert (one.value, one.error) == pytest.approx((two.value, two.error), abs=1e-9)
        assert (one.value, one.error) == pytest.approx((three.value, three.error), abs=1e-9)


def test_where_there_is_none_it_says_why() -> None:
    assert gs.cohen_kappa([[0, 0], [0, 0]]) == gs.NoEstimate("no items")
    found = gs.cohen_kappa([[7, 0], [0, 0]])
    assert isinstance(found, gs.NoEstimate)
    assert "one class" in found.why
    with pytest.raises(ValueError, match="square table"):
        gs.cohen_kappa([[1, 2, 3], [4, 5, 6]])
