"""How numbers, times and values are written for people. Nothing is rounded to 0 and nothing unknown has a number."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Protocol

from gnomon.records.ledger import GATEWAY_STATES
from gnomon.records.plan import OTHERWISE, Fork
from gnomon.records.trial import Pause
from gnomon.records.verdict import TestResult
from gnomon.report.progress import Outlook, Progress

NO_DATA: Final = "no data"

RESULT_MARKS: Final = {"pass": "✓", "fail": "✕", "inconclusive": "○"}
VERDICT_MARKS: Final = {"promote": "✓", "reject": "✕", "continue": "…", "inconclusive": "○", "invalid": "!"}

VERDICT_MEANINGS: Final = {
    "promote": "Every test passes on its own evidence.",
    "reject": "At least one test is shown to be worse than its margin. This is final.",
    "continue": "Not every test can pass yet, and none is shown to be worse than its margin. The trial goes on.",
    "inconclusive": "The deadline is over and the question could not be settled.",
    "invalid": "The integrity of the trial failed: its numbers must not be used.",
}

STATES: Final = {
    "passed": "not on a shadowed route",
    "refused:invalid": "answered by the gateway: not a valid request",
    "refused:too_large": "answered by the gateway: head or body over the limit",
    "refused:unsupported": "answered by the gateway: not supported",
    "refused:timeout": "answered by the gateway: the request never became complete",
    "refused:overloaded": "answered by the gateway: no room for another connection",
    "unsampled": "the declared rate left it out",
    "shed:budget": "over the declared budget, decided before either model was called",
    "guarded:too_large": "production's request or answer was over the cap for copies",
    "guarded:unreadable_coding": "a content coding that is not read",
    "guarded:invalid_body": "the body is not what the protocol says",
    "guarded:answered_early": "production answered before the request was whole, and the rest never came",
    "guarded:upgrade": "the connection changed its protocol",
    "cancelled": "the client left before production's answer was complete",
    "shed:memory": "the memory for copies was full",
    "shed:unavailable": "the runner was down and nothing could be kept",
    "shed:paused": "shadowing was paused",
    "shed:bug": "a fault in Gnomon's own shadow path",
    "shed:off_slice": "the shadow was off for a moment, to measure what it costs; counts as not sampled",
    "paired": "both models were called and compared, failures included",
    "expired": "waited too long for the candidate",
    "guarded:context": "it leans on what production alone holds",
    "guarded:side_effects": "it would be carried out twice",
    "guarded:rewrite": "what the candidate needs changed could not be changed in it",
    "unaccounted": "open in a gateway that died, or the log could never take it",
}
"""What became of a request, by its final state in the ledger."""

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with control characters, lone surrogates and signs that turn the writing direction made visible."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def value(text: str) -> str:
    """A value of an output as it is read aloud: the string "spam" without its quotation marks, `other` in brackets."""
    if text in {"other", "failed"}:
        return f"({text})"
    try:
        read = json.loads(text)
    except ValueError:
        return clean(text)
    return clean(read if isinstance(read, str) and read else text)


def count(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 pair`, `12,345 pairs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: int, whole: int) -> str:
    """`4.3 %`; words when there is nothing to take a share of."""
    if not whole:
        return NO_DATA
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "< 0.1 %"
    return "> 99.9 %" if 99.95 <= percent < 100 else f"{percent:.1f} %"


def probability(over_2_32: int) -> str:
    """A probability over 2**32 in percent."""
    return f"{100 * over_2_32 / 2**32:.4g} %"


def rates(fork: Fork) -> str:
    """How much is shadowed: `shadow rate 20 %`, or `shadow rate by header:x-tier: gold 100 %, otherwise 5 %`."""
    if fork.strata is None:
        return f"shadow rate {probability(fork.shadow_rate)}"
    each = [*fork.strata.rates, (OTHERWISE, fork.strata.otherwise)]
    return f"shadow rate by {fork.strata.by}: {', '.join(f'{name} {probability(rate)}' for name, rate in each)}"


def weighted(fork: Fork) -> bool:
    """Whether strata have different rates, so that what was sampled is not composed as the traffic is."""
    return len(set(fork.rates.values())) > 1


def nothing(test: TestResult) -> str:
    """Why there is no number, in a few words."""
    if test.result == "pass":
        return "no request fell here"
    return NO_DATA if test.no_estimate is None or _empty(test) else "no estimate"


def _empty(test: TestResult) -> bool:
    """Nothing has settled: that there is no number needs no other reason."""
    return not test.units and not test.cell.high


def unestimated(test: TestResult) -> str:
    """The recorded reason why there is no estimate or no interval, as a sentence; empty where nothing has come."""
    if test.no_estimate is None or _empty(test):
        return ""
    what = "No estimate" if test.estimate is None else "No interval"
    return f"{what}: {_stopped(test.no_estimate)}"


class _Placed(Protocol):
    """A test, its result, its track or its progress."""

    @property
    def segment(self) -> str: ...
    @property
    def value(self) -> str: ...


def cell(test: _Placed) -> str:
    """`overall`, or `source=tweets`."""
    return test.segment if not test.value else f"{test.segment}={test.value}"


def progress(found: Progress) -> str:
    """`500 of 1,000 units; e 3.1 of 20; about 2026-10-03`: sample, evidence, and when both may be there."""
    if found.outlook == "not_needed":
        return "no request fell here"
    sample = f"{found.units:,} of {counted(found.needed, 'unit')}" if found.needed > 1 else counted(found.units, "unit")
    proof = f"e {e_value(found.e_promote)} of {e_value(found.promote_at)}" if found.units else NO_DATA
    return f"{sample}; {proof}; {outlook(found)}"


def outlook(found: Progress) -> str:
    """When a test may pass, in a few words."""
    if found.estimated_us is not None:
        late = ", after the deadline" if found.outlook == "after_deadline" else ""
        return f"about {day(found.estimated_us)}{late}"
    return _OUTLOOKS[found.outlook]


_OUTLOOKS: Final[dict[Outlook, str]] = {
    "passed": "passes",
    "expected": "no date",
    "after_deadline": "after the deadline",
    "not_growing": "no date: the evidence does not grow",
    "too_early": "too early for a date",
    "no_estimate": "no date: there is no estimate",
    "far": "in more than ten years",
    "failed": "fails",
    "not_needed": "no request fell here",
    "over": "ended without it",
}


def day(us: int) -> str:
    """`2026-01-02`."""
    return utc(us)[:10]


def needed(test: TestResult) -> str:
    """Units against the declared minimum."""
    return f"{test.units:,} / {test.needed:,}" if test.needed > 1 else f"{test.units:,}"


def e_value(e: float) -> str:
    """An e-value, short."""
    if e >= 1e6:
        mantissa, exponent = f"{e:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if e < 0.001:
        return "< 0.001"
    return f"{e:,.0f}" if e >= 100 else f"{e:.3g}"


def sequential_p(e: float) -> str:
    """The sequential p-value of an e-value: min(1, 1/e), valid at every look."""
    p = min(1.0, 1 / e) if e > 0 else 1.0
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def latency(us: int | None) -> str:
    """`12.3 ms`, `1.20 s`; words when the quantile fell on a failed call or there was none."""
    if us is None:
        return "none (failed calls)"
    if us >= 1_000_000:
        return f"{us / 1e6:.3g} s"
    return f"{us / 1e3:.3g} ms" if us < 100_000 else f"{us / 1e3:.0f} ms"


def span(us: int) -> str:
    """A duration in its largest fitting unit."""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{max(0, us) / 1e6:.3g} s"


def utc(us: int) -> str:
    """`2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if us else "nothing yet"


def pause(found: Pause) -> str:
    """When nothing was shadowed, by whose order and why."""
    if found.until_us is None:
        begun = f"PAUSED since {utc(found.since_us)} by {found.actor}"
        return f"{begun}: {_stopped(found.reason)} Nothing is shadowed until it is resumed."
    took = f"{utc(found.since_us)} to {utc(found.until_us)} ({span(found.until_us - found.since_us)})"
    ended = f"Resumed by {found.ended_by}: {_stopped(found.ended_because or '')}"
    return f"Paused from {took} by {found.actor}: {_stopped(found.reason)} {ended}"


def evidence_ended(ended_us: int) -> str:
    """That no more evidence comes, for whoever waits."""
    return (
        f"evidence ended with the promotion at {utc(ended_us)}: requests since then count for nothing (late truth of "
        "earlier ones does); a new trial is needed"
    )


def remarks(report_pauses: Iterable[Pause], ended_us: int | None) -> list[str]:
    """What is so now, whatever the verdict says: no more evidence comes, nothing is shadowed."""
    ended = [] if ended_us is None else [sentence(evidence_ended(ended_us))]
    return [*ended, *(pause(each) for each in report_pauses if each.until_us is None)]


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _stopped(text: str) -> str:
    return f"{text.rstrip('.')}."


def decimals(number: float) -> str:
    """A number from 0 on: one decimal, two below 1, and more where these would show 0."""
    if number == 0:
        return "0"
    shown = f"{number:.1f}" if number >= 1 else f"{number:.2f}"
    return shown if float(shown) else f"{Decimal(f'{number:.1g}'):f}"


def signed(number: float) -> str:
    """The same with its sign."""
    return "0" if number == 0 else f"{'+' if number > 0 else '−'}{decimals(abs(number))}"


def ledger_sum(ledger: dict[str, int]) -> dict[str, str]:
    """Whether the final states and what is open sum to what was seen: `sentence` and `adds_up` (yes, no or unknown)."""
    if "seen" not in ledger:
        return {"adds_up": "unknown", "sentence": "UNKNOWN: the gateway has not written a ledger yet."}
    ended, still_open = sum(n for state, n in ledger.items() if state in STATES), ledger.get("open", 0)
    seen = ledger["seen"]
    parts = f"{ended:,} ended and {still_open:,} {'is' if still_open == 1 else 'are'} open"
    if ended + still_open == seen:
        return {"adds_up": "yes", "sentence": f"{counted(seen, 'request')} seen: {parts}. The ledger adds up."}
    gap = abs(ended + still_open - seen)
    # Under load the runner writes its counts a moment after it read the gateways': it may have ended what came since.
    there = sum(n for state, n in ledger.items() if state in GATEWAY_STATES)
    since = ledger.get("received", 0) - (seen - there)
    if ended > seen and gap <= since and ended - there <= ledger.get("received", 0):
        later = f"of {counted(since, 'more request')} that came since, {gap:,} ended"
        return {
            "adds_up": "yes",
            "sentence": f"{counted(seen, 'request')} seen: all ended, and {later}. The ledger adds up.",
        }
    return {
        "adds_up": "no",
        "sentence": f"{counted(seen, 'request')} seen, but {parts}: {gap:,} apart. The ledger does NOT add up.",
    }
