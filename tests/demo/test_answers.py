"""The demo's latency figures."""

import math

import pytest
from answers import Answers


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)])
def test_a_quantile_is_the_smallest_latency_that_so_many_answers_were_within(share, expected):
    answers = Answers(milliseconds=[float(n) for n in range(100, 0, -1)])

    assert answers.quantile(share) == expected


def test_without_answers_there_is_no_latency():
    assert math.isnan(Answers(failures=["status 500"]).quantile(0.5))
