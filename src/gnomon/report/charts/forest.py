"""The gates as a forest plot: every test's estimate and interval against its margin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from gnomon.records.plan import Gate
from gnomon.records.verdict import TestResult, Verdict
from gnomon.report import scales, words
from gnomon.report.charts.dress import (
    PALETTE,
    SHAPES,
    STEP,
    WIDTH,
    Chart,
    cell_axis,
    data,
    finished,
    labels,
    said,
    short,
)

_REASON_LENGTH: Final = 78


def forest(verdict: Verdict, gates: Sequence[Gate] = ()) -> Chart:
    """Every test's estimate and anytime interval against its margin, one panel a gate; targets last, named as soft.

    The tinted zone is worse than the margin: a test can pass when its interval ends before the zone begins. An arrow
    says that an interval goes on. `gates` (targets among them) give the panels their titles and units. A row without
    an estimate says why.
    """
    known = {gate.id: gate for gate in gates}
    panels = [
        _panel(name, known.get(name), [test for test in tests if test.gate == name])
        for tests in (verdict.tests, verdict.targets)
        for name in dict.fromkeys(test.gate for test in tests)
    ]
    return finished(alt.vconcat(*panels, spacing=26) if panels else said("no gates"))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a panel shows of its axis, in shown units; more is better."""

    low: float
    high: float

    def clip(self, end: float) -> float:
        return min(max(end, self.low), self.high)


def _panel(name: str, gate: Gate | None, tests: Sequence[TestResult]) -> Chart:
    frame = _frame(gate, tests)
    cells = labels([words.cell(test) for test in tests])
    rows = [_row(gate, test, frame, cells[words.cell(test)]) for test in tests]
    base = alt.Chart(data(rows))
    y = alt.Y("cell:N", sort=None, title=None, axis=cell_axis())
    scale, axis = alt.Scale(domain=[frame.low, frame.high], nice=False), _mean_axis(gate)

    def x(field: str) -> Chart:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    colour = alt.Color("colour:N", scale=None)
    middle = base.transform_filter("isValid(datum.estimate)")
    bounded = base.transform_filter("datum.bounded")
    equal = -1 if scales.ratio(gate) is not None else 0
    layers = [
        middle.mark_bar(color=PALETTE["fail"], opacity=0.11, height={"band": 1.0}).encode(
            y=y, x=x("zone"), x2="margin:Q"
        ),
        alt.Chart(data([{"equal": equal}])).mark_rule(color=PALETTE["muted"], strokeDash=[2, 3]).encode(x=x("equal")),
        base.transform_filter("datum.why == ''")
        .mark_tick(color=PALETTE["fail"], thickness=1.5, height={"band": 1.0})
        .encode(y=y, x=x("margin")),
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
        base.mark_text(align="left").encode(y=y, x=alt.value(WIDTH + 12), text="words:N", color=colour),
        base.transform_filter("datum.why != ''")
        .mark_text(align="left", color=PALETTE["muted"], fontStyle="italic", fontSize=11, limit=WIDTH - 12)
        .encode(y=y, x=alt.value(6), text="why:N"),
        alt.Chart(data([{"margin": rows[0]["margin"], "words": scales.line(gate, list(tests))}]))
        .mark_text(color=PALETTE["fail"], fontSize=11)
        .encode(x=x("margin"), y=alt.value(-7), text="words:N"),
    ]
    soft = "  ·  target, soft: it blocks nothing" if all(test.soft for test in tests) else ""
    title = alt.TitleParams(f"{words.clean(name)}{soft}", anchor="start", fontSize=13, offset=12)
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(STEP), title=title)


def _row(gate: Gate | None, test: TestResult, frame: _Frame, label: str) -> dict[str, Any]:
    lower, upper = _ends(gate, test)
    why = words.unestimated(test) if test.estimate is None else ""
    return {
        "cell": label,
        "estimate": None if test.estimate is None else frame.clip(_shown(gate, test.estimate)),
        "bounded": _bounded(test),
        "lower": frame.clip(lower),
        "upper": frame.clip(upper),
        "lower_goes_on": _bounded(test) and lower < frame.low,
        "upper_goes_on": _bounded(test) and upper > frame.high,
        "margin": _line(gate, test),
        "zone": frame.low,
        "shape": SHAPES[test.result],
        "colour": PALETTE[test.result],
        "words": f"{test.result}: {_figure(gate, test)}",
        "why": why if len(why) <= _REASON_LENGTH else f"{why[: _REASON_LENGTH - 1]}…",
    }


def _bounded(test: TestResult) -> bool:
    return test.lower is not None or test.upper is not None


def _figure(gate: Gate | None, test: TestResult) -> str:
    if test.estimate is None:
        return words.nothing(test)
    return f"{100 * test.estimate:+.1f} pp" if gate is None else scales.mean(gate, test.estimate)


def _shown(gate: Gate | None, number: float) -> float:
    """Where a number stands on the axis: a ratio is turned round, so that right is better there too."""
    return -number if scales.ratio(gate) is not None else scales.factor(gate) * number


def _line(gate: Gate | None, test: TestResult) -> float:
    """Where the margin stands on the axis."""
    bound = scales.ratio(gate)
    return -bound if bound is not None else -scales.factor(gate) * test.margin_ppm / 1e6


def _ends(gate: Gate | None, test: TestResult) -> tuple[float, float]:
    """The interval on the axis; an end that is not there is the farthest there can be."""
    if scales.ratio(gate) is not None:
        return (
            -float("inf") if test.upper is None else -test.upper,
            0.0 if test.lower is None else -test.lower,
        )
    farthest = scales.factor(gate)
    return (
        -farthest if test.lower is None else farthest * test.lower,
        farthest if test.upper is None else farthest * test.upper,
    )


def _frame(gate: Gate | None, tests: Sequence[TestResult]) -> _Frame:
    """Wide enough for the margins and the estimates, and for the intervals as long as these stay readable."""
    if scales.ratio(gate) is not None:
        return _ratios(gate, tests)
    unit = scales.factor(gate) / 100
    margins = [-_line(gate, test) for test in tests]
    estimates = [_shown(gate, test.estimate) for test in tests if test.estimate is not None]
    reach = max(4 * max(margins), 2 * max(map(abs, estimates), default=0.0), unit)
    ends = [_ends(gate, test) for test in tests if test.estimate is not None] or [(-reach, reach)]
    low = min(max(-reach, min(low for low, _ in ends)), -1.6 * max(margins), *estimates)
    high = max(min(reach, max(high for _, high in ends)), 0.0, *estimates)
    if gate is not None and scales.one_armed(gate):
        high = 0.0  # a share of bad outcomes ends there
    room = 0.04 * (high - low)
    return _Frame(low - room, high + room)


def _ratios(gate: Gate | None, tests: Sequence[TestResult]) -> _Frame:
    """The same for ratios: from well over the bound to under 1."""
    bound = scales.ratio(gate) or 1.0
    estimates = [-test.estimate for test in tests if test.estimate is not None]
    ends = [_ends(gate, test) for test in tests if _bounded(test)] or [(-bound, -1.0)]
    low = min(max(-2.5 * bound, min(low for low, _ in ends)), -1.15 * bound, *estimates)
    high = max(min(-0.4, max(high for _, high in ends)), -0.85, *estimates)
    room = 0.04 * (high - low)
    return _Frame(low - room, high + room)


def _mean_axis(gate: Gate | None) -> Chart:
    title = "mean difference, percentage points" if gate is None else scales.axis(gate)
    size = "format(abs(datum.value), '~g')"
    unit = " x" if scales.ratio(gate) is not None else " %" if gate is not None and scales.one_armed(gate) else ""
    signed = f"(datum.value > 0 ? '+' : datum.value < 0 ? '−' : '') + {size}"
    return alt.Axis(
        title=short_title(f"← worse  ·  {title}  ·  better →"),
        labelExpr=f"{size} + '{unit}'" if unit else signed,
        tickCount=6,
        grid=True,
    )


def short_title(text: str) -> str:
    """An axis's title: an output's name in it may be long."""
    return text if len(text) <= 110 else f"{short(text[:60])} … {text[-45:]}"
