"""Numbers as people read them."""

import pytest

from gnomon.report import scales, words
from tests.report import reports

ACCURACY, _, LATENCY = reports.GATES


@pytest.mark.parametrize(
    ("d", "paired", "one_armed"),
    [
        (None, "no data", "no data"),
        (0.0, "0 pp", "0 %"),
        (0.0359, "+3.6 pp", "3.6 %"),
        (-0.157, "−15.7 pp", "15.7 %"),
        (-0.0004, "−0.04 pp", "0.04 %"),
        (-0.000000852, "−0.00009 pp", "0.00009 %"),
    ],
)
def test_a_mean_has_its_unit_and_is_never_rounded_to_zero(d, paired, one_armed):
    assert scales.mean(ACCURACY, d) == paired
    assert scales.mean(LATENCY, d) == one_armed


def test_an_interval_of_a_share_is_read_from_small_to_large():
    test = reports.promoted().verdict.tests[-1]

    assert scales.interval(LATENCY, test) == "0.00009 % to 0.14 %"


@pytest.mark.parametrize(
    ("us", "said"),
    [(None, "none (failed calls)"), (850, "0.85 ms"), (12_340, "12.3 ms"), (150_400, "150 ms"), (2_500_000, "2.5 s")],
)
def test_a_latency_has_its_unit(us, said):
    assert words.latency(us) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "no data"), (0, 5, "0.0 %"), (1, 100_000, "< 0.1 %"), (99_999, 100_000, "> 99.9 %"), (1, 3, "33.3 %")],
)
def test_a_share_of_nothing_is_no_data_and_a_rare_thing_is_not_zero(part, whole, said):
    assert words.share(part, whole) == said


@pytest.mark.parametrize(
    ("e", "shown", "p"),
    [
        (1.0, "1", "1"),
        (20.0, "20", "0.05"),
        (1234.5, "1,234", "0.00081"),
        (2.6e43, "2.6e43", "< 0.0001"),
        (0.0, "< 0.001", "1"),
    ],
)
def test_an_e_value_and_its_sequential_p(e, shown, p):
    assert (words.e_value(e), words.sequential_p(e)) == (shown, p)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"spam"', "spam"),
        ("other", "(other)"),
        ('"other"', "other"),
        ("failed", "(failed)"),
        ("3.5", "3.5"),
        ('""', '""'),
        ('{"a":1}', '{"a":1}'),
        ('"cut o…', '"cut o…'),
    ],
)
def test_a_value_is_read_without_its_quotation_marks(text, said):
    assert words.value(text) == said


def test_a_time_is_utc_and_no_time_is_said():
    assert words.utc(reports.START) == "2026-09-21T14:13:20Z"
    assert words.utc(0) == "nothing yet"
