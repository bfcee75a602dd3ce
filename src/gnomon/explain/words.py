"""What is said of one exchange, in sentences, and the facts behind them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

from gnomon.explain.coin import ONE, Toss, sampler_of, share, toss
from gnomon.explain.known import Known, request_of
from gnomon.fork.sampling import coin
from gnomon.fork.strata import Sampler, is_off
from gnomon.log.tables import output_columns, segment_column
from gnomon.records import Record
from gnomon.records.plan import Plan, Selector
from gnomon.records.process import PROBE_EPOCH
from gnomon.records.trial import Pause, Trial

Place = Literal["log", "inbox", "gateway", "nowhere"]

_ENDED: Final = {
    "paired": "Both arms answered it, and it is a pair.",
    "expired": "It waited too long for the candidate, which was not called: it is a lost pair.",
    "guarded:context": "The candidate was not called: the request leans on what production alone holds.",
    "guarded:side_effects": "The candidate was not called: what the request does would have been done twice.",
    "guarded:rewrite": "The candidate was not called: what it needs changed could not be changed in this request.",
    "unaccounted": "The log can never take it: it is unaccounted for, a lost pair.",
}
_GATEWAY: Final = {
    "shed:budget": "it was over the plan's budget of copies per second",
    "shed:memory": "the gateway's memory for copies was full",
    "shed:unavailable": "the runner was down, and nothing could be kept",
    "shed:paused": "shadowing was paused",
    "shed:bug": "Gnomon's own shadow code failed; see the gateway's log",
    "guarded:too_large": "a body of it was larger than what is copied",
    "guarded:unreadable_coding": "its body has a content coding that cannot be read",
    "guarded:invalid_body": "its body or the answer's was not what its head said",
    "guarded:upgrade": "it asked for a WebSocket",
    "guarded:answered_early": "production answered, and the client never sent the rest of its request",
    "cancelled": "the client left before production's answer was complete",
    "refused:invalid": "the gateway refused it: it was no valid request",
    "refused:too_large": "the gateway refused it: it was too large",
    "refused:unsupported": "the gateway refused it: it asked for what is not supported",
    "refused:timeout": "the gateway refused it: it did not come in time",
    "refused:overloaded": "the gateway refused it: too many were open",
}


class Explanation(Record, frozen=True, kw_only=True):
    """Why a request was or was not shadowed, and what became of it."""

    id: str
    trial: str
    time_us: int
    """From the log, else from the id: to the millisecond."""
    place: Place
    """Where it was found."""
    state: str | None
    """A state of the ledger; None: not final, or not known."""
    sampled: bool | None
    """What its coin said; None: that cannot be known."""
    stratum: str | None
    probability: int | None
    """Over 2**32; of what is not known to be copied: None where strata differ."""
    coin: int | None
    """Over 2**32; None: it is that of a sticky value which is not known."""
    agrees: bool | None
    """Whether the coin, tossed again, agrees with what is recorded; None: it cannot be tossed again, or nothing is."""
    sentences: tuple[str, ...]


def explain(
    trial: Trial,
    plan: Plan,
    id_: bytes,
    found: Known,
    *,
    pauses: tuple[Pause, ...] = (),
    redacted: frozenset[Selector] = frozenset(),
    slice_us: int = 0,
    slices: int = 50,
    now_us: int,
) -> Explanation:
    """Explain one exchange of a trial.

    `redacted`: places that the log does not hold. `slice_us`, `slices`: as of the gateways; 0: no slice is ever off.
    Raises IntegrityError when its row in the log is damaged.
    """
    sampler = sampler_of(trial, plan)
    if found.comparison is not None or found.exchange is not None:
        return _logged(trial, plan, sampler, id_, found, redacted)
    if found.waiting is not None:
        return _waiting(trial, sampler, id_, found)
    time_us = int.from_bytes(id_[:6], "big") * 1000
    if found.trail is not None:
        return _ended(trial, sampler, id_, found.trail.state, time_us)
    return _unknown(trial, sampler, id_, time_us, pauses, slice_us=slice_us, slices=slices, now_us=now_us)


# in the log --------------------------------------------------------------------------------------------------------


def _logged(
    trial: Trial, plan: Plan, sampler: Sampler, id_: bytes, found: Known, redacted: frozenset[Selector]
) -> Explanation:
    row, exchange = found.comparison, found.exchange
    facts = row or exchange or {}
    stratum, probability = facts["stratum"], facts["probability"]
    probe = facts["epoch"] == PROBE_EPOCH
    tossed = Toss(coin=None, result="unknown")
    if not probe:
        request = None if exchange is None else request_of(exchange)
        tossed = toss(sampler, id_, request, stratum=stratum, probability=probability, redacted=redacted)
        tossed = _same_rows(tossed, row, exchange)
    what = f"{exchange['method']} {exchange['target']}" if exchange is not None else "a request"
    sentences = [f"{id_.hex()} is {what}, which came at {_when(facts['time_us'])}."]
    if probe:
        sentences.append("It is a probe of Gnomon itself, to see whether copies reach the log; it counts nowhere.")
    else:
        sentences += [_sampled(stratum, probability), _tossed(tossed)]
    sentences += _became(trial, plan, row, exchange)
    return Explanation(
        id=id_.hex(),
        trial=trial.id,
        time_us=facts["time_us"],
        place="log",
        state=None if row is None else row["state"],
        sampled=True,
        stratum=stratum,
        probability=probability,
        coin=tossed.coin,
        agrees=None if tossed.result == "unknown" else tossed.result == "agrees",
        sentences=tuple(sentences),
    )


def _same_rows(tossed: Toss, row: dict[str, Any] | None, exchange: dict[str, Any] | None) -> Toss:
    """The log's two tables say the same of it. Its row of `exchanges` is there before that of `comparisons`."""
    if row is None:
        return tossed
    if exchange is None:
        return Toss(coin=tossed.coin, result="differs", why="it is in comparisons, and not in exchanges")
    for name in ("time_us", "epoch", "stratum", "probability"):
        if row[name] != exchange[name]:
            said = f"its {name} is {row[name]} in comparisons and {exchange[name]} in exchanges"
            return Toss(coin=tossed.coin, result="differs", why=said)
    return tossed


def _sampled(stratum: str, probability: int) -> str:
    if probability >= ONE:
        return f"It was shadowed, as all of stratum {stratum} is."
    return f"It was shadowed: stratum {stratum} is, with a probability of {share(probability)}."


def _tossed(found: Toss) -> str:
    if found.result == "differs":
        return f"THE LOG DISAGREES WITH THE PLAN: {found.why}. The log or the sealed plan was changed."
    if found.result == "unknown":
        return f"Its coin cannot be tossed again: {found.why}."
    said = "" if found.coin is None else f" is {found.coin / ONE:.6f} and"
    return f"Its coin, tossed again,{said} agrees with the log."


def _became(trial: Trial, plan: Plan, row: dict[str, Any] | None, exchange: dict[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield "How its answers compare is not in the log yet."
    else:
        yield _ENDED.get(row["state"], f"It ended as {row['state']}.")
    if exchange is not None:
        yield _answered(exchange, "production", "served the user")
        if exchange["candidate_outcome"] is not None:
            yield _answered(exchange, "candidate", "was called in the shadow")
        if exchange["rewritten"] != "{}":
            yield f"For the candidate it was changed: {exchange['rewritten']}."
    if row is None:
        return
    if row["state"] == "paired":
        yield from _outputs(plan, row)
    segments = [f"{each.name}={row[segment_column(each.name)]}" for each in plan.segments]
    if segments:
        yield f"Its segments: {', '.join(segments)}."
    if row["late"]:
        yield "The candidate's call could not start with production's: gates on latency leave it out."
    if row["epoch"] not in {trial.first_epoch, PROBE_EPOCH}:
        yield f"It is of epoch {row['epoch']}: no evidence, which is of epoch {trial.first_epoch} alone."


def _answered(exchange: dict[str, Any], arm: str, did: str) -> str:
    """One arm in words. The columns of production are those of the arm that served."""
    status, latency = exchange[f"{arm}_status"], exchange[f"{arm}_latency_us"]
    with_status = f" (status {status})" if status else ""
    took = "" if latency is None else f" in {latency / 1000:,.1f} ms"
    return f"Version {exchange[f'{arm}_version']} {did}: {exchange[f'{arm}_outcome']}{with_status}{took}."


def _outputs(plan: Plan, row: dict[str, Any]) -> Iterator[str]:
    for output in plan.outputs:
        ours, theirs, agree = (row[column] for column in output_columns(output.name))
        if agree is None:
            yield f"Output {output.name} is not compared: an arm failed."
        else:
            word = "they agree" if agree else "they differ"
            yield f"Output {output.name}: {_short(ours)} and {_short(theirs)}; {word}."


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# on its way, or ended before ---------------------------------------------------------------------------------------


def _waiting(trial: Trial, sampler: Sampler, id_: bytes, found: Known) -> Explanation:
    waiting = found.waiting
    request = waiting.request if waiting else None
    tossed = Toss(coin=None, result="unknown", why="its request was not kept")
    time_us = int.from_bytes(id_[:6], "big") * 1000
    sentences = [f"{id_.hex()} came at {_when(time_us)}."]
    if request is not None and request.epoch == PROBE_EPOCH:
        sentences.append("It is a probe of Gnomon itself, to see whether copies reach the log; it counts nowhere.")
    elif request is not None:
        tossed = toss(sampler, id_, request, stratum=request.stratum, probability=request.probability)
        sentences += [_sampled(request.stratum, request.probability), _tossed(tossed).replace("the log", "the inbox")]
    if waiting and waiting.aside:
        sentences.append(f"{_ENDED['unaccounted']} {waiting.aside}.")
    elif waiting and waiting.answered:
        sentences.append("The candidate's part is over; the next flush brings it into the log.")
    else:
        sentences.append("It was handed over and waits in the inbox for the candidate.")
    return Explanation(
        id=id_.hex(),
        trial=trial.id,
        time_us=request.time_us if request else time_us,
        place="inbox",
        state="unaccounted" if waiting and waiting.aside else None,
        sampled=True,
        stratum=request.stratum if request else None,
        probability=request.probability if request else None,
        coin=tossed.coin,
        agrees=None if tossed.result == "unknown" else tossed.result == "agrees",
        sentences=tuple(sentences),
    )


def _ended(trial: Trial, sampler: Sampler, id_: bytes, state: str, time_us: int) -> Explanation:
    why = _GATEWAY.get(state, f"it ended as {state}")
    return Explanation(
        id=id_.hex(),
        trial=trial.id,
        time_us=time_us,
        place="gateway",
        state=state,
        sampled=None,
        stratum=None,
        probability=_one_rate(sampler),
        coin=coin(sampler.key, id_) if sampler.sticky is None else None,
        agrees=None,
        sentences=(
            f"{id_.hex()} came at {_when(time_us)}.",
            f"It was not shadowed: {why} ({state}, says its gateway's trail).",
        ),
    )


# known nowhere -----------------------------------------------------------------------------------------------------


def _unknown(
    trial: Trial,
    sampler: Sampler,
    id_: bytes,
    time_us: int,
    pauses: tuple[Pause, ...],
    *,
    slice_us: int,
    slices: int,
    now_us: int,
) -> Explanation:
    tossed = coin(sampler.key, id_) if sampler.sticky is None else None
    sampled, said = _by_the_coin(sampler, tossed)
    sentences = [f"{id_.hex()} is of {_when(time_us)}, by the time in it."]
    state = None
    if time_us > now_us + 60_000_000:
        sampled = None
        sentences.append("That has not come yet: no gateway of this machine's time made it.")
    elif time_us // 1000 < trial.registered_us // 1000:
        sampled = None
        began = _when(trial.registered_us)
        sentences.append(f"{trial.id} began later, at {began}: name the trial that ran then with --trial.")
    else:
        pause = next((each for each in pauses if _lasted(each, time_us)), None)
        if pause is not None:
            sentences.append(f"Shadowing was paused then, by {pause.actor}: {pause.reason or 'no reason given'}.")
        if pause is None and is_off(sampler.key, time_us, slice_us=slice_us, slices=slices):
            sampled, state = False, "shed:off_slice"
            sentences.append(
                "The shadow was off at that moment, to measure what it costs (by the settings of today): it was not "
                "shadowed, whatever its coin says."
            )
        else:
            state = "unsampled" if sampled is False else None
            sentences += said
            if sampled is not False:
                sentences.append(
                    "Nothing is known of it: it was not on a shadowed route, or is still open in its gateway, or its "
                    "gateway's trail has gone over it, or its gateway died."
                )
    return Explanation(
        id=id_.hex(),
        trial=trial.id,
        time_us=time_us,
        place="nowhere",
        state=state,
        sampled=sampled,
        stratum=None,
        probability=_one_rate(sampler),
        coin=tossed,
        agrees=None,
        sentences=tuple(sentences),
    )


def _by_the_coin(sampler: Sampler, tossed: int | None) -> tuple[bool | None, list[str]]:
    """Whether a request of unknown stratum was sampled, and the sentence that says so."""
    low, high = min(sampler.rates), max(sampler.rates)
    if tossed is None:
        if low >= ONE:
            return True, ["Every request is sampled."]
        return None, [
            f"Requests with the same {sampler.sticky} share one coin, so whether it was sampled cannot be known without "
            "the request."
        ]
    shown = f"Its coin is {tossed / ONE:.6f}"
    if tossed >= high:
        which = "the rate" if len(sampler.rates) == 1 else "the highest rate"
        return False, [f"{shown} and {which} is {share(high)}: it was not sampled."]
    if tossed < low:
        which = "the rate" if len(sampler.rates) == 1 else "the lowest rate"
        return True, [f"{shown} and {which} is {share(low)}: its coin says that it was sampled."]
    pairs = list(zip(sampler.names, sampler.rates, strict=True))
    taken = ", ".join(f"{name} ({share(rate)})" for name, rate in pairs if tossed < rate)
    left = ", ".join(f"{name} ({share(rate)})" for name, rate in pairs if tossed >= rate)
    return None, [f"{shown}: it was sampled if its stratum was {taken}, and was not if it was {left}."]


def _one_rate(sampler: Sampler) -> int | None:
    return sampler.rates[0] if len(sampler.rates) == 1 else None


def _lasted(pause: Pause, time_us: int) -> bool:
    return pause.since_us <= time_us and (pause.until_us is None or time_us < pause.until_us)


def _when(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
