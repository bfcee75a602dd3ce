"""The coin, tossed again: what the plan says of a request that was copied, against what stands in the log."""

from typing import Final, Literal

from gnomon.fork.sampling import coin
from gnomon.fork.strata import Sampler
from gnomon.records import Record
from gnomon.records.frames import Request
from gnomon.records.plan import Plan, Selector
from gnomon.records.trial import Trial

ONE: Final = 1 << 32


class Toss(Record, frozen=True, kw_only=True):
    """What tossing a coin again said."""

    coin: int | None
    """Over 2**32; None: it cannot be known, as it is that of a sticky value."""
    result: Literal["agrees", "differs", "unknown"]
    why: str = ""
    """What differs, or what cannot be known."""


def sampler_of(trial: Trial, plan: Plan) -> Sampler:
    """The rates and the key of a trial's gateways."""
    fork = plan.fork
    return Sampler(bytes.fromhex(trial.digest), rate=fork.shadow_rate, strata=fork.strata, sticky=fork.sticky)


def toss(
    sampler: Sampler,
    id_: bytes,
    request: Request | None,
    *,
    stratum: str,
    probability: int,
    redacted: frozenset[Selector] = frozenset(),
) -> Toss:
    """Toss the coin of a copied request again. `stratum` and `probability`: as recorded.

    `request`: as it came, but for what is `redacted` in it; None: it is not there any more.
    """
    rates = dict(zip(sampler.names, sampler.rates, strict=True))
    found = coin(sampler.key, id_) if sampler.sticky is None else None
    if rates.get(stratum) != probability:
        declared = f"its rate is {share(rates[stratum])}" if stratum in rates else "it has no such stratum"
        said = f"the record says stratum {stratum} at {share(probability)}, the plan says that {declared}"
        return Toss(coin=found, result="differs", why=said)
    if found is not None and found >= probability:
        said = f"its coin is {found / ONE:.6f}, which is not below {share(probability)}"
        return Toss(coin=found, result="differs", why=said)
    unread = _unread(sampler, request, redacted)
    if unread or request is None:
        return Toss(coin=found, result="unknown", why=unread) if unread else Toss(coin=found, result="agrees")
    draw = sampler.draw(request)
    if draw.sampled and sampler.names[draw.stratum] == stratum:
        return Toss(coin=draw.coin, result="agrees")
    if sampler.needs_body and _written_anew(redacted):
        return Toss(coin=found, result="unknown", why="the log holds its body written anew, without what is redacted")
    said = (
        f"its coin is {draw.coin / ONE:.6f} in stratum {sampler.names[draw.stratum]} at {share(draw.rate)}, and the "
        f"record says stratum {stratum}"
    )
    return Toss(coin=draw.coin, result="differs", why=said)


def share(probability: int) -> str:
    """A probability over 2**32 for people."""
    return f"{probability * 100 / ONE:.6g}%"


def _unread(sampler: Sampler, request: Request | None, redacted: frozenset[Selector]) -> str:
    """Which value that decided cannot be read any more, in words; empty: none."""
    for role, selector in (("stratum", sampler.by), ("sticky value", sampler.sticky)):
        if selector is None:
            continue
        if request is None:
            return f"its {role} was read from {selector}, and the log does not hold its request any more"
        hiding = next((each for each in sorted(redacted, key=str) if _hides(each, selector)), None)
        if hiding is not None:
            return f"its {role} was read from {selector}, which the log does not hold (record: {hiding})"
    return ""


def _hides(redaction: Selector, selector: Selector) -> bool:
    """Whether what is redacted is, holds, or is a part of what is read."""
    if redaction.where != selector.where:
        return False
    if selector.where != "body":
        return redaction.name == selector.name
    ours, theirs = selector.name.split("/"), redaction.name.split("/")
    return all(other in (one, "*") for one, other in zip(ours, theirs, strict=False))


def _written_anew(redacted: frozenset[Selector]) -> bool:
    """Whether bodies are in the log in another form than they came: without their coding, or shorter."""
    return any(each.where == "body" or str(each) == "header:content-encoding" for each in redacted)
