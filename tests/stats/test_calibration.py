"""The committed calibration: complete, holding, one page and one file of the same rows, and what a run gives."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = json.loads((ROOT / "docs" / "statistics" / "calibration.json").read_text())
PAGE = (ROOT / "docs" / "statistics" / "calibration.md").read_text()


def test_every_scenario_has_rows_and_every_row_holds() -> None:
    promised = {f"B{number}" for number in (*range(1, 11), 12, 14, 18, 19)}
    assert {row["id"] for row in ROWS} == promised | {"ratio", "unit", "weight", "reject", "speed"}
    assert [row for row in ROWS if not row["holds"]] == []


def test_a_row_holds_when_its_figure_meets_its_target() -> None:
    for row in ROWS:
        sign, limit = row["target"].split()
        met = row["measured"] <= float(limit) if sign == "<=" else row["measured"] >= float(limit)
        assert met == row["holds"], row


def test_where_naive_looking_is_known_to_fail_it_failed() -> None:
    for name in ("B1", "B3", "B6", "B7", "B8", "B10", "B12", "B14", "B18"):
        rates = [row for row in ROWS if row["id"] == name and row["naive"] is not None]
        assert rates
        for row in rates:
            assert row["naive"] > float(row["target"].split()[1]), row


def test_the_page_has_the_rows_of_the_file() -> None:
    shown = re.findall(r"^\| (.+?) \| ([<>]= \S+) \| .* \| (?:yes|\*\*no\*\*) \|$", PAGE, re.MULTILINE)
    assert shown == [(row["scenario"], row["target"]) for row in ROWS]
    assert f"\n{len(ROWS)} of {len(ROWS)} rows hold.\n" in PAGE


def test_a_scenario_run_alone_gives_the_committed_figures() -> None:
    run = [sys.executable, str(ROOT / "bench" / "simulate"), "--only", "unit", "--workers", "1"]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    (row,) = (row for row in ROWS if row["id"] == "unit")
    assert f"{row['measured']:.4f}" in printed
    assert f"{row['naive']:.4f}" in printed
