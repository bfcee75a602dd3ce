"""Checks of the gates: forms, margins, places and expectations.

Promises  a gate that cannot pass by its own declaration is refused before the start
"""

import difflib
from collections.abc import Iterator, Mapping

from gnomon.plan import cells, criteria, kind_checks
from gnomon.plan.criteria import Criterion
from gnomon.plan.language_gates import (
    AgreementModel,
    AnyGate,
    ErrorRateModel,
    ExpectModel,
    LatencyModel,
    RefusalModel,
    ShareModel,
)
from gnomon.plan.scalars import WHERES
from gnomon.plan.shape import Shape
from gnomon.plan.source import Finding, Path
from gnomon.plan.units import PPM, show_share
from gnomon.records.plan import Segment


def check(shape: Shape) -> Iterator[Finding]:
    """Everything that is wrong with the gates and the targets, and with what is expected of them."""
    segments = None if "segments" in shape.broken else _segments(shape)
    if segments is not None and shape.model.expect and "expect" not in shape.broken:
        yield from _names(("expect", "where"), shape.model.expect.where or {}, segments)
        yield from _expected_shares(("expect",), shape.model.expect)
    for section, items in (("gates", shape.model.gates), ("targets", shape.model.targets)):
        for index, item in enumerate(items):
            if section == "gates" and index in shape.broken_gates:
                continue
            found = criteria.held(item)
            if found is None:
                names = [name for name in criteria.KINDS if getattr(item, name)]
                what = f"names {' and '.join(names)}" if names else "names no gate"
                do = f"write one gate to each dash: {', '.join(criteria.KINDS[:-1])} or {criteria.KINDS[-1]}"
                yield Finding((section, index), what, do)
                continue
            kind, said = found
            claims = [Criterion(kind, form, said) for form in criteria.forms_of(said)]
            yield from _gate((section, index, kind), claims, shape, segments)


def _segments(shape: Shape) -> tuple[Segment, ...] | None:
    """The declared segments; None: what they are is not clear, so no cell can be checked."""
    declared = shape.model.segments
    if any((each.values is None and each.top is None) == (each.bins is None) for each in declared.values()):
        return None
    return tuple(cells.segment(name, each) for name, each in declared.items())


def _gate(path: Path, claims: list[Criterion], shape: Shape, segments: tuple[Segment, ...] | None) -> Iterator[Finding]:
    said = claims[0].said
    before = [*_forms(path, claims[0]), *kind_checks.check(path, claims[0], shape), *_range(path, said)]
    if said.expect:
        before += _expected_shares((*path, "expect"), said.expect)
        before += _follows(path, claims[0])
    if segments is not None:
        before += _places(path, said, segments)
    yield from before
    if not before and segments is not None:
        for claim in claims:
            yield from _reachable(path, claim, shape, segments)


def _follows(path: Path, claim: Criterion) -> Iterator[Finding]:
    """A difference that is no expectation of its own."""
    if claim.said.expect is None or claim.said.expect.difference is None:
        return
    path = (*path, "expect", "difference")
    if claim.form in {"at_least", "at_most"}:
        found = "has no meaning against a fixed limit: it follows from the disagreement"
        yield Finding(path, found, "take it out")
    elif criteria.ratio_of(claim.said) is not None:
        found = "has no meaning for a multiple of production's rate: it follows from the disagreement"
        yield Finding(path, found, "take it out")


def _choices(said: AnyGate) -> tuple[str, ...]:
    """The forms of a kind, of which a gate has exactly one."""
    known = ("at_least", "no_worse_than", "better_than", "at_most")
    return tuple(form for form in known if form in type(said).model_fields)


def _forms(path: Path, claim: Criterion) -> Iterator[Finding]:
    """Exactly one of the forms, and a margin where the form has one."""
    said = claim.said
    if isinstance(said, ShareModel):
        yield from _margins((*path, "within"), said.within, better="")
        return
    choices = _choices(said)
    given = [form for form in choices if getattr(said, form) is not None]
    if len(given) != 1:
        what = f"says {' and '.join(given)}" if given else "does not say what is to be shown"
        yield Finding(path, what, f"write one of {', '.join(choices)}")
    if isinstance(said, LatencyModel):
        return
    if said.margin is not None and given and "no_worse_than" not in given:
        do = "take it out, or write no_worse_than: production"
        yield Finding((*path, "margin"), f"has no meaning for {given[0]}", do)
    if given == ["no_worse_than"]:
        better = ", or better_than: production" if "better_than" in choices else ""
        yield from _margins((*path, "margin"), said.margin, better=better)


def _margins(path: Path, said: int | dict[str, int] | tuple[int, int] | None, *, better: str) -> Iterator[Finding]:
    if isinstance(said, tuple):
        return
    if said is None:
        found = "is missing: how much worse is still acceptable must be said before the start"
        yield Finding(path, found, "add it, such as margin: 1pp")
        return
    margins: Mapping[Path, int] = (
        {(*path, cell): value for cell, value in said.items()} if isinstance(said, dict) else {path: said}
    )
    if not margins:
        yield Finding(path, "is an empty map", "write one margin for all, such as 1pp, or one for each cell")
    for where, value in margins.items():
        if value == 0:
            found = "is zero, which can never be shown: an equal candidate fails it too, however much data comes"
            yield Finding(where, found, f"write how much worse is acceptable, such as 1pp{better}")
        elif value < 0:
            found = f"must be above 0: found {show_share(value, 'pp')}; a margin is how much worse is still acceptable"
            more = f"{better} to ask for more" if better else ""
            yield Finding(where, found, f"write it without the sign{more}")
        elif value >= PPM:
            yield Finding(where, "allows everything: found 100pp", "write a margin below 100pp")


def _range(path: Path, said: AnyGate) -> Iterator[Finding]:
    if isinstance(said, AgreementModel) and said.at_least is not None and not 0 < said.at_least < PPM:
        found = f"must be above 0% and below 100%: found {show_share(said.at_least)}"
        yield Finding((*path, "at_least"), found, "write a share such as 95%; 100% can never be shown")
    if isinstance(said, ErrorRateModel | RefusalModel) and said.at_most is not None and not 0 < said.at_most < PPM:
        found = f"must be above 0% and below 100%: found {show_share(said.at_most)}"
        yield Finding((*path, "at_most"), found, "write a share such as 1%; 0% can never be shown")
    if isinstance(said, LatencyModel) and not PPM // 2 < said.quantile < PPM:
        found = f"must be above 50% and below 100%: found {show_share(said.quantile)}"
        yield Finding((*path, "quantile"), found, "write 99%; the slowest of all calls can never be shown")


def _places(path: Path, said: AnyGate, segments: tuple[Segment, ...]) -> Iterator[Finding]:
    """Every named cell is declared, and a map of margins speaks of every cell of the gate."""
    known = cells.names(segments)
    if isinstance(said.where, tuple):
        for index, name in enumerate(said.where):
            if name not in known:
                yield _unknown_cell((*path, "where", index), name, segments)
            elif said.where.index(name) < index:
                yield Finding((*path, "where", index), f"stands twice: found {name!r}", "take one of them out")
    elif said.where == WHERES[1] and not segments:
        yield Finding(
            (*path, "where"), "says every segment, and none is declared", "write overall, or declare segments"
        )
    if said.expect:
        yield from _names((*path, "expect", "where"), said.expect.where or {}, segments)
    margin = criteria.margins_of(said)
    if not isinstance(margin, dict) or not margin:
        return
    path = (*path, "within" if isinstance(said, ShareModel) else "margin")
    yield from _names(path, margin, segments)
    missing = [
        cells.name_of(place) for place in cells.places(said.where, segments) if cells.look_up(margin, place) is None
    ]
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        yield Finding(path, f"has nothing for {shown}", "add otherwise: with the margin of all the others")


def _names(path: Path, by_cell: Mapping[str, int], segments: tuple[Segment, ...]) -> Iterator[Finding]:
    known = cells.names(segments)
    for name in by_cell:
        if name not in known and name != cells.OTHERWISE:
            yield _unknown_cell((*path, name), name, segments, cells.OTHERWISE)


def _unknown_cell(path: Path, name: str, segments: tuple[Segment, ...], *more: str) -> Finding:
    found = f"is not a declared cell: found {name!r}"
    open_ = [each for each in segments if each.top and not each.values and name.startswith(f"{each.name}=")]
    if open_:
        top = f"the top {open_[0].top} of {open_[0].name} are not known yet"
        return Finding(path, f"{found}, and {top}", f"write {open_[0].name} for all of them, or name its values")
    known = (*cells.names(segments), *more)
    near = difflib.get_close_matches(name, known, n=1)
    do = (
        f"did you mean {near[0]!r}?"
        if near
        else f"declared are {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
    )
    return Finding(path, found, do)


def _expected_shares(path: Path, expect: ExpectModel) -> Iterator[Finding]:
    shares = {(*path, "disagreement"): expect.disagreement}
    shares |= {(*path, "where", cell): value for cell, value in (expect.where or {}).items()}
    for where, value in shares.items():
        if value is not None and value <= 0:
            yield Finding(where, f"must be above 0%: found {show_share(value)}", "write a small share, such as 0.1%")


def _reachable(path: Path, claim: Criterion, shape: Shape, segments: tuple[Segment, ...]) -> Iterator[Finding]:
    """What the plan itself expects must be able to pass. One finding a gate is enough."""
    if claim.kind == "error_rate" and criteria.ratio_of(claim.said) is not None:
        return  # what is expected of a ratio follows, and is on the candidate's side of it
    everywhere = None if "expect" in shape.broken else shape.model.expect
    own = claim.said.expect
    where: Path = (*path, "expect") if own else ("expect",)
    for place in cells.places(claim.said.where, segments):
        margin = criteria.margin_of(claim, place) or 0
        disagreement, difference = criteria.expectation(claim, margin, place, everywhere)
        if abs(difference) > disagreement:
            found = (
                f"contradicts itself at {cells.name_of(place)}: a difference of {show_share(difference, 'pp')} "
                f"needs at least as much disagreement, found {show_share(disagreement)}"
            )
            yield Finding(where, found, "raise disagreement, or lower difference")
            return
        said = own or (everywhere if claim.kind == "accuracy" else None)
        if said and difference <= -margin:
            gate_path = "{}[{}].{}".format(*path)
            expected = f"{show_share(difference, 'pp')} is expected, above {show_share(-margin, 'pp')} must be shown"
            found = f"lets {gate_path} fail at {cells.name_of(place)}: {expected}"
            yield Finding(where, found, "expect less, or allow more in the gate")
            return
