"""Charts as Altair objects: they show in a notebook, save as SVG or PNG, and stand inline in the HTML report.

Right is better for the candidate, everywhere. No fact is in a colour alone: results have a shape and a word, arms a
shape, cells of a matrix their count. Texts that come from models and users are data of the chart and never markup.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import altair as alt
import vl_convert

from gnomon.records.evidence import Description, LatencySummary
from gnomon.records.plan import Gate
from gnomon.records.verdict import TestResult, Verdict
from gnomon.report import words

Chart = Any  # altair's chart classes carry no usable static types

PALETTE: Final = {
    "ink": "#1b2431",
    "muted": "#566272",
    "line": "#cfd6de",
    "pass": "#17754a",
    "fail": "#b42a20",
    "inconclusive": "#8a5b05",
    "production": "#5a4a8c",
    "candidate": "#0b67a8",
    "paper": "#ffffff",
}
"""Also the names of the page's CSS variables (`--ink`, ...), so that a chart follows light, dark and print."""

_SHAPES: Final = {"pass": "circle", "fail": "cross", "inconclusive": "diamond"}
_WIDTH: Final = 500
_LABELS: Final = 170
_STEP: Final = 27
_QUANTILES: Final = ("p50", "p90", "p99")
_LABEL_LENGTH: Final = 22
_PADDING: Final = {"left": 4, "right": 36, "top": 4, "bottom": 4}
"""On the right there is room for a browser's font that is wider than the one that was measured."""


# the gates ---------------------------------------------------------------------------------------------------------


def forest(verdict: Verdict, gates: Sequence[Gate] = ()) -> Chart:
    """Every test's estimate and anytime interval against its margin, one panel a gate.

    The tinted zone is worse than the margin: a test can pass when its interval ends before the zone begins. An arrow
    says that an interval goes on. `gates` give the panels their titles and units.
    """
    known = {gate.id: gate for gate in gates}
    names = list(dict.fromkeys(test.gate for test in verdict.tests))
    panels = [_panel(name, known.get(name), [t for t in verdict.tests if t.gate == name]) for name in names]
    return _finished(alt.vconcat(*panels, spacing=26) if panels else _said("no gates"))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a panel shows of its axis, in percentage points."""

    low: float
    high: float

    def clip(self, end: float) -> float:
        return min(max(end, self.low), self.high)


def _panel(name: str, gate: Gate | None, tests: Sequence[TestResult]) -> Chart:
    frame = _frame(gate, tests)
    rows = [_row(gate, test, frame) for test in tests]
    base = alt.Chart(_data(rows))
    y = alt.Y("cell:N", sort=None, title=None, axis=_cell_axis())
    scale, axis = alt.Scale(domain=[frame.low, frame.high], nice=False), _mean_axis(gate)

    def x(field: str) -> Chart:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    colour = alt.Color("colour:N", scale=None)
    middle = base.transform_filter("isValid(datum.estimate)")
    bounded = base.transform_filter("datum.bounded")
    layers = [
        middle.mark_bar(color=PALETTE["fail"], opacity=0.11, height={"band": 1.0}).encode(
            y=y, x=x("zone"), x2="margin:Q"
        ),
        alt.Chart(_data([{"zero": 0}])).mark_rule(color=PALETTE["muted"], strokeDash=[2, 3]).encode(x=x("zero")),
        base.mark_tick(color=PALETTE["fail"], thickness=1.5, height={"band": 1.0}).encode(y=y, x=x("margin")),
        bounded.mark_rule(strokeWidth=2.2).encode(y=y, x=x("lower"), x2="upper:Q", color=colour),
        *(
            base.transform_filter(f"datum.{end}_goes_on")
            .mark_point(shape=f"triangle-{side}", filled=True, size=60, opacity=1)
            .encode(y=y, x=x(end), color=colour)
            for end, side in (("lower", "left"), ("upper", "right"))
        ),
        middle.mark_point(filled=True, size=105, opacity=1).encode(
            y=y, x=x("estimate"), color=colour, shape=alt.Shape("shape:N", scale=None)
        ),
        base.mark_text(align="left").encode(y=y, x=alt.value(_WIDTH + 12), text="words:N", color=colour),
        alt.Chart(_data([{"margin": rows[0]["margin"], "words": _margin(gate, tests)}]))
        .mark_text(color=PALETTE["fail"], fontSize=11)
        .encode(x=x("margin"), y=alt.value(-7), text="words:N"),
    ]
    title = alt.TitleParams(words.clean(name), anchor="start", fontSize=13, offset=12)
    return alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(_STEP), title=title)


def _row(gate: Gate | None, test: TestResult, frame: _Frame) -> dict[str, Any]:
    lower, upper = _ends(test)
    return {
        "cell": _short(_cell(test)),
        "estimate": None if test.estimate is None else frame.clip(100 * test.estimate),
        "bounded": test.lower is not None or test.upper is not None,
        "lower": frame.clip(lower),
        "upper": frame.clip(upper),
        "lower_goes_on": test.upper is not None and lower < frame.low,
        "upper_goes_on": test.lower is not None and upper > frame.high,
        "margin": -test.margin_ppm / 10_000,
        "zone": frame.low,
        "shape": _SHAPES[test.result],
        "colour": PALETTE[test.result],
        "words": f"{test.result}: {_figure(gate, test)}",
    }


def _figure(gate: Gate | None, test: TestResult) -> str:
    if test.estimate is None:
        return words.nothing(test)
    return f"{100 * test.estimate:+.1f} pp" if gate is None else words.mean(gate, test.estimate)


def _margin(gate: Gate | None, tests: Sequence[TestResult]) -> str:
    """What stands over the line, unless each row has its own."""
    if gate is None or len({test.margin_ppm for test in tests}) > 1:
        return "margin"
    size = f"{tests[0].margin_ppm / 10_000:g}"
    return f"at most {size} %" if words.one_armed(gate) else f"margin −{size} pp" if tests[0].margin_ppm else "margin 0"


def _ends(test: TestResult) -> tuple[float, float]:
    """The interval in percentage points; an end that is not there is the farthest there can be."""
    return (
        -100.0 if test.lower is None else 100 * test.lower,
        100.0 if test.upper is None else 100 * test.upper,
    )


def _frame(gate: Gate | None, tests: Sequence[TestResult]) -> _Frame:
    """Wide enough for the margins and the estimates, and for the intervals as long as these stay readable."""
    margins = [test.margin_ppm / 10_000 for test in tests]
    estimates = [100 * test.estimate for test in tests if test.estimate is not None]
    reach = max(4 * max(margins), 2 * max(map(abs, estimates), default=0.0), 1.0)
    ends = [_ends(test) for test in tests if test.estimate is not None] or [(-reach, reach)]
    low = min(max(-reach, min(low for low, _ in ends)), -1.6 * max(margins), *estimates)
    high = max(min(reach, max(high for _, high in ends)), 0.0, *estimates)
    if gate is not None and words.one_armed(gate):
        high = 0.0  # a share of bad outcomes ends there
    room = 0.04 * (high - low)
    return _Frame(low - room, high + room)


def _cell(test: TestResult) -> str:
    return test.segment if not test.value else f"{test.segment}={test.value}"


def _cell_axis() -> Chart:
    return alt.Axis(
        labelLimit=_LABELS - 10, minExtent=_LABELS, maxExtent=_LABELS, domain=False, ticks=False, labelPadding=10
    )


def _mean_axis(gate: Gate | None) -> Chart:
    title = "mean difference, percentage points" if gate is None else words.axis(gate)
    size = "format(abs(datum.value), '~g')"
    share = gate is not None and words.one_armed(gate)
    signed = f"(datum.value > 0 ? '+' : datum.value < 0 ? '−' : '') + {size}"
    return alt.Axis(
        title=f"← worse  ·  {title}  ·  better →",
        labelExpr=f"{size} + ' %'" if share else signed,
        tickCount=6,
        grid=True,
    )


# latency -----------------------------------------------------------------------------------------------------------


def latency(description: Description, limit_us: int | None = None) -> Chart:
    """Quantiles of both arms' latency on a logarithmic axis, with a gate's limit if one is given."""
    if not any(arm.calls for arm in description.latency):
        return _finished(_said("no calls yet"))
    rows = [row for arm in description.latency for row in _latency_rows(arm)]
    limits = [] if limit_us is None else [limit_us / 1e3]
    shown = [row["ms"] for row in rows if row["ms"] is not None] + limits
    low, high = min(shown, default=1.0) / 1.5, max(shown, default=1.0) * 2.5
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(title="milliseconds, logarithmic (less is better)", format="~g", tickCount=6)

    def x(field: str) -> Chart:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    base = alt.Chart(_data([row | {"low": low} for row in rows])).encode(
        y=alt.Y("quantile:N", sort=list(_QUANTILES), title=None, axis=alt.Axis(domain=False, ticks=False)),
        yOffset=alt.YOffset("arm:N", sort=["production", "candidate"]),
        color=alt.Color("colour:N", scale=None),
    )
    known, unknown = base.transform_filter("isValid(datum.ms)"), base.transform_filter("!isValid(datum.ms)")
    layers = [
        known.mark_rule(opacity=0.55).encode(x=x("low"), x2="ms:Q"),
        known.mark_point(filled=True, size=85, opacity=1).encode(x=x("ms"), shape=alt.Shape("shape:N", scale=None)),
        known.mark_text(align="left", dx=9).encode(x=x("ms"), text="words:N"),
        unknown.mark_text(align="left", dx=6).encode(x=alt.value(0), text="words:N"),
        alt.Chart(_data([{"limit": limit} for limit in limits]))
        .mark_rule(color=PALETTE["fail"], strokeWidth=1.5, strokeDash=[5, 3])
        .encode(x=x("limit")),
        alt.Chart(_data([{"limit": limit, "words": "limit"} for limit in limits]))
        .mark_text(color=PALETTE["fail"], dy=-8)
        .encode(x=x("limit"), y=alt.value(0), text="words:N"),
    ]
    # An empty layer would take its scale from nothing.
    drawn = layers if limits else layers[:4]
    return _finished(alt.layer(*drawn).properties(width=_WIDTH, height=alt.Step(20, **{"for": "offset"})))


def _latency_rows(arm: LatencySummary) -> list[dict[str, Any]]:
    shape = "square" if arm.arm == "production" else "circle"
    common = {"arm": arm.arm, "colour": PALETTE[arm.arm], "shape": shape}
    values = (arm.p50_us, arm.p90_us, arm.p99_us)
    return [
        common
        | {
            "quantile": name,
            "ms": None if us is None else max(us, 1) / 1e3,
            "words": f"{arm.arm}: {words.latency(us) if arm.calls else words.NO_DATA}",
        }
        for name, us in zip(_QUANTILES, values, strict=True)
    ]


# agreement ---------------------------------------------------------------------------------------------------------


def agreement(description: Description, output: str, cell: str = "overall") -> Chart:
    """Heat map of what production said (rows) against what the candidate said (columns), in pairs.

    Raises KeyError for an output or cell that was not described.
    """
    found = next((each for each in description.agreements if (each.output, each.cell) == (output, cell)), None)
    if found is None:
        raise KeyError(f"no agreement of output {output!r} in {cell!r}")
    if not found.pairs:
        return _finished(_said("no pairs yet"))
    counts = {(row, column): pairs for row, column, pairs in found.matrix}
    names = list(dict.fromkeys([*(row for row, _, _ in found.matrix), *(column for _, column, _ in found.matrix)]))
    names.sort(key=lambda name: {"other": 1, "failed": 2}.get(name, 0))  # stable: these two stand last
    largest = {
        same: max([n for (a, b), n in counts.items() if _same(a, b) == same], default=1) for same in (True, False)
    }
    labels = _labels(names)
    rows = [
        {
            "production": labels[a],
            "candidate": labels[b],
            "pairs": words.count(counts[a, b]) if (a, b) in counts else "",
            "colour": PALETTE["pass" if _same(a, b) else "fail"],
            "weight": 0.08 + 0.42 * (counts[a, b] / largest[_same(a, b)]) ** 0.5 if (a, b) in counts else 0.0,
        }
        for a in _said_by(found.matrix, 0, names)
        for b in _said_by(found.matrix, 1, names)
    ]
    order = [labels[name] for name in names]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X(
            "candidate:N",
            sort=order,
            title="candidate",
            axis=alt.Axis(
                orient="top", labelAngle=-35 if max(map(len, order)) > 8 else 0, labelLimit=150, domain=False
            ),
        ),
        y=alt.Y(
            "production:N", sort=order, title="production", axis=alt.Axis(labelLimit=150, domain=False, titlePadding=22)
        ),
    )
    tiles = base.mark_rect(stroke=PALETTE["line"], strokeWidth=1).encode(
        color=alt.Color("colour:N", scale=None), opacity=alt.Opacity("weight:Q", scale=None)
    )
    outline = base.mark_rect(fillOpacity=0, stroke=PALETTE["line"], strokeWidth=1)
    text = base.mark_text(color=PALETTE["ink"], fontSize=12).encode(text="pairs:N")
    return _finished(alt.layer(tiles, outline, text).properties(width=alt.Step(72), height=alt.Step(42)))


def _said_by(matrix: Sequence[tuple[str, str, int]], arm: int, names: Sequence[str]) -> list[str]:
    """Every value, and of what was folded or failed only what the arm has: the diagonal stays a diagonal."""
    return [name for name in names if name not in {"other", "failed"} or any(row[arm] == name for row in matrix)]


def _same(production: str, candidate: str) -> bool:
    """Whether a tile is surely agreement: what was folded or failed is not."""
    return production == candidate and production not in {"other", "failed"}


def _labels(names: Sequence[str]) -> dict[str, str]:
    """A short and still different label for each value."""
    labels: dict[str, str] = {}
    for name in names:
        label = _short(words.value(name))
        labels[name] = label if label not in labels.values() else f"{label} ({len(labels) + 1})"
    return labels


# drawing -----------------------------------------------------------------------------------------------------------


def svg(chart: Chart) -> str:
    """The chart as a standalone SVG document, drawn without any network."""
    drawn: str = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_VEGA_LITE, allowed_base_urls=[])
    return drawn


def inline(chart: Chart) -> str:
    """The chart as an SVG element whose colours are the page's CSS variables."""
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg(chart), count=2)
    for name, colour in PALETTE.items():
        drawn = drawn.replace(f'"{colour}"', '"none"' if name == "paper" else f'"var(--{name})"')
    return drawn


def png(chart: Chart, scale: float = 2.0) -> bytes:
    """The chart as a PNG image."""
    drawn: bytes = vl_convert.vegalite_to_png(chart.to_dict(), vl_version=_VEGA_LITE, scale=scale, allowed_base_urls=[])
    return drawn


def save(chart: Chart, path: Path) -> None:
    """Write the chart to `path`, as its suffix says: `.svg` or `.png`. Raises ValueError for another one."""
    if path.suffix not in {".svg", ".png"}:
        raise ValueError(f"{path}: a chart is saved as .svg or .png")
    path.write_bytes(png(chart) if path.suffix == ".png" else svg(chart).encode())


_VEGA_LITE: Final = "_".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _finished(chart: Chart) -> Chart:
    """The chart in the house's dress."""
    text = {"labelColor": PALETTE["ink"], "titleColor": PALETTE["muted"], "labelFontSize": 12, "titleFontSize": 12}
    lines = {"domainColor": PALETTE["line"], "gridColor": PALETTE["line"], "tickColor": PALETTE["line"]}
    return (
        chart.configure(font="system-ui, sans-serif", background=PALETTE["paper"], aria=False, padding=_PADDING)
        .configure_axis(**text, **lines, gridOpacity=0.6, titleFontWeight="normal", titlePadding=8)
        .configure_title(color=PALETTE["ink"])
        .configure_view(stroke=None)
        .configure_text(fontSize=12)
    )


def _data(rows: Sequence[dict[str, Any]]) -> Chart:
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]  # altair's generated classes are not typed


def _said(sentence: str) -> Chart:
    """A chart that has nothing to draw and says so."""
    data = _data([{"sentence": sentence}])
    mark = alt.Chart(data).mark_text(color=PALETTE["muted"], fontStyle="italic", fontSize=13)
    return mark.encode(text="sentence:N").properties(width=_WIDTH, height=40)


def _short(text: str) -> str:
    cleaned = words.clean(text)
    return cleaned if len(cleaned) <= _LABEL_LENGTH else cleaned[: _LABEL_LENGTH - 1] + "…"
