"""What is said under the planner's table: what will not be decided, what is missing, what was assumed."""

from collections.abc import Iterator, Sequence

from gnomon.plan.outlook import SIGMA
from gnomon.plan.sized import Load, Sized, Sizing
from gnomon.plan.traffic import Traffic, mixture
from gnomon.plan.units import PPM, show_duration
from gnomon.records.plan import OTHER, OVERALL, Plan

REMEDY = (
    "What helps: a wider margin, a coarser segment, a later duration.deadline, or a higher rate for these requests "
    "(fork.shadow_rate, fork.strata)"
)


def days(value: float | None) -> str:
    """A number of days for people, in the unit that fits."""
    if value is None:
        return "never"
    if value >= 2:
        return f"{value:,.0f} d" if value >= 20 or value == round(value) else f"{value:.1f} d"
    return f"{value * 24:.1f} h" if value * 24 >= 1 else f"{max(1, value * 1_440):.0f} min"


def percent(share: float) -> str:
    """A share for people, two digits of it."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def count(value: float | None) -> str:
    """A number with its thousands apart."""
    return "never" if value is None else f"{value:,.0f}"


def warnings(plan: Plan, rows: Sequence[Sized], *, deadline: float | None, per_day: float | None) -> Iterator[str]:
    """What will not be decided, and what is not known."""
    hard = [row for row in rows if not row.soft]
    yield from _late(rows, deadline)
    yield from _unknown(hard, deadline)
    if any(row.state in {"late", "never"} for row in rows):
        yield f"{REMEDY}."
    if per_day is None:
        yield "How many requests come is not known, so no days are shown: add --rate 5/s, or --pilot TRIAL."
    elif plan.fork.per_second is not None and plan.fork.per_second * 86_400 < per_day * min(
        1.0, max(plan.fork.rates.values()) / 2**32
    ):
        yield (
            f"The budget of {plan.fork.per_second:,} copies a second is under what the rates draw on average: the rest "
            "is not sampled, and everything takes longer."
        )


def _late(rows: Sequence[Sized], deadline: float | None) -> Iterator[str]:
    for row in rows:
        if row.state == "late":
            needs = "more than ten years" if row.sampling is None or row.sampling[1] is None else days(row.sampling[1])
            by = "" if deadline is None else f", the deadline is {days(deadline)}"
            yield f"{row.gate} will be inconclusive in {row.cell}: needs {needs}{by}."
        elif row.state == "never" and row.share_needed is not None and row.share_needed > 1:
            yield (
                f"{row.gate} will be inconclusive in {row.cell}: all of the traffic until the deadline is too little."
            )
        elif row.state == "never":
            yield f"{row.gate} cannot pass in {row.cell}: what is expected there is not inside of what it asks for."


def _unknown(rows: Sequence[Sized], deadline: float | None) -> Iterator[str]:
    """Cells of unknown share, each with what its most demanding gate needs."""
    by_cell: dict[str, list[Sized]] = {}
    for row in rows:
        if row.share is None:
            by_cell.setdefault(row.cell, []).append(row)
    known = {cell: [row.share_needed for row in each if row.share_needed] for cell, each in by_cell.items()}
    needs = {cell: max(shares) for cell, shares in known.items() if len(shares) == len(by_cell[cell])}
    declared = [cell for cell, each in by_cell.items() if not each[0].catches_all]
    if declared:
        parts = [f"{cell} {percent(needs[cell])}" for cell in declared if cell in needs]
        why = f": to be decided by the deadline with 80 % they need {', '.join(parts)} of the requests" if parts else ""
        yield (
            f"How much of the traffic falls into {_listed(declared)} is not known{why}. Say it with "
            f"--share {declared[0]}:20% (or --share equal), or with --pilot TRIAL."
        )
    rest = [cell for cell, each in by_cell.items() if each[0].catches_all]
    parts = [f"{cell} {percent(needs[cell])}" for cell in rest if cell in needs]
    if parts and deadline is not None:
        yield (
            f"A cell that no request falls into is no obstacle, one with a few is: by the deadline {', '.join(parts)} "
            "of the requests are needed, or none."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def assumptions(plan: Plan, known: Traffic) -> Iterator[str]:
    """What the figures rest on that nobody measured."""
    if known.pilot is None:
        yield "How often the arms differ, and by how much, is what the plan expects (expect); no pilot was read."
    else:
        yield (
            f"How often the arms differ is what {known.pilot.trial} saw in {days(known.pilot.days)}; by how much the "
            "candidate is better is what the plan expects."
        )
        yield from known.pilot.notes
    for segment in plan.segments:
        rest = known.shares.get(f"{segment.name}={OTHER}", 0.0)
        if known.pilot is None and rest > 0:
            yield f"{segment.name}={OTHER} is taken to have what the named values leave: {percent(rest)}."
        if not segment.labels:
            yield f"The values of {segment.name} are found when the trial starts; the table has no rows for them yet."
    yield from _of_the_traffic(plan, known)
    yield from _of_the_gates(plan, known)


def _of_the_traffic(plan: Plan, known: Traffic) -> Iterator[str]:
    if mixture(plan, known, OVERALL, "") is None:
        yield (
            "Which stratum requests are of is not known: all are taken at the lowest rate, the longest that it can "
            "take (--share stratum=NAME:5%)."
        )
    elif plan.fork.strata is not None and len(set(plan.fork.rates.values())) > 1 and plan.segments:
        yield "Cells that the strata are not made of are taken to hold the strata as the traffic does."
    if plan.unit.cluster is not None and known.pilot is None:
        yield "Each request is taken as a unit of its own; with unit.cluster it takes more requests (a pilot knows)."
    if plan.truth is not None and plan.truth.available and known.pilot is None:
        yield "Truth is taken to come for every request; where it does not, it takes more requests (a pilot knows)."


def _of_the_gates(plan: Plan, known: Traffic) -> Iterator[str]:
    if any(test.n_max is not None for test in plan.tests):
        yield "Days of hybrid gates count their one test at the deadline; the units are those of the e-value alone."
    if any(gate.kind == "latency" and gate.ratio is not None for gate in plan.judged):
        measured = known.pilot is not None and any(seen.sigma for seen in known.pilot.tests.values())
        spread = "the pilot's" if measured else f"{SIGMA:g}"
        yield f"Latency: an equally fast candidate, the logarithm's standard deviation {spread}, the arms unrelated."
    if any(gate.kind == "precision" for gate in plan.judged):
        yield "Precision is compared with production's own, which is not known exactly: its figures are rough (20 %)."


def lasting(plan: Plan) -> str:
    """What decides about the days beside the units."""
    duration = plan.duration
    parts = [f"whole cycles of {show_duration(duration.cycle_us)}" if duration.cycle_us else ""]
    parts += [f"at least {show_duration(duration.at_least_us)}" if duration.at_least_us else ""]
    late = plan.truth is not None and any(gate.needs_truth for gate in plan.judged)
    parts += [f"{show_duration(plan.truth.expected_within_us)} for truth" if late and plan.truth else ""]
    given = [part for part in parts if part]
    return f"Days hold {', '.join(given)}." if given else ""


def together(sizing: Sizing, plan: Plan) -> str:
    """When everything is decided, if all goes as planned."""
    if sizing.together is None:
        return ""
    half, most, nearly = (days(each) for each in sizing.together)
    alpha = plan.alpha_ppm / PPM
    return (
        f"All hard tests together: promoted after {half} with 50 %, {most} with 80 %, {nearly} with 90 %. For 80 % "
        f"together each test needs {100 * sizing.each_power:.3g} %. A candidate worse than a margin: at most "
        f"{100 * alpha:g} %."
    )


def shadow(load: Load, plan: Plan) -> Iterator[str]:
    """What shadowing adds. That a second call is honest and harmless, the plan has said above."""
    if load.candidate_calls is not None:
        twin = f" and {load.twin_calls:,.0f} more to production (twin)" if load.twin_calls else ""
        yield (
            f"Added load: {load.candidate_calls:,.0f} calls a day to the candidate{twin}, "
            f"{((load.candidate_calls + (load.twin_calls or 0)) / 86_400):,.3g} a second on average."
        )
    declared = f"the plan says {load.cost_per_day} a day" if load.cost_per_day else ""
    priced = f"at the price given {load.priced:,.2f} a day" if load.priced is not None else ""
    said = " and ".join(part for part in (declared, priced) if part)
    if said:
        yield f"Added inference cost: {said}."
    elif load.candidate_calls is not None:
        yield "Added inference cost: not said; --price 0.002 (of one call) computes it."
    if plan.candidate.capacity_ppm is not None:
        yield f"The candidate's capacity is {plan.candidate.capacity_ppm / 10_000:g} % of production's, as declared."
