"""Latency quantiles of both arms."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import altair as alt

from gnomon.records.evidence import Description, LatencySummary
from gnomon.report import words
from gnomon.report.charts.dress import PALETTE, WIDTH, Chart, data, finished, said

_QUANTILES: Final = ("p50", "p90", "p99")


def latency(
    description: Description, limit_us: int | None = None, bounds: Sequence[tuple[str, float, int]] = ()
) -> Chart:
    """Quantiles of both arms' latency on a logarithmic axis.

    `limit_us`: a gate's absolute limit. `bounds`: for ratios of quantiles the quantile (`p99`), the ratio, and where
    that is, in microseconds; one that is not drawn here is left out.
    """
    if not any(arm.calls for arm in description.latency):
        return finished(said("no calls yet"))
    rows = [row for arm in description.latency for row in _latency_rows(arm)]
    limits = [] if limit_us is None else [limit_us / 1e3]
    ticks = [
        {"quantile": name, "arm": "candidate", "bound": us / 1e3, "words": f"{times:g} x production"}
        for name, times, us in bounds
        if name in _QUANTILES
    ]
    shown = [*(row["ms"] for row in rows if row["ms"] is not None), *limits, *(tick["bound"] for tick in ticks)]
    low, high = min(shown, default=1.0) / 1.5, max(shown, default=1.0) * 2.5
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(title="milliseconds, logarithmic (less is better)", format="~g", tickCount=6)

    def x(field: str) -> Chart:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    base = alt.Chart(data([row | {"low": low} for row in rows])).encode(
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
        alt.Chart(data([{"limit": limit} for limit in limits]))
        .mark_rule(color=PALETTE["fail"], strokeWidth=1.5, strokeDash=[5, 3])
        .encode(x=x("limit")),
        alt.Chart(data([{"limit": limit, "words": "limit"} for limit in limits]))
        .mark_text(color=PALETTE["fail"], dy=-8)
        .encode(x=x("limit"), y=alt.value(0), text="words:N"),
    ]
    # An empty layer would take its scale from nothing.
    drawn = layers if limits else layers[:4]
    if ticks:
        drawn = [*drawn, *_ticks(ticks, x)]
    return finished(alt.layer(*drawn).properties(width=WIDTH, height=alt.Step(22, **{"for": "offset"})))


def _ticks(ticks: Sequence[dict[str, Any]], x: Callable[[str], Chart]) -> list[Chart]:
    """Where the candidate's quantile must be below."""
    base = alt.Chart(data(ticks)).encode(
        y=alt.Y("quantile:N", sort=list(_QUANTILES)), yOffset=alt.YOffset("arm:N", sort=["production", "candidate"])
    )
    return [
        base.mark_point(shape="stroke", angle=90, size=420, color=PALETTE["fail"], strokeWidth=2, opacity=1).encode(
            x=x("bound")
        ),
        base.mark_text(color=PALETTE["fail"], dy=17, fontSize=11).encode(x=x("bound"), text="words:N"),
    ]


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
