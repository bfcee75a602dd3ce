"""Which requests are copied: strata, rates, sticky keys, and the slices of time in which nothing is.

Every decision is a keyed hash of what the log has, so that anybody who knows the plan's digest can make it again.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from gnomon.fork.sampling import SURE, coin
from gnomon.records.frames import Request
from gnomon.records.plan import ALL, OTHERWISE, Selector, Strata

_STICKY: Final = b"sticky\0"
_SLICE: Final = b"slice\0"


class Draw(NamedTuple):
    """What the coin said of one request."""

    stratum: int
    """Its place among the sampler's names."""
    rate: int
    """Over 2**32."""
    coin: int
    sampled: bool


class Sampler:
    """The rates of one trial."""

    def __init__(self, key: bytes, *, rate: int, strata: Strata | None = None, sticky: Selector | None = None) -> None:
        self.key = key
        self.sticky = sticky
        self.by = None if strata is None else strata.by
        rates = [(ALL, rate)] if strata is None else [*strata.rates, (OTHERWISE, strata.otherwise)]
        self.names: Final = tuple(name for name, _ in rates)
        self.rates: Final = tuple(each for _, each in rates)
        self.rate = self.rates[0]
        self.simple: Final = strata is None and sticky is None
        """Nothing of the request is looked at."""
        self.needs_body: Final = any(each is not None and each.where == "body" for each in (self.by, sticky))
        self._value_of = _nothing if self.simple else _reader()
        self._places = {name: place for place, name in enumerate(self.names[:-1])} if strata is not None else {}

    def toss(self, id_: bytes) -> bool:
        """Whether a request is copied, where nothing of it is looked at."""
        rate = self.rate
        return rate > 0 and (rate >= SURE or coin(self.key, id_) < rate)

    def stratum(self, request: Request) -> int:
        """The place of its stratum. The last one takes what no value names."""
        if self.by is None:
            return 0
        value = self._value_of(self.by, request)
        return len(self.names) - 1 if value is None else self._places.get(value, len(self.names) - 1)

    def draw(self, request: Request) -> Draw:
        """Toss the coin of a request that is whole, or whose head is, where nothing else is looked at."""
        place = self.stratum(request)
        rate = self.rates[place]
        sticky = None if self.sticky is None else self._value_of(self.sticky, request)
        found = coin(self.key, draw_key(sticky, request.id))
        return Draw(place, rate, found, found < rate)


def _nothing(_: Selector, __: Request) -> str | None:
    return None


def _reader() -> Callable[[Selector, Request], str | None]:
    """What reads values: who needs none does without the modules that know how bodies are read."""
    from gnomon.fork.values import value_of

    return value_of


def draw_key(sticky: str | None, id_: bytes) -> bytes:
    """What the coin of a request is tossed with: its sticky value, or its own id where it has none."""
    return id_ if sticky is None else _STICKY + sticky.encode("utf-8", "surrogatepass")


def is_off(key: bytes, time_us: int, *, slice_us: int, slices: int) -> bool:
    """Whether the shadow is off at this time: in one slice of each block of `slices`, drawn by the key."""
    if slice_us <= 0:
        return False
    block, place = divmod(time_us // slice_us, slices)
    return coin(key, _SLICE + block.to_bytes(8, "big")) % slices == place
