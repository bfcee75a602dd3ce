"""What a plan copies, changes for the candidate and keeps out of the log, in sentences."""

import re
from collections.abc import Iterator
from typing import Final

from gnomon.plan import selectors
from gnomon.plan.units import ONE, show_duration
from gnomon.records.plan import Arm, ArmName, Plan, Redaction, Selector

_V2_MODEL: Final = re.compile(r"(/v2/models/[^/]+(?:/versions/[^/]+)?)/(?:infer|generate)")
_OPENAI: Final = re.compile(r"(.*/v1)/(?:chat/completions|completions|responses|embeddings)")


def explain(plan: Plan) -> Iterator[str]:
    """One sentence each, in the order of the file."""
    yield from _identity(plan)
    yield from _rewrite(plan)
    yield from _coin(plan)
    yield from _guards(plan)
    yield from _record(plan)


def rate(probability: int) -> str:
    """A probability over 2**32 for people."""
    return f"{probability * 100 / ONE:.6g}%"


def _identity(plan: Plan) -> Iterator[str]:
    arms: tuple[tuple[ArmName, Arm], ...] = (("production", plan.production), ("candidate", plan.candidate))
    for name, arm in arms:
        if arm.identity is None:
            yield (
                f"A model that is exchanged behind {name}'s address will not be noticed; "
                f"{_advice(plan, name, dict(arm.rewrite.paths))}."
            )
            continue
        at = f"the header {arm.identity.header} of " if arm.identity.header else ""
        yield (
            f"Which model {name} is, is read from {at}GET {arm.identity.path} at the start and every minute; a change "
            "makes the trial invalid."
        )


def _advice(plan: Plan, name: ArmName, rewritten: dict[str, str]) -> str:
    paths = [rewritten.get(route.path, route.path) for route in plan.routes]
    models = [found[1] for path in paths if (found := _V2_MODEL.fullmatch(path))]
    listed = [f"{found[1]}/models" for path in paths if (found := _OPENAI.fullmatch(path))]
    if plan.protocol == "open_inference" or models:
        return f"write {name}.identity: GET {models[0] if models else '/v2/models/NAME'}"
    if listed:
        return f"write {name}.identity: GET {listed[0]}"
    return (
        f"write {name}.identity: GET and a path whose answer names the model (GET /v1/models of OpenAI-compatible "
        "servers), or {path: /healthz, header: x-model}"
    )


def _rewrite(plan: Plan) -> Iterator[str]:
    rewrite = plan.candidate.rewrite
    for path, becomes in rewrite.paths:
        yield f"The candidate gets the path {becomes} in place of {path}."
    for name, value in rewrite.headers:
        yield f"The candidate gets the header {name}: {value}, whatever the client sent."
    if rewrite.paths or rewrite.headers:
        yield "After a promotion these paths and headers are what the candidate gets of the users' own requests too."
    for pointer, value in rewrite.body:
        yield f"The candidate gets {value} at {pointer} of the body, whatever the client sent."
    if rewrite.body:
        yield (
            "gnomon promote will refuse this plan: bodies are rewritten in copies alone, and after a promotion the "
            "users' own requests go to the candidate as they come; let it take them so before it is to serve."
        )


def _coin(plan: Plan) -> Iterator[str]:
    fork = plan.fork
    if fork.strata is not None:
        each = ", ".join(f"{value} {rate(share)}" for value, share in fork.strata.rates)
        yield (
            f"The share that is copied depends on {fork.strata.by}: {each}; any other value and none: "
            f"{rate(fork.strata.otherwise)}."
        )
    if fork.sticky is not None:
        ends = "" if fork.strata is not None else ": all of them are copied, or none"
        yield f"Requests with the same {fork.sticky} share one coin{ends}."
    bodies = [str(each) for each in (fork.strata and fork.strata.by, fork.sticky) if each and each.where == "body"]
    if bodies:
        yield f"{' and '.join(bodies)}: a body that is over 64 KiB, compressed or not JSON has no value there."
    if fork.headers:
        yield f"A copy carries {', '.join(fork.headers)} too, to the candidate and into the log."


def _guards(plan: Plan) -> Iterator[str]:
    for selector in plan.guards.context:
        yield (
            f"A request that has something at {selector} is not copied: what it leans on is held by production alone "
            "(guarded:context)."
        )
    for selector in plan.guards.side_effects:
        yield (
            f"A request that has something at {selector} is not copied: it would be carried out twice "
            "(guarded:side_effects)."
        )


def _record(plan: Plan) -> Iterator[str]:
    record = plan.record
    for listed, becomes in (
        (record.drop, "is left out of the log"),
        (record.mask, "is *** in the log"),
        (record.digest, "is a keyed digest in the log: equal values stay equal"),
    ):
        yield from (f"{selector} {becomes}." for selector in listed)
    if record.keep_bodies_us is not None:
        yield f"Bodies are removed from the log after {show_duration(record.keep_bodies_us)}."
    fork = plan.fork
    if fork.strata and (hidden := _hides(record, fork.strata.by)):
        yield (
            f"fork.strata reads {fork.strata.by}, and the log does not hold {hidden} as it came: gnomon explain cannot "
            "toss that coin again; the stratum's name stays in the log."
        )
    if fork.sticky and (hidden := _hides(record, fork.sticky)):
        yield (
            f"fork.sticky reads {fork.sticky}, and the log does not hold {hidden} as it came: gnomon explain cannot "
            "toss that coin again."
        )
    for segment in plan.segments:
        if hidden := _hides(record, segment.of):
            yield (
                f"Segment {segment.name} reads {segment.of}, and the log does not hold {hidden} as it came: its column "
                "still names the declared value or bin of each request."
            )


def _hides(record: Redaction, of: Selector) -> str:
    """The first redaction that takes out what is read there, or nothing."""
    every = (*record.drop, *record.mask, *record.digest)
    return next((str(each) for each in every if selectors.overlap(each, of)), "")
