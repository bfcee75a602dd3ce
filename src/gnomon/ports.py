"""The seams: what a plugin has to be. Each is a Protocol, so that a plugin needs nothing from here but its shape."""

from enum import Enum
from typing import Any, Final, Literal, Protocol

from gnomon.records.frames import Answer, Outcome, Request
from gnomon.records.plan import Selector


class Absent(Enum):
    """The type of MISSING."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Absent.MISSING
"""A request does not hold the value. JSON's null is a value."""


class ReadError(ValueError):
    """An answer that arrived whole and is no use. It fails the arm, and is never an error of ours."""

    outcome: Outcome


class Unreadable(ReadError):
    """The body is not what the protocol says: not JSON, or in a coding that cannot be undone."""

    outcome: Outcome = "unreadable"


class WrongShape(ReadError):
    """The body can be read, and what the plan declares is not in it, or is of a wrong kind."""

    outcome: Outcome = "wrong_shape"


class CannotCompare(ValueError):
    """An exchange of which no rows can be made. It is set aside as a lost pair; the words quote nothing of it."""


class Message(Protocol):
    """A request, or an arm's answer, as a custom gate sees it."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Those that were captured: lower-case name and value, in their order."""

    @property
    def body(self) -> bytes:
        """Without its content coding. Raises Unreadable for one that cannot be undone."""

    @property
    def json(self) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The body as JSON, read when it is asked for. Raises Unreadable for what is none."""


class AskedMessage(Message, Protocol):
    """The request."""

    @property
    def method(self) -> str:
        """Such as POST."""

    @property
    def target(self) -> str:
        """Path and query, as they came."""


class AnswerMessage(Message, Protocol):
    """An arm's answer; both arms of a pair answered with a status below 400."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def latency_us(self) -> int:
        """From the first byte of the request to the last one of the answer."""


class Pair(Protocol):
    """What a custom gate is asked about: one request, and what both arms answered."""

    @property
    def request(self) -> AskedMessage:
        """As the client sent it."""

    @property
    def production(self) -> AnswerMessage:
        """What the user got."""

    @property
    def candidate(self) -> AnswerMessage:
        """What the candidate would have said."""


class CustomGate(Protocol):
    """A gate of one's own. It has a process to itself, so that it may fail or hang and costs no more than its number.

    It should depend on the pair alone: a pair may be asked about again after a restart.
    """

    def __call__(self, pair: Pair) -> float:
        """In [-1, 1], positive where the candidate is better.

        Anything else, an exception, and nothing within two seconds is no number: the worst case, in both directions.
        """


class ModelProtocol(Protocol):
    """How model traffic is read."""

    def read_request(self, selector: Selector, request: Request) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The value at `selector`, or MISSING. Never raises for what a client sent."""

    def read_answer(self, selector: Selector, answer: Answer) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The value at `selector`.

        Raises Unreadable or WrongShape.
        """


class Batched(Protocol):
    """A protocol that has batches in other places than a body: tensors with a first dimension."""

    def batch_of_request(self, selector: Selector, request: Request) -> Any:  # noqa: ANN401  a list, or MISSING
        """The elements at `selector` along their first dimension, or MISSING. Never raises for what a client sent."""

    def batch_of_answer(self, selector: Selector, answer: Answer) -> list[Any]:
        """The elements at `selector` along their first dimension.

        Raises Unreadable or WrongShape.
        """


class Comparator(Protocol):
    """How two values of one output are compared. Made by a factory that takes the plan's `Output`."""

    def stored(self, value: Any) -> str | float:  # noqa: ANN401  whatever JSON can hold
        """The form of a value that the log holds and that `agree` takes: canonical JSON text, or a number.

        Raises WrongShape.
        """

    def agree(self, production: Any, candidate: Any) -> bool:  # noqa: ANN401  what `stored` gave
        """Whether two stored values count as equal."""

    def distance(self, production: Any, candidate: Any) -> float:  # noqa: ANN401  what `stored` gave
        """How far apart they are, from 0; what 1 means is the comparator's."""
