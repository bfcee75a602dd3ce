"""What the commands print for people. Colour never carries a fact alone: each has its word."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gnomon import pipeline
from gnomon.records.ledger import LOST_STATES
from gnomon.records.plan import Plan
from gnomon.records.trial import Trial
from gnomon.records.verdict import TestResult, Verdict
from gnomon.report import scales, words
from gnomon.settings import Settings
from gnomon.state import State

_STYLES = {
    "promote": "bold green",
    "reject": "bold red",
    "invalid": "bold red",
    "continue": "bold yellow",
    "inconclusive": "bold yellow",
    "pass": "green",
    "fail": "red",
}


def console() -> Console:
    """A terminal; at least 120 columns wide when it is a file or a pipe, so that tables stay whole."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=max(made.width, 120))


def when(time_us: int | None) -> str:
    """UTC, to the second."""
    return "-" if not time_us else datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def e_value(value: float) -> str:
    """An e-value, short."""
    return f"{value:.3g}"


def trials(rows: list[dict[str, Any]]) -> None:
    """One line a trial."""
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "sealed", "attempt", "parent", "serving", "verdict", "digest"):
        table.add_column(column)
    for row in rows:
        verdict = row["verdict"] or "none yet"
        table.add_row(
            row["id"],
            when(row["registered_us"]),
            str(row["attempt"]),
            row["parent"] or "-",
            row["serving"],
            Text(verdict, style=_STYLES.get(verdict, "")),
            row["digest"][:12],
        )
    console().print(table)


def ledger_lines(ledger: dict[str, Any], equalities: dict[str, dict[str, Any]]) -> Table:
    """The ledger, each state with its meaning, its sum, and the two equalities."""
    table = Table(box=None, pad_edge=False, title="ledger", title_justify="left")
    table.add_column("state")
    table.add_column("requests", justify="right")
    table.add_column("")
    for state, count in ledger["states"].items():
        lost = "; lost: worst case assumed" if state in LOST_STATES else ""
        table.add_row(state, f"{count:,}", Text(f"{words.STATES.get(state, '')}{lost}", style="dim"))
    if ledger["open"] is None:
        table.add_row("open", "not known", "nor what the runner made of it: its side of the ledger cannot be read")
    else:
        table.add_row("open", f"{ledger['open']:,}", "in flight, buffered or in the inbox" if ledger["open"] else "")
    table.add_row("seen" if ledger["open"] is None else "sum = seen", f"{ledger['seen']:,}", "")
    for name, total in (("gateways", "seen"), ("runner", "received")):
        side = equalities[name]
        parts = " + ".join(f"{part.replace('_', ' ')} {side[part]:,}" for part in side if part not in {total, "holds"})
        broken = Text("DOES NOT ADD UP", style="bold red") if side["holds"] is False else Text("")
        words_ = "not known" if side["holds"] is None else f"{total} {side[total]:,} = {parts}"
        table.add_row(Text(name, style="dim"), "", Text(f"{words_}  ", style="dim") + broken)
    return table


def ms(value_us: float) -> str:
    """Microseconds as milliseconds with their sign."""
    return f"{value_us / 1000:+,.2f} ms"


def tax_line(tax: dict[str, Any]) -> str:
    """What shadowing costs production."""
    if tax["p50_us"] is None:
        return f"not measured yet ({tax['on']:,} requests with the shadow, {tax['off']:,} in slices of time without it)"
    parts = [
        f"{name} {ms(tax[f'{name}_us'])} ({ms(tax[f'{name}_lower_us'])} to {ms(tax[f'{name}_upper_us'])})"
        for name in ("p50", "p99")
        if tax[f"{name}_us"] is not None
    ]
    return f"{', '.join(parts)} with 95 % confidence, {tax['off']:,} requests without the shadow"


def arm_line(arm: dict[str, Any] | None) -> str:
    """How an arm does its part."""
    if arm is None:
        return "not known: the runner says nothing"
    if not arm["calls"]:
        return "no calls yet"
    since = f", the last one at {when(arm['last_failure_us'])}" if arm["last_failure_us"] else ""
    why = f" ({arm['last_failure']})" if arm["last_failure"] else ""
    kinds = ", ".join(f"{outcome} {count:,}" for outcome, count in sorted(arm["failed_by"].items()) if count)
    return f"{arm['calls']:,} calls, {arm['failed']:,} failed{f' ({kinds})' if kinds else ''}{since}{why}"


def inbox_line(inbox: dict[str, Any] | None) -> str:
    """What waits for its call or for the log."""
    if inbox is None:
        return "not known: the runner says nothing"
    age = "" if inbox["age_s"] is None else f", the oldest {inbox['age_s']:,.1f} s old"
    return f"{inbox['exchanges']:,} exchanges{age}; {inbox['in_flight']:,} calls in flight"


def sampling_line(sampling: dict[str, dict[str, Any]]) -> str:
    """Declared and realised rates by stratum."""
    return "; ".join(
        f"{name} {each['rate']:.4g}: {each['sampled']:,} of {each['drawn']:,}" for name, each in sampling.items()
    )


def probes_line(probes: list[dict[str, Any]]) -> str:
    """What came through."""
    if not probes:
        return "none yet"
    whole = sum(1 for each in probes if each["lost_at"] is None and not each["pending"])
    return f"{whole} of {len(probes)} came through, the last at {when(max(each['time_us'] for each in probes))}"


def twins_line(twins: dict[str, Any]) -> str:
    """How often production was asked a second time since the runner started, and what became of it."""
    parts = [f"{twins['made']:,} of {twins['drawn']:,} drawn were made"]
    if twins["missed"]:
        parts.append(f"{twins['missed']:,} found no room in the budget, which is no random choice")
    if twins["failed"]:
        parts.append(f"{twins['failed']:,} failed")
    if twins["repeated"]:
        parts.append(f"{twins['repeated']:,} came from a cache and say nothing about noise")
    return "; ".join(parts)


def progress_lines(progress: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Truth, cycles and dates."""
    truth, cycles = progress["truth"], progress["cycles"]
    if truth is not None and truth["waiting"] is None:
        yield "truth", "not known before the first look; run: gnomon decide"
    elif truth is not None:
        late = f"; {truth['imputed']:,} did not come in time and count as the worst case" if truth["imputed"] else ""
        trails = "" if truth["lag_s"] is None else f", {truth['lag_s']:,.1f} s behind the log"
        yield "truth", f"settled to {when(truth['settled_to_us'])}{trails}; {truth['waiting']:,} exchanges wait{late}"
    if cycles is not None:
        closed = "not known before the first look" if cycles["closed"] is None else f"{cycles['closed']:,} closed"
        yield "cycles", f"{cycles['over']:,} of {cycles['length_s'] / 86_400:g} d are over, {closed}"
    if progress["evidence_ended_us"] is not None:
        yield "next decision", f"none; {progress['next_decision']}"
    elif progress["next_decision_us"] is None:
        yield "next decision", progress["next_decision"]
    else:
        yield "next decision", f"{when(progress['next_decision_us'])}: {progress['next_decision']}"
    if progress["deadline_us"] is not None:
        yield "deadline", when(progress["deadline_us"])


def _status(now: dict[str, Any]) -> RenderableType:
    verdict, paused = now["verdict"], now["paused"]
    facts = Table.grid(padding=(0, 2))
    lag, behind = now["watermark_lag_s"], now["comparison_lag_s"]
    none = "not known" if now["ledger"]["open"] is None else "nothing yet"
    for name, value in (
        (
            "trial",
            f"{now['trial']}  (sealed {when(now['registered_us'])}, {now['digest'][:12]}, attempt {now['attempt']})",
        ),
        ("question", now["question"] or "-"),
        ("serving", f"{now['serving']} {now['serving_version']} (epoch {now['epoch']})"),
        ("health", now["health"]),
        *([("paused", f"since {when(paused['since_us'])} by {paused['by']}: {paused['reason']}")] if paused else []),
        ("processes", ", ".join(process["name"] for process in now["processes"]) or "none"),
        *((f"{arm} arm", arm_line(facts_)) for arm, facts_ in now["arms"].items()),
        *((f"{each['arm']} is", f"{each['shown']}, read at {when(each['time_us'])}") for each in now["identities"]),
        ("sampled", sampling_line(now["sampling"])),
        ("inbox", inbox_line(now["inbox"])),
        *([("twins", twins_line(now["twins"]))] if now.get("twins") else []),
        *(("problem", problem) for problem in now["problems"]),
        ("comparison lag", "not known" if behind is None else f"{behind:,.1f} s"),
        *progress_lines(now["progress"]),
        ("log up to", none if lag is None else f"{when(now['watermark_us'])}, {lag:,.1f} s ago"),
        ("probes", probes_line(now["probes"])),
        ("shadow tax", tax_line(now["tax"])),
        ("verdict", f"{verdict['verdict']}: {verdict['sentence']}" if verdict else "none yet; run: gnomon decide"),
    ):
        facts.add_row(Text(name, style="dim"), str(value))
    return Group(facts, Text(), ledger_lines(now["ledger"], now["equalities"]))


def status(now: dict[str, Any]) -> None:
    """Who serves, the ledger, the last verdict."""
    console().print(_status(now))


def _tests(tests: tuple[TestResult, ...], plan: Plan) -> Table:
    """Each test in the unit of its gate, as the reports write it."""
    gates = {gate.id: gate for gate in plan.judged}
    table = Table(box=None, pad_edge=False)
    table.add_column("gate and cell")
    table.add_column("result")
    for column in ("units", "needed", "estimate", "interval", "must be", "e promote", "e reject"):
        table.add_column(column, justify="right", no_wrap=True)
    for test in tests:
        gate, known = gates[test.gate], test.estimate is not None
        table.add_row(
            f"{test.name} (target)" if test.soft else test.name,
            Text(test.result, style=_STYLES.get(test.result, "")),
            f"{test.units:,}",
            f"{test.needed:,}",
            scales.mean(gate, test.estimate) if known else "none",
            scales.interval(gate, test) if known else words.nothing(test),
            scales.margin(gate, test),
            e_value(test.e_promote),
            "" if test.soft else e_value(test.e_reject),
        )
    return table


def _legend(found: Verdict) -> str:
    """What an e-value has to reach: twice as much in a hybrid test, which keeps half of alpha for its fixed size."""
    tests = found.tests
    promote = sorted({test.promote_at for test in tests})
    reject = " or ".join(words.e_value(at) for at in sorted({test.reject_at for test in tests}))
    hybrid = f" (a hybrid one at e >= {words.e_value(promote[-1])})" if len(promote) > 1 else ""
    soft = f"; the first target counts at e >= {words.e_value(found.targets[0].promote_at)}" if found.targets else ""
    fixed = f"a test promotes at e >= {words.e_value(promote[0])}{hybrid} and rejects at e >= {reject}"
    return f"{fixed}{soft}; looking is free"


def _verdict(found: Verdict, plan: Plan) -> RenderableType:
    head = Text.assemble((found.verdict.upper(), _STYLES[found.verdict]), "  ", found.sentence)
    judged = (*found.tests, *found.targets)
    passing = tuple(test.reason for test in judged if test.result == "pass")  # the table says those
    reasons = [Text(f"  - {reason}") for reason in found.reasons if not reason.endswith(passing)]
    rows = _tests(judged, plan)
    table = (Text(), rows, Text(_legend(found), style="dim")) if found.tests else ()
    return Group(head, *reasons, Text(found.would_change, style="dim"), *table)


def verdict(found: Verdict, plan: Plan, *, ended: str = "") -> None:
    """The verdict, its reasons and its tests; and that no more evidence comes, if so."""
    if ended:
        console().print(Text(words.sentence(ended), style="bold yellow"))
    console().print(_verdict(found, plan))


def truths(trial: str, result: Any) -> None:  # noqa: ANN401  log.truths.TruthImport
    """What an import did."""
    facts = msgspec.to_builtins(result)
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        if value not in ([], (), None):
            table.add_row(Text(name.replace("_", " "), style="dim"), str(shown))
    console().print(f"truths for {trial}", table)


def watch(
    settings: Settings,
    state: State,
    trial: Trial,
    *,
    every: float,
    looks: int,
    emit: Callable[[Any], None] | None,
) -> None:
    """Status and an unrecorded look, again and again, until Ctrl-C or `looks` of them."""

    def frame() -> tuple[dict[str, Any], Verdict]:
        return pipeline.status(settings, state, trial), pipeline.look(settings, state, trial)

    count, plan = 0, pipeline.plan_of(trial)
    try:
        if emit is not None:
            while not looks or count < looks:
                now, found = frame()
                emit({"status": now, "verdict": msgspec.to_builtins(found)})
                count += 1
                if count != looks:
                    time.sleep(every)
            return
        with Live(console=console(), auto_refresh=False, screen=False) as live:
            while not looks or count < looks:
                now, found = frame()
                live.update(Group(_status(now), Text(), _verdict(found, plan)), refresh=True)
                count += 1
                if count != looks:
                    time.sleep(every)
    except KeyboardInterrupt:
        return
