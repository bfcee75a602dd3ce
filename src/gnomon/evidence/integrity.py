"""Does the log add up? The ledger's sums, what contradicts them, and a digest of what was read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import ibis

from gnomon.evidence.engine import fetched
from gnomon.evidence.rows import COUNTED, first
from gnomon.evidence.terms import ALWAYS, NEVER
from gnomon.records.ledger import ATTRIBUTED, GATEWAY_STATES, LOGGED_STATES, LOST_STATES, RUNNER_INSTANCE, RUNNER_STATES
from gnomon.records.plan import Plan
from gnomon.records.process import PROBE_EPOCH

Expr = Any

_FINAL = frozenset({*GATEWAY_STATES, *RUNNER_STATES})
_BLOCK = 8  # hex digits of a UUIDv7 that name about a minute: a digest is made for each, so that no sort is large


class Flushed(NamedTuple):
    """How far the ledger is."""

    rows: int
    watermark_us: int
    """Up to here every exchange has come to its end; 0: nothing has been flushed."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The cumulative counts of all instances, summed."""

    sums: dict[str, int]
    anomalies: tuple[str, ...]
    unattributed: int
    """Lost exchanges that stand in no row of `comparisons`: they may belong to any cell."""


def flushed(ledger: Expr) -> Flushed:
    """Rows and watermark of the ledger."""
    (found,) = fetched(ledger.agg(rows=ibis._.count(), watermark=ibis._.watermark_us.max()))
    return Flushed(found["rows"], found["watermark"] or 0)


def read_ledger(ledger: Expr, flushed: Flushed, *, epoch: int, deadline_us: int | None = None) -> Ledger:
    """Sums by state over the instances of one epoch; counts are cumulative, so the largest is the latest.

    With a deadline, what was lost of the requests after it does not count: once a flush says that all before it are
    settled, one more is read.
    """
    mine = ledger.filter(ledger.epoch == epoch)
    sums = _sums(mine)
    counted = sums
    if deadline_us is not None and flushed.watermark_us >= deadline_us:
        after = ledger.filter(ledger.watermark_us >= deadline_us).select("time_us").distinct()
        flushes = [row["time_us"] for row in fetched(after.order_by("time_us").limit(2))]
        counted = _sums(mine.filter(mine.time_us <= flushes[-1]))
    final = sum(count for state, count in sums.items() if state in _FINAL)
    sums["open"] = max(0, sums.get("seen", 0) - final)
    return Ledger(
        sums=sums,
        anomalies=(*_shrinking(mine), *_too_many(mine), *_unequal(ledger)),
        unattributed=sum(counted.get(state, 0) for state in LOST_STATES - ATTRIBUTED),
    )


def _sums(ledger: Expr) -> dict[str, int]:
    latest = ledger.group_by("instance", "stratum", "state").agg(count=ibis._["count"].max())
    by_state = fetched(latest.group_by("state").agg(total=ibis._["count"].sum()))
    return {row["state"]: int(row["total"]) for row in sorted(by_state, key=lambda row: row["state"])}


def _shrinking(ledger: Expr) -> list[str]:
    """Cumulative counts that became smaller. What is open comes and goes."""
    ledger = ledger.filter(ledger.state != "open")
    order = ibis.window(group_by=["instance", "stratum", "state"], order_by=["time_us", "count"])
    steps = ledger.mutate(before=ledger["count"].lag().over(order))
    bad = steps.filter(steps["count"] < steps.before).order_by("time_us", "instance", "stratum", "state").limit(3)
    return [
        f"the ledger goes backward: `{row['state']}` of {row['instance']} fell from {row['before']} to {row['count']}"
        for row in fetched(bad)
    ]


def _too_many(ledger: Expr) -> list[str]:
    """Instances whose final states exceed what they saw.

    Counters move while they are read, so what an instance had ended one flush ago is held against what it has seen now.
    """
    last = ledger.group_by("instance").agg(last_us=ibis._.time_us.max())
    rows = ledger.filter(ledger.state.isin(["seen", "handed_over", *GATEWAY_STATES])).join(last, "instance")
    settled = (rows.time_us < rows.last_us) & (rows.state != "seen")
    counts = rows.mutate(
        ended=ibis.cases((settled, rows["count"]), else_=0),
        seen=ibis.cases((rows.state == "seen", rows["count"]), else_=0),
    )
    states = counts.group_by("instance", "stratum", "state").agg(ended=ibis._.ended.max(), seen=ibis._.seen.max())
    sums = states.group_by("instance").agg(ended=ibis._.ended.sum(), seen=ibis._.seen.sum())
    bad = sums.filter(sums.ended > sums.seen).order_by("instance").limit(3)
    return [
        f"the ledger does not add up: {row['instance']} ended {row['ended']} requests and saw {row['seen']}"
        for row in fetched(bad)
    ]


def _unequal(ledger: Expr) -> list[str]:
    """Flushes at which the ledger's two equalities do not hold, of every epoch but that of the probes.

    A flush writes only what changed, so each state stands as it was written last. Checked is every flush from the first
    one with an `open` row on (an earlier version wrote none; without any, nothing is checked):

    - runner: received = its final states + open, exactly;
    - gateway: seen = its final states + handed over + open. Exactly while something is open, as then it lives. With
      nothing open, no request may be missing as long as it sees more later; more ends than it saw are for `_too_many`,
      as numbers that were read while they moved can look like that. One that has seen its last may be dead: then
      its acknowledgements may be lost, and requests missing here are ones that the runner received. Hence
    - all gateways of an epoch together: seen <= final states + open + received by the runners.
    """
    first_us = fetched(ledger.filter(ledger.state == "open").agg(first_us=ibis._.time_us.min()))[0]["first_us"]
    if first_us is None:
        return []
    steps = _steps(ledger)
    flushes = steps.group_by("instance", "epoch", "time_us").agg(
        came=_sum("seen", "received"), ended=_sum(*_FINAL), handed=_sum("handed_over"), open=_sum("open")
    )
    so_far = ibis.cumulative_window(group_by=["instance", "epoch"], order_by="time_us")
    whole = ibis.window(group_by=["instance", "epoch"])
    sums = flushes.mutate(
        **{name: flushes[name].sum().over(so_far) for name in ("came", "ended", "handed", "open")},
        last_us=ibis.cases((flushes.came != 0, flushes.time_us), else_=0).max().over(whole),
    )
    missing = sums.came - sums.ended - sums.handed - sums.open
    exact = sums.instance.startswith(RUNNER_INSTANCE) | (sums.open > 0)
    wrong = (exact & (missing != 0)) | ((missing > 0) & (sums.time_us < sums.last_us))
    bad = sums.filter(sums.time_us >= first_us, wrong).order_by("time_us", "instance", "epoch").limit(3)
    return [*map(_inequality, fetched(bad)), *_never_received(steps, first_us)]


def _never_received(steps: Expr, first_us: int) -> list[str]:
    """Epochs in which requests are neither final nor open in a gateway, nor received."""
    mine = steps.filter(~steps.instance.startswith(RUNNER_INSTANCE) | (steps.state == "received"))
    flushes = mine.group_by("epoch", "time_us").agg(
        seen=_sum("seen"), ended=_sum(*_FINAL), open=_sum("open"), received=_sum("received")
    )
    so_far = ibis.cumulative_window(group_by="epoch", order_by="time_us")
    sums = flushes.mutate(
        **{name: flushes[name].sum().over(so_far) for name in ("seen", "ended", "open", "received")},
    )
    bad = sums.filter(sums.time_us >= first_us, sums.seen > sums.ended + sums.open + sums.received)
    return [
        f"the ledger does not add up: at {_utc(row['time_us'])} the gateways had seen {row['seen']} requests in epoch "
        f"{row['epoch']}, of which {row['ended']} had ended there, {row['open']} were open and "
        f"{row['received']} had come to the runner"
        for row in fetched(bad.order_by("time_us", "epoch").limit(1))
    ]


def _steps(ledger: Expr) -> Expr:
    """By how much each count of the equalities changed at each flush: a flush's sums are sums of these."""
    counted = ["seen", "received", "handed_over", "open", *sorted(_FINAL)]
    rows = ledger.filter(ledger.epoch != PROBE_EPOCH, ledger.state.isin(counted))
    order = ibis.window(group_by=["instance", "epoch", "stratum", "state"], order_by=["time_us", "count"])
    return rows.mutate(step=rows["count"] - rows["count"].lag().over(order).fill_null(0))


def _sum(*states: str) -> Expr:
    return ibis.cases((ibis._.state.isin(sorted(states)), ibis._.step), else_=0).sum()


def _inequality(row: dict[str, Any]) -> str:
    runner = row["instance"].startswith(RUNNER_INSTANCE)
    came = f"{row['came']} exchanges received" if runner else f"{row['came']} requests seen"
    handed = "" if runner else f" {row['handed']} handed over"
    return (
        f"the ledger does not add up: {row['instance']} in epoch {row['epoch']} at {_utc(row['time_us'])}: {came}, but "
        f"{row['ended']} ended{',' if handed else ''}{handed} and {row['open']} open"
    )


def _utc(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def summary(plan: Plan, comparisons: Expr, *, watermark_us: int, end_us: int) -> list[dict[str, Any]]:
    """The exchanges of `comparisons` by epoch, state, stratum and probability, counted in one pass.

    `all`; `before` the watermark; `read`: before `end_us`; of these, pairs that ran together (`timed`) and those that
    started late (`lagging`); exchanges with a `twin`, and those whose second answer a cache gave (`repeats`).
    """
    rows = comparisons.filter(first(plan, comparisons))
    read = rows.time_us < end_us
    timed = read & (rows.state == "paired") & ~rows.late
    lags = (rows.start_lag_us > plan.start_lag_us).fill_null(ALWAYS)
    twin = repeat = NEVER
    if plan.fork.twin:
        twin = read & rows.state.isin(COUNTED) & rows.twin_outcome.notnull()
        repeat = twin & rows.twin_repeat.fill_null(NEVER)
    keys = ["epoch", "state", "stratum", "probability"]
    flags = {"before": rows.time_us < watermark_us, "read": read, "timed": timed, "lagging": timed & lags}
    flags |= {"twin": twin, "repeats": repeat}
    table = rows.select(*keys, **{name: flag.cast("int32") for name, flag in flags.items()})
    return fetched(table.group_by(keys).agg(all=ibis._.count(), **{name: ibis._[name].sum() for name in flags}))


def row_anomalies(counted: Sequence[Mapping[str, Any]], ledger: Ledger, *, rates: Mapping[str, int]) -> list[str]:
    """What the summary of an epoch says against the ledger and the plan's rates (by stratum, over 2**32).

    A ledger row is written after the rows it counts and pinned before them. So the log holds at least what the ledger
    counts, and no more than that from before the watermark.
    """
    problems = []
    for state in (state for state in RUNNER_STATES if state in LOGGED_STATES):
        rows, settled = (sum(row[name] for row in counted if row["state"] == state) for name in ("all", "before"))
        in_ledger = ledger.sums.get(state, 0)
        if rows < in_ledger:
            problems.append(f"the ledger counts {in_ledger} {state} exchanges, the log holds {rows}: rows are missing")
        elif settled > in_ledger:
            problems.append(
                f"the log holds {settled} {state} exchanges before the watermark, the ledger counts {in_ledger}: "
                "rows were added"
            )
    strange = sorted({row["state"] for row in counted} - LOGGED_STATES)
    for state in strange:
        number = sum(row["all"] for row in counted if row["state"] == state)
        problems.append(f"{number} exchanges of the log are in a state that there is not: {state}")
    unknown = sum(row["all"] for row in counted if row["stratum"] not in rates)
    other = sum(row["all"] for row in counted if rates.get(row["stratum"], row["probability"]) != row["probability"])
    if unknown:
        problems.append(f"{unknown} exchanges are of a stratum that the sealed plan does not have")
    if other:
        problems.append(f"{other} exchanges were sampled at another rate than the sealed one")
    return problems


def mixed_clusters(plan: Plan, comparisons: Expr) -> list[str]:
    """Clusters that would have two weights."""
    if plan.unit.cluster is None:
        return []
    grouped = comparisons.filter(comparisons.cluster.notnull()).group_by("cluster")
    rates = grouped.agg(rates=ibis._.probability.nunique()).filter(ibis._.rates > 1)
    mixed = fetched(rates.agg(n=ibis._.count()))[0]["n"]
    return [f"{mixed} clusters hold exchanges that were sampled at different rates"] if mixed else []


def doubled(plan: Plan, comparisons: Expr) -> int:
    """Rows of an exchange that is already there (of an instance, in batches).

    Exact and cheap: where all hashes differ, all ids do. Where two are equal the ids themselves are counted.
    """
    name = comparisons.id
    if plan.unit.instances is not None:
        name = name + "/" + comparisons.instance.cast("string")
    table = comparisons.select(name=name)
    rows, different = _hashed(table)
    if rows == different:
        return 0
    (found,) = fetched(table.agg(rows=ibis._.count(), different=ibis._.name.nunique()))
    return int(found["rows"] - found["different"])


def _hashed(names: Expr) -> tuple[int, int]:
    """Rows, and how many hashes of their `name` differ: where as many, all names do."""
    (found,) = fetched(names.agg(rows=ibis._.count(), different=ibis._.name.hash().nunique()))
    return int(found["rows"]), int(found["different"])


def row_digest(comparisons: Expr) -> str:
    """SHA-256 over the sorted rows: what verdicts of earlier programs rest on.

    By blocks, so that millions of rows need no large sort: rows are grouped by the first 8 characters of their id; the
    digest is over the lines `block count sha256(rows)` in the order of the blocks. A row is its id and an MD5 of all
    its columns by name, so that a value that was altered afterwards is noticed, also one that moves no count.
    """
    row = ibis.literal("")
    for column in sorted(comparisons.columns):
        # a null and an empty text are different values
        row = row + "\x1f" + ibis.coalesce(ibis.literal("=") + comparisons[column].cast("string"), ibis.literal("-"))
    rows = comparisons.select("id", block=comparisons.id.substr(0, _BLOCK), row=comparisons.id + row.hexdigest("md5"))
    blocks = rows.group_by("block").agg(
        rows=ibis._.count(),
        sha=ibis._.row.group_concat("\n", order_by=ibis._.row).hexdigest("sha256"),
    )
    found = sorted(fetched(blocks), key=lambda row: row["block"])
    lines = "".join(f"{row['block']} {row['rows']} {row['sha']}\n" for row in found)
    return hashlib.sha256(lines.encode()).hexdigest()


def repeated_truths(truths: Expr) -> tuple[int, int, int]:
    """Truths; how many of them are not the only one of their key and output; keys with more than one value.

    Where all hashes differ, so do all keys, which is how it is in most logs and costs less.
    """
    rows, different = _hashed(truths.select(name=truths.key + "/" + truths.output))
    if rows == different:
        return rows, 0, 0
    values = truths.group_by("key", "output").agg(
        rows=ibis._.count(), least=ibis._.value.min(), most=ibis._.value.max()
    )
    more = ibis.cases((values.least != values.most, 1), else_=0).sum().fill_null(0)
    (found,) = fetched(values.agg(rows=values.rows.sum().fill_null(0), keys=values.count(), more=more))
    return int(found["rows"]), int(found["rows"]) - int(found["keys"]), int(found["more"])


def count(table: Expr) -> int:
    """How many rows there are."""
    return int(table.count().to_pyarrow().as_py())
