"""The two files in docs/statistics: the table for people, and for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from scenarios import CASES
from table import Row, figure

DOCS: Final = Path(__file__).parents[2] / "docs" / "statistics"
TEXT: Final = Path(__file__).with_name("page.md")


def write(rows: list[Row], facts: Mapping[str, str]) -> None:
    """Both files, whole: the page is page.md with its @id lines as tables and its @words as facts."""
    tables = {f"@{name}": table([row for row in rows if row.id == name]) for name in CASES}
    lines = [tables.pop(line, line) for line in TEXT.read_text().splitlines()]
    assert not tables, f"page.md has no place for {', '.join(tables)}"
    page = "\n".join(lines) + "\n"
    counts = {"holding": f"{sum(row.holds for row in rows)}", "all": f"{len(rows)}"}
    for word, fact in {**facts, **counts}.items():
        page = page.replace(f"@{word}", fact)
    (DOCS / "calibration.md").write_text(page)
    (DOCS / "calibration.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def table(rows: list[Row]) -> str:
    """The rows of one scenario in Markdown."""
    lines = ["| | target | measured | naive | holds |", "| --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        naive = "" if row.naive is None else figure(row.naive)
        holds = "yes" if row.holds else "**no**"
        lines.append(f"| {row.scenario} | {row.target} | {figure(row.measured)} | {naive} | {holds} |")
    return "\n".join(lines)
