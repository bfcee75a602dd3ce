"""Expand: the typed document as the record that the program uses, with every test of every gate written out."""

from gnomon.plan import cells, criteria, gate_sentences
from gnomon.plan.criteria import Criterion
from gnomon.plan.expand_fork import arm, fork, guards, redaction
from gnomon.plan.language import HybridModel, PlanModel, TruthModel
from gnomon.plan.language_gates import CostModel, CustomModel, FieldModel, LatencyModel, LossModel
from gnomon.plan.units import PPM
from gnomon.records.evidence import GRID
from gnomon.records.plan import (
    OVERALL,
    Available,
    Custom,
    Duration,
    Gate,
    Output,
    Plan,
    Segment,
    Test,
    Truth,
    Unit,
)


def plan(model: PlanModel) -> Plan:
    """The plan of a document that passed every check."""
    segments = tuple(cells.segment(name, declared) for name, declared in model.segments.items())
    hard, soft = judged(model, segments)
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
        truth=_truth(model.truth),
        unit=_unit(model),
        gates=hard,
        duration=Duration(
            at_least_us=model.duration.at_least,
            cycle_us=model.duration.cycle,
            deadline_us=model.duration.deadline,
        ),
        lost_ppm=model.integrity.lost,
        start_lag_us=model.integrity.start_lag,
        probes_required=model.integrity.probes is not None,
        alpha_ppm=model.alpha,
        guards=guards(model.guards),
        record=redaction(model.record),
        targets=soft,
        cost_per_day=model.suitability.cost_per_day,
    )


def gates(
    items: list[Criterion],
    names: list[str],
    model: PlanModel,
    segments: tuple[Segment, ...],
    hybrid: HybridModel | None,
) -> tuple[Gate, ...]:
    """Every criterion with its tests."""
    return tuple(_gate(name, item, model, segments, hybrid) for name, item in zip(names, items, strict=True))


def judged(model: PlanModel, segments: tuple[Segment, ...]) -> tuple[tuple[Gate, ...], tuple[Gate, ...]]:
    """Gates and targets. A target's id tells it from the gates too; a gate's does not change for a target's sake."""
    hard, soft = criteria.criteria(model.gates), criteria.criteria(model.targets)
    of_targets = criteria.ids([*hard, *soft], model)[len(hard) :]
    return (
        gates(hard, criteria.ids(hard, model), model, segments, model.hybrid),
        gates(soft, of_targets, model, segments, None),
    )


def _gate(
    name: str, criterion: Criterion, model: PlanModel, segments: tuple[Segment, ...], hybrid: HybridModel | None
) -> Gate:
    said = criterion.said
    tests = []
    for place in cells.places(said.where, segments):
        margin = criteria.margin_of(criterion, place) or 0
        disagreement, difference = criteria.expectation(criterion, margin, place, model.expect)
        overall = place == cells.ALL
        tests.append(
            Test(
                gate=name,
                segment=place[0],
                value=place[1],
                margin_ppm=margin,
                disagreement_ppm=disagreement,
                difference_ppm=difference,
                min_units=max(1, model.samples.overall if overall else model.samples.every_segment),
                n_max=None if hybrid is None else hybrid.overall if overall else hybrid.every_segment,
            )
        )
    latency = said if isinstance(said, LatencyModel) else None
    costs, otherwise = criteria.costs_of(said) if isinstance(said, LossModel) else ((), PPM)
    return Gate(
        id=name,
        kind=criterion.kind,
        form=criterion.form,
        output=criteria.output_of(said, model),
        quantile_ppm=latency.quantile if latency else None,
        limit_us=latency.at_most if latency and isinstance(latency.at_most, int) else None,
        sentence=f"{gate_sentences.claim(criterion, model, tests)}, {_places(said.where, segments)}.",
        tests=tuple(tests),
        ratio=criteria.ratio_of(said),
        label=criteria.label_of(said),
        costs=costs,
        cost_otherwise_ppm=otherwise,
        scale=criteria.scale_of(said),
        limit=said.at_most if isinstance(said, CostModel) else None,
        outputs=tuple(said.of) if isinstance(said, FieldModel) else (),
        custom=Custom(function=said.function, digest=said.digest or "") if isinstance(said, CustomModel) else None,
        against_twin=criterion.kind == "agreement" and criterion.form == "no_worse_than",
        steps=criteria.steps_of(said, GRID),
    )


def _places(where: str | tuple[str, ...], segments: tuple[Segment, ...]) -> str:
    if not segments or where == OVERALL:
        return OVERALL
    if isinstance(where, str):
        each = " and ".join(declared.name for declared in segments)
        return f"overall and on every {each}" if where.startswith(OVERALL) else f"on every {each}"
    named = [name for name in where if name != OVERALL]
    on = [f"on {', '.join(named)}"] if named else []
    return " and ".join([OVERALL, *on] if OVERALL in where else on)


def _truth(model: TruthModel | None) -> Truth | None:
    if model is None:
        return None
    return Truth(
        key=model.key,
        expected_within_us=model.expected_within,
        policy=model.policy,
        covers=model.covers,
        available=tuple(
            Available(output=output, values=tuple(values)) for output, values in (model.available_when or {}).items()
        ),
    )


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
        instances=model.unit.instances,
    )
