"""number: equal within an absolute tolerance."""

import math
from typing import Any

from gnomon.ports import WrongShape
from gnomon.records.plan import Output


class Number:
    """Agreement of numbers: |production - candidate| <= tolerance, as in the evidence's check against truth."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def stored(self, value: Any) -> float:  # noqa: ANN401  whatever JSON can hold
        """The number.

        Raises WrongShape for what is not a JSON number, and for NaN and infinities.
        """
        if type(value) is not int and type(value) is not float:
            raise WrongShape(f"output {self.output.name!r} is no number: {type(value).__name__}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise WrongShape(f"output {self.output.name!r} is not finite")
        return number

    def agree(self, production: float, candidate: float) -> bool:
        """Whether they are within the tolerance."""
        return abs(production - candidate) <= self.output.tolerance

    def distance(self, production: float, candidate: float) -> float:
        """The absolute difference."""
        return abs(production - candidate)
