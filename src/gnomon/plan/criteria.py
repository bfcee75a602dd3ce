"""Criteria: what an entry of `gates` or `targets` asks, before it is known in which cells.

A criterion is one claim with one form; `share` with its `within` is two. What is expected of a criterion, and what is
the smallest step in which its D is counted, is fixed here within `gnomon: 1`: both move the bets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Final, get_args

from gnomon.plan import cells, labels
from gnomon.plan.language import PlanModel
from gnomon.plan.language_gates import (
    AgreementModel,
    AnyGate,
    ComparedModel,
    CostModel,
    CustomModel,
    ErrorRateModel,
    ExpectModel,
    FieldModel,
    GateModel,
    LatencyModel,
    LossModel,
    NumericModel,
    PrecisionModel,
    RecallModel,
    RefusalModel,
    ShareModel,
)
from gnomon.plan.units import PPM
from gnomon.records.plan import GateForm, GateKind

KINDS: Final[tuple[GateKind, ...]] = get_args(GateKind)

DISAGREEMENT: Final[dict[str, int]] = {
    "accuracy": 100_000,
    "agreement": 50_000,
    "share": 50_000,
    "error_rate": 10_000,
    "recall": 100_000,
    "precision": 100_000,
    "loss": 100_000,
    "numeric": 200_000,
    "field": 200_000,
    "refusal_rate": 20_000,
    "cost": 200_000,
    "custom": 200_000,
}
"""Expected disagreement of a paired gate when nothing is said. Fixed within `gnomon: 1`: it moves the bets."""

PARTS: Final[dict[str, int]] = {"loss": 2, "numeric": 4, "cost": 4, "custom": 4}
"""Of a D that is no -1, 0 or 1: how often a typical difference goes into the largest. A document's is a field."""

FINEST: Final = 25
"""Steps of a D that is no small fraction: it is counted in thousandths, so that rounding eats no margin."""

_FIXED: Final = frozenset({"at_least", "at_most"})
"""Forms against a limit: such a gate can only lose."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One claim."""

    kind: GateKind
    form: GateForm
    said: AnyGate


def held(item: GateModel) -> tuple[GateKind, AnyGate] | None:
    """The one gate that an entry holds; None: not exactly one."""
    found = [(kind, said) for kind in KINDS if (said := getattr(item, kind)) is not None]
    return found[0] if len(found) == 1 else None


def forms_of(said: AnyGate) -> tuple[GateForm, ...]:
    """What is to be shown. The first form that is given; that there is one only is checked in `gate_checks`."""
    if isinstance(said, ShareModel):
        return "not_above", "not_below"
    if isinstance(said, LatencyModel):
        return ("at_most",)
    if isinstance(said, AgreementModel):
        return ("at_least",) if said.at_least is not None else ("no_worse_than",)
    if said.no_worse_than:
        return ("no_worse_than",)
    return ("better_than",) if said.better_than else ("at_most",)


def criteria(items: list[GateModel]) -> list[Criterion]:
    """Every claim of a list of gates or targets, in its order."""
    found = [each for item in items if (each := held(item)) is not None]
    return [Criterion(kind, form, said) for kind, said in found for form in forms_of(said)]


def output_of(said: AnyGate, model: PlanModel) -> str | None:
    """The output that a gate looks at, named or the only one; None: it looks at none, at several, or it is not said."""
    if isinstance(said, ErrorRateModel | LatencyModel | FieldModel | CustomModel):
        return None
    named = (
        said.output
        if isinstance(said, ShareModel | RecallModel | PrecisionModel | RefusalModel | LossModel)
        else said.of
    )
    return named or (next(iter(model.output)) if len(model.output) == 1 else None)


def label_of(said: AnyGate) -> str | None:
    """The value that is counted, as canonical JSON text."""
    return said.of if isinstance(said, ShareModel | RecallModel | PrecisionModel | RefusalModel) else None


def ratio_of(said: AnyGate) -> tuple[int, int] | None:
    """The multiple of production's that is the limit."""
    if isinstance(said, ErrorRateModel) and isinstance(said.margin, tuple):
        return said.margin
    return said.at_most if isinstance(said, LatencyModel) and isinstance(said.at_most, tuple) else None


def scale_of(said: AnyGate) -> tuple[float, float] | None:
    """The bounds of a number."""
    return said.scale if isinstance(said, NumericModel | CostModel) else None


def margins_of(said: AnyGate) -> int | dict[str, int] | None:
    """What the gate says of how much worse is acceptable: one share or a map by cell; None: nothing, or a ratio."""
    if isinstance(said, ShareModel):
        return said.within
    if isinstance(said, ComparedModel | AgreementModel):
        return said.margin
    return None if not isinstance(said, ErrorRateModel) or isinstance(said.margin, tuple) else said.margin


def margin_of(criterion: Criterion, place: cells.Place) -> int | None:
    """The margin of a criterion in one cell, in parts per million; None: its map does not say."""
    said = criterion.said
    if isinstance(said, LatencyModel):
        return PPM - said.quantile
    if criterion.form == "at_least":
        return PPM - (said.at_least or 0) if isinstance(said, AgreementModel) else None
    if criterion.form == "better_than" or ratio_of(said) is not None:
        return 0
    if criterion.form == "at_most":
        return _limit_of(said)
    margins = margins_of(said)
    return cells.look_up(margins, place) if isinstance(margins, dict) else margins


def _limit_of(said: AnyGate) -> int | None:
    """The share that is at most acceptable. A cost's is rounded down: what is shown is never weaker than the limit."""
    if isinstance(said, CostModel) and said.at_most is not None:
        low, high = (Fraction(end) for end in said.scale)
        return int((Fraction(said.at_most) - low) * PPM // (high - low))
    return said.at_most if isinstance(said, ErrorRateModel | RefusalModel) else None


def expectation(
    criterion: Criterion, margin: int, place: cells.Place, everywhere: ExpectModel | None
) -> tuple[int, int]:
    """Expected disagreement and difference of one test, in parts per million.

    The gate's own `expect` comes first, by cell and then in general; the plan's is for accuracy gates; then the
    defaults (docs/plan.md). Gates against a fixed limit can only lose, so their difference is minus the disagreement.
    For a ratio n/d of error rates, the disagreement is how often one of the arms or both fail. The difference is that
    of two arms that fail equally often, in two thirds of it (half of an arm's failures are the other's too): it is
    (n - d)/n of that rate.
    """
    kind, form = criterion.kind, criterion.form
    said = [each for each in (criterion.said.expect, everywhere if kind == "accuracy" else None) if each is not None]
    disagreement = _disagreement(said, place)
    if form in _FIXED:
        allowed = margin * 3 // 4 if kind == "cost" else margin // 2
        fails = disagreement if disagreement is not None else max(1, allowed)
        return fails, -fails
    if disagreement is None:
        disagreement = DISAGREEMENT[kind]
    ratio = ratio_of(criterion.said)
    if ratio is not None:
        return disagreement, disagreement * 2 * (ratio[0] - ratio[1]) // (3 * ratio[0])
    # a plan-wide difference of 0 says "as good", which is nothing that a gate for "better" could expect
    relevant = said[:1] if form == "better_than" and criterion.said.expect else ([] if form == "better_than" else said)
    difference = next((each.difference for each in relevant if each.difference is not None), None)
    if difference is None:
        difference = disagreement // (4 * _parts_of(criterion.said, kind)) if form == "better_than" else 0
    return disagreement, difference


def _parts_of(said: AnyGate, kind: GateKind) -> int:
    return len(said.of) if isinstance(said, FieldModel) else PARTS.get(kind, 1)


def _disagreement(said: list[ExpectModel], place: cells.Place) -> int | None:
    for each in said:
        here = cells.look_up(each.where or {}, place)
        if here is not None:
            return here
        if each.disagreement is not None:
            return each.disagreement
    return None


def costs_of(said: LossModel) -> tuple[tuple[tuple[str, str, int], ...], int]:
    """Every cost by truth's and answer's text, and that of all others, in parts per million of the largest one."""
    named = {
        (truth, answer): Fraction(cost)
        for key, by_answer in said.costs.items()
        for truth in labels.texts(key)
        for each, cost in by_answer.items()
        for answer in labels.texts(each)
    }
    otherwise = Fraction(said.otherwise) if said.otherwise is not None else max(named.values())
    largest = max(*named.values(), otherwise)
    scaled = tuple((*pair, round(cost * PPM / largest)) for pair, cost in named.items())
    return scaled, round(otherwise * PPM / largest)


def steps_of(said: AnyGate, grid: int) -> int:
    """In how many parts a step of 1/grid is divided, so that D is exact, or is rounded by a thousandth at most."""
    ratio = ratio_of(said)
    if isinstance(said, ErrorRateModel) and ratio is not None:
        return ratio[0]
    if isinstance(said, FieldModel):
        return len(said.of)
    if isinstance(said, LossModel):
        costs, otherwise = costs_of(said)
        finest = max(_parts(cost, grid) for cost in (otherwise, *(cost for *_, cost in costs)))
        return min(finest, FINEST)
    return FINEST if isinstance(said, NumericModel | CostModel | CustomModel) else 1


def _parts(ppm: int, grid: int) -> int:
    """The smallest number of parts of 1/grid in which a share is whole."""
    whole = PPM // gcd(ppm, PPM)
    return whole // gcd(whole, grid)


def ids(of: list[Criterion], model: PlanModel) -> list[str]:
    """The kind; with what it looks at, then the form, then a number, as far as that is needed to tell them apart."""
    kinds = [each.kind for each in of]
    named = [
        f"{each.kind}:{what}"
        if kinds.count(each.kind) > 1 and (what := _what(each, of, model)) is not None
        else str(each.kind)
        for each in of
    ]
    formed = [f"{name}:{each.form}" if named.count(name) > 1 else name for name, each in zip(named, of, strict=True)]
    return list(_numbered(formed))


def _numbered(names: list[str]) -> Iterator[str]:
    """Each once. A value may be any text, so a number may be taken by somebody's value."""
    seen: set[str] = set()
    for name in names:
        made, number = name, 1
        while made in seen or (number > 1 and made in names):
            number += 1
            made = f"{name}:{number}"
        seen.add(made)
        yield made


def _what(criterion: Criterion, of: list[Criterion], model: PlanModel) -> str | None:
    said = criterion.said
    if isinstance(said, CustomModel):
        return said.function.rpartition(":")[2]
    if isinstance(said, FieldModel):
        return "+".join(said.of)
    label, output = label_of(said), output_of(said, model)
    if label is None:
        return output
    named = {output_of(each.said, model) for each in of if (each.kind, label_of(each.said)) == (criterion.kind, label)}
    return labels.show(label) if len(named) == 1 else f"{output}={labels.show(label)}"
