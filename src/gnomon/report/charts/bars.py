"""Bars: how far each test is, and where every request ended."""

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from gnomon.records.ledger import GATEWAY_STATES, LOST_STATES, RUNNER_STATES
from gnomon.report import words
from gnomon.report.charts.dress import PALETTE, SHAPES, STEP, Chart, cell_axis, data, finished, labels, said
from gnomon.report.progress import Progress

_TRACK: Final = 320
"""Width of a progress bar: what it says stands beside it."""


# progress ----------------------------------------------------------------------------------------------------------


def progress(found: Sequence[Progress]) -> Chart:
    """Each test's sample (bar: units of those needed) and evidence (mark: log e of its threshold), with a date.

    The date is an estimate from the rate of settled units and the growth of the e-value so far.
    """
    names = list(dict.fromkeys((each.gate, each.soft) for each in found))
    panels = [
        _panel(
            name, [each for each in found if (each.gate, each.soft) == (name, soft)], soft=soft, foot=at == len(names)
        )
        for at, (name, soft) in enumerate(names, 1)
    ]
    return finished(alt.vconcat(*panels, spacing=14) if panels else said("no gates"))


def _panel(name: str, found: Sequence[Progress], *, soft: bool, foot: bool) -> Chart:
    """One gate's tests; the scale's numbers stand at the foot of the last panel."""
    cells = labels([words.cell(each) for each in found])
    rows = [_row(each, cells[words.cell(each)]) for each in found]
    base = alt.Chart(data(rows))
    y = alt.Y("cell:N", sort=None, title=None, axis=cell_axis())
    title = "of what is needed (bar: sample, mark: evidence)" if foot else None
    quarters = [0, 0.25, 0.5, 0.75, 1]
    axis = alt.Axis(format=".0%", values=quarters, title=title, labels=foot, ticks=foot, domain=foot)

    def x(field: str) -> Chart:
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, 1.02], nice=False), axis=axis)

    colour = alt.Color("colour:N", scale=None)
    layers = [
        base.mark_bar(height=9, color=PALETTE["line"]).encode(y=y, x=x("whole")),
        base.mark_bar(height=9, opacity=0.55).encode(y=y, x=x("sample"), color=colour),
        base.transform_filter("isValid(datum.evidence)")
        .mark_point(filled=True, size=95, opacity=1, stroke=PALETTE["paper"], strokeWidth=1)
        .encode(y=y, x=x("evidence"), color=colour, shape=alt.Shape("shape:N", scale=None)),
        base.mark_text(align="left", color=PALETTE["ink"]).encode(y=y, x=alt.value(_TRACK + 12), text="words:N"),
    ]
    said_of = f"{words.clean(name)}{'  ·  target, soft' if soft else ''}"
    header = alt.TitleParams(said_of, anchor="start", fontSize=13)
    return alt.layer(*layers).properties(width=_TRACK, height=alt.Step(STEP), title=header)


def _row(found: Progress, label: str) -> dict[str, Any]:
    return {
        "cell": label,
        "whole": 1,
        "sample": 1.0 if found.units >= found.needed and found.units else found.units / max(1, found.needed),
        "evidence": evidence(found),
        "shape": SHAPES[found.result],
        "colour": PALETTE[found.result],
        "words": words.progress(found),
    }


def evidence(found: Progress) -> float | None:
    """Log e over the log of its threshold, from 0 to 1; None: no data."""
    if not found.units:
        return None
    return min(1.0, max(0.0, math.log(max(found.e_promote, 1e-300)) / math.log(found.promote_at)))


# ledger ------------------------------------------------------------------------------------------------------------


def ledger(sums: dict[str, int]) -> Chart:
    """Requests by final state, the most frequent first, on a square-root axis: rare ones are still seen."""
    names = [state for state in (*GATEWAY_STATES, *RUNNER_STATES, "open") if sums.get(state)]
    if not names:
        return finished(said("no request yet"))
    names.sort(key=lambda state: -sums[state])
    seen = sums.get("seen", 0)
    rows = [
        {
            "state": state,
            "requests": sums[state],
            "colour": PALETTE["fail" if state in LOST_STATES else "candidate" if state == "paired" else "muted"],
            "words": f"{sums[state]:,} ({words.share(sums[state], seen)}){', lost' if state in LOST_STATES else ''}",
        }
        for state in names
    ]
    axis = alt.Axis(title="requests (square-root scale)", tickCount=4, format=",")
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("state:N", sort=names, title=None, axis=cell_axis()),
        x=alt.X("requests:Q", scale=alt.Scale(type="sqrt", domainMin=0), axis=axis),
        color=alt.Color("colour:N", scale=None),
    )
    bars = base.mark_bar(height=13, opacity=0.75)
    text = base.mark_text(align="left", dx=7).encode(text="words:N")
    return finished(alt.layer(bars, text).properties(width=_TRACK, height=alt.Step(STEP)))
