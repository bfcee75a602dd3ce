"""Words for the shadow itself: its ledger's two sides, coins, losses, cost, probes, and which models it spoke to."""

from collections.abc import Sequence
from typing import Final

from gnomon.records.evidence import LedgerSide, Losses, LossFactor, Sampling
from gnomon.records.facts import ProbeResult, ProbeStep, Reading
from gnomon.records.tax import Tax
from gnomon.report import words

ALPHA: Final = 0.05
"""A difference between lost exchanges and pairs is said from this p on, which is adjusted for all of them."""

SAMPLING_COLUMNS: Final = ("stratum", "declared", "drawn", "sampled", "realised", "95 % interval", "declared rate")
LOSS_COLUMNS: Final = ("what", "lost", "pairs", "p (Holm)", "says")
PROBE_COLUMNS: Final = ("probe", "gateway", "sent", "result")
MODEL_COLUMNS: Final = ("arm", "since", "says it is", "digest")

_STEPS: Final[dict[ProbeStep, str]] = {
    "gateway": "no answer came through the gateway",
    "hand-over": "the runner did not get it",
    "call": "the echo arm was not called",
    "log": "it is not in the log",
    "answer": "what is in the log is not the known answer",
}

Rows = list[tuple[str, ...]]


# ledger ------------------------------------------------------------------------------------------------------------


def sides(found: Sequence[LedgerSide]) -> list[str]:
    """Both equalities as sentences."""
    received = sum(side.came for side in found if side.side == "runner")
    return [_gateways(side, received) if side.side == "gateway" else _runner(side) for side in found]


def _gateways(side: LedgerSide, received: int) -> str:
    ended = sum(side.ended.values())
    said = (
        f"Gateways: {words.counted(side.came, 'request')} seen; {ended:,} ended there, {side.handed_over:,} handed over"
    )
    if side.open is None:
        return f"{said}. An earlier version of Gnomon wrote this log: what was open in the gateways is not in it."
    said = f"{said}, {side.open:,} open"
    if 0 < side.missing <= received - side.handed_over:
        return (
            f"{said}; {side.missing:,} more came to the runner, from gateways that died before they knew. This adds up."
        )
    return f"{said}. {_adds_up(side.missing)}"


def _runner(side: LedgerSide) -> str:
    ended = ", ".join(f"{count:,} {state}" for state, count in side.ended.items()) or "none ended"
    said = f"Runner: {words.counted(side.came, 'exchange')} received; {ended}"
    if side.open is None:
        return f"{said}. An earlier version of Gnomon wrote this log: what was in the inbox is not in it."
    return f"{said}, {side.open:,} open. {_adds_up(side.missing)}"


def _adds_up(missing: int) -> str:
    if not missing:
        return "This adds up."
    return f"This does NOT add up: {abs(missing):,} {'missing' if missing > 0 else 'too many'}."


# sampling ----------------------------------------------------------------------------------------------------------


def sampling(found: Sequence[Sampling], *, sticky: bool) -> str:
    """Whether the coins fell as declared, in one sentence."""
    tossed = [each for each in found if each.drawn]
    if not tossed:
        return "No coin has been tossed yet."
    if sticky:
        return "Requests with the same sticky value share one coin, so a realised rate has no interval here."
    outside = [each.stratum for each in tossed if not each.inside]
    if not outside:
        where = "in each stratum" if len(tossed) > 1 else "here"
        return f"The declared rate lies inside the 95 % interval of the realised one {where}."
    return (
        f"The declared rate lies OUTSIDE the 95 % interval of the realised one for {len(outside)} of "
        f"{words.counted(len(tossed), 'stratum').replace('stratums', 'strata')}: {', '.join(outside)}. "
        "By chance alone that happens to one stratum in twenty."
    )


def sampling_rows(found: Sequence[Sampling]) -> Rows:
    """By SAMPLING_COLUMNS."""
    return [
        (
            each.stratum,
            words.probability(each.declared),
            words.count(each.drawn),
            words.count(each.sampled),
            _rate(each.sampled / each.drawn) if each.drawn else words.NO_DATA,
            "none" if each.lower is None or each.upper is None else f"{_rate(each.lower)} to {_rate(each.upper)}",
            {None: "not tested", True: "inside", False: "OUTSIDE"}[each.inside],
        )
        for each in found
    ]


def _rate(rate: float) -> str:
    """In percent, and neither rounded to 0 nor to 100."""
    if 0 < rate < 1e-6:
        return "< 0.0001 %"
    if 0.99995 <= rate < 1:
        return "> 99.99 %"
    return f"{100 * rate:.2f} %" if rate >= 0.01 else f"{100 * rate:.2g} %"


# losses ------------------------------------------------------------------------------------------------------------


def losses(found: Losses | None) -> str:
    """How many there are, and whether they differ from the pairs."""
    if found is None:
        return "Not looked at."
    lost = sum(found.states.values())
    if not lost:
        return "Every sampled exchange in the log is a pair." if found.pairs else "Nothing is in the log yet."
    states = ", ".join(f"{count:,} {state}" for state, count in found.states.items())
    of = (
        f"{words.counted(lost, 'exchange')} of {lost + found.pairs:,} in the log {'is' if lost == 1 else 'are'} no pair"
    )
    return f"{of} ({states}). {_differences(found.factors)}"


def _differences(factors: Sequence[LossFactor]) -> str:
    differ = [each for each in factors if each.p is not None and each.p <= ALPHA]
    alike = [_thing(each) for each in factors if each.p is not None and each.p > ALPHA]
    unknown = [_thing(each) for each in factors if each.p is None]
    parts = []
    if differ:
        said = "; ".join(_difference(each) for each in differ)
        parts.append(f"They DIFFER from the pairs: {said}. What was compared speaks less for such requests.")
    if alike:
        parts.append(f"No difference was found in {_listed(alike)}.")
    if unknown:
        parts.append(f"Too few to say: {_listed(unknown)}.")
    return " ".join(parts)


def _difference(factor: LossFactor) -> str:
    if factor.name.startswith("segment:"):
        return f"{_thing(factor)} is not spread as among the pairs"
    lost, pairs = (_amount(factor, median) for median in (factor.lost_median, factor.pairs_median))
    return f"{_thing(factor)} has a median of {lost} against {pairs}"


def loss_rows(found: Losses | None) -> Rows:
    """By LOSS_COLUMNS: one row for each factor, and below a segment one for each of its values."""
    rows: Rows = []
    for factor in found.factors if found is not None else ():
        segment = factor.name.startswith("segment:")
        rows.append(
            (
                _thing(factor),
                words.count(factor.lost) if segment else _median(factor, factor.lost, factor.lost_median),
                words.count(factor.pairs) if segment else _median(factor, factor.pairs, factor.pairs_median),
                "none" if factor.p is None else "< 0.0001" if factor.p < 0.0001 else f"{factor.p:.2g}",
                "too few to say" if factor.p is None else "DIFFERENT" if factor.p <= ALPHA else "no difference found",
            )
        )
        rows += [
            (
                f"{factor.name.removeprefix('segment:')}={value}",
                f"{lost:,} ({words.share(lost, factor.lost)})",
                f"{pairs:,} ({words.share(pairs, factor.pairs)})",
                "",
                "",
            )
            for value, (lost, pairs) in factor.values.items()
        ]
    return rows


def _thing(factor: LossFactor) -> str:
    names = {"request_size": "the request's size", "production_latency": "production's latency"}
    return names.get(factor.name, f"segment {factor.name.removeprefix('segment:')}")


def _median(factor: LossFactor, count: int, median: int | None) -> str:
    return words.NO_DATA if median is None else f"{_amount(factor, median)} (median of {count:,})"


def _amount(factor: LossFactor, number: int | None) -> str:
    if number is None:
        return words.NO_DATA
    return words.latency(number) if factor.name == "production_latency" else words.counted(number, "byte")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# cost --------------------------------------------------------------------------------------------------------------


def tax(found: Tax | None) -> list[str]:
    """What shadowing costs production's latency, one sentence for each quantile."""
    if found is None:
        return ["Not measured yet."]
    quantiles = (
        ("median latency", found.p50_us, found.p50_lower_us, found.p50_upper_us),
        ("p99 latency", found.p99_us, found.p99_lower_us, found.p99_upper_us),
    )
    sentences = [_tax(*each) for each in quantiles]
    return [*sentences, f"Measured: {found.on:,} requests with the shadow on, {found.off:,} with it off."]


def _tax(name: str, estimate: float | None, lower: float | None, upper: float | None) -> str:
    if estimate is None or lower is None or upper is None:
        return f"Production's {name}: not measured yet, there is not enough without the shadow."
    if lower <= 0 <= upper:
        return (
            f"Production's {name}: no cost was found; it is between {_ms(lower)} and {_ms(upper)} ms (95 % interval)."
        )
    ends = (lower, upper) if estimate > 0 else (-upper, -lower)
    return (
        f"With the shadow on, production's {name} was {_ms(abs(estimate))} ms {'higher' if estimate > 0 else 'lower'} "
        f"(95 % interval {_ms(ends[0])} to {_ms(ends[1])} ms), measured in random slices of time without the shadow."
    )


def _ms(us: float) -> str:
    """Milliseconds, with as many decimals as show that it is not 0."""
    if not us:
        return "0"
    shown = f"{abs(us) / 1e3:.2f}" if abs(us) >= 5 else f"{abs(us) / 1e3:.4f}"
    if not float(shown):
        shown = "0.0001"
    return f"−{shown}" if us < 0 else shown


# probes and models -------------------------------------------------------------------------------------------------


def probes(found: Sequence[ProbeResult]) -> str:
    """Whether the known answers came through, in one sentence."""
    lost = [each for each in found if each.lost_at is not None]
    pending = sum(each.pending for each in found)
    if lost:
        count = words.counted(len(found), "probe")
        return f"{len(lost)} of {count} did not come through: the shadow's health is UNKNOWN."
    if pending:
        return f"{words.counted(len(found), 'probe')}: {pending} under way, none lost."
    return f"All {len(found)} are in the log as they should be."


def probe_rows(found: Sequence[ProbeResult]) -> Rows:
    """By PROBE_COLUMNS."""
    return [(each.kind, each.gateway, words.utc(each.time_us), _probe(each)) for each in found]


def _probe(found: ProbeResult) -> str:
    if found.lost_at is not None:
        return f"LOST: {_STEPS[found.lost_at]}{f' ({found.detail})' if found.detail else ''}"
    return "under way" if found.pending else "in the log, as known"


def models(found: Sequence[Reading]) -> str:
    """Whether a model changed behind its address, in one sentence."""
    changed = [
        f"{arm} ({words.counted(times - 1, 'time')})"
        for arm in ("production", "candidate")
        if (times := sum(each.arm == arm for each in found)) > 1
    ]
    return f"CHANGED while the trial ran: {_listed(changed)}." if changed else "Neither changed."


def model_rows(found: Sequence[Reading]) -> Rows:
    """By MODEL_COLUMNS."""
    return [(each.arm, words.utc(each.time_us), each.shown, each.digest[:16]) for each in found]
