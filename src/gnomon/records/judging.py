"""What the runner and the process of the custom gates say to each other: length-prefixed msgpack over a socket."""

from msgspec import Struct

from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Custom


class Begin(Struct, frozen=True, array_like=True):
    """Runner, first: these are the gates, numbered in this order. Answered with a Begun."""

    gates: tuple[Custom, ...]
    limit_s: float
    """Seconds that one gate may take with one pair."""


class Begun(Struct, frozen=True, array_like=True):
    """They are loaded, or why not."""

    problem: str


class Ask(Struct, frozen=True, array_like=True):
    """Runner: a pair, and the gates that are asked about it. Answered with one Said for each, in order."""

    gates: tuple[int, ...]
    request: Request
    production: Answer
    candidate: Answer


class Said(Struct, frozen=True, array_like=True):
    """What a gate said."""

    value: float | None
    trouble: str
    """Why it is no number, in words that quote nothing of the pair; empty: it is one."""
