"""Custom gates: a function of a user's own, and the pair that it looks at."""

import math
from collections.abc import Callable
from functools import cached_property
from numbers import Real
from typing import Any

from gnomon import plugins
from gnomon.errors import GnomonError
from gnomon.protocols.message import decoded, parsed
from gnomon.records.frames import Answer, Request
from gnomon.records.plan import Custom

Function = Callable[["PairView"], object]


def loaded(custom: Custom) -> Function:
    """The function that was sealed.

    Raises GnomonError when it is not there, or is not the code that the plan's digest is of.
    """
    function, found = plugins.gate(custom.function)
    if found != custom.digest:
        raise GnomonError(
            f"the code of custom gate {custom.function} is not what was sealed: its source file has SHA-256 {found}, "
            f"the plan says {custom.digest}; bring the old code back, or register a new plan"
        )
    return function


def judged(function: Function, request: Request, production: Answer, candidate: Answer) -> tuple[float | None, str]:
    """What a function says of a pair, and why it is no number. The words quote nothing of the pair, nor of an error."""
    try:
        said = function(PairView(request, production, candidate))
    except (Exception, SystemExit) as error:  # noqa: BLE001  it is a user's
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        return None, f"raised {type(error).__name__}{where}"
    return _number(said)


def _number(said: object) -> tuple[float | None, str]:
    if isinstance(said, bool) or not isinstance(said, Real):
        return None, f"returned {type(said).__name__}, which is no number"
    try:
        number = float(said)
    except (OverflowError, ValueError):
        number = math.inf
    if math.isfinite(number) and -1 <= number <= 1:
        return number, ""
    return None, "returned a number that is not in [-1, 1]" if math.isfinite(number) else "returned no finite number"


class _Message:
    def __init__(self, message: Request | Answer) -> None:
        self._message = message

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """See ports.Message."""
        return self._message.headers

    @cached_property
    def body(self) -> bytes:
        """See ports.Message."""
        return decoded(self._message.body, self._message.headers)

    @cached_property
    def json(self) -> Any:  # noqa: ANN401  whatever JSON can hold
        """See ports.Message."""
        return parsed(self.body)


class RequestView(_Message):
    """See ports.AskedMessage."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.method = request.method
        self.target = request.target


class AnswerView(_Message):
    """See ports.AnswerMessage."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.status = answer.status
        self.latency_us = answer.latency_us


class PairView:
    """See ports.Pair. Each function gets one of its own, so that none can change what another one reads."""

    def __init__(self, request: Request, production: Answer, candidate: Answer) -> None:
        self.request = RequestView(request)
        self.production = AnswerView(production)
        self.candidate = AnswerView(candidate)
