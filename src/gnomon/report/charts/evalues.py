"""e-values over time: one line a test, from the looks that were kept."""

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from gnomon.report import words
from gnomon.report.charts.dress import PALETTE, SHAPES, WIDTH, Chart, data, finished, labels, said
from gnomon.report.history import History, Track

_HEIGHT: Final = 220
_LINE: Final = 15
"""Pixels between two labels."""

_NAME: Final = 40
"""Characters of a test's name."""

_SMALLEST: Final = 1e-4
_LARGEST: Final = 1e8
"""e-values beyond are drawn at the edge."""

_TITLES: Final = {
    "promote": "Evidence to promote: against “worse than the margin”",
    "reject": "Evidence to reject: against “inside the margin”",
}
_HOUR_US: Final = 3_600_000_000


def e_values(found: History) -> Chart:
    """Evidence for promotion above, for rejection below, on logarithmic axes with their thresholds drawn.

    A line ends in the mark of its result. Where there are more tests than there is room for names, those that do not
    pass are named first.
    """
    if not found.looks or not found.tracks:
        return finished(said("no look was kept yet"))
    return finished(alt.vconcat(_panel(found, "promote"), _panel(found, "reject"), spacing=22))


def _panel(found: History, which: str) -> Chart:
    tracks = [track for track in found.tracks if which == "promote" or not track.soft]
    names = labels([name(track) for track in tracks], length=_NAME)
    series = {names[name(track)]: _series(track, which) for track in tracks}
    thresholds = sorted({round(track.promote_at if which == "promote" else track.reject_at, 6) for track in tracks})
    values = [e for each in series.values() for e in each if e is not None]
    low = min([0.5, *values])
    high = max([2 * max(thresholds, default=20.0), *values])
    times = [look.as_of_us / 1e3 for look in found.looks]
    room = max((times[-1] - times[0]) * 0.02, 0.5 * _HOUR_US / 1e3 if times[0] == times[-1] else 0.0)
    scale = alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False)
    axis = alt.Axis(title="e-value, logarithmic", format="~g", values=_ticks(low / 1.3, high * 1.3))

    def y(field: str) -> Chart:
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)

    x = alt.X(
        "time:T",
        scale=alt.Scale(type="utc", domain=[times[0] - room, times[-1] + room], nice=False),
        axis=alt.Axis(title="time of the look (UTC)", tickCount=5, format=_clock(times), labelOverlap=True, grid=False),
    )
    rows = [
        {"time": time, "e": e, "test": names[name(track)], "colour": PALETTE[track.result]}
        for track in tracks
        for time, e in zip(times, series[names[name(track)]], strict=True)
        if e is not None
    ]
    ends = _ends(which, tracks, names, series, (low / 1.3, high * 1.3))
    unnamed = sum(not end["words"] for end in ends)
    colour = alt.Color("colour:N", scale=None)
    layers = [
        alt.Chart(data([{"at": at} for at in thresholds]))
        .mark_rule(color=PALETTE["pass" if which == "promote" else "fail"], strokeWidth=1.5, strokeDash=[6, 3])
        .encode(y=y("at")),
        alt.Chart(data([{"at": at, "words": f"threshold {words.e_value(at)}"} for at in thresholds]))
        .mark_text(align="left", dy=-7, fontSize=11, color=PALETTE["pass" if which == "promote" else "fail"])
        .encode(y=y("at"), x=alt.value(4), text="words:N"),
        alt.Chart(data([{"at": 1}])).mark_rule(color=PALETTE["muted"], strokeDash=[2, 3]).encode(y=y("at")),
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.6, opacity=0.8, point={"size": 14, "filled": True})
        .encode(x=x, y=y("e"), detail="test:N", color=colour),
        alt.Chart(data(ends))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x=alt.value(WIDTH + 8), y=y("e"), color=colour, shape=alt.Shape("shape:N", scale=None)),
        alt.Chart(data([end for end in ends if end["words"]]))
        .mark_text(align="left", fontSize=11)
        .encode(x=alt.value(WIDTH + 18), y=y("label"), text="words:N", color=colour),
    ]
    if unnamed:
        rest = alt.Chart(data([{"words": f"and {unnamed} more without a name here"}]))
        note = rest.mark_text(align="left", fontSize=11, color=PALETTE["muted"], fontStyle="italic")
        layers.append(note.encode(x=alt.value(WIDTH + 18), y=alt.value(_HEIGHT + 16), text="words:N"))
    title = alt.TitleParams(_TITLES[which], anchor="start", fontSize=13, offset=10)
    return alt.layer(*(layers if values else layers[:3])).properties(width=WIDTH, height=_HEIGHT, title=title)


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten, at most about nine of them, and steps between where these would be few."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, -(-(last - first) // 8))
    powers = [10.0**power for power in range(first, last + 1, step)]
    if len(powers) > 2:
        return powers
    between = [times * 10.0**power for power in range(first - 1, last + 1) for times in (1, 2, 5)]
    return [each for each in between if low <= each <= high]


def _clock(times: Sequence[float]) -> str:
    """How a time is written: with hours where the looks lie within some days, with seconds within some minutes."""
    hours = (times[-1] - times[0]) / (_HOUR_US / 1e3)
    if hours > 5 * 24:
        return "%b %d"
    return "%b %d %H:%M" if hours > 0.25 else "%H:%M:%S"


def name(track: Track) -> str:
    """The test, as it is named beside its line."""
    return f"{track.gate} {words.cell(track)}"


def _series(track: Track, which: str) -> list[float | None]:
    found = track.e_promote if which == "promote" else track.e_reject
    return [None if e is None else min(max(e, _SMALLEST), _LARGEST) for e in found]


def _ends(
    which: str,
    tracks: Sequence[Track],
    names: dict[str, str],
    series: dict[str, list[float | None]],
    domain: tuple[float, float],
) -> list[dict[str, Any]]:
    """Each line's last point, and its name at a height where it covers no other one; some may have no room."""
    low, high = domain
    marks: list[dict[str, Any]] = []
    for track in tracks:
        label = names[name(track)]
        last = next((e for e in reversed(series[label]) if e is not None), None)
        if last is not None:
            marks.append(
                {"e": last, "words": label, "colour": PALETTE[track.result], "shape": SHAPES[track.result]}
                | {
                    "first": which == "promote" and track.result == "pass",
                    "order": last if which == "promote" else -last,
                }
            )
    per_pixel = math.log(high / low) / _HEIGHT
    most = _HEIGHT // _LINE
    named = sorted(marks, key=lambda mark: (mark["first"], mark["order"]))[:most]
    _spread(sorted(named, key=lambda mark: float(mark["e"])), low, per_pixel)
    for mark in marks:
        placed = mark.pop("height", None)
        del mark["first"], mark["order"]
        mark["label"] = mark["e"] if placed is None else low * math.exp(placed * per_pixel)
        mark["words"] = mark["words"] if placed is not None else ""
    return marks


def _spread(marks: Sequence[dict[str, Any]], low: float, per_pixel: float) -> None:
    """Give each name a height near its point, a line apart: those that crowd stand around their middle."""
    crowds: list[tuple[list[dict[str, Any]], float]] = []  # the names, and the height of the lowest one
    for mark in marks:
        mark["wanted"] = math.log(mark["e"] / low) / per_pixel
        crowds.append(([mark], mark["wanted"]))
        while len(crowds) > 1 and crowds[-2][1] + len(crowds[-2][0]) * _LINE > crowds[-1][1]:
            (below, _), (above, _) = crowds[-2:]
            both = [*below, *above]
            middle = sum(each["wanted"] for each in both) / len(both)
            lowest = middle - (len(both) - 1) * _LINE / 2
            crowds[-2:] = [(both, max(0.0, min(lowest, _HEIGHT - len(both) * _LINE)))]
    for crowd, lowest in crowds:
        for place, mark in enumerate(crowd):
            mark["height"] = lowest + place * _LINE
            mark.pop("wanted")
