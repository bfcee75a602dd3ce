"""`gnomon check`: a plan in sentences, its problems, its two models, and what it takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnomon.cli.common import AsJson, PlanFile, builtin, opened, put

if TYPE_CHECKING:
    from gnomon.plan.traffic import Pilot
    from gnomon.records.plan import Plan

Rate = Annotated[
    str, typer.Option(help="Requests that come on the plan's routes: 5/s, 300/min, 1000/h, 20k/d.", metavar="RATE")
]
Shares = Annotated[
    list[str] | None,
    typer.Option(
        "--share",
        help="Share of the requests: country=DE:20% of a segment, label=fraud:1% of a true value, stratum=BR:5%, or "
        "equal for what is left. May be given again.",
        metavar="WHAT",
    ),
]
PilotTrial = Annotated[
    str, typer.Option(help="An earlier trial: its log says how much comes and how often the arms differ.")
]
Price = Annotated[float | None, typer.Option(min=0, help="What one call costs.")]
Simulate = Annotated[bool, typer.Option("--simulate", help="Rehearse the plan: count gates, on drawn counts.")]
Trials = Annotated[int, typer.Option(min=20, max=100_000, help="Simulated trials of each case.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulated trials.")]


def check(  # noqa: PLR0917  each is an option
    plan: PlanFile,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not call the models.")] = False,
    rate: Rate = "",
    share: Shares = None,
    pilot: PilotTrial = "",
    price: Price = None,
    simulate: Simulate = False,
    trials: Trials = 400,
    seed: Seed = 1,
) -> None:
    """Explain a plan, find every problem in it, call both models, and say what it takes: samples, labels, days."""
    from gnomon import forecast
    from gnomon.cli import check_views as views
    from gnomon.plan import check as checks
    from gnomon.plan import load, seal, traffic

    loaded = load.read(plan)
    per_day = traffic.rate(rate) if rate else None
    seen = _read_pilot(loaded.plan, pilot) if pilot else None
    known = traffic.traffic(loaded.plan, per_day=per_day, shares=share or (), pilot=seen)
    sizing = forecast.size(loaded.plan, known, price=price)
    endpoints = [] if offline else checks.call_endpoints(loaded.plan, ca_file=_authorities())
    digest = seal.seal(loaded.document).digest
    sentences = checks.explain(loaded.plan)
    rehearsal = None
    if simulate:
        with views.progress(quiet=as_json) as advance:
            rehearsal = forecast.rehearse(loaded.plan, known, sizing, trials=trials, seed=seed, advance=advance)
    if as_json:
        facts: dict[str, Any] = {
            "digest": digest,
            "explanation": sentences,
            "endpoints": builtin(endpoints),
            "size": builtin(sizing),
            "rehearsal": builtin(rehearsal),
        }
        put(facts)
    else:
        for sentence in sentences:
            typer.echo(sentence)
        typer.echo(f"Digest of the sealed part: {digest}")
        for endpoint in endpoints:
            typer.echo(f"{'ok  ' if endpoint.ok else 'DEAD'}  {endpoint.message}")
        views.size(loaded.plan, sizing)
        if rehearsal is not None:
            views.rehearsal(rehearsal)
    if any(not endpoint.ok for endpoint in endpoints):
        raise typer.Exit(2)
    if not sizing.reachable:
        typer.echo(views.hopeless(loaded.plan, sizing), err=True)
        raise typer.Exit(2)


def _read_pilot(plan: "Plan", name: str) -> "Pilot":
    from gnomon import clock, pipeline
    from gnomon.forecast.pilot import pilot as read

    with opened(name) as (settings, _, trial):
        return read(plan, trial, pipeline.plan_of(trial), settings.log_url(trial.id), now_us=clock.now_us())


def _authorities() -> Path | None:
    from gnomon import settings as settings_module

    settings = settings_module.load()
    settings.check_authorities()
    return settings.ca_file
