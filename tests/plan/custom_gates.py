"""Gates of a user's own, as a plan may name them."""

from typing import Any

NOT_A_FUNCTION = 7


def shorter(pair: Any) -> float:
    """Half a point to the arm whose answer is shorter."""
    return 0.5 if len(pair.candidate.body) < len(pair.production.body) else -0.5
