"""exact: equal as JSON values. 1 equals 1.0; "1" is not 1; the order of keys does not matter, that of items does."""

from typing import Any

from gnomon.protocols.canonical import canonical
from gnomon.records.plan import Output


class Exact:
    """Equality of canonical JSON texts."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def stored(self, value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
        """Canonical JSON text (RFC 8785).

        Raises WrongShape for NaN and infinities.
        """
        return canonical(value)

    def agree(self, production: str, candidate: str) -> bool:
        """Whether the texts are the same."""
        return production == candidate

    def distance(self, production: str, candidate: str) -> float:
        """0 or 1."""
        return float(production != candidate)
