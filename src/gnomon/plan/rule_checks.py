"""Checks between the gates and the rest: the same twice, the hybrid test, what restricts truth, batches, capacity."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from gnomon.plan import criteria, expand_fork, kind_checks, labels, selectors
from gnomon.plan.language import PlanModel
from gnomon.plan.language_gates import GateModel
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import PPM, show_share
from gnomon.records.plan import Selector

NOT_HYBRID: Final = frozenset({"precision", "numeric", "loss", "field", "cost", "custom"})
"""Kinds whose D is more than three cells."""


def repeated(shape: Shape) -> Iterator[Finding]:
    """A class that is asked for twice in the same way, and a target that says what a gate says."""
    whole = (each for each in enumerate(shape.model.gates) if each[0] not in shape.broken_gates)
    gates: list[tuple[Path, GateModel]] = [(("gates", index), item) for index, item in whole]
    targets: list[tuple[Path, GateModel]] = [
        (("targets", index), item) for index, item in enumerate(shape.model.targets)
    ]
    for section in (gates, targets):
        seen: dict[Any, Path] = {}
        for path, item in section:
            key = _class(item, shape.model)
            if key is not None and seen.setdefault(key, path) != path:
                found = f"asks of {labels.show(key[1])} what {_at(seen[key])} asks already"
                yield Finding(path, found, "keep one of them; a margin by cell is a map")
    for path, item in targets:
        same = next((where for where, gate in gates if gate == item), None)
        if same is not None and criteria.held(item) is not None:
            found = f"repeats {_at(same)}: a target that a gate demands already says nothing"
            yield Finding(path, found, "take it out, or ask for more in the target")


def _class(item: GateModel, model: PlanModel) -> tuple[Any, ...] | None:
    found = criteria.held(item)
    label = criteria.label_of(found[1]) if found else None
    if found is None or label is None:
        return None
    kind, said = found
    return kind, label, criteria.output_of(said, model), criteria.forms_of(said), said.where


def _at(path: Path) -> str:
    return f"{path[0]}[{path[1]}]"


def hybrid(shape: Shape) -> Iterator[Finding]:
    """Rule 16: one test of fixed size is for gates of two or three cells without weights, at the deadline."""
    said = shape.model.hybrid
    if said is None:
        return
    if said.overall is None and said.every_segment is None:
        yield Finding(("hybrid",), "declares nothing", "leave it out, or name overall or every_segment")
    if said.every_segment is not None and "segments" not in shape.broken and not shape.model.segments:
        found = "speaks of every segment, and none is declared"
        yield Finding(("hybrid", "every_segment"), found, "take it out, or declare segments")
    if "duration" not in shape.broken and shape.model.duration.deadline is None:
        found = "is a test at the deadline, and the plan has none"
        yield Finding(("hybrid",), found, "add duration.deadline, or leave hybrid out")
    if "samples" not in shape.broken:
        for key in ("overall", "every_segment"):
            units, least = getattr(said, key), getattr(shape.model.samples, key)
            if units is not None and units < least:
                found = f"is below samples.{key} ({least:,}): found {units:,}"
                yield Finding(("hybrid", key), found, f"write {least} or more")
    for index, item in enumerate(shape.model.gates):
        held = criteria.held(item)
        why = "" if held is None or index in shape.broken_gates else _not_hybrid(*held)
        if why:
            name = f"gates[{index}].{held[0] if held else ''}"
            found = f"cannot test {name}: {why}"
            yield Finding(("hybrid",), found, "leave hybrid out, or make that gate a target")
    yield from _unweighted(shape)
    yield from _replaced(shape)


def _replaced(shape: Shape) -> Iterator[Finding]:
    """The one test is made once: truths that are replaced later would make it another at each look."""
    truth = shape.model.truth
    if "truth" not in shape.broken and truth is not None and truth.policy == "last":
        found = "is one test, and with truth.policy: last a truth that comes later makes it another at each look"
        yield Finding(("hybrid",), found, "write truth.policy: first, or leave hybrid out")


def _not_hybrid(kind: str, said: Any) -> str:  # noqa: ANN401  any gate
    if kind in NOT_HYBRID:
        return "its difference takes more than three values"
    if criteria.ratio_of(said) is not None:
        return "it compares by a ratio"
    return ""


def _unweighted(shape: Shape) -> Iterator[Finding]:
    do = "leave hybrid out"
    unit = shape.model.unit
    if "unit" not in shape.broken and unit is not None and (unit.cluster is not None or unit.instances is not None):
        found = "counts units of one exchange, and unit averages several into one"
        yield Finding(("hybrid",), found, do)
    made = None if "fork" in shape.broken else expand_fork.strata(shape.model.fork)
    if made is not None and len({made.otherwise, *(rate for _, rate in made.rates)}) > 1:
        yield Finding(("hybrid",), "counts without weights, and fork.strata has different rates", do)


def available(shape: Shape) -> Iterator[Finding]:
    """What restricts truth is production's answer alone, never the candidate's (statistics.md, 0b.5)."""
    truth, outputs = shape.model.truth, shape.model.output
    for name, values in ((truth.available_when if truth else None) or {}).items():
        path: Path = ("truth", "available_when", name)
        if name not in outputs:
            arm, _, rest = name.replace(":", ".").partition(".")
            if arm in {"candidate", "production"}:
                found = f"names an arm: found {name!r}; it is always production's answer, never the candidate's"
                yield Finding(path, found, f"write {rest or next(iter(outputs), 'label')}: and production's values")
            else:
                yield kind_checks.not_declared(path, name, list(outputs))
            continue
        if outputs[name].compare == "number":
            found = f"names values of {name}, which is compared as a number: numbers have no names"
            yield Finding(path, found, "take an output with compare: exact")
        for index, value in enumerate(values):
            if values.index(value) < index:
                yield Finding((*path, index), f"stands twice: found {labels.show(value)!r}", "take one of them out")


def instances(shape: Shape) -> Iterator[Finding]:
    """A batch's position is one `*`: in each output and in the truth's key, and nowhere else."""
    model = shape.model
    batch = model.unit.instances if model.unit else None
    if batch is None or "unit" in shape.broken:
        return
    if batch.where not in {"body", "input"} or "*" in selectors.tokens(batch.name):
        found = f"is no batch: found {batch}"
        yield Finding(("unit", "instances"), found, "name the list in the body, such as body:/instances")
        return
    for path, selector in _of_the_request(shape):
        if selector.where == "body" and "*" in selectors.tokens(selector.name):
            found = f"holds a *, and is of the whole request: found {selector}"
            yield Finding(path, found, "take the position out; segments and clusters are of the request")
    if "output" not in shape.broken:
        for name, output in model.output.items():
            yield from _starred(("output", name, "from"), output.from_, "body:/predictions/*/label")
    if model.truth is None or "truth" in shape.broken:
        return
    path = ("truth", "key")
    if model.truth.key is None:
        found = "is missing: an exchange's id names a whole batch, and each of its instances has a truth of its own"
        yield Finding(path, found, f"add it, such as key: {batch if batch.where == 'body' else 'body:/ids'}/*/id")
    else:
        yield from _starred(path, model.truth.key, "body:/instances/*/id")


def _of_the_request(shape: Shape) -> Iterator[tuple[Path, Selector]]:
    model = shape.model
    if "segments" not in shape.broken:
        for name, segment in model.segments.items():
            yield ("segments", name, "from"), segment.from_
    if model.unit and model.unit.cluster:
        yield ("unit", "cluster"), model.unit.cluster


def _starred(path: Path, selector: Selector, example: str) -> Iterator[Finding]:
    """A tensor's first dimension is the position."""
    stars = selectors.tokens(selector.name).count("*") if selector.where == "body" else None
    if selector.where in {"output", "input"}:
        return
    if stars is None:
        found = f"reads {selector.where}, which is of the whole request and not of an instance"
        yield Finding(path, found, f"take a place in the body, such as {example}")
    elif stars != 1:
        count = "none" if not stars else f"{stars} of them"
        found = f"must hold one * for the position, found {count} in {selector}"
        yield Finding(path, found, f"write it such as {example}")


def capacity(shape: Shape) -> Iterator[Finding]:
    """A share above 0."""
    said = shape.model.candidate.capacity
    if said is not None and not 0 < said <= PPM:
        found = f"must be above 0% and up to 100%: found {show_share(said)}"
        yield Finding(
            ("candidate", "capacity"), found, "write the candidate's share of production's capacity, such as 20%"
        )


CHECKS: Final[tuple[tuple[tuple[str, ...], Callable[[Shape], Iterator[Finding]]], ...]] = (
    (("gates", "targets", "output"), repeated),
    (("hybrid",), hybrid),
    (("truth", "output"), available),
    ((), instances),
    (("candidate",), capacity),
)
"""The parts that must be whole, and the check."""
