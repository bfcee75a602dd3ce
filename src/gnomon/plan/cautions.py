"""Cautions: what a plan may say and a reader should know, each with what to do. None keeps a trial from beginning."""

import json
from collections.abc import Iterator
from typing import Final

from gnomon.plan.units import ONE, PPM, show_duration, show_share
from gnomon.records.plan import Plan

LET_THROUGH: Final = frozenset(
    {
        "accept", "accepted", "allow", "allowed", "approve", "approved", "clean", "genuine", "grant", "granted", "ham",
        "legit", "legitimate", "no_fraud", "non_fraud", "not_fraud", "not_spam", "ok", "pass", "passed", "safe",
    }
)  # fmt: skip
"""Answers after which something happens to the user. Of what was blocked nobody learns what it would have been."""

BLOCKING: Final = ("fraud", "spam", "abuse", "scam", "chargeback", "phishing", "money laundering", "aml", "credit risk")
"""Words of a question or a trial in which an answer decides what can be known afterwards."""


def cautions(plan: Plan) -> Iterator[str]:
    """Sentences, each a whole one."""
    yield from _selective(plan)
    yield from _noise(plan)
    yield from _lighter(plan)
    yield from _returning(plan)
    if not plan.probes_required:
        yield (
            "Known answers are sent through the shadow path as the trial begins, and a trial without them can still be "
            "promoted: write integrity.probes: required if it must not."
        )
    yield (
        "Each candidate that is tried against this production on these routes is an attempt, and each has a chance of "
        f"{show_share(plan.alpha_ppm)} to be promoted wrongly: the verdict says which attempt it is."
    )


def _returning(plan: Plan) -> Iterator[str]:
    """Who is always sampled comes back, and what comes after the first pause of a cluster is not counted."""
    closes, deadline = plan.unit.closes_after_us, plan.duration.deadline_us
    if plan.fork.sticky is None or plan.unit.cluster is None or (deadline is not None and closes >= deadline):
        return
    quiet = show_duration(closes)
    yield (
        f"All requests of one {plan.fork.sticky} are copied or none, and those after its first pause of over {quiet} "
        f"are not counted: where they are more than {show_share(plan.lost_ppm)} of a cell (integrity.lost), nothing is "
        "promoted. If they come back later, write a longer unit.closes_after, or a key that ends, such as a session's."
    )


def _selective(plan: Plan) -> Iterator[str]:
    """Truth that production's own answer decides about (statistics.md, 0b.5)."""
    truth = plan.truth
    if truth is None or truth.available or not any(gate.needs_truth for gate in plan.judged):
        return
    told = _let_through(plan)
    words = f"{plan.trial} {plan.question}".lower().replace("-", " ").replace("_", " ")
    topic = next((word for word in BLOCKING if word in words.split() or (" " in word and word in words)), None)
    if told is None and topic is None:
        return
    why = f"{told[1]} is an answer of {told[0]}" if told else f"the trial is about {topic}"
    output = told[0] if told else plan.outputs[0].name if plan.outputs else "label"
    value = told[1] if told else "legit"
    yield (
        f"Truth may exist only for what production let through ({why}): then the rest is taken as the worst case and "
        f"nothing is promoted. If so, declare truth.available_when: {{{output}: [{value}]}} with all such answers: the "
        "truth gates then speak of those requests alone, and the verdict says so."
    )


def _let_through(plan: Plan) -> tuple[str, str] | None:
    """The first output and named value that lets something through."""
    for gate in plan.judged:
        said = [gate.label, *(text for truth, answer, _ in gate.costs for text in (truth, answer))]
        for text in filter(None, said):
            value = json.loads(text)
            if isinstance(value, str) and value.lower().replace("-", "_").replace(" ", "_") in LET_THROUGH:
                return gate.output or "", value
    return None


def _noise(plan: Plan) -> Iterator[str]:
    if plan.fork.twin or not any(gate.kind == "agreement" and not gate.against_twin for gate in plan.judged):
        return
    yield (
        "How often production agrees with itself is not measured, so an agreement is read without its noise floor: a "
        "model that answers differently each time agrees with nothing. Write fork.twin: 5% to measure it."
    )


def _lighter(plan: Plan) -> Iterator[str]:
    """A ratio of latencies is of the load that both had; a candidate with more room is promoted into less."""
    if not any(gate.kind == "latency" and gate.ratio for gate in plan.judged):
        return
    capacity, rate = plan.candidate.capacity_ppm, next(iter(plan.fork.rates.values()))
    if capacity is not None and (capacity - 1) * ONE > rate * PPM:  # a rate is rounded to 1/2^32
        copied = f"{rate * 100 / ONE:.6g}%"
        yield (
            f"The candidate has {show_share(capacity)} of production's capacity and gets {copied} of its requests: its "
            "latency is measured under a lighter load than production's, so the ratio flatters it."
        )
