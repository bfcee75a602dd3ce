"""What `gnomon check` prints of the planner's table and of the rehearsal, at 100 columns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gnomon.plan import size_words as words
from gnomon.plan.rehearse import Case, Rehearsal
from gnomon.plan.sized import Sized, Sizing
from gnomon.records.plan import Plan

_WIDTH = 100
_STYLES = {"late": "bold yellow", "never": "bold red", "reached": "", "unknown": "", "empty": "dim"}


def console() -> Console:
    """A terminal, or 100 columns where it is a file or a pipe."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=_WIDTH)


def size(plan: Plan, sizing: Sizing) -> None:
    """The planner's table, and what is said under it."""
    out = console()
    out.print()
    out.print(_table(plan, sizing))
    for line in (words.together(sizing, plan), words.lasting(plan), _legend(sizing)):
        if line:
            out.print(line)
    for line in words.shadow(sizing.load, plan):
        out.print(line)
    for line in sizing.assumptions:
        out.print(Text(line, style="dim"))
    for line in sizing.warnings:
        out.print(Text.assemble(("warning: ", "bold yellow"), line))


def hopeless(plan: Plan, sizing: Sizing) -> str:
    """Why the trial should not be started as it is."""
    by = f" by the deadline of {words.days(sizing.deadline_days)}" if sizing.deadline_days is not None else ""
    return f"gnomon: no gate of {plan.trial} can be shown{by}, so the trial would end inconclusive. {words.REMEDY}."


def _table(plan: Plan, sizing: Sizing) -> Table:
    coming = "" if sizing.requests_per_day is None else f" at {sizing.requests_per_day:,.0f} requests a day"
    table = Table(box=None, pad_edge=False, padding=(0, 1), title_justify="left", title_style="bold")
    table.title = f"What it takes{coming}, for 50, 80 and 90 % power"
    table.add_column("gate\n  cell", overflow="fold", max_width=32)
    heads = (
        "share",
        "units\n50 %",
        "\n80 %",
        "\n90 %",
        "labels\n80 %",
        "days\n50 %",
        "\n80 %",
        "\n90 %",
        "finds\n80 %",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for gate, rows in groupby(sizing.tests, key=lambda row: (row.gate, row.soft)):
        table.add_row(Text(f"{gate[0]}{' (target)' if gate[1] else ''}", style="bold"))
        for cell, row in _rows(list(rows)):
            _add(table, cell, row, _scale(plan, row))
    return table


def _rows(rows: Sequence[Sized]) -> Iterator[tuple[str, Sized]]:
    """The rows of a gate with their names: catch-alls that nobody said anything about stand together."""
    told: set[str] = set()
    for row in rows:
        if row.state == "empty" and row.catches_all:
            continue
        if not (row.catches_all and row.share is None):
            yield row.cell, row
            continue
        segment = row.cell.partition("=")[0]
        alike = [each for each in rows if each.catches_all and each.share is None and each.units == row.units]
        values = [each.cell.partition("=")[2] for each in alike if each.cell.partition("=")[0] == segment]
        name = f"{segment}={'/'.join(values)}"
        if name not in told:
            told.add(name)
            yield name, row


def _add(table: Table, cell: str, row: Sized, scale: str) -> None:
    days = ("-",) * 3 if row.days is None else tuple(words.days(each) for each in row.days)
    share = words.percent(row.share) if row.share is not None else "?"
    if row.share is None and row.share_needed is not None:
        share = f">{words.percent(row.share_needed)}"
    table.add_row(
        f"  {cell}",
        share,
        *(words.count(each) for each in row.units),
        "-" if row.labels is None else words.count(row.labels[1]),
        *days,
        "-" if row.finds is None else f"{100 * row.finds:+.1f} {scale}",
        style=_STYLES[row.state],
    )


def _scale(plan: Plan, row: Sized) -> str:
    kind = next(gate.kind for gate in plan.judged if gate.id == row.gate)
    return "%" if kind in {"loss", "numeric", "cost", "custom"} else "pp"


def _legend(sizing: Sizing) -> str:
    harm = (
        ""
        if sizing.horizon_days is None
        else f" Finds: the smallest harm that is rejected with 80 % after {words.days(sizing.horizon_days)}."
    )
    needs = (
        " A share with > is what the cell needs by the deadline."
        if any(row.share_needed is not None for row in sizing.tests)
        else ""
    )
    return f"Units are settled ones, labels those for 80 %.{harm}{needs}"


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error while the rehearsal runs: called with what runs, and how much of all is done."""
    columns = (TextColumn("rehearsing {task.description}"), BarColumn(), TimeElapsedColumn())
    shown = Console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=quiet or not shown.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def rehearsal(found: Rehearsal) -> None:
    """What the plan decides on drawn counts."""
    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 1), title_justify="left", title_style="bold")
    when = f"{found.looks} looks in {words.days(found.days)}"
    table.title = f"Rehearsal: {found.trials:,} trials of each, {when}, seed {found.seed}"
    table.add_column("if the candidate is", overflow="fold", max_width=52)
    for name in ("promoted", "rejected", "open", "median", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for case in found.cases:
        median = "-" if case.median_days is None else words.days(case.median_days)
        table.add_row(
            case.name,
            _rate(case.promoted, found),
            _rate(case.rejected, found),
            words.percent(case.undecided),
            median,
            _judged(case),
        )
    out.print()
    out.print(table)
    out.print(
        Text(
            f"{found.confirmed:,} of {found.ended:,} ends were decided on evidence; e-values alone said the same.",
            "dim",
        )
        if found.confirmed < found.ended
        else Text(f"All {found.ended:,} ends were decided on evidence.", "dim")
    )
    for line in found.notes:
        out.print(Text(line, style="dim"))


def _rate(share: float, found: Rehearsal) -> str:
    return f"{100 * share:.1f} ±{100 * found.error(share):.1f} %"


def _judged(case: Case) -> Text:
    if case.limit is None:
        return Text("")
    return Text("holds", style="green") if case.holds else Text("OVER ALPHA", style="bold red")
