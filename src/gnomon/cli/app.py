"""The commands, in the order in which a trial uses them."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnomon import __version__
from gnomon.cli import check as checking
from gnomon.cli.common import AsJson, PlanFile, builtin, opened, put, say

if TYPE_CHECKING:  # the state database costs 200 ms to import; `gnomon --help` does not need it
    from gnomon.records.trial import Trial
    from gnomon.records.verdict import Verdict
    from gnomon.settings import Settings
    from gnomon.state import State

app = typer.Typer(
    help="Shadow deployment for AI models: the candidate runs beside production, criteria sealed beforehand decide.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's help costs 100 ms of imports
    pretty_exceptions_enable=False,
)
labels = typer.Typer(help="Ground truth.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(labels, name="labels")

TrialName = Annotated[
    str, typer.Argument(help="Name or id of the trial; the newest one when left out.", metavar="[TRIAL]")
]
TrialOption = Annotated[str, typer.Option("--trial", help="Name or id of the trial; the newest one when left out.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    _ = version


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("plan.yaml"),
    trial: Annotated[str, typer.Option(help="Name of the trial.")] = "",
    production: Annotated[str, typer.Option(help="URL of the model that answers today.")] = "",
    candidate: Annotated[str, typer.Option(help="URL of the model that may replace it.")] = "",
    route: Annotated[str, typer.Option(help="Method and path to shadow, such as 'POST /predict'.")] = "",
    output: Annotated[str, typer.Option(help="Where the answer stands, such as body:/label.")] = "",
    truth: Annotated[str, typer.Option(help="Where the truth's key stands in the request; 'none' for no truth.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
) -> None:
    """Ask a few questions and write a commented plan."""
    from gnomon.errors import StateError
    from gnomon.files import put as put_file
    from gnomon.plan.init import Answers, template

    if path.exists() and not force:
        raise StateError(f"{path} is there already and was not changed; name another file, or add --force")
    ask = sys.stdin.isatty()

    def answer(given: str, question: str, default: str) -> str:
        return given or (typer.prompt(question, default=default) if ask else default)

    answers = Answers(
        trial=answer(trial, "Name of the trial", "my-trial"),
        production=answer(production, "URL of the model that answers today", "http://127.0.0.1:9001"),
        candidate=answer(candidate, "URL of the candidate", "http://127.0.0.1:9002"),
        route=answer(route, "Method and path to shadow", "POST /predict"),
        output=answer(output, "Where the answer stands in the response", "body:/label"),
        truth=answer(truth, "Where the truth's key stands in the request (none: no truth)", "body:/id"),
    )
    put_file(path, template(answers).encode(), mode=0o666)
    say(f"wrote {path}; read it aloud in a meeting, then run: gnomon check {path}")


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="Of the report's JSON, not of a plan.")] = False,
) -> None:
    """Print the JSON Schema of a plan, for editors."""
    if report:
        from gnomon.report import report_schema

        put(report_schema())
    else:
        from gnomon.plan.language import json_schema

        put(json_schema())


app.command()(checking.check)


@app.command()
def serve(
    plan: PlanFile,
    pilot: Annotated[
        str, typer.Option(help="Trial whose log names the values of `top` segments; else the first requests do.")
    ] = "",
) -> None:
    """Seal the plan and run the trial: gateway, runner, admin port. Ctrl-C drains; SIGHUP replaces the gateways."""
    import asyncio

    from gnomon import settings as settings_module
    from gnomon.supervisor.serve import Running
    from gnomon.supervisor.serve import serve as run

    settings = settings_module.load()

    def announce(running: Running) -> None:
        trial = running.trial
        typer.echo(f"{trial.id} is sealed: {trial.digest}" + (f" (parent {trial.parent})" if trial.parent else ""))
        typer.echo(f"  clients   http://{running.address}   (production is {running.plan.production.url})")
        typer.echo(f"  health    http://{settings.admin}/readyz")
        typer.echo(f"  metrics   http://{settings.admin}/metrics")
        typer.echo("ready; Ctrl-C drains and ends")
        sys.stdout.flush()

    asyncio.run(run(settings, plan, reload=settings_module.load, say=say, announce=announce, pilot=pilot))


@app.command()
def trials(as_json: AsJson = False) -> None:
    """List every trial that was ever sealed here."""
    from gnomon.cli import views

    with opened() as (_, state, _newest):
        rows = [_row(state, trial) for trial in state.trials()]
    if as_json:
        put(rows)
    else:
        views.trials(rows)


def _row(state: "State", trial: "Trial") -> dict[str, Any]:
    last = state.last_verdict(trial.id)
    return {
        "id": trial.id,
        "digest": trial.digest,
        "parent": trial.parent,
        "attempt": trial.attempt,
        "registered_us": trial.registered_us,
        "serving": state.epoch(trial.id).serving,
        "verdict": last[1].verdict if last else None,
    }


@app.command()
def status(trial: TrialName = "", as_json: AsJson = False) -> None:
    """Who serves, the ledger, how far the log is, the last verdict."""
    from gnomon import pipeline
    from gnomon.cli import views

    with opened(trial) as (settings, state, chosen):
        now = pipeline.status(settings, state, chosen)
    if as_json:
        put(now)
    else:
        views.status(now)


@app.command()
def explain(
    exchange: Annotated[str, typer.Argument(help="The request's id: 32 hex digits, as x-gnomon-id.", metavar="ID")],
    trial: TrialOption = "",
    as_json: AsJson = False,
) -> None:
    """Say why a request was or was not shadowed, and what became of it. Exit code 30: the log disagrees."""
    from gnomon import clock, pipeline
    from gnomon import explain as explaining
    from gnomon.errors import IntegrityError
    from gnomon.supervisor import configs

    id_ = explaining.exchange_id(exchange)
    with opened(trial) as (settings, state, chosen):
        about = explaining.About(
            trial=chosen,
            plan=pipeline.plan_of(chosen),
            now_us=clock.now_us(),
            pauses=tuple(state.pauses(chosen.id)),
            redacted=explaining.redacted(state, chosen),
            slice_us=configs.SLICE_US if settings.off_slices else 0,
            slices=configs.slices(settings),
        )
        found = explaining.explain(about, id_, explaining.known(settings, chosen, [id_])[id_])
    if as_json:
        put(builtin(found))
    else:
        for sentence in found.sentences:
            typer.echo(sentence)
    if found.agrees is False:
        raise typer.Exit(IntegrityError.exit_code)


@app.command()
def watch(
    trial: TrialName = "",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 5.0,
    looks: Annotated[int, typer.Option(help="End after this many; 0: never.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Status and tests, live. Looking is free: the evidence stays valid however often one looks."""
    from gnomon.cli import views

    with opened(trial) as (settings, state, chosen):
        views.watch(settings, state, chosen, every=every, looks=looks, emit=_line if as_json else None)


def _line(value: Any) -> None:  # noqa: ANN401  whatever JSON holds
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@labels.command("import")
def labels_import(
    source: Annotated[
        str, typer.Argument(help="CSV, JSONL or Parquet file; - reads CSV or JSONL from standard input.")
    ],
    trial: TrialOption = "",
    as_json: AsJson = False,
) -> None:
    """Append late ground truth. The same file twice counts once."""
    from gnomon import pipeline
    from gnomon.cli import views

    with opened(trial) as (settings, _, chosen):
        result = pipeline.import_truths(settings, chosen, source if source == "-" else Path(source))
    if as_json:
        put({"trial": chosen.id, **builtin(result)})
    else:
        views.truths(chosen.id, result)


@app.command()
def decide(trial: TrialName = "", as_json: AsJson = False) -> None:
    """Look once and keep the verdict. Exit code: 0 promote, 10 continue, 11 inconclusive, 20 reject, 30 invalid."""
    from gnomon import pipeline
    from gnomon.cli import views
    from gnomon.records.verdict import EXIT_CODES

    with opened(trial) as (settings, state, chosen):
        verdict = pipeline.record_look(settings, state, chosen)
        ended = pipeline.ended(state, chosen)
    if as_json:
        put(builtin(verdict))
    else:
        views.verdict(verdict, pipeline.plan_of(chosen), ended=ended)
    raise typer.Exit(EXIT_CODES[verdict.verdict])


@app.command()
def report(
    trial: TrialName = "",
    html: Annotated[Path | None, typer.Option(help="Write one offline HTML file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown, as for a pull request.")] = None,
    charts: Annotated[Path | None, typer.Option(help="Write every chart as SVG and PNG into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Report the last verdict (or a first look). Markdown on standard output when no file is named."""
    from gnomon import pipeline
    from gnomon import report as reports
    from gnomon.files import put as put_file

    with opened(trial) as (settings, state, chosen):
        verdict = _last(settings, state, chosen)
        built = pipeline.build_report(settings, state, chosen, verdict)
    for path, render in ((html, reports.html), (markdown, reports.markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            put_file(path, render(built).encode(), mode=0o666)
            say(f"wrote {path}")
    if charts is not None:
        from gnomon.report import figures

        for path in figures.save(built, charts):
            say(f"wrote {path}")
    if as_json:
        sys.stdout.write(reports.json(built).decode() + "\n")
    elif html is None and markdown is None and charts is None:
        typer.echo(reports.markdown(built))


def _last(settings: "Settings", state: "State", trial: "Trial") -> "Verdict":
    from gnomon import pipeline

    last = state.last_verdict(trial.id)
    return last[1] if last else pipeline.record_look(settings, state, trial)


@app.command()
def verify(
    trial: TrialName = "",
    plan: Annotated[Path | None, typer.Option(help="Also compare this plan file with the seal.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the last verdict from the sealed plan and the log. Exit code 30: it is not what was recorded."""
    from gnomon import pipeline
    from gnomon.errors import GnomonError, IntegrityError, NotFound

    with opened(trial) as (settings, state, chosen):
        last = state.last_verdict(chosen.id)
        if last is None:
            raise NotFound(f"{chosen.id} has no verdict to verify; run: gnomon decide {chosen.id}")
        number, verdict = last
        facts = {
            "trial": chosen.id,
            "verdict": verdict.verdict,
            "number": number,
            "digest": chosen.digest,
            "versions": verdict.versions,
            "tests": len(verdict.tests),
        }
        try:
            pipeline.verify(settings, state, chosen, verdict, plan)
        except NotFound:
            raise  # nothing was verified, which says nothing against the verdict
        except GnomonError as error:
            if as_json:
                put({**facts, "verified": False, "reason": str(error)})
                raise typer.Exit(IntegrityError.exit_code) from None
            raise IntegrityError(f"NOT verified: {error}") from error
    if as_json:
        put({**facts, "verified": True, "reason": None})
        return
    typer.echo(
        f"verified: {chosen.id} {verdict.verdict!r}, {len(verdict.tests)} tests recomputed from table versions "
        f"{verdict.versions} under plan {chosen.digest[:12]}; every count and digit is the same"
    )


@app.command()
def promote(
    trial: Annotated[str, typer.Argument(help="Name or id of the trial.")],
    override: Annotated[str | None, typer.Option(help="Promote without a verdict, for this reason (kept).")] = None,
    as_json: AsJson = False,
) -> None:
    """Let the candidate serve, on a `promote` verdict that recomputes. The old production becomes the shadow."""
    from gnomon import pipeline

    with opened(trial) as (settings, state, chosen):
        epoch = pipeline.promote(settings, state, chosen, override=override)
        _carried(settings, chosen, epoch, as_json=as_json)


@app.command()
def rollback(
    trial: Annotated[str, typer.Argument(help="Name or id of the trial.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit chain.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let the old production serve again. Needs no gate."""
    from gnomon import pipeline

    with opened(trial) as (settings, state, chosen):
        epoch = pipeline.rollback(state, chosen, reason=reason)
        _carried(settings, chosen, epoch, as_json=as_json)


def _carried(settings: "Settings", trial: "Trial", epoch: Any, *, as_json: bool) -> None:  # noqa: ANN401
    """Wait until every gateway serves by the new epoch, and say so."""
    from gnomon.supervisor.control import wait_for_epoch

    reached, gateways = wait_for_epoch(settings.run_dir, trial.id, epoch.number)
    facts = {
        "trial": trial.id,
        "epoch": epoch.number,
        "serving": epoch.serving,
        "gateways": gateways,
        "reached": reached,
    }
    if as_json:
        put(facts)
    elif gateways == 0:
        say(f"{trial.id}: {epoch.serving} serves from the next start on (no gateway is running)")
    else:
        typer.echo(f"{trial.id}: {epoch.serving} serves now (epoch {epoch.number}, {reached} of {gateways} gateways)")
    if reached < gateways:
        say("a gateway did not answer; see gnomon status")
        raise typer.Exit(2)


@app.command()
def pause(
    trial: Annotated[str, typer.Argument(help="Name or id of the trial.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit chain.")],
    as_json: AsJson = False,
) -> None:
    """Shadow nothing for a while; users are served as before. The evidence goes on with gnomon resume."""
    from gnomon import pipeline

    with opened(trial) as (settings, state, chosen):
        now, began = pipeline.pause(state, chosen, reason=reason)
        if not began:
            say(f"{chosen.id} is paused already, by {now.actor}: {now.reason}; nothing was changed")
        facts = {"paused": True, "changed": began, "since_us": now.since_us, "by": now.actor, "reason": now.reason}
        _reached(settings, chosen, facts, as_json=as_json)


@app.command()
def resume(
    trial: Annotated[str, typer.Argument(help="Name or id of the trial.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit chain.")] = "",
    as_json: AsJson = False,
) -> None:
    """Shadow again after a pause."""
    from gnomon import pipeline

    with opened(trial) as (settings, state, chosen):
        changed = pipeline.resume(state, chosen, reason=reason)
        if not changed:
            say(f"{chosen.id} is not paused; nothing was changed")
        _reached(settings, chosen, {"paused": False, "changed": changed}, as_json=as_json)


def _reached(settings: "Settings", trial: "Trial", facts: dict[str, Any], *, as_json: bool) -> None:
    """Wait until every gateway is paused, or none is, and say so."""
    from gnomon.supervisor.control import wait_for_pause

    reached, gateways = wait_for_pause(settings.run_dir, trial.id, paused=facts["paused"])
    word = "paused" if facts["paused"] else "shadowing"
    if as_json:
        put({"trial": trial.id, **facts, "gateways": gateways, "reached": reached})
    elif gateways == 0:
        say(f"{trial.id}: {word} from the next start on (no gateway is running)")
    else:
        typer.echo(f"{trial.id}: {word} now ({reached} of {gateways} gateways)")
    if reached < gateways:
        say("a gateway was not told yet; it is when gnomon serve runs and it answers: see gnomon status")
        raise typer.Exit(2)


@app.command("replace-gateways")
def replace_gateways(as_json: AsJson = False) -> None:
    """Replace the gateways of the running serve in turn, without losing a request: for a new program or new limits."""
    from gnomon import settings as settings_module
    from gnomon.supervisor import operations

    facts = operations.ask_to_replace(settings_module.load())
    if as_json:
        put({"replaced": facts["replaced"], "needs_start": facts["needs_start"]})
    else:
        typer.echo(operations.sentence(facts))
