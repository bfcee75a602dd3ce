"""Checks of what single kinds of gates need: truth, an output of the right sort, a load statement, a twin, code.

Promises  a gate whose number could not be read, or would not mean what it says, is refused before the start
"""

import difflib
from collections.abc import Iterator

from gnomon import plugins
from gnomon.errors import GnomonError
from gnomon.plan import criteria, expand_fork, labels
from gnomon.plan.criteria import Criterion
from gnomon.plan.language import OutputModel, TruthModel
from gnomon.plan.language_gates import (
    CostModel,
    CustomModel,
    ErrorRateModel,
    FieldModel,
    LatencyModel,
    LossModel,
    NumericModel,
)
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import ONE
from gnomon.records.plan import TRUTH_KINDS


def check(path: Path, claim: Criterion, shape: Shape) -> Iterator[Finding]:
    """Everything that is wrong with one gate beyond its form, margin and cells."""
    if "output" not in shape.broken:
        yield from _outputs(path, claim, shape)
    if "truth" not in shape.broken:
        yield from _truth(path, claim, shape)
    if isinstance(claim.said, LossModel):
        yield from _costs(path, claim.said)
    if isinstance(claim.said, CostModel):
        yield from _limit(path, claim.said)
    if isinstance(claim.said, CustomModel) and not shape.sealed:
        yield from _code(path, claim.said)
    if isinstance(claim.said, LatencyModel) and isinstance(claim.said.at_most, tuple):
        yield from _load(path, shape)
    if claim.kind == "agreement" and claim.form == "no_worse_than":
        yield from _twin(path, shape)


def _outputs(path: Path, claim: Criterion, shape: Shape) -> Iterator[Finding]:
    """The outputs that are looked at are declared, and of a sort that the kind can look at."""
    said, declared = claim.said, list(shape.model.output)
    if isinstance(said, ErrorRateModel | LatencyModel | CustomModel):
        return
    if isinstance(said, FieldModel):
        yield from _fields(path, said, shape)
        return
    key = "output" if hasattr(said, "output") else "of"
    named = getattr(said, key)
    if named is not None and named not in declared:
        yield not_declared((*path, key), named, declared)
    elif named is None and len(declared) != 1:
        found = (
            f"does not say of which output: {', '.join(declared)}"
            if declared
            else "needs an output, and none is declared"
        )
        do = f"add {key}: {declared[0]}" if declared else "add output: {label: body:/label}"
        yield Finding(path, found, do)
    name = criteria.output_of(said, shape.model)
    output = shape.model.output.get(name or "")
    if name and output:
        yield from _sort(path, claim, name, output)


def not_declared(path: Path, name: str, declared: list[str]) -> Finding:
    """A name of an output that is not there."""
    known = f"declared are {', '.join(declared)}" if declared else "none is declared"
    near = difflib.get_close_matches(name, declared, n=1)
    do = f"did you mean {near[0]}?" if near else "name a declared one, or add it under output"
    return Finding(path, f"is not an output: found {name!r}, {known}", do)


def _sort(path: Path, claim: Criterion, name: str, output: OutputModel) -> Iterator[Finding]:
    if claim.kind == "accuracy":
        yield from _tolerance(path, name, output)
    elif isinstance(claim.said, NumericModel | CostModel) and output.compare != "number":
        found = f"looks at {name}, which is compared as {output.compare}: its values are no numbers here"
        yield Finding(path, found, f"write compare: number at output.{name}")
    elif output.compare == "number" and (
        criteria.label_of(claim.said) is not None or isinstance(claim.said, LossModel)
    ):
        found = f"names values of {name}, which is compared as a number: numbers have no names"
        yield Finding(path, found, "take an output with compare: exact, or a gate for numbers (numeric, cost)")


def _tolerance(path: Path, name: str, output: OutputModel) -> Iterator[Finding]:
    if output.compare == "json_fields" and output.tolerance:
        found = f"looks at {name}, whose tolerance makes two different answers both equal to one truth"
        yield Finding(path, found, f"take output.{name}.tolerance out, or use agreement: truth is compared exactly")


def _fields(path: Path, said: FieldModel, shape: Shape) -> Iterator[Finding]:
    declared = list(shape.model.output)
    if len(said.of) < 2:
        do = "name two or more outputs, or write accuracy: for one"
        yield Finding((*path, "of"), f"is one field, found {said.of[0]}: a document has several", do)
    for index, name in enumerate(said.of):
        if name not in declared:
            yield not_declared((*path, "of", index), name, declared)
        elif said.of.index(name) < index:
            yield Finding((*path, "of", index), f"stands twice: found {name!r}", "take one of them out")
        else:
            yield from _tolerance((*path, "of", index), name, shape.model.output[name])


def _truth(path: Path, claim: Criterion, shape: Shape) -> Iterator[Finding]:
    """Kinds that look at truth have one, for all that they need it for (statistics.md, 0b.11)."""
    if claim.kind not in TRUTH_KINDS:
        return
    truth = shape.model.truth
    if truth is None:
        found = "needs ground truth, and the plan declares none"
        yield Finding(
            path, found, "add truth: {key: body:/id, expected_within: 14d}, or use agreement, which needs none"
        )
        return
    yield from _never_answered(path, claim, shape, truth)
    if truth.covers != "disagreements":
        return
    if claim.kind in {"recall", "precision"}:
        found = (
            f"cannot be shown with truth.covers: disagreements: {claim.kind} counts what both models say alike, "
            "and that has no truth then"
        )
        yield Finding(path, found, "get truth for agreements too and write covers: all, or use accuracy or loss")
        return
    named = claim.said.of if isinstance(claim.said, FieldModel) else [criteria.output_of(claim.said, shape.model) or ""]
    if any(shape.model.output[name].tolerance for name in named if name in shape.model.output):
        found = (
            "needs truth where the numbers differ within the tolerance, and truth.covers: disagreements has none there"
        )
        yield Finding(path, found, "take the output's tolerance out, or write covers: all")


def _never_answered(path: Path, claim: Criterion, shape: Shape, truth: TruthModel) -> Iterator[Finding]:
    """Where production never answers a value, its recall is 0 and it has no precision: nothing could be lost."""
    label = criteria.label_of(claim.said)
    there = (truth.available_when or {}).get(criteria.output_of(claim.said, shape.model) or "")
    if label is None or there is None or label in there:
        return
    found = (
        f"compares how production finds {labels.show(label)}, and truth.available_when has no truth where production "
        f"answers {labels.show(label)}: any candidate would pass"
    )
    yield Finding(path, found, "use accuracy or loss, which compare on what production let through")


def _costs(path: Path, said: LossModel) -> Iterator[Finding]:
    """Numbers from 0, one above it, each value once."""
    path = (*path, "costs")
    yield from _twice(path, list(said.costs))
    for truth, by_answer in said.costs.items():
        yield from _twice((*path, truth), list(by_answer))
        for answer, cost in by_answer.items():
            if cost < 0:
                found = f"is negative: found {cost:g}; a gain is a cost that is lower than the others"
                yield Finding((*path, truth, answer), found, "write costs from 0 up")
    costs = [cost for by_answer in said.costs.values() for cost in by_answer.values()]
    if said.otherwise is not None and said.otherwise < 0:
        yield Finding((*path[:-1], "otherwise"), f"is negative: found {said.otherwise:g}", "write a cost from 0 up")
    elif not any([*costs, said.otherwise or 0]):
        yield Finding(path, "are all 0: no answer costs anything, so none is worse", "write what the wrong ones cost")


def _twice(path: Path, keys: list[str]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for key in keys:
        before = next((first[text] for text in labels.texts(key) if text in first), None)
        if before is not None:
            yield Finding((*path, key), f"is the same value as {before}: found {key!r}", "keep one of them")
        first |= dict.fromkeys(labels.texts(key), key)


def _limit(path: Path, said: CostModel) -> Iterator[Finding]:
    if said.at_most is None:
        return
    low, high = said.scale
    if low != 0:
        found = f"must begin at 0 for at_most, which is a share of it: found [{low:g}, {high:g}]"
        yield Finding((*path, "scale"), found, f"write [0, {high:g}]")
    elif not 0 < said.at_most < high:
        found = f"must be above 0 and below {high:g}, the scale's end: found {said.at_most:g}"
        yield Finding((*path, "at_most"), found, "what is over the scale counts as its end; let it reach further")


def _code(path: Path, said: CustomModel) -> Iterator[Finding]:
    """The function is there and is the declared one: its digest is sealed."""
    try:
        _, digest = plugins.gate(said.function)
    except GnomonError as error:
        found, _, do = str(error).rpartition("; ")
        if ":" not in said.function:
            do = f"{do}; write module:function, or install the plugin that has it"
        yield Finding((*path, "function"), found or do, do if found else "name a function that can be imported")
        return
    if said.digest is None:
        found = "is missing: what the function does must be sealed with the plan"
        yield Finding((*path, "digest"), found, f'write digest: "{digest}"')
    elif said.digest != digest:
        found = f"is not that of the code: found {said.digest}, and the source file of {said.function} has {digest}"
        new = f'write digest: "{digest}" if the plan is not sealed yet'
        do = f"{new}; if it is, its code has changed since: put the old code back, or begin a new trial"
        yield Finding((*path, "digest"), found, do)


def _load(path: Path, shape: Shape) -> Iterator[Finding]:
    """Rule 10: production and candidate are compared at the same time and under a load that is known."""
    path = (*path, "at_most")
    unit = shape.model.unit
    if "unit" not in shape.broken and unit is not None and (unit.cluster is not None or unit.instances is not None):
        found = "counts each pair, and unit makes several of them one: the pairs of one unit are not independent"
        yield Finding(path, found, "write a limit in time such as 250ms, or leave unit out if pairs are independent")
    if not {"fork", "candidate"}.isdisjoint(shape.broken):
        return
    fork, made = shape.model.fork, expand_fork.strata(shape.model.fork)
    if fork.mode != "sync":
        found = "compares with production, and in mode async the candidate runs at another time, under another load"
        yield Finding(path, found, "write fork.mode: sync, or a limit in time such as 250ms")
    rates = {fork.shadow_rate} if made is None else {made.otherwise, *(rate for _, rate in made.rates)}
    if len(rates) > 1:
        found = "compares with production, and fork.strata has different rates: the two see different mixtures"
        yield Finding(path, found, "give all strata one rate, or write a limit in time such as 250ms")
    elif rates != {ONE} and shape.model.candidate.capacity is None:
        found = "compares with production, and the candidate gets a part of the load: with what capacity is not said"
        do = "add candidate.capacity as a share of production's, such as 20%, or fork.shadow_rate: 100%"
        yield Finding(path, found, do)


def _twin(path: Path, shape: Shape) -> Iterator[Finding]:
    if "fork" not in shape.broken and shape.model.fork.twin is None:
        found = "compares with how often production agrees with itself, and nothing goes to production a second time"
        yield Finding(path, found, "add fork.twin: 5%, or write at_least: 90%")
