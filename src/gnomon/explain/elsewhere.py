"""What is said of an exchange that is not in the log: not yet, or never."""

from typing import Final

from gnomon.explain.coin import ONE, Toss, share, toss
from gnomon.explain.facts import About, Explanation, when
from gnomon.explain.logged import ENDED, PROBE, sampled, tossing
from gnomon.fork.sampling import coin
from gnomon.fork.strata import Sampler, is_off
from gnomon.records.process import PROBE_EPOCH
from gnomon.records.trail import TrailEntry
from gnomon.records.trial import Pause
from gnomon.shadow.peek import Waiting

_GATEWAY: Final = {
    "unsampled": "its coin said no at the rate of its stratum",
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


def waiting(about: About, id_: bytes, found: Waiting) -> Explanation:
    """Explain one that is in the inbox."""
    request = found.request
    tossed = Toss(coin=None, result="unknown", why="its request was not kept")
    time_us = int.from_bytes(id_[:6], "big") * 1000
    sentences = [f"{id_.hex()} came at {when(time_us)}."]
    if request is not None and request.epoch == PROBE_EPOCH:
        sentences.append(PROBE)
    elif request is not None:
        tossed = toss(about.sampler, id_, request, stratum=request.stratum, probability=request.probability)
        sentences += [sampled(request.stratum, request.probability), tossing(tossed, "inbox")]
    if found.aside:
        sentences.append(f"{ENDED['unaccounted']} {found.aside}.")
    elif found.answered:
        sentences.append("The candidate's part is over; the next flush brings it into the log.")
    else:
        sentences.append("It was handed over and waits in the inbox for the candidate.")
    return Explanation(
        id=id_.hex(),
        trial=about.trial.id,
        time_us=request.time_us if request else time_us,
        place="inbox",
        state="unaccounted" if found.aside else None,
        sampled=True,
        stratum=request.stratum if request else None,
        probability=request.probability if request else None,
        coin=tossed.coin,
        agrees=None if tossed.result == "unknown" else tossed.result == "agrees",
        sentences=tuple(sentences),
    )


def ended(about: About, id_: bytes, found: TrailEntry) -> Explanation:
    """Explain one that ended in its gateway."""
    state, time_us, sampler = found.state, found.time_us, about.sampler
    why = _GATEWAY.get(state, f"it ended as {state}")
    return Explanation(
        id=id_.hex(),
        trial=about.trial.id,
        time_us=time_us,
        place="gateway",
        state=state,
        sampled=False if state == "unsampled" else None,
        stratum=None,
        probability=_one_rate(sampler),
        coin=coin(sampler.key, id_) if sampler.sticky is None else None,
        agrees=None,
        sentences=(
            f"{id_.hex()} came at {when(time_us)}.",
            f"It was not shadowed: {why} ({state}, says its gateway's trail).",
        ),
    )


# known nowhere -----------------------------------------------------------------------------------------------------


def unknown(about: About, id_: bytes) -> Explanation:
    """Explain one that is found nowhere: by its coin, and by the time in it."""
    trial, sampler = about.trial, about.sampler
    time_us = int.from_bytes(id_[:6], "big") * 1000
    tossed = coin(sampler.key, id_) if sampler.sticky is None else None
    sampled, said = _by_the_coin(sampler, tossed)
    sentences = [f"{id_.hex()} is of {when(time_us)}, by the time in it."]
    state = None
    if time_us > about.now_us + 60_000_000:
        sampled = None
        sentences.append("That has not come yet: no gateway of this machine's time made it.")
    elif time_us // 1000 < trial.registered_us // 1000:
        sampled = None
        began = when(trial.registered_us)
        sentences.append(f"{trial.id} began later, at {began}: name the trial that ran then with --trial.")
    else:
        pause = next((each for each in about.pauses if _lasted(each, time_us)), None)
        if pause is not None:
            sentences.append(f"Shadowing was paused then, by {pause.actor}: {pause.reason or 'no reason given'}.")
        if pause is None and is_off(sampler.key, time_us, slice_us=about.slice_us, slices=about.slices):
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
        trial=about.trial.id,
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
            f"Requests with the same {sampler.sticky} share one coin: without it, nobody can know what the coin said."
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
