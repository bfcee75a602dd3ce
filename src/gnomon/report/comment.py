"""The Markdown report: one comment for a pull request. Numbers and names that were declared, no answer of a model."""

import re
from typing import Final

from gnomon.records.plan import OVERALL
from gnomon.records.verdict import TestResult
from gnomon.report import progress, scales, shadow, words
from gnomon.report.record import Report, shared_alpha

MOST_ROWS: Final = 60
"""A comment has a limited length; the tests that do not pass come first."""

_COLUMNS: Final = ("gate", "where", "result", "units / needed", "estimate", "interval", "must be", "e", "sequential p")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~#$!{}])")
_ORDER: Final = {"fail": 0, "inconclusive": 1, "pass": 2}


def render(report: Report) -> str:
    """Verdict, table of gates, ledger, the shadow itself, digest."""
    verdict, trial = report.verdict, report.trial
    shown, left_out = _rows(verdict.tests)
    reasons = {test.reason for test in verdict.tests}
    lines = [
        f"### {words.VERDICT_MARKS[verdict.verdict]} {verdict.verdict.upper()}: {escape(trial.id)}",
        "",
        f"**{escape(verdict.sentence)}**",
        "",
        _arms(report),
        "",
        *(f"- {escape(remark)}" for remark in words.remarks(report.pauses, report.evidence_ended_us)),
        *(f"- {escape(remark)}" for remark in verdict.reasons if remark not in reasons),
        "",
        _row(_COLUMNS),
        _row(("---", "---", "---", "---:", "---:", "---:", "---:", "---:", "---:")),
        *(_row([escape(cell) for cell in _cells(report, test)]) for test in shown),
        "",
        *([f"{left_out} more tests are in the JSON and HTML reports.", ""] if left_out else []),
        *(f"- {escape(test.name)}: {escape(words.unestimated(test))}" for test in shown if words.unestimated(test)),
        "",
        *_targets(report),
        f"**What would change it:** {escape(verdict.would_change)}",
        "",
        *_outlook(report),
        *_attempt(report),
        *_noise(report),
        f"**Ledger:** {escape(words.ledger_sum(verdict.ledger)['sentence'])}",
        *(f"- {escape(sentence)}" for sentence in shadow.sides(report.description.ledger)),
        "",
        *_shadow(report),
        _provenance(report),
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _targets(report: Report) -> list[str]:
    """The soft ones, in a table of their own."""
    if not report.verdict.targets:
        return []
    rows, left_out = _rows(report.verdict.targets)
    return [
        "**Targets** (soft: reported, never blocking)",
        "",
        *_table(_COLUMNS, [tuple(_cells(report, test)) for test in rows]),
        *([f"{left_out} more targets are in the JSON and HTML reports.", ""] if left_out else []),
    ]


def _outlook(report: Report) -> list[str]:
    """When the last test could pass, as long as the trial goes on."""
    goes_on = report.verdict.verdict == "continue" and report.evidence_ended_us is None
    slowest = progress.last(report.progress) if goes_on else None
    if slowest is None:
        return []
    name = escape(f"{slowest.gate} {words.cell(slowest)}")
    return [f"**Expected** (an estimate): the last test, {name}, {escape(words.outlook(slowest))}.", ""]


def _attempt(report: Report) -> list[str]:
    if report.trial.attempt == 1:
        return []
    alpha = report.verdict.alpha_ppm / 1e6
    shared = shared_alpha(alpha, report.trial.attempt)
    share = f"shared over all attempts, alpha would be {100 * shared:.2g} % here in place of {100 * alpha:g} %"
    return [
        f"**Attempt {report.trial.attempt}** against this production on these routes; {share} (shown, not enforced).",
        "",
    ]


def _noise(report: Report) -> list[str]:
    """Production against its twin, overall."""
    lines = []
    for each in report.description.noise:
        fresh = each.drawn - each.repeats
        if each.cell == OVERALL and fresh:
            own, other = words.share(each.agree, fresh), words.share(each.candidate_agree, fresh)
            of = words.counted(fresh, "pair")
            said = f"production agrees with its own twin on {own} of {of}, the candidate with production on {other}"
            lines += [f"**Noise floor** of {escape(each.output)}: {escape(said)}.", ""]
    return lines


def _shadow(report: Report) -> list[str]:
    """The shadow itself: sampling, losses, cost, and probes and models where they are known."""
    found, sticky = report.description, report.declared.fork.sticky is not None
    lines = [
        f"**Sampling:** {escape(shadow.sampling(found.sampling, sticky=sticky))}",
        "",
        *_table(shadow.SAMPLING_COLUMNS, shadow.sampling_rows(found.sampling)),
        f"**Losses:** {escape(shadow.losses(found.losses))}",
        "",
        f"**What shadowing costs:** {escape(' '.join(shadow.tax(report.tax)))}",
        "",
    ]
    if report.probes:
        lines += [f"**Probes:** {escape(shadow.probes(report.probes))}", ""]
        lines += _table(shadow.PROBE_COLUMNS, shadow.probe_rows(report.probes))
    if report.identities:
        lines += [f"**Models:** {escape(shadow.models(report.identities))}", ""]
        lines += _table(shadow.MODEL_COLUMNS, shadow.model_rows(report.identities))
    return lines


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table and the empty line after it; nothing without rows."""
    if not rows:
        return []
    marks = tuple("---" for _ in columns)
    return [_row(columns), _row(marks), *(_row([escape(cell) for cell in row]) for row in rows), ""]


def _arms(report: Report) -> str:
    declared = report.declared
    arms = f"Candidate {escape(declared.candidate)} against production {escape(declared.production)}."
    return f"{arms} {escape(declared.question)}"


def _provenance(report: Report) -> str:
    verdict = report.verdict
    times = f"log up to {words.utc(verdict.watermark_us)}, looked at {words.utc(verdict.as_of_us)}"
    program = f"gnomon {escape(verdict.program)}"
    return f"Plan `{verdict.plan_digest[:16]}`, {times}, {program}. Recompute: `gnomon verify {report.trial.id}`"


def escape(text: str) -> str:
    """The text on one line as Markdown shows it literally: no cell, link, mention, tag or formula begins in it."""
    line = " ".join(words.clean(text).split())
    line = _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;")).replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space keeps mentions, issue numbers and bare addresses from becoming links.
    return re.sub(r"(@|\\#|://|\bwww)", "\\1\u200b", line)


def _rows(tests: tuple[TestResult, ...]) -> tuple[list[TestResult], int]:
    """The tests to show, in the plan's order unless some must be left out; and how many are."""
    if len(tests) <= MOST_ROWS:
        return list(tests), 0
    worst = sorted(tests, key=lambda test: _ORDER[test.result])
    return worst[:MOST_ROWS], len(tests) - MOST_ROWS


def _cells(report: Report, test: TestResult) -> list[str]:
    gate = next(gate for gate in report.declared.judged if gate.id == test.gate)
    known = test.estimate is not None
    return [
        test.gate,
        words.cell(test),
        f"{words.RESULT_MARKS[test.result]} {test.result}",
        words.needed(test),
        scales.mean(gate, test.estimate) if known else words.nothing(test),
        scales.interval(gate, test) if known else "none",
        scales.margin(gate, test),
        words.e_value(test.e_reject if test.result == "fail" else test.e_promote) if known else "none",
        words.sequential_p(test.e_reject if test.result == "fail" else test.e_promote) if known else "none",
    ]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
