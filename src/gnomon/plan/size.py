"""Size: how many settled units, labels and days each test of a plan takes, and what harm it would find.

`outlook` says when one test is shown in its own units; here that is turned into requests, labels and whole cycles of a
given traffic.

Promises  what is not known about the traffic is shown as unknown, with the share of it that would be needed
Assumes   units independent, traffic even over a cycle, no truth later than it is expected; tests independent of each
          other where they are taken together, which is on the safe side of tests that move together
"""

import math
from collections.abc import Sequence
from typing import Final

from gnomon.errors import GnomonError
from gnomon.plan import size_words as words
from gnomon.plan.outlook import POWERS, Counts, Forecast, forecast, kept
from gnomon.plan.sized import Load, Sized, Sizing, Three
from gnomon.plan.traffic import Traffic, mean_rate, mixture
from gnomon.plan.units import DURATIONS, ONE
from gnomon.records.plan import OVERALL, Gate, Plan, Test
from gnomon.stats.betting import Claim

_LONGEST: Final = 3_660.0  # days: longer than this is never
_ENOUGH: Final = 100  # exchanges of a pilot from which on it says something that none of them was of a class


def size(plan: Plan, known: Traffic, claims: Sequence[Claim | None], *, price: float | None = None) -> Sizing:
    """The table of a plan under a traffic.

    `claims` has one for each test of the gates, then of the targets: the one that the decision bets on; None where
    it compares two quantiles or two precisions. Raises GnomonError for a class that has no traffic.
    """
    refuse(plan, known)
    gates = [(gate, test) for gate in plan.judged for test in gate.tests]
    hard = len(plan.tests)
    soft = len(gates) - hard
    forecasts = [
        forecast(plan, known, gate, test, claim, tests=hard, family=1 if index < hard else soft)
        for index, ((gate, test), claim) in enumerate(zip(gates, claims, strict=True))
    ]
    deadline, wait = _days(plan.duration.deadline_us), _wait(plan)
    needed = [each for each in forecasts[:hard] if not _idle(plan, known, each.test)]
    together = _together(plan, needed)
    horizon = deadline if deadline is not None else (together[1] if together else None)
    rows = tuple(
        _sized(plan, known, gate, each, deadline=deadline, horizon=horizon, soft=index >= hard)
        for index, ((gate, _), each) in enumerate(zip(gates, forecasts, strict=True))
    )
    decided = [row for row in rows[:hard] if row.state in {"reached", "late", "never"}]
    return Sizing(
        trial=plan.trial,
        requests_per_day=known.per_day,
        deadline_days=deadline,
        horizon_days=horizon,
        wait_days=wait,
        tests=rows,
        together=None if together is None else _plus(together, wait),
        each_power=0.8 ** (1 / max(1, len(needed))),
        load=load(plan, known, price),
        warnings=tuple(words.warnings(plan, rows, deadline=deadline, per_day=known.per_day)),
        assumptions=tuple(words.assumptions(plan, known)),
        reachable=not decided or any(row.state == "reached" for row in decided),
    )


def refuse(plan: Plan, known: Traffic) -> None:
    """Raise GnomonError for gates about a class that never occurs: no data can show anything about it."""
    found = []
    for gate in plan.gates:
        if gate.label is None or gate.kind not in {"recall", "precision", "share"}:
            continue
        said = known.classes.get((gate.output or "", gate.label))
        seen = next((known.looked(test) for test in gate.tests if test.segment == OVERALL), None)
        if said == 0:
            found.append(f"{gate.id} is about {gate.label}, of which --share says that it is 0% of the traffic")
        elif said is None and seen is not None and seen.flagged == 0 and seen.sampled >= _ENOUGH:
            found.append(f"{gate.id} is about {gate.label}, of which the pilot saw none in {seen.sampled:,} exchanges")
    if found:
        raise GnomonError(
            f"{'; '.join(found)}; what does not occur cannot be proven: take the gate out, name a value that occurs, "
            "or shadow the traffic that has it"
        )


def load(plan: Plan, known: Traffic, price: float | None) -> Load:
    """What the shadow adds."""
    calls = twins = None
    if known.per_day is not None:
        mix = mixture(plan, known, OVERALL, "")
        sampled = max(plan.fork.rates.values()) / ONE if mix is None else mean_rate(mix)
        calls = known.per_day * sampled * kept(plan, known)
        twins = calls * plan.fork.twin / ONE
    return Load(
        context="stateless",
        side_effects="none",
        candidate_calls=calls,
        twin_calls=twins,
        cost_per_day=plan.cost_per_day,
        priced=None if price is None or calls is None or twins is None else price * (calls + twins),
    )


def _sized(
    plan: Plan, known: Traffic, gate: Gate, each: Forecast, *, deadline: float | None, horizon: float | None, soft: bool
) -> Sized:
    test, share = each.test, known.share(each.test)
    requests = None if not each.per_request else _whole(_three(each.units, 1 / each.per_request))
    sampling = None if not each.per_day else _sampling(plan, each, each.per_day, deadline)
    labels = None
    if each.labels_each is not None:
        labels = _whole(_three(each.units, each.labels_each))
    harm = None
    if each.per_day and horizon is not None:
        harm = each.found(each.per_day * min(horizon, deadline or horizon))
    needed = None
    if share is None and known.per_day and requests and requests[1] is not None and deadline is not None:
        needed = requests[1] / (known.per_day * kept(plan, known) * _last_cycle(plan, deadline))
    return Sized(
        gate=gate.id,
        cell=test.cell,
        soft=soft,
        share=None if share is None else _six(share),
        per_day=None if each.per_day is None else _six(each.per_day),
        units=each.units,
        requests=requests,
        labels=labels,
        days=None if sampling is None else _plus(sampling, _wait_of(plan, gate)),
        sampling=None if sampling is None else _plus(sampling, 0.0),
        share_needed=None if needed is None else _six(needed),
        finds=None if harm is None else _six(harm),
        catches_all=_catches_all(plan, test),
        state=_state(each, sampling, share, needed, deadline),
        approximate=each.approximate,
    )


def _state(
    each: Forecast, sampling: Three | None, share: float | None, needed: float | None, deadline: float | None
) -> str:
    if share == 0:
        return "empty"
    if each.units[1] is None or (needed is not None and needed > 1):
        return "never"
    if sampling is None:
        return "unknown"
    if sampling[1] is None or (deadline is not None and sampling[1] > deadline):
        return "late"
    return "reached"


def _sampling(plan: Plan, each: Forecast, per_day: float, deadline: float | None) -> Three:
    """Days of sampling until promotion is shown; a hybrid test has one more chance at the deadline."""
    found = _closed(plan, each.units, per_day)
    if each.fixed is None or deadline is None:
        return found
    there = per_day * _last_cycle(plan, deadline)
    half, most, nearly = (
        min(deadline, days or deadline) if units is not None and units <= there else days
        for days, units in zip(found, each.fixed, strict=True)
    )
    return half, most, nearly


def _closed(plan: Plan, units: Counts, per_day: float) -> Three:
    """Days of sampling until so many units stand on closed cycles."""
    half, most, nearly = (None if each is None else _ends(plan, each / per_day) for each in units)
    return half, most, nearly


def _ends(plan: Plan, days: float) -> float | None:
    """The end of the cycle in which so many days are over, and not before the least duration."""
    days = max(days, _days(plan.duration.at_least_us) or 0.0)
    cycle = _days(plan.duration.cycle_us)
    if cycle is not None:
        days = math.ceil(days / cycle - 1e-9) * cycle
    return None if days > _LONGEST else days


def _last_cycle(plan: Plan, deadline: float) -> float:
    """Days until the last cycle that closes before the deadline."""
    cycle = _days(plan.duration.cycle_us)
    return deadline if cycle is None else max(cycle, math.floor(deadline / cycle + 1e-9) * cycle)


def _together(plan: Plan, forecasts: Sequence[Forecast]) -> Three | None:
    """Days of sampling until all are shown with each power, as if they were independent; None: one is unknown."""
    if not forecasts or any(each.per_day is None for each in forecasts):
        return None

    def shown(days: float) -> float:
        power = 1.0
        for each in forecasts:
            units = (each.per_day or 0.0) * days
            power *= 0.0 if units < each.test.min_units else each.shown(units)
            if power < 1e-6:
                break
        return power

    def first(power: float) -> float | None:
        cycle = _days(plan.duration.cycle_us)
        high = max(_days(plan.duration.at_least_us) or 0.0, cycle or 1e-4)
        while shown(high) < power:
            high *= 2
            if high > 2 * _LONGEST:
                return None
        low = 0.0
        while high - low > max(1e-5, high * 1e-4):
            middle = (low + high) / 2
            low, high = (low, middle) if shown(middle) >= power else (middle, high)
        return _ends(plan, high)

    half, most, nearly = (first(power) for power in POWERS)
    return half, most, nearly


def _idle(plan: Plan, known: Traffic, test: Test) -> bool:
    """Whether the cell is no obstacle: a catch-all that no traffic falls into, or of which nobody said how much."""
    share = known.share(test)
    return share == 0 or (share is None and _catches_all(plan, test))


def _catches_all(plan: Plan, test: Test) -> bool:
    return any(test.segment == segment.name and test.value not in segment.labels for segment in plan.segments)


def _wait(plan: Plan) -> float:
    return max((_wait_of(plan, gate) for gate in plan.gates), default=0.0)


def _wait_of(plan: Plan, gate: Gate) -> float:
    """Days for which the decision waits for truth, after the last request that counts."""
    return (_days(plan.truth.expected_within_us) or 0.0) if plan.truth is not None and gate.needs_truth else 0.0


def _days(us: int | None) -> float | None:
    return None if us is None else us / DURATIONS["d"]


def _plus(days: Three, more: float) -> Three:
    half, most, nearly = (None if each is None else _six(each + more) for each in days)
    return half, most, nearly


def _six(number: float) -> float:
    """Six digits: a forecast has no more, and two machines print the same."""
    return float(f"{number:.6g}")


def _three(units: Counts, factor: float) -> Three:
    half, most, nearly = (None if each is None else each * factor for each in units)
    return half, most, nearly


def _whole(each: Three) -> Counts:
    half, most, nearly = (None if one is None else math.ceil(one * (1 - 1e-6)) for one in each)
    return half, most, nearly
