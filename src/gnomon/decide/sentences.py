"""The sentences of the verdict as a whole: what it is, and what would change it."""

from collections.abc import Sequence
from typing import Final

from gnomon.decide import kinds, left_out
from gnomon.decide.assess import vacuous
from gnomon.decide.claims import PPM
from gnomon.decide.words import count, share, short
from gnomon.records.evidence import Evidence
from gnomon.records.plan import Plan
from gnomon.records.verdict import TestResult, VerdictName
from gnomon.stats import multiple

NO_PROBES = "no known answer has come through the real path into the log, as integrity.probes requires"


def reject(failed: Sequence[TestResult]) -> str:
    """The clearest harm, and how much more there is."""
    more = f", and {count(len(failed) - 1, 'more test')}" if len(failed) > 1 else ""
    worst = max(failed, key=lambda test: test.e_reject)
    return f"Reject: {_body(worst.reason)}{more}."


def promote(plan: Plan, tests: Sequence[TestResult], attempt: int) -> str:
    """What the candidate is promoted as, on how many tests; and how often there was a candidate."""
    seen = [test for test in tests if not vacuous(plan, test.cell)]
    how = f"passes {'its only test' if len(seen) == 1 else f'all {len(seen)} tests'}"
    if any(gate.needs_truth for gate in plan.gates):
        on = kinds.available(plan)
        where = f"; correctness was measured {on}" if on else ""
        sentence = (
            f"Promote: {plan.candidate.version} {how}, overall and on every declared segment that was asked for{where}."
        )
    else:
        sentence = (
            f"Promote {plan.candidate.version} as an equivalent replacement; correctness was not measured: it {how}."
        )
    return sentence if attempt <= 1 else f"{sentence} {_attempt(plan, seen, attempt)}"


def inconclusive(tests: Sequence[TestResult], blocked: Sequence[str]) -> str:
    """What the deadline found open."""
    open_tests = [test for test in tests if test.result != "pass"]
    if not open_tests and blocked:
        return f"Inconclusive: the deadline is over and every test passes, but {blocked[0]}."
    return f"Inconclusive: the deadline is over and {_named(open_tests)} not settled."


def goes_on(evidence: Evidence, tests: Sequence[TestResult], blocked: Sequence[str]) -> str:
    """How far it is."""
    if not evidence.rows.get("comparisons"):
        return "Continue: nothing has been shadowed yet."
    open_tests = [test for test in tests if test.result != "pass"]
    if not open_tests:
        return f"Continue: every test passes, but {blocked[0]}."
    done = len(tests) - len(open_tests)
    return f"Continue: {done} of {count(len(tests), 'test')} pass, {_named(open_tests)} not settled."


def would_change(name: VerdictName, tests: Sequence[TestResult], blocked: Sequence[str]) -> str:
    """What would change the verdict."""
    if name in _FINAL:
        return _FINAL[name]
    behind = [test for test in tests if test.result != "pass"]
    if behind:
        return _missing(behind)
    if list(blocked) == [NO_PROBES]:
        return "A probe's known answer in the log: gnomon serve sends them when it starts."
    if any(left_out.WHAT in sentence for sentence in blocked):
        return (
            "A smaller share of exchanges after their cluster was closed; an amended plan with a longer "
            "unit.closes_after counts them, and is a new trial."
        )
    return "Fewer lost pairs: the share falls as exchanges are paired."


_FINAL: Final = {
    "reject": "Nothing: a rejection is final. An amended plan is a new trial and starts with zero evidence.",
    "invalid": "Nothing that is still to come repairs what was read. Find the cause and start a new trial.",
    "inconclusive": "Nothing: sampling ended. An amended plan with a later deadline or a wider margin is a new trial.",
    "promote": "A later look at more data, until the candidate is promoted: a test that no longer passes, or harm.",
}


def _missing(behind: Sequence[TestResult]) -> str:
    slowest = min(behind, key=lambda test: (test.e_promote, test.name))
    units = max(test.needed - test.units for test in behind)
    more = f"At least {count(units, 'more settled unit')} in the smallest cell. " if units > 0 else ""
    furthest = f"the furthest is {slowest.name} at {short(slowest.e_promote)}"
    return (
        f"{more}Promotion when every test's e reaches {short(slowest.promote_at)} ({furthest}); "
        f"rejection when an e against one reaches {short(slowest.reject_at)}."
    )


def _attempt(plan: Plan, seen: Sequence[TestResult], attempt: int) -> str:
    """What it would take to spend alpha over all attempts. Shown, and not enforced: that is a plan's to declare."""
    spent = multiple.attempt_alpha(plan.alpha_ppm / PPM, attempt)
    weakest = min((test.e_promote for test in seen), default=1.0)
    return (
        f"It is attempt {attempt} against the same production on the same routes: to keep "
        f"{share(plan.alpha_ppm)} over all attempts this one would ask for an e of {short(1 / spent)}; "
        f"its weakest test has {short(weakest)}."
    )


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


def _body(reason: str) -> str:
    """A reason without what stands behind its numbers."""
    return reason.partition("; e ")[0]
