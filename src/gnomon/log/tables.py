"""The tables' columns. The plan types `comparisons`: one column a segment, three an output."""

from typing import Final

import pyarrow as pa

from gnomon.records.plan import Plan

_TIME: Final = pa.int64()  # microseconds since the epoch: exact in every engine, no time zone to lose

EXCHANGES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hex digits, UUIDv7
        pa.field("time_us", _TIME, nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("probability", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("request_headers", pa.string(), nullable=False),  # JSON list of [name, value]
        pa.field("request_body", pa.binary()),
        pa.field("production_version", pa.string(), nullable=False),
        pa.field("production_outcome", pa.string(), nullable=False),
        pa.field("production_status", pa.int32(), nullable=False),
        pa.field("production_headers", pa.string(), nullable=False),
        pa.field("production_body", pa.binary()),
        pa.field("production_latency_us", pa.int64()),
        pa.field("candidate_version", pa.string(), nullable=False),
        pa.field("candidate_outcome", pa.string()),  # null: not called
        pa.field("candidate_status", pa.int32()),
        pa.field("candidate_headers", pa.string()),
        pa.field("candidate_body", pa.binary()),
        pa.field("candidate_latency_us", pa.int64()),
        pa.field("absent", pa.string()),  # why there is no pair: `expired`
        pa.field("rewritten", pa.string(), nullable=False),  # JSON: what was changed for the candidate
    ]
)

TRUTHS: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # the plan's key, or the exchange id
        pa.field("output", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),  # as comparisons hold it: canonical JSON text
        pa.field("number", pa.float64()),  # for outputs compared as numbers
        pa.field("imported_us", _TIME, nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)

LEDGER: Final = pa.schema(
    [
        pa.field("time_us", _TIME, nullable=False),
        pa.field("instance", pa.string(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("watermark_us", _TIME, nullable=False),
    ]
)

TABLES: Final = ("exchanges", "comparisons", "ledger", "truths")


def segment_column(name: str) -> str:
    """The column of a segment's value."""
    return f"segment_{name}"


def output_columns(name: str) -> tuple[str, str, str]:
    """The columns of an output: production's value, the candidate's, and whether they agree (null: an arm failed)."""
    return f"output_{name}_production", f"output_{name}_candidate", f"output_{name}_agree"


def twin_column(name: str) -> str:
    """Whether production's second answer agrees with its first on an output; null: not drawn, or one of them failed."""
    return f"output_{name}_twin_agree"


def custom_column(number: int) -> str:
    """What the custom gate of that number (in `Plan.customs`) says of a pair; null: nothing that could be counted."""
    return f"custom_{number}"


def comparisons(plan: Plan) -> pa.Schema:
    """The columns of `comparisons` under one plan. One row for each exchange handed over, lost ones included."""
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("time_us", _TIME, nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("probability", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # `paired` or `expired`
        pa.field("late", pa.bool_(), nullable=False),
        pa.field("cluster", pa.string()),
        pa.field("truth_key", pa.string()),  # null: the request had none; truth can then only name the id
        pa.field("production_outcome", pa.string(), nullable=False),  # frames.Outcome
        pa.field("candidate_outcome", pa.string()),  # null when expired
        pa.field("production_latency_us", pa.int64()),
        pa.field("candidate_latency_us", pa.int64()),
        pa.field("start_lag_us", pa.int64()),  # candidate's start after production's
    ]
    fields += [pa.field(segment_column(s.name), pa.string(), nullable=False) for s in plan.segments]
    for output in plan.outputs:
        kind = pa.float64() if output.compare == "number" else pa.string()
        production, candidate, agree = output_columns(output.name)
        # null where the arm failed; strings are canonical JSON text (RFC 8785) of the value
        fields += [pa.field(production, kind), pa.field(candidate, kind), pa.field(agree, pa.bool_())]
    if plan.fork.twin:
        # By the coin alone, of lost pairs too: they are units at their worst, as are those whose twin was not made.
        fields.append(pa.field("twin_drawn", pa.bool_()))
        # null: not made. A repeat is an answer that a cache gave: it says nothing about production's own noise.
        fields += [pa.field("twin_outcome", pa.string()), pa.field("twin_repeat", pa.bool_())]
        fields += [pa.field(twin_column(output.name), pa.bool_()) for output in plan.outputs]
    fields += [pa.field(custom_column(number), pa.float64()) for number in range(len(plan.customs))]
    if plan.unit.instances is not None:
        # one row for each instance of a batch, 0 for the first; `id` is the exchange's
        fields.append(pa.field("instance", pa.int32(), nullable=False))
    return pa.schema(fields)
