"""Semantics: what takes two parts of a plan to get wrong.

Promises  every check runs, however many others found something; a check whose parts are broken is skipped
Add here  a check: a generator of findings, its row in `CHECKS`
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit

from gnomon.plan import fork_checks, gate_checks, rule_checks
from gnomon.plan.cells import RESERVED, segment
from gnomon.plan.language import OutputModel, SegmentModel
from gnomon.plan.scalars import NAME
from gnomon.plan.selectors import ANSWER, OPEN_INFERENCE_ONLY, REQUEST
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import PPM, show_duration, show_share, shown
from gnomon.records.plan import Selector

FEWEST_LEARNED: Final = 100
"""Requests from which the most frequent values are found, at least."""


def check(shape: Shape) -> list[Finding]:
    """Everything that is wrong with a document whose parts have the right shape."""
    return [finding for needs, find in CHECKS if not shape.broken.intersection(needs) for finding in find(shape)]


def _addresses(shape: Shape) -> Iterator[Finding]:
    production, candidate = (_origin(arm.url) for arm in (shape.model.production, shape.model.candidate))
    if production == candidate:
        yield Finding(
            ("candidate", "url"),
            "is production's address: a model compared with itself always agrees",
            "give the candidate's own address",
        )


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _routes(shape: Shape) -> Iterator[Finding]:
    routes = [(route.method, route.path) for route in shape.model.routes]
    for index, route in enumerate(routes):
        first = routes.index(route)
        if first < index:
            yield Finding(("routes", index), f"repeats routes[{first}]", "take one of them out")


def _selectors(shape: Shape) -> Iterator[Finding]:
    """Every selector reads a place that its side and the protocol have."""
    for path, selector, side in _used(shape):
        places = REQUEST if side == "a request" else ANSWER
        if selector.where not in places:
            do = f"take one of {', '.join(places)}"
            yield Finding(path, f"reads {selector.where}, which {side} does not have here", do)
        elif (
            selector.where in OPEN_INFERENCE_ONLY and shape.model.protocol == "json" and "protocol" not in shape.broken
        ):
            yield Finding(
                path,
                f"reads {selector.where}:, which protocol json does not have",
                "take body:/..., or declare protocol: open_inference",
            )


def _used(shape: Shape) -> Iterator[tuple[Path, Selector, str]]:
    model = shape.model
    for name, declared in model.segments.items():
        yield ("segments", name, "from"), declared.from_, "a request"
    if model.truth and model.truth.key:
        yield ("truth", "key"), model.truth.key, "a request"
    if model.unit and model.unit.cluster:
        yield ("unit", "cluster"), model.unit.cluster, "a request"
    if model.unit and model.unit.instances:
        yield ("unit", "instances"), model.unit.instances, "a request"
    for name, output in model.output.items():
        yield ("output", name, "from"), output.from_, "an answer"


def _segments(shape: Shape) -> Iterator[Finding]:
    for name, declared in shape.model.segments.items():
        path: Path = ("segments", name)
        yield from _name(path, name)
        yield from _top(path, declared)
        if declared.top is not None and declared.values is None:
            continue
        if declared.values is None and declared.bins is None:
            do = "add values: [DE, FR] for words, or bins: [0, 100] for numbers"
            yield Finding(path, "declares neither values nor bins", do)
        elif declared.values is not None and declared.bins is not None:
            yield Finding(path, "declares both values and bins", "keep one; make two segments if both are wanted")
        elif declared.values is not None:
            yield from _values(path, declared.values)
        else:
            yield from _bins(path, name, declared)


def _top(path: Path, declared: SegmentModel) -> Iterator[Finding]:
    """The most frequent values: learned from so many requests, or written in from a pilot."""
    top, learn, values = declared.top, declared.learn, declared.values
    if top is None:
        if learn is not None:
            yield Finding((*path, "learn"), "has no meaning without top", "take it out, or add top: 8")
        return
    if declared.bins is not None:
        do = "keep one; make two segments if both are wanted"
        yield Finding(path, "declares both bins and top", do)
    if learn is not None and learn < FEWEST_LEARNED:
        found = f"is too few to tell what is frequent: found {learn:,}"
        yield Finding((*path, "learn"), found, f"write {FEWEST_LEARNED} or more")
    if values is None and learn is None:
        found = f"does not say how its top {top} become known"
        yield Finding(path, found, "add learn: 1000, or write the values of a pilot in")
    if values is not None and len(values) > top:
        found = f"has {len(values)} values, more than its top {top}"
        yield Finding((*path, "values"), found, "take the others out, or raise top")


def _values(path: Path, values: list[str]) -> Iterator[Finding]:
    for index, value in enumerate(values):
        if value in RESERVED:
            yield Finding(
                (*path, "values", index),
                f"is a reserved word: found {shown(value)}",
                "take it out; other, missing and below are cells of every segment already",
            )
        if values.index(value) < index:
            yield Finding((*path, "values", index), f"stands twice: found {shown(value)}", "take one of them out")


def _bins(path: Path, name: str, declared: SegmentModel) -> Iterator[Finding]:
    edges = declared.bins or []
    if any(low >= high for low, high in pairwise(edges)):
        yield Finding((*path, "bins"), f"must rise: found {edges}", "write each edge once, from low to high")
        return
    if len({f"{edge:g}" for edge in edges}) < len(edges):
        found = f"has edges that read the same with six digits: {', '.join(segment(name, declared).labels)}"
        yield Finding((*path, "bins"), found, "set them further apart")


def _name(path: Path, name: str) -> Iterator[Finding]:
    if name in RESERVED:
        yield Finding(path, f"has a reserved name: found {shown(name)}", "take another name")
    elif not NAME.fullmatch(name):
        found = f"has a name that cannot be a column: found {shown(name)}"
        yield Finding(path, found, "take 1 to 40 of a-z, 0-9 and _, beginning with a letter")


def _outputs(shape: Shape) -> Iterator[Finding]:
    for name, declared in shape.model.output.items():
        path: Path = ("output", name)
        yield from _name(path, name)
        yield from _comparator(path, declared)


def _comparator(path: Path, declared: OutputModel) -> Iterator[Finding]:
    if declared.tolerance is not None and declared.compare == "exact":
        do = "add compare: number, or take the tolerance out"
        yield Finding((*path, "tolerance"), "has no meaning for compare: exact", do)
    if declared.ignore is not None and declared.compare in {"exact", "number"}:
        do = "add compare: json_fields, or take ignore out"
        yield Finding((*path, "ignore"), f"has no meaning for compare: {declared.compare}", do)


def _unit(shape: Shape) -> Iterator[Finding]:
    unit = shape.model.unit
    if unit is None:
        return
    if unit.cluster is None and not unit.independent and unit.instances is None:
        found = "declares neither a cluster nor independent: true"
        yield Finding(("unit",), found, "add cluster: body:/... and closes_after: 1h, or leave unit out")
    if unit.cluster is not None and unit.independent:
        found = "declares a cluster and independent: true, which contradict each other"
        yield Finding(("unit", "independent"), found, "keep one of them")
    if unit.cluster is not None and unit.closes_after is None:
        found = "is missing: a cluster must be complete at some time before it counts"
        yield Finding(("unit", "closes_after"), found, "add it, such as closes_after: 1h")
    if unit.cluster is None and unit.closes_after is not None:
        yield Finding(("unit", "closes_after"), "has no meaning without a cluster", "take it out")


def _duration(shape: Shape) -> Iterator[Finding]:
    at_least, cycle, deadline = (getattr(shape.model.duration, name) for name in ("at_least", "cycle", "deadline"))
    if deadline is not None and deadline <= at_least:
        yield Finding(
            ("duration", "deadline"),
            f"must be later than at_least ({show_duration(at_least)}): found {show_duration(deadline)}",
            "set it later",
        )
    if cycle is None:
        return
    if deadline is not None and deadline < cycle:
        found = f"is longer than the deadline ({show_duration(deadline)}), none closes: found {show_duration(cycle)}"
        yield Finding(("duration", "cycle"), found, "set the deadline to whole cycles")
    if at_least % cycle:
        up = show_duration((at_least // cycle + 1) * cycle)
        found = f"is not whole cycles of {show_duration(cycle)}: found {show_duration(at_least)}"
        yield Finding(("duration", "at_least"), found, f"promotion is decided on closed cycles only; write {up}")


def _shares(shape: Shape) -> Iterator[Finding]:
    model = shape.model
    if "alpha" not in shape.broken and not 0 < model.alpha < PPM // 2:
        found = f"must be above 0% and below 50%: found {show_share(model.alpha)}"
        yield Finding(("alpha",), found, "write 5%, or less for a stricter promise")
    if "integrity" not in shape.broken and not 0 <= model.integrity.lost < PPM:
        found = f"must be from 0% to below 100%: found {show_share(model.integrity.lost)}"
        yield Finding(("integrity", "lost"), found, "write 1%")


Check = Callable[[Shape], Iterator[Finding]]

CHECKS: Final[tuple[tuple[tuple[str, ...], Check], ...]] = (
    (("production", "candidate"), _addresses),
    (("routes",), _routes),
    ((), _selectors),
    (("segments",), _segments),
    (("output",), _outputs),
    (("unit",), _unit),
    *fork_checks.CHECKS,
    *rule_checks.CHECKS,
    ((), gate_checks.check),
    (("duration",), _duration),
    ((), _shares),
)
"""The parts that must be whole, and the check."""
