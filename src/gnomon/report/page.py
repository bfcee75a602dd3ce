"""The HTML report: what the template shows, section by section. The template has the order and the markup.

Every text goes through autoescaping and `words.clean`; only the charts' SVG, drawn here from data, is markup. An
expression that comes out as None is an error: what is not known has its words.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from gnomon.records.evidence import Agreement, Disagreement
from gnomon.records.ledger import GATEWAY_STATES, LOST_STATES, RUNNER_STATES
from gnomon.records.plan import OVERALL, Gate, Output
from gnomon.records.verdict import TestResult, Verdict
from gnomon.report import charts, shadow, words
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
        remarks=[*(words.pause(each) for each in report.pauses if each.until_us is None), *_remarks(report.verdict)],
        pauses=[words.pause(each) for each in report.pauses],
        forest=_figure(charts.forest(report.verdict, report.declared.gates)),
        forest_text=_forest_text(report),
        gates=[_gate(gate, report.verdict.tests) for gate in report.declared.gates],
        thresholds=_thresholds(report.verdict),
        segments=_segments(report),
        latency=_figure(charts.latency(report.description, _limit(report))),
        agreements=[_agreement(report, output) for output in report.declared.outputs],
        ledger=_ledger(report.verdict.ledger),
        sides=shadow.sides(report.description.ledger),
        blocks=_blocks(report),
        disagreements=[_disagreement(report, each) for each in report.description.disagreements],
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


def _figure(chart: Any) -> Markup:  # noqa: ANN401  altair's chart classes carry no usable static types
    return Markup(charts.inline(chart))  # noqa: S704  SVG drawn from data: every text in it is escaped by its writer


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


def _thresholds(verdict: Verdict) -> dict[str, str]:
    """What an e-value has to reach, the same for every test."""
    if not verdict.tests:
        return {"promote": "", "reject": ""}
    first = verdict.tests[0]
    return {"promote": f"(≥ {words.e_value(first.promote_at)})", "reject": f"(≥ {words.e_value(first.reject_at)})"}


def _test(gate: Gate, test: TestResult) -> dict[str, Any]:
    known = test.estimate is not None
    return {
        "cell": _cell(test),
        "known": known,
        "result": test.result,
        "mark": words.RESULT_MARKS[test.result],
        "units": words.needed(test),
        "estimate": words.mean(gate, test.estimate) if known else words.nothing(test),
        "interval": words.interval(gate, test),
        "margin": words.margin(gate, test),
        "e_promote": words.e_value(test.e_promote) if known else "none",
        "e_reject": words.e_value(test.e_reject) if known else "none",
        "p": words.sequential_p(test.e_promote) if known else "none",
        "reason": test.reason,
    }


def _cell(test: TestResult) -> str:
    return test.segment if not test.value else f"{test.segment}={test.value}"


def _forest_text(report: Report) -> str:
    """The forest plot for those who do not see it."""
    gates = {gate.id: gate for gate in report.declared.gates}
    parts = []
    for test in report.verdict.tests:
        gate = gates[test.gate]
        if test.estimate is None:
            parts.append(f"{test.name}: {test.result}, {words.nothing(test)}")
            continue
        interval, margin = words.interval(gate, test), words.margin(gate, test)
        estimate = words.mean(gate, test.estimate)
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
    estimate = words.mean(gate, test.estimate) if test.estimate is not None else words.nothing(test)
    return {"result": test.result, "mark": words.RESULT_MARKS[test.result], "words": estimate}


# latency and agreement ---------------------------------------------------------------------------------------------


def _limit(report: Report) -> int | None:
    """The latency limit to draw: the strictest that is declared."""
    return min((gate.limit_us for gate in report.declared.gates if gate.limit_us is not None), default=None)


def _agreement(report: Report, output: Output) -> dict[str, Any]:
    found = next((e for e in report.description.agreements if (e.output, e.cell) == (output.name, OVERALL)), None)
    if found is None or not found.pairs:
        return {"output": output.name, "sentence": "There is no pair to compare yet.", "figure": "", "text": ""}
    same = f"Both models gave the same {output.name} on {found.agree:,} of {words.counted(found.pairs, 'pair')}"
    sentence = f"{same} ({words.share(found.agree, found.pairs)})."
    if not any(value not in {"other", "failed"} for row in found.matrix for value in row[:2]):
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
    return {"output": output.name, "sentence": sentence, "figure": _figure(chart), "text": f"Heat map. {said}."}


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
