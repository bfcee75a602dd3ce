"""What the gateway and the runner say to each other: length-prefixed msgpack over a unix stream socket.

Each frame is a 4-byte big-endian length and the msgpack array of one of the structs below (`encode`, `Decoder` in
`gnomon.fork.capture` and `gnomon.shadow.intake`). Numbers count per gateway instance, from 1. The runner acknowledges
the highest number such that it and all before it are committed to the inbox; *handed over* means acknowledged.
"""

from typing import Literal

from msgspec import Struct

Outcome = Literal["ok", "timeout", "refused", "reset", "4xx", "5xx", "unreadable", "wrong_shape", "too_large"]
"""What became of one call. Everything but `ok` is a failed arm. `unreadable` and `wrong_shape` are found by the reader
(the answer is not JSON, the declared output is not in it); `too_large` only for a candidate's answer over its limit."""


class Request(Struct, frozen=True, array_like=True):
    """A captured request. Authorization and cookies are never in it."""

    id: bytes
    """UUIDv7, 16 bytes, ours."""
    time_us: int
    """When the head was complete, microseconds since the epoch."""
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    """Allow-listed only, names in lower case, in their order."""
    body: bytes
    """As received, without transfer coding; a content coding stays."""
    route: str
    stratum: str
    probability: int
    """Over 2**32."""
    epoch: int
    serving: Literal["production", "candidate"]
    """Which of the plan's arms answered the user. The other one is called in the shadow."""


class Answer(Struct, frozen=True, array_like=True):
    """What the serving arm did with it."""

    outcome: Outcome
    status: int
    """0: none came."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    latency_us: int
    """From the first request byte written to the arm to the last answer byte read."""
    started_us: int
    """When the first request byte was written to the arm, microseconds since the epoch."""
    detail: str = ""


class Hello(Struct, frozen=True, array_like=True, tag=1):
    """First frame of a connection, gateway to runner. Answered with an Ack, or refused by closing."""

    instance: str
    pid: int
    trial: str
    """A runner of another trial closes the connection and takes nothing."""


class Call(Struct, frozen=True, array_like=True, tag=2):
    """Sync mode: the request is complete and the candidate's call starts. Not numbered: it hands nothing over."""

    request: Request


class Settled(Struct, frozen=True, array_like=True, tag=3):
    """Sync mode: production finished with a request whose Call went over this same connection."""

    number: int
    id: bytes
    answer: Answer


class Exchange(Struct, frozen=True, array_like=True, tag=4):
    """The whole exchange: async mode, or sync mode when the Call went over an earlier connection."""

    number: int
    request: Request
    answer: Answer
    late: bool
    """The candidate's call could not start with production's; left out of latency gates."""


class Dropped(Struct, frozen=True, array_like=True, tag=5):
    """Sync mode: a Call whose exchange will not follow (cancelled, guarded, shed)."""

    id: bytes


class Ack(Struct, frozen=True, array_like=True, tag=6):
    """Runner to gateway: every numbered frame up to this one is committed to the inbox; 0: none yet, but welcome."""

    number: int


Frame = Hello | Call | Settled | Exchange | Dropped | Ack
