"""Checks of what is copied, changed for the candidate and kept out of the log.

Promises  a stratum that cannot be weighted, a coin whose sharing nobody counts, a rewrite of what is not there, and a
          value that is to be kept out of the log and stands in one of its columns are refused before the start
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import rfc8785
from pydantic import BaseModel

from gnomon.plan import expand_fork, headers, selectors
from gnomon.plan.language import OutputModel
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import UnitError, shown
from gnomon.records.plan import ALL, OTHERWISE, Selector

MOST_STRATA: Final = 64
LONGEST_STRATUM: Final = 100

REDACTIONS: Final = {"drop": "drops", "mask": "masks", "digest": "digests"}
"""The lists of `record`, and what each does."""


def strata(shape: Shape) -> Iterator[Finding]:
    """Names of strata, and how many."""
    declared = shape.model.fork.strata
    if declared is None:
        return
    path: Path = ("fork", "strata", "rates")
    if len(declared.rates) > MOST_STRATA:
        found = f"has {len(declared.rates)} strata, a plan has at most {MOST_STRATA}"
        yield Finding(path, found, "name those that need a rate of their own; otherwise is for the others")
    for name in declared.rates:
        if name in {ALL, OTHERWISE}:
            do = "take it out; fork.strata.otherwise is the rate of all others"
            yield Finding((*path, name), f"is a reserved word: found {shown(name)}", do)
        elif not name.strip() or len(name) > LONGEST_STRATUM or not name.isprintable():
            found = f"is no name of a stratum: found {shown(name)}"
            yield Finding((*path, name), found, f"write 1 to {LONGEST_STRATUM} printable characters")
    if declared.otherwise is not None and "shadow_rate" in shape.model.fork.model_fields_set:
        found = "has no meaning beside fork.strata.otherwise: every request is of a stratum"
        yield Finding(("fork", "shadow_rate"), found, "take one of the two out")


def weights(shape: Shape) -> Iterator[Finding]:
    """What counts as one has one weight: its exchanges cannot be of strata with different rates."""
    unit, made = shape.model.unit, expand_fork.strata(shape.model.fork)
    if made is None or unit is None or unit.cluster is None:
        return
    if len({made.otherwise, *(rate for _, rate in made.rates)}) > 1:
        yield Finding(
            ("fork", "strata"),
            f"has different rates, and requests with the same {unit.cluster} count as one (unit.cluster): the weight "
            "of an exchange would differ inside of a cluster",
            "give all strata one rate, or write unit: {independent: true} in place of the cluster, if they are",
        )


def sticky(shape: Shape) -> Iterator[Finding]:
    """Sticky sampling implies clustering by its key (statistics.md, 0b.13)."""
    by, unit = shape.model.fork.sticky, shape.model.unit
    if by is None or (unit is not None and (unit.independent or unit.cluster == by)):
        return
    said = f"unit.cluster is {unit.cluster}" if unit is not None and unit.cluster else "unit does not say so"
    yield Finding(
        ("fork", "sticky"),
        f"copies all requests with the same {by} or none, so that they count as one, and {said}",
        f"write unit: {{cluster: {by}, closes_after: 1h}}, or unit: {{independent: true}} to assert that they are",
    )


def lists(shape: Shape) -> Iterator[Finding]:
    """Nothing stands twice: in a list, or in two lists of which each would do something else with it."""
    model = shape.model
    held: list[tuple[Path, Sequence[object]]] = [
        (("fork", "headers"), model.fork.headers or ()),
        *((("guards", name), getattr(model.guards, name) or ()) for name in ("context", "side_effects")),
        *((("record", name), getattr(model.record, name) or ()) for name in REDACTIONS),
    ]
    first: dict[tuple[str, object], Path] = {}
    for path, items in held:
        for index, item in enumerate(items):
            here = (*path, index)
            before = first.setdefault((str(path[0]), item), here)
            if before != here:
                where = f"{before[0]}.{before[1]}[{before[2]}]"
                yield Finding(here, f"stands twice: found {str(item)!r}, first in {where}", "keep one of them")


def nothing(shape: Shape) -> Iterator[Finding]:
    """A mapping without a key says nothing, and would be sealed all the same."""
    model = shape.model
    parts: dict[Path, BaseModel | None] = {
        ("guards",): model.guards if "guards" in model.model_fields_set else None,
        ("record",): model.record if "record" in model.model_fields_set else None,
        ("candidate", "rewrite"): model.candidate.rewrite,
    }
    for path, part in parts.items():
        wrong_inside = any(finding.path[: len(path)] == path for finding in shape.findings)
        if part is not None and not part.model_fields_set and not wrong_inside:
            yield Finding(
                path, "declares nothing", f"leave it out, or name one of {', '.join(type(part).model_fields)}"
            )


def rewritten_paths(shape: Shape) -> Iterator[Finding]:
    """Only what is shadowed can be rewritten."""
    rewrite = shape.model.candidate.rewrite
    routes = sorted({route.path for route in shape.model.routes})
    for path in (rewrite.path if rewrite else None) or {}:
        if path not in routes:
            found = f"is not the path of a route: found {shown(path)}"
            yield Finding(("candidate", "rewrite", "path", path), found, f"take one of {', '.join(routes)}")


def rewritten_headers(shape: Shape) -> Iterator[Finding]:
    """Names of headers, each once, none that carries the message or a credential."""
    rewrite = shape.model.candidate.rewrite
    first: dict[str, str] = {}
    for name in (rewrite.headers if rewrite else None) or {}:
        path: Path = ("candidate", "rewrite", "headers", name)
        try:
            lower = headers.rewritten(name)
        except UnitError as error:
            yield Finding(path, error.found, error.do)
            continue
        if first.setdefault(lower, name) != name:
            yield Finding(path, f"stands twice: {first[lower]} is the same header", "keep one of them")


def rewritten_bodies(shape: Shape) -> Iterator[Finding]:
    """Pointers, none inside of another: keys have no order, and the value there would depend on it."""
    rewrite = shape.model.candidate.rewrite
    body = (rewrite.body if rewrite else None) or {}
    good = []
    for pointer, value in body.items():
        path: Path = ("candidate", "rewrite", "body", pointer)
        try:
            selectors.pointer(pointer)
        except UnitError as error:
            yield Finding(path, error.found, error.do)
            continue
        if not pointer:
            do = "name a place in it, such as /model"
            yield Finding(path, "would put one value in place of every request's whole body", do)
            continue
        good.append(pointer)
        yield from _json(path, value)
    for outer, inner in combinations(sorted(good, key=len), 2):
        if inner.startswith(f"{outer}/"):
            found = f"stands inside of {outer}, which is rewritten too"
            yield Finding(("candidate", "rewrite", "body", inner), found, "write it into that one's value")


def _json(path: Path, value: Any) -> Iterator[Finding]:  # noqa: ANN401  whatever a document holds
    try:
        rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError) as error:
        yield Finding(path, f"is not JSON that every program reads the same: {error}", "write another value")


def redacted(shape: Shape) -> Iterator[Finding]:
    """What the log must not hold stands in none of its columns."""
    batch = shape.model.unit is not None and shape.model.unit.instances is not None
    for path, of, output in _columns(shape):
        for name, does in REDACTIONS.items():
            for redaction in getattr(shape.model.record, name) or ():
                if selectors.overlap(redaction, of, batch=batch) and not _ignored(redaction, output):
                    found = f"reads what record {does} ({redaction}): its value stands in a column of the log"
                    fields = output is not None and output.compare == "json_fields"
                    other = "read another place, name it in ignore," if fields else "read another place,"
                    yield Finding(path, found, f"{other} or take {redaction} out of record.{name}")
                    break


def _columns(shape: Shape) -> Iterator[tuple[Path, Selector, OutputModel | None]]:
    model = shape.model
    if model.truth and model.truth.key:
        yield ("truth", "key"), model.truth.key, None
    if model.unit and model.unit.cluster:
        yield ("unit", "cluster"), model.unit.cluster, None
    for name, output in model.output.items():
        yield ("output", name, "from"), output.from_, output


def _ignored(redaction: Selector, output: OutputModel | None) -> bool:
    """Whether json_fields leaves it out of the value before that is stored."""
    if output is None or output.compare != "json_fields" or output.from_.where != "body":
        return False
    base, whole = selectors.tokens(output.from_.name), selectors.tokens(redaction.name)
    inside = whole[len(base) :]
    ignored = [selectors.tokens(pointer) for pointer in output.ignore or ()]
    return len(whole) > len(base) and any(inside[: len(each)] == each and "*" not in each for each in ignored)


CHECKS: Final[tuple[tuple[tuple[str, ...], Callable[[Shape], Iterator[Finding]]], ...]] = (
    (("fork",), strata),
    (("fork", "unit"), weights),
    (("fork", "unit"), sticky),
    ((), lists),
    ((), nothing),
    (("candidate", "routes"), rewritten_paths),
    (("candidate",), rewritten_headers),
    (("candidate",), rewritten_bodies),
    (("record",), redacted),
)
"""The parts that must be whole, and the check."""
