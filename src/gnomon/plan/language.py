"""The language of a plan: every key, its type, what it means. `docs/plan.md` shows it to people.

The models hold what the file says, parsed (durations in microseconds, shares in parts per million). What one value
alone can get wrong is checked in `scalars.py`; what needs two is in `semantics.py`; `expand.py` makes the record that
the program uses. The arms, the fork and the log's part stand in `language_fork.py`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from gnomon.plan.language_fork import CandidateModel, ForkModel, GuardsModel, Model, ProductionModel, RecordModel
from gnomon.plan.scalars import (
    EVERYWHERE,
    Asserted,
    ComparatorName,
    Count,
    Duration,
    From,
    LanguageVersion,
    Limit,
    Margins,
    NoSideEffects,
    Places,
    Pointer,
    ProtocolName,
    RouteText,
    Share,
    Stateless,
    Text,
    TrialName,
)


class SuitabilityModel(Model):
    """What makes a second call honest and harmless."""

    context: Stateless = Field(
        description="stateless: each request carries all that its answer depends on.", examples=["stateless"]
    )
    side_effects: NoSideEffects = Field(
        description="none: calling the model a second time changes nothing.", examples=["none"]
    )


class SegmentModel(Model):
    """A way to divide the requests. Exactly one of `values` and `bins`."""

    from_: From = Field(alias="from", description="Where the value stands in the request.", examples=["body:/country"])
    values: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="The values that are cells of their own; others are `other`.", examples=[["DE", "FR"]]
    )
    bins: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)] | None = Field(
        None,
        description="Rising edges: [0, 100] gives 0 to 100 and 100 up; under the first is `below`.",
        examples=[[0, 100]],
    )


class OutputModel(Model):
    """A named value in both answers."""

    from_: From = Field(alias="from", description="Where the value stands in the answer.", examples=["body:/label"])
    compare: ComparatorName = Field(
        "exact", description="How two of them are compared; exact if left out.", examples=["exact"]
    )
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Absolute; for number, and for numbers inside json_fields; 0 if left out.", examples=[0.01]
    )
    ignore: list[Pointer] | None = Field(
        None, description="JSON pointers that json_fields leaves out.", examples=[["/id"]]
    )


def _short_output(value: object) -> object:
    """`label: body:/label` is short for `label: {from: body:/label}`."""
    return {"from": value} if isinstance(value, str) else value


OutputOrShort = Annotated[OutputModel, BeforeValidator(_short_output, json_schema_input_type=From | OutputModel)]


class TruthModel(Model):
    """How ground truth finds its request."""

    key: From | None = Field(
        None,
        description="Where the truth's key stands in the request; left out: truth names Gnomon's exchange id.",
        examples=["body:/transaction_id"],
    )
    expected_within: Limit = Field(description="Truth that comes later is taken as the worst case.", examples=["14d"])


class UnitModel(Model):
    """What counts once. Either a cluster with `closes_after`, or `independent: true`."""

    cluster: From | None = Field(
        None, description="Requests with the same value count as one.", examples=["body:/document_id"]
    )
    closes_after: Limit | None = Field(
        None, description="A cluster is complete when none of its requests came for so long.", examples=["1h"]
    )
    independent: Asserted | None = Field(
        None, description="true: an explicit assertion that requests are independent.", examples=[True]
    )


class ExpectModel(Model):
    """What is expected to happen. It tunes the evidence and cannot weaken it."""

    disagreement: Share | None = Field(
        None, description="How often the arms differ in what the gate counts.", examples=["10%"]
    )
    difference: Share | None = Field(
        None, description="By how much the candidate is better (negative: worse).", examples=["0pp"]
    )
    where: dict[str, Share] | None = Field(None, description="Disagreement by cell.", examples=[{"country=DE": "8%"}])


_WHERE: Final = "Where it must hold: overall, every segment, or a list of cells; left out: overall and every segment."
_OF: Final = "The output it looks at; may be left out when there is one."
_MARGIN: Final = "How much worse is still acceptable: one share, or a map by cell with `otherwise`."


class AccuracyModel(Model):
    """Right answers by ground truth. Exactly one of `no_worse_than` and `better_than`."""

    of: str | None = Field(None, description=_OF, examples=["label"])
    no_worse_than: Literal["production"] | None = Field(
        None, description="Not worse by `margin` or more.", examples=["production"]
    )
    better_than: Literal["production"] | None = Field(None, description="Shown to be better.", examples=["production"])
    margin: Margins | None = Field(None, description=_MARGIN, examples=["1pp", {"overall": "1pp", "otherwise": "4pp"}])
    where: Places = Field(EVERYWHERE, description=_WHERE, examples=["overall"])
    expect: ExpectModel | None = Field(None, description="Expectation of this gate alone.")


class AgreementModel(Model):
    """Equal answers; needs no truth, and measures no correctness."""

    of: str | None = Field(None, description=_OF, examples=["label"])
    at_least: Share = Field(description="Share of equal answers to be shown.", examples=["95%"])
    where: Places = Field(EVERYWHERE, description=_WHERE, examples=["overall"])
    expect: ExpectModel | None = Field(None, description="Expectation of this gate alone.")


class ErrorRateModel(Model):
    """Failed calls. Exactly one of `no_worse_than`, `better_than` and `at_most`."""

    no_worse_than: Literal["production"] | None = Field(
        None, description="Not worse by `margin` or more.", examples=["production"]
    )
    better_than: Literal["production"] | None = Field(
        None, description="Shown to fail less often.", examples=["production"]
    )
    margin: Margins | None = Field(None, description=_MARGIN, examples=["0.5pp"])
    at_most: Share | None = Field(None, description="The candidate fails less often than this.", examples=["1%"])
    where: Places = Field(EVERYWHERE, description=_WHERE, examples=["overall"])
    expect: ExpectModel | None = Field(None, description="Expectation of this gate alone.")


class LatencyModel(Model):
    """The candidate's time to the last byte, against an absolute limit."""

    quantile: Share = Field(description="Share of the calls that must be within the limit.", examples=["99%"])
    at_most: Limit = Field(description="The limit.", examples=["250ms"])
    where: Places = Field(EVERYWHERE, description=_WHERE, examples=["overall"])
    expect: ExpectModel | None = Field(None, description="Expectation of this gate alone.")


class GateModel(Model):
    """One gate: one key."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    accuracy: AccuracyModel | None = Field(None, description="Right answers by ground truth.")
    agreement: AgreementModel | None = Field(None, description="Equal answers.")
    error_rate: ErrorRateModel | None = Field(None, description="Failed calls.")
    latency: LatencyModel | None = Field(None, description="Slow calls.")


class SamplesModel(Model):
    """Settled units below which a test is inconclusive."""

    overall: Count = Field(1, description="Over all requests; 1 if left out.", examples=[2000])
    every_segment: Count = Field(1, description="In each cell of each segment; 1 if left out.", examples=[200])


class DurationModel(Model):
    """How long the trial runs."""

    at_least: Duration = Field(0, description="No promotion before.", examples=["7d"])
    cycle: Limit | None = Field(
        None, description="A whole period of traffic; promotion is decided on whole ones.", examples=["7d"]
    )
    deadline: Limit | None = Field(None, description="Sampling ends here.", examples=["42d"])


class IntegrityModel(Model):
    """When the log cannot be trusted."""

    lost: Share = Field(
        10_000,
        description="A larger share of lost pairs in a cell makes the trial invalid; 1% if left out.",
        examples=["1%"],
    )


class PlanModel(Model):
    """What is declared before the first request."""

    gnomon: LanguageVersion = Field(description="Version of this language.", examples=[1])
    trial: TrialName = Field(description="Name of the trial: a-z, 0-9 and -.", examples=["fraud-v2"])
    question: Text = Field(
        description="What the trial is to answer, in a sentence.", examples=["Is 2.0 as good as 1.4?"]
    )
    production: ProductionModel = Field(description="The model that answers the users.")
    candidate: CandidateModel = Field(description="The model that may replace it.")
    protocol: ProtocolName = Field(
        "json", description="How requests and answers are read; json if left out.", examples=["json"]
    )
    routes: Annotated[list[RouteText], Field(min_length=1)] = Field(
        description=(
            "What is shadowed; everything else passes. Paths are compared exactly. The word repeatable after a path: "
            "production may get such a request once more when a kept connection closed before it answered."
        ),
        examples=[["POST /predict"]],
    )
    suitability: SuitabilityModel = Field(description="What makes a second call honest and harmless.")
    fork: ForkModel = Field(ForkModel(), description="How requests are copied.")
    guards: GuardsModel = Field(GuardsModel(), description="What a request must not hold to be copied.")
    record: RecordModel = Field(RecordModel(), description="What the log never holds. Operation: not sealed.")
    segments: dict[str, SegmentModel] = Field({}, description="Ways to divide the requests, by name.")
    output: dict[str, OutputOrShort] = Field(
        {}, description="Named values in both answers; `name: body:/pointer` is short for `from`."
    )
    truth: TruthModel | None = Field(None, description="How ground truth finds its request.")
    unit: UnitModel | None = Field(None, description="What counts once; left out: each request.")
    gates: Annotated[list[GateModel], Field(min_length=1)] = Field(description="Hard criteria; all must pass.")
    samples: SamplesModel = Field(SamplesModel(), description="Smallest evidence.")
    duration: DurationModel = Field(DurationModel(), description="How long the trial runs.")
    integrity: IntegrityModel = Field(IntegrityModel(), description="When the log cannot be trusted.")
    alpha: Share = Field(
        50_000, description="Highest probability of a wrong promotion; 5% if left out.", examples=["5%"]
    )
    expect: ExpectModel | None = Field(None, description="Expectation of the accuracy gates; others take their own.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan, for editors. It checks shapes; `gnomon check` checks the rest."""
    schema = _plain(PlanModel.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:gnomon:plan:1",
        **schema,
        "title": "Gnomon plan",
    }


def _plain(node: Any, *, names: bool = False) -> Any:  # noqa: ANN401  any part of a schema
    """Without what confuses an editor: defaults in inner units, `null` (a key is left out instead), made-up titles."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _plain(value, names=key in {"properties", "$defs"})
        for key, value in node.items()
        if names or key not in {"default", "title"}
    }
    options = [option for option in kept.get("anyOf", []) if option != {"type": "null"}]
    if names or not options:
        return kept
    del kept["anyOf"]
    return {**options[0], **kept} if len(options) == 1 else {"anyOf": options, **kept}
