"""The verdict: one of five words, in a fixed order of precedence, and why.

invalid        the log cannot be trusted, or too many pairs were lost
reject         some test is shown to be worse than its margin; final
promote        every test passes now
inconclusive   the deadline is over
continue       everything else
"""

from collections.abc import Sequence

from scipy.special import betaincinv

from gnomon.decide import wording
from gnomon.decide.assess import assess, vacuous
from gnomon.records.evidence import Evidence
from gnomon.records.plan import Plan
from gnomon.records.verdict import TestResult, Verdict, VerdictName

_PPM = 1_000_000
_ENOUGH_SAMPLED = 100  # below it a lost share blocks, and invalidates nothing


def decide(plan: Plan, evidence: Evidence, *, trial: str, plan_digest: str, started_us: int, program: str) -> Verdict:
    """The verdict of one look. Pure: the same arguments give the same record, byte for byte.

    `trial` is the trial's id, `started_us` the time from which cycles, duration and deadline count, `program` the
    version to be named.
    """
    tests = assess(plan, evidence, started_us=started_us)
    over = _over_deadline(plan, evidence, started_us)
    broken = [*evidence.anomalies, *_too_many_lost(plan, evidence, certain=not over)]
    name, sentence, reasons = _choose(plan, evidence, tests, broken, over_deadline=over)
    return Verdict(
        trial=trial,
        plan_digest=plan_digest,
        verdict=name,
        sentence=sentence,
        reasons=(*reasons, *evidence.notes),
        would_change=_would_change(plan, name, tests),
        tests=tests,
        alpha_ppm=plan.alpha_ppm,
        as_of_us=evidence.as_of_us,
        watermark_us=evidence.watermark_us,
        started_us=started_us,
        versions=evidence.versions,
        rows=evidence.rows,
        digest=evidence.digest,
        ledger=evidence.ledger,
        program=program,
    )


_Choice = tuple[VerdictName, str, list[str]]


def _choose(
    plan: Plan, evidence: Evidence, tests: Sequence[TestResult], broken: list[str], *, over_deadline: bool
) -> _Choice:
    """The first that holds, in the order of precedence."""
    reasons = [test.reason for test in tests]
    if broken:
        return "invalid", f"Invalid: {broken[0]}.", [*broken, *reasons]
    failed = [test for test in tests if test.result == "fail"]
    if failed:
        return "reject", _reject_sentence(failed), [test.reason for test in failed] + _others(tests)
    blocked = _too_many_lost(plan, evidence, certain=False)
    if not blocked and _all_pass(plan, tests):
        return "promote", _promote_sentence(plan, tests), reasons
    if over_deadline:
        missing = _named([test for test in tests if test.result != "pass"])
        return "inconclusive", f"Inconclusive: the deadline is over and {missing} not settled.", reasons
    return "continue", _continue_sentence(evidence, tests, blocked), [*blocked, *reasons]


def _all_pass(plan: Plan, tests: Sequence[TestResult]) -> bool:
    """Every test passes, and at least one of them on data."""
    return all(test.result == "pass" for test in tests) and any(not vacuous(plan, test.cell) for test in tests)


def _over_deadline(plan: Plan, evidence: Evidence, started_us: int) -> bool:
    """Sampling ended at the deadline; truth may come for `expected_within` longer."""
    if plan.duration.deadline_us is None:
        return False
    needs_truth = plan.truth is not None and any(gate.kind == "accuracy" for gate in plan.gates)
    grace_us = plan.truth.expected_within_us if plan.truth is not None and needs_truth else 0
    return evidence.as_of_us > started_us + plan.duration.deadline_us + grace_us


def _too_many_lost(plan: Plan, evidence: Evidence, *, certain: bool) -> list[str]:
    """Cells whose share of lost pairs is over the limit.

    The plain share blocks a promotion at once. It makes the trial invalid when it is `certain`: from 100 sampled
    exchanges on, when the lower Clopper-Pearson bound at alpha is over the limit too; one lost of three says nothing.
    """
    sentences = []
    for name, (lost, sampled) in evidence.sampled.items():
        if lost * _PPM <= plan.lost_ppm * sampled:
            continue
        bound = betaincinv(lost, sampled - lost + 1, plan.alpha_ppm / _PPM)
        if certain and (sampled < _ENOUGH_SAMPLED or bound * _PPM <= plan.lost_ppm):
            continue
        of = f"{lost:,} of {wording.count(sampled, 'sampled exchange')}"
        where = name if name == "overall" else f"on {name}"
        sentences.append(f"{of} {where} were lost, more than {wording.share(plan.lost_ppm)}")
    return sentences


def _reject_sentence(failed: Sequence[TestResult]) -> str:
    more = f", and {wording.count(len(failed) - 1, 'more test')}" if len(failed) > 1 else ""
    worst = max(failed, key=lambda test: test.e_reject)
    return f"Reject: {_body(worst.reason)}{more}."


def _promote_sentence(plan: Plan, tests: Sequence[TestResult]) -> str:
    seen = sum(not vacuous(plan, test.cell) for test in tests)
    how = f"passes {'its only test' if seen == 1 else f'all {seen} tests'}"
    if any(gate.kind == "accuracy" for gate in plan.gates):
        return f"Promote: {plan.candidate.version} {how}, overall and on every declared segment that was asked for."
    return f"Promote {plan.candidate.version} as an equivalent replacement; correctness was not measured: it {how}."


def _continue_sentence(evidence: Evidence, tests: Sequence[TestResult], blocked: Sequence[str]) -> str:
    if not evidence.rows.get("comparisons"):
        return "Continue: nothing has been shadowed yet."
    open_tests = [test for test in tests if test.result != "pass"]
    if not open_tests:
        return f"Continue: every test passes, but {blocked[0]}."
    done = len(tests) - len(open_tests)
    return f"Continue: {done} of {wording.count(len(tests), 'test')} pass, {_named(open_tests)} not settled."


def _named(tests: Sequence[TestResult]) -> str:
    """The open tests' cells, at most three of them, with their verb."""
    names = list(dict.fromkeys(test.name for test in tests))
    if not names:
        return "the share of lost pairs is"
    if len(names) == 1:
        return f"{names[0]} is"
    if len(names) <= 3:
        return f"{', '.join(names[:-1])} and {names[-1]} are"
    return f"{', '.join(names[:3])} and {len(names) - 3} more are"


def _others(tests: Sequence[TestResult]) -> list[str]:
    return [test.reason for test in tests if test.result != "fail"]


def _body(reason: str) -> str:
    """A reason without what stands behind its numbers."""
    return reason.partition("; e ")[0]


def _would_change(plan: Plan, name: VerdictName, tests: Sequence[TestResult]) -> str:
    if name == "reject":
        return "Nothing: a rejection is final. An amended plan is a new trial and starts with zero evidence."
    if name == "invalid":
        return "Nothing that is still to come repairs what was read. Find the cause and start a new trial."
    if name == "inconclusive":
        return "Nothing: sampling ended. An amended plan with a later deadline or a wider margin is a new trial."
    if name == "promote":
        return "A later look at more data, until the candidate is promoted: a test that no longer passes, or harm."
    behind = [test for test in tests if test.result != "pass"]
    if not behind:
        return "Fewer lost pairs: the share falls as exchanges are paired."
    slowest = min(behind, key=lambda test: (test.e_promote, test.name))
    units = max((test.needed - test.units for test in behind), default=0)
    more = f"At least {wording.count(units, 'more settled unit')} in the smallest cell. " if units > 0 else ""
    needed = wording.short(_PPM / plan.alpha_ppm)
    furthest = f"the furthest is {slowest.name} at {wording.short(slowest.e_promote)}"
    return (
        f"{more}Promotion when every test's e reaches {needed} ({furthest}); "
        f"rejection when an e against one reaches {wording.short(slowest.reject_at)}."
    )
