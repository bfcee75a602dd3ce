"""What production said against what the candidate said."""

from collections.abc import Sequence

import altair as alt

from gnomon.records.evidence import Description
from gnomon.report import words
from gnomon.report.charts.dress import PALETTE, Chart, data, finished, labels, said


def agreement(description: Description, output: str, cell: str = "overall") -> Chart:
    """Heat map of what production said (rows) against what the candidate said (columns), in pairs.

    Raises KeyError for an output or cell that was not described.
    """
    found = next((each for each in description.agreements if (each.output, each.cell) == (output, cell)), None)
    if found is None:
        raise KeyError(f"no agreement of output {output!r} in {cell!r}")
    if not found.pairs:
        return finished(said("no pairs yet"))
    counts = {(row, column): pairs for row, column, pairs in found.matrix}
    names = list(dict.fromkeys([*(row for row, _, _ in found.matrix), *(column for _, column, _ in found.matrix)]))
    names.sort(key=lambda name: {"other": 1, "failed": 2}.get(name, 0))  # stable: these two stand last
    largest = {
        same: max([n for (a, b), n in counts.items() if _same(a, b) == same], default=1) for same in (True, False)
    }
    shown = labels(names, words.value)
    rows = [
        {
            "production": shown[a],
            "candidate": shown[b],
            "pairs": words.count(counts[a, b]) if (a, b) in counts else "",
            "colour": PALETTE["pass" if _same(a, b) else "fail"],
            "weight": 0.08 + 0.42 * (counts[a, b] / largest[_same(a, b)]) ** 0.5 if (a, b) in counts else 0.0,
        }
        for a in _said_by(found.matrix, 0, names)
        for b in _said_by(found.matrix, 1, names)
    ]
    order = [shown[name] for name in names]
    base = alt.Chart(data(rows)).encode(
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
    return finished(alt.layer(tiles, outline, text).properties(width=alt.Step(72), height=alt.Step(42)))


def _said_by(matrix: Sequence[tuple[str, str, int]], arm: int, names: Sequence[str]) -> list[str]:
    """Every value, and of what was folded or failed only what the arm has: the diagonal stays a diagonal."""
    return [name for name in names if name not in {"other", "failed"} or any(row[arm] == name for row in matrix)]


def _same(production: str, candidate: str) -> bool:
    """Whether a tile is surely agreement: what was folded or failed is not."""
    return production == candidate and production not in {"other", "failed"}
