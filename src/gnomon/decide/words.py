"""How numbers are written in the sentences of a verdict."""

import json
from fractions import Fraction
from functools import lru_cache

from gnomon.decide.claims import PPM


def percent(share_of: Fraction) -> str:
    """A share of the traffic: `83.1 %`."""
    return f"{100 * share_of.numerator / share_of.denominator:.1f} %"  # as exact as the fraction's product, and faster


def percent_of(part: int, whole: int) -> str:
    """`2.5 %`, with as many digits as a small share needs."""
    return f"{100 * part / whole:.2g} %"


def points(ppm: int) -> str:
    """A margin: `4.0 pp`."""
    shown = ppm / 10_000
    return f"{shown:.1f} pp" if round(shown, 1) == shown else f"{shown:g} pp"


def share(ppm: int) -> str:
    """A declared share: `0.5 %`."""
    return f"{ppm / 10_000:g} %"


def count(number: int, noun: str) -> str:
    """A number and its noun: `1 unit`, `1,200 units`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def short(e_value: float) -> str:
    """An e-value for people."""
    return f"{e_value:,.0f}" if 100 <= e_value < 1e6 else f"{e_value:.3g}"


def span(us: int) -> str:
    """A duration in its largest fitting unit."""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us / 1_000_000:.3g} s"


def milliseconds(us: float) -> str:
    """A latency: `212 ms`, `1.2 s`."""
    return f"{us / PPM:.3g} s" if us >= PPM else f"{us / 1_000:.3g} ms"


def times(ratio: tuple[int, int]) -> str:
    """A declared ratio: `1.2`."""
    return f"{ratio[0] / ratio[1]:g}"


@lru_cache(maxsize=1024)  # hundreds of segments name the same one
def value(text: str) -> str:
    """A value of an output as it is read aloud: the string "fraud" without its quotation marks."""
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return read if isinstance(read, str) and read else text


def one_of(texts: tuple[str, ...]) -> str:
    """`allow`, `allow or review`, `a, b or c`."""
    shown = [value(text) for text in texts]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
