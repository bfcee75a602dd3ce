"""json_fields: objects compared field by field, with fields to ignore and a tolerance for numbers.

A field is a place that holds no object: `/total`, `/address/city`; a list is one field. An output that is
no object is the only field.
"""

from typing import Any

import msgspec

from gnomon.protocols.canonical import canonical
from gnomon.records.plan import Output

_decode = msgspec.json.Decoder().decode
_NOTHING = object()


class JsonFields:
    """Agreement of all fields that are not ignored; the distance is the share of fields that differ."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._ignored = [
            [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
            for pointer in output.ignore
            if pointer
        ]
        self._whole = "" in output.ignore

    def stored(self, value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
        """Canonical JSON text of the value without what is ignored.

        Raises WrongShape for NaN and infinities.
        """
        if self._whole:
            return "null"
        for tokens in self._ignored:
            value = _without(value, tokens)
        return canonical(value)

    def agree(self, production: str, candidate: str) -> bool:
        """Whether no field differs."""
        return production == candidate or self.distance(production, candidate) == 0.0

    def distance(self, production: str, candidate: str) -> float:
        """Fields that differ, or that one side lacks, among the fields of both; 0 to 1."""
        ours, theirs = dict(_fields(_decode(production), ())), dict(_fields(_decode(candidate), ()))
        places = ours.keys() | theirs.keys()
        if not places:
            return 0.0
        differ = sum(not self._close(ours.get(place, _NOTHING), theirs.get(place, _NOTHING)) for place in places)
        return differ / len(places)

    def _close(self, one: Any, other: Any) -> bool:  # noqa: ANN401  whatever JSON can hold
        if _is_number(one) and _is_number(other):
            try:
                return bool(abs(one - other) <= self.output.tolerance)
            except OverflowError:  # an integer beyond every float
                return bool(one == other)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(self._close, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(self._close(one[key], other[key]) for key in one)
        return type(one) is type(other) and bool(one == other)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _without(value: Any, tokens: list[str]) -> Any:  # noqa: ANN401  whatever JSON can hold
    """A copy without what the tokens point to; what is not there needs no copy. An item of a list becomes null."""
    head, *rest = tokens
    if isinstance(value, dict) and head in value:
        if rest:
            return value | {head: _without(value[head], rest)}
        return {key: item for key, item in value.items() if key != head}
    if isinstance(value, list) and head.isascii() and head.isdigit() and int(head) < len(value):
        index = int(head)
        return [*value[:index], _without(value[index], rest) if rest else None, *value[index + 1 :]]
    return value


def _fields(value: Any, place: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  see above
    """Every place that holds no object, with its value; an empty object is a field of its own."""
    if isinstance(value, dict) and (value or place):
        if not value:
            return [(place, {})]
        return [field for key, item in value.items() for field in _fields(item, (*place, key))]
    return [] if isinstance(value, dict) else [(place, value)]
