"""A batch: the instances of one request, and what either arm said of each.

The request alone says how many there are. A part `*` of a pointer stands for each element of an array, which has to
be as long as that; a tensor is read along its first dimension; everything else is of all instances alike.
"""

from typing import Any, Final

from gnomon.errors import GnomonError
from gnomon.ports import MISSING, CannotCompare, ModelProtocol, WrongShape
from gnomon.protocols.message import at
from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Plan, Selector

LIMIT: Final = 10_000
"""Instances of one request. A longer batch is a lost pair: leaving out some of it, or taking it for a tie, would hide
what the candidate did with it."""

EACH: Final = "*"
_TENSORS: Final = frozenset({"input", "output"})


class Instances:
    """Reads batches under one plan.

    Raises GnomonError when its protocol cannot take a tensor apart.
    """

    def __init__(self, plan: Plan, protocol: ModelProtocol) -> None:
        assert plan.unit.instances is not None
        self._of = plan.unit.instances
        self._protocol: Any = protocol
        key = plan.truth.key if plan.truth else None
        for selector in (self._of, *([key] if key else []), *(output.of for output in plan.outputs)):
            if selector.where in _TENSORS and not hasattr(protocol, "batch_of_answer"):
                raise GnomonError(
                    f"{selector} cannot be read as a batch: protocol {plan.protocol} does not take tensors apart; "
                    f"write body: and a pointer with a part *"
                )

    def count(self, request: Request) -> int:
        """How many there are. A request without the array, and one whose array is empty, is a batch of one.

        Raises CannotCompare for a batch over LIMIT.
        """
        if self._of.where in _TENSORS:
            found = self._protocol.batch_of_request(self._of, request)
        else:
            found = self._protocol.read_request(self._of, request)
        count = len(found) if type(found) is list else 0
        if count > LIMIT:
            raise CannotCompare(f"its request holds {count} instances, more than {LIMIT}")
        return max(1, count)

    def named(self, selector: Selector, request: Request, count: int) -> list[Any]:
        """The value of each instance in a request, MISSING where there is none."""
        if selector.where in _TENSORS:
            found = self._protocol.batch_of_request(selector, request)
        elif (parts := _parted(selector)) is not None:
            before, after = parts
            found = self._protocol.read_request(before, request)
            found = [at(each, after) for each in found] if type(found) is list else found
        else:
            return [self._protocol.read_request(selector, request)] * count
        return found if type(found) is list and len(found) == count else [MISSING] * count

    def values(self, selector: Selector, answer: Answer, count: int) -> list[Any]:
        """The value of each instance in an answer.

        Raises Unreadable or WrongShape.
        """
        if selector.where in _TENSORS:
            found = self._protocol.batch_of_answer(selector, answer)
        elif (parts := _parted(selector)) is not None:
            before, after = parts
            array = self._protocol.read_answer(before, answer)
            if type(array) is not list:
                raise WrongShape(f"the answer has no array at {before.name}")
            found = [at(each, after) for each in array]
            if any(each is MISSING for each in found):
                raise WrongShape(f"an instance of the answer has nothing at {after}")
        else:
            return [self._protocol.read_answer(selector, answer)] * count
        if len(found) != count:
            raise WrongShape(f"the answer holds {len(found)} instances of {selector}, the request {count}")
        return list(found)


def _parted(selector: Selector) -> tuple[Selector, str] | None:
    """The selector of the array, and the pointer inside of an element; None: it holds no `*`."""
    if selector.where != "body":
        return None
    parts = selector.name.split("/")
    if EACH not in parts:
        return None
    place = parts.index(EACH)
    after = "".join(f"/{part}" for part in parts[place + 1 :])
    return Selector(where="body", name="/".join(parts[:place])), after
