"""The demo's story: two candidates beside one production model, on real traffic, until the evidence settles.

Nothing here decides anything. The models are trained, the plan is sealed, the traffic streams, the truth arrives
late in files, and `gnomon decide` is asked now and then. What it answers is printed, whatever it is.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import show
from answers import Answers
from commands import Gnomon
from data import BadData, Sentence, limit, read, split
from prepare import ARCHIVE, WORK
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from servers import HERE, ONE_THREAD, DemoError, Processes, start_model
from traffic import client, stream

MOST_DOCUMENTS = 2100
"""Of each source: as many as there are tweets. Without it nearly half of the traffic would be movie snippets, and the
trial would only take longer."""

BESIDE = 1500
"""So many of the first requests are also sent straight to production, in turn, to see what the fork costs the user."""

FIRST_LOOK_SECONDS = 8.0
LOOK_EVERY_SECONDS = 10.0
LATE_SECONDS = 4.0
"""Truth arrives so much later than its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One candidate, and what a reader would expect of it."""

    name: str
    question: str
    expected: str


CHAPTERS = (
    Chapter(
        name="fair",
        question="fair: learned from the words and from VADER's own scores",
        expected="promote",
    ),
    Chapter(
        name="skewed",
        question="skewed: learned from the words alone; better on average, not at home on Twitter",
        expected="reject",
    ),
)


@dataclass(slots=True)
class Trial:
    """What happened in one trial so far."""

    name: str
    folder: Path
    gnomon: Gnomon
    through: Answers = field(default_factory=Answers)
    direct: Answers = field(default_factory=Answers)
    sent: int = 0
    truths: int = 0
    looks: int = 0
    verdict: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether more traffic is of no use."""
        return bool(self.verdict) and self.verdict["verdict"] != "continue"


def tell(given: argparse.Namespace, processes: Processes) -> None:
    """The whole story."""
    began = time.monotonic()
    show.title(f"Three models (seed {given.seed})")
    models = WORK / "models"
    training = train(models, given.seed)
    show.say(
        f"trained on {training['rows']:,} sentences in {time.monotonic() - began:.0f} s; the others are the traffic"
    )
    show.models(training)
    sentences = limit(split(read(ARCHIVE), seed=given.seed)[1], MOST_DOCUMENTS)

    runs = WORK / "run"
    shutil.rmtree(runs, ignore_errors=True)  # a fresh demo: an older run's trials are not continued
    gnomon = Gnomon.at(given.gnomon, runs / "gnomon")
    production = start_model(processes, "production", "3.3.2", runs / "production")
    show.say(f"production: vaderSentiment 3.3.2 behind MLServer at {production}")
    for number, chapter in enumerate(CHAPTERS, start=1):
        show.title(f"Trial {number} of {len(CHAPTERS)}: {chapter.question}")
        folder = runs / chapter.name
        saved = models / f"{chapter.name}.joblib"
        candidate = start_model(processes, "candidate", f"{chapter.name}-1", folder / "model", saved=saved)
        plan = fill(HERE / "plans" / f"{chapter.name}.yaml", folder, production, candidate)
        gnomon.serve(processes, plan, folder / "serve.log")
        trial = Trial(f"sentiment-{chapter.name}", folder, gnomon)
        show.say(f"plan sealed, gateway at {gnomon.url}; {len(sentences):,} requests at {given.rate:g} a second")
        asyncio.run(run(trial, sentences, given.rate, production if number == 1 else None))
        processes.end("gnomon serve")
        asyncio.run(finish(trial, chapter, number == 1))
        processes.end("candidate")
    show.title("What to try next")
    farewell(given, gnomon, runs, time.monotonic() - began)


def train(models: Path, seed: int) -> dict[str, Any]:
    """Train both candidates in a process of its own; it is over before the first request."""
    done = subprocess.run(
        [sys.executable, str(HERE / "train.py"), str(ARCHIVE), str(models), "--seed", str(seed)],
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"training failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fill(template: Path, folder: Path, production: str, candidate: str) -> Path:
    """The plan with the addresses of this run. They are operation: the seal does not cover them."""
    text = template.read_text()
    for written, meant in (("http://127.0.0.1:9001", production), ("http://127.0.0.1:9002", candidate)):
        if written not in text:
            raise DemoError(f"{template} names no {written}; put it back, the demo fills in the port")
        text = text.replace(written, meant)
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


async def run(trial: Trial, sentences: Sequence[Sentence], rate: float, beside: str | None) -> None:
    """Stream the traffic and look now and then, until a look settles it or the traffic ends."""
    columns = (TextColumn("  traffic"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    stop = asyncio.Event()
    with Progress(*columns, console=show.console, transient=True) as progress:
        bar = progress.add_task("traffic", total=len(sentences))

        def sent() -> None:
            trial.sent += 1
            progress.advance(bar)

        async with client() as session:
            ways = Ways(session, trial, beside)
            traffic = asyncio.create_task(ways.send(sentences, rate, sent, stop))
            try:
                await look_until_settled(trial, sentences, rate, traffic)
                stop.set()
                await traffic
            finally:
                traffic.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await traffic


@dataclass(frozen=True, slots=True)
class Ways:
    """How the traffic reaches production: through the gateway, and for some rows straight too."""

    session: aiohttp.ClientSession
    trial: Trial
    beside: str | None

    async def send(self, sentences: Sequence[Sentence], rate: float, sent: Any, stop: asyncio.Event) -> None:  # noqa: ANN401  any callable
        """All of it."""
        direct = None if self.beside is None else (self.beside, self.trial.direct, BESIDE)
        await stream(
            self.session,
            self.trial.gnomon.url,
            sentences,
            per_second=rate,
            answers=self.trial.through,
            beside=direct,
            sent=sent,
            stop=stop,
        )


async def look_until_settled(
    trial: Trial, sentences: Sequence[Sentence], rate: float, traffic: "asyncio.Task[None]"
) -> None:
    """Truth comes in files, each some seconds later than its requests; after each file, one look. Looking is free."""
    pause = FIRST_LOOK_SECONDS
    while not trial.settled and not traffic.done():
        await asyncio.wait({traffic}, timeout=pause)
        pause = LOOK_EVERY_SECONDS
        known = trial.sent - int(rate * LATE_SECONDS)
        await look(trial, sentences, known)
    if traffic.done():
        traffic.result()  # its error is ours
    if not trial.settled:  # all was sent: the last documents close, the last truths come, one last look
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        await drained(trial)
        await look(trial, sentences, trial.sent)


async def look(trial: Trial, sentences: Sequence[Sentence], known: int) -> None:
    """Import the next file of truths and ask for a verdict."""
    if known > trial.truths:
        trial.looks += 1
        path = trial.folder / f"truths-{trial.looks}.csv"
        write_truths(path, sentences[trial.truths : known])
        await trial.gnomon.run("labels", "import", str(path), "--trial", trial.name)
        trial.truths = known
    trial.verdict = await trial.gnomon.decide(trial.name)
    show.look(trial.looks, trial.sent, trial.truths, trial.verdict)


def write_truths(path: Path, sentences: Sequence[Sentence]) -> None:
    """What people said about these sentences, in the columns that `gnomon labels import` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label"])
        rows.writerows([sentence.id, sentence.truth] for sentence in sentences)


async def drained(trial: Trial, seconds: float = 30) -> dict[str, Any]:
    """The ledger once nothing is open any more, or as it is after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        ledger: dict[str, Any] = (await trial.gnomon.read("status", trial.name))["ledger"]
        if ledger["open"] == 0 or time.monotonic() > until:
            return ledger
        await asyncio.sleep(0.5)


async def finish(trial: Trial, chapter: Chapter, measured: bool) -> None:
    """Print what came out, write the report, recompute the verdict."""
    show.verdict(trial.verdict)
    show.gates(trial.verdict)
    show.say("")
    if measured:
        show.latency({"through the gateway, with the fork": head(trial.through, BESIDE), "straight": trial.direct})
        show.say("(in turn, the same sentences at the same rate; two cores carry the client, both models and Gnomon)")
    if trial.through.failures:
        show.say(f"{len(trial.through.failures)} requests failed; the first: {trial.through.failures[0]}")
    show.ledger(await drained(trial))
    report = WORK / f"report-{chapter.name}.html"
    await trial.gnomon.run("report", trial.name, "--html", str(report))
    show.say(f"report: {report.relative_to(HERE.parent)}")
    show.say(" ".join((await trial.gnomon.run("verify", trial.name)).split()))
    found = trial.verdict["verdict"]
    if found != chapter.expected:
        show.say(
            f"A reader would expect {chapter.expected!r} here and the evidence of this split says {found!r}. "
            "The verdict is the statistics' own; another --seed is another split."
        )
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > 2 * cores:
            show.say(f"The machine is busy (load {load:.1f} on {cores} cores), which the candidate's latency shows.")


def head(answers: Answers, count: int) -> Answers:
    """The answers of the first requests, those that had a twin on the straight way."""
    return Answers(answers.milliseconds[:count], answers.failures)


def farewell(given: argparse.Namespace, gnomon: Gnomon, runs: Path, seconds: float) -> None:
    """What a curious person does next."""
    here = Path.cwd()
    data = os.path.relpath(gnomon.data, here)
    program = os.path.relpath(gnomon.program, here)
    plan = os.path.relpath(runs / "fair" / "plan.yaml", here)
    lines = (
        "open demo/work/report-fair.html and demo/work/report-skewed.html in a browser",
        f"GNOMON_DATA={data} {program} trials",
        f"GNOMON_DATA={data} {program} verify sentiment-skewed",
        f"change the margin in {plan}, then: GNOMON_DATA={data} {program} verify sentiment-fair",
        f"{os.path.relpath(sys.executable.replace('.venv-demo', '.venv'), here)} demo/run.py --seed {given.seed + 1}",
    )
    for line in lines:
        show.console.print(f"  {line}", soft_wrap=True)
    show.say(f"\nThe demo took {seconds:.0f} s.")


def main(argv: list[str]) -> int:
    """Run the story; end every process that it started, whatever happens."""
    parser = argparse.ArgumentParser(description="Started by demo/run.py.")
    parser.add_argument("--gnomon", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended on the way out
    try:
        with Processes() as processes:
            tell(given, processes)
    except (DemoError, BadData) as error:
        show.console.print(f"demo: {error}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        show.say("stopped; every process that the demo started has ended")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
