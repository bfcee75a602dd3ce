"""What the demo prints: latency, ledger, gates and verdicts as they come out of Gnomon's JSON."""

from typing import Any

from answers import Answers
from data import SOURCES
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

STYLES = {
    "promote": "bold green",
    "pass": "green",
    "reject": "bold red",
    "fail": "bold red",
    "invalid": "bold red",
    "continue": "bold yellow",
    "inconclusive": "yellow",
}

_made = Console(highlight=False)
console = _made if _made.is_terminal else Console(highlight=False, width=max(_made.width, 120))
"""The terminal; wide enough for whole tables when it is a file or a pipe."""


def title(text: str) -> None:
    """A line across, with the chapter's name."""
    console.print()
    console.print(Rule(text, align="left"))


def say(text: str) -> None:
    """A line, as long as it is."""
    console.print(text, soft_wrap=True)


def models(training: dict[str, Any]) -> None:
    """Accuracy of the three models on held-out rows, for curious people."""
    found: dict[str, dict[str, float]] = training["held_out"]
    table = Table(box=None, pad_edge=False, title="right on held-out rows (the verdict does not read this)")
    table.title_justify = "left"
    table.add_column("model")
    for cell in ("overall", *SOURCES):
        table.add_column(cell, justify="right")
    for model, right in found.items():
        table.add_row(model, *(f"{100 * right[cell]:.1f} %" for cell in ("overall", *SOURCES)))
    console.print(table)


def look(number: int, rows: int, truths: int, verdict: dict[str, Any]) -> None:
    """One line for a look at the evidence."""
    name = verdict["verdict"]
    open_tests = [f"{t['gate']} {cell(t)}" for t in verdict["tests"] if t["result"] == "inconclusive"]
    waits = ""
    if name == "continue" and open_tests:
        more = f" and {len(open_tests) - 2} more" if len(open_tests) > 2 else ""
        waits = f"   open: {', '.join(open_tests[:2])}{more}"
    line = Text(f"  look {number}   {rows:>6,} requests   {truths:>6,} truths   ")
    line.append(name, style=STYLES[name])
    line.append(waits, style="dim")
    console.print(line, no_wrap=True, overflow="ellipsis")


def cell(test: dict[str, Any]) -> str:
    """``overall`` or ``source=tweets``."""
    return f"{test['segment']}={test['value']}" if test["value"] else str(test["segment"])


def verdict(found: dict[str, Any]) -> None:
    """The sentence, and the reasons of the tests that did not pass."""
    head = Text.assemble((found["verdict"].upper(), STYLES[found["verdict"]]), "  ", found["sentence"])
    decisive = "fail" if found["verdict"] == "reject" else "inconclusive"
    reasons = [Text(f"- {test['reason']}") for test in found["tests"] if test["result"] == decisive]
    body = Text("\n").join([head, *reasons])
    console.print(Panel(body, title=found["trial"], title_align="left", border_style=STYLES[found["verdict"]]))


def gates(found: dict[str, Any]) -> None:
    """Every test: one gate in one cell. Cells without a settled unit are named in one line."""
    table = Table(box=None, pad_edge=False)
    for name in ("gate", "where", "result"):
        table.add_column(name)
    for name in ("units", "estimate", "at least", "margin", "e promote", "e reject"):
        table.add_column(name, justify="right")
    empty = []
    for test in found["tests"]:
        if test["estimate"] is None:
            empty.append(f"{test['gate']} {cell(test)} ({test['result']})")
            continue
        table.add_row(
            test["gate"],
            cell(test),
            Text(test["result"], style=STYLES[test["result"]]),
            f"{test['units']:,}",
            _points(test["estimate"]),
            _points(test["lower"]),
            f"{-test['margin_ppm'] / 10_000:g} pp",
            f"{test['e_promote']:.3g}",
            f"{test['e_reject']:.3g}",
        )
    console.print(table)
    if empty:
        console.print(f"no settled unit in: {', '.join(empty)}", style="dim")
    shown = found["tests"][0]
    legend = (
        f"a unit is a document; a test passes at e promote >= {shown['promote_at']:g} and fails at e reject >= "
        f"{shown['reject_at']:g}, the bound for all {len(found['tests'])} tests together"
    )
    console.print(legend, style="dim")


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} pp"


def ledger(found: dict[str, Any]) -> None:
    """Every request that the fork saw, by its final state, and the sum."""
    states = {**found["states"], "open": found["open"]}
    total = sum(states.values())
    words = " + ".join(f"{count:,} {state}" for state, count in states.items() if count or state == "open")
    adds_up = "adds up" if total == found["seen"] else f"DOES NOT ADD UP: {total:,}"
    console.print(f"ledger: {found['seen']:,} seen = {words}   ({adds_up})")


def latency(ways: dict[str, Answers]) -> None:
    """The user's side: milliseconds at the client, with the fork and without it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("production's answers, at the client")
    for name in ("requests", "p50", "p99", "failed"):
        table.add_column(name, justify="right")
    for name, answers in ways.items():
        table.add_row(
            name,
            f"{len(answers.milliseconds):,}",
            f"{answers.quantile(0.5):.1f} ms",
            f"{answers.quantile(0.99):.1f} ms",
            str(len(answers.failures)),
        )
    console.print(table)
    for name, answers in ways.items():
        if answers.failures:
            console.print(f"{name}: {len(answers.failures)} failed, the first: {answers.failures[0]}", style="red")
