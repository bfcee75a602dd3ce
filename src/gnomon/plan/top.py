"""Top: the most frequent values of a segment, written into the plan before it is sealed.

A segment with `top: 8` and no `values` has no names yet. They are found once, before any pair counts, and from then on
stand beside `top`: what is sealed has names.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from gnomon.plan.cells import RESERVED

LONGEST: Final = 1000
"""Characters of a value that is a name; a longer one is no text that a plan takes."""

Counts = Mapping[str, Mapping[str, int]]
"""By segment: how often each value was seen."""


def unresolved(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The segments of a checked document whose names are still to be found."""
    declared = document.get("segments") or {}
    return tuple(name for name, each in declared.items() if each.get("top") is not None and "values" not in each)


def resolve(document: Mapping[str, Any], counts: Counts) -> dict[str, Any]:
    """The document with the most frequent values in it: the larger count first, ties by value.

    What was never seen has no name: a segment may get fewer values than it asked for. ValueError where none was seen.
    """
    resolved = copy.deepcopy(dict(document))
    for name in unresolved(document):
        segment = resolved["segments"][name]
        found = {value: count for value, count in counts.get(name, {}).items() if count > 0 and _is_name(value)}
        if not found:
            raise ValueError(name)
        ranked = sorted(found, key=lambda value: (-found[value], value))
        segment["values"] = ranked[: segment["top"]]
    return resolved


def filled(document: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the names that an earlier one, otherwise perhaps the same, found for its segments."""
    made = copy.deepcopy(dict(document))
    for name in unresolved(document):
        values = (resolved.get("segments") or {}).get(name, {}).get("values")
        if values is not None:
            made["segments"][name]["values"] = list(values)
    return made


def _is_name(value: str) -> bool:
    """Whether a plan can hold it: what it could not, is of the cell `other` like every value without a name."""
    return value not in RESERVED and value.strip() != "" and len(value) <= LONGEST and value.isprintable()
