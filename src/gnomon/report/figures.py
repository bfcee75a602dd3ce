"""The report's charts by name: what the page shows, a notebook asks for, and `--charts` writes."""

import re
from pathlib import Path

from markupsafe import Markup

from gnomon.records.plan import OVERALL
from gnomon.report import charts, scales
from gnomon.report.charts import Chart
from gnomon.report.record import Report


def figures(report: Report) -> dict[str, Chart]:
    """Every chart, in the order of the page."""
    return {
        "forest": forest(report),
        "progress": charts.progress(report.progress),
        "e_values": charts.e_values(report.history),
        **{f"agreement-{output}": charts.agreement(report.description, output) for output in matrices(report)},
        "latency": latency(report),
        "ledger": charts.ledger(report.verdict.ledger),
    }


def forest(report: Report) -> Chart:
    """The gates, then the targets."""
    return charts.forest(report.verdict, report.declared.judged)


def latency(report: Report) -> Chart:
    """Both arms, with the strictest absolute limit and every ratio that is declared."""
    limits = [gate.limit_us for gate in report.declared.gates if gate.limit_us is not None]
    return charts.latency(report.description, min(limits, default=None), _bounds(report))


def inline(chart: Chart) -> Markup:
    """A chart as markup of the page."""
    return Markup(charts.inline(chart))  # noqa: S704  SVG drawn from data: every text in it is escaped by its writer


def _bounds(report: Report) -> list[tuple[str, float, int]]:
    """Of each ratio of quantiles: where it stands, by production's quantile as the test has it."""
    gates = {gate.id: gate for gate in report.declared.gates}
    found = []
    for test in report.verdict.tests:
        gate = gates.get(test.gate)
        bound = scales.ratio(gate)
        if bound is None or gate is None or gate.quantile_ppm is None or test.segment != OVERALL:
            continue
        if test.production is not None:
            found.append((f"p{gate.quantile_ppm / 10_000:g}", bound, round(bound * test.production)))
    return found


def matrices(report: Report) -> list[str]:
    """Outputs whose answers take few enough values for a matrix."""
    return [
        each.output
        for each in report.description.agreements
        if each.cell == OVERALL
        and each.pairs
        and any(value not in {"other", "failed"} for row in each.matrix for value in row[:2])
    ]


def save(report: Report, folder: Path) -> list[Path]:
    """Write every chart as SVG and as PNG into a folder, which is made if need be; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chart in figures(report).items():
        for suffix in ("svg", "png"):
            path = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.{suffix}"
            charts.save(chart, path)
            written.append(path)
    return written
