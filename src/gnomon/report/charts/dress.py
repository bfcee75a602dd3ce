"""The house's dress: colours, sizes, and how a chart becomes SVG or PNG."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import altair as alt
import vl_convert

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

SHAPES: Final = {"pass": "circle", "fail": "cross", "inconclusive": "diamond"}
WIDTH: Final = 500
LABELS: Final = 204
STEP: Final = 27
LABEL_LENGTH: Final = 24
_PADDING: Final = {"left": 4, "right": 36, "top": 4, "bottom": 4}
"""On the right there is room for a browser's font that is wider than the one that was measured."""

_VEGA_LITE: Final = "_".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def svg(chart: Chart) -> str:
    """The chart as a standalone SVG document, drawn without any network."""
    drawn: str = vl_convert.vegalite_to_svg(_spec(chart), vl_version=_VEGA_LITE, allowed_base_urls=[])
    return drawn


def inline(chart: Chart) -> str:
    """The chart as an SVG element whose colours are the page's CSS variables."""
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg(chart), count=2)
    for name, colour in PALETTE.items():
        drawn = drawn.replace(f'"{colour}"', '"none"' if name == "paper" else f'"var(--{name})"')
    return drawn


def png(chart: Chart, scale: float = 2.0) -> bytes:
    """The chart as a PNG image."""
    drawn: bytes = vl_convert.vegalite_to_png(_spec(chart), vl_version=_VEGA_LITE, scale=scale, allowed_base_urls=[])
    return drawn


def _spec(chart: Chart) -> dict[str, Any]:
    """The chart's specification, unchecked: tests show that it is valid, and a report need not take a second for it."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


def save(chart: Chart, path: Path) -> None:
    """Write the chart to `path`, as its suffix says: `.svg` or `.png`. Raises ValueError for another one."""
    if path.suffix not in {".svg", ".png"}:
        raise ValueError(f"{path}: a chart is saved as .svg or .png")
    path.write_bytes(png(chart) if path.suffix == ".png" else svg(chart).encode())


def finished(chart: Chart) -> Chart:
    """The chart in the house's dress."""
    text = {"labelColor": PALETTE["ink"], "titleColor": PALETTE["muted"], "labelFontSize": 12, "titleFontSize": 12}
    lines = {"domainColor": PALETTE["line"], "gridColor": PALETTE["line"], "tickColor": PALETTE["line"]}
    chart.config = {  # set, not configured: each call of that kind copies every layer
        "font": "system-ui, sans-serif",
        "background": PALETTE["paper"],
        "aria": False,
        "padding": _PADDING,
        "axis": {**text, **lines, "gridOpacity": 0.6, "titleFontWeight": "normal", "titlePadding": 8},
        "title": {"color": PALETTE["ink"]},
        "view": {"stroke": None},
        "text": {"fontSize": 12},
    }
    return chart


def data(rows: Sequence[dict[str, Any]]) -> Chart:
    """Rows as a chart's inline data."""
    return alt.Data(values=tuple(rows))  # type: ignore[no-untyped-call]  # a list is copied with each layer


def said(sentence: str) -> Chart:
    """A chart that has nothing to draw and says so."""
    mark = alt.Chart(data([{"sentence": sentence}])).mark_text(
        color=PALETTE["muted"], fontStyle="italic", fontSize=13, align="left"
    )
    return mark.encode(text="sentence:N", x=alt.value(4)).properties(width=WIDTH, height=40)


def cell_axis() -> Chart:
    """The axis with the cells' names."""
    return alt.Axis(
        labelLimit=LABELS - 10, minExtent=LABELS, maxExtent=LABELS, domain=False, ticks=False, labelPadding=10
    )


def short(text: str, length: int = LABEL_LENGTH) -> str:
    """The beginning and, of what is too long, the end: cells of one segment differ there."""
    cleaned = words.clean(text)
    if len(cleaned) <= length:
        return cleaned
    end = length // 2 - 2
    return f"{cleaned[: length - end - 1]}…{cleaned[-end:]}"


def labels(names: Sequence[str], text: Callable[[str], str] = str, *, length: int = LABEL_LENGTH) -> dict[str, str]:
    """A short and still different label for each name."""
    found: dict[str, str] = {}
    for name in names:
        label = short(text(name), length)
        found[name] = label if label not in found.values() else f"{label} ({len(found) + 1})"
    return found
