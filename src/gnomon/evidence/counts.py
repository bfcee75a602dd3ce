"""What the ledger table says beside its sums: both equalities, and each stratum's coins."""

from typing import Any

import ibis
from msgspec import structs
from scipy import stats

from gnomon.records.evidence import LedgerSide, Sampling
from gnomon.records.ledger import GATEWAY_STATES, RUNNER_STATES
from gnomon.records.plan import Plan

Expr = Any
Counts = dict[tuple[str, str, str], int]
"""Instance, stratum and state."""

_LEVEL = 0.95


def latest(ledger: Expr, *, epoch: int) -> Counts:
    """What each count of one epoch was at the last flush."""
    mine = ledger.filter(ledger.epoch == epoch)
    # of several rows of one flush, which no runner writes, the largest
    order = ibis.window(group_by=["instance", "stratum", "state"], order_by=[ibis.desc("time_us"), ibis.desc("count")])
    last = mine.mutate(place=ibis.row_number().over(order)).filter(ibis._.place == 0)
    rows = last.select("instance", "stratum", "state", "count").to_pyarrow().to_pylist()
    return {(row["instance"], row["stratum"], row["state"]): row["count"] for row in rows}


def sides(counts: Counts) -> tuple[LedgerSide, ...]:
    """The gateways' equality and the runner's; none without a ledger."""
    if not counts:
        return ()
    of_runner = {instance for instance, _, state in counts if state == "received"}
    knows_open = any(state == "open" for _, _, state in counts)
    found = []
    for side, came, states in (("gateway", "seen", GATEWAY_STATES), ("runner", "received", RUNNER_STATES)):
        sums: dict[str, int] = {}
        for (instance, _, state), count in counts.items():
            if (instance in of_runner) == (side == "runner"):
                sums[state] = sums.get(state, 0) + count
        ended = {state: sums[state] for state in dict.fromkeys((*states, "unaccounted")) if sums.get(state)}
        one = LedgerSide(
            side="gateway" if side == "gateway" else "runner",
            came=sums.get(came, 0),
            ended=ended,
            handed_over=sums.get("handed_over", 0),
            open=sums.get("open", 0),
        )
        found.append(one if knows_open or not one.missing else structs.replace(one, open=None))
    return tuple(found)


def sampling(plan: Plan, counts: Counts) -> tuple[Sampling, ...]:
    """Each stratum's coins against its declared rate.

    The interval holds for coins that are tossed each on its own: with `sticky` there is none.
    """
    found = []
    for stratum, declared in plan.fork.rates.items():
        drawn, sampled = (
            sum(count for (_, of, state), count in counts.items() if (of, state) == (stratum, wanted))
            for wanted in ("drawn", "sampled")
        )
        lower = upper = inside = None
        if drawn and 0 <= sampled <= drawn and plan.fork.sticky is None:
            interval = stats.binomtest(sampled, drawn).proportion_ci(_LEVEL, method="exact")
            lower, upper = round(float(interval.low), 9), round(float(interval.high), 9)
            inside = bool(interval.low <= declared / 2**32 <= interval.high)
        found.append(
            Sampling(
                stratum=stratum,
                declared=declared,
                drawn=drawn,
                sampled=sampled,
                lower=lower,
                upper=upper,
                inside=inside,
            )
        )
    return tuple(found)
