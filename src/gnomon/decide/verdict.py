"""The verdict: one of five words, in a fixed order of precedence, and why.

invalid        the log cannot be trusted, or too many pairs were lost
reject         some test is shown to be worse than its margin; final
promote        every test passes now
inconclusive   the deadline is over
continue       everything else
"""

from collections.abc import Sequence

from gnomon.decide import left_out, lost, sentences
from gnomon.decide.assess import Assessment, assess_all, over_deadline, passes
from gnomon.records.evidence import Evidence
from gnomon.records.plan import Plan
from gnomon.records.verdict import Verdict, VerdictName


def decide(
    plan: Plan,
    evidence: Evidence,
    *,
    trial: str,
    plan_digest: str,
    started_us: int,
    program: str,
    attempt: int = 1,
) -> Verdict:
    """The verdict of one look. Pure: the same arguments give the same record, byte for byte.

    `trial` is the trial's id, `started_us` the time from which cycles, duration and deadline count, `program` the
    version to be named, `attempt` the how-many-eth candidate it is against this production on these routes.
    """
    found = assess_all(plan, evidence, started_us=started_us)
    over = over_deadline(plan, evidence, started_us)
    too_many = lost.over_limit(plan, evidence) if over else lost.shown_over_limit(plan, evidence)
    broken = [*evidence.anomalies, *too_many]
    blocked = [
        *lost.over_limit(plan, evidence),
        *left_out.over_limit(plan, evidence),
        *_unprobed(plan, evidence),
    ]
    name, sentence, reasons = _choose(plan, evidence, found, broken, blocked, attempt=attempt, over_deadline=over)
    targets = [target.reason for target in found.targets]
    return Verdict(
        trial=trial,
        plan_digest=plan_digest,
        verdict=name,
        sentence=sentence,
        reasons=(*reasons, *found.alarms, *targets, *evidence.notes),
        would_change=sentences.would_change(name, found.tests, blocked),
        tests=found.tests,
        alpha_ppm=plan.alpha_ppm,
        as_of_us=evidence.as_of_us,
        watermark_us=evidence.watermark_us,
        started_us=started_us,
        versions=evidence.versions,
        rows=evidence.rows,
        digest=evidence.digest,
        ledger=evidence.ledger,
        program=program,
        targets=found.targets,
        attempt=attempt,
        closed_cycles=evidence.closed_cycles,
    )


_Choice = tuple[VerdictName, str, list[str]]


def _choose(
    plan: Plan,
    evidence: Evidence,
    found: Assessment,
    broken: Sequence[str],
    blocked: Sequence[str],
    *,
    attempt: int,
    over_deadline: bool,
) -> _Choice:
    """The first that holds, in the order of precedence."""
    tests = found.tests
    reasons = [test.reason for test in tests]
    if broken:
        return "invalid", f"Invalid: {broken[0]}.", [*broken, *reasons]
    failed = [test for test in tests if test.result == "fail"]
    if failed:
        others = [test.reason for test in tests if test.result != "fail"]
        return "reject", sentences.reject(failed), [test.reason for test in failed] + others
    if not blocked and passes(plan, tests):
        return "promote", sentences.promote(plan, tests, attempt), reasons
    if over_deadline:
        return "inconclusive", sentences.inconclusive(tests, blocked), [*blocked, *reasons]
    return "continue", sentences.goes_on(evidence, tests, blocked), [*blocked, *reasons]


def _unprobed(plan: Plan, evidence: Evidence) -> list[str]:
    return [sentences.NO_PROBES] if plan.probes_required and not evidence.probes else []
