"""Resolve: the names of a segment's most frequent values, written into the document before it is sealed.

Promises  what is sealed has names; equal counts give equal names, ties go by value; a document that has them already
          is not touched; a trial goes on with the names that it was sealed with
"""

import copy
from collections.abc import Mapping
from typing import Any

from gnomon.errors import GnomonError
from gnomon.plan.cells import RESERVED
from gnomon.records.plan import Plan, Segment

LONGEST = 1000
"""Characters of a value that can be a name."""


def unresolved(plan: Plan) -> tuple[Segment, ...]:
    """The segments whose `top` is not known yet. A plan with one can be read and explained, and not be sealed."""
    return tuple(segment for segment in plan.segments if segment.top is not None and not segment.values)


def resolve(document: dict[str, Any], counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The document with the `top` most frequent values of each unresolved segment written beside its `top`.

    `counts` has, for each of them, how often each value was seen, the value being the text that a request's segment
    value is matched by; requests without one are not in it. Words of Gnomon's own (`other`) are no names.

    Raises GnomonError when a segment saw no value at all, or is not in `counts`.
    """
    made = copy.deepcopy(document)
    for name, declared in _open(made).items():
        seen = {value: count for value, count in counts.get(name, {}).items() if count > 0 and _is_name(value)}
        ranked = sorted(seen, key=lambda value: (-seen[value], value))
        if not ranked:
            raise GnomonError(
                f"segments.{name} has no top {declared['top']}: no request had a value at {declared['from']}; correct "
                "from, or write values: instead of top"
            )
        declared["values"] = ranked[: declared["top"]]
    return made


def adopt(document: dict[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the names that an earlier, sealed one has for the same segments.

    A plan file keeps its `top` without names. Given again, it is the same plan: its segments were resolved once.
    """
    made = copy.deepcopy(document)
    before = sealed.get("segments")
    for name, declared in _open(made).items():
        known = before.get(name) if isinstance(before, Mapping) else None
        if isinstance(known, Mapping) and {key: known[key] for key in known if key != "values"} == declared:
            declared["values"] = list(known["values"])
    return made


def _open(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The unresolved segments of a checked document, to be written to."""
    segments: dict[str, dict[str, Any]] = document.get("segments", {})
    return {name: each for name, each in segments.items() if each.get("top") is not None and "values" not in each}


def _is_name(value: str) -> bool:
    return value not in RESERVED and 0 < len(value) <= LONGEST and bool(value.strip()) and value.isprintable()
