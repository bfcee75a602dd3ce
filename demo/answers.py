"""What a user saw: how long each answer took, and what went wrong."""

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answers:
    """What came back: milliseconds of each answered request, and what went wrong."""

    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """The smallest latency that at least `share` of the answers were within; NaN without answers."""
        ordered = sorted(self.milliseconds)
        if not ordered:
            return float("nan")
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
