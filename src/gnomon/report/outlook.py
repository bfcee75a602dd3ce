"""What was, and what may come: progress with its dates, the e-values over the looks, earlier attempts."""

from collections.abc import Sequence
from typing import Any

from gnomon.report import charts, figures, words
from gnomon.report import progress as progresses
from gnomon.report.record import Report, shared_alpha


def progress(report: Report) -> dict[str, Any]:
    """How far each test is, and the last date in a sentence."""
    found = report.progress
    rows = [
        {
            "name": f"{each.gate} {words.cell(each)}",
            "units": f"{each.units:,} / {each.needed:,}",
            "rate": "none yet" if each.units_per_day is None else f"{each.units_per_day:,.0f}",
            "e": f"{words.e_value(each.e_promote)} / {words.e_value(each.promote_at)}" if each.units else words.NO_DATA,
            "at": "none" if each.estimated_units is None else words.count(each.estimated_units),
            "outlook": words.outlook(each),
        }
        for each in found
    ]
    said = "; ".join(f"{each.gate} {words.cell(each)}: {words.progress(each)}" for each in found)
    return {
        "figure": figures.inline(charts.progress(found)),
        "text": f"Progress of each test. {said}.",
        "rows": rows,
        "sentence": _expected(report),
    }


def _expected(report: Report) -> str:
    """When the trial may end, as an estimate; empty for a verdict that is one already, and when no evidence comes."""
    if report.verdict.verdict != "continue" or report.evidence_ended_us is not None:
        return ""
    slowest = progresses.last(report.progress)
    if slowest is None or slowest.estimated_us is None:
        return "There is no date yet at which every test could pass: see Progress."
    late = ", which is after the deadline" if slowest.outlook == "after_deadline" else ""
    return (
        f"If it goes on as it did, the last test ({slowest.gate} {words.cell(slowest)}) could pass about "
        f"{words.day(slowest.estimated_us)}{late}. This is an estimate."
    )


def history(report: Report) -> dict[str, Any]:
    """The e-values over time, and the same in words."""
    looks, tracks = report.history.looks, report.history.tracks
    if not looks:
        return {"figure": "", "text": "", "sentence": "No look was kept yet."}
    first, last = words.utc(looks[0].as_of_us), words.utc(looks[-1].as_of_us)
    sentence = (
        f"{words.counted(len(looks), 'look')} from {first} to {last}." if len(looks) > 1 else f"One look, {first}."
    )
    if report.history.left_out:
        sentence += f" {words.count(report.history.left_out)} more between them are not drawn."
    said = "; ".join(
        f"{each.gate} {words.cell(each)}: to promote {_last_e(each.e_promote)} of {words.e_value(each.promote_at)}"
        + ("" if each.soft else f", to reject {_last_e(each.e_reject)} of {words.e_value(each.reject_at)}")
        for each in tracks
    )
    return {
        "figure": figures.inline(charts.e_values(report.history)),
        "text": f"Lines of each test's e-values over the looks, with their thresholds. At the last look: {said}.",
        "sentence": sentence,
    }


def _last_e(values: Sequence[float | None]) -> str:
    found = [value for value in values if value is not None]
    return words.e_value(found[-1]) if found else words.NO_DATA


def attempts(report: Report) -> dict[str, Any]:
    """Which candidate this is, of how many, and what that asks of a cautious reader."""
    number, alpha = report.trial.attempt, report.verdict.alpha_ppm / 1e6
    shared = shared_alpha(alpha, number)
    sentence = f"Attempt {number}: candidate number {number} against this production on these routes."
    if number == 1:
        sentence = "Attempt 1: no other candidate was tried against this production on these routes."
    else:
        sentence += (
            f" Each attempt has its own chance of {100 * alpha:g} % to be promoted wrongly. Had all attempts ever made"
            f" to share {100 * alpha:g} %, this one would have {100 * shared:.2g} %, and every e-value would have to"
            f" reach {words.e_value(1 / shared)}. {_held_against(report, shared)}"
        )
    rows = [
        {
            "number": str(each.number),
            "trial": each.trial,
            "candidate": each.candidate,
            "sealed": words.utc(each.registered_us),
            "alpha": f"{100 * each.shared_alpha:.2g} %",
            "verdict": each.verdict or "never looked at",
        }
        for each in report.attempts
    ]
    return {"sentence": sentence, "rows": rows}


def _held_against(report: Report, shared: float) -> str:
    """Whether the passes of this look would hold under the shared alpha."""
    passed = [test for test in report.verdict.tests if test.result == "pass" and test.units]
    if not passed:
        return "That is shown, not enforced."
    weak = [test.name for test in passed if test.e_promote < 1 / shared]
    if not weak:
        return "Every test that passes here reaches that too. It is shown, not enforced."
    more = f" and {len(weak) - 3} more" if len(weak) > 3 else ""
    return f"Of those that pass, {', '.join(weak[:3])}{more} would not. It is shown, not enforced."
