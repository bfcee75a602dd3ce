"""What D is: for each kind of gate, one exchange's difference in [-1, 1], positive where the candidate is better.

Each function returns expressions over what is asked of a row (`terms.Facts`), for both readings of what is unknown:
`low`, the worst for the candidate, and `high`, the best. Their parts: `observed.py`, `truthful.py`.
"""

from collections.abc import Callable
from dataclasses import replace

from gnomon.evidence import observed, truthful
from gnomon.evidence.terms import Facts, Terms
from gnomon.records.plan import Gate, Plan

_OBSERVED: dict[str, Callable[[Plan, Gate, Facts], Terms]] = {
    "agreement": observed.agreement,
    "share": observed.share,
    "error_rate": observed.error_rate,
    "latency": observed.latency,
    "refusal_rate": observed.refusal_rate,
    "cost": observed.cost,
    "custom": observed.custom,
}
_TRUTHFUL: dict[str, Callable[[Plan, Gate, Facts], Terms]] = {
    "accuracy": truthful.accuracy,
    "recall": truthful.recall,
    "precision": truthful.precision,
    "loss": truthful.loss,
    "numeric": truthful.numeric,
    "field": truthful.field,
}


def terms(plan: Plan, gate: Gate, row: Facts) -> Terms:
    """The expressions of `gate` over a row.

    Gates that look at truth leave out exchanges for which the plan says that there can be none.
    """
    if not gate.needs_truth:
        return _OBSERVED[gate.kind](plan, gate, row)
    found = _TRUTHFUL[gate.kind](plan, gate, row)
    if plan.truth is None or not plan.truth.available:
        return found
    possible = truthful.available(plan, row)
    return replace(found, counts=found.counts & possible, waits=found.waits & possible)
