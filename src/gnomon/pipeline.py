"""The whole flow on one page: plan, fork, log, compare, decide, promote. The order stands here, the rules do not.

0 register   read, check and seal the plan; the trial exists before its port opens
1 fork       `gnomon.fork`, its own process: production answers, the copy goes to the runner
2 log        `gnomon.shadow` in the runner's process: call the candidate, compare, append
5 look       evidence from the log, a verdict from the plan and nothing else
  verify     the same verdict from the pinned tables, or the reason why not
6 switch     promote on a verified verdict; back at any time
"""

import fcntl
import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from gnomon import __version__, clock, schedule
from gnomon.errors import IntegrityError, NotFound, StateError, Unreachable
from gnomon.plan import check, load, seal, top
from gnomon.promote import pause as pauses
from gnomon.promote import switch
from gnomon.records.facts import Reading
from gnomon.records.plan import Plan
from gnomon.records.process import Epoch
from gnomon.records.trial import Pause, Trial
from gnomon.records.verdict import Verdict
from gnomon.report import words
from gnomon.settings import Settings
from gnomon.state import State

if (
    TYPE_CHECKING
):  # arrow, ibis and charts cost a second to import: each stands where it is used, so that a rollback is quick
    from gnomon.log.read import Snapshot
    from gnomon.log.truths import TruthImport
    from gnomon.records.frames import Request
    from gnomon.report import Attempt, Report
    from gnomon.report.history import History

Say = Callable[[str], None]
_WRITTEN_US = 2_000_000
"""The longest time in which what was read is in the state database."""


# 0 -----------------------------------------------------------------------------------------------------------------


def register(
    settings: Settings, state: State, path: Path, *, say: Say, document: dict[str, Any] | None = None
) -> tuple[Trial, Plan]:
    """Seal the plan in `path`, or continue its trial. `document`: the same with the names of its `top` segments.

    Raises PlanError with all problems; Unreachable when a model of a new trial does not answer. On a trial that goes
    on, a dead model is only said: production has to be served as soon as it is back.
    """
    loaded = load.read(path)
    if document is not None:
        loaded = load.Loaded(document, load.from_document(document, name=str(path)), path)
    sealed = seal.seal(loaded.document)
    named = [trial for trial in state.trials() if trial.name == loaded.plan.trial]
    goes_on = bool(named) and max(named, key=lambda trial: trial.number).digest == sealed.digest
    dead = dead_models(settings, loaded.plan)
    if dead and not goes_on:
        raise Unreachable("\n".join(dead))
    for message in dead:
        say(message)
    trial = state.register(
        loaded.document,
        sealed,
        plan_path=str(path.absolute()),
        program=__version__,
        now_us=clock.now_us(),
        actor=actor(),
    )
    settings.trial_dir(trial.id).mkdir(mode=0o700, parents=True, exist_ok=True)
    return trial, loaded.plan


def dead_models(settings: Settings, plan: Plan) -> list[str]:
    """A line for each model that does not answer."""
    return [each.message for each in check.call_endpoints(plan, ca_file=settings.ca_file) if not each.ok]


def plan_of(trial: Trial) -> Plan:
    """The plan as it was sealed."""
    return load.from_document(json.loads(trial.document), sealed=True)


def logged_requests(settings: Settings, trial: Trial, limit: int) -> "list[Request]":
    """The newest requests in a trial's log, at most `limit`, as far as their bodies are still there."""
    from gnomon.log import read

    return read.requests(settings.log_url(trial.id), limit)


# 4 -----------------------------------------------------------------------------------------------------------------


def import_truths(settings: Settings, trial: Trial, source: Path | str) -> "TruthImport":
    """Append ground truth to the trial's log."""
    from gnomon.log import truths

    with _one_import(settings, trial):
        return truths.import_truths(plan_of(trial), settings.log_url(trial.id), source, now_us=clock.now_us())


@contextmanager
def _one_import(settings: Settings, trial: Trial) -> Iterator[None]:
    """One import of labels at a time: what contradicts the log is found out before anything is appended."""
    folder = settings.trial_dir(trial.id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "labels.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, or its process dies
        yield


def import_labels(settings: Settings, trial: Trial, plan: Plan, content: bytes, kind: str) -> "TruthImport":
    """The same for what came over HTTP: `kind` is csv, jsonl or parquet."""
    from gnomon.log import truth_files, truths

    assert kind in get_args(truth_files.Format)
    form: truth_files.Format = cast("truth_files.Format", kind)
    url = settings.log_url(trial.id)
    with _one_import(settings, trial):
        return truths.import_content(plan, url, content, form, name="http", now_us=clock.now_us())


# 5 -----------------------------------------------------------------------------------------------------------------


def look(settings: Settings, state: State, trial: Trial) -> Verdict:
    """One look: pinned tables, evidence, verdict. Writes nothing."""
    from gnomon.log import read

    snapshot = read.snapshot(settings.log_url(trial.id))
    now_us = clock.now_us()
    readings = _readings(state, trial, as_of_us=now_us)
    return _judge(trial, snapshot, readings, as_of_us=now_us, program=__version__, attempt=trial.attempt)


def _readings(state: State, trial: Trial, *, as_of_us: int) -> tuple[Reading, ...]:
    """What the models said they are while the trial's own evidence came in: up to its first promotion.

    The newest ones are left out: one that is being written now would be found by a verification, and not by its look.
    """
    ended_us = schedule.ended(state.epochs(trial.id), trial.first_epoch)
    newest_us = as_of_us - _WRITTEN_US
    end_us = newest_us if ended_us is None else min(ended_us, newest_us)
    return tuple(each for each in state.identities(trial.id) if each.time_us < end_us)


def _judge(
    trial: Trial,
    snapshot: "Snapshot",
    identities: tuple[Reading, ...],
    *,
    as_of_us: int,
    program: str,
    attempt: int,
    digest: Literal["files", "rows"] = "files",
) -> Verdict:
    """The verdict that these tables give at that time: of the sealed plan, and of nothing else."""
    import duckdb

    from gnomon.decide import decide
    from gnomon.evidence import gather

    plan = plan_of(trial)
    started_us = trial.registered_us
    try:
        evidence = gather(
            plan,
            snapshot,
            first_epoch=trial.first_epoch,
            as_of_us=as_of_us,
            started_us=started_us,
            identities=identities,
            digest=digest,
        )
    except duckdb.Error as error:
        raise _damaged(trial, error) from error
    return decide(
        plan,
        evidence,
        trial=trial.id,
        plan_digest=trial.digest,
        started_us=started_us,
        program=program,
        attempt=attempt,
    )


def _damaged(trial: Trial, error: Exception) -> IntegrityError:
    reason = str(error).splitlines()[0]
    return IntegrityError(f"the log of {trial.id} cannot be read, a file of it is damaged: {reason}")


def record_look(settings: Settings, state: State, trial: Trial) -> Verdict:
    """One look, kept in the state database and its audit chain. A rejection is final: it is given again."""
    state.verify_seal(trial)
    rejected = _rejected(state, trial)
    if rejected is not None:
        return rejected
    verdict = look(settings, state, trial)
    try:
        state.save_verdict(trial.id, verdict, now_us=clock.now_us(), actor=actor())
    except StateError:  # somebody else's look rejected in the meantime
        rejected = _rejected(state, trial)
        if rejected is None:
            raise
        return rejected
    return verdict


def ended(state: State, trial: Trial) -> str:
    """The sentence that no more evidence comes, for beside a verdict; empty: it does. No verdict says it itself."""
    ended_us = schedule.ended(state.epochs(trial.id), trial.first_epoch)
    return "" if ended_us is None else words.evidence_ended(ended_us)


def _rejected(state: State, trial: Trial) -> Verdict | None:
    last = state.last_verdict(trial.id)
    return last[1] if last is not None and last[1].verdict == "reject" else None


def verify(settings: Settings, state: State, trial: Trial, verdict: Verdict, plan_path: Path | None = None) -> None:
    """Recompute a verdict from the sealed plan and the pinned tables.

    Raises IntegrityError with the reason: a changed seal, an edited plan file, a missing or altered log file, an audit
    row out of chain, or a number that comes out differently. NotFound when `plan_path` is not there.
    """
    from gnomon.decide import recompute
    from gnomon.log import read

    state.check_chain()
    state.verify_seal(trial)
    if verdict.plan_digest != trial.digest:
        raise IntegrityError(
            f"the verdict names plan {verdict.plan_digest[:12]}, {trial.id} was sealed as {trial.digest[:12]}"
        )
    _verify_file(state, trial, plan_path)
    snapshot = read.snapshot(settings.log_url(trial.id), verdict.versions)
    again = _judge(
        trial,
        snapshot,
        _readings(state, trial, as_of_us=verdict.as_of_us),
        as_of_us=verdict.as_of_us,
        program=verdict.program,
        digest="files" if verdict.digest.startswith("files:") else "rows",
        attempt=verdict.attempt,
    )
    different = recompute.differences(verdict, again)
    if different:
        raise IntegrityError(
            f"{trial.id}: the verdict is not what the log gives (recorded, recomputed):\n  " + "\n  ".join(different)
        )


def _verify_file(state: State, trial: Trial, plan_path: Path | None) -> None:
    """The file the plan came from still says what was sealed, or a later amendment of the same name."""
    path = plan_path or Path(trial.plan_path)
    if not path.exists():
        if plan_path is None:
            return  # the sealed plan is in the state database; its file may be gone
        raise NotFound(f"plan file {path} is not there; leave --plan out to verify by the sealed copy")
    digest = seal.seal(top.filled(load.read(path, sealed=True).document, json.loads(trial.document))).digest
    if digest == trial.digest:
        return
    later = [
        other.id
        for other in state.trials()
        if other.digest == digest and other.plan_path == trial.plan_path and other.registered_us > trial.registered_us
    ]
    if later and plan_path is None:
        return
    named = f"; it is the plan of {later[0]}" if later else ""
    raise IntegrityError(
        f"{path} was edited after {trial.id} was sealed: its digest is {digest[:12]}, sealed was {trial.digest[:12]}"
        f"{named}; put the sealed text back, or serve the edited file as a new trial"
    )


def build_report(settings: Settings, state: State, trial: Trial, verdict: Verdict) -> "Report":
    """All that the report shows of one verdict."""
    import duckdb

    from gnomon import report
    from gnomon import status as status_now
    from gnomon.evidence import describe
    from gnomon.log import read

    plan = plan_of(trial)
    log_url = settings.log_url(trial.id)
    try:
        snapshot = read.snapshot(log_url, verdict.versions)
        description = describe.describe(
            plan, snapshot, log_url=log_url, first_epoch=trial.first_epoch, started_us=trial.registered_us
        )
    except IntegrityError as error:
        raise IntegrityError(
            f"the verdict of {trial.id} cannot be reported, what it rests on is not in the log as it was: {error}; "
            f"put the log back from a copy, or look at what is there now: gnomon decide {trial.id}"
        ) from error
    except duckdb.Error as error:
        raise _damaged(trial, error) from error
    return report.build(
        trial,
        plan,
        verdict,
        description,
        pauses=tuple(state.pauses(trial.id)),
        evidence_ended_us=schedule.ended(state.epochs(trial.id), trial.first_epoch),
        tax=status_now.tax(settings.trial_dir(trial.id) / "counters"),
        probes=status_now.probes(settings, trial),
        identities=_readings(state, trial, as_of_us=verdict.as_of_us),
        history=_history(state, trial),
        attempts=_attempts(state, trial, plan),
    )


def _history(state: State, trial: Trial) -> "History":
    """The looks that were kept, thinned where there are very many."""
    from gnomon.report import history

    numbers = state.verdict_numbers(trial.id)
    shown = history.thinned(numbers)
    return history.history(state.verdicts(trial.id, shown), left_out=len(numbers) - len(shown))


def _attempts(state: State, trial: Trial, plan: Plan) -> "tuple[Attempt, ...]":
    """Every candidate against the same production on the same routes."""
    from gnomon.report import Attempt, shared_alpha

    found = []
    for each in state.attempts(trial.id):
        last = state.last_verdict(each.id)
        found.append(
            Attempt(
                number=each.attempt,
                trial=each.id,
                candidate=str(json.loads(each.document)["candidate"]["version"]),
                registered_us=each.registered_us,
                verdict=last[1].verdict if last else None,
                shared_alpha=shared_alpha(plan.alpha_ppm / 1e6, each.attempt),
            )
        )
    return tuple(found)


# 6 -----------------------------------------------------------------------------------------------------------------


def promote(settings: Settings, state: State, trial: Trial, *, override: str | None) -> Epoch:
    """Let the candidate serve, on a verdict that recomputes and still holds, or on a reason."""

    def check_again(verdict: Verdict) -> None:
        verify(settings, state, trial, verdict)
        _same_models(state, trial)
        now = look(settings, state, trial)
        if now.verdict != "promote":
            raise StateError(
                f"{trial.id} cannot be promoted: since its last verdict the evidence says {now.verdict!r} "
                f"({now.sentence}); run gnomon decide again, or give a reason: --override 'why this is right'"
            )

    return switch.promote(
        state,
        trial,
        verify=check_again,
        override=override,
        actor=actor(),
        now_us=clock.now_us(),
    )


def _same_models(state: State, trial: Trial) -> None:
    """The models are those that the evidence is about. After a promotion it has ended, and a look reads no identity.

    Raises StateError.
    """
    then = {each.arm: each for each in _readings(state, trial, as_of_us=clock.now_us())}
    for now in {each.arm: each for each in state.identities(trial.id)}.values():
        before = then.get(now.arm)
        if before is not None and before.digest != now.digest:
            raise StateError(
                f"{trial.id} cannot be promoted: {now.arm} was {before.shown} while the evidence came in and is "
                f"{now.shown} now, which nothing was compared with; put the old model back, or begin a new trial"
            )


def rollback(state: State, trial: Trial, *, reason: str) -> Epoch:
    """Let the old production serve again."""
    return switch.rollback(state, trial, reason=reason, actor=actor(), now_us=clock.now_us())


def pause(state: State, trial: Trial, *, reason: str) -> tuple[Pause, bool]:
    """Shadow nothing from now on: the pause in force, and whether this began it."""
    return pauses.pause(state, trial, reason=reason, actor=actor(), now_us=clock.now_us())


def resume(state: State, trial: Trial, *, reason: str) -> bool:
    """Shadow again; False: it was not paused."""
    return pauses.resume(state, trial, reason=reason, actor=actor(), now_us=clock.now_us())


# at any time -------------------------------------------------------------------------------------------------------


def status(settings: Settings, state: State, trial: Trial) -> dict[str, Any]:
    """What is known now: see `gnomon.status`. Asks no process."""
    from gnomon import status as now

    return now.status(settings, state, trial, plan_of(trial), runner=_runner_of(settings, trial))


def actor() -> str:
    """Who does this, for the audit chain."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _runner_of(settings: Settings, trial: Trial) -> bool:
    """Whether a runner of this trial listens."""
    try:
        config = json.loads((settings.run_dir / "runner.json").read_text())
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(settings.run_dir / "runner.sock"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("trial") == trial.id
