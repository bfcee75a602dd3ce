"""Units: exact both ways, and refused with the reason."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.plan import units
from gnomon.plan.units import UnitError


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("250ms", 250_000),
        ("2s", 2_000_000),
        ("0.5 h", 1_800_000_000),
        ("14d", 1_209_600_000_000),
        ("0s", 0),
        ("7us", 7),
    ],
)
def test_a_duration_is_whole_microseconds(text: str, us: int) -> None:
    assert units.duration_us(text) == us


@pytest.mark.parametrize(
    ("value", "ppm"),
    [("5%", 50_000), ("4.0pp", 40_000), (0.2, 200_000), ("-0.5pp", -5_000), ("0.0001%", 1), (0, 0), ("100%", 10**6)],
)
def test_a_share_is_whole_parts_per_million(value: object, ppm: int) -> None:
    assert units.share_ppm(value) == ppm


def test_every_millionth_written_as_a_float_is_exact() -> None:
    """0.29 * 1e6 is 289999.99999999994 in binary; in decimal it is 290000."""
    assert all(units.share_ppm(ppm / 10**6) == ppm for ppm in range(0, 10**6, 997))


@given(st.integers(0, 10**6))
def test_a_share_shown_reads_back_the_same(ppm: int) -> None:
    assert units.share_ppm(units.show_share(ppm)) == ppm
    assert units.share_ppm(units.show_share(-ppm, "pp")) == -ppm


@given(st.integers(0, units.LONGEST_US))
def test_a_duration_shown_reads_back_the_same(us: int) -> None:
    assert units.duration_us(units.show_duration(us)) == us


@given(st.decimals(0, 5000, places=3), st.sampled_from(sorted(units.DURATIONS)))
def test_a_duration_is_exact_or_refused(number: Decimal, unit: str) -> None:
    exact = Fraction(number) * units.DURATIONS[unit]
    text = f"{number:f}{unit}"
    if exact.denominator == 1 and exact <= units.LONGEST_US:
        assert units.duration_us(text) == exact
    else:
        with pytest.raises(UnitError):
            units.duration_us(text)


@given(st.decimals("0.000001", 100, places=6))
def test_a_probability_is_the_nearest_of_2_to_the_32(percent: Decimal) -> None:
    exact = Fraction(percent) / 100 * 2**32
    assert abs(units.probability(f"{percent:f}%") - exact) <= Fraction(1, 2)


def test_certainty_is_2_to_the_32() -> None:
    assert units.probability("100%") == 2**32


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.integers())))
def test_whatever_comes_is_a_number_or_a_unit_error(value: object) -> None:
    """No other exception: what stands in a plan is a user's, never a bug of ours."""
    for parse in (units.duration_us, units.share_ppm, units.probability, units.size_bytes):
        said = ""
        try:
            assert isinstance(parse(value), int)
        except UnitError as error:
            said = f"{error.found}; {error.do}"
        assert said.strip("; ") == said


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65_536), ("1.5 MB", 1_500_000)])
def test_a_size_is_whole_bytes(text: str, size: int) -> None:
    assert units.size_bytes(text) == size


@pytest.mark.parametrize(
    ("parse", "value", "found"),
    [
        (units.duration_us, 2, "has no unit: found the number 2"),
        (units.duration_us, "2", "has no unit: found '2'"),
        (units.duration_us, "2 fortnights", "is not a duration: found '2 fortnights'"),
        (units.duration_us, "-1s", "is negative: found '-1s'"),
        (units.duration_us, "0.5us", "is finer than one microsecond: found '0.5us'"),
        (units.duration_us, "99999d", "is longer than ten years: found '99999d'"),
        (units.share_ppm, 5, "has no unit: found the number 5"),
        (units.share_ppm, float("nan"), "has no unit: found the number nan"),
        (units.share_ppm, True, "is not a share: found true"),
        (units.share_ppm, "120%", "is more than 100%: found '120%'"),
        (units.share_ppm, "0.00001%", "is finer than one part per million (0.0001%): found '0.00001%'"),
        (units.share_ppm, "5 s", "is not a share: found '5 s'"),
        (units.probability, "0%", "must be above 0: found '0%'"),
        (units.size_bytes, "1.0001kB", "is finer than one byte: found '1.0001kB'"),
    ],
)
def test_a_wrong_unit_says_what_was_found(parse, value: object, found: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(value)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("1.2 x production", (6, 5)),
        ("1.50  x  production", (3, 2)),
        ("2x production", (2, 1)),
        ("100 x production", (100, 1)),
    ],
)
def test_a_ratio_is_a_fraction_in_lowest_terms(text: str, ratio: tuple[int, int]) -> None:
    assert units.ratio(text) == ratio


@given(st.integers(1001, 100_000))
def test_a_ratio_shown_reads_back_the_same(thousandths: int) -> None:
    ratio = Fraction(thousandths, 1000)
    assert units.ratio(f"{units.show_ratio((ratio.numerator, ratio.denominator))} x production") == (
        ratio.numerator,
        ratio.denominator,
    )


@pytest.mark.parametrize(
    "value",
    [
        *("1 x production", "0.9 x production", "-2 x production", "1.2", "1.2 x", "x production", "1.2 * production"),
        *("1e3 x production", "100.1 x production", "1.0005 x production", "1.2 x candidate", "9" * 50),
        *(1.2, None),
    ],
)
def test_what_is_no_ratio_is_refused(value: object) -> None:
    with pytest.raises(UnitError) as caught:
        units.ratio(value)
    assert caught.value.do == "write a multiple of production's, such as 1.2 x production"


@pytest.mark.parametrize(("text", "ppm"), [("0.5pp of production", 5_000), ("2 pp  of production", 20_000)])
def test_a_distance_from_production_is_in_percentage_points(text: str, ppm: int) -> None:
    assert units.within(text) == ppm


@pytest.mark.parametrize(
    "value", ["5% of production", "0.5pp", "5pp of candidate", "0.00001pp of production", 0.05, None]
)
def test_what_is_no_distance_from_production_is_refused(value: object) -> None:
    with pytest.raises(UnitError):
        units.within(value)
