"""What a criterion asks, in plain words: the claim of each kind and form, without the cells."""

from collections.abc import Callable
from typing import Final

from gnomon.plan import criteria, labels
from gnomon.plan.criteria import Criterion
from gnomon.plan.language import PlanModel
from gnomon.plan.language_gates import (
    AgreementModel,
    CostModel,
    CustomModel,
    ErrorRateModel,
    FieldModel,
    LatencyModel,
    NumericModel,
    RefusalModel,
)
from gnomon.plan.units import show_duration, show_ratio, show_share
from gnomon.records.plan import Test


def claim(criterion: Criterion, model: PlanModel, tests: list[Test]) -> str:
    """What must be shown, without a full stop and without the place."""
    return _CLAIMS[criterion.kind](criterion, model, _limit(tests, _UNITS.get(criterion.kind, "pp")))


def _limit(tests: list[Test], unit: str) -> str:
    margins = [show_share(margin, unit) for margin in sorted({test.margin_ppm for test in tests})]
    return margins[0] if len(margins) == 1 else f"{margins[0]} to {margins[-1]} (by cell)"


def _accuracy(criterion: Criterion, model: PlanModel, limit: str) -> str:
    does = f"The candidate is right about {criteria.output_of(criterion.said, model)}"
    return f"{does} {_than(criterion, limit)}"


def _than(criterion: Criterion, limit: str, *, more: str = "more", less: str = "less") -> str:
    if criterion.form == "better_than":
        return f"{more} often than production"
    return f"at most {limit} {less} often than production"


def _agreement(criterion: Criterion, model: PlanModel, limit: str) -> str:
    output = criteria.output_of(criterion.said, model)
    if isinstance(criterion.said, AgreementModel) and criterion.said.at_least is not None:
        at_least = show_share(criterion.said.at_least)
        return f"Both models give the same {output} in at least {at_least} of the requests"
    return (
        f"The candidate gives production's {output} at most {limit} less often than production itself does when it is "
        "asked a second time"
    )


def _share(criterion: Criterion, model: PlanModel, limit: str) -> str:
    side = "above" if criterion.form == "not_above" else "below"
    return f"The candidate's share of {_value(criterion, model)} is at most {limit} {side} production's"


def _value(criterion: Criterion, model: PlanModel) -> str:
    return f"{criteria.output_of(criterion.said, model)} {labels.show(criteria.label_of(criterion.said) or '')}"


def _error_rate(criterion: Criterion, _model: PlanModel, limit: str) -> str:
    ratio = criteria.ratio_of(criterion.said)
    if ratio is not None:
        return f"The candidate fails at most {show_ratio(ratio)} times as often as production"
    if criterion.form == "at_most" and isinstance(criterion.said, ErrorRateModel):
        return f"The candidate fails in at most {show_share(criterion.said.at_most or 0)} of the requests"
    return f"The candidate fails {_than(criterion, limit, more='less', less='more')}"


def _latency(criterion: Criterion, _model: PlanModel, _limit: str) -> str:
    said = criterion.said
    assert isinstance(said, LatencyModel)
    if isinstance(said.at_most, tuple):
        share, ratio = show_share(said.quantile), show_ratio(said.at_most)
        return f"{share} of the candidate's answers are complete within {ratio} times what {share} of production's need"
    within = show_duration(said.at_most)
    return f"{show_share(said.quantile)} of the candidate's answers are complete within {within}"


def _recall(criterion: Criterion, model: PlanModel, limit: str) -> str:
    return f"Where the truth is {_value(criterion, model)}, the candidate finds it {_than(criterion, limit)}"


def _precision(criterion: Criterion, model: PlanModel, limit: str) -> str:
    return f"Where it answers {_value(criterion, model)}, the candidate is right {_than(criterion, limit)}"


def _loss(criterion: Criterion, model: PlanModel, limit: str) -> str:
    return f"The mean cost of the candidate's {criteria.output_of(criterion.said, model)} is " + _above(
        criterion, limit, "of the largest cost"
    )


def _above(criterion: Criterion, limit: str, of: str) -> str:
    if criterion.form == "better_than":
        return "below production's"
    return f"at most {limit} {of} above production's"


def _numeric(criterion: Criterion, model: PlanModel, limit: str) -> str:
    said = criterion.said
    assert isinstance(said, NumericModel)
    output = criteria.output_of(said, model)
    return f"The mean error of the candidate's {output} is {_above(criterion, limit, _scale(said.scale))}"


def _scale(scale: tuple[float, float]) -> str:
    return f"of the scale from {scale[0]:g} to {scale[1]:g}"


def _field(criterion: Criterion, _model: PlanModel, limit: str) -> str:
    said = criterion.said
    assert isinstance(said, FieldModel)
    of = f"{', '.join(said.of[:-1])} and {said.of[-1]}"
    return f"Averaged over {of} of each document, the candidate is right {_than(criterion, limit)}"


def _refusal_rate(criterion: Criterion, model: PlanModel, limit: str) -> str:
    does = f"The candidate refuses (it answers {_value(criterion, model)}, or not at all)"
    if criterion.form == "at_most" and isinstance(criterion.said, RefusalModel):
        return f"{does} in at most {show_share(criterion.said.at_most or 0)} of the requests"
    return f"{does} {_than(criterion, limit, more='less', less='more')}"


def _cost(criterion: Criterion, model: PlanModel, limit: str) -> str:
    said = criterion.said
    assert isinstance(said, CostModel)
    mean = f"The mean of the candidate's {criteria.output_of(said, model)}"
    if criterion.form == "at_most" and said.at_most is not None:
        return f"{mean} is at most {said.at_most:g}"
    return f"{mean} is {_above(criterion, limit, _scale(said.scale))}"


def _custom(criterion: Criterion, _model: PlanModel, limit: str) -> str:
    said = criterion.said
    assert isinstance(said, CustomModel)
    better = "better than production" if criterion.form == "better_than" else f"at most {limit} worse than production"
    return f"By the function {said.function}, the candidate is {better} in the mean"


_UNITS: Final = {"loss": "%", "numeric": "%", "cost": "%"}
"""What a margin of a share of something is shown in."""

_CLAIMS: Final[dict[str, Callable[[Criterion, PlanModel, str], str]]] = {
    "accuracy": _accuracy,
    "agreement": _agreement,
    "share": _share,
    "error_rate": _error_rate,
    "latency": _latency,
    "recall": _recall,
    "precision": _precision,
    "loss": _loss,
    "numeric": _numeric,
    "field": _field,
    "refusal_rate": _refusal_rate,
    "cost": _cost,
    "custom": _custom,
}
