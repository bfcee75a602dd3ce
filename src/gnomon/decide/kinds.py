"""The words of each kind of gate: what it looks at, what harm and its absence are called, what was counted."""

from collections.abc import Callable
from typing import Final

from gnomon.decide import ratio
from gnomon.decide.claims import PPM
from gnomon.decide.rows import Numbers, Row
from gnomon.decide.words import count, milliseconds, one_of, percent, points, share, times, value
from gnomon.records.plan import Gate, Plan, Test

_NOUN = {"field": "fields", "numeric": "error", "error_rate": "error rate", "refusal_rate": "refusal rate"}
_BAD = {
    "agreement": "differ from production's",
    "error_rate": "are failures",
    "latency": "are over the limit",
    "refusal_rate": "are refusals",
}
_GOOD = {
    "accuracy": "right",
    "agreement": "agreed",
    "error_rate": "answered",
    "latency": "within the limit",
    "recall": "found",
    "refusal_rate": "refused",
}
_AGAINST = frozenset({"accuracy", "error_rate", "recall", "refusal_rate", "share"})  # kinds with a rate of production's
_OF_SCALE = {"loss": "of the largest cost", "numeric": "of the scale", "cost": "of the scale"}


def noun(gate: Gate) -> str:
    """`accuracy of label`, `share of fraud`, `recall of fraud`, `fields a, b`."""
    name = _NOUN.get(gate.kind, gate.kind)
    if gate.kind == "field":
        return f"{name} {', '.join(gate.outputs)}"
    if gate.kind == "custom" and gate.custom is not None:
        return f"{name} {gate.custom.function}"
    if gate.label is not None:
        return f"{name} of {value(gate.label)}"
    return f"{name} of {gate.output}" if gate.output else name


def available(plan: Plan) -> str:
    """Where truth can come from, where that is not everywhere: `on what production answered with allow`; else empty."""
    if plan.truth is None or not plan.truth.available:
        return ""
    several = len(plan.truth.available) > 1
    each = [f"{f'{known.output} ' if several else ''}{one_of(known.values)}" for known in plan.truth.available]
    return f"on what production answered with {' and '.join(each)}"


def harm(gate: Gate, test: Test) -> str:
    """What was shown where the test fails."""
    if gate.ratio is not None:
        return _ratio(gate, "more")
    if gate.top == 0 and gate.kind != "precision":
        return _limit(gate, test, "more")
    if gate.form in SIDES:
        return f"{SIDES[gate.form]} production's by more than {points(test.margin_ppm)}"
    return "the candidate is worse" + (f" by more than {size(gate, test.margin_ppm)}" if test.margin_ppm else "")


def fine(gate: Gate, test: Test) -> str:
    """What was shown where the test passes."""
    if gate.ratio is not None:
        return _ratio(gate, "less")
    if gate.top == 0 and gate.kind != "precision":
        return _limit(gate, test, "less")
    if gate.form in SIDES:
        return f"not {SIDES[gate.form]} production's by {points(test.margin_ppm)} or more"
    if test.margin_ppm == 0:
        return "the candidate is better"
    return f"the candidate is not worse by {size(gate, test.margin_ppm)} or more"


SIDES: Final = {"not_above": "above", "not_below": "below"}
"""What harm is, of a share."""


def size(gate: Gate, ppm: int) -> str:
    """A margin in the gate's own measure: `2.0 pp`, `2 % of the scale`, `0.05`."""
    if gate.kind in _OF_SCALE:
        return f"{share(ppm)} {_OF_SCALE[gate.kind]}"
    return f"{ppm / PPM:g}" if gate.kind == "custom" else points(ppm)


def counted(row: Row, now: Numbers) -> str:
    """What was counted: both arms' rates where every pair has them, else who was better how often.

    Rates and means are those of the traffic: weighted, where strata have different sampling rates. Units are counts.
    """
    histogram = row.cell.low or row.cell.high
    units = sum(number for _, number in histogram)
    if not units:
        return "no settled units"
    special = _COUNTED.get(row.gate.kind)
    found = special(row, now, units) if special else None
    if found is not None:
        return found
    if row.known:
        return f"{_rates(row)}, {count(units, 'unit')}"
    better = sum(number for each, number in histogram if each > 0)
    worse = sum(number for each, number in histogram if each < 0)
    return f"the candidate is better on {better} and worse on {worse} of {count(units, 'unit')} ({signed(row)})"


def signed(row: Row) -> str:
    """The mean of D over at least one unit: `-1.2 pp`."""
    return sized(row.gate, float(row.mean or 0))


def sized(gate: Gate, mean: float) -> str:
    """A mean of D in the gate's own measure: `-1.2 pp`."""
    if gate.kind in _OF_SCALE:
        return f"{100 * mean:+.1f} % {_OF_SCALE[gate.kind]}"
    return f"{mean:+.3f}" if gate.kind == "custom" else f"{100 * mean:+.1f} pp"


def _rates(row: Row) -> str:
    gate = row.gate
    production, candidate = row.shares
    if gate.kind == "refusal_rate":
        production, candidate = 1 - production, 1 - candidate
    if gate.against_twin:
        noise = f"against {percent(production)} of production with itself (the noise floor)"
        return f"{percent(candidate)} agreed {noise}"
    against = f" against {percent(production)}" if gate.kind in _AGAINST else ""
    good = f"are {value(gate.label or '')}" if gate.kind == "share" else _GOOD.get(gate.kind, "good")
    return f"{percent(candidate)} {good}{against}"


def _ratio(gate: Gate, than: str) -> str:
    bound = times(gate.ratio or (1, 1))
    if gate.kind == "latency":
        return f"the candidate's {share(gate.quantile_ppm or 0)} quantile is {than} than {bound} times production's"
    return f"the candidate fails {than} than {bound} times as often as production"


def _limit(gate: Gate, test: Test, than: str) -> str:
    if gate.kind in {"cost", "numeric"}:
        name = gate.output if gate.kind == "cost" else f"error of {gate.output}"
        at = f"{gate.limit:g}" if gate.limit is not None else f"{share(test.margin_ppm)} of the scale"
        return f"the candidate's mean {name} is {'above' if than == 'more' else 'below'} {at}"
    return f"{than} than {share(test.margin_ppm)} of the candidate's answers {_BAD[gate.kind]}"


def _flags(_row: Row, now: Numbers, units: int) -> str | None:
    theirs = "production flagged nothing" if now.production is None else f"against {100 * now.production:.1f} %"
    mine = f"{100 * (now.candidate or 0.0):.1f} % of what the candidate flagged is right"
    return f"{mine}{' ' if now.production is not None else '; '}{theirs}, {count(units, 'unit')}"


def _quantiles(row: Row, now: Numbers, units: int) -> str | None:
    if not row.is_latency_ratio:
        return None
    arms = [_milliseconds(us) for us in (now.candidate, now.production)]
    ratio_of = "" if now.estimate is None else f", {now.estimate:.3g} times"
    return f"{arms[0]} against {arms[1]}{ratio_of}, {count(units, 'pair')}"


def _milliseconds(us: float | None) -> str:
    return "no end" if us is None else milliseconds(us)


def _mean(row: Row, now: Numbers, units: int) -> str | None:
    """Of a limit on a mean: the mean itself, in the unit of the output."""
    if row.gate.top != 0 or now.estimate is None:
        return None
    low, high = row.gate.scale or (0.0, 1.0)
    width = high if row.gate.kind == "cost" else high - low
    return f"{-now.estimate * width:.4g}, {count(units, 'unit')}"


_COUNTED: dict[str, Callable[[Row, Numbers, int], str | None]] = {
    "precision": _flags,
    "latency": _quantiles,
    "cost": _mean,
    "numeric": _mean,
}


def too_few(row: Row, alpha: float) -> str | None:
    """Of a ratio of latencies: that so few pairs cannot bound a quantile, whatever they are."""
    if not row.is_latency_ratio:
        return None
    pairs = 0 if row.cell.closed_tail is None else row.cell.closed_tail.pairs
    least = ratio.least_pairs(row, alpha)
    if pairs >= least:
        return None
    return (
        f"{pairs:,} of {count(least, 'pair')}: fewer say nothing about a {share(row.gate.quantile_ppm or 0)} quantile"
    )
