"""The part of the plan's language that speaks of the two arms, of what is copied, and of what the log keeps of it.

`language.py` is the whole.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from gnomon.plan import units
from gnomon.plan.scalars import (
    CarriedHeader,
    Environment,
    Guarded,
    HeaderValue,
    IdentityText,
    Limit,
    NotForProduction,
    PathText,
    Probability,
    Redacted,
    Sampled,
    Share,
    StratumRate,
    Text,
    Url,
)

_FILLED: Final = Field(min_length=1)


class Model(BaseModel):
    """A mapping of the plan: its keys and no others, its types and no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class IdentifiedModel(Model):
    """A header that says which model answers."""

    path: PathText = Field(description="What is asked for, with GET.", examples=["/healthz"])
    header: CarriedHeader = Field(description="The header of its answer that is read.", examples=["x-model"])


class RewriteModel(Model):
    """What a request looks like when it goes to the candidate, where that is not what the client sent."""

    path: Annotated[dict[str, PathText], _FILLED] | None = Field(
        None,
        description="A declared route's path, and the path that the candidate gets; the query stays.",
        examples=[{"/predict": "/v2/predict"}],
    )
    headers: Annotated[dict[str, HeaderValue], _FILLED] | None = Field(
        None, description="Header and value, set in place of the client's.", examples=[{"x-model": "fraud-2"}]
    )
    body: Annotated[dict[str, Any], _FILLED] | None = Field(
        None,
        description="JSON pointer, and the value that is put there. gnomon promote refuses a plan that has this.",
        examples=[{"/model": "fraud-2"}],
    )


class ArmModel(Model):
    """One of the two models."""

    version: Text = Field(description="Which version it is, as text (quote numbers).", examples=["1.4"])
    url: Url = Field(description="Scheme, host and port. Operation: not sealed.", examples=["http://127.0.0.1:9001"])
    timeout: Limit | None = Field(
        None,
        description="Total time limit of one call; a call over it is a failed arm. No limit if left out.",
        examples=["2s"],
    )
    authorization_env: Environment | None = Field(
        None,
        description="Environment variable with this arm's Authorization header. Operation: not sealed.",
        examples=["CANDIDATE_AUTHORIZATION"],
    )
    identity: (
        Annotated[
            Annotated[IdentityText, Tag("<text>")] | Annotated[IdentifiedModel, Tag("<map>")],
            Discriminator(lambda value: "<map>" if isinstance(value, dict) else "<text>"),
        ]
        | None
    ) = Field(
        None,
        description=(
            "Where the model says which one it is, read at the start and every minute; a change makes the trial "
            "invalid. GET and a path: the answer's body; or a mapping of path and header. Not read if left out."
        ),
        examples=["GET /v2/models/fraud"],
    )


class ProductionModel(ArmModel):
    """The model that answers the users."""

    rewrite: SkipJsonSchema[NotForProduction] = None


class CandidateModel(ArmModel):
    """The model that may replace it."""

    rewrite: RewriteModel | None = Field(None, description="What of a request is another one for the candidate.")
    capacity: Share | None = Field(
        None,
        description="The candidate's capacity as a share of production's: what a latency ratio rests on.",
        examples=["20%"],
    )


class BudgetModel(Model):
    """How much the candidate may be called. Operation: not sealed."""

    in_flight: Annotated[int, Field(ge=1, le=100_000)] = Field(
        64, description="Calls to the candidate at the same time; 64 if left out.", examples=[64]
    )
    per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="Requests copied in a second; over it a request counts as not sampled. No limit if left out.",
        examples=[200],
    )


class StrataModel(Model):
    """Sampling classes, each with its own rate."""

    by: Sampled = Field(
        description="Where the value stands in the request: path, query, header, or body (to 64 KiB, not compressed).",
        examples=["body:/country"],
    )
    rates: Annotated[dict[str, StratumRate], _FILLED] = Field(
        description="The value's text, which is the stratum's name, and the share of its requests that are copied.",
        examples=[{"BR": "100%", "DE": "5%"}],
    )
    otherwise: StratumRate | None = Field(
        None,
        description="The share of all others, and of those without a value; shadow_rate if left out.",
        examples=["10%"],
    )


class ForkModel(Model):
    """How requests are copied."""

    mode: Literal["sync", "async"] = Field(
        "sync",
        description="sync (if left out): the candidate is called when the request comes; async: later, from a queue.",
        examples=["sync"],
    )
    shadow_rate: Probability = Field(
        units.ONE, description="Share of the requests that are copied; 100% if left out.", examples=["20%"]
    )
    expires_after: Limit = Field(
        300_000_000,
        description="A copy that waited so long is not called any more and counts as a lost pair; 5m if left out.",
        examples=["5m"],
    )
    strata: StrataModel | None = Field(None, description="Sampling classes, each with its own rate.")
    sticky: Sampled | None = Field(
        None,
        description="Requests with the same value share one coin; each has its own if left out.",
        examples=["header:x-user-id"],
    )
    headers: Annotated[list[CarriedHeader], _FILLED] | None = Field(
        None,
        description="Further headers that a copy carries, to the candidate and into the log.",
        examples=[["x-tenant"]],
    )
    twin: Probability | None = Field(
        None,
        description="Share of the copies that go to production a second time, to measure its own noise; none if left "
        "out.",
        examples=["5%"],
    )
    budget: BudgetModel = Field(BudgetModel(), description="How much the candidate may be called.")


class GuardsModel(Model):
    """What a request must not hold to be copied: something else than null, false or emptiness there."""

    context: Annotated[list[Guarded], _FILLED] | None = Field(
        None,
        description="Where it names what production alone holds.",
        examples=[["body:/previous_response_id"]],
    )
    side_effects: Annotated[list[Guarded], _FILLED] | None = Field(
        None, description="Where it asks for what must not be done twice.", examples=[["body:/tools"]]
    )


class RecordModel(Model):
    """What the log never holds, of requests and of both arms' answers. Operation: not sealed."""

    drop: Annotated[list[Redacted], _FILLED] | None = Field(
        None,
        description="Left out. In a body's pointer * stands for every member or element.",
        examples=[["body:/card_number"]],
    )
    mask: Annotated[list[Redacted], _FILLED] | None = Field(
        None, description="Replaced by ***.", examples=[["header:x-tenant"]]
    )
    digest: Annotated[list[Redacted], _FILLED] | None = Field(
        None,
        description="Replaced by a digest with a secret key: equal values stay equal.",
        examples=[["body:/items/*/email", "query:token"]],
    )
    keep_bodies: Limit | None = Field(
        None, description="Bodies are removed from the log after this time; never if left out.", examples=["30d"]
    )
