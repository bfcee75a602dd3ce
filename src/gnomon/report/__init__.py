"""Report: one verdict and what it rests on, for people (HTML, Markdown) and for programs (JSON).

Reads     Trial, Plan, Verdict, Description
Promises  the same report gives the same bytes; the HTML is one file that asks for nothing from anywhere and runs no
          script; text of models and users is shown, never obeyed; what is not known is said in words, never as 0
Add here  a chart: one function in `charts/` and its name in `figures.py`; a section: one block in
          `templates/report.html.jinja`
"""

from gnomon.report.record import Attempt, Report, build, json, report_schema, shared_alpha

__all__ = ["Attempt", "Report", "build", "html", "json", "markdown", "report_schema", "shared_alpha"]


def html(report: Report) -> str:
    """One offline page: verdict, gates as a forest plot, segments, latency, agreement, ledger, disagreements."""
    from gnomon.report.page import render

    return render(report)


def markdown(report: Report) -> str:
    """A comment for a pull request: verdict, table of gates, ledger, digest. No answer of a model is in it."""
    from gnomon.report.comment import render

    return render(report)
