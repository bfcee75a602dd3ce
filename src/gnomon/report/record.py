"""The report as a record: everything that any of its forms shows, and its JSON with a published schema."""

import math
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from gnomon.records import Record
from gnomon.records.evidence import Description
from gnomon.records.facts import ProbeResult, Reading
from gnomon.records.plan import Duration, Fork, Gate, Output, Plan, Route, Segment, Truth, Unit
from gnomon.records.tax import Tax
from gnomon.records.trial import Pause, Trial
from gnomon.records.verdict import Verdict, VerdictName
from gnomon.report.history import History
from gnomon.report.progress import Progress
from gnomon.report.progress import progress as progress_of


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
    targets: tuple[Gate, ...] = ()
    """Soft: reported, never blocking."""
    cost_per_day: str | None = None
    """What shadowing adds in inference cost, as the plan says."""

    @property
    def judged(self) -> tuple[Gate, ...]:
        """Gates, then targets."""
        return (*self.gates, *self.targets)


class Attempt(Record, frozen=True, kw_only=True):
    """One candidate against the same production version on the same routes, under whatever name."""

    number: int
    trial: str
    candidate: str
    """Version."""
    registered_us: int
    verdict: VerdictName | None
    """Its last one; None: it was never looked at."""
    shared_alpha: float
    """What alpha would be, were it shared over all attempts: alpha 6 / (pi k)^2 sums to alpha. Shown, not enforced."""


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
    evidence_ended_us: int | None = None
    """When the trial's first promotion ended its evidence; as of the building of this report. None: it goes on."""
    tax: Tax | None = None
    """What shadowing costs production, as of the building of this report; None: not measured."""
    probes: tuple[ProbeResult, ...] = ()
    """The newest probe of each kind through each gateway."""
    identities: tuple[Reading, ...] = ()
    """What each model said it is; more than one of an arm: it changed."""
    progress: tuple[Progress, ...] = ()
    """Every test of the gates, then of the targets: how far it is, and about when it could pass."""
    history: History = History()
    """The looks that were kept, with each test's e-values."""
    attempts: tuple[Attempt, ...] = ()
    """All so far, oldest first, this trial among them; as of the building of this report."""


def shared_alpha(alpha: float, attempt: int) -> float:
    """Alpha of the k-th attempt, if all attempts ever made were to have alpha together."""
    return alpha * 6 / (math.pi * attempt) ** 2


class Beside(TypedDict, total=False):
    """What a report shows beside the verdict and the log; see Report for each."""

    pauses: tuple[Pause, ...]
    evidence_ended_us: int | None
    tax: Tax | None
    probes: tuple[ProbeResult, ...]
    identities: tuple[Reading, ...]
    history: History
    attempts: tuple[Attempt, ...]


def build(trial: Trial, plan: Plan, verdict: Verdict, description: Description, **beside: Unpack[Beside]) -> Report:
    """All of it in one record. Nothing is computed here that the verdict does not say, but the dates of `progress`."""
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
            targets=plan.targets,
            cost_per_day=plan.cost_per_day,
        ),
        verdict=verdict,
        description=description,
        progress=progress_of(verdict, plan.duration),
        **beside,
    )


def json(report: Report) -> bytes:
    """The record as indented JSON (UTF-8): fields in their declared order, maps sorted by key."""
    return msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=2)


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `json`. Times are microseconds since the epoch, shares and margins parts per million."""
    return {"$id": "urn:gnomon:report:1", "title": "Gnomon report", **msgspec.json.schema(Report)}
