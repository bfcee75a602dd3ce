"""Units: the text of a plan to integers, exactly.

Promises  durations are whole microseconds, shares whole parts per million, probabilities integers over 2**32, sizes
          bytes; the arithmetic is decimal, so 0.1 % is 1,000 parts per million and not nearly so; what does not
          fit exactly is refused (a probability alone is rounded, to the nearest of 2**32)
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

PPM: Final = 1_000_000
ONE: Final = 1 << 32
"""A probability of 1."""

_NUMBER: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*([A-Za-z%]*)", re.ASCII)
_LONGEST: Final = 40  # characters; a number of a megabyte is no number

DURATIONS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
"""Microseconds in each unit of time."""

LONGEST_US: Final = 3_660 * DURATIONS["d"]
"""Ten years: longer is a slip of the pen."""

SIZES: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
"""Bytes in each unit of size."""

_RATIO: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+) *x +production", re.ASCII)
_LARGEST_RATIO: Final = 100
_WITHIN: Final = re.compile(r"([+-]?[0-9.]+ *pp) +of +production", re.ASCII)

_SHARES: Final = {"%": Decimal(100), "pp": Decimal(100)}


class UnitError(ValueError):
    """A text that is not the quantity it should be."""

    def __init__(self, found: str, do: str) -> None:
        super().__init__(f"{found}; {do}")
        self.found = found
        self.do = do


def duration_us(value: object) -> int:
    """``250ms``, ``2s``, ``1h``, ``14d`` in microseconds, from 0 to ten years.

    Raises UnitError.
    """
    do = "write a number and a unit, such as 250ms, 2s, 15m, 1h, 14d"
    number, unit = _split(value, "a duration", do)
    if unit not in DURATIONS:
        raise UnitError(f"is not a duration: found {shown(value)}", do)
    exact = number * DURATIONS[unit]
    if exact < 0:
        raise UnitError(f"is negative: found {shown(value)}", do)
    if exact > LONGEST_US:
        raise UnitError(f"is longer than ten years: found {shown(value)}", do)
    return _whole(exact, value, "one microsecond")


def share_ppm(value: object) -> int:
    """``5%``, ``0.5pp`` or ``0.05`` in parts per million; may be negative, is at most 100 % either way.

    A number without a unit must be between -1 and 1, as `1` could mean 1 % or 100 %.

    Raises UnitError.
    """
    exact = _share(value)
    return _whole(exact * PPM, value, "one part per million (0.0001%)")


def probability(value: object) -> int:
    """``20%`` or ``0.2`` as an integer over 2**32, rounded to the nearest; above 0, and 100 % is 2**32.

    Raises UnitError.
    """
    exact = _share(value)
    rounded = int((exact * ONE).to_integral_value())
    if rounded <= 0:
        raise UnitError(f"must be above 0: found {shown(value)}", "write a share above 0% and up to 100%")
    return rounded


def stratum_rate(value: object) -> int:
    """A probability of a stratum, over 2**32. Its evidence is weighted by 1/rate, which 0 has none of.

    Raises UnitError.
    """
    if 0 <= _share(value) * ONE <= Decimal("0.5"):  # what `probability` rounds to 0
        raise UnitError(
            f"is a rate of 0%: found {shown(value)}, and a stratum with rate 0% is never seen",
            "leave it out of the routes or give it a small rate, such as 1%",
        )
    return probability(value)


def ratio(value: object) -> tuple[int, int]:
    """``1.2 x production`` as a fraction in lowest terms, above 1 and at most 100, of at most three decimals.

    Raises UnitError.
    """
    do = "write a multiple of production's, such as 1.2 x production"
    match = _RATIO.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None:
        raise UnitError(f"is no multiple of production's: found {shown(value)}", do)
    exact = Fraction(Decimal(match[1]))
    if exact <= 1:
        raise UnitError(
            f"must be above 1 x production: found {shown(value)}; a candidate that is as good could never show it", do
        )
    if exact > _LARGEST_RATIO or 1000 % exact.denominator:
        raise UnitError(f"must be at most 100, with at most three decimals: found {shown(value)}", do)
    return exact.numerator, exact.denominator


def within(value: object) -> int:
    """``0.5pp of production`` in parts per million.

    Raises UnitError.
    """
    do = "write it in percentage points, such as 0.5pp of production"
    match = _WITHIN.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None:
        found = "could mean a part of production's share" if isinstance(value, str) and "%" in value else "is no margin"
        raise UnitError(f"{found}: found {shown(value)}", do)
    return share_ppm(match[1])


def size_bytes(value: object) -> int:
    """``512B``, ``64KiB``, ``1MB`` in bytes.

    Raises UnitError.
    """
    do = "write a number and a unit, such as 512B, 64KiB, 1MB"
    number, unit = _split(value, "a size", do)
    if unit not in SIZES or number < 0:
        raise UnitError(f"is not a size: found {shown(value)}", do)
    return _whole(number * SIZES[unit], value, "one byte")


def show_share(ppm: int, unit: str = "%") -> str:
    """Parts per million for people: ``4pp``, ``0.25%``. Reads back as the same number."""
    return f"{_plain(Decimal(ppm) / (PPM // 100))}{unit}"


def show_ratio(of: tuple[int, int]) -> str:
    """A ratio for people: ``1.2``. Its denominator divides a power of ten."""
    return _plain(Decimal(of[0]) / Decimal(of[1]))


def show_duration(us: int) -> str:
    """Microseconds for people, in the largest unit that holds them whole: ``250ms``, ``14d``. Reads back the same."""
    for unit in ("d", "h", "m", "s", "ms"):
        if us and us % DURATIONS[unit] == 0:
            return f"{us // DURATIONS[unit]}{unit}"
    return f"{us}us" if us else "0s"


def shown(value: object) -> str:
    """What was found, for a message: shortened, with its type where the type is the surprise."""
    if isinstance(value, str):
        text = value if len(value) <= 60 else f"{value[:57]}..."
        return repr(text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value!r}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing"


def _split(value: object, noun: str, do: str) -> tuple[Decimal, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnitError(f"has no unit: found {shown(value)}", do)
    if not isinstance(value, str):
        raise UnitError(f"is not {noun}: found {shown(value)}", do)
    match = _NUMBER.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    if match is None:
        raise UnitError(f"is not {noun}: found {shown(value)}", do)
    if not match[2]:
        raise UnitError(f"has no unit: found {shown(value)}", do)
    return Decimal(match[1]), match[2]


def _share(value: object) -> Decimal:
    do = "write a share such as 5%, 0.5pp or 0.05"
    if isinstance(value, int | float) and not isinstance(value, bool):
        # repr gives the shortest digits that read back as the same float, which are those in the file
        exact = Decimal(repr(value))
        if not exact.is_finite() or not -1 < exact < 1:
            raise UnitError(f"has no unit: found {shown(value)}", f"write {value}% or {value}pp, or a number below 1")
        return exact
    number, unit = _split(value, "a share", do)
    if unit not in _SHARES:
        raise UnitError(f"is not a share: found {shown(value)}", do)
    exact = number / _SHARES[unit]
    if abs(exact) > 1:
        raise UnitError(f"is more than 100%: found {shown(value)}", do)
    return exact


def _whole(exact: Decimal, value: object, step: str) -> int:
    if exact != exact.to_integral_value():
        raise UnitError(f"is finer than {step}: found {shown(value)}", f"round it to whole steps of {step}")
    return int(exact)


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
