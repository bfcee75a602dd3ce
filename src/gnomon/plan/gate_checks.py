"""Checks of the gates: forms, margins, places and expectations.

Promises  a gate that cannot pass by its own declaration is refused before the start
"""

import difflib
from collections.abc import Iterator, Mapping

from gnomon.plan import cells, expand
from gnomon.plan.expand import AnyGate
from gnomon.plan.language import (
    AccuracyModel,
    AgreementModel,
    ErrorRateModel,
    ExpectModel,
    LatencyModel,
)
from gnomon.plan.scalars import WHERES
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import PPM, show_share
from gnomon.records.plan import GateKind, Segment

FORMS = {"accuracy": ("no_worse_than", "better_than"), "error_rate": ("no_worse_than", "better_than", "at_most")}


def check(shape: Shape) -> Iterator[Finding]:
    """Everything that is wrong with the gates and with what is expected of them."""
    segments = None if "segments" in shape.broken else _segments(shape)
    if segments is not None and shape.model.expect and "expect" not in shape.broken:
        yield from _names(("expect", "where"), shape.model.expect.where or {}, cells.names(segments))
        yield from _expected_shares(("expect",), shape.model.expect)
    for index, item in enumerate(shape.model.gates):
        if index in shape.broken_gates:
            continue
        found = expand.kind_of(item)
        if found is None:
            names = [name for name in ("accuracy", "agreement", "error_rate", "latency") if getattr(item, name)]
            what = f"names {' and '.join(names)}" if names else "names no gate"
            yield Finding(
                ("gates", index), what, "write one gate to each dash: accuracy, agreement, error_rate or latency"
            )
            continue
        yield from _gate(("gates", index, found[0]), *found, shape, segments)


def _segments(shape: Shape) -> tuple[Segment, ...] | None:
    """The declared segments; None: what they are is not clear, so no cell can be checked."""
    declared = shape.model.segments
    if any((each.values is None) == (each.bins is None) for each in declared.values()):
        return None
    return tuple(cells.segment(name, each) for name, each in declared.items())


def _gate(
    path: Path, kind: GateKind, gate: AnyGate, shape: Shape, segments: tuple[Segment, ...] | None
) -> Iterator[Finding]:
    before = [*_forms(path, kind, gate), *_output(path, gate, shape), *_truth(path, gate, shape), *_range(path, gate)]
    if gate.expect:
        before += _expected_shares((*path, "expect"), gate.expect)
        if gate.expect.difference is not None and expand.form_of(gate) in {"at_least", "at_most"}:
            found = "has no meaning against a fixed limit: it follows from the disagreement"
            before.append(Finding((*path, "expect", "difference"), found, "take it out"))
    if segments is not None:
        before += _places(path, gate, segments)
    yield from before
    if not before and segments is not None:
        yield from _reachable(path, kind, gate, shape, segments)


def _forms(path: Path, kind: GateKind, gate: AnyGate) -> Iterator[Finding]:
    """Exactly one of the forms, and a margin where the form has one."""
    if not isinstance(gate, AccuracyModel | ErrorRateModel):
        return
    given = [form for form in FORMS[kind] if getattr(gate, form) is not None]
    if len(given) != 1:
        what = f"says {' and '.join(given)}" if given else "does not say what is to be shown"
        yield Finding(path, what, f"write one of {', '.join(FORMS[kind])}")
    if gate.margin is not None and given and "no_worse_than" not in given:
        yield Finding(
            (*path, "margin"), f"has no meaning for {given[0]}", "take it out, or write no_worse_than: production"
        )
    if given == ["no_worse_than"]:
        yield from _margin(path, gate)


def _margin(path: Path, gate: AccuracyModel | ErrorRateModel) -> Iterator[Finding]:
    path = (*path, "margin")
    if gate.margin is None:
        found = "is missing: how much worse is still acceptable must be said before the start"
        yield Finding(path, found, "add it, such as margin: 1pp")
        return
    margins: Mapping[Path, int] = (
        {(*path, cell): value for cell, value in gate.margin.items()}
        if isinstance(gate.margin, dict)
        else {path: gate.margin}
    )
    if not margins:
        yield Finding(path, "is an empty map", "write one margin for all, such as 1pp, or one for each cell")
    for where, value in margins.items():
        if value == 0:
            found = "is zero, which can never be shown: an equal candidate fails it too, however much data comes"
            yield Finding(where, found, "write how much worse is acceptable, such as 1pp, or better_than: production")
        elif value < 0:
            found = f"must be above 0: found {show_share(value, 'pp')}; a margin is how much worse is still acceptable"
            yield Finding(where, found, "write it without the sign, or better_than: production to ask for more")
        elif value >= PPM:
            yield Finding(where, "allows everything: found 100pp", "write a margin below 100pp")


def _range(path: Path, gate: AnyGate) -> Iterator[Finding]:
    if isinstance(gate, AgreementModel) and not 0 < gate.at_least < PPM:
        found = f"must be above 0% and below 100%: found {show_share(gate.at_least)}"
        yield Finding((*path, "at_least"), found, "write a share such as 95%; 100% can never be shown")
    if isinstance(gate, ErrorRateModel) and gate.at_most is not None and not 0 < gate.at_most < PPM:
        found = f"must be above 0% and below 100%: found {show_share(gate.at_most)}"
        yield Finding((*path, "at_most"), found, "write a share such as 1%; 0% can never be shown")
    if isinstance(gate, LatencyModel) and not PPM // 2 < gate.quantile < PPM:
        found = f"must be above 50% and below 100%: found {show_share(gate.quantile)}"
        yield Finding((*path, "quantile"), found, "write 99%; the slowest of all calls can never be shown")


def _output(path: Path, gate: AnyGate, shape: Shape) -> Iterator[Finding]:
    if not isinstance(gate, AccuracyModel | AgreementModel) or "output" in shape.broken:
        return
    declared = list(shape.model.output)
    if gate.of is not None and gate.of not in declared:
        known = f"declared are {', '.join(declared)}" if declared else "none is declared"
        near = difflib.get_close_matches(gate.of, declared, n=1)
        do = f"did you mean {near[0]}?" if near else "name a declared one, or add it under output"
        yield Finding((*path, "of"), f"is not an output: found {gate.of!r}, {known}", do)
    elif gate.of is None and len(declared) != 1:
        found = (
            f"does not say of which output: {', '.join(declared)}"
            if declared
            else "needs an output, and none is declared"
        )
        do = f"add of: {declared[0]}" if declared else "add output: {label: body:/label}"
        yield Finding(path, found, do)
    name = expand.output_of(gate, shape.model)
    output = shape.model.output.get(name or "")
    if isinstance(gate, AccuracyModel) and output and output.compare == "json_fields" and output.tolerance:
        found = f"looks at {name}, whose tolerance makes two different answers both equal to one truth"
        yield Finding(path, found, f"take output.{name}.tolerance out, or use agreement: truth is compared exactly")


def _truth(path: Path, gate: AnyGate, shape: Shape) -> Iterator[Finding]:
    if isinstance(gate, AccuracyModel) and shape.model.truth is None and "truth" not in shape.broken:
        found = "needs ground truth, and the plan declares none"
        yield Finding(
            path, found, "add truth: {key: body:/id, expected_within: 14d}, or use agreement, which needs none"
        )


def _places(path: Path, gate: AnyGate, segments: tuple[Segment, ...]) -> Iterator[Finding]:
    """Every named cell is declared, and a map of margins speaks of every cell of the gate."""
    known = cells.names(segments)
    if isinstance(gate.where, tuple):
        for index, name in enumerate(gate.where):
            if name not in known:
                yield _unknown_cell((*path, "where", index), name, known)
            elif gate.where.index(name) < index:
                yield Finding((*path, "where", index), f"stands twice: found {name!r}", "take one of them out")
    elif gate.where == WHERES[1] and not segments:
        yield Finding(
            (*path, "where"), "says every segment, and none is declared", "write overall, or declare segments"
        )
    if gate.expect:
        yield from _names((*path, "expect", "where"), gate.expect.where or {}, known)
    margin = gate.margin if isinstance(gate, AccuracyModel | ErrorRateModel) else None
    if not isinstance(margin, dict) or not margin:
        return
    yield from _names((*path, "margin"), margin, known)
    missing = [
        cells.name_of(place) for place in cells.places(gate.where, segments) if cells.look_up(margin, place) is None
    ]
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        yield Finding((*path, "margin"), f"has nothing for {shown}", "add otherwise: with the margin of all the others")


def _names(path: Path, by_cell: Mapping[str, int], known: tuple[str, ...]) -> Iterator[Finding]:
    for name in by_cell:
        if name not in known and name != cells.OTHERWISE:
            yield _unknown_cell((*path, name), name, (*known, cells.OTHERWISE))


def _unknown_cell(path: Path, name: str, known: tuple[str, ...]) -> Finding:
    near = difflib.get_close_matches(name, known, n=1)
    do = (
        f"did you mean {near[0]!r}?"
        if near
        else f"declared are {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
    )
    return Finding(path, f"is not a declared cell: found {name!r}", do)


def _expected_shares(path: Path, expect: ExpectModel) -> Iterator[Finding]:
    shares = {(*path, "disagreement"): expect.disagreement}
    shares |= {(*path, "where", cell): value for cell, value in (expect.where or {}).items()}
    for where, value in shares.items():
        if value is not None and value <= 0:
            yield Finding(where, f"must be above 0%: found {show_share(value)}", "write a small share, such as 0.1%")


def _reachable(
    path: Path, kind: GateKind, gate: AnyGate, shape: Shape, segments: tuple[Segment, ...]
) -> Iterator[Finding]:
    """What the plan itself expects must be able to pass. One finding a gate is enough."""
    everywhere = None if "expect" in shape.broken else shape.model.expect
    where: Path = (*path, "expect") if gate.expect else ("expect",)
    for place in cells.places(gate.where, segments):
        margin = expand.margin_of(gate, place) or 0
        disagreement, difference = expand.expectation(kind, gate, margin, place, everywhere)
        if abs(difference) > disagreement:
            found = (
                f"contradicts itself at {cells.name_of(place)}: a difference of {show_share(difference, 'pp')} "
                f"needs at least as much disagreement, found {show_share(disagreement)}"
            )
            yield Finding(where, found, "raise disagreement, or lower difference")
            return
        said = gate.expect or (everywhere if kind == "accuracy" else None)
        if said and difference <= -margin:
            gate_path = "gates[{}].{}".format(*path[1:])
            expected = f"{show_share(difference, 'pp')} is expected, above {show_share(-margin, 'pp')} must be shown"
            found = f"lets {gate_path} fail at {cells.name_of(place)}: {expected}"
            yield Finding(where, found, "expect less, or allow more in the gate")
            return
