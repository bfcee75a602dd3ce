"""Cells: the places where a gate must hold, from the declared segments; and what a map says about one of them."""

from collections.abc import Mapping, Sequence

from gnomon.plan.language import SegmentModel
from gnomon.plan.scalars import EVERYWHERE
from gnomon.records.plan import BELOW, MISSING, OTHER, OVERALL, Segment, Selector

Place = tuple[str, str]
"""Segment and value; (``overall``, empty) for all requests."""

ALL: Place = (OVERALL, "")
OTHERWISE = "otherwise"
RESERVED = frozenset({OTHER, MISSING, BELOW, OVERALL, OTHERWISE})


def segment(name: str, model: SegmentModel) -> Segment:
    """The record of a declared segment."""
    return Segment(
        name=name,
        of=_selector(model),
        values=tuple(model.values or ()),
        edges=tuple(model.bins or ()),
        top=model.top,
        learn=model.learn or 0,
    )


def cells_of(declared: Segment) -> tuple[Place, ...]:
    """Every cell of one segment: its values, then `below` (bins), `other` (values) and `missing`.

    A number that is not below falls into a bin, so `other` of bins holds what is no number.
    """
    catch_all = (BELOW, OTHER, MISSING) if declared.edges else (OTHER, MISSING)
    return tuple((declared.name, value) for value in (*declared.labels, *catch_all))


def name_of(place: Place) -> str:
    """``overall`` or ``segment=value``."""
    return OVERALL if place == ALL else f"{place[0]}={place[1]}"


def places(where: str | tuple[str, ...], segments: Sequence[Segment]) -> tuple[Place, ...]:
    """The cells that a gate's `where` stands for, in the plan's order. A segment's name stands for all its cells."""
    every = tuple(cell for declared in segments for cell in cells_of(declared))
    if where == OVERALL:
        return (ALL,)
    if isinstance(where, str):
        return (ALL, *every) if where == EVERYWHERE else every
    return tuple(place for place in (ALL, *every) if name_of(place) in where or place[0] in where)


def names(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Every name that a list of cells may hold."""
    cells = [name_of(cell) for declared in segments for cell in cells_of(declared)]
    return (OVERALL, *(declared.name for declared in segments), *cells)


def look_up(by_name: Mapping[str, int], place: Place) -> int | None:
    """What a map says about a cell: its own entry, else its segment's, else `otherwise`."""
    for name in (name_of(place), place[0], OTHERWISE):
        if name in by_name:
            return by_name[name]
    return None


def _selector(model: SegmentModel) -> Selector:
    return model.from_
