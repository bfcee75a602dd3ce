"""Expand: the typed document as the record that the program uses, with every test of every gate written out."""

from collections import Counter
from typing import Final

from gnomon.plan import cells
from gnomon.plan.expand_fork import arm, fork, guards, redaction
from gnomon.plan.language import (
    AccuracyModel,
    AgreementModel,
    ErrorRateModel,
    ExpectModel,
    GateModel,
    LatencyModel,
    PlanModel,
)
from gnomon.plan.units import PPM, show_duration, show_share
from gnomon.records.plan import (
    OVERALL,
    Duration,
    Gate,
    GateForm,
    GateKind,
    Output,
    Plan,
    Segment,
    Test,
    Truth,
    Unit,
)

AnyGate = AccuracyModel | AgreementModel | ErrorRateModel | LatencyModel

DISAGREEMENT: Final = {"accuracy": 100_000, "error_rate": 10_000}
"""Expected disagreement of a paired gate when nothing is said. Fixed within `gnomon: 1`: it moves the bets."""


def plan(model: PlanModel) -> Plan:
    """The plan of a document that passed every check."""
    segments = tuple(cells.segment(name, declared) for name, declared in model.segments.items())
    truth = model.truth
    return Plan(
        trial=model.trial,
        question=model.question,
        production=arm(model.production),
        candidate=arm(model.candidate),
        protocol=model.protocol,
        routes=tuple(model.routes),
        fork=fork(model.fork),
        segments=segments,
        outputs=_outputs(model),
        truth=None if truth is None else Truth(key=truth.key, expected_within_us=truth.expected_within),
        unit=_unit(model),
        gates=gates(model, segments),
        duration=Duration(
            at_least_us=model.duration.at_least,
            cycle_us=model.duration.cycle,
            deadline_us=model.duration.deadline,
        ),
        lost_ppm=model.integrity.lost,
        alpha_ppm=model.alpha,
        guards=guards(model.guards),
        record=redaction(model.record),
    )


def kind_of(item: GateModel) -> tuple[GateKind, AnyGate] | None:
    """The one gate that an entry of `gates` holds; None: not exactly one."""
    found: list[tuple[GateKind, AnyGate]] = []
    if item.accuracy:
        found.append(("accuracy", item.accuracy))
    if item.agreement:
        found.append(("agreement", item.agreement))
    if item.error_rate:
        found.append(("error_rate", item.error_rate))
    if item.latency:
        found.append(("latency", item.latency))
    return found[0] if len(found) == 1 else None


def form_of(gate: AnyGate) -> GateForm:
    """What is to be shown. The first form that is given; that there is one only is checked in `semantics`."""
    if isinstance(gate, AgreementModel):
        return "at_least"
    if isinstance(gate, LatencyModel):
        return "at_most"
    if gate.no_worse_than:
        return "no_worse_than"
    return "better_than" if gate.better_than else "at_most"


def output_of(gate: AnyGate, model: PlanModel) -> str | None:
    """The output that a gate looks at, named or the only one."""
    if not isinstance(gate, AccuracyModel | AgreementModel):
        return None
    return gate.of or (next(iter(model.output)) if len(model.output) == 1 else None)


def margin_of(gate: AnyGate, place: cells.Place) -> int | None:
    """The margin of a gate in one cell, in parts per million; None: its map does not say."""
    form = form_of(gate)
    if isinstance(gate, AgreementModel):
        return PPM - gate.at_least
    if isinstance(gate, LatencyModel):
        return PPM - gate.quantile
    if form == "better_than":
        return 0
    if form == "at_most":
        return gate.at_most if isinstance(gate, ErrorRateModel) else None
    return cells.look_up(gate.margin, place) if isinstance(gate.margin, dict) else gate.margin


def expectation(
    kind: GateKind, gate: AnyGate, margin: int, place: cells.Place, everywhere: ExpectModel | None
) -> tuple[int, int]:
    """Expected disagreement and difference of one test, in parts per million.

    The gate's own `expect` comes first, by cell and then in general; the plan's is for accuracy gates; then the
    defaults (docs/plan.md). Gates against a fixed limit can only lose, so their difference is minus the disagreement.
    """
    form = form_of(gate)
    said = [each for each in (gate.expect, everywhere if kind == "accuracy" else None) if each is not None]
    disagreement = _disagreement(said, place)
    if form in {"at_least", "at_most"}:
        fails = disagreement if disagreement is not None else max(1, margin // 2)
        return fails, -fails
    if disagreement is None:
        disagreement = DISAGREEMENT[kind]
    # a plan-wide difference of 0 says "as good", which is nothing that a gate for "better" could expect
    relevant = said[:1] if form == "better_than" and gate.expect else ([] if form == "better_than" else said)
    difference = next((each.difference for each in relevant if each.difference is not None), None)
    if difference is None:
        difference = disagreement // 4 if form == "better_than" else 0
    return disagreement, difference


def gates(model: PlanModel, segments: tuple[Segment, ...]) -> tuple[Gate, ...]:
    """Every gate with its tests."""
    items = [found for item in model.gates if (found := kind_of(item)) is not None]
    ids = _ids([(kind, output_of(gate, model), form_of(gate)) for kind, gate in items])
    return tuple(_gate(name, kind, gate, model, segments) for name, (kind, gate) in zip(ids, items, strict=True))


def _ids(of: list[tuple[GateKind, str | None, GateForm]]) -> list[str]:
    """The kind; with output, then form, then a number, as far as that is needed to tell them apart."""
    kinds = Counter(kind for kind, _, _ in of)
    ids = [f"{kind}:{output}" if output and kinds[kind] > 1 else kind for kind, output, _ in of]
    counted = Counter(ids)
    ids = [f"{name}:{form}" if counted[name] > 1 else name for name, (_, _, form) in zip(ids, of, strict=True)]
    counted, seen = Counter(ids), Counter[str]()
    for index, name in enumerate(ids):
        seen[name] += 1
        if counted[name] > 1 and seen[name] > 1:
            ids[index] = f"{name}:{seen[name]}"
    return ids


def _gate(name: str, kind: GateKind, gate: AnyGate, model: PlanModel, segments: tuple[Segment, ...]) -> Gate:
    tests = []
    for place in cells.places(gate.where, segments):
        margin = margin_of(gate, place) or 0
        disagreement, difference = expectation(kind, gate, margin, place, model.expect)
        samples = model.samples.overall if place == cells.ALL else model.samples.every_segment
        tests.append(
            Test(
                gate=name,
                segment=place[0],
                value=place[1],
                margin_ppm=margin,
                disagreement_ppm=disagreement,
                difference_ppm=difference,
                min_units=max(1, samples),
            )
        )
    latency = gate if isinstance(gate, LatencyModel) else None
    return Gate(
        id=name,
        kind=kind,
        form=form_of(gate),
        output=output_of(gate, model),
        quantile_ppm=latency.quantile if latency else None,
        limit_us=latency.at_most if latency else None,
        sentence=f"{_claim(kind, gate, model, tests)}, {_places(gate, segments)}.",
        tests=tuple(tests),
    )


def _claim(kind: GateKind, gate: AnyGate, model: PlanModel, tests: list[Test]) -> str:
    if isinstance(gate, LatencyModel):
        return (
            f"{show_share(gate.quantile)} of the candidate's answers are complete within {show_duration(gate.at_most)}"
        )
    output = output_of(gate, model)
    if isinstance(gate, AgreementModel):
        return f"Both models give the same {output} in at least {show_share(gate.at_least)} of the requests"
    form = form_of(gate)
    if form == "at_most" and isinstance(gate, ErrorRateModel):
        return f"The candidate fails in at most {show_share(gate.at_most or 0)} of the requests"
    margins = [show_share(margin, "pp") for margin in sorted({test.margin_ppm for test in tests})]
    limit = margins[0] if len(margins) == 1 else f"{margins[0]} to {margins[-1]} (by cell)"
    if kind == "accuracy":
        does = f"is right about {output}"
        return f"The candidate {does} " + (
            "more often than production" if form == "better_than" else f"at most {limit} less often than production"
        )
    if form == "better_than":
        return "The candidate fails less often than production"
    return f"The candidate fails at most {limit} more often than production"


def _places(gate: AnyGate, segments: tuple[Segment, ...]) -> str:
    if not segments or gate.where == OVERALL:
        return OVERALL
    if isinstance(gate.where, str):
        each = " and ".join(declared.name for declared in segments)
        return f"overall and on every {each}" if gate.where.startswith(OVERALL) else f"on every {each}"
    named = [name for name in gate.where if name != OVERALL]
    on = [f"on {', '.join(named)}"] if named else []
    return " and ".join([OVERALL, *on] if OVERALL in gate.where else on)


def _disagreement(said: list[ExpectModel], place: cells.Place) -> int | None:
    for each in said:
        here = cells.look_up(each.where or {}, place)
        if here is not None:
            return here
        if each.disagreement is not None:
            return each.disagreement
    return None


def _outputs(model: PlanModel) -> tuple[Output, ...]:
    return tuple(
        Output(
            name=name,
            of=declared.from_,
            compare=declared.compare,
            tolerance=declared.tolerance or 0.0,
            ignore=tuple(declared.ignore or ()),
        )
        for name, declared in model.output.items()
    )


def _unit(model: PlanModel) -> Unit:
    if model.unit is None:
        return Unit()
    return Unit(
        cluster=model.unit.cluster,
        closes_after_us=model.unit.closes_after or 0,
        independent=bool(model.unit.independent),
    )
