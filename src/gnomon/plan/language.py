"""The language of a plan: every key, its type, what it means. `docs/plan.md` shows it to people.

The models hold what the file says, parsed (durations in microseconds, shares in parts per million). What one value
alone can get wrong is checked in `scalars.py`; what needs two is in `semantics.py`; `expand.py` makes the record that
the program uses. The arms, the fork and the log's part stand in `language_fork.py`, the gates in `language_gates.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gnomon.plan.language_fork import CandidateModel, ForkModel, GuardsModel, Model, ProductionModel, RecordModel
from gnomon.plan.language_gates import ExpectModel, GateModel
from gnomon.plan.scalars import (
    Asserted,
    ComparatorName,
    Count,
    Duration,
    From,
    Label,
    LanguageVersion,
    Limit,
    Money,
    NoSideEffects,
    Pointer,
    ProtocolName,
    RouteText,
    Share,
    Stateless,
    Text,
    Top,
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
    cost_per_day: Money | None = Field(
        None,
        description="What shadowing adds in inference cost a day, as you reckon it. Operation: not sealed.",
        examples=["40 EUR"],
    )


class SegmentModel(Model):
    """A way to divide the requests. One of `values`, `bins` and `top`."""

    from_: From = Field(alias="from", description="Where the value stands in the request.", examples=["body:/country"])
    values: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="The values that are cells of their own; others are `other`.", examples=[["DE", "FR"]]
    )
    bins: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)] | None = Field(
        None,
        description="Rising edges: [0, 100] gives 0 to 100 and 100 up; under the first is `below`.",
        examples=[[0, 100]],
    )
    top: Top | None = Field(
        None,
        description="The so many most frequent values are cells of their own; `values` names them before the seal.",
        examples=[8],
    )
    learn: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None,
        description="Requests that are looked at, and not shadowed, to find the `top`.",
        examples=[1000],
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
    policy: Literal["first", "last", "error"] = Field(
        "first",
        description="Which of contradicting truths counts, first if left out; error: the import is refused.",
        examples=["first"],
    )
    covers: Literal["all", "disagreements"] = Field(
        "all",
        description="What gets a truth: all if left out, or only where the two arms disagree.",
        examples=["disagreements"],
    )
    available_when: Annotated[dict[str, Annotated[list[Label], Field(min_length=1)]], Field(min_length=1)] | None = (
        Field(
            None,
            description="By output: truth exists only where production answered one of these values.",
            examples=[{"label": ["legit"]}],
        )
    )


class UnitModel(Model):
    """What counts once: a cluster with `closes_after`, or `independent: true`; and the instances of a batch."""

    cluster: From | None = Field(
        None, description="Requests with the same value count as one.", examples=["body:/document_id"]
    )
    closes_after: Limit | None = Field(
        None, description="A cluster is complete when none of its requests came for so long.", examples=["1h"]
    )
    independent: Asserted | None = Field(
        None, description="true: an explicit assertion that requests are independent.", examples=[True]
    )
    instances: From | None = Field(
        None,
        description="The batch in a request; outputs and truth.key then hold one * for the position in it.",
        examples=["body:/instances"],
    )


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
    start_lag: Limit = Field(
        1_000_000,
        description="A latency ratio needs 99% of the candidate's calls to start within this of production's; 1s if "
        "left out.",
        examples=["1s"],
    )
    probes: Literal["required"] | None = Field(
        None,
        description="required: nothing is promoted before known answers went through the real path into the log.",
        examples=["required"],
    )


class HybridModel(Model):
    """One fixed-size test at the deadline beside the e-process, each at half of alpha."""

    overall: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None, description="Settled units at which it is made over all requests; not made if left out.", examples=[40000]
    )
    every_segment: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None, description="The same in each cell of each segment; not made if left out.", examples=[2000]
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
    targets: list[GateModel] = Field(
        [], description="The same words, soft: tested after the gates, reported, never blocking."
    )
    samples: SamplesModel = Field(SamplesModel(), description="Smallest evidence.")
    duration: DurationModel = Field(DurationModel(), description="How long the trial runs.")
    integrity: IntegrityModel = Field(IntegrityModel(), description="When the log cannot be trusted.")
    hybrid: HybridModel | None = Field(
        None, description="One fixed-size test at the deadline, where traffic is capped."
    )
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
