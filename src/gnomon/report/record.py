"""The report as a record: everything that any of its forms shows, and its JSON with a published schema."""

from typing import Any, Literal

import msgspec

from gnomon.records import Record
from gnomon.records.evidence import Description
from gnomon.records.facts import ProbeResult, Reading
from gnomon.records.plan import Duration, Fork, Gate, Output, Plan, Route, Segment, Truth, Unit
from gnomon.records.tax import Tax
from gnomon.records.trial import Pause, Trial
from gnomon.records.verdict import Verdict


class Header(Record, frozen=True, kw_only=True):
    """Which trial this is."""

    id: str
    digest: str
    """SHA-256 of the sealed plan."""
    parent: str | None
    """The trial that this one amends."""
    attempt: int
    """The how-manieth trial against the same production version on the same routes."""
    registered_us: int
    program: str
    """gnomon's version at the registration."""


class Declared(Record, frozen=True, kw_only=True):
    """The plan, without the addresses and credentials' names: a report is passed around."""

    question: str
    production: str
    """Version."""
    candidate: str
    """Version."""
    protocol: str
    routes: tuple[Route, ...]
    fork: Fork
    segments: tuple[Segment, ...]
    outputs: tuple[Output, ...]
    truth: Truth | None
    unit: Unit
    gates: tuple[Gate, ...]
    duration: Duration
    lost_ppm: int
    alpha_ppm: int


class Report(Record, frozen=True, kw_only=True):
    """One verdict, what was declared, and what people look at beside it."""

    schema: Literal["gnomon.report/1"] = "gnomon.report/1"
    """Changes when a field's meaning changes or one goes; a new field does not change it."""
    trial: Header
    declared: Declared
    verdict: Verdict
    description: Description
    pauses: tuple[Pause, ...] = ()
    """When nothing was shadowed, by whose order; as of the building of this report, which may be after the look."""
    tax: Tax | None = None
    """What shadowing costs production, as of the building of this report; None: not measured."""
    probes: tuple[ProbeResult, ...] = ()
    """The newest probe of each kind through each gateway."""
    identities: tuple[Reading, ...] = ()
    """What each model said it is; more than one of an arm: it changed."""


def build(
    trial: Trial,
    plan: Plan,
    verdict: Verdict,
    description: Description,
    pauses: tuple[Pause, ...] = (),
    *,
    tax: Tax | None = None,
    probes: tuple[ProbeResult, ...] = (),
    identities: tuple[Reading, ...] = (),
) -> Report:
    """All of it in one record. Nothing is computed here that the verdict does not say."""
    return Report(
        trial=Header(
            id=trial.id,
            digest=trial.digest,
            parent=trial.parent,
            attempt=trial.attempt,
            registered_us=trial.registered_us,
            program=trial.program,
        ),
        declared=Declared(
            question=plan.question,
            production=plan.production.version,
            candidate=plan.candidate.version,
            protocol=plan.protocol,
            routes=plan.routes,
            fork=plan.fork,
            segments=plan.segments,
            outputs=plan.outputs,
            truth=plan.truth,
            unit=plan.unit,
            gates=plan.gates,
            duration=plan.duration,
            lost_ppm=plan.lost_ppm,
            alpha_ppm=plan.alpha_ppm,
        ),
        verdict=verdict,
        description=description,
        pauses=pauses,
        tax=tax,
        probes=probes,
        identities=identities,
    )


def json(report: Report) -> bytes:
    """The record as indented JSON (UTF-8): fields in their declared order, maps sorted by key."""
    return msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=2)


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `json`. Times are microseconds since the epoch, shares and margins parts per million."""
    return {"$id": "urn:gnomon:report:1", "title": "Gnomon report", **msgspec.json.schema(Report)}
