"""Check: a plan in sentences, and whether its two models answer."""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gnomon.plan import fork_sentences, labels
from gnomon.plan.cautions import cautions
from gnomon.plan.fork_sentences import rate
from gnomon.plan.units import show_duration, show_share
from gnomon.records import Record
from gnomon.records.plan import OVERALL, Arm, ArmName, Gate, Plan, Truth
from gnomon.tls import trusting

PATIENCE_S: Final = 5.0
"""How long a model may take to answer a GET before it counts as not answering."""

READY: Final = "/v2/health/ready"


class EndpointReport(Record, frozen=True, kw_only=True):
    """Whether one model answers."""

    arm: ArmName
    url: str
    ok: bool
    message: str
    """One line: what answered, or why not and what to do."""


def explain(plan: Plan) -> list[str]:
    """What the plan will do and what it asks for, one sentence each, in the order of the file; then notes."""
    return [
        *_path(plan),
        *fork_sentences.explain(plan),
        *_cells(plan),
        *_evidence(plan),
        *_gates(plan),
        *_targets(plan),
        *_limits(plan),
        *(f"Note: {sentence}" for sentence in cautions(plan)),
    ]


def call_endpoints(plan: Plan, *, patience_s: float = PATIENCE_S, ca_file: Path | None = None) -> list[EndpointReport]:
    """Call both models: any HTTP answer to a GET will do; an Open Inference server must say that it is ready.

    The certificates in `ca_file` are trusted beside the system's.
    """
    arms: list[tuple[ArmName, Arm]] = [("production", plan.production), ("candidate", plan.candidate)]
    path = READY if plan.protocol == "open_inference" else "/"
    with ThreadPoolExecutor(len(arms)) as pool:
        return list(pool.map(lambda each: _call(each[0], each[1], path, patience_s, ca_file), arms))


def _path(plan: Plan) -> Iterator[str]:
    routes = ", ".join(f"{route.method} {route.path}" for route in plan.routes)
    when = "as the request comes" if plan.fork.mode == "sync" else "later, from a queue"
    share = rate(plan.fork.shadow_rate) if plan.fork.strata is None else "a share by stratum"
    yield f"{plan.trial}: {plan.question}"
    production, candidate = plan.production, plan.candidate
    yield f"Production is version {production.version} at {production.url}; its answers go to the users untouched."
    repeatable = ", ".join(f"{route.method} {route.path}" for route in plan.routes if route.repeatable)
    if repeatable:
        yield (
            f"{repeatable} may be sent to production once more when a kept-alive connection closed before any byte of "
            "the answer."
        )
    yield (
        f"The candidate is version {candidate.version} at {candidate.url}; it is called for {share} of "
        f"{routes}, {when}."
    )
    if candidate.capacity_ppm is not None:
        yield (
            f"The candidate's capacity is declared as {show_share(candidate.capacity_ppm)} of production's: what is "
            "shown of its latency holds for that."
        )
    yield from _second_call(plan)


def _second_call(plan: Plan) -> Iterator[str]:
    """What the plan asserts of calling a model twice, and what that adds. Anything else was refused as it was read."""
    cost = f"; it adds {plan.cost_per_day} a day, as the plan has it" if plan.cost_per_day else ""
    yield f"A second call is honest and harmless, as the plan asserts (context stateless, side effects none){cost}."
    if not plan.cost_per_day:
        yield "What the second calls cost a day is not said: write suitability.cost_per_day, such as 40 EUR."
    if plan.fork.twin:
        yield (
            f"{rate(plan.fork.twin)} of the copies go to production a second time (its twin), inside the budget: how "
            "often it disagrees with itself is the noise floor of every agreement."
        )


def _cells(plan: Plan) -> Iterator[str]:
    for segment in plan.segments:
        catch_all = "under the first edge: below; not a number: other" if segment.edges else "anything else: other"
        declared = ", ".join(segment.labels) or f"the {segment.top} most frequent values"
        yield f"Segment {segment.name} ({segment.of}): {declared}; {catch_all}; without a value: missing."
        if segment.top is not None and not segment.values:
            yield (
                f"Which values of {segment.name} are most frequent is learned from the first {segment.learn:,} "
                "requests, which are not shadowed; then they are sealed with the plan."
            )
        elif segment.top is not None:
            yield f"These are the most frequent values of {segment.name} (top {segment.top}), named before the seal."


def _evidence(plan: Plan) -> Iterator[str]:
    if plan.unit.instances:
        yield (
            f"Each request is a batch of instances ({plan.unit.instances}): they are compared one by one and averaged "
            "into one unit."
        )
    if plan.unit.cluster:
        quiet = show_duration(plan.unit.closes_after_us)
        yield f"Requests with the same {plan.unit.cluster} count as one, complete when none came for {quiet}."
    elif plan.unit.independent:
        yield "Each request counts once: the plan asserts that requests are independent."
    else:
        yield (
            "Each request counts once. If requests belong together (one user, one document), declare unit.cluster: "
            "else the evidence looks stronger than it is."
        )
    if plan.truth:
        by = str(plan.truth.key) if plan.truth.key else "the exchange id (x-gnomon-id)"
        late = show_duration(plan.truth.expected_within_us)
        yield f"Truth finds its request by {by}; what has not come after {late} is taken as the worst case."
        yield from _truth(plan.truth)
    if not any(gate.needs_truth for gate in plan.gates):
        yield "No gate looks at truth: a promotion means an equivalent replacement; correctness is not measured."


def _truth(truth: Truth) -> Iterator[str]:
    policy = {
        "first": "the first to come counts",
        "last": "the last to come counts",
        "error": "the import is refused",
    }[truth.policy]
    yield f"Where two truths contradict each other, {policy}."
    if truth.covers == "disagreements":
        yield "Only what the two arms disagree about gets a truth: where they agree, neither is ahead."
    if truth.available:
        where = " and ".join(
            f"{each.output} {' or '.join(labels.show(value) for value in each.values)}" for each in truth.available
        )
        yield (
            f"Truth exists only where production answered {where}: the gates that look at truth speak of those "
            "requests alone, and the verdict says so."
        )


def _gates(plan: Plan) -> Iterator[str]:
    yield f"All of {_count(len(plan.gates), 'gate')} must pass, in {_count(len(plan.tests), 'test')}:"
    yield from (f"  {gate.id}: {gate.sentence} {_needs(gate)}" for gate in plan.gates)


def _targets(plan: Plan) -> Iterator[str]:
    if not plan.targets:
        return
    tests = sum(len(gate.tests) for gate in plan.targets)
    yield (
        f"{_count(len(plan.targets), 'target')} blocking nothing, in {_count(tests, 'test')} that are made when every "
        "gate has passed, with Holm's correction:"
    )
    yield from (f"  {gate.id}: {gate.sentence}" for gate in plan.targets)


def _needs(gate: Gate) -> str:
    units = sorted({test.min_units for test in gate.tests})
    expected = sorted({test.disagreement_ppm for test in gate.tests})
    needs = f"{units[0]:,}" if len(units) == 1 else f"{units[0]:,} to {units[-1]:,}"
    shown = (
        show_share(expected[0]) if len(expected) == 1 else f"{show_share(expected[0])} to {show_share(expected[-1])}"
    )
    return f"At least {needs} settled a cell; {shown} expected to count."


def _limits(plan: Plan) -> Iterator[str]:
    duration = plan.duration
    if duration.at_least_us:
        yield f"No promotion before {show_duration(duration.at_least_us)}."
    if duration.cycle_us:
        yield f"Promotion is decided on whole cycles of {show_duration(duration.cycle_us)}."
    if duration.deadline_us:
        yield f"Sampling ends after {show_duration(duration.deadline_us)}; what is not settled then is inconclusive."
    else:
        yield "There is no deadline: the trial goes on until it is decided."
    yield from _hybrid(plan)
    if plan.probes_required:
        yield "Nothing is promoted before known answers went through the real path into the log."
    if any(gate.kind == "latency" and gate.ratio for gate in plan.judged):
        lag = show_duration(plan.start_lag_us)
        yield f"No latency ratio holds if more than 1% of the candidate's calls start over {lag} after production's."
    alpha = show_share(plan.alpha_ppm)
    yield f"A candidate that is worse than a margin is promoted with a probability of at most {alpha}."
    yield f"More than {show_share(plan.lost_ppm)} lost pairs in a cell make the trial invalid."


def _hybrid(plan: Plan) -> Iterator[str]:
    sizes = {
        "overall": {test.n_max for test in plan.tests if test.segment == OVERALL},
        "in each cell of a segment": {test.n_max for test in plan.tests if test.segment != OVERALL},
    }
    at = [f"{size:,} units {where}" for where, found in sizes.items() for size in found if size is not None]
    if at:
        half = show_share(plan.alpha_ppm // 2)
        yield (
            f"At the deadline one test of fixed size is made, with {' and '.join(at)}; it and the evidence that may be "
            f"looked at all along have {half} each."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _call(arm: ArmName, model: Arm, path: str, patience_s: float, ca_file: Path | None) -> EndpointReport:
    def report(message: str, *, ok: bool = False) -> EndpointReport:
        return EndpointReport(arm=arm, url=model.url, ok=ok, message=f"{arm} {model.url} {message}")

    headers = {"x-gnomon-shadow": "1", "Connection": "close"}
    if model.authorization_env:
        value = os.environ.get(model.authorization_env)
        if value is None:
            return report(f"needs {model.authorization_env}, which is not set; export it before the start")
        headers["Authorization"] = value
    try:
        status = _get(model.url, path, headers, patience_s, ca_file)
    except socket.gaierror as error:
        host = urlsplit(model.url).hostname
        why = f"the name {host} does not resolve ({error.strerror})"
        return report(f"has no address: {why}; correct {arm}.url, or make the name known to this machine")
    except (OSError, http.client.HTTPException) as error:
        return report(f"{_reason(error, patience_s)}; start it or correct {arm}.url")
    if path == READY and status != http.client.OK:
        return report(f"is not ready: GET {READY} gave {status}; wait for its models or correct {arm}.url")
    return report("is ready" if path == READY else f"answers (GET / gave {status})", ok=True)


def _get(url: str, path: str, headers: dict[str, str], patience_s: float, ca_file: Path | None) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = http.client.HTTPConnection(host, parts.port, timeout=patience_s)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=patience_s, context=trusting(ca_file))
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _reason(error: Exception, patience_s: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "does not answer: connection refused"
    if isinstance(error, TimeoutError):
        return f"does not answer within {patience_s:g} s"
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS as it should: {error.reason or error}"
    if isinstance(error, http.client.HTTPException | ConnectionResetError):
        return "accepts the connection, and does not answer with HTTP"
    return f"does not answer: {getattr(error, 'strerror', None) or error}"
