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
