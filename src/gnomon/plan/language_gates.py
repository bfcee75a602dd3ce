"""The part of the plan's language that speaks of gates and targets: every kind, its forms, its own words.

`language.py` is the whole. That exactly one form is given, and everything else that takes two keys to get wrong, is
checked in `gate_checks.py` and `kind_checks.py`.
"""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from gnomon.plan.language_fork import Model
from gnomon.plan.scalars import (
    EVERYWHERE,
    Digest,
    FunctionName,
    Label,
    LimitOrRatio,
    Margins,
    MarginsOrRatio,
    Number,
    Places,
    Scale,
    Share,
    Withins,
)

_OF: Final = "The output it looks at; may be left out when there is one."
_VALUE: Final = "The value of the output that is counted: text, a number, true or false."
_OUTPUT: Final = "The output that has the value; may be left out when there is one."
_SCALE: Final = "Lowest and highest value, sealed; what is outside counts as the nearer of the two."


class ExpectModel(Model):
    """What is expected to happen. It tunes the evidence and cannot weaken it."""

    disagreement: Share | None = Field(
        None, description="How often the arms differ in what the gate counts.", examples=["10%"]
    )
    difference: Share | None = Field(
        None, description="By how much the candidate is better (negative: worse).", examples=["0pp"]
    )
    where: dict[str, Share] | None = Field(None, description="Disagreement by cell.", examples=[{"country=DE": "8%"}])


class CriterionModel(Model):
    """What every gate can say."""

    where: Places = Field(
        EVERYWHERE,
        description="Where it must hold: overall, every segment, or a list of cells; left out: overall and every "
        "segment.",
        examples=["overall"],
    )
    expect: ExpectModel | None = Field(None, description="Expectation of this gate alone.")


class ComparedModel(CriterionModel):
    """A gate that holds the candidate against production: no worse by a margin, or better."""

    no_worse_than: Literal["production"] | None = Field(
        None, description="Not worse by `margin` or more.", examples=["production"]
    )
    better_than: Literal["production"] | None = Field(None, description="Shown to be better.", examples=["production"])
    margin: Margins | None = Field(
        None,
        description="How much worse is still acceptable: one share, or a map by cell with `otherwise`.",
        examples=["1pp", {"overall": "1pp", "otherwise": "4pp"}],
    )


class AccuracyModel(ComparedModel):
    """Right answers by ground truth. Exactly one of `no_worse_than` and `better_than`."""

    of: str | None = Field(None, description=_OF, examples=["label"])


class AgreementModel(CriterionModel):
    """Equal answers; needs no truth, and measures no correctness. Exactly one of `at_least` and `no_worse_than`."""

    of: str | None = Field(None, description=_OF, examples=["label"])
    at_least: Share | None = Field(None, description="Share of equal answers to be shown.", examples=["95%"])
    no_worse_than: Literal["production"] | None = Field(
        None,
        description="Agrees with production about as often as production's own second answer does (fork.twin).",
        examples=["production"],
    )
    margin: Margins | None = Field(
        None, description="How much less often is still acceptable, by cell if wished.", examples=["2pp"]
    )


class ShareModel(CriterionModel):
    """How often a value is answered, such as the block rate; needs no truth. It is two gates: not above, not below."""

    of: Label = Field(description=_VALUE, examples=["fraud"])
    output: str | None = Field(None, description=_OUTPUT, examples=["label"])
    within: Withins = Field(
        description="How far from production's share is still acceptable, both ways; by cell if wished.",
        examples=["0.5pp of production"],
    )


class ErrorRateModel(CriterionModel):
    """Failed calls. Exactly one of `no_worse_than`, `better_than` and `at_most`."""

    no_worse_than: Literal["production"] | None = Field(
        None, description="Not worse by `margin` or more.", examples=["production"]
    )
    better_than: Literal["production"] | None = Field(
        None, description="Shown to fail less often.", examples=["production"]
    )
    margin: MarginsOrRatio | None = Field(
        None,
        description="How much worse is still acceptable: one share, a map by cell, or a multiple of production's rate.",
        examples=["0.5pp", "1.5 x production"],
    )
    at_most: Share | None = Field(None, description="The candidate fails less often than this.", examples=["1%"])


class LatencyModel(CriterionModel):
    """The candidate's time to the last byte, against an absolute limit or production's own quantile."""

    quantile: Share = Field(description="Share of the calls that must be within the limit.", examples=["99%"])
    at_most: LimitOrRatio = Field(
        description="The limit: a time, or a multiple of the same quantile of production's.",
        examples=["250ms", "1.2 x production"],
    )


class RecallModel(ComparedModel):
    """Of what truly is a value, the share that is found. Exactly one of `no_worse_than` and `better_than`."""

    of: Label = Field(description=_VALUE, examples=["fraud"])
    output: str | None = Field(None, description=_OUTPUT, examples=["label"])


class PrecisionModel(ComparedModel):
    """Of what is called a value, the share that truly is. Exactly one of `no_worse_than` and `better_than`."""

    of: Label = Field(description=_VALUE, examples=["fraud"])
    output: str | None = Field(None, description=_OUTPUT, examples=["label"])


class LossModel(ComparedModel):
    """What wrong answers cost. Exactly one of `no_worse_than` and `better_than`."""

    output: str | None = Field(None, description=_OF, examples=["label"])
    costs: Annotated[dict[str, Annotated[dict[str, Number], Field(min_length=1)]], Field(min_length=1)] = Field(
        description="By truth, by answer: the cost of that answer. A right answer that is not named costs 0.",
        examples=[{"fraud": {"legit": 100}, "legit": {"fraud": 5}}],
    )
    otherwise: Number | None = Field(
        None,
        description="Cost of every other wrong answer; the largest of `costs` if left out.",
        examples=[100],
    )


class NumericModel(ComparedModel):
    """How far a number is from its truth. Exactly one of `no_worse_than` and `better_than`."""

    of: str | None = Field(None, description=_OF, examples=["score"])
    scale: Scale = Field(description=_SCALE, examples=[[0, 100]])


class FieldModel(ComparedModel):
    """Right fields of a document, averaged over it. Exactly one of `no_worse_than` and `better_than`."""

    of: Annotated[list[str], Field(min_length=1)] = Field(
        description="The outputs that make up one document, two or more.", examples=[["name", "total"]]
    )


class RefusalModel(ComparedModel):
    """Refused requests: a value that says so, or no answer. One of `no_worse_than`, `better_than` and `at_most`."""

    of: Label = Field(description="The value of the output that is a refusal.", examples=["refused"])
    output: str | None = Field(None, description=_OUTPUT, examples=["label"])
    at_most: Share | None = Field(None, description="The candidate refuses less often than this.", examples=["2%"])


class CostModel(ComparedModel):
    """What an answer takes, such as tokens. Exactly one of `no_worse_than`, `better_than` and `at_most`."""

    of: str | None = Field(None, description=_OF, examples=["tokens"])
    scale: Scale = Field(description=_SCALE, examples=[[0, 4000]])
    at_most: Number | None = Field(
        None, description="The candidate's mean is below this, in the output's own unit.", examples=[800]
    )


class CustomModel(ComparedModel):
    """A function of your own of a pair, from -1 to 1. Exactly one of `no_worse_than` and `better_than`."""

    function: FunctionName = Field(
        description="module:function, or the name of an installed entry point of gnomon.gates.",
        examples=["pricing.gates:margin_kept"],
    )
    digest: Digest | None = Field(
        None, description="SHA-256 of the function's source file; gnomon check says it.", examples=["0" * 64]
    )


class GateModel(Model):
    """One gate or one target: one key."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    accuracy: AccuracyModel | None = Field(None, description="Right answers by ground truth.")
    agreement: AgreementModel | None = Field(None, description="Equal answers.")
    share: ShareModel | None = Field(None, description="How often a value is answered.")
    error_rate: ErrorRateModel | None = Field(None, description="Failed calls.")
    latency: LatencyModel | None = Field(None, description="Slow calls.")
    recall: RecallModel | None = Field(None, description="The share of a class that is found.")
    precision: PrecisionModel | None = Field(None, description="The share of what is called a class that is.")
    loss: LossModel | None = Field(None, description="What wrong answers cost.")
    numeric: NumericModel | None = Field(None, description="How far a number is from its truth.")
    field: FieldModel | None = Field(None, description="Right fields of a document.")
    refusal_rate: RefusalModel | None = Field(None, description="Refused requests.")
    cost: CostModel | None = Field(None, description="What an answer takes.")
    custom: CustomModel | None = Field(None, description="A function of your own.")


AnyGate = (
    AccuracyModel
    | AgreementModel
    | ShareModel
    | ErrorRateModel
    | LatencyModel
    | RecallModel
    | PrecisionModel
    | LossModel
    | NumericModel
    | FieldModel
    | RefusalModel
    | CostModel
    | CustomModel
)
