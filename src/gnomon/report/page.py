"""The HTML report: what the template shows, section by section. The template has the order and the markup.

Every text goes through autoescaping and `words.clean`; only the charts' SVG, drawn here from data, is markup. An
expression that comes out as None is an error: what is not known has its words.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from gnomon.records.evidence import Agreement, Disagreement, NoiseFloor
from gnomon.records.ledger import GATEWAY_STATES, LOST_STATES, RUNNER_STATES
from gnomon.records.plan import OVERALL, Gate, Output
from gnomon.records.verdict import TestResult, Verdict
from gnomon.report import charts, figures, outlook, scales, shadow, words
from gnomon.report.record import Report

_TEMPLATES: Final = Path(__file__).parent / "templates"

_TONES: Final = {
    "promote": "pass",
    "reject": "fail",
    "invalid": "fail",
    "continue": "candidate",
    "inconclusive": "inconclusive",
}
"""The verdict's colour, by its name in the style sheet."""

_EXCERPTED: Final = "…"


def render(report: Report) -> str:
    """The whole page."""
    return _template().render(
        r=report,
        w=words,
        verdict=_verdict(report),
        remarks=[*words.remarks(report.pauses, report.evidence_ended_us), *_remarks(report.verdict)],
        pauses=[words.pause(each) for each in report.pauses],
        forest=figures.inline(figures.forest(report)),
        forest_text=_forest_text(report),
        gates=[_gate(gate, report.verdict.tests) for gate in report.declared.gates],
        targets=[_gate(gate, report.verdict.targets) for gate in report.declared.targets],
        thresholds=_thresholds(report.verdict.tests),
        soft_thresholds=_thresholds(report.verdict.targets),
        rests=[_rest(report, test) for test in (*report.verdict.tests, *report.verdict.targets)],
        progress=outlook.progress(report),
        history=outlook.history(report),
        segments=_segments(report),
        latency=figures.inline(figures.latency(report)),
        agreements=[_agreement(report, output) for output in report.declared.outputs],
        noise=[_noise(each) for each in report.description.noise],
        ledger=_ledger(report.verdict.ledger),
        ledger_chart=figures.inline(charts.ledger(report.verdict.ledger)),
        sides=shadow.sides(report.description.ledger),
        blocks=_blocks(report),
        disagreements=[_disagreement(report, each) for each in report.description.disagreements],
        attempts=outlook.attempts(report),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("report.html.jinja")


def _shown(value: object) -> object:
    """What an expression of the template puts on the page."""
    if value is None:
        raise ValueError("the report has no word for a value that is not known")
    return words.clean(value) if type(value) is str else value  # not Markup: that is markup already


# verdict -----------------------------------------------------------------------------------------------------------


def _verdict(report: Report) -> dict[str, str]:
    """The sentence without the word that stands large beside it. A version keeps its own capitals."""
    name = report.verdict.verdict
    sentence = report.verdict.sentence.removeprefix(f"{name.capitalize()}: ")
    if not sentence.startswith(report.declared.candidate):
        sentence = sentence[:1].upper() + sentence[1:]
    return {
        "word": name,
        "mark": words.VERDICT_MARKS[name],
        "tone": _TONES[name],
        "meaning": words.VERDICT_MEANINGS[name],
        "sentence": sentence,
    }


def _remarks(verdict: Verdict) -> list[str]:
    """Reasons that belong to no single test: anomalies, lost shares, contradicting truths."""
    of_tests = {test.reason for test in verdict.tests}
    return [reason for reason in verdict.reasons if reason not in of_tests]


# gates -------------------------------------------------------------------------------------------------------------


def _gate(gate: Gate, tests: Sequence[TestResult]) -> dict[str, Any]:
    mine = [test for test in tests if test.gate == gate.id]
    return {"id": gate.id, "sentence": gate.sentence, "tests": [_test(gate, test) for test in mine]}


def _thresholds(tests: Sequence[TestResult]) -> dict[str, str]:
    """What an e-value has to reach; a hybrid test has a threshold of its own, and a target rejects nothing."""
    promote = _range([test.promote_at for test in tests])
    return {"promote": promote, "reject": _range([test.reject_at for test in tests if not test.soft])}


def _range(thresholds: Sequence[float]) -> str:
    shown = [words.e_value(each) for each in sorted(set(thresholds))]
    return f"(≥ {' or '.join(shown)})" if shown else ""


def _test(gate: Gate, test: TestResult) -> dict[str, Any]:
    known = test.estimate is not None
    return {
        "cell": _cell(test),
        "known": known,
        "result": test.result,
        "mark": words.RESULT_MARKS[test.result],
        "units": words.needed(test),
        "estimate": scales.mean(gate, test.estimate) if known else words.nothing(test),
        "interval": scales.interval(gate, test),
        "margin": scales.margin(gate, test),
        "e_promote": words.e_value(test.e_promote) if known else "none",
        "e_reject": words.e_value(test.e_reject) if known and not test.soft else "none",
        "p": words.sequential_p(test.e_promote) if known else "none",
        "reason": ". ".join(part for part in (test.reason, words.unestimated(test), _fixed_size(test)) if part),
    }


def _fixed_size(test: TestResult) -> str:
    """The one test of a hybrid gate, where it was made."""
    return "" if test.hybrid_p is None else f"The one fixed-size test at its sealed size: p {test.hybrid_p:.2g}."


def _rest(report: Report, test: TestResult) -> dict[str, str]:
    """What one test rests on: its settled prefix, and what of it was not simply observed."""
    cell = test.cell
    gate = next(gate for gate in report.declared.judged if gate.id == test.gate)
    production, candidate = scales.arms(gate, test)
    return {
        "name": test.name,
        "settled": words.count(cell.exchanges),
        "until": words.utc(cell.frontier_us) if cell.exchanges else words.NO_DATA,
        "lost": _part(cell.lost, cell.exchanges),
        "imputed": _part(cell.imputed, cell.exchanges),
        "waiting": words.count(cell.waiting),
        "left_out": _part(cell.left_out, cell.seen),
        "truths": words.count(cell.truths) if gate.needs_truth else "not asked",
        "production": production,
        "candidate": candidate,
    }


def _part(part: int, whole: int) -> str:
    return f"{part:,} ({words.share(part, whole)})" if part else "0" if whole else words.NO_DATA


def _cell(test: TestResult) -> str:
    return words.cell(test)


def _forest_text(report: Report) -> str:
    """The forest plot for those who do not see it."""
    gates = {gate.id: gate for gate in report.declared.judged}
    parts = []
    for test in (*report.verdict.tests, *report.verdict.targets):
        gate = gates[test.gate]
        if test.estimate is None:
            parts.append(f"{test.name}: {test.result}, {words.unestimated(test) or words.nothing(test)}".rstrip("."))
            continue
        interval, margin = scales.interval(gate, test), scales.margin(gate, test)
        estimate = scales.mean(gate, test.estimate)
        parts.append(f"{test.name}: {test.result}, {estimate}, interval {interval}, must be {margin}")
    return "Forest plot. " + "; ".join(parts) + "."


# segments ----------------------------------------------------------------------------------------------------------


def _segments(report: Report) -> dict[str, Any]:
    """One row a cell: pairs, agreement of each output, each gate's result."""
    tests = {(test.gate, _cell(test)): test for test in report.verdict.tests}
    agreements = {(each.output, each.cell): each for each in report.description.agreements}
    overall = [each.pairs for each in report.description.agreements if each.cell == OVERALL]
    pairs = {OVERALL: overall[0] if overall else 0}
    for name, values in report.description.segments.items():
        pairs |= {f"{name}={value}": count for value, count in values.items()}
    cells = [*pairs, *(cell for cell in dict.fromkeys(map(_cell, report.verdict.tests)) if cell not in pairs)]
    rows = [
        {
            "cell": cell,
            "pairs": words.count(pairs.get(cell, 0)),
            "agreements": [_rate(agreements.get((o.name, cell))) for o in report.declared.outputs],
            "results": [_result(gate, tests.get((gate.id, cell))) for gate in report.declared.gates],
        }
        for cell in cells
    ]
    return {"rows": rows, "outputs": [output.name for output in report.declared.outputs]}


def _rate(agreement: Agreement | None) -> str:
    return words.NO_DATA if agreement is None else words.share(agreement.agree, agreement.pairs)


def _result(gate: Gate, test: TestResult | None) -> dict[str, str]:
    if test is None:
        return {"result": "none", "mark": "", "words": "not asked"}
    estimate = scales.mean(gate, test.estimate) if test.estimate is not None else words.nothing(test)
    return {"result": test.result, "mark": words.RESULT_MARKS[test.result], "words": estimate}


# agreement ---------------------------------------------------------------------------------------------------------


def _noise(found: NoiseFloor) -> dict[str, str]:
    """How often production agrees with itself, beside how often the candidate does on the same pairs."""
    fresh = found.drawn - found.repeats
    apart = "none" if not fresh else f"{words.signed(100 * (found.candidate_agree - found.agree) / fresh)} pp"
    return {
        "output": found.output,
        "cell": found.cell,
        "drawn": words.count(found.drawn),
        "repeats": words.count(found.repeats),
        "production": words.share(found.agree, fresh),
        "candidate": words.share(found.candidate_agree, fresh),
        "apart": apart,
    }


def _agreement(report: Report, output: Output) -> dict[str, Any]:
    found = next((e for e in report.description.agreements if (e.output, e.cell) == (output.name, OVERALL)), None)
    if found is None or not found.pairs:
        return {"output": output.name, "sentence": "There is no pair to compare yet.", "figure": "", "text": ""}
    same = f"Both models gave the same {output.name} on {found.agree:,} of {words.counted(found.pairs, 'pair')}"
    sentence = f"{same} ({words.share(found.agree, found.pairs)})."
    if output.name not in figures.matrices(report):
        return {
            "output": output.name,
            "sentence": f"{sentence} Its answers take too many values for a matrix.",
            "figure": "",
            "text": "",
        }
    said = "; ".join(
        f"production {words.value(a)}, candidate {words.value(b)}: {words.counted(pairs, 'pair')}"
        for a, b, pairs in found.matrix
    )
    chart = charts.agreement(report.description, output.name)
    return {"output": output.name, "sentence": sentence, "figure": figures.inline(chart), "text": f"Heat map. {said}."}


# ledger ------------------------------------------------------------------------------------------------------------


def _ledger(ledger: dict[str, int]) -> dict[str, Any]:
    """Every final state that occurred, and whether they and what is open sum to what was seen."""
    names = [state for state in (*GATEWAY_STATES, *RUNNER_STATES) if ledger.get(state)]
    seen = ledger.get("seen", 0)
    rows = [
        {
            "state": state,
            "count": words.count(ledger[state]),
            "share": words.share(ledger[state], seen),
            "meaning": words.STATES[state],
            "lost": state in LOST_STATES,
        }
        for state in names
    ]
    return {"rows": rows, "open": words.count(ledger.get("open", 0)), **words.ledger_sum(ledger)}


def _blocks(report: Report) -> list[dict[str, Any]]:
    """The shadow itself: a heading, sentences and a table each. Numbers stand in the columns `numbers`."""
    found, sticky = report.description, report.declared.fork.sticky is not None
    blocks: list[tuple[str, list[str], tuple[str, ...], range, shadow.Rows]] = [
        (
            "Sampling",
            [shadow.sampling(found.sampling, sticky=sticky)],
            shadow.SAMPLING_COLUMNS,
            range(1, 6),
            shadow.sampling_rows(found.sampling),
        ),
        ("Losses", [shadow.losses(found.losses)], shadow.LOSS_COLUMNS, range(1, 4), shadow.loss_rows(found.losses)),
        ("What it costs production", shadow.tax(report.tax), (), range(0), []),
    ]
    if report.probes:
        rows = shadow.probe_rows(report.probes)
        blocks.append(("Probes", [shadow.probes(report.probes)], shadow.PROBE_COLUMNS, range(0), rows))
    if report.identities:
        rows = shadow.model_rows(report.identities)
        blocks.append(("Models", [shadow.models(report.identities)], shadow.MODEL_COLUMNS, range(0), rows))
    keys = ("title", "sentences", "columns", "numbers", "rows")
    return [dict(zip(keys, block, strict=True)) for block in blocks]


# disagreements -----------------------------------------------------------------------------------------------------


def _disagreement(report: Report, found: Disagreement) -> dict[str, Any]:
    output = next((each for each in report.declared.outputs if each.name == found.output), None)
    return {
        "id": found.id,
        "time": words.utc(found.time_us),
        "output": found.output,
        "segments": [f"{name}={value}" for name, value in found.segments.items()],
        "production": words.value(found.production),
        "candidate": words.value(found.candidate),
        "truth": "not known" if found.truth is None else words.value(found.truth),
        "judged": _judged(output, found),
        "weight": f"{found.weight:.3g}",
        "request": found.request or "(not in the log: empty, or removed by retention)",
    }


def _judged(output: Output | None, found: Disagreement) -> str:
    """Who was right, where truth is known and nothing was cut off."""
    texts = (found.production, found.candidate, found.truth)
    if found.truth is None or output is None or any(text is not None and text.endswith(_EXCERPTED) for text in texts):
        return ""
    a, b = (_right(output, text, found.truth) for text in (found.production, found.candidate))
    if a == b:
        return "both were right" if a else "both were wrong"
    return "production was right" if a else "the candidate was right"


def _right(output: Output, text: str, truth: str) -> bool:
    if output.compare != "number":
        return text == truth
    try:
        return abs(float(text) - float(truth)) <= output.tolerance
    except ValueError:  # the arm failed
        return False
